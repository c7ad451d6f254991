package crash

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// manner is how a remote answers a request.
type manner int

const (
	promptly manner = iota
	late
	twice   // with another answer in the same packet
	halfway // with less of a body than it has said
	never   // it closes the connection
)

// remote is a server that knows nothing of HTTP but how it looks, answers in several
// manners, and remembers what has come.
type remote struct {
	t *testing.T
	net.Listener
	manners []manner
	closing bool // each connection is for one request

	mu     sync.Mutex
	random *rand.Rand
	came   map[string][]arrival // by path
	open   map[int]bool         // connections, by number
	number map[string]int       // of the connections so far, by who made them
	all    sync.WaitGroup
}

// arrival is a request that has come.
type arrival struct {
	key string
	manner
}

func newRemote(t *testing.T, stream uint64, closing bool, manners ...manner) *remote {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &remote{
		t: t, Listener: l, manners: manners, closing: closing, random: rand.New(rand.NewPCG(*seed, stream)),
		came: map[string][]arrival{}, open: map[int]bool{}, number: map[string]int{},
	}
	m.all.Go(m.accept)
	t.Cleanup(func() {
		_ = l.Close()
		m.all.Wait()
	})
	return m
}

func (m *remote) accept() {
	for {
		c, err := m.Accept()
		if err != nil {
			return
		}
		m.mu.Lock()
		number := len(m.number)
		m.number[c.RemoteAddr().String()] = number
		m.open[number] = true
		m.mu.Unlock()
		m.all.Go(func() {
			defer func() {
				_ = c.Close()
				m.mu.Lock()
				delete(m.open, number)
				m.mu.Unlock()
			}()
			m.serve(c)
		})
	}
}

// serve answers the requests of a connection.
func (m *remote) serve(c net.Conn) {
	for r := bufio.NewReader(c); ; {
		q, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, q.Body); err != nil {
			return
		}
		how := m.take(q)
		body := "thanks for " + q.URL.Path
		answer := fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
		if m.closing {
			answer = "Connection: close\r\n" + answer
		}
		answer = "HTTP/1.1 200 OK\r\n" + answer
		switch how {
		case late:
			time.Sleep(30 * time.Millisecond)
		case twice:
			answer += strings.ReplaceAll(answer, "thanks", "THANKS")
		case halfway:
			answer = answer[:len(answer)-3]
		case never:
			return
		}
		if _, err := c.Write([]byte(answer)); err != nil || how == halfway || m.closing {
			return
		}
	}
}

// take notes that a request has come, and says how it is answered.
func (m *remote) take(q *http.Request) manner {
	m.mu.Lock()
	defer m.mu.Unlock()
	how := m.manners[m.random.IntN(len(m.manners))]
	m.came[q.URL.Path] = append(m.came[q.URL.Path], arrival{q.Header.Get("Idempotency-Key"), how})
	return how
}

// arrivals are the requests of a path so far.
func (m *remote) arrivals(path string) []arrival {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.came[path])
}

// settle waits until every connection has ended that was made before: then what was
// on its way from a process that was killed has come, or never will.
func (m *remote) settle() {
	c, err := net.Dial("tcp", m.Addr().String())
	if err != nil {
		m.t.Error(err)
		return
	}
	_ = c.Close()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		m.mu.Lock()
		// They are accepted in their order: those before ours are known when it is.
		ours, settled := m.number[c.LocalAddr().String()]
		for number := range m.open {
			settled = settled && number >= ours
		}
		m.mu.Unlock()
		if settled {
			return
		}
		if time.Since(began) > patience {
			m.t.Errorf("connections do not end (seed %d)", *seed)
			return
		}
	}
}

// posters are clients of workers that each post one thing after the other.
type posters struct {
	t      *testing.T
	server *server
	remote *remote
	stop   atomic.Bool
	all    sync.WaitGroup

	mu      sync.Mutex
	results map[string]string // by path
}

const posterWorkers = 6

// start lets them post.
func (p *posters) start() {
	p.t.Helper()
	if _, err := p.server.client().Deploy(p.t.Context(), "fetch", guests.Wasm(p.t, "fetch"), nil); err != nil {
		p.t.Fatal(err)
	}
	p.results = map[string]string{}
	for w := range posterWorkers {
		p.all.Go(func() {
			c := p.server.client()
			for n := 0; !p.stop.Load() && !p.t.Failed(); n++ {
				p.post(c, fmt.Sprintf("w%d", w), fmt.Sprintf("/w%d/%d", w, n))
			}
		})
	}
}

