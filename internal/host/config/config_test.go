package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

var alice = id.Worker{Component: "shop", Name: "alice"}

// texts is a source that can change and fail.
type texts struct {
	values map[string]string
	err    error
	asked  int
}

func (s *texts) Values(_ context.Context, component string) (map[string]string, error) {
	if s.asked++; component != alice.Component {
		return nil, nil
	}
	return s.values, s.err
}

type world struct {
	t              *testing.T
	store          *memory.Store
	config, secret *texts
	vault          *Vault
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, store: memory.New(), config: &texts{values: map[string]string{}}, secret: &texts{values: map[string]string{}}}
	w.vault = w.newVault(7)
	return w
}

// newVault makes one with a key of its own over the same cells.
func (w *world) newVault(key byte) *Vault {
	v, err := NewVault(w.store.Cells(), [KeySize]byte{key}, func(p []byte) error {
		for i := range p {
			p[i] = byte(i)
		}
		return nil
	})
	must(w.t, err)
	return v
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) last() oplog.Index {
	_, last, err := w.store.Logs().Bounds(context.Background(), alice)
	must(w.t, err)
	return last
}

// process gives the values that a new process of the worker has; what it records
// is durable when done returns.
func (w *world) process() (v *Values, done func()) {
	last := w.last()
	c, err := oplog.NewCommitter(context.Background(), sched.NewGoroutines(), w.store.Logs(), 0)
	must(w.t, err)
	s := durable.NewSession(context.Background(), durable.Config{
		Worker: alice, Cursor: oplog.NewCursor(w.store.Logs(), alice, 1, last), Writer: c.NewWriter(alice, last),
	})
	sources := &Sources{Config: []Source{w.config}, Secrets: []Source{w.secret}, Vault: w.vault}
	return &Values{Session: s, Sources: sources, Component: alice.Component}, func() {
		must(w.t, s.Writer.Commit(context.Background()))
		must(w.t, c.Close())
	}
}

func (w *world) want(v *Values, name, want string) {
	w.t.Helper()
	if got, ok, err := v.Get(name); err != nil || got != want || ok != (want != "") {
		w.t.Errorf("%s is %q, %v, %v; want %q", name, got, ok, err, want)
	}
}

func TestReplayGivesWhatWasThereThen(t *testing.T) {
	w := newWorld(t)
	w.config.values["url"], w.config.values["token"] = "there", "shadowed"
	w.secret.values["token"] = "hunter2"
	v, done := w.process()
	w.want(v, "token", "hunter2")
	w.config.values["url"] = "elsewhere" // it was read already
	w.want(v, "url", "there")
	w.want(v, "nothing", "")
	done()

	w.config.values["url"], w.secret.values["token"] = "elsewhere", "rotated"
	v, done = w.process()
	w.want(v, "url", "there")
	w.want(v, "token", "hunter2")
	v.Begin() // the next attempt, which is live
	w.want(v, "url", "elsewhere")
	w.want(v, "token", "rotated")
	all, err := v.All()
	if got := fmt.Sprint(all, err); got != "[[token rotated] [url elsewhere]] <nil>" {
		t.Errorf("all are %s", got)
	}
	done()
	if w.config.asked != 2 {
		t.Errorf("the source was asked %d times, want once for each live attempt", w.config.asked)
	}
	for entry, err := range oplog.Read(context.Background(), w.store.Logs(), alice, 1, w.last()) {
		must(t, err)
		call := entry.Body.(*oplog.HostCall)
		if bytes.Contains(call.Response, []byte("hunter2")) || bytes.Contains(call.Response, []byte("rotated")) {
			t.Errorf("entry %d has the secret", entry.Index)
		}
		if shown := readAll.ShowResponse(call.Response); !strings.Contains(shown, "token: secret ") || !strings.Contains(shown, "url: \"") {
			t.Errorf("it is shown as %s", shown)
		}
	}
	for cell, err := range w.store.Cells().List(context.Background(), "", "") {
		must(t, err)
		kept, _, err := w.store.Cells().Get(context.Background(), cell)
		must(t, err)
		if bytes.Contains(kept, []byte("hunter2")) || strings.Contains(cell, "hunter2") {
			t.Errorf("the cell %s has the secret", cell)
		}
	}
}

