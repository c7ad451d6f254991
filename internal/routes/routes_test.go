package routes_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/routes"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
	"github.com/waterbear-run/waterbear/internal/storage/storagetest"
)

var ctx = context.Background()

// process lets body run as a new process over a store whose calls fail as fault
// says.
func process(t *testing.T, store *memory.Store, fault func(call string) storagetest.Fault, body func(s *routes.Store)) {
	t.Helper()
	sim := sched.NewSimulation(1)
	err := sim.Run(func() {
		s, err := routes.Open(ctx, sim, storagetest.Faulty(store.Reopen(), fault).Cells())
		if err != nil {
			if !strings.Contains(err.Error(), "injected fault") {
				t.Error(err)
			}
			return
		}
		body(s)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func never(string) storagetest.Fault { return storagetest.None }

func all(names ...string) (list []api.Route) {
	for _, name := range names {
		list = append(list, api.Route{Name: name, Path: "/" + name, Errors: map[string]int{"*": 400}, CORS: &api.CORS{Origins: []string{"*"}}})
	}
	return list
}

// set replaces all routes, and tells which hold afterwards.
func set(s *routes.Store, anew bool, names ...string) (held []string, err error) {
	err = s.Change(ctx, anew, func([]api.Route) ([]api.Route, error) { return all(names...), nil }, func(list []api.Route) error {
		held = namesOf(list)
		return nil
	})
	return held, err
}

func namesOf(list []api.Route) (names []string) {
	for _, r := range list {
		names = append(names, r.Name)
	}
	return names
}

func listed(t *testing.T, s *routes.Store) string {
	t.Helper()
	list, err := s.List()
	if err != nil {
		t.Error(err)
	}
	return strings.Join(namesOf(list), " ")
}

func codeOf(err error) api.Code {
	var p *api.Problem
	errors.As(err, &p)
	if p == nil {
		return ""
	}
	return p.Code
}

func TestRoutesAreThereAgainAfterARestart(t *testing.T) {
	store := memory.New()
	process(t, store, never, func(s *routes.Store) {
		if got := listed(t, s); got != "" {
			t.Errorf("at first there are %q", got)
		}
		if held, err := set(s, false, "b", "a"); err != nil || !slices.Equal(held, []string{"a", "b"}) {
			t.Errorf("got %q, %v", held, err)
		}
		refused := errors.New("refused")
		err := s.Change(ctx, false, func(now []api.Route) ([]api.Route, error) {
			now[0].Name = "x"
			return nil, refused
		}, nil)
		if !errors.Is(err, refused) || listed(t, s) != "a b" {
			t.Errorf("got %v and %q", err, listed(t, s))
		}
		if err := s.Change(ctx, false, func([]api.Route) ([]api.Route, error) { return nil, routes.ErrUnchanged }, nil); err != nil || listed(t, s) != "a b" {
			t.Errorf("got %v and %q", err, listed(t, s))
		}
	})
	process(t, store, never, func(s *routes.Store) {
		list, err := s.List()
		if want := all("a", "b"); err != nil || fmt.Sprint(list[0].Errors, list[1].CORS.Origins) != fmt.Sprint(want[0].Errors, want[1].CORS.Origins) {
			t.Errorf("got %+v, %v", list, err)
		}
	})
}

func TestRoutesAreBounded(t *testing.T) {
	process(t, memory.New(), never, func(s *routes.Store) {
		names := make([]string, routes.Max+1)
		for i := range names {
			names[i] = fmt.Sprint("r", i)
		}
		if _, err := set(s, false, names...); codeOf(err) != api.CodeTooLarge {
			t.Errorf("got %v", err)
		}
		if _, err := set(s, false, names[1:]...); err != nil {
			t.Error(err)
		}
		if _, err := set(s, false, strings.Repeat("x", storage.MaxCellValue)); codeOf(err) != api.CodeTooLarge {
			t.Errorf("got %v", err)
		}
	})
}

// TestAChangeHoldsOrNotWhateverFails lets the k-th call to the store fail, before
// or after it has done what it is for, once or for good.
func TestAChangeHoldsOrNotWhateverFails(t *testing.T) {
	for _, fault := range []storagetest.Fault{storagetest.Before, storagetest.After} {
		for _, forGood := range []bool{false, true} {
			for k := 1; ; k++ {
				if !survives(t, fault, forGood, k) {
					break
				}
			}
		}
	}
}

func survives(t *testing.T, fault storagetest.Fault, forGood bool, k int) (faulted bool) {
	store := memory.New()
	process(t, store, never, func(s *routes.Store) {
		if _, err := set(s, false, "old"); err != nil {
			t.Fatal(err)
		}
	})
	calls, on, want := 0, true, []string{"old"}
	process(t, store, func(string) storagetest.Fault {
		if calls++; on && (calls == k || forGood && calls > k) {
			faulted = true
			return fault
		}
		return storagetest.None
	}, func(s *routes.Store) {
		held, err := set(s, false, "new")
		if err == nil {
			want = []string{"new"}
		} else if held != nil {
			t.Errorf("call %d: %q hold, and the change failed: %v", k, held, err)
		} else {
			want = append(want, "new") // nobody knows
		}
		on = false
		if held, err = set(s, false, "new", "newer"); err != nil || len(held) != 2 {
			t.Errorf("call %d: once all is well: %q, %v", k, held, err)
		} else {
			want = []string{"new newer"}
		}
	})
	process(t, store, never, func(s *routes.Store) {
		if got := listed(t, s); !slices.Contains(want, got) {
			t.Errorf("%v at call %d: there are %q, want one of %q", fault, k, got, want)
		}
	})
	return faulted
}

func TestDamagedRoutesCanOnlyBeSetAnew(t *testing.T) {
	for _, text := range []string{"{", `{"format":0,"routes":[]}`, `{"format":1,"routes":7}`} {
		store := memory.New()
		if _, err := store.Cells().Put(ctx, "routes", 0, []byte(text)); err != nil {
			t.Fatal(err)
		}
		process(t, store, never, func(s *routes.Store) {
			if _, err := s.List(); codeOf(err) != api.CodeDamaged || !strings.Contains(err.Error(), "route apply") {
				t.Errorf("%s: got %v", text, err)
			}
			if _, err := set(s, false, "a"); codeOf(err) != api.CodeDamaged {
				t.Errorf("%s: got %v", text, err)
			}
			if _, err := set(s, true, "a"); err != nil || listed(t, s) != "a" {
				t.Errorf("%s: got %v", text, err)
			}
		})
	}
}

func TestRoutesOfANewerFormatAreRefused(t *testing.T) {
	store := memory.New()
	if _, err := store.Cells().Put(ctx, "routes", 0, []byte(`{"format":2}`)); err != nil {
		t.Fatal(err)
	}
	sim := sched.NewSimulation(1)
	if err := sim.Run(func() {
		if _, err := routes.Open(ctx, sim, store.Cells()); !errors.Is(err, storage.ErrNewerFormat) {
			t.Errorf("got %v", err)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

func TestTheDocumentHasTheCell(t *testing.T) {
	store := memory.New()
	process(t, store, never, func(s *routes.Store) {
		if _, err := set(s, false, "a"); err != nil {
			t.Error(err)
		}
	})
	text, _, err := store.Cells().Get(ctx, "routes")
	const want = `{"format":1,"routes":[{"name":"a","path":"/a","component":"","worker":"","errors":{"*":400},"cors":{"origins":["*"]}}]}`
	if err != nil || string(text) != want {
		t.Errorf("got %s, %v, want %s", text, err, want)
	}
}
