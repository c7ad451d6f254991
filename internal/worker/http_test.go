package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/host/live"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// remote is a server that records what it is asked.
type remote struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string       // method, path, key and body of each request
	keys  map[string]int // requests by key
}

// newRemote serves with h, or echoes the body.
func newRemote(t *testing.T, h http.HandlerFunc) *remote {
	r := &remote{keys: map[string]int{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		key := q.Header.Get("Idempotency-Key")
		r.mu.Lock()
		r.asked = append(r.asked, fmt.Sprintf("%s %s %q", q.Method, q.URL.RequestURI(), body))
		r.keys[key]++
		r.mu.Unlock()
		q.Body = io.NopCloser(strings.NewReader(string(body)))
		if h != nil {
			h(w, q)
			return
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *remote) requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.asked...)
}

// fetches is a platform with the component fetch, whose programs may reach this
// machine unless settings say something else.
func fetches(t *testing.T, s setup, settings api.HTTP) *platform {
	t.Helper()
	change := s.change
	s.change = func(c *worker.Config) {
		client := live.NewHTTP(c.Sched)
		c.HTTP = client
		c.Defaults.HTTP = worker.Merge(api.Settings{HTTP: settings}, api.Settings{HTTP: api.HTTP{
			Allow: []string{"127.0.0.1"}, Keys: api.KeysAuto, InDoubt: api.InDoubtFail, MaxResponse: 8 << 20,
		}}).HTTP
		if change != nil {
			change(c)
		}
	}
	p := s.platform(t)
	p.deploy("fetch", guests.Wasm(t, "fetch"))
	return p
}

var fetcher = id.Worker{Component: "fetch", Name: "alice"}

// sends makes a call, and gives its result as JSON.
func (p *platform) sends(function string, args ...any) string {
	p.t.Helper()
	v, err := p.invoke(fetcher, function, args...)
	must(p.t, err)
	if v.State != api.StateFinished {
		p.t.Fatalf("%s%v: %s %+v", function, args, v.State, v.Failure)
	}
	return string(v.Result)
}

func TestProgramsSendRequests(t *testing.T) {
	r := newRemote(t, nil)
	p := fetches(t, setup{}, api.HTTP{})
	if got := p.sends("get", r.URL+"/a?b=c"); got != `[{"ok":""}]` {
		t.Errorf("got %s", got)
	}
	if got := p.sends("post", r.URL+"/x", "hello"); got != `[{"ok":"hello"}]` {
		t.Errorf("got %s", got)
	}
	want := []string{`GET /a?b=c ""`, `POST /x "hello"`}
	if got := r.requests(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the remote was asked %q, want %q", got, want)
	}
	if len(r.keys) != 2 || r.keys[""] != 1 {
		t.Errorf("the keys were %v, want one for the POST", r.keys)
	}
}

// history is what a worker has recorded of one call, and what the remote was asked
// meanwhile.
type history struct {
	kinds  []string // of its entries
	logs   storage.Logs
	result string
	keys   map[string]int
}

// record makes a call and gives all that the worker's oplog has then.
func record(t *testing.T, settings api.HTTP, r *remote, function string, args ...any) history {
	t.Helper()
	p := fetches(t, setup{}, settings)
	raw, err := json.Marshal(args)
	must(t, err)
	v, err := p.Invoke(t.Context(), fetcher, api.Call{Function: function, Args: raw, Key: "k"})
	must(t, err)
	must(t, p.committer.Close())
	l := history{logs: p.store.Logs(), result: string(v.Result), keys: r.forget()}
	for e, err := range oplog.Read(t.Context(), p.store.Logs(), fetcher, 1, 0) {
		must(t, err)
		l.kinds = append(l.kinds, oplog.Name(e.Body))
	}
	return l
}

// forget gives how often the remote was asked by which key, and begins anew.
func (r *remote) forget() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := r.keys
	r.keys, r.asked = map[string]int{}, nil
	return keys
}

