package agenda

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

func TestACalendarOfManyFindsAndOrdersAllOfThem(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := newCalendar()
		m := map[id.Worker]oplog.Time{}
		for range 20_000 {
			// Grows, shrinks and grows again: those that go leave holes.
			w := worker(r.IntN(1 + r.IntN(3000)))
			at := oplog.Time(r.IntN(5) * r.IntN(1000))
			if changed, want := c.set(w, at), m[w] != at; changed != want {
				t.Fatalf("seed %d: set(%s, %d) = %v, want %v", seed, w, at, changed, want)
			}
			if m[w] = at; at == 0 {
				delete(m, w)
			}
		}
		if c.size() != len(m) || len(c.items) > 3000 {
			t.Fatalf("seed %d: %d workers take %d places, want %d", seed, c.size(), len(c.items), len(m))
		}
		for n := range 3000 {
			want, ok := m[worker(n)]
			if at, found := c.due(worker(n)); found != ok || at != want {
				t.Fatalf("seed %d: due(%d) = %d, %v, want %d", seed, n, at, found, want)
			}
		}
		var got, want []oplog.Time
		for at, ok := c.first(); ok; at, ok = c.first() {
			w := c.take()
			if m[w] != at {
				t.Fatalf("seed %d: %s is handed out at %d, want %d", seed, w, at, m[w])
			}
			got = append(got, at)
		}
		for _, at := range m {
			want = append(want, at)
		}
		slices.Sort(want)
		if !slices.Equal(got, want) || c.size() != len(m) {
			t.Fatalf("seed %d: they are handed out at %v, want %v", seed, got, want)
		}
	}
}
