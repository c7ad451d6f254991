package waterbear_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/host/platform"
)

// tour is a node with a worker that calls every function that there is.
type tour struct {
	t    *testing.T
	p    *waterbear.Platform
	read int // bytes of its output
}

func newTour(t *testing.T, module []byte) *tour {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "config", "tour"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config", "tour", "url"), []byte("there"), 0o644); err != nil {
		t.Fatal(err)
	}
	node, err := waterbear.Open(t.Context(), waterbear.Options{Dir: filepath.Join(dir, "state"), Platform: &waterbear.PlatformOptions{
		Config: []string{"dir:" + filepath.Join(dir, "config")}, PublicURL: "https://bear.example",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	for component, module := range map[string][]byte{
		"tour": module, "counter": guests.Wasm(t, "counter"),
	} {
		if _, err := node.Platform().Deploy(t.Context(), component, module, nil); err != nil {
			t.Fatal(err)
		}
	}
	return &tour{t: t, p: node.Platform()}
}

// invoke gives what the function printed, by name; what is printed twice under one
// name has all values behind each other.
func (u *tour) invoke(function string, args ...any) (api.Invocation, map[string][]any) {
	u.t.Helper()
	list, err := json.Marshal(append([]any{}, args...))
	if err != nil {
		u.t.Fatal(err)
	}
	v, err := u.p.Invoke(u.t.Context(), "tour", "w", api.Call{Function: function, Args: list})
	if err != nil || v.State != api.StateFinished {
		u.t.Fatalf("%s: %s, %+v, %v; it wrote %s", function, v.State, v.Failure, err, u.written())
	}
	return v, u.said()
}

// written is what the worker has written since it was last asked.
func (u *tour) written() string {
	u.t.Helper()
	var out strings.Builder
	for chunk, err := range u.p.Logs(u.t.Context(), "tour", "w", api.Range{}) {
		if err != nil {
			u.t.Fatal(err)
		}
		out.WriteString(chunk.Text)
	}
	text := out.String()[u.read:]
	u.read = out.Len()
	return text
}

func (u *tour) said() map[string][]any {
	u.t.Helper()
	said := map[string][]any{}
	for line := range strings.Lines(u.written()) {
		var values []any
		if err := json.Unmarshal([]byte(line), &values); err != nil {
			u.t.Fatalf("%q: %v", line, err)
		}
		name := values[0].(string)
		said[name] = append(said[name], values[1:]...)
	}
	return said
}

// expect compares as JSON, so that fields are compared by their names.
func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	g, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	w, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if err := json.Unmarshal(g, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(w, &b); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

type object = map[string]any

func TestGoProgramsAreToldWhatThePlatformSays(t *testing.T) {
	u := newTour(t, guests.GoLibrary(t, "guest/go/testdata/tour"))
	v, said := u.invoke("context")
	detail, err := u.p.Worker(t.Context(), "tour", "w")
	if err != nil {
		t.Fatal(err)
	}
	current := said["current"][0].(object)
	created, err := time.Parse(time.RFC3339Nano, current["Created"].(string))
	if err != nil || !created.Equal(detail.Created) {
		t.Errorf("created %v, %v, and it was %v", created, err, detail.Created)
	}
	delete(current, "Created")
	expect(t, "current", current, object{"Component": "tour", "Name": "w", "Revision": 1, "Invocation": v.Key, "Attempt": 1})
	if k := said["keys"]; k[0] == k[1] || k[0] == "" {
		t.Errorf("keys %v", k)
	}

	_, said = u.invoke("config")
	expect(t, "url", said["url"], []any{"there", true, nil})
	expect(t, "none", said["none"], []any{"", false, nil})
	expect(t, "all", said["all"], []any{object{"url": "there"}, nil})

	_, said = u.invoke("control")
	r := detail.Settings.Retry
	expect(t, "policy", said["policy"], []any{object{
		"Attempts": r.Attempts, "Initial": int64(r.Initial), "Max": int64(r.Max), "Factor": r.Factor, "Jitter": r.Jitter,
	}})
	expect(t, "own policy", said["own policy"], []any{object{"Attempts": 7, "Initial": 1e9, "Max": 60e9, "Factor": 2.5, "Jitter": 0.25}})
	expect(t, "idempotence", said["idempotence"], []any{true, false})
	expect(t, "repeats", said["repeats"], []any{2})

	_, said = u.invoke("effects")
	expect(t, "performed", said["performed"], []any{0})
	expect(t, "effect", said["effect"], []any{"charged", "seen"})
	recorded := 0
	for e, err := range u.p.Oplog(t.Context(), "tour", "w", api.Range{Search: "tour."}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind != "" {
			recorded++
		}
	}
	if recorded < 2 {
		t.Errorf("%d entries of the oplog name an effect", recorded)
	}

	_, said = u.invoke("history")
	var entries []object
	for e, err := range u.p.Oplog(t.Context(), "tour", "w", api.Range{From: 1, To: 4}) {
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, object{"Index": e.Index, "Kind": e.Kind})
	}
	page := said["page"][0].([]any)
	for i := range page {
		entry := page[i].(object)
		if !json.Valid([]byte(entry["JSON"].(string))) || entry["At"] == "" {
			t.Errorf("entry %v", entry)
		}
		delete(entry, "JSON")
		delete(entry, "At")
	}
	expect(t, "page", page, entries)
	for _, e := range said["chosen"][0].([]any) {
		if e.(object)["Kind"] != "InvocationStarted" {
			t.Errorf("chosen: %v", e)
		}
	}
}

func TestGoProgramsUsePromises(t *testing.T) {
	u := newTour(t, guests.GoLibrary(t, "guest/go/testdata/tour"))
	_, said := u.invoke("promises")
	for _, name := range said["made"] {
		if !strings.HasPrefix(name.(string), "tour/w/") {
			t.Errorf("a promise is called %v", name)
		}
	}
	if url := said["url"][0].(string); !strings.HasPrefix(url, "https://bear.example/v1/webhooks/") {
		t.Errorf("the URL is %s", url)
	}
	settled, unknown := "the promise is settled already", "there is no such promise of this worker"
	for name, want := range map[string][]any{
		"pending":      {"", false, nil},
		"none in time": {-1, nil},
		"settled":      {nil, nil, nil},
		"again":        {settled, unknown},
		"any":          {0, nil},
		"waited":       {"yes", nil},
		"failed":       {true, "no"},
		"polled":       {true, "no"},
		"withdrawn":    {true, unknown},
		"unnamed":      {"this cannot be the name of a promise"},
	} {
		expect(t, name, said[name], want)
	}

	key := "asked"
	if _, err := u.p.Invoke(t.Context(), "tour", "w", api.Call{Function: "ask", Key: key, Async: true}); err != nil {
		t.Fatal(err)
	}
	settle(t, u.p, "tour", "w", "from outside")
	if v, err := u.p.Invocation(t.Context(), "tour", "w", key, true); err != nil || v.State != api.StateFinished {
		t.Fatalf("%+v %v", v, err)
	}
	expect(t, "outside", u.said()["outside"], []any{"granted", nil})
}

// settle completes the promise of this label, once it is there.
func settle(t *testing.T, p *waterbear.Platform, component, worker, label string) {
	t.Helper()
	for _, err := range p.Oplog(t.Context(), component, worker, api.Range{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		list, err := p.Promises(t.Context(), component, worker)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range list {
			if one.Label != label {
				continue
			}
			name := strings.TrimPrefix(one.Promise, component+"/"+worker+"/")
			if _, err := p.SettlePromise(t.Context(), component, worker, name, api.Settlement{Value: []byte("granted")}); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
}

func TestGoProgramsCallOtherWorkers(t *testing.T) {
	u := newTour(t, guests.GoLibrary(t, "guest/go/testdata/tour"))
	_, said := u.invoke("workers")
	view := func(name string) object {
		w, err := u.p.Worker(t.Context(), "counter", name)
		if err != nil {
			t.Fatal(err)
		}
		return object{"Name": "counter/" + name, "Revision": w.Revision, "Status": w.Status, "Reason": w.Reason, "Queue": w.Queue}
	}
	for name, want := range map[string][]any{
		"invoke":       {"[2]", nil},
		"no function":  {true, true},
		"result":       {"[5]", nil},
		"poll":         {"[5]", true, nil},
		"ended":        {true},
		"later":        {"", false, nil},
		"canceled":     {nil},
		"result of it": {true},
		"spawned":      {true, nil},
		"there":        {false, nil},
		"exists":       {true},
		"choose":       {nil, true},
		"status":       {view("b"), nil},
		"list":         {[]any{view("a"), view("b")}, "", nil},
	} {
		expect(t, name, said[name], want)
	}
	expect(t, "no worker", said["no worker"][0], true)
	_, forked := u.invoke("forked")
	expect(t, "fork", append(append(forked["elsewhere"], forked["fork"]...), forked["self"]...), []any{true, false, "tour/twin", nil, "w"})
	for i, state := range []api.InvocationState{api.StateFinished, api.StateCanceled} {
		v, err := u.p.Invocation(t.Context(), "counter", "a", said["keys"][i].(string), false)
		if err != nil || v.State != state {
			t.Errorf("call %d is %+v, %v", i, v, err)
		}
	}
	b, err := u.p.Worker(t.Context(), "counter", "b")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "what it was made with", []any{b.Args, b.Env, b.Settings.Limits.Queue}, []any{[]string{"", "one", "two"}, []string{"A=b"}, 5})
}

func TestWhatGoProgramsAreGivenOutlivesTheCollector(t *testing.T) {
	u := newTour(t, guests.GoLibrary(t, "guest/go/testdata/tour"))
	if v, _ := u.invoke("burden", 100); string(v.Result) != "[100]" {
		t.Errorf("got %s", v.Result)
	}
}

func TestTheReminderWaitsForAnAnswerAndGivesUp(t *testing.T) {
	node := openPlatform(t, t.TempDir())
	defer node.Close()
	p := node.Platform()
	for component, module := range map[string][]byte{
		"reminder": guests.GoLibrary(t, "examples/reminder"), "counter": guests.Wasm(t, "counter"),
	} {
		if _, err := p.Deploy(t.Context(), component, module, nil); err != nil {
			t.Fatal(err)
		}
	}
	v, err := p.Invoke(t.Context(), "reminder", "bob", api.Call{Function: "remind", Args: json.RawMessage("[0]")})
	if err != nil || string(v.Result) != "[0]" {
		t.Errorf("without an answer: %+v, %v", v, err)
	}
	if _, err := p.Invoke(t.Context(), "reminder", "alice", api.Call{Function: "remind", Args: json.RawMessage("[3600]"), Key: "k", Async: true}); err != nil {
		t.Fatal(err)
	}
	settle(t, p, "reminder", "alice", "whether it is done")
	v, err = p.Invocation(t.Context(), "reminder", "alice", "k", true)
	if err != nil || string(v.Result) != "[1]" {
		t.Errorf("with an answer: %+v, %v", v, err)
	}
	v, err = p.Invoke(t.Context(), "counter", "reminders", api.Call{Function: "get"})
	if err != nil || string(v.Result) != "[1]" {
		t.Errorf("the answers are %+v, %v", v, err)
	}
}

func TestBranchesTellWhatTheyComeTo(t *testing.T) {
	node := openPlatform(t, t.TempDir())
	defer node.Close()
	p := node.Platform()
	if _, err := p.Deploy(t.Context(), "branches", guests.GoLibrary(t, "examples/branches"), nil); err != nil {
		t.Fatal(err)
	}
	for search := 1; search <= 2; search++ {
		key := fmt.Sprint("search ", search)
		best, err := p.Invoke(t.Context(), "branches", "tour", api.Call{Function: "shortest", Args: json.RawMessage("[4]"), Key: key})
		if err != nil || best.State != api.StateFinished {
			t.Fatalf("got %+v, %v", best, err)
		}
		lengths := map[string]bool{}
		for i := range 4 {
			v, err := p.Invocation(t.Context(), "branches", fmt.Sprintf("tour-%d-%d", search, i), key, true)
			if err != nil || v.State != api.StateFinished {
				t.Fatalf("branch %d: %+v, %v", i, v, err)
			}
			lengths[string(v.Result)] = true
		}
		if len(lengths) < 2 || !lengths[string(best.Result)] || string(best.Result) != slices.Min(slices.Collect(maps.Keys(lengths))) {
			t.Errorf("the best is %s of %v", best.Result, lengths)
		}
	}
	page, err := p.Workers(t.Context(), api.WorkerFilter{Component: "branches"}, "", 100)
	if err != nil || len(page.Items) != 9 {
		t.Errorf("there are %d workers, %v", len(page.Items), err)
	}
}

func TestErrandsAreRunOnce(t *testing.T) {
	node := openPlatform(t, t.TempDir())
	defer node.Close()
	p := node.Platform()
	for _, component := range []string{"errands", "counter"} {
		if _, err := p.Deploy(t.Context(), component, guests.Wasm(t, component), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ key, want string }{{"first", "[10]"}, {"second", "[20]"}, {"first", "[10]"}} {
		v, err := p.Invoke(t.Context(), "errands", "me", api.Call{Function: "both", Args: json.RawMessage("[5]"), Key: c.key})
		if err != nil || string(v.Result) != c.want {
			t.Errorf("%s: %+v, %v", c.key, v, err)
		}
	}
}

// TestTheGuestPackagesHaveEveryFunction looks into the modules, which import what
// their code reaches alone.
func TestTheGuestPackagesHaveEveryFunction(t *testing.T) {
	for language, module := range map[string][]byte{
		"Go": guests.GoLibrary(t, "guest/go/testdata/tour"), "C": guests.Wasm(t, "asks"),
	} {
		for _, m := range platform.Modules() {
			for _, f := range m.Funcs {
				entry := fmt.Appendf(nil, "%c%s%c%s\x00", len(m.Name), m.Name, len(f.Name), f.Name)
				if !bytes.Contains(module, entry) {
					t.Errorf("the program in %s does not import %s of %s", language, f.Name, m.Name)
				}
			}
		}
	}
}

func TestCProgramsAreToldWhatThePlatformSays(t *testing.T) {
	u := newTour(t, guests.Wasm(t, "asks"))
	call := func(function string) (key, wrote string) {
		v, err := u.p.Invoke(t.Context(), "tour", "w", api.Call{Function: function})
		wrote = u.written()
		if err != nil || v.State != api.StateFinished {
			t.Fatalf("%s: %s, %+v, %v; it wrote %s", function, v.State, v.Failure, err, wrote)
		}
		return v.Key, wrote
	}
	key, wrote := call("context")
	tour, err := u.p.Worker(t.Context(), "tour", "w")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("current tour/w 1 %d %s 1\nkeys differ 1\n", tour.Created.UnixNano(), key)
	if wrote != want {
		t.Errorf("context: got %s, want %s", wrote, want)
	}
	var entries strings.Builder
	for e, err := range u.p.Oplog(t.Context(), "tour", "w", api.Range{From: 1, To: 3}) {
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&entries, "entry %d %s 1 1\n", e.Index, e.Kind)
	}
	var started strings.Builder
	for line := range strings.Lines(entries.String()) {
		if strings.Contains(line, " InvocationStarted ") || strings.Contains(line, " WorkerCreated ") {
			started.WriteString(line)
		}
	}
	r := tour.Settings.Retry
	for _, c := range []struct{ function, want string }{
		{"config", "url 0 1 there\nnone 0 0\nall url=there\n"},
		{"control", fmt.Sprintf("policy %d %d %d %g %g\n", r.Attempts, r.Initial, r.Max, r.Factor, r.Jitter) +
			"policy 7 1000000000 60000000000 2.5 0.25\nidempotence 0\nidempotence 1\nrepeats 2\nregion 1\n"},
		{"effects", "charge 0 0\nlook 1 seen\n"},
		{"history", entries.String() + started.String()},
		{"promises", "made 0 tour/w/ 0 0 https://bear.example/v1/webhooks/\npoll 0 0\nany 0 0\ncomplete 0\ncomplete 1 1\n" +
			"any 0 1 1\nfail 0\nwait 0 0 yes\npoll 0 1 1 no\nwithdraw 0\nwait 1 1\n"},
		{"workers", "invoke 0 [2]\ninvoke 1 1 1\nresult 0 [5]\npoll 0 1 [5]\nlater 0 0\ncancel 0\ncanceled 1 1\nspawn 0 1\nspawn 0 0\n" +
			"status 0 counter/b 1 Idle nothing to do 0\nstatus 1 1\nworker counter/a Idle\nworker counter/b Idle\nlist 0 0\nchoose 1 1\nchoose 1 1\nfork 1 1\nfork 0 0 tour/twin\n"},
	} {
		if _, got := call(c.function); got != c.want {
			t.Errorf("%s: got\n%swant\n%s", c.function, got, c.want)
		}
	}
	b, err := u.p.Worker(t.Context(), "counter", "b")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "what it was made with", []any{b.Args, b.Env}, []any{[]string{"", "one"}, []string{"A=b"}})
}

func TestTheGoPackageIsSoundForEverySystem(t *testing.T) {
	for _, system := range []string{"", "GOOS=wasip1 GOARCH=wasm"} {
		vet := exec.Command("go", "vet", ".", "./testdata/tour")
		vet.Dir = filepath.Join(guests.Root(t), "guest", "go")
		if system == "" {
			vet.Args = vet.Args[:3] // a library exports functions, which no other system does
		}
		vet.Env = append(os.Environ(), append(strings.Fields(system), "GOFLAGS=")...)
		if out, err := vet.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", system, err, out)
		}
	}
}