// resume lets a worker of which the first n entries are durable go on with the
// call that it has recorded, and gives the result.
func (l history) resume(t *testing.T, settings api.HTTP, n int) string {
	t.Helper()
	p := l.revive(t, settings, n)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	v, err := p.Invocation(ctx, fetcher, "k", true)
	must(t, err)
	if v.State != api.StateFinished {
		t.Fatalf("after %d entries: %s %+v", n, v.State, v.Failure)
	}
	p.close()
	return string(v.Result)
}

// revive is a platform with a worker of which the first n entries are durable: it
// goes on when it is looked at.
func (l history) revive(t *testing.T, settings api.HTTP, n int) *platform {
	t.Helper()
	p := fetches(t, setup{}, settings)
	w := p.committer.NewWriter(fetcher, 0)
	for e, err := range oplog.Read(t.Context(), l.logs, fetcher, 1, uint64(n)) {
		must(t, err)
		_, err := w.Append(t.Context(), e.Body)
		must(t, err)
	}
	must(t, w.Commit(t.Context()))
	return p
}

// at gives the place of the first entry of a kind.
func (l history) at(t *testing.T, kind string) int {
	t.Helper()
	i := slices.Index(l.kinds, kind)
	if i < 0 {
		t.Fatalf("there is no %s", kind)
	}
	return i
}

// TestRequestsAreSentAsPromisedWhereverAWorkerDies kills a worker behind every
// entry of a call, and counts what the remote is asked by the next life.
func TestRequestsAreSentAsPromisedWhereverAWorkerDies(t *testing.T) {
	const terminated = `[{"error":"ErrorCode::ConnectionTerminated"}]`
	for _, c := range []struct {
		name     string
		settings api.HTTP
		function string
		args     []any
		// What the next life asks and gives once the intent is durable, and once
		// the outcome is.
		inDoubt, answered             int
		inDoubtResult, answeredResult string
	}{
		{"a GET is sent again", api.HTTP{}, "get", nil, 1, 1, "", ""},
		{"a PUT is sent again", api.HTTP{}, "upload", []any{100_000}, 1, 0, "", terminated},
		{"a POST is sent again with its key", api.HTTP{}, "post", []any{"hello"}, 1, 1, "", ""},
		{"a POST without a key fails", api.HTTP{Keys: api.KeysOff}, "post", []any{"hello"}, 0, 0, terminated, terminated},
		{"a POST without a key is sent again if that is wanted", api.HTTP{Keys: api.KeysOff, InDoubt: api.InDoubtRetry}, "post", []any{"hello"}, 1, 0, "", terminated},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRemote(t, func(w http.ResponseWriter, q *http.Request) {
				body, _ := io.ReadAll(q.Body)
				fmt.Fprintf(w, "got %d bytes", len(body))
			})
			first := record(t, c.settings, r, c.function, append([]any{r.URL + "/x"}, c.args...)...)
			if len(first.keys) != 1 {
				t.Fatalf("the remote was asked %v", first.keys)
			}
			intent, outcome := first.at(t, "HostCallStarted"), first.at(t, "HostCallFinished")
			last := len(first.kinds) - 1 // the end of the invocation
			read := outcome + 1
			for read < last && first.kinds[read] != "HostCall" {
				read++
			}
			whole := last - 1 // the end of the body may come with its last bytes, or behind them
			ended := false
			for n := first.at(t, "InvocationAccepted") + 1; n <= last; n++ {
				got := first.resume(t, c.settings, n)
				asked, want, result := r.forget(), 1, first.result
				switch {
				case n > whole:
					want = 0
				case n > read: // another answer could have another rest, if there is one
					want = 0
					if ended = ended || got == first.result; !ended {
						result = terminated
					}
				case n > outcome:
					want = c.answered
					if c.answeredResult != "" {
						result = c.answeredResult
					}
				case n > intent:
					want = c.inDoubt
					if c.inDoubtResult != "" {
						result = c.inDoubtResult
					}
				}
				total := 0
				for key, times := range asked {
					total += times
					if first.keys[key] == 0 {
						t.Errorf("after %d of %d entries: the key is %q, and was one of %v", n, last+1, key, first.keys)
					}
				}
				if total != want || got != result {
					t.Errorf("after %d of %d entries (%s): the remote was asked %d times, want %d; got %.100s, want %.100s",
						n, last+1, first.kinds[n-1], total, want, got, result)
				}
			}
		})
	}
}
