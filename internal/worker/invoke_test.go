package worker_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/worker"
)

func TestWhatAFunctionLeavesInMemoryIsThereForTheNext(t *testing.T) {
	p := newPlatform(t, nil)
	p.want(shop, "[5]", "add", 2, 3)
	p.want(shop, "[2]", "inc", 2)
	p.want(shop, "[5]", "inc", 3)
	p.want(shop, "[7]", "file_inc", 7)
	bob := id.Worker{Component: "kit", Name: "bob"}
	p.want(bob, "[0]", "get")
	p.restart()
	p.want(shop, "[5]", "get")
	p.want(shop, "[8]", "file_inc", 1)
	p.want(bob, "[0]", "get")
}

func TestAFailedInvocationLeavesNothing(t *testing.T) {
	p := newPlatform(t, nil)
	p.want(shop, "[2]", "inc", 2)
	for range 2 {
		v, err := p.invoke(shop, "fail")
		must(t, err)
		if v.State != api.StateFailed || v.Failure.Code != api.FailedTrap || v.Attempts != 1 || !strings.Contains(v.Failure.Stderr, "about to fail") || len(v.Failure.Stack) == 0 {
			t.Errorf("got %+v %+v", v, v.Failure)
		}
		p.want(shop, "[2]", "get")
		p.restart()
		p.want(shop, "[2]", "get")
	}
	v, err := p.invoke(shop, "flaky", 1<<40)
	must(t, err)
	if v.State != api.StateFailed || v.Attempts != 3 {
		t.Errorf("got %s after %d attempts, want 3", v.State, v.Attempts)
	}
	p.want(shop, "[2]", "get")
}

func TestAKeyTakesEffectOnce(t *testing.T) {
	p := newPlatform(t, nil)
	call := api.Call{Function: "inc", Args: json.RawMessage("[5]"), Key: "once"}
	for i := range 4 {
		v, err := p.Invoke(t.Context(), shop, call)
		must(t, err)
		if string(v.Result) != "[5]" || v.Key != "once" {
			t.Fatalf("try %d: got %s", i, v.Result)
		}
		if i == 1 {
			p.restart()
		}
	}
	call.Args = json.RawMessage("[6]")
	if _, err := p.Invoke(t.Context(), shop, call); code(err) != api.CodeKeyReused {
		t.Errorf("got %v, want %s", err, api.CodeKeyReused)
	}
	p.want(shop, "[5]", "get")
	v, err := p.Invocation(t.Context(), shop, "once", true)
	must(t, err)
	if string(v.Result) != "[5]" || v.State != api.StateFinished {
		t.Errorf("got %+v", v)
	}
}

func TestALongSleepLeavesMemoryAndEndsOnTime(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.SuspendAfter = 100 * time.Millisecond })
	v, err := p.Invoke(t.Context(), shop, api.Call{Function: "nap", Args: json.RawMessage("[700]"), Async: true})
	must(t, err)
	for {
		d, err := p.Worker(t.Context(), shop)
		must(t, err)
		if d.Status == api.Suspended && !d.Resident {
			break
		}
	}
	p.restart()
	v, err = p.Invocation(t.Context(), shop, v.Key, true)
	must(t, err)
	var ms []int64
	must(t, json.Unmarshal(v.Result, &ms))
	if ms[0] < 700 || ms[0] > 5000 {
		t.Errorf("it took %d ms", ms[0])
	}
}
