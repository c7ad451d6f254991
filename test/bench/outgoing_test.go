package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// outgoing are ways in which programs send requests.
var outgoing = []struct {
	name    string
	workers int // each for a client of its own, which waits for the end of its invocation
	batch   int // requests that an invocation sends at the same time
}{{"together", 1, 60}, {"alone", 1, 1}, {"apart", 64, 1}}

// BenchmarkOutgoing compares requests that programs send, each durable before it
// leaves and recorded with what comes back, with those of Go's own client: GET, or
// POST with a body of 100 bytes, as many at the same time. Programs are invoked for
// them, durably, Go's client is not.
func BenchmarkOutgoing(b *testing.B) {
	remote := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		fmt.Fprint(w, "hello")
	}))
	defer remote.Close()
	for _, method := range []string{"GET", "POST"} {
		for _, how := range outgoing {
			b.Run(method+"/"+how.name, func(b *testing.B) {
				ours := startServer(b, b.TempDir(), "--http-allow", "127.0.0.1", "--limits-oplog-rate", "1GiB")
				deploy(b, ours.client(b), "fetch")
				body := ""
				if method == "POST" {
					body = strings.Repeat("x", 100)
				}
				one := map[string]any{"method": method, "url": remote.URL, "headers": []any{}, "body": body}
				args, err := json.Marshal([]any{slices.Repeat([]any{one}, how.batch)})
				must(b, err)
				h := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: maxClients}}
				b.Cleanup(h.CloseIdleConnections)
				program := func(i int) error {
					return call(h, fmt.Sprintf("%s/v1/workers/fetch/w%d/invoke/all", ours.url, i), string(args))
				}
				plain := func(int) error { return batch(h, how.batch, method, remote.URL, body) }
				drive(b, how.workers, slice/4, program)
				drive(b, how.workers, slice/4, plain)
				var mine, floor sample
				costs := []struct {
					metric, unit string
					factor, sum  float64
				}{
					{metric: "waterbear_commits_total", unit: "commits/request", factor: 1},
					{metric: "process_cpu_seconds_total", unit: "CPU-µs/request", factor: 1e6},
				}
				b.ResetTimer()
				for range b.N {
					for i := range costs {
						costs[i].sum -= ours.metric(b, costs[i].metric)
					}
					mine.add(drive(b, how.workers, slice, program))
					for i := range costs {
						costs[i].sum += ours.metric(b, costs[i].metric)
					}
					floor.add(drive(b, how.workers, slice, plain))
				}
				if b.Failed() {
					return
				}
				batch := float64(how.batch)
				b.ReportMetric(batch*mine.rate(), "requests/s")
				b.ReportMetric(batch*floor.rate(), "go-requests/s")
				b.ReportMetric(100*mine.rate()/floor.rate(), "%-of-go")
				for _, c := range costs {
					b.ReportMetric(c.factor*c.sum/(batch*float64(len(mine.took))), c.unit)
				}
			})
		}
	}
}

// batch sends n requests at the same time, by Go's client.
func batch(h *http.Client, n int, method, url, body string) error {
	var all sync.WaitGroup
	errs := make(chan error, n)
	for range n {
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
