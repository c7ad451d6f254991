package worker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/worker"
	"github.com/waterbear-run/waterbear/wit"
)

// hasHandles reports whether values of the type have handles, which no client
// can pass.
func hasHandles(t *wit.Type) bool {
	if t == nil {
		return false
	}
	return t.Kind == wit.Own || t.Kind == wit.Borrow || hasHandles(t.Elem) || hasHandles(t.Err) ||
		slices.ContainsFunc(t.Fields, func(f wit.Field) bool { return hasHandles(f.Type) })
}

// kitSteps are the steps of the transcript that clients can follow.
func (p *platform) kitSteps(k guests.Kit) []guests.KitStep {
	p.t.Helper()
	program, err := p.catalog.Acquire(p.t.Context(), k.Name, 0)
	must(p.t, err)
	defer program.Release()
	all, _ := guests.KitTranscript(p.t, k)
	var steps []guests.KitStep
	for _, s := range all {
		f, ok := program.Typed(s.Call)
		if !ok || hasHandles(f.Result) || slices.ContainsFunc(f.Params, func(p wit.Param) bool { return hasHandles(p.Type) }) {
			continue
		}
		if len(s.Result) > 0 { // as the platform writes it
			v, err := wit.FromJSON(f.Result, s.Result)
			must(p.t, err)
			s.Result, err = wit.AppendJSON(nil, f.Result, v)
			must(p.t, err)
		}
		steps = append(steps, s)
	}
	return steps
}

// follow makes a worker follow the transcript; before is called before each step.
func (p *platform) follow(k guests.Kit, before func()) {
	p.t.Helper()
	w := id.Worker{Component: k.Name, Name: "a"}
	var printed strings.Builder
	steps := p.kitSteps(k)
	for i, s := range steps {
		before()
		v, err := p.Invoke(p.t.Context(), w, api.Call{Function: s.Call, Args: s.Args})
		must(p.t, err)
		printed.WriteString(s.Prints)
		if s.Traps {
			if v.State != api.StateFailed || v.Failure.Code != api.FailedTrap {
				p.t.Errorf("step %d, %s%s: got %s %s, want a trap", i, s.Call, s.Args, v.State, v.Result)
			}
			continue
		}
		want := "[]"
		if len(s.Result) > 0 {
			want = "[" + string(s.Result) + "]"
		}
		if v.State != api.StateFinished || string(v.Result) != want {
			p.t.Errorf("step %d, %s%s: got %s %s %+v, want %s", i, s.Call, s.Args, v.State, v.Result, v.Failure, want)
		}
	}
	if len(steps) < 20 {
		p.t.Errorf("there were %d steps", len(steps))
	}
	p.close()
	var logged strings.Builder
	for e, err := range oplog.Read(p.t.Context(), p.store.Logs(), w, 1, 0) {
		must(p.t, err)
		if l, ok := e.Body.(*oplog.Log); ok && l.Stream == oplog.Stdout {
			logged.Write(l.Bytes)
		}
	}
	if logged.String() != printed.String() {
		p.t.Errorf("it printed %q, want %q", logged.String(), printed.String())
	}
	p.open()
}

// TestComponentsAreDurable lets the same component in many languages follow one
// transcript, however its workers are kept.
func TestComponentsAreDurable(t *testing.T) {
	evicting := func(c *worker.Config) { c.MaxInstances, c.MaxRunning, c.IdleAfter = 1, 1, 5*time.Millisecond }
	for _, k := range append(slices.Clone(guests.Kits), guests.LargeKits...) {
		if k.Hosted {
			continue // workers have no such host
		}
		for _, way := range []struct {
			name    string
			change  func(*worker.Config)
			restart int
		}{
			{"undisturbed", nil, 0},
			{"verified", func(c *worker.Config) { verified(t, c) }, 0},
			{"evicted and imaged", func(c *worker.Config) {
				evicting(c)
				wholeImages(c)
			}, 7},
			{"evicted", func(c *worker.Config) { evicting(c); c.ImageAfter = 0 }, 5},
			{"replayed", func(c *worker.Config) { evicting(c); c.ImageAfter = -1 }, 11},
		} {
			if testing.Short() && way.restart == 0 {
				continue
			}
			t.Run(k.Name+"/"+way.name, func(t *testing.T) {
				module := k.Component(t)
				p := newPlatform(t, way.change)
				p.deploy(k.Name, module)
				n := 0
				p.follow(k, func() {
					if n++; way.restart > 0 && n%way.restart == 0 {
						p.restart()
					}
				})
			})
		}
	}
}

func TestAFunctionOfAComponentIsCalledByShorterNames(t *testing.T) {
	p := newPlatform(t, nil)
	p.deploy("kit-c", guests.Wasm(t, "kit/c"))
	w := id.Worker{Component: "kit-c", Name: "a"}
	for _, name := range []string{"add", "values.birthday", "waterbear:kit/values#birthday", "values#birthday", "waterbear:kit/values.birthday"} {
		call := api.Call{Function: name, WAVE: `({name: "Bo", age: 3, tags: []})`}
		if name == "add" {
			call.WAVE = "(5)"
		}
		v, err := p.Invoke(t.Context(), w, call)
		must(t, err)
		if v.State != api.StateFinished {
			t.Errorf("%s: %s %+v", name, v.State, v.Failure)
		}
	}
	for name, want := range map[string]api.Code{"birthday": api.CodeNoFunction, "values.": api.CodeNoFunction, "shapes.birthday": api.CodeNoFunction} {
		_, err := p.Invoke(t.Context(), w, api.Call{Function: name})
		p.refused(err, want)
	}
	_, err := p.Invoke(t.Context(), w, api.Call{Function: "add", Args: []byte(`["x"]`)})
	p.refused(err, api.CodeBadArguments)
	if want := "argument 1 (n)"; !strings.Contains(fmt.Sprint(err), want) {
		t.Errorf("got %v, want one with %q", err, want)
	}
}

func TestFunctionsOfHandlesAreNotOffered(t *testing.T) {
	p := newPlatform(t, nil)
	p.deploy("kit-c", guests.Wasm(t, "kit/c"))
	program, err := p.catalog.Acquire(t.Context(), "kit-c", 0)
	must(t, err)
	defer program.Release()
	for _, f := range program.Revision.Exports {
		typed, _ := program.Typed(f.Name)
		if hasHandles(typed.Result) || slices.ContainsFunc(typed.Params, func(p wit.Param) bool { return hasHandles(p.Type) }) {
			t.Errorf("%s is offered", f.Name)
		}
	}
	for _, name := range []string{"counters.difference", "waterbear:kit/counters#[constructor]counter"} {
		_, err = p.Invoke(t.Context(), id.Worker{Component: "kit-c", Name: "a"}, api.Call{Function: name, Args: []byte("[5]")})
		p.refused(err, api.CodeNoFunction)
	}
}
