package oplog

import (
	"context"
	"errors"
	"testing"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
)

func mustOffer(t testing.TB, w *Writer) Index {
	t.Helper()
	index, err := w.Offer(line(w.Last() + 1))
	if err != nil {
		t.Fatalf("Offer() = %v", err)
	}
	return index
}

func TestAWriterMayBeUsedBySeveralTasksAtOnce(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		logs := newHooked()
		c := newCommitter(t, s, logs)
		w := c.NewWriter(alice, 0)
		const each = 50
		tell := func(n int) Body { return &HostCall{Func: uint64(n), Request: []byte{}, Response: []byte{}} }
		var tasks []sched.Task
		for i := range 6 {
			tasks = append(tasks, s.Go("user", func() {
				ctx := context.Background()
				for n := range each {
					var err error
					switch i % 3 {
					case 0:
						_, err = w.Append(ctx, tell(i*each+n))
					case 1:
						_, err = w.Offer(tell(i*each + n))
						w.Join()
					case 2:
						err = w.AppendHostCall(ctx, uint64(i*each+n), nil, nil)
					}
					if err == nil && n%7 == i {
						err = w.Commit(ctx)
					}
					if err != nil {
						t.Error(err)
					}
				}
			}))
		}
		for _, task := range tasks {
			task.Wait()
		}
		mustCommit(t, w)
		mustClose(t, c)
		next := map[int]int{} // of each user
		total := 0
		for entry, err := range Read(t.Context(), logs, alice, 1, 0) {
			if err != nil {
				t.Fatal(err)
			}
			n := int(entry.Body.(*HostCall).Func)
			if next[n/each] != n%each {
				t.Fatalf("user %d's entry %d comes where %d should", n/each, n%each, next[n/each])
			}
			next[n/each]++
			total++
		}
		if total != 6*each {
			t.Errorf("read %d entries, want %d", total, 6*each)
		}
	})
}

func TestOfferNeverWaitsAndNothingOfItIsLost(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		logs := newHooked()
		largest := 0
		logs.after = func(segment []storage.Chunk) error {
			for _, chunk := range segment {
				largest = max(largest, len(chunk.Bytes))
			}
			return nil
		}
		c, g, first := holding(t, s, logs)
		w := c.NewWriter(worker(0), 0)
		const entries = 30 // of 1 MiB, while the disk does nothing
		body := &HostCall{Response: make([]byte, MaxEntry-100)}
		for n := range entries {
			if index, err := w.Offer(body); err != nil || index != Index(n+1) {
				t.Fatalf("Offer() = %d, %v", index, err)
			}
			if got, want := w.Room(), (n+1)*MaxEntry < maxPending+MaxEntry; got != want {
				t.Errorf("Room() = %v with %d entries pending", got, n+1)
			}
		}
		if _, err := w.Offer(&HostCall{Response: make([]byte, MaxEntry)}); !errors.Is(err, storage.ErrTooLarge) {
			t.Errorf("an entry that is too large: Offer() = %v", err)
		}
		g.open()
		first.Wait()
		mustCommit(t, w)
		mustClose(t, c)
		if largest > maxTake {
			t.Errorf("a chunk has %d bytes, more than %d", largest, maxTake)
		}
		n := Index(0)
		for entry, err := range Read(t.Context(), logs, w.Worker(), 1, 0) {
			if n++; err != nil || entry.Index != n {
				t.Fatalf("read entry %d, %v, want %d", entry.Index, err, n)
			}
		}
		if n != entries {
			t.Errorf("read %d entries, want %d", n, entries)
		}
		if _, err := w.Offer(body); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: Offer() = %v", err)
		}
	})
}

