package worker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/worker"
)

func TestALimitEndsTheInvocationThatExceedsIt(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) {
		c.Defaults.Limits.CPUTime = api.Duration(200 * time.Millisecond)
		c.Defaults.Limits.LogRate = 64 << 10
		c.Defaults.Limits.OplogRate = 64 << 10
	})
	for function, limit := range map[string]string{"spin": "cpuTime", "chatter": "logRate", "clockwork": "oplogRate"} {
		t.Run(limit, func(t *testing.T) {
			w := named(function)
			p.want(w, "[1]", "inc", 1)
			p.async(w, "a", function)
			p.want(named("neighbour"), "[5]", "add", 2, 3)
			v := p.ends(w, "a", api.StateFailed, "")
			if v.Failure.Code != api.FailedLimit || v.Attempts != 1 || !strings.Contains(v.Failure.Reason, limit) {
				t.Errorf("got %+v after %d attempts", v.Failure, v.Attempts)
			}
			p.want(w, "[1]", "get")
			p.restart()
			p.want(w, "[3]", "inc", 2)
		})
	}
}

func TestTheGuestIsToldOfLimitsThatItCanAskFor(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) {
		c.Defaults.Limits.Memory = 4 << 20
		c.Defaults.Limits.Storage = 1 << 20
	})
	const noSpace = "[51]" // ENOSPC of wasi-libc
	p.want(shop, "[-1]", "grow", 100)
	p.want(shop, noSpace, "fill", 2<<20)
	p.want(shop, "[0]", "fill", 1000)
	p.create(named("larger"), api.NewWorker{Settings: api.Settings{Limits: api.Limits{Memory: 32 << 20, Storage: 8 << 20}}})
	v, err := p.invoke(named("larger"), "grow", 100)
	must(t, err)
	if string(v.Result) == "[-1]" {
		t.Error("a worker's own limit of memory is not heard")
	}
	p.want(named("larger"), "[0]", "fill", 2<<20)
	p.restart()
	p.want(shop, "[-1]", "grow", 100)
	p.want(named("larger"), noSpace, "fill", 9<<20)
}

func TestTimeThatIsWaitedIsNoComputingTime(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) {
		c.Defaults.Limits.CPUTime = api.Duration(100 * time.Millisecond)
		c.MaxRunning = 1
	})
	p.async(shop, "a", "nap", 900)
	p.want(named("neighbour"), "[5]", "add", 2, 3) // while the only slot is not needed
	if v, err := p.Invocation(t.Context(), shop, "a", false); err != nil || v.State.Done() {
		t.Errorf("the neighbour waited for the end of a nap: %s, %v", v.State, err)
	}
	if v, err := p.Invocation(t.Context(), shop, "a", true); err != nil || v.State != api.StateFinished {
		t.Errorf("got %+v, %v", v.Failure, err)
	}
}
