package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// The load: so many clients, each of which knows all workers.
const (
	loadClients = 12
)

// staff are how many workers there are of each program. Those of kit are of a core
// module, those of keeper of a component that keeps resources from call to call,
// and those of heap are in Go.
var staff = []struct {
	component string
	workers   int
}{{"kit", 7}, {"counter", 3}, {"keeper", 4}, {"heap", 2}}

// restless makes workers leave memory at every opportunity, and attempts follow
// one another quickly.
var restless = []string{
	"--workers-suspend-after", "50ms", "--workers-idle-after", "200ms", "--workers-max-instances", "6", "--retry-initial", "10ms",
}

// operation is an invocation as its client saw it, from when it first sent it
// until it had the answer, however many connections that took.
type operation struct {
	client    int
	component string
	worker    string
	api.Call
	arg            int64
	sent, answered time.Duration // since the load began
	answer         api.Invocation
}

// result is the number that the operation was answered with, if it has one.
func (o *operation) result() (int64, bool) {
	var values []int64
	if json.Unmarshal(o.answer.Result, &values) != nil || len(values) != 1 {
		return 0, false
	}
	return values[0], true
}

// finished reports whether the invocation has a result, and not a failure.
func (o *operation) finished() bool { return o.answer.State == api.StateFinished }

// load is clients at work on a server that is killed.
type load struct {
	t       *testing.T
	server  *server
	began   time.Time
	stop    atomic.Bool
	clients sync.WaitGroup

	mu  sync.Mutex
	all []*operation

	saved map[string]int // entries of oplogs that are not of invocations, by kind and component
}

func TestClientsOfAServerThatIsKilledCannotTell(t *testing.T) {
	random := randomOf(t, 100)
	l := &load{t: t, server: startServer(t, restless...), began: time.Now(), saved: map[string]int{}}
	c := l.server.client()
	l.deploy(c)
	for i := range loadClients {
		random := rand.New(rand.NewPCG(*seed, 1000+uint64(i)))
		l.clients.Go(func() { l.client(i, random) })
	}
	n := share(2)
	l.server.restart(n, 600, random)
	l.stop.Store(true)
	l.clients.Wait()
	if t.Failed() {
		return
	}
	t.Logf("%d kills, %d invocations in %v", n, len(l.all), time.Since(l.began).Round(time.Millisecond))
	l.askAgain()
	l.linearizable()
	for _, s := range staff {
		for i := range s.workers {
			l.worker(s.component, "w"+strconv.Itoa(i))
		}
	}
	t.Logf("entries: %v", l.saved)
	for _, kind := range []string{"Delta of kit", "Delta of keeper", "Image of keeper", "Delta of heap", "Image of heap"} {
		if l.saved[kind] == 0 && n > shortKills/4 {
			t.Errorf("there was no %s (seed %d)", kind, *seed)
		}
	}
}

// deploy deploys all programs. The state of workers is saved whenever they leave
// memory, which is always; that of keeper often as a whole.
func (l *load) deploy(c *client.Client) {
	l.t.Helper()
	for name, module := range map[string][]byte{
		"kit": guests.Wasm(l.t, "kit"), "counter": guests.Wasm(l.t, "counter"), "keeper": guests.Wasm(l.t, "components/keeper"),
		"heap": guests.GoLibrary(l.t, "test/crash/testdata/heap"),
	} {
		if _, err := c.Deploy(l.t.Context(), name, module, nil); err != nil {
			l.t.Fatal(err)
		}
	}
	for name, images := range map[string]api.Images{"keeper": {Age: api.Duration(time.Second), Size: 1}, "heap": {Age: api.Duration(time.Second)}} {
		if _, err := c.Configure(l.t.Context(), name, api.Settings{Images: images}); err != nil {
			l.t.Fatal(err)
		}
	}
}

// anyWorker draws a worker.
func anyWorker(random *rand.Rand) (component, worker string) {
	all := 0
	for _, s := range staff {
		all += s.workers
	}
	i := random.IntN(all)
	for _, s := range staff {
		if i < s.workers {
			return s.component, "w" + strconv.Itoa(i)
		}
		i -= s.workers
	}
	panic("there are more workers than there are")
}

