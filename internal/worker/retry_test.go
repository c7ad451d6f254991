package worker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/worker"
)

func TestAttemptsAndPausesAreThoseOfTheWorkerElseOfItsComponent(t *testing.T) {
	p := newPlatform(t, nil)
	_, err := p.catalog.Configure(t.Context(), "kit", api.Settings{Retry: api.Retry{Attempts: 2, Initial: api.Duration(50 * time.Millisecond), Jitter: 0.001}})
	must(t, err)
	p.create(named("own"), api.NewWorker{Settings: api.Settings{Retry: api.Retry{Attempts: 4}}})
	for name, want := range map[string]uint64{"components": 2, "own": 4} {
		began := time.Now()
		v, err := p.invoke(named(name), "flaky", 1<<40)
		must(t, err)
		if v.State != api.StateFailed || v.Attempts != want {
			t.Errorf("%s: %s after %d attempts, want %d", name, v.State, v.Attempts, want)
		}
		least := 49 * time.Millisecond * (1<<(want-1) - 1) // 50 ms, 100 ms, 200 ms
		if took := time.Since(began); took < least {
			t.Errorf("%s: %d attempts in %v, want at least %v", name, want, took, least)
		}
	}
	// A change holds from the next invocation on, for workers in memory too.
	_, err = p.catalog.Configure(t.Context(), "kit", api.Settings{Retry: api.Retry{Attempts: 1}})
	must(t, err)
	if v, err := p.invoke(named("components"), "flaky", 1<<40); err != nil || v.Attempts != 1 {
		t.Errorf("%d attempts (%v), want 1", v.Attempts, err)
	}
}

func TestAFailureThatCouldNotBeAnotherIsNotRepeated(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.ImageAfter = -1 })
	for _, function := range []string{"fail", "recurse"} {
		args := []any{}
		if function == "recurse" {
			args = append(args, 0)
		}
		v, err := p.invoke(shop, function, args...)
		must(t, err)
		if v.State != api.StateFailed || v.Attempts != 1 || v.Failure.Code != api.FailedTrap || len(v.Failure.Stack) == 0 {
			t.Errorf("%s: got %s after %d attempts: %+v", function, v.State, v.Attempts, v.Failure)
		}
	}
	p.want(shop, "[1]", "inc", 1)
	p.restart() // replay leaves out both, which failed in a row
	p.want(shop, "[2]", "inc", 1)
}

func TestAWorkerBetweenTwoAttemptsSaysSoAndCanBeHurried(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.Defaults.Retry.Initial = api.Duration(time.Hour) })
	p.async(shop, "a", "flaky", 1<<40)
	p.async(shop, "b", "inc", 1)
	d := p.becomes(shop, api.Retrying)
	if d.Wake == nil || time.Until(*d.Wake) < 20*time.Minute || d.Queue != 2 || d.Pending[0].Failure == nil || d.Pending[0].Attempts != 1 {
		t.Errorf("got %+v", d)
	}
	p.restart()
	d = p.becomes(shop, api.Retrying)
	must(t, p.Retry(t.Context(), shop))
	p.eventually("a second attempt has failed", func() bool {
		d, err := p.Worker(t.Context(), shop)
		must(t, err)
		return d.Status == api.Retrying && d.Pending[0].Attempts == 2
	})
	v, err := p.Cancel(t.Context(), shop, "a")
	must(t, err)
	if v.State != api.StateCanceled || v.Attempts != 2 {
		t.Errorf("got %s after %d attempts", v.State, v.Attempts)
	}
	p.ends(shop, "b", api.StateFinished, "[1]")
	p.becomes(shop, api.Idle)
	p.refused(p.Retry(t.Context(), shop), api.CodeWorkerBusy)
}

// trapping is a library whose start function traps:
//
//	(module (func $trap unreachable) (start $trap) (func (export "f")))
var trapping = []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x03\x02\x00\x00\x07\x05\x01\x01f\x00\x01\x08\x01\x00\x0a\x08\x02\x03\x00\x00\x0b\x02\x00\x0b")

func TestAWorkerThatCannotBeInitializedWaitsForAPerson(t *testing.T) {
	p := newPlatform(t, nil)
	p.deploy("trapping", trapping)
	w := named("x")
	w.Component = "trapping"
	_, err := p.invoke(w, "f")
	p.refused(err, api.CodeWorkerFailed)
	if !strings.Contains(err.Error(), "cannot be initialized") || !strings.Contains(err.Error(), "worker retry trapping/x") {
		t.Errorf("got %v", err)
	}
	_, err = p.invoke(w, "f")
	p.refused(err, api.CodeWorkerFailed)
	for range 2 {
		d := p.becomes(w, api.Failed)
		if d.Queue != 1 || !strings.Contains(d.Reason, "unreachable executed") {
			t.Errorf("got %+v", d)
		}
		must(t, p.Retry(t.Context(), w))
		p.becomes(w, api.Failed)
		p.restart()
	}
	_, err = p.Invocation(t.Context(), w, p.becomes(w, api.Failed).Pending[0].Key, true)
	p.refused(err, api.CodeWorkerFailed)
	must(t, p.Delete(t.Context(), w))
}

func TestExitEndsALibrary(t *testing.T) {
	p := newPlatform(t, nil)
	p.want(shop, "[1]", "inc", 1)
	must(t, p.Interrupt(t.Context(), shop, "to fill the queue"))
	p.async(shop, "a", "leave", 7)
	p.async(shop, "b", "inc", 1)
	must(t, p.Resume(t.Context(), shop))
	p.ends(shop, "b", api.StateCanceled, "")
	v := p.ends(shop, "a", api.StateFailed, "")
	if !strings.Contains(v.Failure.Reason, "exit") {
		t.Errorf("got %+v", v.Failure)
	}
	for range 2 {
		_, err := p.invoke(shop, "get")
		p.refused(err, api.CodeWorkerExited)
		p.refused(p.Interrupt(t.Context(), shop, ""), api.CodeWorkerExited)
		if d := p.becomes(shop, api.Exited); !strings.Contains(d.Reason, "code 7") {
			t.Errorf("got %s", d.Reason)
		}
		p.ends(shop, "b", api.StateCanceled, "")
		p.restart()
	}
	must(t, p.Delete(t.Context(), shop))
	p.want(shop, "[1]", "inc", 1)
}
