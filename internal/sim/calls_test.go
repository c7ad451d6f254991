package sim

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/ledger"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// remote is a server that outlives every process, and remembers what it was asked.
type remote struct {
	machine *machine
	manner  manner
	asked   []arrival // each request that has arrived
}

// arrival is a request: its path, and its key, or its path if it has none.
type arrival struct{ path, key string }

// keys are those of the requests with a path.
func (o *remote) keys(path string) (all []string) {
	for _, a := range o.asked {
		if a.path == path {
			all = append(all, a.key)
		}
	}
	return all
}

// manner is how a remote answers.
type manner int

const (
	promptly manner = iota
	slowly          // after a while
	halfway         // with half of the body it has announced
	firstNot        // the first request gets no answer at all, the others do
	refusing        // it takes no connection
	twice           // and something else behind that
)

// Begin implements exchange.Client.
func (o *remote) Begin(ctx context.Context, r *exchange.Request, _ exchange.Policy, leave func(context.Context) error, changed func()) exchange.Reply {
	key := r.Path
	for _, f := range r.Headers {
		if strings.EqualFold(f.Name, "idempotency-key") {
			key = string(f.Value)
		}
	}
	p := &reply{remote: o}
	ctx, p.stop = context.WithCancel(ctx)
	o.machine.sim.Go("request", func() {
		if leave(ctx) == nil {
			p.run(ctx, arrival{r.Path, key}, changed)
		}
		changed()
	})
	return p
}

// reply is what comes back of one request.
type reply struct {
	remote *remote
	stop   context.CancelFunc
	head   *exchange.Head
	pieces []exchange.Piece
}

// clientTimeout is when a client gives up that gets no answer.
const clientTimeout = 3 * time.Second

func (p *reply) run(ctx context.Context, a arrival, changed func()) {
	o, sim := p.remote, p.remote.machine.sim
	wait := func(d time.Duration) bool { return sim.Sleep(ctx, d) == nil && !sim.Crashed() }
	fail := func(reason exchange.Reason) { p.head = &exchange.Head{Failure: &exchange.Failure{Reason: reason}} }
	switch {
	case !wait(time.Millisecond): // until there is a connection
		return
	case o.manner == refusing:
		fail(exchange.ConnectionRefused)
		return
	}
	o.asked = append(o.asked, a)
	o.machine.note("the remote is asked by %q", a.key)
	d := 50 * time.Millisecond
	switch {
	case o.manner == slowly:
		d = 5 * time.Second
	case o.manner == firstNot && len(o.asked) == 1:
		if wait(clientTimeout) {
			fail(exchange.ResponseTimeout)
		}
		return
	}
	if !wait(d) {
		return
	}
	p.head = &exchange.Head{Status: 200}
	changed()
	if !wait(time.Millisecond) {
		return
	}
	p.pieces = append(p.pieces, exchange.Piece{Bytes: []byte("tha")})
	changed()
	if !wait(time.Millisecond) {
		return
	}
	if o.manner == halfway {
		p.pieces = append(p.pieces, exchange.Piece{End: true, Failure: &exchange.Failure{Reason: exchange.ConnectionTerminated}})
		return
	}
	p.pieces = append(p.pieces, exchange.Piece{Bytes: []byte("nks"), End: true})
	if o.manner == twice && wait(time.Duration(len(o.asked))*time.Millisecond) {
		p.head = &exchange.Head{Status: 500}
		p.pieces = append(p.pieces, exchange.Piece{Bytes: []byte("no"), End: true})
		changed()
	}
}

func (p *reply) Head() (exchange.Head, bool) {
	if p.head == nil {
		return exchange.Head{}, false
	}
	return *p.head, true
}

func (p *reply) Ready() bool { return len(p.pieces) > 0 || p.head != nil && p.head.Failure != nil }

func (p *reply) Read(limit int) (exchange.Piece, bool) {
	if p.head != nil && p.head.Failure != nil {
		return exchange.Piece{End: true, Failure: p.head.Failure}, true
	}
	if len(p.pieces) == 0 {
		return exchange.Piece{}, false
	}
	one := p.pieces[0]
	p.pieces = p.pieces[1:]
	return one, true
}

func (p *reply) Close() { p.stop() }

