package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// outgoingBatch is how many requests one turn sends at the same time.
const outgoingBatch = 60

// BenchmarkOutgoing compares requests that a program sends, each durable before it
// leaves and recorded with what comes back, with those of Go's own client: GET, or
// POST with a body of 100 bytes, as many at the same time.
func BenchmarkOutgoing(b *testing.B) {
	remote := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		fmt.Fprint(w, "hello")
	}))
	defer remote.Close()
	for _, method := range []string{"GET", "POST"} {
		b.Run(method, func(b *testing.B) {
			ours := startServer(b, b.TempDir(), "--http-allow", "127.0.0.1", "--limits-oplog-rate", "1GiB")
			deploy(b, ours.client(b), "fetch")
			body := ""
			if method == "POST" {
				body = strings.Repeat("x", 100)
			}
			one := map[string]any{"method": method, "url": remote.URL, "headers": []any{}, "body": body}
			var requests []any
			for range outgoingBatch {
				requests = append(requests, one)
			}
			args, err := json.Marshal([]any{requests})
			if err != nil {
				b.Fatal(err)
			}
			h := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: outgoingBatch}}
			b.Cleanup(h.CloseIdleConnections)
			program := func(int) error { return call(h, ours.url+"/v1/workers/fetch/w/invoke/all", string(args)) }
			plain := func(int) error { return batch(h, method, remote.URL, body) }
			drive(b, 1, slice/4, program)
			drive(b, 1, slice/4, plain)
			var mine, floor sample
			b.ResetTimer()
			for range b.N {
				mine.add(drive(b, 1, slice, program))
				floor.add(drive(b, 1, slice, plain))
			}
			if b.Failed() {
				return
			}
			b.ReportMetric(outgoingBatch*mine.rate(), "requests/s")
			b.ReportMetric(outgoingBatch*floor.rate(), "go-requests/s")
			b.ReportMetric(100*mine.rate()/floor.rate(), "%-of-go")
		})
	}
}

// batch sends requests at the same time, by Go's client.
func batch(h *http.Client, method, url, body string) error {
	var all sync.WaitGroup
	errs := make(chan error, outgoingBatch)
	for range outgoingBatch {
		all.Go(func() {
			q, err := http.NewRequest(method, url, strings.NewReader(body))
			if err == nil {
				var response *http.Response
				if response, err = h.Do(q); err == nil {
					_, err = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
			}
			errs <- err
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
