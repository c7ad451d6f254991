package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/worker"
)

func TestInvocationsRunInTheOrderInWhichTheyWereAccepted(t *testing.T) {
	p := newPlatform(t, nil)
	must(t, func() error { _, err := p.Create(t.Context(), shop, api.NewWorker{}); return err }())
	must(t, p.Interrupt(t.Context(), shop, "to fill the queue"))
	const n = 40
	for i := range n {
		p.async(shop, fmt.Sprint("k", i), "put", i)
	}
	p.restart()
	must(t, p.Resume(t.Context(), shop))
	for i := range n {
		p.ends(shop, fmt.Sprint("k", i), api.StateFinished, fmt.Sprintf("[%d]", max(i-1, 0)))
	}
}

func TestAFullQueueRefusesAndDrains(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.Defaults.Limits.Queue = 3 })
	p.create(shop, api.NewWorker{})
	must(t, p.Interrupt(t.Context(), shop, "to fill the queue"))
	for i := range 3 {
		p.async(shop, fmt.Sprint("k", i), "inc", 1)
	}
	_, err := p.invoke(shop, "inc", 1)
	p.refused(err, api.CodeQueueFull)
	p.async(shop, "k1", "inc", 1) // a key that is known takes no place
	p.want(named("neighbour"), "[1]", "inc", 1)
	must(t, p.Resume(t.Context(), shop))
	p.ends(shop, "k2", api.StateFinished, "[3]")
	p.want(shop, "[4]", "inc", 1)
}

func TestManyCallersOfOneKeyGetOneAnswer(t *testing.T) {
	p := newPlatform(t, nil)
	var wait sync.WaitGroup
	answers := make([]string, 20)
	for i := range answers {
		wait.Go(func() {
			v, err := p.Invoke(t.Context(), shop, api.Call{Function: "inc", Args: json.RawMessage("[3]"), Key: "one"})
			answers[i] = fmt.Sprint(string(v.Result), err)
		})
	}
	wait.Wait()
	for _, a := range answers {
		if a != "[3]<nil>" {
			t.Errorf("got %q", answers)
			break
		}
	}
	p.want(shop, "[3]", "get")
}

func TestKeysThatTheServerMakesAreNotForClients(t *testing.T) {
	p := newPlatform(t, nil)
	v, err := p.invoke(shop, "inc", 1)
	must(t, err)
	for _, key := range []string{v.Key, "i-1", "i-18446744073709551615", string(make([]byte, worker.MaxKey+1))} {
		_, err = p.Invoke(t.Context(), shop, api.Call{Function: "get", Key: key})
		p.refused(err, api.CodeInvalid)
	}
	for _, key := range []string{"i-", "i-0", "i-x", "i-01", "i--1", "i-99999999999999999999"} {
		_, err = p.Invoke(t.Context(), shop, api.Call{Function: "get", Key: key})
		must(t, err)
		p.ends(shop, key, api.StateFinished, "[1]")
	}
	p.ends(shop, v.Key, api.StateFinished, "[1]")
	for _, key := range []string{"i-1", "i-999", "", "i-00"} {
		_, err := p.Invocation(t.Context(), shop, key, true)
		p.refused(err, api.CodeNoInvocation)
	}
}

func TestWhatIsScheduledBeginsOnTimeAlsoAfterDowntime(t *testing.T) {
	p := newPlatform(t, nil)
	due := time.Now().Add(400 * time.Millisecond)
	for _, w := range []string{"awake", "down"} {
		v, err := p.Invoke(t.Context(), named(w), api.Call{Function: "now", Key: "later", Due: due})
		must(t, err)
		if v.State != api.StateScheduled || !v.Due.Equal(due.Round(0)) {
			t.Errorf("got %+v", v)
		}
	}
	d, err := p.Worker(t.Context(), named("awake"))
	must(t, err)
	if d.Status != api.Idle || d.Wake == nil || !d.Wake.Equal(due.Round(0)) || d.Queue != 1 {
		t.Errorf("got %s, wakes %v", d.Status, d.Wake)
	}
	p.want(named("awake"), "[1]", "inc", 1) // what is due goes before
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := func(name string) time.Duration {
		v, err := p.Invocation(ctx, named(name), "later", true)
		must(t, err)
		var ns []int64
		must(t, json.Unmarshal(v.Result, &ns))
		return time.Unix(0, ns[0]).Sub(due)
	}
	if late := began("awake"); late < 0 || late > 5*time.Second {
		t.Errorf("it began %v after its time", late)
	}
	_, err = p.Invoke(t.Context(), named("down"), api.Call{Function: "now", Key: "sooner", Due: time.Now().Add(-time.Hour)})
	must(t, err)
	p.close()
	p.eventually("the time has come", func() bool { return time.Now().After(due) })
	must(t, p.store.Close())
	p.open()
	if late := began("down"); late < 0 || late > 10*time.Second {
		t.Errorf("it began %v after its time", late)
	}
}

func TestACallerWhoDoesNotWaitFindsTheResultUnderTheKey(t *testing.T) {
	p := newPlatform(t, nil)
	for i := range 50 { // some end before they are looked at
		key := fmt.Sprint("k", i)
		p.async(shop, key, "inc", 1)
		v, err := p.Invocation(t.Context(), shop, key, false)
		must(t, err)
		if v.State.Done() && string(v.Result) != fmt.Sprintf("[%d]", i+1) {
			t.Errorf("got %+v", v)
		}
		p.ends(shop, key, api.StateFinished, fmt.Sprintf("[%d]", i+1))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := p.Invoke(ctx, shop, api.Call{Function: "nap", Args: json.RawMessage("[300]"), Key: "slow"})
	p.refused(err, api.CodeTimeout)
	p.becomes(shop, api.Idle) // it went on
	v, err := p.Invocation(t.Context(), shop, "slow", false)
	must(t, err)
	if v.State != api.StateFinished {
		t.Errorf("got %+v", v)
	}
}
