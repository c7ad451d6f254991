package worker_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/host/promise"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// promising has the program of testdata/promises, whose workers leave memory as
// soon as they wait, or not at all.
func promising(t *testing.T, change func(*worker.Config)) *platform {
	p := newPlatform(t, func(c *worker.Config) {
		c.SuspendAfter = time.Millisecond
		c.Webhook = func(p id.Promise) string { return "https://example.com/" + p.Name }
		if change != nil {
			change(c)
		}
	})
	p.deploy("promises", guests.Go(t, "internal/worker/testdata/promises"))
	return p
}

var asker = id.Worker{Component: "promises", Name: "alice"}

// told lets a worker begin steps under a key.
func (p *platform) told(w id.Worker, key string, steps ...any) { p.async(w, key, "run", steps...) }

// wait waits until the steps under a key are done.
func (p *platform) done(w id.Worker, key string) {
	p.t.Helper()
	p.ends(w, key, api.StateFinished, "[0]")
}

// made gives the names of the promises that a worker has printed, of which there
// have to be so many.
func (p *platform) made(w id.Worker, n int) (names []id.Promise) {
	p.t.Helper()
	p.eventually(fmt.Sprintf("%s has made %d promises", w, n), func() bool {
		names = nil
		for _, line := range p.lines(w) {
			if name, ok := strings.CutPrefix(line, "made "); ok && strings.Contains(name, "/") {
				made, err := id.ParsePromise(name)
				must(p.t, err)
				names = append(names, made)
			}
		}
		return len(names) >= n
	})
	return names
}

func (p *platform) complete(name id.Promise, value, key string) error {
	_, err := p.SettlePromise(p.t.Context(), name, api.Settlement{Value: []byte(value), Key: key, By: "a test"})
	return err
}

// asleep waits until a worker waits for promises out of memory, with nothing on
// the agenda.
func (p *platform) asleep(w id.Worker) {
	p.t.Helper()
	p.eventually(fmt.Sprintf("%s waits for promises, and for no time", w), func() bool {
		v, err := p.Worker(p.t.Context(), w)
		must(p.t, err)
		return v.Status == api.Suspended && !v.Resident && v.Wake == nil && strings.Contains(v.Reason, "promise")
	})
}

