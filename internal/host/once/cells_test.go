package once

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

var ctx = context.Background()

// crowd is cells of the components "shop" and "other", the first of which has a
// limit.
type crowd struct {
	disk  *memory.Store
	limit atomic.Uint64
	cells *Cells
}

func newCrowd(wrap func(storage.Cells) storage.Cells) *crowd {
	c := &crowd{disk: memory.New()}
	c.open(wrap(c.disk.Cells()))
	return c
}

// open is what a process does at its start.
func (c *crowd) open(cells storage.Cells) {
	c.cells = NewCells(cells, sched.NewGoroutines(), func(component string) uint64 {
		if component == "shop" {
			return c.limit.Load()
		}
		return 0
	})
}

func asTheyAre(c storage.Cells) storage.Cells { return c }

// held is what is known to be in the cells of shop.
func (c *crowd) held(t testing.TB) int {
	t.Helper()
	bytes, _, err := c.cells.Held(ctx, "shop")
	must(t, err)
	return int(bytes)
}

// real is what is in them.
func (c *crowd) real(t testing.TB) (bytes int) {
	t.Helper()
	for key, err := range c.disk.Cells().List(ctx, "", "") {
		must(t, err)
		if strings.HasPrefix(key, Buckets+"shop/") || strings.HasPrefix(key, Containers+"shop/") {
			value, _, err := c.disk.Cells().Get(ctx, key)
			must(t, err)
			bytes += len(key) + len(value)
		}
	}
	return bytes
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func full(err error) bool { _, is := AsFull(err); return is }

func TestTheLimitIsExact(t *testing.T) {
	c := newCrowd(asTheyAre)
	key := Buckets + "shop/b/k"
	c.limit.Store(uint64(len(key)) + 100)
	_, err := c.cells.Put(ctx, key, 0, make([]byte, 101))
	if !full(err) || !strings.Contains(err.Error(), "limits.shared") || !strings.Contains(err.Error(), fmt.Sprint("there are 0, and this needs ", len(key)+101, " more")) {
		t.Fatalf("one byte too many: %v", err)
	}
	version, err := c.cells.Put(ctx, key, 0, make([]byte, 100))
	must(t, err)
	if n := c.held(t); n != len(key)+100 {
		t.Errorf("%d bytes are held, want %d", n, len(key)+100)
	}
	other := Containers + "shop/c/x"
	if _, err := c.cells.Put(ctx, other, 0, nil); !full(err) {
		t.Errorf("a container takes no room of a bucket: %v", err)
	}
	_, err = c.cells.Put(ctx, Buckets+"other/b/k", 0, make([]byte, 1000)) // whose component has a limit of its own
	must(t, err)
	if _, err := c.cells.Put(ctx, key, version, make([]byte, 101)); !full(err) {
		t.Errorf("one more byte: %v", err)
	}
	version, err = c.cells.Put(ctx, key, version, make([]byte, 99))
	must(t, err)
	version, err = c.cells.Put(ctx, key, version, make([]byte, 100))
	must(t, err)
	must(t, c.cells.Delete(ctx, key, version))
	_, err = c.cells.Put(ctx, other, 0, make([]byte, 100+len(key)-len(other)))
	must(t, err)
	c.limit.Store(10)
	if _, err := c.cells.Put(ctx, key, 0, nil); !full(err) {
		t.Errorf("the limit was lowered: %v", err)
	}
	_, err = c.cells.Keep(ctx, key, 0, []byte("kept"))
	must(t, err)
	if c.held(t) != c.real(t) {
		t.Errorf("%d bytes are held, want %d", c.held(t), c.real(t))
	}
}

// TestWhatIsHeldIsWhatThereIs lets a component do anything, and its process end and
// its disk fail at any moment.
func TestWhatIsHeldIsWhatThereIs(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c, fails := &crowd{disk: memory.New()}, &failing{}
		fails.Cells = c.disk.Cells()
		c.open(fails)
		c.limit.Store(2000)
		names := rapid.SampledFrom([]string{Buckets + "shop/b/1", Buckets + "shop/b/2", Containers + "shop/c/1", Buckets + "shop2/b/1"})
		for range rapid.IntRange(1, 40).Draw(r, "steps") {
			key := names.Draw(r, "key")
			fails.before, fails.behind = false, false
			switch rapid.IntRange(0, 9).Draw(r, "fails") {
			case 0:
				fails.before = true
			case 1:
				fails.behind = true
			case 2:
				c.open(fails)
			}
			_, version, err := c.cells.Get(ctx, key)
			if err != nil && !errors.Is(err, storage.ErrNotFound) {
				t.Fatal(err)
			}
			before := c.real(t)
			size := rapid.IntRange(0, 900).Draw(r, "size")
			switch rapid.IntRange(0, 4).Draw(r, "step") {
			case 0:
				err = c.cells.Delete(ctx, key, version)
			case 1:
				err = c.cells.Delete(ctx, key, version+1)
			case 2:
				_, err = c.cells.Put(ctx, key, version+1, make([]byte, size))
			default:
				_, err = c.cells.Put(ctx, key, version, make([]byte, size))
			}
			if full(err) && c.real(t) != before {
				t.Fatalf("it was refused, and made: %v", err)
			}
			fails.before, fails.behind = false, false
			if got, want := c.held(t), c.real(t); got != want || got > 2000 {
				t.Fatalf("%d bytes are held, want %d, and no more than 2000", got, want)
			}
		}
	})
}