func TestASecretUnderAnotherKeyIsNamed(t *testing.T) {
	w := newWorld(t)
	w.secret.values["token"] = "hunter2"
	v, done := w.process()
	w.want(v, "token", "hunter2")
	done()
	for name, vault := range map[string]*Vault{"another key": w.newVault(8), "no key": nil} {
		w.vault = vault
		v, done := w.process()
		_, _, err := v.Get("token")
		if unavailable := (*UnavailableError)(nil); err == nil || errors.As(err, &unavailable) || !strings.Contains(err.Error(), `"token" of shop`) || !strings.Contains(err.Error(), "secrets.key") {
			t.Errorf("%s: got %v, want an error of the host that names the secret and the setting", name, err)
		}
		done()
	}
}

func TestWhatCannotBeReadIsForTheProgramToKnow(t *testing.T) {
	w := newWorld(t)
	w.config.err = errors.New("the service is down")
	v, done := w.process()
	_, _, err := v.Get("url")
	if unavailable := (*UnavailableError)(nil); !errors.As(err, &unavailable) || unavailable.Reason != "the service is down" {
		t.Errorf("got %v", err)
	}
	done()
	w.config.err = nil
	v, done = w.process()
	if _, _, again := v.Get("url"); again == nil || again.Error() != err.Error() {
		t.Errorf("replay gives %v, and it was %v", again, err)
	}
	done()
}

func TestConfigurationIsBounded(t *testing.T) {
	many := map[string]string{}
	for i := range MaxValues + 1 {
		many[fmt.Sprint(i)] = ""
	}
	for name, values := range map[string]map[string]string{
		"many": many, "long": {"a": strings.Repeat("x", MaxBytes)}, "name": {strings.Repeat("x", MaxName+1): ""}, "no name": {"": "x"},
	} {
		w := newWorld(t)
		w.config.values = values
		v, done := w.process()
		if unavailable := (*UnavailableError)(nil); !errors.As(v.read(), &unavailable) {
			t.Errorf("%s is not refused", name)
		}
		done()
		most := maps.Clone(values)
		delete(most, "0")
		if name == "many" {
			must(t, check("shop", most))
		}
	}
}

func TestRecordedReadingsAreReadBackAndDamageIsNoticed(t *testing.T) {
	for _, r := range []reading{
		{},
		{failure: "why"},
		{values: []value{{name: "a", text: "x"}, {name: "b", secret: true, hash: Hash{1, 2}}, {name: "c"}}},
	} {
		b := appendReading(nil, r)
		got, err := decodeReading(b)
		if fmt.Sprint(got, err) != fmt.Sprint(r, nil) {
			t.Errorf("got %v, %v; want %v", got, err, r)
		}
		for n := range b {
			if _, err := decodeReading(b[:n]); err == nil {
				t.Errorf("%d of %d bytes of %v are taken for a reading", n, len(b), r)
			}
		}
		if _, err := decodeReading(append(b, 0)); err == nil {
			t.Errorf("a byte behind %v is not noticed", r)
		}
	}
}

func TestSecretsAreTakenOutOfWhatIsShown(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	for _, s := range []string{"hunter2", "hunter2 and more", "a\"b\n<c>", "abc"} {
		_, err := w.vault.seal(ctx, "shop", s)
		must(t, err)
	}
	_, err := w.vault.seal(ctx, "other", "harmless")
	must(t, err)
	r, err := w.vault.Redactor(ctx, "shop")
	must(t, err)
	for text, want := range map[string]string{
		"hunter2!":                "[secret]!",
		"hunter2 and more hunter": "[secret] hunter",
		"a\"b\n<c>":               "[secret]",
		`"a\"b\n<c>"`:             `"[secret]"`,
		`"a\"b\n\u003cc\u003e"`:   `"[secret]"`,
		"abc harmless":            "abc harmless", // too short, and of another component
	} {
		if got := r.Replace(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	must(t, w.vault.Forget(ctx, "shop"))
	if r, err := w.vault.Redactor(ctx, "shop"); r != nil || err != nil {
		t.Errorf("there are secrets of a forgotten component: %v", err)
	}
	if r, err := w.vault.Redactor(ctx, "other"); r == nil || err != nil {
		t.Errorf("those of another are gone: %v", err)
	}
	h, err := w.vault.seal(ctx, "shop", "hunter2") // again
	must(t, err)
	if got, err := w.vault.open(ctx, "shop", h); got != "hunter2" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