// client invokes until it is to stop: now and then several at once, which it
// then waits for, and now and then again what it has done before.
func (l *load) client(n int, random *rand.Rand) {
	c := l.server.client()
	ctx, cancel := context.WithTimeout(l.t.Context(), 2*patience)
	defer cancel()
	var mine []*operation
	for !l.stop.Load() && !l.t.Failed() {
		var pending []*operation
		for range 1 + random.IntN(3) {
			o := draw(random, n, len(mine))
			mine = append(mine, o)
			o.sent = time.Since(l.began)
			var err error
			o.answer, err = c.Invoke(ctx, o.component, o.worker, o.Call)
			if err == nil && (o.Async || !o.Due.IsZero()) {
				pending = append(pending, o)
				continue
			}
			l.done(o, err)
		}
		for _, o := range pending {
			var err error
			o.answer, err = c.Await(ctx, o.component, o.worker, o.Key)
			l.done(o, err)
		}
		if old := mine[random.IntN(len(mine))]; random.IntN(10) == 0 {
			l.repeat(ctx, c, old)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, mine...)
}

// done takes the answer to an operation.
func (l *load) done(o *operation, err error) {
	o.answered = time.Since(l.began)
	var p *api.Problem
	if errors.As(err, &p) && p.Code == api.CodeInvocationFailed && (o.Function == "flaky" || o.Function == "fail") {
		err = nil
	}
	switch {
	case err != nil:
		l.t.Errorf("%s of %s/%s with key %s: %v (seed %d)", o.Function, o.component, o.worker, o.Key, err, *seed)
	case !o.answer.State.Done():
		l.t.Errorf("%s with key %s was answered, and is %s (seed %d)", o.Function, o.Key, o.answer.State, *seed)
	case !o.finished() && (o.answer.Failure == nil || o.answer.Failure.Code != api.FailedTrap):
		l.t.Errorf("%s with key %s failed with %+v (seed %d)", o.Function, o.Key, o.answer.Failure, *seed)
	}
}

// draw makes the next call of a client. Each has a key of its own.
func draw(random *rand.Rand, client, n int) *operation {
	o := &operation{client: client}
	o.component, o.worker = anyWorker(random)
	o.Key = fmt.Sprintf("c%d-%d", client, n)
	o.Function, o.arg = "add", 1+random.Int64N(9)
	switch {
	case o.component == "kit":
		o.Function, o.arg = drawKit(random, client, n)
	case o.component == "keeper":
		o.Function, o.arg = drawKeeper(random, client, n)
	case random.IntN(8) == 0:
		o.Function = "get"
	}
	o.Args = json.RawMessage(fmt.Sprintf("[%d]", o.arg))
	if takesNothing[o.Function] {
		o.Args = nil
	}
	switch random.IntN(8) {
	case 0, 1:
		o.Async = true
	case 2:
		o.Due = time.Now().Add(time.Duration(random.IntN(400)) * time.Millisecond)
	}
	return o
}

// drawKit chooses a function of the kit and its argument. What is put is never
// put twice.
func drawKit(random *rand.Rand, client, n int) (function string, arg int64) {
	switch random.IntN(16) {
	case 0, 1, 2:
		return "put", int64(client+1)*1_000_000 + int64(n)
	case 3:
		return "nap", 10 + random.Int64N(120)
	case 4, 5:
		return "print", random.Int64N(20)
	case 6:
		return "flaky", 2
	case 7, 8:
		return "get", 0
	}
	return "inc", 1 + random.Int64N(9)
}

// repeat asks again for what was answered: the answer is the same for ever.
func (l *load) repeat(ctx context.Context, c *client.Client, o *operation) {
	var again api.Invocation
	var err error
	if o.Async {
		again, err = c.Invocation(ctx, o.component, o.worker, o.Key)
		if err != nil && ctx.Err() == nil && !errors.As(err, new(*api.Problem)) {
			return // the server was killed, and this is tried once
		}
	} else {
		again, err = c.Invoke(ctx, o.component, o.worker, api.Call{Function: o.Function, Args: o.Args, Key: o.Key})
	}
	var p *api.Problem
	if errors.As(err, &p) && p.Code == api.CodeInvocationFailed {
		err = nil
	}
	if err != nil {
		l.t.Errorf("ask again for %s: %v (seed %d)", o.Key, err, *seed)
		return
	}
	if string(again.Result) != string(o.answer.Result) || again.State != o.answer.State || again.Index != o.answer.Index {
		l.t.Errorf("%s of %s was answered first with %s, then with %s (seed %d)", o.Key, o.worker, tell(o.answer), tell(again), *seed)
	}
}

// tell is what clients compare of an answer.
func tell(inv api.Invocation) string {
	return fmt.Sprintf("%s %s, accepted at %d", inv.State, inv.Result, inv.Index)
}

// askAgain repeats everything when all is over.
func (l *load) askAgain() {
	l.t.Helper()
	var group sync.WaitGroup
	for part := range slices.Chunk(l.all, max(1, len(l.all)/4)) {
		c := l.server.client()
		group.Go(func() {
			for _, o := range part {
				l.repeat(l.t.Context(), c, o)
			}
		})
	}
	group.Wait()
}