// failing are cells that fail before or behind a change.
type failing struct {
	storage.Cells
	before, behind bool
}

var errFailed = errors.New("the disk has failed")

func (f *failing) do(change func() error) error {
	if f.before {
		return errFailed
	}
	if err := change(); err != nil || !f.behind {
		return err
	}
	return errFailed
}

func (f *failing) Put(ctx context.Context, key string, expected uint64, value []byte) (version uint64, err error) {
	err = f.do(func() error { version, err = f.Cells.Put(ctx, key, expected, value); return err })
	return version, err
}

func (f *failing) Delete(ctx context.Context, key string, expected uint64) error {
	return f.do(func() error { return f.Cells.Delete(ctx, key, expected) })
}

// TestManyWritersNeverExceedTheLimit looks at what there is at each write, while
// many write and delete, and some writes fail after they were made.
func TestManyWritersNeverExceedTheLimit(t *testing.T) {
	const limit = 4000
	watched := &watching{}
	c := newCrowd(func(cells storage.Cells) storage.Cells { watched.Cells = cells; return watched })
	c.limit.Store(limit)
	var writers sync.WaitGroup
	var refused atomic.Int64
	for w := range 8 {
		writers.Go(func() {
			for i := range 300 {
				key := fmt.Sprintf("%sshop/b/%d", Buckets, (w+i)%12)
				_, version, err := c.cells.Get(ctx, key)
				if i%5 == 4 && err == nil {
					err = c.cells.Delete(ctx, key, version)
				} else {
					_, err = c.cells.Put(ctx, key, version, make([]byte, 100+(w*37+i*91)%900))
				}
				switch {
				case full(err):
					refused.Add(1)
				case err != nil && !errors.Is(err, storage.ErrConflict) && !errors.Is(err, storage.ErrNotFound) && !errors.Is(err, errFailed):
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if watched.most > limit || watched.most < limit/2 || refused.Load() == 0 {
		t.Errorf("there were %d bytes at most, and %d writes were refused", watched.most, refused.Load())
	}
	if c.held(t) != c.real(t) {
		t.Errorf("%d bytes are held, want %d", c.held(t), c.real(t))
	}
	t.Logf("%d bytes at most, %d refused", watched.most, refused.Load())
}

// watching are cells that know the most they had, and fail now and then behind a
// write.
type watching struct {
	storage.Cells
	mu        sync.Mutex
	sizes     map[string]int
	now, most int
	writes    int
}

func (w *watching) note(key string, size int, err error) error {
	if err != nil {
		return err
	}
	if w.sizes == nil {
		w.sizes = map[string]int{}
	}
	w.now += size - w.sizes[key]
	w.sizes[key] = size
	w.most = max(w.most, w.now)
	if w.writes++; w.writes%50 == 0 {
		return errFailed
	}
	return nil
}

func (w *watching) Put(ctx context.Context, key string, expected uint64, value []byte) (uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	version, err := w.Cells.Put(ctx, key, expected, value)
	return version, w.note(key, len(key)+len(value), err)
}

func (w *watching) Delete(ctx context.Context, key string, expected uint64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.note(key, 0, w.Cells.Delete(ctx, key, expected))
}

// TestNothingIsCountedWhileAWriteIsUnderWay lets a count become necessary when a write
// has been made and has not returned.
func TestNothingIsCountedWhileAWriteIsUnderWay(t *testing.T) {
	s := sched.NewSimulation(1)
	must(t, s.Run(func() {
		c := &crowd{disk: memory.New()}
		slow, fails := &slowly{Cells: c.disk.Cells(), sched: s}, &failing{}
		fails.Cells = slow
		c.cells = NewCells(fails, s, func(string) uint64 { return 0 })
		put := func(name string, wait time.Duration) error {
			slow.wait = wait
			_, err := c.cells.Put(ctx, Buckets+"shop/b/"+name, 0, make([]byte, 100))
			return err
		}
		must(t, put("first", 0))
		long := s.Go("a long write", func() { must(t, put("long", time.Minute)) })
		must(t, s.Sleep(ctx, time.Second))
		fails.behind = true
		if err := put("unsure", 0); !errors.Is(err, errFailed) {
			t.Errorf("the write ended with %v", err)
		}
		fails.behind = false
		asked := s.Now()
		if got, want := c.held(t), c.real(t); got != want || s.Now().Sub(asked) < 50*time.Second {
			t.Errorf("%d bytes are held after %v, want %d when the write has ended", got, s.Now().Sub(asked), want)
		}
		long.Wait()
		if got, want := c.held(t), c.real(t); got != want {
			t.Errorf("%d bytes are held, want %d", got, want)
		}
	}))
}

// slowly are cells whose writes return a while after they were made.
type slowly struct {
	storage.Cells
	sched sched.Scheduler
	wait  time.Duration
}

func (c *slowly) Put(ctx context.Context, key string, expected uint64, value []byte) (uint64, error) {
	version, err := c.Cells.Put(ctx, key, expected, value)
	return version, errors.Join(err, c.sched.Sleep(ctx, c.wait))
}

// TestOneCountsForAll lets a second write begin while the first counts.
func TestOneCountsForAll(t *testing.T) {
	s := sched.NewSimulation(1)
	must(t, s.Run(func() {
		c := &crowd{disk: memory.New()}
		c.cells = NewCells(&slowly{Cells: c.disk.Cells(), sched: s}, s, func(string) uint64 { return 0 })
		put := func(name string) {
			_, err := c.cells.Put(ctx, Buckets+"shop/b/"+name, 0, make([]byte, 100))
			must(t, err)
		}
		first := s.Go("a write", func() { put("first") })
		must(t, s.Sleep(ctx, time.Second))
		put("second")
		first.Wait()
		if got, want := c.held(t), c.real(t); got != want {
			t.Errorf("%d bytes are held, want %d", got, want)
		}
	}))
}

// List takes a while behind what it gives.
func (c *slowly) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		c.Cells.List(ctx, prefix, after)(yield)
		if err := c.sched.Sleep(ctx, 10*time.Second); err != nil {
			yield("", err)
		}
	}
}

// TestACountIsMadeOnce holds what is counted against what is read for it.
func TestACountIsMadeOnce(t *testing.T) {
	listed := &listing{}
	c := newCrowd(func(cells storage.Cells) storage.Cells { listed.Cells = cells; return listed })
	for i := range 100 {
		_, err := c.disk.Cells().Put(ctx, fmt.Sprintf("%sshop/b/%d", Buckets, i), 0, []byte("value"))
		must(t, err)
	}
	for i := range 100 {
		_, err := c.cells.Put(ctx, fmt.Sprintf("%sshop/c/%d", Containers, i), 0, []byte("value"))
		must(t, err)
	}
	if listed.keys.Load() != 100 || c.held(t) != c.real(t) {
		t.Errorf("%d keys were listed, and %d bytes are held of %d", listed.keys.Load(), c.held(t), c.real(t))
	}
	// What has failed, and was not made, changes nothing; only what may have been made
	// is looked for.
	fails := &failing{}
	fails.Cells, listed.Cells = listed.Cells, fails
	put := func(name string) {
		if _, err := c.cells.Put(ctx, Buckets+"shop/b/"+name, 0, nil); !errors.Is(err, errFailed) {
			t.Errorf("the write ended with %v", err)
		}
	}
	fails.before = true
	put("not made")
	if c.held(t) != c.real(t) || listed.keys.Load() != 100 {
		t.Errorf("%d bytes are held of %d, and %d keys were listed", c.held(t), c.real(t), listed.keys.Load())
	}
	fails.before, fails.behind = false, true
	put("made")
	if c.held(t) != c.real(t) || listed.keys.Load() != 301 {
		t.Errorf("%d bytes are held of %d, and %d keys were listed", c.held(t), c.real(t), listed.keys.Load())
	}
	fails.behind = false
	// Who gives up while others count is told so, and the others go on.
	c.open(listed)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.cells.Put(canceled, Buckets+"shop/b/x", 0, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled write ends with %v", err)
	}
	if c.held(t) != c.real(t) {
		t.Errorf("%d bytes are held, want %d", c.held(t), c.real(t))
	}
}

type listing struct {
	storage.Cells
	keys atomic.Int64
}

func (l *listing) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for key, err := range l.Cells.List(ctx, prefix, after) {
			l.keys.Add(1)
			if !yield(key, err) {
				return
			}
		}
	}
}

func TestComponentsThatHaveNothingCostNothing(t *testing.T) {
	c := newCrowd(asTheyAre)
	for i := range 10 {
		key := fmt.Sprintf("%sc%d/b/k", Buckets, i)
		version, err := c.cells.Put(ctx, key, 0, nil)
		must(t, err)
		must(t, c.cells.Delete(ctx, key, version))
	}
	if n := len(c.cells.held); n != 0 {
		t.Errorf("%d are remembered", n)
	}
}

func TestTheCrowdedAreThoseWithMoreThanHalfOfTheirLimit(t *testing.T) {
	c := newCrowd(asTheyAre)
	key := Buckets + "shop/b/k"
	for _, component := range []string{"shop", "other", "shop2"} {
		_, err := c.cells.Put(ctx, Buckets+component+"/b/k", 0, make([]byte, 100-len(key)))
		must(t, err)
	}
	for limit, want := range map[uint64]string{0: "[]", 200: "[]", 199: "[shop]", 50: "[shop]"} {
		c.limit.Store(limit)
		if got := fmt.Sprint(c.cells.Crowded()); got != want {
			t.Errorf("with a limit of %d: %s, want %s", limit, got, want)
		}
	}
}

// TestWhatIsLetGoOfIsWrittenThoughThereIsNoRoom deletes and replaces where each
// worker that is remembered would need more.
func TestWhatIsLetGoOfIsWrittenThoughThereIsNoRoom(t *testing.T) {
	c := newCrowd(asTheyAre)
	set := func(key, worker, value string, exists bool) error {
		return Change(ctx, c.cells, Buckets+"shop/b/"+key, func(r *Record) bool {
			r.Exists, r.Value = exists, []byte(value)
			r.Note(Writer{Worker: worker, Index: 3}, oplog.Time(5), 0)
			return true
		})
	}
	must(t, set("a", "alice", "value", true))
	must(t, set("b", "alice", "value", true))
	most := c.real(t)
	c.limit.Store(uint64(most))
	if err := set("a", "bobby", "longer", true); !full(err) {
		t.Errorf("a longer value: %v", err)
	}
	if err := set("c", "alice", "", true); !full(err) {
		t.Errorf("another value: %v", err)
	}
	must(t, set("a", "bobby", "VALUE", true))
	must(t, set("a", "carol", "", false))
	if err := set("a", "carol", "valuevalue", true); !full(err) {
		t.Errorf("a value where one was deleted: %v", err)
	}
	r, _, err := Read(ctx, c.cells, Buckets+"shop/b/a")
	must(t, err)
	if _, fate := r.Recall(Writer{Worker: "carol", Index: 3}, 2); fate != Made {
		t.Errorf("what became of the last writer's write: %v", fate)
	}
	if _, fate := r.Recall(Writer{Worker: "alice", Index: 3}, 0); fate != Forgotten {
		t.Errorf("what became of the first writer's write: %v", fate)
	}
	if got := c.real(t); got > most || got != c.held(t) {
		t.Errorf("there are %d bytes, of %d, and %d are held", got, most, c.held(t))
	}
}