// said demands that a worker has printed these lines, beside those that tell the
// names of promises and that it waits.
func (p *platform) said(w id.Worker, want ...string) {
	p.t.Helper()
	var got []string
	for _, line := range p.lines(w) {
		if !strings.HasPrefix(line, "made ") && line != "waiting" {
			got = append(got, line)
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		p.t.Errorf("%s printed %q, want %q", w, got, want)
	}
}

func TestAWorkerWaitsForAPromiseOutOfMemoryAndGoesOnWhenItIsCompleted(t *testing.T) {
	p := promising(t, nil)
	p.told(asker, "k", "create approve", "wait 0", "poll 0")
	name := p.made(asker, 1)[0]
	p.asleep(asker)
	v, err := p.Promise(t.Context(), name)
	must(t, err)
	if v.Label != "approve" || v.State != api.PromisePending || !v.Awaited || v.Invocation == "" {
		t.Errorf("got %+v", v)
	}
	must(t, p.complete(name, "yes", ""))
	p.done(asker, "k")
	p.said(asker, `wait completed "yes"`, `poll completed "yes"`)
	if v, err = p.Promise(t.Context(), name); err != nil || v.State != api.PromiseCompleted || v.Awaited || *v.Value != "yes" || v.By != "a test" {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestAPromiseThatFailsTellsWhy(t *testing.T) {
	p := promising(t, nil)
	p.told(asker, "k", "create approve", "wait 0")
	name := p.made(asker, 1)[0]
	_, err := p.SettlePromise(t.Context(), name, api.Settlement{Failed: true, Value: []byte("too dear"), By: "a test"})
	must(t, err)
	p.done(asker, "k")
	p.said(asker, `wait failed "too dear"`)
}

func TestThePromiseIsCompletedWheneverThatHappens(t *testing.T) {
	for name, when := range map[string]func(p *platform, complete func()){
		"while it waits in memory": func(p *platform, complete func()) {
			p.eventually("it waits", func() bool { l := p.lines(asker); return l[len(l)-1] == "waiting" })
			complete()
		},
		"after a restart": func(p *platform, complete func()) {
			p.restart()
			complete()
		},
		"before a restart": func(p *platform, complete func()) {
			complete()
			p.restart()
		},
		"while it is interrupted": func(p *platform, complete func()) {
			must(p.t, p.Interrupt(p.t.Context(), asker, "a test"))
			complete()
			p.restart()
			p.becomes(asker, api.Interrupted)
			must(p.t, p.Resume(p.t.Context(), asker))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := promising(t, func(c *worker.Config) {
				if name == "while it waits in memory" {
					c.SuspendAfter, c.Stay = time.Hour, time.Hour
				}
			})
			p.told(asker, "k", "create approve", "wait 0")
			made := p.made(asker, 1)[0]
			when(p, func() { must(t, p.complete(made, "yes", "")) })
			p.done(asker, "k")
			p.said(asker, `wait completed "yes"`)
		})
	}
}

func TestAPromiseThatIsSettledIsNotWaitedFor(t *testing.T) {
	p := promising(t, nil)
	p.told(asker, "make", "create approve")
	p.done(asker, "make")
	name := p.made(asker, 1)[0]
	must(t, p.complete(name, "yes", ""))
	p.told(asker, "take", "wait "+name.String(), "poll "+name.String())
	p.done(asker, "take")
	p.said(asker, `wait completed "yes"`, `poll completed "yes"`)
	if n := p.count(asker, func(b oplog.Body) bool { _, is := b.(*oplog.Suspended); return is }); n > 0 {
		t.Errorf("it was suspended %d times", n)
	}
}

func TestTheFirstOfSeveralPromisesOrATimeEndsAWait(t *testing.T) {
	p := promising(t, nil)
	p.told(asker, "time", "any 0.05")
	p.done(asker, "time")
	p.told(asker, "k", "create a", "create b", "create c", "any 0.05", "any", "poll 0", "poll 1", "any", "any 3600")
	names := p.made(asker, 3)
	p.eventually("the time is over", func() bool { return strings.Count(strings.Join(p.lines(asker), " "), "any none") == 2 })
	p.asleep(asker)
	must(t, p.complete(names[1], "b", ""))
	p.done(asker, "k")
	p.said(asker, "any none", "any none", "any 1", "poll nothing", `poll completed "b"`, "any 1", "any 1")
}

func TestAWorkerThatWaitsForAPromiseAndATimeIsOnTheAgenda(t *testing.T) {
	p := promising(t, nil)
	p.told(asker, "k", "create a", "any 3600")
	name := p.made(asker, 1)[0]
	v := p.becomes(asker, api.Suspended)
	if v.Wake == nil || time.Until(*v.Wake) > time.Hour || time.Until(*v.Wake) < 59*time.Minute {
		t.Errorf("it wakes at %v, want it to do so within the hour", v.Wake)
	}
	p.restart()
	must(t, p.complete(name, "x", ""))
	p.done(asker, "k")
	p.said(asker, "any 0")
}

func TestOnlyOneOfManySettlesAPromise(t *testing.T) {
	p := promising(t, nil)
	p.told(asker, "k", "create approve", "wait 0")
	name := p.made(asker, 1)[0]
	var tasks sync.WaitGroup
	var mu sync.Mutex
	var won []string
	for i := range 20 {
		tasks.Go(func() {
			value := fmt.Sprint(i)
			err := p.complete(name, value, "key-"+value)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, value)
				return
			}
			p.refused(err, api.CodePromiseSettled)
		})
	}
	tasks.Wait()
	p.done(asker, "k")
	if len(won) != 1 {
		t.Fatalf("%q were told that they have settled it", won)
	}
	p.said(asker, fmt.Sprintf("wait completed %q", won[0]))
	// Whoever repeats what has settled it is told the same, also after a restart.
	p.restart()
	must(t, p.complete(name, won[0], "key-"+won[0]))
	p.refused(p.complete(name, "other", "key-"+won[0]), api.CodePromiseSettled)
	p.refused(p.complete(name, won[0], ""), api.CodePromiseSettled)
}

