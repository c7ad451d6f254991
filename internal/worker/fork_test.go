package worker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/local"
	"github.com/waterbear-run/waterbear/internal/vfs"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// result waits for an invocation of steps.
func (p *platform) result(w id.Worker, key string) []string {
	p.t.Helper()
	v, err := p.Invocation(p.t.Context(), w, key, true)
	return p.given(v, err)
}

// kindsOf are the kinds of a worker's entries, by their indexes.
func (p *platform) kindsOf(w id.Worker) map[oplog.Index]string {
	p.t.Helper()
	kinds := map[oplog.Index]string{}
	for e, err := range oplog.Read(p.t.Context(), p.store.Logs(), w, 1, 0) {
		must(p.t, err)
		kinds[e.Index] = oplog.Name(e.Body)
	}
	return kinds
}

// at is the index of the first entry of a kind.
func at(kinds map[oplog.Index]string, kind string) oplog.Index {
	for _, i := range slices.Sorted(maps.Keys(kinds)) {
		if kinds[i] == kind {
			return i
		}
	}
	return 0
}

func equal(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestAForkedWorkerGoesOnTwice(t *testing.T) {
	p := callers(t, nil)
	a, b := caller("a"), caller("b")
	p.want(a, "[5]", "add", 5)
	p.async(a, "k", "steps", []string{"write /x before", "add 1", "key", "fork b", "who", "add 10", "read /x", "key", "as b write /x copy", "read /x"})
	mine, copied := p.result(a, "k"), p.result(b, "k")
	if mine[2] != copied[2] || mine[7] == copied[7] {
		t.Errorf("the keys are %q before the fork and %q behind it in the one, %q and %q in the other", mine[2], mine[7], copied[2], copied[7])
	}
	mine[2], mine[7], copied[2], copied[7] = "", "", "", ""
	equal(t, "the original", mine, []string{"", "6", "", "original of callers/b", "a", "16", "before", "", "", "before"})
	equal(t, "the copy", copied, []string{"", "6", "", "forked as callers/b", "b", "16", "before", "", "", "copy"})
	// From now on they have nothing in common.
	p.want(a, "[17]", "add", 1)
	p.want(b, "[116]", "add", 100)
	p.restart()
	p.want(a, "[17]", "add", 0)
	p.want(b, "[116]", "add", 0)
	must(t, p.Delete(t.Context(), a))
	p.restart()
	p.want(b, "[116]", "add", 0)
	equal(t, "its file", p.steps(b, "read /x"), []string{"copy"})
}

// TestTheOplogOfACopy tells entry by entry what a copy has of its origin: all, or what
// follows on its saved state.
func TestTheOplogOfACopy(t *testing.T) {
	for name, imageAfter := range map[string]time.Duration{"whole": -1, "behind its saved state": 0} {
		t.Run(name, func(t *testing.T) {
			p := callers(t, func(c *worker.Config) { c.ImageAfter = imageAfter })
			a, b := caller("a"), caller("b")
			p.want(a, "[5]", "add", 5)
			p.async(a, "waits", "add", 1)
			p.ends(a, "waits", api.StateFinished, "[6]")
			p.async(a, "k", "steps", []string{"sleep 300", "promise", "fork b"})
			p.async(a, "later", "add", 1)
			p.ends(a, "later", api.StateFinished, "[7]")
			p.result(b, "k")
			p.eventually("what is as good as truncated is", func() bool {
				first, _, err := p.store.Logs().Bounds(t.Context(), b)
				must(t, err)
				return (first > 1) == (imageAfter >= 0)
			})
			mine, copied := p.kindsOf(a), p.kindsOf(b)
			forked := at(copied, "Forked")
			if mine[forked-1] != "HostCallStarted" || copied[forked+1] != "HostCallFinished" || (copied[forked+2] == "Image") != (imageAfter >= 0) {
				t.Errorf("before the fork is %s, behind it %s and %s", mine[forked-1], copied[forked+1], copied[forked+2])
			}
			omitted, first := map[string]int{}, slices.Min(slices.Collect(maps.Keys(copied)))
			for i := first; i < forked; i++ {
				switch {
				case copied[i] == "Omitted":
					omitted[mine[i]]++
				case copied[i] != mine[i]:
					t.Errorf("entry %d is %s, and %s in the copy", i, mine[i], copied[i])
				}
			}
			if want := map[string]int{"InvocationAccepted": 1, "PromiseCreated": 1}; !maps.Equal(omitted, want) {
				t.Errorf("omitted are %v, want %v", omitted, want)
			}
			if first > 1 && mine[first] != "InvocationStarted" {
				t.Errorf("it begins with entry %d, %s", first, mine[first])
			}
			_, err := p.Invocation(t.Context(), b, "later", false)
			p.refused(err, api.CodeNoInvocation)
			_, err = p.Invocation(t.Context(), b, "waits", false)
			p.refused(err, api.CodeNoInvocation)
			p.want(b, "[6]", "add", 0)
		})
	}
}

// TestNeitherNeedsTheOther deletes the one and truncates the other, and looks what blobs
// are left.
func TestNeitherNeedsTheOther(t *testing.T) {
	big := strings.Repeat("x", 40_000)
	for name, way := range map[string]struct {
		change func(*worker.Config)
		keep   api.Retention
	}{
		"images":    {wholeImages, api.Retention{}},
		"deltas":    {func(c *worker.Config) { c.ImageAfter = 0 }, api.Retention{}},
		"truncated": {func(c *worker.Config) {}, api.Retention{Oplog: api.KeepInvocations(2), Results: api.KeepInvocations(2)}},
	} {
		for _, first := range []string{"a", "b"} {
			t.Run(name+"/"+first+" goes first", func(t *testing.T) {
				p := callers(t, func(c *worker.Config) {
					way.change(c)
					if way.keep != (api.Retention{}) {
						keeping(way.keep)(c)
					}
				})
				programs := p.blobs()
				a, b := caller("a"), caller("b")
				p.steps(a, "write /big "+big, "write /small 1")
				for range 6 {
					p.want(a, "[0]", "add", 0)
				}
				p.eventually("the origin is truncated, if it is to be", func() bool {
					first, _, err := p.store.Logs().Bounds(t.Context(), a)
					must(t, err)
					return first > 1 || !way.keep.Oplog.Limited()
				})
				p.async(a, "k", "steps", []string{"write /other 1", "fork b", "add 1", "as b write /small 2"})
				p.result(a, "k")
				p.result(b, "k")
				left := map[string]id.Worker{"a": b, "b": a}[first]
				want := map[string]string{"a": "2", "b": "1"}[first]
				must(t, p.Delete(t.Context(), caller(first)))
				p.restart()
				for range 5 {
					equal(t, "its files", p.steps(left, "read /big", "read /small", "read /other", "add 0"), []string{big, want, "1", "1"})
				}
				p.restart()
				equal(t, "its files", p.steps(left, "read /big", "read /small", "read /other", "add 0"), []string{big, want, "1", "1"})
				p.eventually("no blob is there that nobody needs", func() bool {
					needed := p.used(left)
					for h := range p.blobs() {
						if !needed[h] && !programs[h] {
							return false
						}
					}
					return true
				})
				must(t, p.Delete(t.Context(), left))
				if blobs := p.blobs(); !maps.Equal(blobs, programs) {
					t.Errorf("%d blobs are left, %d are programs", len(blobs), len(programs))
				}
			})
		}
	}
}

func TestAForkThatCannotBe(t *testing.T) {
	p := callers(t, nil)
	p.create(caller("there"), api.NewWorker{})
	a := caller("a")
	p.gives(a, map[string]string{
		"fork there":         "Failure::Exists: there is a worker callers/there; …",
		"fork callers/there": "Failure::Exists: …",
		"fork a":             "Failure::Exists: …",
		"fork kit/b":         "Failure::Invalid: a copy of callers/a is a worker of the same component…",
		"fork b/c/d":         "Failure::Invalid: …",
		"fork ":              "Failure::Invalid: …",
		"begin":              "",
		"fork b":             "Failure::Invalid: a worker cannot be forked in an atomic region…",
		"end":                "",
		"fork c":             "original of callers/c",
	}, "fork there", "fork callers/there", "fork a", "fork kit/b", "fork b/c/d", "fork ", "begin", "fork b", "end", "fork c")
	v, err := p.Invoke(t.Context(), caller("e"), api.Call{Function: "steps", Args: json.RawMessage(`[["fork b"]]`), Ephemeral: true})
	if got := p.given(v, err)[0]; !strings.HasPrefix(got, "Failure::Invalid: an ephemeral worker") {
		t.Errorf("an ephemeral worker is told %q", got)
	}
	if _, err := p.Worker(t.Context(), caller("b")); code(err) != api.CodeNoWorker {
		t.Errorf("b is there: %v", err)
	}
}

// TestAHistoryThatIsTooLongIsNotCopied, and nothing is left of it.
func TestAHistoryThatIsTooLongIsNotCopied(t *testing.T) {
	p := callers(t, func(c *worker.Config) {
		c.ImageAfter = 0
		c.Defaults.Limits.OplogRate = 1 << 30
	})
	a := caller("a")
	p.want(a, "[5]", "add", 5)
	script := slices.Repeat([]string{"large callers/z 500000"}, 33)
	got := p.steps(a, append(script, "fork b", "add 1")...)
	if !strings.HasPrefix(got[33], "Failure::TooLarge: callers/a cannot be copied: what is to be copied of its oplog has more than 15 MiB") || got[34] != "6" {
		t.Errorf("got %q", got[33:])
	}
	if _, err := p.Worker(t.Context(), caller("b")); code(err) != api.CodeNoWorker {
		t.Errorf("b is there: %v", err)
	}
	p.steps(a, "fork b", "add 1") // in another invocation it is short again
	p.want(caller("b"), "[7]", "add", 0)
}

// TestForksOfAnAttemptAreBounded reaches the bound.
func TestForksOfAnAttemptAreBounded(t *testing.T) {
	p := callers(t, nil)
	script := []string{}
	for i := range 101 {
		script = append(script, "as a fork f"+string(rune('a'+i/26))+string(rune('a'+i%26)))
	}
	got := p.steps(caller("a"), script...)
	if got[99] != "original of callers/fdv" || !strings.HasPrefix(got[100], "Failure::TooLarge: an attempt forks") {
		t.Errorf("the last two forks gave %q", got[99:])
	}
}

func TestACopyOfACopyHasTheHistoryOfBoth(t *testing.T) {
	for _, restart := range []bool{false, true} {
		p := callers(t, nil)
		a, b, c, d := caller("a"), caller("b"), caller("c"), caller("d")
		p.async(a, "k", "steps", []string{"key", "add 1", "fork b", "key", "as b fork c", "key", "add 10", "who"})
		first, second, third := p.result(a, "k"), p.result(b, "k"), p.result(c, "k")
		if first[7] != "a" || second[7] != "b" || third[7] != "c" || third[4] != "forked as callers/c" || third[6] != "11" {
			t.Errorf("got %q, %q, %q", first, second, third)
		}
		if first[0] != third[0] || second[3] != third[3] || second[3] == first[3] || second[5] == third[5] || second[5] == first[5] {
			t.Errorf("the keys are %q, %q, %q", first, second, third)
		}
		if restart {
			p.restart()
		}
		p.want(c, "[11]", "add", 0)
		p.steps(c, "add 1", "fork d", "as d add 100")
		p.want(d, "[112]", "add", 0)
		p.want(c, "[12]", "add", 0)
		must(t, p.Delete(t.Context(), b))
		must(t, p.Delete(t.Context(), c))
		p.restart()
		p.want(d, "[112]", "add", 0)
	}
}

// TestAnAttemptThatIsRepeatedForksOnce lets the original fail behind the fork.
func TestAnAttemptThatIsRepeatedForksOnce(t *testing.T) {
	p := callers(t, nil)
	a, b := caller("a"), caller("b")
	p.async(a, "k", "steps", []string{"sleep 1", "add 1", "fork b", "as a trap-before 3", "who"})
	equal(t, "the original", p.result(a, "k"), []string{"", "1", "original of callers/b", "", "a"})
	equal(t, "the copy", p.result(b, "k"), []string{"", "1", "forked as callers/b", "", "b"})
}

// TestACopyThatFailsIsNotTriedAgain from before it was one.
func TestACopyThatFailsIsNotTriedAgain(t *testing.T) {
	p := callers(t, nil)
	a, b, c, d := caller("a"), caller("b"), caller("c"), caller("d")
	p.want(a, "[5]", "add", 5)
	p.async(a, "k", "steps", []string{"add 1", "fork b", "key", "fail-as b"})
	p.result(a, "k")
	v := p.ends(b, "k", api.StateFailed, "")
	if v.Attempts != 1 {
		t.Errorf("the copy made %d attempts", v.Attempts)
	}
	p.want(b, "[5]", "add", 0) // as the origin was before
	p.restart()
	p.want(b, "[5]", "add", 0)
	// What it does by itself it can repeat.
	p.async(a, "l", "steps", []string{"fork c", "begin", "key", "fail-as c", "end"})
	p.result(a, "l")
	p.ends(c, "l", api.StateFailed, "")
	p.close()
	jumps := 0
	for _, kind := range p.kindsOf(c) {
		if kind == "Jump" {
			jumps++
		}
	}
	if jumps != 2 {
		t.Errorf("the region was repeated %d times", jumps)
	}
	p.open()
	// And it does not go back to where it was another.
	p.async(a, "m", "steps", []string{"waypoint", "fork d", "back-as d"})
	p.result(a, "m")
	if v := p.ends(d, "m", api.StateFailed, ""); !strings.Contains(v.Failure.Reason, "which is none of the newest") {
		t.Errorf("it failed because of %q", v.Failure.Reason)
	}
}

func TestPromisesAreTheOriginals(t *testing.T) {
	p := callers(t, nil)
	a, b := caller("a"), caller("b")
	p.async(a, "k", "steps", []string{"promise", "fork b", "as a wait", "as b wait", "as b complete yes"})
	equal(t, "the original", p.result(a, "k"), []string{"", "original of callers/b", "yes", "", ""})
	equal(t, "the copy", p.result(b, "k"), []string{"", "forked as callers/b", "", "unknown", "completed"})
	// What the copy makes is its own.
	p.async(b, "l", "steps", []string{"promise", "complete 1", "wait"})
	equal(t, "the copy", p.result(b, "l"), []string{"", "completed", "1"})
}

// TestWhoCallsAWorkerThatForksIsToldOnce, and can ask the copy.
func TestWhoCallsAWorkerThatForksIsToldOnce(t *testing.T) {
	p := callers(t, leaving)
	a, b := caller("a"), caller("b")
	got := p.steps(caller("x"), `start callers/a steps [["fork b","who"]]`, "await callers/a 0", "await callers/b 0")
	equal(t, "the caller", got, []string{"started 0", `[["original of callers/b","a"]]`, `[["forked as callers/b","b"]]`})
	p.want(a, "[1]", "add", 1)
	p.want(b, "[2]", "add", 2)
}

// TestForkingWorkersOnADisk opens the store again, also without its index.
func TestForkingWorkersOnADisk(t *testing.T) {
	dir := t.TempDir()
	p := callersOn(t, setup{
		change: func(c *worker.Config) { c.ImageAfter = 0 },
		open: func() storage.Store {
			store, err := local.Open(t.Context(), vfs.OS(), dir, local.Options{})
			must(t, err)
			return store
		},
	})
	a, b := caller("a"), caller("b")
	p.want(a, "[5]", "add", 5)
	p.async(a, "k", "steps", []string{"write /x 1", "fork b", "add 1", "as b write /x 2"})
	p.result(a, "k")
	p.result(b, "k")
	for range 2 {
		p.close()
		must(t, p.store.Close())
		must(t, os.RemoveAll(filepath.Join(dir, "index")))
		p.open()
		equal(t, "its file", p.steps(b, "read /x", "add 0"), []string{"2", "6"})
		equal(t, "its file", p.steps(a, "read /x", "add 0"), []string{"1", "6"})
	}
	must(t, p.Delete(t.Context(), b))
	p.steps(a, "fork b", "as b add 1")
	p.want(b, "[7]", "add", 0)
}

// TestForkingWorkersThatAreEvicted, waiting on either side of the fork.
func TestForkingWorkersThatAreEvicted(t *testing.T) {
	for name, change := range map[string]func(*worker.Config){
		"verified": func(c *worker.Config) {
			verified(t, c)
			leaving(c)
		},
		"imaged":   func(c *worker.Config) { leaving(c); wholeImages(c) },
		"deltas":   func(c *worker.Config) { leaving(c); c.ImageAfter = 0 },
		"replayed": func(c *worker.Config) { leaving(c); c.ImageAfter = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			p := callers(t, change)
			a, b := caller("a"), caller("b")
			p.want(a, "[5]", "add", 5)
			p.async(a, "k", "steps", []string{"sleep 20", "write /x 1", "fork b", "sleep 20", "as a sleep 30", "as b write /x 2", "read /x", "add 1"})
			equal(t, "the original", p.result(a, "k"), []string{"", "", "original of callers/b", "", "", "", "1", "6"})
			equal(t, "the copy", p.result(b, "k"), []string{"", "", "forked as callers/b", "", "", "", "2", "6"})
			for range 3 {
				p.want(a, "[6]", "add", 0)
				p.want(b, "[6]", "add", 0)
				time.Sleep(20 * time.Millisecond)
			}
			equal(t, "its file", p.steps(b, "read /x"), []string{"2"})
			p.restart()
			equal(t, "its file", p.steps(a, "read /x"), []string{"1"})
		})
	}
}

