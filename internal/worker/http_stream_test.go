package worker_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// letters are n bytes, as the guest makes them.
func letters(n int) string {
	p := make([]byte, n)
	for i := range p {
		p[i] = 'a' + byte(i%26)
	}
	return string(p)
}

// streaming is a request of the guest without its body.
func streaming(method, url string, headers ...[]string) map[string]any {
	if headers == nil {
		headers = [][]string{}
	}
	return map[string]any{"method": method, "url": url, "headers": headers, "body": ""}
}

// TestAnUploadGoesOnWhereverAWorkerDies kills a worker behind every entry of a
// call that sends a long body, and looks at what the next life sends.
func TestAnUploadGoesOnWhereverAWorkerDies(t *testing.T) {
	const size = 2*exchange.Window + 10_000
	const terminated = `[{"error":"ErrorCode::ConnectionTerminated"}]`
	for _, c := range []struct {
		name, method string
		settings     api.HTTP
		headers      [][]string
		repeated     bool
	}{
		{"a PUT", "PUT", api.HTTP{}, nil, true},
		{"a PUT of known length", "PUT", api.HTTP{}, [][]string{{"content-length", fmt.Sprint(size)}}, true},
		{"a POST with its key", "POST", api.HTTP{}, nil, true},
		{"a POST without a key", "POST", api.HTTP{Keys: api.KeysOff}, nil, false},
		{"a POST that is repeated", "POST", api.HTTP{Keys: api.KeysOff, InDoubt: api.InDoubtRetry}, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var lengths []int64
			r := newRemote(t, func(w http.ResponseWriter, q *http.Request) {
				body, _ := io.ReadAll(q.Body)
				if string(body) != letters(size) {
					t.Errorf("%d bytes have come, which are not those that were sent", len(body))
				}
				lengths = append(lengths, q.ContentLength)
				w.Header().Set("ETag", `"1"`)
				w.Header()["Date"] = nil
			})
			first := record(t, c.settings, r, "stream", streaming(c.method, r.URL+"/x", c.headers...), size, 20_000, 0, []any{})
			if !strings.Contains(first.result, `"status":200`) || len(first.keys) != 1 {
				t.Fatalf("got %s; the remote was asked %v", first.result, first.keys)
			}
			intent, outcome := first.at(t, "HostCallStarted"), first.at(t, "HostCallFinished")
			if outcome < intent+size/exchange.MaxChunk {
				t.Fatalf("the body is not in the oplog: %v", first.kinds)
			}
			step := 1
			if testing.Short() {
				step = 4
			}
			for n := first.at(t, "InvocationAccepted") + 1; n < len(first.kinds); n += step {
				got, asked := first.resume(t, c.settings, n), 0
				for key, times := range r.forget() {
					asked += times
					if first.keys[key] == 0 {
						t.Errorf("after %d entries: the key is %q, and was one of %v", n, key, first.keys)
					}
				}
				want, result := 1, first.result
				switch {
				case n > outcome:
					want = 0
				case n > intent && !c.repeated:
					want, result = 0, terminated
				}
				if asked != want || got != result {
					t.Errorf("after %d of %d entries (%s): the remote was asked %d times, want %d; got %.200s, want %.200s",
						n, len(first.kinds), first.kinds[n-1], asked, want, got, result)
				}
			}
			for _, n := range lengths {
				if known := c.headers != nil; known != (n == size) {
					t.Errorf("the length was said to be %d", n)
				}
			}
		})
	}
}

// TestAProgramCanGoOnWithWhatItSendsWhenItHasAnAnswer has a conversation in one
// request.
func TestAProgramCanGoOnWithWhatItSendsWhenItHasAnAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		both := http.NewResponseController(w)
		_ = both.EnableFullDuplex()
		_ = both.Flush()
		for lines := bufio.NewScanner(q.Body); lines.Scan(); {
			fmt.Fprintf(w, "heard %s\n", lines.Text())
			_ = both.Flush()
		}
	}))
	defer server.Close()
	p := fetches(t, setup{}, api.HTTP{})
	if got := p.sends("converse", server.URL, 3); got != `[{"ok":["heard line 0","heard line 1","heard line 2"]}]` {
		t.Errorf("got %s", got)
	}
}