func TestJoinCausesNoFlushAndGoesWithTheNext(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		logs := newHooked()
		c := newCommitter(t, s, logs)
		joins, commits := c.NewWriter(alice, 0), c.NewWriter(worker(0), 0)
		for range 3 {
			begun := logs.begun()
			mustOffer(t, joins)
			joins.Join()
			joins.Join()
			c.work.Wake() // whoever looks finds nothing to do
			_ = s.Sleep(t.Context(), 1000)
			if got := logs.begun(); got != begun {
				t.Errorf("Join caused %d appends", got-begun)
			}
			mustAppend(t, commits)
			mustCommit(t, commits)
			if got := logs.begun(); got != begun+1 || joins.Committed() != joins.Last() {
				t.Errorf("%d appends made %d of %d joined entries durable, want 1 and all", got-begun, joins.Committed(), joins.Last())
			}
		}
		mustOffer(t, joins)
		joins.Join()
		mustClose(t, c) // takes along what joined
		checkLines(t, logs, alice, 1, 4)
		checkLines(t, logs, worker(0), 1, 3)
	})
}

// TestWhatJoinedIsDurableNoLaterThanWhatCameBehind lets every flush take only
// a part of what waits, by bytes and by chunks.
func TestWhatJoinedIsDurableNoLaterThanWhatCameBehind(t *testing.T) {
	for name, test := range map[string]struct{ others, size, joiners, joined int }{
		"bytes":           {others: 40, size: MaxEntry - 100, joiners: 1, joined: 100},
		"chunks":          {others: maxFlushChunks + 10, size: 10, joiners: 3, joined: 10},
		"joined bytes":    {others: 3, size: 10, joiners: 20, joined: MaxEntry - 100},
		"joined backlog":  {others: 3, size: 10, joiners: -20, joined: MaxEntry - 100},
		"joined chunks":   {others: 3, size: 10, joiners: maxFlushChunks + 10, joined: 10},
		"joined and more": {others: 40, size: MaxEntry - 100, joiners: -12, joined: MaxEntry - 100},
	} {
		t.Run(name, func(t *testing.T) {
			s := sched.NewGoroutines()
			logs := newHooked()
			before := id.Worker{Component: "shop", Name: "early"}
			var behind bool // an entry that came behind the joined ones is durable
			left := map[id.Worker]Index{}
			logs.after = func(segment []storage.Chunk) error {
				for _, chunk := range segment {
					if last, ok := left[chunk.Worker]; ok && chunk.Last() == last {
						delete(left, chunk.Worker)
					}
				}
				for _, chunk := range segment {
					behind = behind || chunk.Worker == before && chunk.Last() > 1
				}
				if behind && len(left) > 0 {
					t.Errorf("what came behind is durable, and %d joined writers' entries are not", len(left))
				}
				return nil
			}
			c, g, first := holding(t, s, logs)
			early := c.NewWriter(before, 0)
			mustAppend(t, early)
			early.Request() // it is first in the queue
			for i := range test.others {
				w := c.NewWriter(worker(i), 0)
				if err := w.AppendHostCall(t.Context(), 1, nil, make([]byte, test.size)); err != nil {
					t.Fatal(err)
				}
				w.Request()
			}
			join(t, c, test.joiners, test.joined, left)
			mustAppend(t, early)
			task := s.Go("commit", func() { mustCommit(t, early) })
			g.open()
			first.Wait()
			task.Wait()
			mustClose(t, c)
			if !behind || len(left) > 0 {
				t.Errorf("%d joined writers' entries are not durable", len(left))
			}
		})
	}
}

// join lets n writers join with an entry each, or one with -n entries, and
// notes in left how far they go.
func join(t *testing.T, c *Committer, n, size int, left map[id.Worker]Index) {
	writers, entries := n, 1
	if n < 0 {
		writers, entries = 1, -n
	}
	for i := range writers {
		w := c.NewWriter(id.Worker{Component: "joined", Name: worker(i).Name}, 0)
		for range entries {
			if _, err := w.Offer(&HostCall{Response: make([]byte, size)}); err != nil {
				t.Fatal(err)
			}
		}
		w.Join()
		if i == 0 {
			w.Request() // being wanted besides changes nothing
		}
		left[w.Worker()] = w.Last()
	}
}