func (p *posters) post(c *client.Client, worker, path string) {
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*patience)
	defer cancel()
	args := fmt.Appendf(nil, `["http://%s%s", "hello"]`, p.remote.Addr(), path)
	v, err := c.Invoke(ctx, "fetch", worker, api.Call{Function: "post", Args: args, Key: path})
	if err != nil || v.State != api.StateFinished {
		p.t.Errorf("%s ends as %s %+v, %v (seed %d)", path, v.State, v.Failure, err, *seed)
		return
	}
	p.mu.Lock()
	p.results[path] = string(v.Result)
	p.mu.Unlock()
}

// ledger is what the server knows of each call, by path.
func (p *posters) ledger() map[string]api.ExternalCall {
	p.t.Helper()
	calls := map[string]api.ExternalCall{}
	for v, err := range p.server.client().Calls(p.t.Context(), api.CallFilter{Component: "fetch"}) {
		if err != nil {
			p.t.Fatal(err)
		}
		path := pathOf(v)
		if _, ok := calls[path]; ok {
			p.t.Errorf("%s is in the ledger twice (seed %d)", path, *seed)
		}
		calls[path] = v
	}
	return calls
}

// pathOf is where a call goes to.
func pathOf(v api.ExternalCall) string {
	_, path, _ := strings.Cut(v.Invocation, "/")
	return "/" + path
}

// TestNobodyGetsTheAnswerOfAnotherOverKills has a server answer twice, late, halfway
// and not at all, over connections that it keeps: each request has one key, is in the
// ledger as often as it has come, and gets its own answer or none.
func TestNobodyGetsTheAnswerOfAnotherOverKills(t *testing.T) {
	random := randomOf(t, 230)
	m := newRemote(t, 231, false, promptly, late, twice, twice, twice, halfway, never)
	s := startServer(t, append([]string{"--http-allow", "127.0.0.1"}, restless...)...)
	p := &posters{t: t, server: s, remote: m}
	p.start()
	n := share(2)
	s.restart(n, 600, random)
	p.stop.Store(true)
	p.all.Wait()
	ledger, keys, again := p.ledger(), map[string]string{}, 0
	for path, result := range p.results {
		came, call := m.arrivals(path), ledger[path]
		if uint64(len(came)) > call.Attempts || call.Attempts > uint64(n)+1 {
			t.Errorf("%s came %d times, and was sent %d times over %d kills (seed %d)", path, len(came), call.Attempts, n, *seed)
		}
		again += int(call.Attempts) - 1
		lost := false
		for _, a := range came {
			if other, ok := keys[a.key]; a.key == "" || ok && other != path {
				t.Errorf("%s and %s have the key %q (seed %d)", path, other, a.key, *seed)
			}
			keys[a.key] = path
			lost = lost || a.manner == never || a.manner == halfway
		}
		if want := fmt.Sprintf(`[{"ok":"thanks for %s"}]`, path); result != want && !(lost && strings.HasPrefix(result, `[{"error":`)) {
			t.Errorf("%s came %d times %v, and got %s (seed %d)", path, len(came), came, result, *seed)
		}
	}
	if len(keys) > len(p.results) || again == 0 && n > shortKills {
		t.Errorf("%d requests have %d keys, %d were sent again (seed %d)", len(p.results), len(keys), again, *seed)
	}
	if strings.Contains(s.errs.String(), "THANKS") {
		t.Errorf("the server tells what nobody asked for: %s", s.errs)
	}
	t.Logf("%d kills, %d requests, %d sent again", n, len(p.results), again)
}

// person looks at the remote, and says what becomes of the calls that are held.
type person struct {
	*posters
	random *rand.Rand
	said   map[string][]said // by path
}

// said is what a person says who has seen so many requests.
type said struct {
	how  api.Resolution
	came int
}

// look resolves all that is held now.
func (p *person) look(ctx context.Context, c *client.Client) {
	page, err := c.CallsPage(ctx, api.CallFilter{Component: "fetch", State: api.CallHeld}, "", 0)
	if err != nil {
		return // the server was killed
	}
	for _, v := range page.Items {
		path := pathOf(v)
		p.remote.settle()
		how, came := api.ResolveFail, len(p.remote.arrivals(path))
		if p.random.IntN(4) > 0 {
			if how = api.ResolveSendAgain; came > 0 {
				how = api.ResolveDone
			}
		}
		// It counts from when it is said: whether it was heard is not known if the
		// server is killed meanwhile.
		p.said[path] = append(p.said[path], said{how, came})
		p.say(ctx, c, v, how, path)
	}
}

