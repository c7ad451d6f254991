package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/host/inbound"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// longOf is what the program writes for /long?n.
func longOf(n int) string {
	var all []byte
	for number := 0; len(all) < n; {
		var piece []byte
		for len(piece) < 4096 {
			piece = fmt.Appendf(piece, "%d,", number)
			number++
		}
		all = append(all, piece[:min(4096, n-len(all))]...)
	}
	return string(all)
}

// ticksOf is what it writes for /ticks?n.
func ticksOf(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "id: %d\ndata: tick\n\n", i)
	}
	return b.String()
}

const (
	plain  = "200 content-type=text/plain "
	events = "200 content-type=text/event-stream "
)

// some reads from an answer until it has given n bytes of a body.
func some(ctx context.Context, a *worker.Answer, n int) (string, error) {
	var b strings.Builder
	for b.Len() < n {
		part, err := a.Next(ctx)
		if err != nil {
			return b.String(), err
		}
		b.Write(part.Bytes)
	}
	return b.String(), nil
}

func TestAResponseIsReadWhileTheProgramWrites(t *testing.T) {
	p := serving(t, setup{})
	a, err := p.request(web, "k", "GET", "/ticks?3,150", nil)
	must(t, err)
	defer a.Close()
	for i := range 3 {
		if i == 1 {
			// Who comes later with the key begins where the response did.
			p.answers(web, events+ticksOf(3), "k", "GET", "/ticks?3,150", nil)
		}
		got, err := some(t.Context(), a, 1)
		must(t, err)
		if want := fmt.Sprintf("id: %d\ndata: tick\n\n", i); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		v, err := p.Invocation(t.Context(), web, "k", false)
		must(t, err)
		if i == 0 && v.State != api.StateStarted {
			t.Errorf("the program is %s when its first event comes", v.State)
		}
	}
}

func TestAResponseGoesOnAfterACrash(t *testing.T) {
	p := serving(t, setup{})
	const path = "/ticks?12,20"
	for i := range 4 {
		a, err := p.request(web, "k", "GET", path, nil)
		must(t, err)
		got, err := some(t.Context(), a, len(ticksOf(2*(i+1))))
		must(t, err)
		if !strings.HasPrefix(ticksOf(12), got) {
			t.Fatalf("life %d gave %q", i, got)
		}
		p.close() // while the answer is read
		for err == nil {
			_, err = a.Next(t.Context())
		}
		if !errors.Is(err, worker.ErrTakenBack) {
			t.Errorf("the answer of a life that is over ended with %v", err)
		}
		a.Close()
		must(t, p.store.Close())
		p.open()
	}
	p.answers(web, events+ticksOf(12), "k", "GET", path, nil)
	if n := p.count(web, func(b oplog.Body) bool { _, ok := b.(*oplog.Response); return ok }); n != 1 {
		t.Errorf("%d responses are recorded, want one", n)
	}
}