func TestARepeatedAttemptMakesTheSamePromisesAndKeepsWhatBecameOfThem(t *testing.T) {
	p := promising(t, func(c *worker.Config) {
		c.Defaults.Retry.Initial, c.Defaults.Retry.Max = api.Duration(time.Hour), api.Duration(time.Hour)
	})
	p.told(asker, "k", "create approve", "create approve", "trap-before 2", "wait 1", "wait 0")
	names := p.made(asker, 2)
	p.becomes(asker, api.Retrying)
	must(t, p.complete(names[1], "meanwhile", ""))
	p.restart()
	must(t, p.Retry(t.Context(), asker))
	p.asleep(asker)
	again := p.made(asker, 4)
	if again[2] != names[0] || again[3] != names[1] || names[0] == names[1] {
		t.Errorf("the attempts made %v, want the second to make what the first did, which are two", again)
	}
	must(t, p.complete(names[0], "then", ""))
	p.done(asker, "k")
	p.said(asker, `wait completed "meanwhile"`, `wait completed "then"`)
}

func TestThePromisesOfAnInvocationThatComesToNothingAreGone(t *testing.T) {
	p := promising(t, nil)
	p.told(asker, "fails", "create approve", "trap-before 9")
	name := p.made(asker, 1)[0]
	p.ends(asker, "fails", api.StateFailed, "")
	p.refused(p.complete(name, "yes", ""), api.CodeNoPromise)
	p.told(asker, "canceled", "create approve", "wait 0")
	canceled := p.made(asker, 4)[3]
	p.asleep(asker)
	_, err := p.Cancel(t.Context(), asker, "canceled")
	must(t, err)
	p.refused(p.complete(canceled, "yes", ""), api.CodeNoPromise)
	if list, err := p.Promises(t.Context(), asker); err != nil || len(list) > 0 {
		t.Errorf("there are %+v, %v", list, err)
	}
}

func TestAWithdrawnPromiseCannotBeSettled(t *testing.T) {
	p := promising(t, nil)
	p.told(asker, "k", "create a", "create b", "withdraw 0", "poll 0", "withdraw 0", "wait 1")
	names := p.made(asker, 2)
	p.asleep(asker)
	p.refused(p.complete(names[0], "x", ""), api.CodeNoPromise)
	must(t, p.complete(names[1], "x", ""))
	p.done(asker, "k")
	p.said(asker, "withdraw", "poll refused: unknown", "withdraw refused: unknown", `wait completed "x"`)
}

