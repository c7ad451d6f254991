package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/worker"
)

func TestAnInvocationCanBeCanceledWheneverItHasNotEnded(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.SuspendAfter = 500 * time.Millisecond })
	p.want(shop, "[1]", "inc", 1)
	p.async(shop, "spins", "spin")
	p.async(shop, "queued", "inc", 10)
	_, err := p.Invoke(t.Context(), shop, api.Call{Function: "inc", Args: []byte("[100]"), Key: "scheduled", Due: time.Now().Add(time.Hour)})
	must(t, err)
	p.async(shop, "naps", "nap", 1_000_000)
	for _, key := range []string{"queued", "scheduled", "spins"} {
		v, err := p.Cancel(t.Context(), shop, key)
		must(t, err)
		if ran := key == "spins"; ran != (v.State == api.StateFailed) || ran && v.Failure.Code != api.FailedCanceled {
			t.Errorf("%s: got %s %+v", key, v.State, v.Failure)
		}
	}
	p.becomes(shop, api.Suspended)
	_, err = p.Cancel(t.Context(), shop, "naps")
	must(t, err)
	p.want(shop, "[1]", "get")
	p.async(shop, "done", "get")
	p.ends(shop, "done", api.StateFinished, "[1]")
	v, err := p.Cancel(t.Context(), shop, "done")
	p.refused(err, api.CodeNotCancelable)
	if v.State != api.StateFinished {
		t.Errorf("got %+v", v)
	}
	_, err = p.Cancel(t.Context(), shop, "unknown")
	p.refused(err, api.CodeNoInvocation)
	// Canceling again is as canceling once.
	for range 2 {
		p.ends(shop, "queued", api.StateCanceled, "")
		_, err = p.Cancel(t.Context(), shop, "queued")
		must(t, err)
		_, err = p.Cancel(t.Context(), shop, "spins")
		must(t, err)
		p.restart()
	}
}

func TestWhatIsInterruptedStandsStillUntilItIsResumed(t *testing.T) {
	for what, c := range map[string]struct {
		function string
		arg      int
		result   string
	}{
		"in a long computation":     {"steps", 200_000, "[200001]"},
		"in a nap in memory":        {"nap", 400, ""},
		"in a nap out of memory":    {"nap", 1500, ""},
		"in what makes no progress": {"work", 30_000_000, ""},
	} {
		t.Run(what, func(t *testing.T) {
			p := newPlatform(t, nil)
			p.want(shop, "[1]", "inc", 1)
			p.async(shop, "a", c.function, c.arg)
			if c.arg == 1500 {
				p.becomes(shop, api.Suspended)
			}
			for i := range 3 {
				must(t, p.Interrupt(t.Context(), shop, "to look at it"))
				must(t, p.Interrupt(t.Context(), shop, "again"))
				d, err := p.Worker(t.Context(), shop)
				must(t, err)
				if d.Status != api.Interrupted || d.Reason != "to look at it" || d.Resident || d.Wake != nil {
					t.Fatalf("got %s (%s), in memory: %t, wakes %v", d.Status, d.Reason, d.Resident, d.Wake)
				}
				p.refused(p.Retry(t.Context(), shop), api.CodeWorkerBusy)
				if i == 1 {
					p.restart()
					p.becomes(shop, api.Interrupted)
				}
				must(t, p.Resume(t.Context(), shop))
				if i == 1 {
					p.restart()
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			v, err := p.Invocation(ctx, shop, "a", true)
			must(t, err)
			if v.State != api.StateFinished || c.result != "" && string(v.Result) != c.result {
				t.Errorf("got %s %s %+v", v.State, v.Result, v.Failure)
			}
			p.refused(p.Resume(t.Context(), shop), api.CodeWorkerBusy)
		})
	}
}

func TestAnIdleWorkerThatIsInterruptedKeepsWhatItAccepts(t *testing.T) {
	p := newPlatform(t, nil)
	p.want(shop, "[1]", "inc", 1)
	must(t, p.Interrupt(t.Context(), shop, "a pause"))
	p.async(shop, "a", "inc", 1)
	p.async(shop, "b", "inc", 1)
	p.restart()
	if d := p.becomes(shop, api.Interrupted); d.Queue != 2 {
		t.Errorf("a queue of %d", d.Queue)
	}
	must(t, p.Resume(t.Context(), shop))
	p.ends(shop, "a", api.StateFinished, "[2]")
	p.ends(shop, "b", api.StateFinished, "[3]")
}

func TestWorkersThatAreNotThereCannotBeStoppedOrAsked(t *testing.T) {
	p := newPlatform(t, nil)
	_, err := p.Worker(t.Context(), shop)
	p.refused(err, api.CodeNoWorker)
	p.refused(p.Interrupt(t.Context(), shop, ""), api.CodeNoWorker)
	p.refused(p.Resume(t.Context(), shop), api.CodeNoWorker)
	p.refused(p.Delete(t.Context(), shop), api.CodeNoWorker)
	_, err = p.Invocation(t.Context(), shop, "k", false)
	p.refused(err, api.CodeNoWorker)
	_, err = p.invoke(shop, "no_such")
	p.refused(err, api.CodeNoFunction)
	_, err = p.invoke(shop, "add", 1)
	p.refused(err, api.CodeBadArguments)
	// None of that has made the worker.
	_, err = p.Worker(t.Context(), shop)
	p.refused(err, api.CodeNoWorker)
	other := shop
	other.Component = "none"
	_, err = p.invoke(other, "add", 1)
	p.refused(err, api.CodeNoComponent)
	other.Component, other.Name = "waterbear", "agenda"
	p.refused(p.Delete(t.Context(), other), api.CodeNoWorker)
}