// say resolves a call, by the command now and then.
func (p *person) say(ctx context.Context, c *client.Client, v api.ExternalCall, how api.Resolution, path string) {
	r := api.Resolve{How: how}
	if how == api.ResolveDone {
		r.Response = fmt.Appendf(nil, `{"status": 200, "body": "given for %s"}`, path)
	}
	if p.random.IntN(2) == 0 {
		_, name, _ := strings.Cut(v.Worker, "/")
		_ = c.ResolveCall(ctx, "fetch", name, v.Index, r)
		return
	}
	at := p.server.at.Load()
	if at == nil {
		return
	}
	flag := map[api.Resolution][]string{
		api.ResolveDone: {"--response", string(r.Response)}, api.ResolveSendAgain: {"--send-again"}, api.ResolveFail: {"--fail"},
	}[how]
	cmd := exec.CommandContext(ctx, waterbear, append([]string{"calls", "resolve", v.Worker, fmt.Sprint(v.Index)}, flag...)...)
	cmd.Env = append(os.Environ(), "WATERBEAR_SERVER=http://"+*at)
	_ = cmd.Run()
}

// TestWhatIsHeldOverKillsIsWhatAPersonSays has POSTs without keys be held, while the
// server is killed, and a person look at the remote and say what becomes of each. A
// request comes once, however often there was doubt, or never if the person says so.
func TestWhatIsHeldOverKillsIsWhatAPersonSays(t *testing.T) {
	random := randomOf(t, 240)
	m := newRemote(t, 241, true, promptly, late, late, late, never)
	s := startServer(t, append([]string{"--http-allow", "127.0.0.1", "--http-keys", "off", "--http-in-doubt", "hold"}, restless...)...)
	p := &person{posters: &posters{t: t, server: s, remote: m}, random: rand.New(rand.NewPCG(*seed, 242)), said: map[string][]said{}}
	p.start()
	var looking sync.WaitGroup
	looks, rest := context.WithCancel(t.Context())
	looking.Go(func() {
		for c := s.client(); looks.Err() == nil; time.Sleep(10 * time.Millisecond) {
			p.look(looks, c)
		}
	})
	n := share(2)
	s.restart(n, 600, random)
	p.stop.Store(true)
	p.all.Wait()
	rest()
	looking.Wait()
	ledger, held := p.ledger(), map[api.Resolution]int{}
	for path, result := range p.results {
		if err := p.judge(path, result, ledger[path]); err != nil {
			came, _ := json.Marshal(ledger[path])
			t.Errorf("%s: %v; a person said %+v, the ledger has %s (seed %d)", path, err, p.said[path], came, *seed)
		}
		for _, one := range p.said[path] {
			held[one.how]++
		}
	}
	if n > shortKills && (held[api.ResolveDone] == 0 || held[api.ResolveSendAgain] == 0 || held[api.ResolveFail] == 0) {
		t.Errorf("over %d kills a person said %v (seed %d)", n, held, *seed)
	}
	t.Logf("%d kills, %d requests, a person said %v", n, len(p.results), held)
}

// judge says what of one call is not as the policy promises.
func (p *person) judge(path, result string, call api.ExternalCall) error {
	came, all := p.remote.arrivals(path), p.said[path]
	again := 0
	for _, one := range all {
		if one.how == api.ResolveSendAgain {
			again++
		}
	}
	has := func(how api.Resolution) bool {
		return slices.ContainsFunc(all, func(one said) bool { return one.how == how })
	}
	switch {
	case len(came) > 1:
		return fmt.Errorf("it came %d times", len(came))
	case uint64(len(came)) > call.Attempts || call.Attempts > uint64(again)+1:
		return fmt.Errorf("it came %d times, was sent %d times, and a person let it be sent again %d times", len(came), call.Attempts, again)
	case result == fmt.Sprintf(`[{"ok":"thanks for %s"}]`, path):
		if len(came) != 1 || came[0].manner == never || call.State != api.CallDone {
			return fmt.Errorf("it was answered, and came %v", came)
		}
	case result == fmt.Sprintf(`[{"ok":"given for %s"}]`, path):
		if len(came) != 1 || !has(api.ResolveDone) || call.State != api.CallDone {
			return fmt.Errorf("a person gave the answer, and it came %v", came)
		}
	case !strings.HasPrefix(result, `[{"error":`):
		return fmt.Errorf("it got %s", result)
	case call.State == api.CallFailed:
		if !has(api.ResolveFail) {
			return fmt.Errorf("it failed, and nobody has said so")
		}
	case call.State != api.CallInDoubt || len(came) != 1 || came[0].manner != never:
		return fmt.Errorf("it failed with %s, and came %v", result, came)
	}
	return nil
}