// TestAnAnswerIsTheSameWhereverAWorkerDies kills a worker behind every entry of a
// request, and asks the next life with the same key.
func TestAnAnswerIsTheSameWhereverAWorkerDies(t *testing.T) {
	stored := patternOf(inbound.MaxInline + 5000)
	for _, c := range []struct {
		path, want string
		body       []byte
	}{
		{"/?a", plain + "request 1: PUT a\n", nil},
		{"/ticks?3,1", events + ticksOf(3), nil},
		{"/long?20000", plain + longOf(20000), nil},
		{"/flaky?0", plain + "in any case\nin time\n", nil},
		{"/echo", "200 content-type=text/x " + string(stored), stored},
		{"/trap", "", nil},
		{"/silent", "", nil},
		{"/refuse", "", nil},
	} {
		t.Run(c.path, func(t *testing.T) {
			p := serving(t, setup{})
			// What the answer is, or the code of the problem.
			ask := func(p *platform) string {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				a, err := p.request(web, "k", "PUT", c.path, bytes.NewReader(c.body))
				must(t, err)
				got, err := all(ctx, a)
				if code(err) != "" && got == "" {
					return string(code(err))
				}
				must(t, err)
				return got
			}
			want := c.want
			if want == "" {
				want = string(api.CodeInvocationFailed)
			}
			if got := ask(p); got != want {
				t.Fatalf("got %.200q, want %.200q", got, want)
			}
			p.close()
			accepted := 0
			for e, err := range oplog.Read(t.Context(), p.store.Logs(), web, 1, 0) {
				must(t, err)
				if _, ok := e.Body.(*oplog.InvocationAccepted); ok {
					accepted = int(e.Index)
				}
			}
			for n := 1; ; n++ {
				q := serving(t, setup{})
				w := q.committer.NewWriter(web, 0)
				last := 0
				for e, err := range oplog.Read(t.Context(), p.store.Logs(), web, 1, 0) {
					must(t, err)
					if last = int(e.Index); last <= n {
						_, err := w.Append(t.Context(), e.Body)
						must(t, err)
					}
				}
				must(t, w.Commit(t.Context()))
				if got := ask(q); got != want {
					t.Errorf("after %d of %d entries: got %.200q, want %.200q", n, last, got, want)
				}
				starts := q.count(web, func(b oplog.Body) bool {
					s, ok := b.(*oplog.InvocationStarted)
					return ok && s.Accepted != 0
				})
				if starts != 1 && n >= accepted {
					t.Errorf("after %d of %d entries: %d attempts, want one", n, last, starts)
				}
				q.close()
				if n >= last {
					return
				}
			}
		})
	}
}

// soon is a moment in milliseconds since 1970 that will have come when it did not
// work once.
func soon(in time.Duration) int64 { return time.Now().Add(in).UnixMilli() }

func TestARetryBeforeTheResponseIsInvisible(t *testing.T) {
	p := serving(t, setup{change: func(c *worker.Config) {
		c.Defaults.Retry = api.Retry{Attempts: 50, Initial: api.Duration(10 * time.Millisecond), Max: api.Duration(10 * time.Millisecond), Factor: 1}
	}})
	p.answers(web, plain+"in time\n", "k", "GET", fmt.Sprint("/late?", soon(100*time.Millisecond)), nil)
	v, err := p.Invocation(t.Context(), web, "k", true)
	must(t, err)
	if v.Attempts < 2 {
		t.Fatalf("it worked at once: that shows nothing")
	}
}

func TestAResponseThatIsTakenBackBreaksOff(t *testing.T) {
	p := serving(t, setup{change: func(c *worker.Config) {
		c.Defaults.Retry = api.Retry{Attempts: 50, Initial: api.Duration(10 * time.Millisecond), Max: api.Duration(10 * time.Millisecond), Factor: 1}
	}})
	path := fmt.Sprint("/flaky?", soon(150*time.Millisecond))
	a, err := p.request(web, "k", "GET", path, nil)
	must(t, err)
	got, err := all(t.Context(), a)
	if got != plain+"in any case\n" || !errors.Is(err, worker.ErrTakenBack) {
		t.Errorf("got %q, %v", got, err)
	}
	for {
		a, err := p.request(web, "k", "GET", path, nil)
		must(t, err)
		got, err := all(t.Context(), a)
		if errors.Is(err, worker.ErrTakenBack) {
			continue // it was too early still
		}
		must(t, err)
		if got != plain+"in any case\nin time\n" {
			t.Errorf("got %q", got)
		}
		break
	}
	p.restart()
	p.answers(web, plain+"in any case\nin time\n", "k", "GET", path, nil)
}