// sending is one call of the guest fetch, or two, in processes that end before the steps of
// the scheduler that crashes names, and at last in one that does not.
type sending struct {
	http     api.HTTP
	manner   manner
	function string
	honest   bool // a person looks at the remote before saying what has become of a call
	crashes  []uint64

	remote   remote
	outcomes []api.Invocation
	ledger   []api.ExternalCall
	held     int    // how often a person was asked
	steps    uint64 // of the last process
	reached  int    // how many of the crashes came
}

var sender = id.Worker{Component: "fetch", Name: "alice"}

// fetching is a store in which the guest fetch is deployed.
func fetching(t *testing.T) *memory.Store {
	t.Helper()
	s := memory.New()
	m := newMachine(host(), Options{Calm: true, Backing: &inMemory{store: s}})
	err := m.run(func(*plan) (bool, error) {
		store, err := m.Backing.open(context.Background())
		n := &node{}
		if err == nil {
			err = n.open(&m, store, Guests{"fetch": guests.Wasm(t, "fetch")}, fetchBounds, entropy)
		}
		return true, errors.Join(err, n.close(context.Background()))
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var fetchBounds = bounds{instances: 2, running: 2, residents: 10, queue: 10, idleAfter: day, suspendAfter: time.Second, imageAfter: -1, unverified: true}

// run lives the lives of it over a store with the program.
func (e *sending) run(deployed *memory.Store) error {
	m := newMachine(host(), Options{Seed: 1, Backing: &inMemory{store: deployed.Reopen()}})
	e.remote = remote{machine: &m, manner: e.manner}
	m.script = func(p *plan) {
		if m.life <= len(e.crashes) {
			p.faulty, p.crash = true, e.crashes[m.life-1]
		}
	}
	var n *node
	m.buried = func() error { return n.bury() }
	return m.run(func(p *plan) (bool, error) {
		ctx := context.Background()
		store, err := m.Backing.open(ctx)
		if err != nil {
			return false, err
		}
		b := fetchBounds
		b.adjust = func(c *worker.Config) {
			c.HTTP = &e.remote
			c.Defaults.HTTP = e.http
			c.Defaults.HTTP.Allow, c.Defaults.HTTP.MaxResponse = []string{"127.0.0.1"}, 1<<20
		}
		n = &node{}
		if err = n.open(&m, newDisk(store, p), nil, b, entropy); err == nil {
			err = e.live(ctx, &m, n)
		}
		if err == nil {
			e.ledger, err = e.read(ctx, store)
		}
		err = errors.Join(err, n.close(ctx))
		e.reached = m.crashes
		e.steps = p.steps
		return true, err
	})
}

// paths are where the calls go to: there is a second one if it could get the answer
// of the first.
func (e *sending) paths() []string {
	if e.manner == twice {
		return []string{"/x", "/y"}
	}
	return []string{"/x"}
}

// live makes the calls, or asks what has become of them, as a client does that is
// not told; and is the person who resolves what is held.
func (e *sending) live(ctx context.Context, m *machine, n *node) error {
	e.outcomes = nil
	for _, path := range e.paths() {
		v, err := e.call(ctx, m, n, path)
		if err != nil {
			return err
		}
		e.outcomes = append(e.outcomes, v)
	}
	return nil
}

func (e *sending) call(ctx context.Context, m *machine, n *node, path string) (v api.Invocation, err error) {
	call := api.Call{Function: e.function, Args: fmt.Appendf(nil, `["http://127.0.0.1%s"]`, path), Key: path, Async: true}
	if e.function == "post" {
		call.Args = fmt.Appendf(nil, `["http://127.0.0.1%s", "hello"]`, path)
	}
	if _, err := n.workers.Invoke(ctx, sender, call); err != nil {
		return v, err
	}
	for pause, end := time.Second, m.sim.Monotonic()+time.Hour; m.sim.Monotonic() < end; pause = min(2*pause, 10*time.Minute) {
		v, err := n.workers.Invocation(ctx, sender, path, false)
		if err != nil || v.State.Done() {
			return v, err
		}
		w, err := n.workers.Worker(ctx, sender)
		if err != nil {
			return v, err
		}
		if w.Status == api.Suspended && len(w.Held) > 0 {
			if w.Resident || n.workers.Stats().Held != 1 {
				return v, m.broken("a worker that is held is in memory: %t; %d are held", w.Resident, n.workers.Stats().Held)
			}
			said := oplog.CallResolved{Started: w.Held[0], How: oplog.CallSendAgain}
			if e.honest && len(e.remote.keys(path)) > 0 {
				said.How, said.Response = oplog.CallDone, []byte{0, 0xc8, 0x01, 0, 1, 't', 'h', 'a', 'n', 'k', 's'}
			} else if !e.honest {
				said.How = oplog.CallFail
			}
			e.held++
			if err := n.workers.Resolve(ctx, sender, said); err != nil {
				return v, err
			}
		}
		_ = m.sim.Sleep(ctx, pause)
	}
	return v, m.broken("the call has not ended after an hour")
}

// read gives the ledger, the oldest call first.
func (e *sending) read(ctx context.Context, store storage.Store) ([]api.ExternalCall, error) {
	l := ledger.New(ledger.Config{
		Logs: store.Logs(), Functions: exchange.Funcs(),
		Key: func(a *oplog.InvocationAccepted, _ oplog.Index) string { return a.Key },
	})
	p, err := l.Page(ctx, ledger.Query{Worker: sender, Limit: 100})
	slices.Reverse(p.Calls)
	return p.Calls, err
}

// judge says what of them is not as the policy promises.
func (e *sending) judge() error {
	if len(e.ledger) != len(e.paths()) {
		return fmt.Errorf("the ledger has %d calls", len(e.ledger))
	}
	for i, path := range e.paths() {
		if err := e.judgeOne(e.ledger[i], e.remote.keys(path), e.outcomes[i]); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if x, y := e.remote.keys("/x"), e.remote.keys("/y"); len(x) > 0 && len(y) > 0 && x[0] == y[0] {
		return fmt.Errorf("both calls have the key %q", x[0])
	}
	return nil
}

func (e *sending) judgeOne(one api.ExternalCall, keys []string, outcome api.Invocation) error {
	asked, result := uint64(len(keys)), string(outcome.Result)
	if len(slices.Compact(keys)) > 1 {
		return fmt.Errorf("the remote was asked by different keys: %q", keys)
	}
	const ok = `[{"ok":"thanks"}]`
	doubt := e.http.InDoubt
	if e.function == "get" || e.http.Keys == api.KeysAuto {
		doubt = api.InDoubtRetry
	}
	switch {
	case asked > one.Attempts:
		return fmt.Errorf("the remote was asked %d times, and the ledger knows of %d", asked, one.Attempts)
	case one.Attempts > uint64(e.reached)+1:
		return fmt.Errorf("it was sent %d times in %d processes", one.Attempts, e.reached+1)
	case doubt != api.InDoubtRetry && e.held == 0 && asked > 1 && one.Attempts > 1:
		return fmt.Errorf("it was sent %d times, and nobody has said so", asked)
	case one.State == api.CallDone && asked == 0, one.State == api.CallNotSent && asked > 0:
		return fmt.Errorf("the ledger says %s, and the remote was asked %d times", one.State, asked)
	case one.State == api.CallHeld || one.State == api.CallUnderWay:
		return fmt.Errorf("the ledger says %s behind the end", one.State)
	case doubt == api.InDoubtHold && e.honest && e.manner != halfway && e.manner != refusing && e.manner != firstNot && (asked != 1 || result != ok):
		return fmt.Errorf("with a person who looks it was asked %d times, and gave %s", asked, result)
	case doubt == api.InDoubtRetry && (e.manner == promptly || e.manner == slowly || e.manner == twice) && e.http.Keys == api.KeysAuto && (asked == 0 || result != ok):
		return fmt.Errorf("it was asked %d times, and gave %s", asked, result)
	case doubt == api.InDoubtFail && one.State == api.CallDone && asked != 1:
		return fmt.Errorf("it was asked %d times", asked)
	case outcome.State != api.StateFinished:
		return fmt.Errorf("the invocation is %s, %+v", outcome.State, outcome.Failure)
	case e.manner == twice && result != ok && one.State == api.CallDone:
		return fmt.Errorf("it was answered with thanks, and gave %s", result)
	}
	return nil
}

// senders are all policies with all kinds of requests.
func senders() map[string]sending {
	all := map[string]sending{}
	for name, e := range map[string]sending{
		"a GET":                           {function: "get", http: api.HTTP{Keys: api.KeysAuto, InDoubt: api.InDoubtFail}},
		"a POST with a key":               {function: "post", http: api.HTTP{Keys: api.KeysAuto, InDoubt: api.InDoubtFail}},
		"a POST without one, fail":        {function: "post", http: api.HTTP{Keys: api.KeysOff, InDoubt: api.InDoubtFail}},
		"a POST without one, retry":       {function: "post", http: api.HTTP{Keys: api.KeysOff, InDoubt: api.InDoubtRetry}},
		"a POST without one, hold":        {function: "post", http: api.HTTP{Keys: api.KeysOff, InDoubt: api.InDoubtHold}, honest: true},
		"a POST without one, hold, fails": {function: "post", http: api.HTTP{Keys: api.KeysOff, InDoubt: api.InDoubtHold}},
	} {
		for how, m := range map[string]manner{"promptly": promptly, "late": slowly, "half": halfway, "at last": firstNot, "never": refusing, "twice": twice} {
			e.manner = m
			all[name+" that is answered "+how] = e
		}
	}
	return all
}

// stride is 1 where crashes are tried before every step. There are some 5,000.
var stride = flag.Uint64("sim.stride", 5, "before every how many steps of an external call to crash")

// TestCallsAreCountedAsPromisedWhereverAProcessDies kills a process before each of
// its steps: before the intent, behind it, once the request has left, before the
// outcome, behind it, in the middle of the body. What the remote was asked, over
// all lives, is what policy and ledger say.
func TestCallsAreCountedAsPromisedWhereverAProcessDies(t *testing.T) {
	for name, e := range senders() {
		t.Run(name, func(t *testing.T) {
			held, runs := 0, 0
			for k := 1 + rand.Uint64N(*stride); ; k += *stride {
				one := e
				one.crashes = []uint64{k}
				if err := one.run(fetching(t)); err != nil {
					t.Fatalf("crash before step %d: %v", k, err)
				}
				if err := one.judge(); err != nil {
					t.Fatalf("crash before step %d: %v; the ledger: %+v", k, err, one.ledger)
				}
				runs++
				if held += one.held; one.reached == 0 {
					break
				}
			}
			t.Logf("%d runs, a person was asked %d times", runs, held)
			if wants := e.http.InDoubt == api.InDoubtHold; wants != (held > 0) {
				t.Errorf("a person was asked %d times", held)
			}
		})
	}
}

// TestAPersonWhoLooksMakesItOnceWhereverTheNextProcessDies kills a process while the
// call is in doubt, and the next one before each of its steps: before the call is
// held, while it waits, as the person answers, and behind that.
func TestAPersonWhoLooksMakesItOnceWhereverTheNextProcessDies(t *testing.T) {
	e := senders()["a POST without one, hold that is answered late"]
	var doubts []uint64 // crashes that leave the call in doubt, before and after it has arrived
	for k := uint64(1); len(doubts) < 2; k++ {
		one := e
		one.crashes = []uint64{k}
		if err := one.run(fetching(t)); err != nil || one.reached == 0 {
			t.Fatalf("no crash leaves the call in doubt: %v", err)
		}
		// A person who looks lets it be sent again if it has not arrived, and gives the
		// answer if it has.
		if one.held > 0 && one.ledger[0].Attempts == uint64(2-len(doubts)) {
			doubts = append(doubts, k)
		}
	}
	for _, k := range doubts {
		held := 0
		for j := 1 + rand.Uint64N(*stride); ; j += *stride {
			one := e
			one.crashes = []uint64{k, j}
			if err := one.run(fetching(t)); err != nil {
				t.Fatalf("crashes before steps %d and %d: %v", k, j, err)
			}
			if err := one.judge(); err != nil {
				t.Fatalf("crashes before steps %d and %d: %v; the ledger: %+v", k, j, err, one.ledger)
			}
			if held += one.held; one.reached < 2 {
				break
			}
		}
		t.Logf("behind a crash before step %d a person was asked %d times", k, held)
	}
}