func TestAWorkerSettlesPromisesOfOthersAndItsOwn(t *testing.T) {
	p := promising(t, nil)
	bob := id.Worker{Component: "promises", Name: "bob"}
	p.told(asker, "k", "create a", "wait 0", "create b", "complete 1 mine", "complete 1 mine", "wait 1", "create c", "wait 2")
	a := p.made(asker, 1)[0]
	// The second attempt does what the first has done, and is told the same.
	p.told(bob, "k", "complete "+a.String()+" from bob", "complete "+a.String()+" again", "trap-before 2", "poll "+a.String(),
		"complete "+asker.String()+"/nothing x", "complete promises/nobody/nothing x", "complete ../x y", "fail "+a.String()+" no")
	p.done(bob, "k")
	c := p.made(asker, 3)[2]
	p.told(bob, "fails", "fail "+c.String()+" out of stock")
	p.done(bob, "fails")
	p.done(asker, "k")
	p.said(bob, "complete", "complete refused: settled", "complete", "complete refused: settled", "poll refused: unknown",
		"complete refused: unknown", "complete refused: unknown", "complete refused: invalid", "fail refused: settled", "fail")
	p.said(asker, `wait completed "from bob"`, "complete", "complete refused: settled", `wait completed "mine"`, `wait failed "out of stock"`)
	if v, err := p.Promise(t.Context(), a); err != nil || v.By != "worker promises/bob" {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestAPromiseLastsWhenItsWorkerIsTruncated(t *testing.T) {
	p := promising(t, func(c *worker.Config) {
		wholeImages(c)
		c.CutAfter = 16
		must(t, c.Defaults.Retention.Oplog.UnmarshalText([]byte("2")))
	})
	p.told(asker, "make", "create approve", "create other")
	p.done(asker, "make")
	name := p.made(asker, 2)[0]
	must(t, p.complete(p.made(asker, 2)[1], "kept", ""))
	for i := range 60 {
		key := fmt.Sprint("work", i)
		p.told(asker, key, "poll "+name.String())
		p.done(asker, key)
	}
	p.eventually("entries are truncated", func() bool {
		v, err := p.Worker(t.Context(), asker)
		return err == nil && v.First > 20
	})
	p.restart()
	must(t, p.complete(name, "late", ""))
	v, err := p.Promise(t.Context(), name)
	if err != nil || *v.Value != "late" || v.Label != "approve" {
		t.Errorf("got %+v, %v", v, err)
	}
	p.told(asker, "take", "wait "+name.String())
	p.done(asker, "take")
	if lines := p.lines(asker); lines[len(lines)-1] != `wait completed "late"` {
		t.Errorf("it printed %q", lines)
	}
}

func TestPromisesAreDeletedWithTheirWorker(t *testing.T) {
	p := promising(t, nil)
	p.told(asker, "k", "create approve", "wait 0")
	name := p.made(asker, 1)[0]
	p.asleep(asker)
	must(t, p.Delete(t.Context(), asker))
	p.refused(p.complete(name, "yes", ""), api.CodeNoWorker)
	// Its successor has others, though it makes them at the same place.
	p.told(asker, "k", "create approve", "wait 0")
	if again := p.made(asker, 1)[0]; again == name {
		t.Errorf("both have made %s", name)
	}
	p.refused(p.complete(name, "yes", ""), api.CodeNoPromise)
}

func TestEphemeralWorkersHaveNoPromises(t *testing.T) {
	p := promising(t, nil)
	p.told(asker, "k", "create approve", "wait 0")
	name := p.made(asker, 1)[0]
	fly := id.Worker{Component: "promises", Name: "fly"}
	p.create(fly, api.NewWorker{Ephemeral: true})
	p.told(fly, "k", "create approve", "url x/y/z", "wait x/y/z", "poll x/y/z", "withdraw x/y/z", "complete "+name.String()+" hello")
	p.done(fly, "k")
	p.said(fly, "create refused: unsupported", "url refused: unsupported", "wait refused: unsupported",
		"poll refused: unsupported", "withdraw refused: unsupported", "complete")
	p.done(asker, "k")
	p.said(asker, `wait completed "hello"`)
}

func TestPromisesAndTheirValuesAreBounded(t *testing.T) {
	p := promising(t, nil)
	p.told(asker, "sizes", "create "+strings.Repeat("x", promise.MaxLabel+1), "create "+strings.Repeat("x", promise.MaxLabel),
		fmt.Sprintf("large 0 %d", promise.MaxValue+1), fmt.Sprintf("large 0 %d", promise.MaxValue), "any 0")
	p.done(asker, "sizes")
	p.said(asker, "create refused: too-large", "large refused: too-large", "large", "any 0")
	bob := id.Worker{Component: "promises", Name: "bob"}
	p.told(bob, "many", fmt.Sprintf("create-many %d", oplog.MaxPromises+1))
	p.done(bob, "many")
	p.said(bob, "create-many refused: too-many")
	list, err := p.Promises(t.Context(), bob)
	must(t, err)
	if len(list) != oplog.MaxPromises {
		t.Fatalf("there are %d promises, want %d", len(list), oplog.MaxPromises)
	}
	value := api.Settlement{Value: bytes.Repeat([]byte("x"), promise.MaxValue), By: "a test"}
	full := oplog.MaxPromiseBytes / promise.MaxValue
	for i, v := range list[:full+1] {
		name, err := id.ParsePromise(v.Promise)
		must(t, err)
		_, err = p.SettlePromise(t.Context(), name, value)
		if i < full {
			must(t, err)
			continue
		}
		p.refused(err, api.CodePromisesFull)
		value.Value = append(value.Value, 'x')
		_, err = p.SettlePromise(t.Context(), name, value)
		p.refused(err, api.CodeTooLarge)
	}
}

func TestAWebhookIsOfAPromiseThatIsThere(t *testing.T) {
	p := promising(t, nil)
	p.told(asker, "k", "create approve", "url 0", "url "+asker.String()+"/nothing", "url x/y/z")
	p.done(asker, "k")
	p.said(asker, "url https://example.com/"+p.made(asker, 1)[0].Name, "url refused: unknown", "url refused: unknown")
}

// TestWorkersThatWaitGiveUpTheirMemoryForOthers has room for few, who could wait
// in memory for an hour.
func TestWorkersThatWaitGiveUpTheirMemoryForOthers(t *testing.T) {
	p := promising(t, func(c *worker.Config) { c.MaxInstances, c.SuspendAfter, c.Stay = 2, time.Hour, time.Hour })
	var all []id.Worker
	for i := range 12 {
		w := id.Worker{Component: "promises", Name: fmt.Sprint("w", i)}
		p.told(w, "k", "create approve", "wait 0")
		all = append(all, w)
	}
	for _, w := range all {
		must(t, p.complete(p.made(w, 1)[0], w.Name, ""))
	}
	for _, w := range all {
		p.done(w, "k")
		p.said(w, fmt.Sprintf("wait completed %q", w.Name))
	}
}

// TestARestartLeavesThoseAloneWhoWait looks at what a new process does of itself.
func TestARestartLeavesThoseAloneWhoWait(t *testing.T) {
	p := promising(t, func(c *worker.Config) { c.IdleAfter = 20 * time.Millisecond })
	p.told(asker, "k", "create approve", "wait 0")
	name := p.made(asker, 1)[0]
	p.asleep(asker)
	p.eventually("nobody has it in mind", func() bool { return p.Stats().Workers == 0 })
	p.restart()
	if n := p.agenda.Len(); n != 0 {
		t.Errorf("%d workers are on the agenda", n)
	}
	must(t, p.complete(name, "yes", ""))
	p.done(asker, "k")
	if n := p.Stats().Recoveries; n != 1 {
		t.Errorf("there were %d recoveries, want 1", n)
	}
}

func TestOfAPromiseThatIsNotThereItIsSaidWhyThatMayBe(t *testing.T) {
	p := promising(t, nil)
	p.told(asker, "k", "create approve")
	p.done(asker, "k")
	err := p.complete(id.Promise{Worker: asker, Name: "nothing"}, "yes", "")
	var problem *api.Problem
	if !errors.As(err, &problem) || problem.Code != api.CodeNoPromise || !strings.Contains(problem.Detail, "promises/alice/nothing") || !strings.Contains(problem.Detail, "waterbear promise list") {
		t.Errorf("got %v", err)
	}
	p.refused(p.complete(id.Promise{Worker: id.Worker{Component: "promises", Name: "nobody"}, Name: "x"}, "yes", ""), api.CodeNoWorker)
}

// TestAPromiseOfAWorkerThatCannotBeReadForAWhileIsSettled, rather than unknown.
func TestAPromiseOfAWorkerThatCannotBeReadForAWhileIsSettled(t *testing.T) {
	for name, trouble := range map[string]error{
		"looks damaged": &storage.CorruptError{Worker: caller("a"), From: 2, To: 3, Where: "a test", Cause: errors.New("the cable is loose")},
		"unreadable":    errors.New("the cable is loose"),
	} {
		t.Run(name, func(t *testing.T) {
			p, tricks := newTrickyPlatform(t, setup{change: leaving})
			p.deploy("callers", guests.Wasm(t, "components/callers"))
			a, b := caller("a"), caller("b")
			p.async(a, "k", "steps", []string{"promise", "fork b", "as b sleep 200", "as a wait", "as b complete yes"})
			p.becomes(a, api.Suspended)
			p.close()
			var left atomic.Int64
			left.Store(6) // the first tries are not of the copy
			tricks.set(nil, func(w id.Worker) error {
				if w == a && left.Add(-1) >= 0 {
					return trouble
				}
				return nil
			})
			p.open()
			equal(t, "the copy", p.result(b, "k"), []string{"", "forked as callers/b", "", "", "completed"})
			equal(t, "the original", p.result(a, "k"), []string{"", "original of callers/b", "", "yes", ""})
		})
	}
}