func TestABodyThatAProgramGivesUpDoesNotLookWhole(t *testing.T) {
	ends := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		ends <- fmt.Sprintf("%q, %v", body, err)
	}))
	defer server.Close()
	p := fetches(t, setup{}, api.HTTP{})
	if got := p.sends("give-up", server.URL); got != `[{"error":"ErrorCode::HttpProtocolError"}]` {
		t.Errorf("got %s", got)
	}
	if got := <-ends; got != `"begun", unexpected EOF` {
		t.Errorf("the remote got %s", got)
	}
}

// TestABodyIsWrittenInSeveralInvocations adds to a body, between which the worker
// leaves memory.
func TestABodyIsWrittenInSeveralInvocations(t *testing.T) {
	for _, imageAfter := range []time.Duration{0, -1} {
		t.Run(fmt.Sprint(imageAfter), func(t *testing.T) {
			r := newRemote(t, nil)
			p := fetches(t, setup{change: func(c *worker.Config) { c.ImageAfter = imageAfter }}, api.HTTP{})
			p.sends("open", r.URL+"/x")
			for i := range 3 {
				p.sends("more", fmt.Sprintf("part %d,", i))
				p.restart()
			}
			p.sends("more", strings.Repeat("x", 10))
			if got := p.sends("close"); !strings.Contains(got, `"body":"part 0,part 1,part 2,xxxxxxxxxx"`) {
				t.Errorf("got %s", got)
			}
			if got := fmt.Sprintf("%q", r.requests()); got != `["PUT /x \"part 0,part 1,part 2,xxxxxxxxxx\""]` {
				t.Errorf("the remote was asked %s", got)
			}
		})
	}
}

func TestTrailersFollowABodyThatWasStreamed(t *testing.T) {
	got := ""
	r := newRemote(t, func(w http.ResponseWriter, q *http.Request) {
		got = fmt.Sprint(q.Trailer)
		w.Header().Set("Trailer", "x-back")
		fmt.Fprint(w, "body")
		w.Header().Set("x-back", "9")
	})
	p := fetches(t, setup{}, api.HTTP{})
	answer := p.sends("stream", streaming("PUT", r.URL), 100_000, 4096, 0, []any{[]string{"x-sum", "7"}})
	if got != "map[X-Sum:[7]]" || !strings.Contains(answer, `"trailers":[["x-back","9"]]`) {
		t.Errorf("the remote got %s; the program %s", got, answer)
	}
	// Behind a body of which the length is known there is no place for any.
	refused := p.sends("stream", streaming("PUT", r.URL, []string{"content-length", "100000"}), 100_000, 4096, 0, []any{[]string{"x-sum", "7"}})
	if refused != `[{"error":"ErrorCode::HttpProtocolError"}]` {
		t.Errorf("got %s", refused)
	}
}

// TestAnAnswerBeforeTheEndOfABodyEndsIt is a remote that wants no more.
func TestAnAnswerBeforeTheEndOfABodyEndsIt(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	}))
	defer server.Close()
	p := fetches(t, setup{}, api.HTTP{})
	got := p.sends("stream", streaming("PUT", server.URL), 20_000_000, 60_000, 0, []any{})
	if !strings.Contains(got, "413") && !strings.Contains(got, "Connection") {
		t.Errorf("got %s", got)
	}
}

// TestBodiesWaitForTheRateOfTheOplog sends and gets more than may be recorded in
// ten seconds, which ends the attempt for all else.
func TestBodiesWaitForTheRateOfTheOplog(t *testing.T) {
	const rate, size = 256 << 10, 700 << 10
	const most = 10 * rate
	r := newRemote(t, func(w http.ResponseWriter, q *http.Request) {
		if q.Method == "GET" {
			_, _ = w.Write(make([]byte, most))
		}
	})
	p := fetches(t, setup{change: func(c *worker.Config) { c.Defaults.Limits.OplogRate = rate }}, api.HTTP{})
	began := time.Now()
	p.sends("stream", streaming("PUT", r.URL+"/x", []string{"content-length", fmt.Sprint(size)}), size, 60_000, 0, []any{})
	p.sends("download", r.URL)
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("%d bytes took %v", size+most, took)
	}
}
