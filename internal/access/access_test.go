package access_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/access"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
	"github.com/waterbear-run/waterbear/internal/storage/storagetest"
)

var ctx = context.Background()

// world is a simulated machine whose store is in memory and fails as it is told.
type world struct {
	t      *testing.T
	sim    *sched.Simulation
	store  *memory.Store
	fault  func(call string) storagetest.Fault
	random byte
	chance error // what entropy gives
}

func newWorld(t *testing.T) *world {
	return &world{t: t, sim: sched.NewSimulation(1), store: memory.New()}
}

func (w *world) plan(call string) storagetest.Fault {
	if w.fault == nil {
		return storagetest.None
	}
	return w.fault(call)
}

func (w *world) entropy(p []byte) error {
	w.random++
	for i := range p {
		p[i] = w.random
	}
	return w.chance
}

// process lets body run as a new process.
func (w *world) process(body func(tokens *access.Tokens)) {
	w.t.Helper()
	err := w.sim.Run(func() {
		tokens, err := access.Open(ctx, w.sim, storagetest.Faulty(w.store.Reopen(), w.plan).Cells(), w.entropy)
		if err != nil {
			w.t.Error(err)
			return
		}
		body(tokens)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) create(tokens *access.Tokens, n api.NewToken) api.CreatedToken {
	w.t.Helper()
	made, err := tokens.Create(ctx, n)
	if err != nil {
		w.t.Errorf("create %s: %v", n.Name, err)
	}
	return made
}

func codeOf(err error) api.Code {
	var p *api.Problem
	if errors.As(err, &p) {
		return p.Code
	}
	return ""
}

func TestATokenLetsInWhoHasItsSecretAlsoAfterARestart(t *testing.T) {
	w := newWorld(t)
	var ci, ops api.CreatedToken
	w.process(func(tokens *access.Tokens) {
		ci = w.create(tokens, api.NewToken{Name: "ci", Scopes: []api.Scope{"deploy:shop", "read"}})
		ops = w.create(tokens, api.NewToken{Name: "ops", Scopes: []api.Scope{"admin"}})
	})
	if want := "wb_" + strings.Repeat("AQEB", 10) + "AQE"; ci.Secret != want || ci.Secret == ops.Secret {
		t.Errorf("the secrets are %s and %s, want the first to be %s", ci.Secret, ops.Secret, want)
	}
	w.process(func(tokens *access.Tokens) {
		for _, want := range []api.CreatedToken{ci, ops} {
			got, err := tokens.Authenticate(want.Secret)
			if err != nil || !reflect.DeepEqual(got, want.Token) {
				t.Errorf("got %+v, %v, want %+v", got, err, want.Token)
			}
		}
		all, err := tokens.List(ctx)
		if want := []api.Token{ci.Token, ops.Token}; err != nil || !reflect.DeepEqual(all, want) {
			t.Errorf("got %+v, %v, want %+v", all, err, want)
		}
	})
}

func TestASecretThatWasChosenLetsIn(t *testing.T) {
	w := newWorld(t)
	w.process(func(tokens *access.Tokens) {
		scopes := []api.Scope{"admin"}
		chosen := strings.Repeat("s", access.MaxSecret)
		made := w.create(tokens, api.NewToken{Name: "a", Scopes: scopes, Secret: chosen})
		if got, err := tokens.Authenticate(chosen); made.Secret != chosen || err != nil || got.Name != "a" {
			t.Errorf("got secret %s, token %s, %v", made.Secret, got.Name, err)
		}
		if _, err := tokens.Create(ctx, api.NewToken{Name: "b", Scopes: scopes, Secret: chosen + "s"}); codeOf(err) != api.CodeInvalid {
			t.Errorf("a secret that is too long: %v", err)
		}
	})
}

func TestNoOtherSecretLetsIn(t *testing.T) {
	w := newWorld(t)
	w.process(func(tokens *access.Tokens) {
		secret := w.create(tokens, api.NewToken{Name: "a", Scopes: []api.Scope{"admin"}}).Secret
		for _, other := range []string{
			"", "wb_", secret[1:], secret + "A", strings.Replace(secret, "AQE", "AQF", 1), strings.ToLower(secret), strings.Repeat("x", 1<<20),
		} {
			if got, err := tokens.Authenticate(other); codeOf(err) != api.CodeUnauthorized {
				t.Errorf("%.50q: got %+v, %v", other, got, err)
			}
		}
	})
}

func TestTheSecretIsNotStored(t *testing.T) {
	w := newWorld(t)
	var secret string
	w.process(func(tokens *access.Tokens) {
		secret = w.create(tokens, api.NewToken{Name: "a", Scopes: []api.Scope{"admin"}}).Secret
	})
	text, _, err := w.store.Cells().Get(ctx, "token/a")
	if err != nil || strings.Contains(string(text), secret) || strings.Contains(string(text), strings.TrimPrefix(secret, "wb_")) {
		t.Errorf("the cell is %s, %v", text, err)
	}
}

func TestTheStoredFormStaysReadable(t *testing.T) {
	const stored = `{"format":1,"sha256":"16bed9afb19fd5ec4cc13c00cf4ceb0a379e84d7ee70ef0e12e0b0a2b0bbc7b1","name":"ci","scopes":["deploy:shop","read"],"created":"2030-01-01T00:00:00.000000123Z","expires":"2031-01-01T00:00:00Z"}`
	w := newWorld(t)
	if _, err := w.store.Cells().Put(ctx, "token/ci", 0, []byte(stored)); err != nil {
		t.Fatal(err)
	}
	w.process(func(tokens *access.Tokens) {
		all, err := tokens.List(ctx)
		want := []api.Token{{
			Name: "ci", Scopes: []api.Scope{"deploy:shop", "read"},
			Created: time.Date(2030, 1, 1, 0, 0, 0, 123, time.UTC), Expires: time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC),
		}}
		if err != nil || !reflect.DeepEqual(all, want) {
			t.Errorf("got %+v, %v, want %+v", all, err, want)
		}
	})
}

func TestATokenExpiresWhenItSays(t *testing.T) {
	w := newWorld(t)
	w.process(func(tokens *access.Tokens) {
		made := w.create(tokens, api.NewToken{Name: "a", Scopes: []api.Scope{"read"}, Expires: w.sim.Now().Add(time.Hour)})
		if err := w.sim.Sleep(ctx, time.Hour-time.Second); err != nil {
			t.Error(err)
		}
		if _, err := tokens.Authenticate(made.Secret); err != nil {
			t.Errorf("a second before: %v", err)
		}
		if err := w.sim.Sleep(ctx, time.Second); err != nil {
			t.Error(err)
		}
		if _, err := tokens.Authenticate(made.Secret); codeOf(err) != api.CodeUnauthorized || !strings.Contains(err.Error(), "expired at") {
			t.Errorf("then: %v", err)
		}
		if all, err := tokens.List(ctx); err != nil || len(all) != 1 {
			t.Errorf("it is not listed any more: %+v, %v", all, err)
		}
	})
}

func TestADeletedTokenLetsNobodyIn(t *testing.T) {
	w := newWorld(t)
	var secret string
	w.process(func(tokens *access.Tokens) {
		secret = w.create(tokens, api.NewToken{Name: "a", Scopes: []api.Scope{"admin"}}).Secret
		if err := tokens.Delete(ctx, "a"); err != nil {
			t.Error(err)
		}
		if _, err := tokens.Authenticate(secret); codeOf(err) != api.CodeUnauthorized {
			t.Errorf("got %v", err)
		}
		if err := tokens.Delete(ctx, "a"); codeOf(err) != api.CodeNoToken {
			t.Errorf("deleting it again: got %v", err)
		}
		w.create(tokens, api.NewToken{Name: "a", Scopes: []api.Scope{"admin"}})
		if _, err := tokens.Authenticate(secret); codeOf(err) != api.CodeUnauthorized {
			t.Errorf("with another of that name: got %v", err)
		}
	})
}

func TestWhatMakesNoTokenIsRefused(t *testing.T) {
	w := newWorld(t)
	admin := []api.Scope{"admin"}
	w.process(func(tokens *access.Tokens) {
		w.create(tokens, api.NewToken{Name: "taken", Scopes: admin})
		for _, n := range []struct {
			token       api.NewToken
			field, want string
		}{
			{api.NewToken{Scopes: admin}, "body.name", "it is empty"},
			{api.NewToken{Name: "a b", Scopes: admin}, "body.name", "use letters"},
			{api.NewToken{Name: "taken", Scopes: admin}, "body.name", "there is a token named taken"},
			{api.NewToken{Name: "a"}, "body.scopes", "1 to 1000 scopes, not 0; valid scopes are"},
			{api.NewToken{Name: "a", Scopes: slices.Repeat(admin, access.MaxScopes+1)}, "body.scopes", "not 1001"},
			{api.NewToken{Name: "a", Scopes: []api.Scope{"read", "root"}}, "body.scopes[1]", `there is no scope "root"; valid scopes are "admin", "deploy", "invoke" and "read"`},
			{api.NewToken{Name: "a", Scopes: []api.Scope{"admin:shop"}}, "body.scopes[0]", `there is no scope "admin:shop"`},
			{api.NewToken{Name: "a", Scopes: []api.Scope{"Read"}}, "body.scopes[0]", `there is no scope "Read"`},
			{api.NewToken{Name: "a", Scopes: []api.Scope{""}}, "body.scopes[0]", `there is no scope ""`},
			{api.NewToken{Name: "a", Scopes: []api.Scope{"read:"}}, "body.scopes[0]", "it is empty"},
			{api.NewToken{Name: "a", Scopes: []api.Scope{"read:a/b"}}, "body.scopes[0]", "use letters"},
			{api.NewToken{Name: "a", Scopes: []api.Scope{"read:*"}}, "body.scopes[0]", "use letters"},
			{api.NewToken{Name: "a", Scopes: admin, Expires: w.sim.Now()}, "body.expires", "it would have expired already"},
			{api.NewToken{Name: "a", Scopes: admin, Expires: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, "body.expires", "there is no year 10000"},
		} {
			got, err := tokens.Create(ctx, n.token)
			var p *api.Problem
			if !errors.As(err, &p) || p.Code != api.CodeInvalid || len(p.Errors) != 1 || p.Errors[0].Location != n.field || !strings.Contains(p.Detail, n.want) {
				t.Errorf("%+v: got %+v, %v, want %q at %s", n.token, got, err, n.want, n.field)
			}
		}
		if all, err := tokens.List(ctx); err != nil || len(all) != 1 {
			t.Errorf("got %+v, %v", all, err)
		}
	})
}

func TestThereIsABoundOnTokens(t *testing.T) {
	w := newWorld(t)
	w.process(func(tokens *access.Tokens) {
		for i := range access.MaxTokens {
			w.create(tokens, api.NewToken{Name: fmt.Sprintf("t%d", i), Scopes: []api.Scope{"read"}})
		}
		if _, err := tokens.Create(ctx, api.NewToken{Name: "more", Scopes: []api.Scope{"read"}}); codeOf(err) != api.CodeTooLarge {
			t.Errorf("got %v", err)
		}
	})
}

func TestWithoutChanceThereIsNoToken(t *testing.T) {
	broken := errors.New("no entropy")
	w := newWorld(t)
	w.chance = broken
	w.process(func(tokens *access.Tokens) {
		if _, err := tokens.Create(ctx, api.NewToken{Name: "a", Scopes: []api.Scope{"read"}}); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	})
}

func TestADamagedTokenLetsNobodyInAndHarmsNoOther(t *testing.T) {
	w := newWorld(t)
	var secret string
	w.process(func(tokens *access.Tokens) {
		secret = w.create(tokens, api.NewToken{Name: "good", Scopes: []api.Scope{"admin"}}).Secret
	})
	for name, text := range map[string]string{
		"a": `{`, "b": `{"format":1,"name":"other","sha256":"` + strings.Repeat("00", 32) + `"}`,
		"c": `{"format":1,"name":"c","sha256":"` + strings.Repeat("zz", 32) + `"}`, "d": `{"format":0}`,
	} {
		if _, err := w.store.Cells().Put(ctx, "token/"+name, 0, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	w.process(func(tokens *access.Tokens) {
		if _, err := tokens.Authenticate(secret); err != nil {
			t.Error(err)
		}
		all, err := tokens.List(ctx)
		if err != nil || len(all) != 5 {
			t.Errorf("got %+v, %v", all, err)
		}
		for _, k := range all {
			if k.Name != "good" && len(k.Scopes) > 0 {
				t.Errorf("a damaged token has scopes: %+v", k)
			}
		}
		for _, name := range []string{"a", "b", "c", "d"} {
			if _, err := tokens.Create(ctx, api.NewToken{Name: name, Scopes: []api.Scope{"admin"}}); codeOf(err) != api.CodeInvalid {
				t.Errorf("create %s: %v", name, err)
			}
			if err := tokens.Delete(ctx, name); err != nil {
				t.Errorf("delete %s: %v", name, err)
			}
			w.create(tokens, api.NewToken{Name: name, Scopes: []api.Scope{"read"}})
		}
	})
}

func TestATokenOfANewerFormatIsNotGuessedAt(t *testing.T) {
	w := newWorld(t)
	if _, err := w.store.Cells().Put(ctx, "token/a", 0, []byte(`{"format":2,"secret":{}}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := access.Open(ctx, w.sim, w.store.Cells(), w.entropy); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("got %v", err)
	}
}

// TestWhatIsSaidOfATokenHoldsAfterAnyFault lets the k-th call to the store fail,
// before or after it has done what it is for, for k = 1, 2, 3… until none fails.
func TestWhatIsSaidOfATokenHoldsAfterAnyFault(t *testing.T) {
	for _, fault := range []storagetest.Fault{storagetest.Before, storagetest.After} {
		for _, forGood := range []bool{false, true} {
			for k := 1; tokensSurvive(t, fault, k, forGood); k++ {
			}
		}
	}
}

// tokensSurvive reports whether there was a k-th call.
func tokensSurvive(t *testing.T, fault storagetest.Fault, k int, forGood bool) (faulted bool) {
	w := newWorld(t)
	var old api.CreatedToken
	w.process(func(tokens *access.Tokens) {
		old = w.create(tokens, api.NewToken{Name: "old", Scopes: []api.Scope{"read"}})
	})
	calls := 0
	var made api.CreatedToken
	var createErr, deleteErr error
	w.process(func(tokens *access.Tokens) {
		w.fault = func(string) storagetest.Fault {
			calls++
			switch {
			case calls == k:
				return fault
			case calls > k && forGood:
				return storagetest.Before
			}
			return storagetest.None
		}
		made, createErr = tokens.Create(ctx, api.NewToken{Name: "new", Scopes: []api.Scope{"admin"}})
		deleteErr = tokens.Delete(ctx, "old")
		if _, err := tokens.Authenticate(made.Secret); (err == nil) != (createErr == nil) {
			t.Errorf("%v at call %d: create gave %v, authenticate %v", fault, k, createErr, err)
		}
		if _, err := tokens.Authenticate(old.Secret); deleteErr == nil && err == nil {
			t.Errorf("%v at call %d: the deleted token lets in", fault, k)
		}
	})
	w.fault = nil
	w.process(func(tokens *access.Tokens) {
		if _, err := tokens.Authenticate(made.Secret); createErr == nil && err != nil {
			t.Errorf("%v at call %d: the token that was made is not known after a restart: %v", fault, k, err)
		}
		if _, err := tokens.Authenticate(old.Secret); deleteErr == nil && err == nil {
			t.Errorf("%v at call %d: the deleted token lets in after a restart", fault, k)
		}
		// Whatever was left, both can be had as they were meant to be.
		if err := tokens.Delete(ctx, "new"); err != nil && codeOf(err) != api.CodeNoToken {
			t.Error(err)
		}
		w.create(tokens, api.NewToken{Name: "new", Scopes: []api.Scope{"admin"}})
	})
	return calls >= k
}

func TestTokensAreChangedOneAtATime(t *testing.T) {
	for seed := range uint64(30) {
		w := newWorld(t)
		w.sim = sched.NewSimulation(seed)
		w.process(func(tokens *access.Tokens) {
			w.fault = func(string) storagetest.Fault {
				w.sim.Yield()
				return storagetest.None
			}
			var tasks []sched.Task
			made := 0
			for range 3 {
				tasks = append(tasks, w.sim.Go("create", func() {
					_, err := tokens.Create(ctx, api.NewToken{Name: "a", Scopes: []api.Scope{"read"}})
					if err == nil {
						made++
					} else if codeOf(err) != api.CodeInvalid {
						t.Errorf("seed %d: %v", seed, err)
					}
				}))
			}
			for _, task := range tasks {
				task.Wait()
			}
			if made != 1 {
				t.Errorf("seed %d: %d tokens of one name were made", seed, made)
			}
		})
	}
}