// TestAWorkerAtRestIsCopied by a person, whatever is kept of it.
func TestAWorkerAtRestIsCopied(t *testing.T) {
	for name, change := range map[string]func(*worker.Config){
		"imaged":    wholeImages,
		"deltas":    func(c *worker.Config) { c.ImageAfter = 0 },
		"replayed":  func(c *worker.Config) { c.ImageAfter = -1 },
		"truncated": keeping(api.Retention{Oplog: api.KeepInvocations(2), Results: api.KeepInvocations(2)}),
	} {
		t.Run(name, func(t *testing.T) {
			p := callers(t, change)
			a, b, c := caller("a"), caller("b"), caller("c")
			p.steps(a, "write /x 1")
			for range 5 {
				p.want(a, "[0]", "add", 0)
			}
			p.want(a, "[5]", "add", 5)
			v, err := p.Invoke(t.Context(), a, api.Call{Function: "add", Args: json.RawMessage("[1]"), Key: "later", Due: time.Now().Add(time.Hour)})
			must(t, err)
			if v.State != api.StateScheduled {
				t.Fatalf("it is %s", v.State)
			}
			made, err := p.Fork(t.Context(), a, "b")
			must(t, err)
			if made != b {
				t.Errorf("the copy is %s", made)
			}
			p.want(a, "[6]", "add", 1)
			p.want(b, "[15]", "add", 10)
			p.steps(b, "write /x 2")
			_, err = p.Invocation(t.Context(), b, "later", false)
			p.refused(err, api.CodeNoInvocation)
			_, err = p.Fork(t.Context(), b, "c")
			must(t, err)
			must(t, p.Delete(t.Context(), b))
			p.restart()
			p.want(c, "[15]", "add", 0)
			p.want(a, "[6]", "add", 0)
			if v, err := p.Worker(t.Context(), c); err != nil || v.Origin != "callers/b" {
				t.Errorf("c is a copy of %q, %v", v.Origin, err)
			}
			equal(t, "its file", p.steps(c, "read /x"), []string{"2"})
			equal(t, "its file", p.steps(a, "read /x"), []string{"1"})
		})
	}
}

