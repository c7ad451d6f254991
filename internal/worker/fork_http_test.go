package worker_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// TestAWorkerThatForksAnswersARequestOnce: each of the two has an answer, and the client
// gets the original's. What it has sent is read behind the fork.
func TestAWorkerThatForksAnswersARequestOnce(t *testing.T) {
	for name, imageAfter := range map[string]bool{"replayed": false, "imaged": true} {
		t.Run(name, func(t *testing.T) {
			p := fetches(t, setup{change: func(c *worker.Config) {
				c.Defaults.HTTP.MaxRequest = 8 << 20
				c.ImageAfter = -1
				if imageAfter {
					c.ImageAfter = 0
				}
			}}, api.HTTP{})
			p.deploy("forker", guests.Wasm(t, "components/forker"))
			a := id.Worker{Component: "forker", Name: "a"}
			for i, size := range []int{10, 300_000} {
				copied := id.Worker{Component: "forker", Name: string(rune('b' + i))}
				body := strings.Repeat("x", size)
				bytes := map[int]string{10: "10", 300_000: "300000"}[size]
				want := func(side string) string {
					return "200 before\n" + side + " forker/" + copied.Name + "\n" + bytes + " bytes\n"
				}
				key := "k" + copied.Name
				p.answers(a, want("original of"), key, "POST", "/"+copied.Name, strings.NewReader(body))
				p.answers(copied, want("forked as"), key, "POST", "/"+copied.Name, strings.NewReader(body))
				p.restart()
				p.answers(copied, want("forked as"), key, "POST", "/"+copied.Name, strings.NewReader(body))
				must(t, p.Delete(t.Context(), copied))
			}
		})
	}
}

// TestAWorkerIsNotForkedWhileItsRequestsAreUnderWay, but when it has dropped them.
func TestAWorkerIsNotForkedWhileItsRequestsAreUnderWay(t *testing.T) {
	r := newRemote(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) })
	p := fetches(t, setup{change: func(c *worker.Config) { c.Defaults.HTTP.MaxRequest = 8 << 20 }}, api.HTTP{})
	p.deploy("forker", guests.Wasm(t, "components/forker"))
	a, b := id.Worker{Component: "forker", Name: "a"}, id.Worker{Component: "forker", Name: "b"}
	refused := "Failure::Invalid: a worker cannot be forked while HTTP requests of it are under way: read their responses to the end, or drop them, before\n"
	path := "/b?" + strings.TrimPrefix(r.URL, "http://") + "/x"
	p.answers(a, "200 before\n"+refused+"original of forker/b\n0 bytes\n", "k", "POST", path, nil)
	p.answers(b, "200 before\n"+refused+"forked as forker/b\n0 bytes\n", "k", "POST", path, nil)
	if n := len(r.requests()); n != 1 {
		t.Errorf("%d requests were sent", n)
	}
}