func TestTheLastFailureIsTheAnswer(t *testing.T) {
	p := serving(t, setup{change: func(c *worker.Config) { c.Defaults.Retry = api.Retry{Attempts: 2, Initial: 1, Max: 1, Factor: 1} }})
	path := fmt.Sprint("/flaky?", soon(time.Hour))
	a, err := p.request(web, "k", "GET", path, nil)
	must(t, err)
	got, err := all(t.Context(), a)
	if code(err) != api.CodeInvocationFailed && (got != plain+"in any case\n" || !errors.Is(err, worker.ErrTakenBack)) { // the last attempt may be quicker than who reads
		t.Errorf("got %q, %v", got, err)
	}
	p.ends(web, "k", api.StateFailed, "")
	for range 2 {
		a, err := p.request(web, "k", "GET", path, nil)
		must(t, err)
		if got, err := all(t.Context(), a); got != "" || code(err) != api.CodeInvocationFailed {
			t.Errorf("got %q, %v", got, err)
		}
		p.restart()
	}
}

func TestACanceledResponseBreaksOff(t *testing.T) {
	p := serving(t, setup{})
	a, err := p.request(web, "k", "GET", "/ticks?1000000,5", nil)
	must(t, err)
	_, err = some(t.Context(), a, 50)
	must(t, err)
	queued, err := p.request(web, "q", "GET", "/", nil)
	must(t, err)
	_, err = p.Cancel(t.Context(), web, "q")
	must(t, err)
	if got, err := all(t.Context(), queued); got != "" || code(err) != api.CodeInvocationFailed {
		t.Errorf("got %q, %v", got, err)
	}
	_, err = p.Cancel(t.Context(), web, "k")
	must(t, err)
	if _, err := all(t.Context(), a); !errors.Is(err, worker.ErrTakenBack) {
		t.Errorf("got %v", err)
	}
	p.answers(web, plain+"request 1: GET \n", "", "GET", "/", nil)
}

func TestADeletedWorkersResponseBreaksOff(t *testing.T) {
	p := serving(t, setup{})
	a, err := p.request(web, "k", "GET", "/ticks?1000000,5", nil)
	must(t, err)
	_, err = some(t.Context(), a, 50)
	must(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := all(t.Context(), a)
		done <- err
	}()
	must(t, p.Delete(t.Context(), web))
	if err := <-done; !errors.Is(err, worker.ErrTakenBack) {
		t.Errorf("got %v", err)
	}
}

func TestAClientThatReadsNothingStopsNobody(t *testing.T) {
	p := serving(t, setup{})
	const n = 4 << 20
	slow, err := p.request(web, "k", "GET", fmt.Sprint("/long?", n), nil)
	must(t, err)
	_, err = slow.Next(t.Context()) // the head, and no more
	must(t, err)
	p.ends(web, "k", api.StateFinished, fmt.Sprintf(`[{"status":200,"size":%d}]`, n))
	if most := slow.Ahead(); most > 1<<20 {
		t.Errorf("%d bytes are held for a client that reads nothing", most)
	}
	p.answers(web, plain+"request 2: GET \n", "", "GET", "/", nil)
	p.becomes(web, api.Idle)
	got, err := all(t.Context(), slow)
	must(t, err)
	if got != longOf(n) {
		t.Errorf("got %d bytes, or others", len(got))
	}
}

func TestAResponseThatIsTooFastIsALimit(t *testing.T) {
	p := serving(t, setup{change: func(c *worker.Config) { c.Defaults.Limits.OplogRate = 10_000 }})
	a, err := p.request(web, "k", "GET", "/long?1000000", nil)
	must(t, err)
	if _, err := all(t.Context(), a); !errors.Is(err, worker.ErrTakenBack) {
		t.Errorf("got %v", err)
	}
	v, err := p.Invocation(t.Context(), web, "k", true)
	must(t, err)
	if v.Failure == nil || v.Failure.Code != api.FailedLimit {
		t.Errorf("got %+v", v)
	}
}

