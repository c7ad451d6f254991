package worker_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// pattern is n bytes, and their sum as the guest makes it.
func pattern(n int) ([]byte, uint64) {
	p, sum := make([]byte, n), uint64(0)
	for i := range p {
		p[i] = byte(i*7 + i>>8)
		sum = sum*31 + uint64(p[i])
	}
	return p, sum
}

// TestADownloadGoesOnWhereverAWorkerDies reads a body of many pieces, and kills
// the worker behind every entry.
func TestADownloadGoesOnWhereverAWorkerDies(t *testing.T) {
	content, sum := pattern(200_000)
	r := newRemote(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		_, _ = w.Write(content)
	})
	first := record(t, api.HTTP{}, r, "download", r.URL+"/")
	want := fmt.Sprintf(`[{"ok":[%d,%d]}]`, len(content), sum)
	if first.result != want {
		t.Fatalf("got %s, want %s", first.result, want)
	}
	outcome := first.at(t, "HostCallFinished")
	for n := outcome + 1; n < len(first.kinds); n++ {
		if got := first.resume(t, api.HTTP{}, n); got != want {
			t.Errorf("after %d of %d entries: got %s, want %s", n, len(first.kinds), got, want)
		}
		if asked := r.forget()[""]; asked > 1 {
			t.Errorf("after %d entries the remote was asked %d times", n, asked)
		}
	}
}

func TestRequestsAreUnderWayAtTheSameTime(t *testing.T) {
	const n = 5
	arrived := make(chan struct{}, n)
	r := newRemote(t, func(w http.ResponseWriter, q *http.Request) {
		arrived <- struct{}{}
		for len(arrived) < n { // nobody gets an answer before all have asked
			time.Sleep(time.Millisecond)
		}
		fmt.Fprint(w, q.URL.Path)
	})
	p := fetches(t, setup{}, api.HTTP{})
	var requests []any
	for i := range n {
		requests = append(requests, map[string]any{"method": "GET", "url": fmt.Sprintf("%s/%d", r.URL, i), "headers": []any{}, "body": ""})
	}
	got := p.sends("all", requests)
	for i := range n {
		if !strings.Contains(got, fmt.Sprintf(`"body":"/%d"`, i)) {
			t.Errorf("no answer is /%d: %s", i, got)
		}
	}
}

// TestABodyStaysOpenBetweenInvocations reads a body in two invocations, between
// which the worker leaves memory.
func TestABodyStaysOpenBetweenInvocations(t *testing.T) {
	content := strings.Repeat("0123456789", 50_000)
	for name, tag := range map[string]string{"with a tag": `"v1"`, "without": ""} {
		for _, imageAfter := range []time.Duration{0, -1} {
			t.Run(fmt.Sprint(name, imageAfter), func(t *testing.T) {
				r := newRemote(t, func(w http.ResponseWriter, _ *http.Request) {
					if tag != "" {
						w.Header().Set("ETag", tag)
					}
					fmt.Fprint(w, content)
				})
				p := fetches(t, setup{change: func(c *worker.Config) { c.ImageAfter = imageAfter }}, api.HTTP{})
				p.sends("begin", r.URL+"/")
				if got := p.sends("rest", 15); got != `[{"ok":"012345678901234"}]` {
					t.Fatalf("got %s", got)
				}
				p.restart()
				want := `[{"ok":"56789"}]`
				if tag == "" {
					want = `[{"error":"ErrorCode::ConnectionTerminated"}]`
				}
				if got := p.sends("rest", 5); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		}
	}
}

func TestAProgramNeedNotWaitForAnAnswer(t *testing.T) {
	release := make(chan struct{})
	r := newRemote(t, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/late" {
			select {
			case <-release:
			case <-q.Context().Done():
			}
		}
		fmt.Fprint(w, "here")
	})
	defer close(release)
	p := fetches(t, setup{}, api.HTTP{})
	if got := p.sends("patience", r.URL+"/late", 20); got != "[null]" {
		t.Errorf("got %s", got)
	}
	if got := p.sends("patience", r.URL+"/", 60_000); got != `[{"ok":"here"}]` {
		t.Errorf("got %s", got)
	}
}