func TestAWorkerThatCannotBeCopied(t *testing.T) {
	p := callers(t, nil)
	a := caller("a")
	_, err := p.Fork(t.Context(), a, "b")
	p.refused(err, api.CodeNoWorker)
	p.want(a, "[5]", "add", 5)
	for name, want := range map[string]api.Code{"a": api.CodeWorkerExists, "kit/b": api.CodeInvalid, "": api.CodeInvalid, "x y": api.CodeInvalid} {
		_, err := p.Fork(t.Context(), a, name)
		if code(err) != want {
			t.Errorf("as %q: got %v, want %s", name, err, want)
		}
	}
	p.async(a, "k", "nap", 60_000)
	p.becomes(a, api.Suspended)
	_, err = p.Fork(t.Context(), a, "b")
	p.refused(err, api.CodeWorkerBusy)
	p.create(caller("e"), api.NewWorker{Ephemeral: true})
	_, err = p.Fork(t.Context(), caller("e"), "b")
	p.refused(err, api.CodeWorkerBusy)
}

// TestOneOfManyGetsTheName lets many workers, and a client, make the same one at once.
func TestOneOfManyGetsTheName(t *testing.T) {
	p := callers(t, nil)
	for round := range 10 {
		x := caller(fmt.Sprint("x", round))
		for i := range 8 {
			p.async(caller(fmt.Sprint("w", i)), fmt.Sprint(round), "steps", []string{"add 1", "fork " + x.Name})
		}
		created, err := p.Create(t.Context(), x, api.NewWorker{})
		made := 0
		if created {
			made++
		}
		if err != nil && code(err) != api.CodeWorkerExists && code(err) != api.CodeStopping {
			t.Error(err)
		}
		for i := range 8 {
			got := p.result(caller(fmt.Sprint("w", i)), fmt.Sprint(round))[1]
			switch {
			case got == "original of callers/"+x.Name:
				made++
			case !strings.HasPrefix(got, "Failure::Exists: "):
				t.Errorf("w%d is told %q", i, got)
			}
		}
		if made != 1 {
			t.Errorf("%s was made %d times", x, made)
		}
	}
}

