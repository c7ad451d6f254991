// A library that calls every function of the package, and prints what it is told
// as lines of JSON: a name, and what there is to say of it.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	waterbear "github.com/waterbear-run/waterbear/guest/go"
)

func main() {}

func say(name string, values ...any) {
	for i, v := range values {
		if err, ok := v.(error); ok {
			values[i] = err.Error()
		}
	}
	line, err := json.Marshal(append([]any{name}, values...))
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
	// What the host has given must not be the collector's before it was taken.
	runtime.GC()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

//go:wasmexport context
func context() {
	say("current", waterbear.Current())
	say("keys", waterbear.IdempotencyKey(), waterbear.IdempotencyKey())
}

//go:wasmexport config
func config() {
	value, ok, err := waterbear.Config("url")
	say("url", value, ok, err)
	value, ok, err = waterbear.Config("none")
	say("none", value, ok, err)
	all, err := waterbear.ConfigAll()
	say("all", all, err)
}

//go:wasmexport control
func control() {
	say("policy", waterbear.CurrentRetryPolicy())
	waterbear.SetRetryPolicy(waterbear.RetryPolicy{Attempts: 7, Initial: time.Second, Max: time.Minute, Factor: 2.5, Jitter: 0.25})
	say("own policy", waterbear.CurrentRetryPolicy())
	say("idempotence", waterbear.Idempotence())
	waterbear.SetIdempotence(false)
	say("idempotence", waterbear.Idempotence())
	waterbear.SetIdempotence(true)
	here := waterbear.Here()
	if here.Repeats() < 2 {
		here.GoBack()
		panic("it is still here")
	}
	say("repeats", here.Repeats())
	waterbear.Atomic(func() { say("in a region") })
	if waterbear.BeginAtomic() <= here {
		panic("a later waypoint is not later")
	}
	waterbear.EndAtomic()
	waterbear.Commit()
}

//go:wasmexport effects
func effects() {
	outcome := waterbear.Effect("tour.charge", []byte("five"), waterbear.Write, func(times uint64) []byte {
		say("performed", times)
		return []byte("charged")
	})
	say("effect", string(outcome))
	_, outcome, done := waterbear.BeginEffect("tour.look", nil, waterbear.Read)
	if !done {
		say("forgotten")
		waterbear.EndEffectAndForget([]byte("seen"))
		panic("it is still here")
	}
	say("effect", string(outcome))
}

//go:wasmexport history
func history() {
	entries, next := waterbear.History(1, 4)
	say("page", entries, next)
	entries, next = waterbear.History(1, 0, "", "InvocationStarted")
	say("chosen", entries, next)
}

//go:wasmexport promises
func promises() {
	completed, failed, withdrawn := must(waterbear.NewPromise("a")), must(waterbear.NewPromise("b")), must(waterbear.NewPromise("c"))
	say("made", completed, failed, withdrawn)
	say("url", must(completed.WebhookURL()))
	value, settled, err := completed.Poll()
	say("pending", string(value), settled, err)
	place, err := waterbear.WaitAny(time.Millisecond, failed, completed)
	say("none in time", place, err)
	say("settled", completed.Complete([]byte("yes")), failed.Fail("no"), withdrawn.Withdraw())
	say("again", completed.Complete([]byte("other")), withdrawn.Withdraw())
	place, err = waterbear.WaitAny(waterbear.Forever, withdrawn[:0]+completed, failed)
	say("any", place, err)
	value, err = completed.Wait()
	say("waited", string(value), err)
	_, err = failed.Wait()
	failure := (*waterbear.Failed)(nil)
	say("failed", errors.As(err, &failure) && failure.Promise == failed, err)
	_, settled, err = failed.Poll()
	say("polled", settled, err)
	_, err = withdrawn.Wait()
	say("withdrawn", errors.Is(err, waterbear.Unknown), err)
	say("unnamed", waterbear.Promise("no name").Complete(nil))
}

//go:wasmexport ask
func ask() {
	value, err := must(waterbear.NewPromise("from outside")).Wait()
	say("outside", string(value), err)
}

//go:wasmexport workers
func workers() {
	result, err := waterbear.Invoke("counter/a", "add", "[2]")
	say("invoke", result, err)
	_, err = waterbear.Invoke("counter/a", "none", "[]")
	say("no function", errors.Is(err, waterbear.NoFunction), err != nil && err.Error() != waterbear.NoFunction.Error())
	key := must(waterbear.Start("counter/a", "add", "[3]"))
	result, err = waterbear.Result("counter/a", key)
	say("result", result, err)
	result, ended, err := waterbear.Poll("counter/a", key)
	say("poll", result, ended, err)
	say("ended", errors.Is(waterbear.Cancel("counter/a", key), waterbear.Ended))
	later := must(waterbear.Schedule("counter/a", "add", "[4]", time.Now().Add(time.Hour)))
	result, ended, err = waterbear.Poll("counter/a", later)
	say("later", result, ended, err)
	say("keys", key, later)
	say("canceled", waterbear.Cancel("counter/a", later))
	_, err = waterbear.Result("counter/a", later)
	say("result of it", errors.Is(err, waterbear.Canceled))
	how := waterbear.NewWorker{Args: []string{"", "one", "two"}, Env: []string{"A=b"}, Settings: `{"limits": {"queue": 5}}`}
	created, err := waterbear.Spawn("counter/b", how)
	say("spawned", created, err)
	created, err = waterbear.Spawn("counter/b", how)
	say("there", created, err)
	how.Args = nil
	_, err = waterbear.Spawn("counter/b", how)
	say("exists", errors.Is(err, waterbear.Exists))
	status, err := waterbear.Status("counter/b")
	say("status", status, err)
	_, err = waterbear.Status("counter/none")
	say("no worker", errors.Is(err, waterbear.NoWorker), err)
	list, next, err := waterbear.Workers("counter", "")
	say("list", list, next, err)
	wrong := waterbear.Choose("shop:pricing/api@1.0.0", "counter/a")
	say("choose", waterbear.Choose("shop:pricing/api", "counter/a"), errors.Is(wrong, waterbear.InvalidArgument))
}

// forked forks its worker, and tells which of the two it is.
//
//go:wasmexport forked
func forked() {
	_, _, err := waterbear.Fork("counter/a")
	say("elsewhere", errors.Is(err, waterbear.InvalidArgument))
	copied, name, err := waterbear.Fork("twin")
	say("fork", copied, name, err)
	say("self", waterbear.Current().Name)
}

// burden lets the host give much while the collector runs at all times.
//
//go:wasmexport burden
func burden(times uint32) uint32 {
	debug.SetGCPercent(1)
	seen := map[string]bool{}
	for range times {
		seen[waterbear.IdempotencyKey()] = true
		entries, _ := waterbear.History(1, 0, "InvocationStarted")
		if len(entries) == 0 || entries[0].Kind != "InvocationStarted" {
			panic(fmt.Sprint(entries))
		}
	}
	return uint32(len(seen))
}
