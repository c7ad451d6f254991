package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// TestACrawlerThatIsKilledCountsEachOfAThousandPagesOnce has a worker for each
// page of a site that fails at random.
func TestACrawlerThatIsKilledCountsEachOfAThousandPagesOnce(t *testing.T) {
	random := randomOf(t, 1000)
	const pages = 1000
	site := startWorld(t, "crawler/site", "-pages", fmt.Sprint(pages))
	s := startServer(t, "--workers-suspend-after", "50ms", "--workers-idle-after", "200ms", "--retry-initial", "10ms", "--http-allow", "127.0.0.1")
	c := s.client()
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	if _, err := c.Deploy(ctx, "crawler", guests.Wasm(t, "crawler"), nil); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	args, err := json.Marshal([]string{site.url})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Invoke(ctx, "crawler", "boss", api.Call{Function: "crawl", Args: args, Key: "k", Async: true}); err != nil {
		t.Fatal(err)
	}
	n := share(2)
	for range n {
		time.Sleep(time.Duration(20+random.IntN(max(400, 8000/n))) * time.Millisecond)
		s.kill()
		s.start()
	}
	v, err := c.Await(ctx, "crawler", "boss", "k")
	took := time.Since(began)
	// Each page but the first is linked to by one other, and all link to the first.
	const links = 2*pages - 1
	const words = pages*(pages-1)/2 + links
	if want := fmt.Sprintf(`[{"ok":{"pages":%d,"words":%d,"links":%d}}]`, pages, words, links); err != nil || string(v.Result) != want {
		t.Fatalf("the crawler found %s %+v, %v, want %s (seed %d)", v.Result, v.Failure, err, want, *seed)
	}
	lookers := 0
	for w, err := range c.Workers(ctx, api.WorkerFilter{Component: "crawler", Name: "page-*"}) {
		if err != nil {
			t.Fatal(err)
		}
		lookers++
		v, err := c.Invoke(ctx, "crawler", w.Name, api.Call{Function: "looked"})
		if err != nil || string(v.Result) != "[1]" {
			t.Errorf("%s has looked %s times, %v, want once (seed %d)", w.Name, v.Result, err, *seed)
		}
	}
	if lookers != pages {
		t.Errorf("%d workers have looked at %d pages (seed %d)", lookers, pages, *seed)
	}
	t.Logf("%d kills, %d pages in %v", n, pages, took.Round(time.Millisecond))
}