func TestEphemeralWorkersAnswerAnewEachTime(t *testing.T) {
	p := serving(t, setup{})
	p.create(web, api.NewWorker{Ephemeral: true})
	for range 3 {
		p.answers(web, plain+"request 1: GET \n", "", "GET", "/", nil)
	}
	body := patternOf(inbound.MaxInline + 1)
	p.answers(web, "200 content-type=text/x "+string(body), "e", "PUT", "/echo", bytes.NewReader(body))
	p.answers(web, plain+longOf(9000), "k", "GET", "/long?9000", nil)
	a, err := p.request(web, "t", "GET", "/ticks?10,20", nil)
	must(t, err)
	_, err = some(t.Context(), a, 60)
	must(t, err)
	p.close()
	a.Close()
	must(t, p.store.Close())
	p.open()
	p.answers(web, plain+longOf(9000), "k", "GET", "/long?9000", nil) // from the record
	p.answers(web, events+ticksOf(10), "t", "GET", "/ticks?10,20", nil)
	if n := p.count(web, func(b oplog.Body) bool { _, ok := b.(*oplog.HostCall); return ok }); n != 0 {
		t.Errorf("%d calls are recorded, want none", n)
	}
}

// TestNobodyCanTellHowServersAreKept sends the same requests to workers that are
// kept in all the ways there are.
func TestNobodyCanTellHowServersAreKept(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*worker.Config)
		restart bool
	}{
		"in memory":           {nil, false},
		"evicted":             {func(c *worker.Config) { c.MaxInstances, c.MaxRunning, c.IdleAfter = 1, 1, time.Millisecond }, false},
		"imaged":              {func(c *worker.Config) { c.ImageAfter, c.Defaults.Images.Size = 0, 1 }, false},
		"imaged and evicted":  {func(c *worker.Config) { c.MaxInstances, c.MaxRunning, c.ImageAfter = 1, 1, 0 }, false},
		"replayed":            {func(c *worker.Config) { c.ImageAfter = -1 }, true},
		"imaged and reopened": {func(c *worker.Config) { c.ImageAfter = 0 }, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := serving(t, setup{change: c.change})
			other := id.Worker{Component: "web", Name: "bob"}
			large := patternOf(inbound.MaxInline + 3)
			for i := range 4 {
				for _, w := range []id.Worker{web, other} {
					n := 4*i + 1
					p.answers(w, fmt.Sprintf("%srequest %d: GET \n", plain, n), fmt.Sprint("a", i), "GET", "/", nil)
					p.answers(w, events+ticksOf(2), fmt.Sprint("b", i), "GET", "/ticks?2,1", nil)
					p.answers(w, "200 content-type=text/x "+string(large), fmt.Sprint("c", i), "PUT", "/echo", bytes.NewReader(large))
					p.answers(w, fmt.Sprintf("%srequest %d: GET \n", plain, n+3), fmt.Sprint("d", i), "GET", "/", nil)
				}
				if c.restart {
					p.restart()
				}
				p.answers(web, "200 content-type=text/x "+string(large), "c0", "PUT", "/echo", bytes.NewReader(large))
			}
		})
	}
}