// TestAWorkerThatCannotBeReadForAWhileIsCopiedLater, and nobody is told that it never can be.
func TestAWorkerThatCannotBeReadForAWhileIsCopiedLater(t *testing.T) {
	p, tricks := newTrickyPlatform(t, setup{change: keeping(api.Retention{Oplog: api.KeepInvocations(2), Results: api.KeepInvocations(2)})})
	p.deploy("callers", guests.Wasm(t, "components/callers"))
	a := caller("a")
	p.eventually("it is truncated", func() bool {
		p.want(a, "[0]", "add", 0)
		first, _, err := p.store.Logs().Bounds(t.Context(), a)
		must(t, err)
		return first > 1
	})
	fail := func() {
		var failed atomic.Bool
		tricks.set(nil, func(w id.Worker) error {
			if w == a && failed.CompareAndSwap(false, true) {
				return errors.New("the cable is loose")
			}
			return nil
		})
	}
	fail()
	if _, err := p.Fork(t.Context(), a, "b"); err == nil || code(err) == api.CodeTooLarge || !strings.Contains(err.Error(), "the cable is loose") {
		t.Errorf("who makes a copy is told %v", err)
	}
	_, err := p.Fork(t.Context(), a, "b")
	must(t, err)
	fail()
	equal(t, "the original", p.steps(a, "fork c", "add 1"), []string{"original of callers/c", "1"})
	p.want(caller("b"), "[0]", "add", 0)
	p.want(caller("c"), "[1]", "add", 0)
}