// TestAWaitForAnAnswerKeepsTheInstanceAndNoSlot lets one worker wait for longer
// than workers wait in memory, while another one needs its slot.
func TestAWaitForAnAnswerKeepsTheInstanceAndNoSlot(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	r := newRemote(t, func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-release
		fmt.Fprint(w, "at last")
	})
	p := fetches(t, setup{change: func(c *worker.Config) { c.MaxRunning, c.SuspendAfter = 1, time.Millisecond }}, api.HTTP{})
	p.async(fetcher, "k", "patience", r.URL, 30_000)
	<-begun
	p.want(shop, "[1]", "inc", 1)
	close(release)
	p.ends(fetcher, "k", api.StateFinished, `[{"ok":"at last"}]`)
	for e, err := range oplog.Read(t.Context(), p.store.Logs(), fetcher, 1, 0) {
		must(t, err)
		if _, is := e.Body.(*oplog.Suspended); is {
			t.Error("it was suspended")
		}
	}
	if len(r.requests()) != 1 {
		t.Errorf("the remote was asked %q", r.requests())
	}
}

func TestWhereAProgramMayGoIsASetting(t *testing.T) {
	r := newRemote(t, nil)
	const denied = `[{"error":"ErrorCode::HttpRequestDenied"}]`
	p := fetches(t, setup{}, api.HTTP{Allow: []string{"public"}})
	localhost := strings.Replace(r.URL, "127.0.0.1", "localhost", 1)
	for _, url := range []string{r.URL, localhost} {
		if got := p.sends("get", url); got != denied {
			t.Errorf("%s: got %s", url, got)
		}
	}
	_, err := p.catalog.Configure(t.Context(), "fetch", api.Settings{HTTP: api.HTTP{Allow: []string{"localhost"}}})
	must(t, err)
	if got := p.sends("get", localhost); got != `[{"ok":""}]` {
		t.Errorf("allowed: got %s", got)
	}
	if got := p.sends("get", r.URL); got != denied {
		t.Errorf("by its address: got %s", got)
	}
	if want := []string{`GET / ""`}; !slices.Equal(r.requests(), want) {
		t.Errorf("the remote was asked %q", r.requests())
	}
	_, err = p.catalog.Configure(t.Context(), "fetch", api.Settings{HTTP: api.HTTP{Allow: []string{"http://x"}, Keys: "maybe", InDoubt: "wait", InDoubtRules: []string{"POST a=wait"}}})
	p.refused(err, api.CodeInvalid)
}

func TestEphemeralWorkersSendRequests(t *testing.T) {
	r := newRemote(t, nil)
	p := fetches(t, setup{}, api.HTTP{})
	p.create(fetcher, api.NewWorker{Ephemeral: true})
	for range 2 {
		if got := p.sends("post", r.URL, "x"); got != `[{"ok":"x"}]` {
			t.Errorf("got %s", got)
		}
	}
	if len(r.forget()) != 2 {
		t.Error("two invocations have the same keys")
	}
}

// TestNoTwoWorkersHaveTheSameKeys lets workers that are alike in all but who they are
// send the same request: a remote that takes one key for one request must take each.
func TestNoTwoWorkersHaveTheSameKeys(t *testing.T) {
	r := newRemote(t, nil)
	p := fetches(t, setup{}, api.HTTP{})
	p.deploy("fetch2", guests.Wasm(t, "fetch"))
	sent := 0
	post := func(w id.Worker) {
		p.want(w, `[{"ok":"x"}]`, "post", r.URL, "x")
		sent++
	}
	for _, w := range []id.Worker{fetcher, {Component: "fetch", Name: "bob"}, {Component: "fetch2", Name: "alice"}} {
		post(w)
		post(w)
		must(t, p.Delete(t.Context(), w))
		post(w) // of the same name, and another worker
	}
	if keys := r.forget(); len(keys) != sent {
		t.Errorf("%d requests have %d keys: %v", sent, len(keys), keys)
	}
}

func TestALongBodyIsSentAndReceivedWhole(t *testing.T) {
	r := newRemote(t, nil)
	p := fetches(t, setup{}, api.HTTP{})
	got := p.sends("upload", r.URL, 600_000)
	if !strings.HasPrefix(got, `[{"ok":"abc`) || len(got) != 600_000+len(`[{"ok":""}]`) {
		t.Errorf("got %.40s, %d bytes", got, len(got))
	}
	whole := newRemote(t, func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		fmt.Fprint(w, string(body) == letters(20<<20))
	})
	if got := p.sends("stream", streaming("PUT", whole.URL), 20<<20, 100_000, 0, []any{}); !strings.Contains(got, `"body":"true"`) {
		t.Errorf("streamed: got %.200s", got)
	}
}