func TestAnswersAreKeptAsResultsAre(t *testing.T) {
	p := serving(t, setup{change: keeping(api.Retention{Oplog: api.KeepInvocations(1), Results: api.KeepInvocations(40), Logs: api.KeepInvocations(1)})})
	large := patternOf(inbound.MaxInline + 3)
	const long = 300_000
	p.answers(web, plain+longOf(long), "long", "GET", fmt.Sprint("/long?", long), nil)
	for i := range 12 {
		p.answers(web, "200 content-type=text/x "+string(large), fmt.Sprint("echo-", i), "PUT", "/echo", bytes.NewReader(large))
		p.answers(web, fmt.Sprintf("%srequest %d: GET \n", plain, 2*i+3), fmt.Sprint("count-", i), "GET", "/", nil)
		if i%5 == 0 {
			p.restart()
		}
	}
	var last uint64
	for e, err := range oplog.Read(t.Context(), p.store.Logs(), web, 1, 0) {
		must(t, err)
		if b, ok := e.Body.(*oplog.InvocationAccepted); ok && b.Key == "count-3" {
			last = e.Index
		}
	}
	p.truncated(web, last)
	for range 2 {
		for i := range 12 {
			p.answers(web, "200 content-type=text/x "+string(large), fmt.Sprint("echo-", i), "PUT", "/echo", bytes.NewReader(large))
			p.answers(web, fmt.Sprintf("%srequest %d: GET \n", plain, 2*i+3), fmt.Sprint("count-", i), "GET", "/", nil)
		}
		a, err := p.request(web, "long", "GET", fmt.Sprint("/long?", long), nil)
		must(t, err)
		if got, err := all(t.Context(), a); code(err) != api.CodeExpired || got != "" {
			t.Errorf("got %.100q, %v", got, err)
		}
		p.restart()
	}
	// Once results are forgotten the key is free.
	for i := range 60 {
		p.answers(web, fmt.Sprintf("%srequest %d: GET \n", plain, 26+i), "", "GET", "/", nil)
	}
	p.eventually("the first answer is forgotten", func() bool {
		a, err := p.request(web, "count-0", "GET", "/", nil)
		got := ""
		if err == nil {
			got, err = all(t.Context(), a)
		}
		if code(err) == api.CodeExpired {
			return false // it is being forgotten
		}
		must(t, err)
		return !strings.Contains(got, "request 3:")
	})
}

func TestTheBodyOfARequestThatWaitsIsNotTruncated(t *testing.T) {
	p := serving(t, setup{change: keeping(api.Retention{Oplog: api.KeepInvocations(1), Results: api.KeepInvocations(1), Logs: api.KeepInvocations(1)})})
	large := patternOf(inbound.MaxInline + 3)
	// The body comes in while others are answered, and the oplog is truncated.
	upload := &interrupted{first: large[:len(large)-1], last: large[len(large)-1:], between: func() {
		for range 40 {
			p.answers(web, "404 content-type=text/plain not found\n", "", "GET", "/none", nil)
		}
	}}
	p.answers(web, "200 content-type=text/x "+string(large), "k", "PUT", "/echo", upload)
	for range 40 {
		p.answers(web, "404 content-type=text/plain not found\n", "", "GET", "/none", nil)
	}
	p.eventually("the body is truncated once nobody needs it", func() bool {
		return p.count(web, func(b oplog.Body) bool { _, ok := b.(*oplog.RequestBody); return ok }) == 0
	})
	p.restart()
	p.answers(web, plain+"request 82: GET \n", "", "GET", "/", nil)
}

// interrupted is a body in two parts, between which something happens.
type interrupted struct {
	first, last []byte
	between     func()
}

func (i *interrupted) Read(p []byte) (int, error) {
	if len(i.first) > 0 {
		n := copy(p, i.first)
		i.first = i.first[n:]
		return n, nil
	}
	if i.between != nil {
		i.between()
		i.between = nil
	}
	if len(i.last) == 0 {
		return 0, io.EOF
	}
	n := copy(p, i.last)
	i.last = i.last[n:]
	return n, nil
}

func TestNothingOfAResponseIsGivenBeforeItIsDurable(t *testing.T) {
	p, tricks := newTrickyPlatform(t, setup{})
	p.deploy("web", guests.Wasm(t, "components/http"))
	p.answers(web, plain+"request 1: GET \n", "", "GET", "/", nil)
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	t.Cleanup(free)
	tricks.set(func() error { <-release; return nil }, nil)
	a, err := p.request(web, "k", "GET", "/long?50000", nil)
	must(t, err)
	p.eventually("all has happened, in memory", func() bool {
		page, err := p.List(t.Context(), api.WorkerFilter{Component: "web"}, nil, "", 10)
		return err == nil && len(page.Items) > 0 && page.Items[0].Status == api.Idle
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if part, err := a.Next(ctx); code(err) != api.CodeTimeout {
		t.Errorf("got %+v, %v before anything is durable", part, err)
	}
	free()
	got, err := all(t.Context(), a)
	must(t, err)
	if got != plain+longOf(50000) {
		t.Errorf("got %.200q", got)
	}
}
