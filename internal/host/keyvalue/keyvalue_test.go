package keyvalue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/once"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

// world is a store, and workers of one component that come and go.
type world struct {
	t     testing.TB
	disk  *memory.Store
	cells *dying
	store *Store
	now   time.Time
	limit uint64 // of what the component shares
	life  string // of the workers that as lets run
}

// dying are cells whose user's process may end before or behind a write.
type dying struct {
	storage.Cells
	before, behind int // that many writes from now; 0: never
	listed         int // keys that were listed
}

func (c *dying) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for key, err := range c.Cells.List(ctx, prefix, after) {
			if c.listed++; !yield(key, err) {
				return
			}
		}
	}
}

var errDied = errors.New("the process has ended")

func (c *dying) Put(ctx context.Context, key string, expected uint64, value []byte) (uint64, error) {
	if c.before > 0 {
		if c.before--; c.before == 0 {
			return 0, errDied
		}
	}
	version, err := c.Cells.Put(ctx, key, expected, value)
	if c.behind > 0 {
		if c.behind--; c.behind == 0 {
			return 0, errDied
		}
	}
	return version, err
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, disk: memory.New(), now: time.Unix(1000, 0)}
	w.cells = &dying{Cells: w.disk.Cells()}
	w.open()
	return w
}

// open is what a process does at its start.
func (w *world) open() {
	w.store = NewStore(once.NewCells(w.cells, sched.NewGoroutines(), func(string) uint64 { return w.limit }), func() time.Time { return w.now })
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// as lets a process of a worker run a program, and gives what that ended with.
// Whatever was recorded is durable.
func (w *world) as(name string, program func(b *Buckets) error) error {
	w.t.Helper()
	worker := id.Worker{Component: "shop", Name: name}
	_, last, err := w.disk.Logs().Bounds(context.Background(), worker)
	must(w.t, err)
	c, err := oplog.NewCommitter(context.Background(), sched.NewGoroutines(), w.disk.Logs(), 0)
	must(w.t, err)
	s := durable.NewSession(context.Background(), durable.Config{
		Worker: worker, Cursor: oplog.NewCursor(w.disk.Logs(), worker, 1, last), Writer: c.NewWriter(worker, last),
	})
	err = program(&Buckets{Config{Session: s, Store: w.store, Worker: worker, Life: w.life}})
	must(w.t, s.Writer.Commit(context.Background()))
	must(w.t, c.Close())
	return err
}

// value gives what a key has, as somebody else sees it.
func (w *world) value(key string) string {
	w.t.Helper()
	r, _, err := once.Read(context.Background(), w.cells, prefixOf("shop", "b")+key)
	must(w.t, err)
	if !r.Exists {
		return "-"
	}
	return string(r.Value)
}

func TestWhatIsKeptIsFound(t *testing.T) {
	w := newWorld(t)
	program := func(b *Buckets) error {
		must(t, b.Set("b", "a/b", []byte("one")))
		must(t, b.Set("b", "c", nil))
		must(t, b.Set("other", "d", []byte("x")))
		v, ok, err := b.Get("b", "a/b")
		if string(v) != "one" || !ok || err != nil {
			t.Errorf("got %q %v %v", v, ok, err)
		}
		if v, ok, err := b.Get("b", "c"); len(v) != 0 || !ok || err != nil {
			t.Errorf("an empty value is %q %v %v", v, ok, err)
		}
		if _, ok, err := b.Get("b", "d"); ok || err != nil {
			t.Errorf("what is in another bucket: %v %v", ok, err)
		}
		list, err := b.Keys("b", "")
		if fmt.Sprint(list, err) != "[a/b c] <nil>" {
			t.Errorf("the keys are %v %v", list, err)
		}
		if list, err := b.Keys("b", "a/b"); fmt.Sprint(list, err) != "[c] <nil>" {
			t.Errorf("the keys behind are %v %v", list, err)
		}
		must(t, b.Delete("b", "c"))
		must(t, b.Delete("b", "nothing"))
		if list, err := b.Keys("b", ""); fmt.Sprint(list, err) != "[a/b] <nil>" {
			t.Errorf("the keys left are %v %v", list, err)
		}
		for i, want := range []int64{5, 3, 10} {
			n, err := b.Increment("b", "n", []int64{5, -2, 7}[i])
			if n != want || err != nil {
				t.Errorf("the sum is %d, %v; want %d", n, err, want)
			}
		}
		since, err := b.Version("b", "n")
		must(t, err)
		if done, err := b.Swap("b", "n", since, []byte("x")); !done || err != nil {
			t.Errorf("nothing was swapped: %v", err)
		}
		if done, err := b.Swap("b", "n", since, []byte("y")); done || err != nil {
			t.Errorf("an old version was swapped: %v", err)
		}
		if _, err := b.Increment("b", "n", 1); err == nil {
			t.Error("something was added to what is no number")
		}
		return nil
	}
	must(t, w.as("alice", program))
	must(t, w.as("alice", program)) // the replay
	if got := w.value("n"); got != "x" {
		t.Errorf("the value is %q", got)
	}
	must(t, w.as("bob", func(b *Buckets) error {
		if v, _, err := b.Get("b", "a/b"); string(v) != "one" || err != nil {
			t.Errorf("another worker got %q %v", v, err)
		}
		return nil
	}))
}

func TestAPageOfKeysReadsNothingBeforeIt(t *testing.T) {
	w := newWorld(t)
	must(t, w.as("alice", func(b *Buckets) error {
		for i := range 100 {
			must(t, b.Set("b", fmt.Sprintf("k%02d", i), nil))
		}
		return nil
	}))
	must(t, w.as("bob", func(b *Buckets) error {
		w.cells.listed = 0
		list, err := b.Keys("b", "k97")
		if fmt.Sprint(list, err) != "[k98 k99] <nil>" || w.cells.listed != len(list) {
			t.Errorf("the page has %v %v, and went through %d keys", list, err, w.cells.listed)
		}
		return nil
	}))
}

func TestWhoLooksAfterTheNodeSeesWhatProgramsDo(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	must(t, w.as("alice", func(b *Buckets) error {
		return errors.Join(b.Set("b", "x/y", []byte("one")), b.Set("b", "z", nil), b.Set("", "k", nil), b.Set("gone", "k", nil), b.Delete("gone", "k"), b.Set("more", "k", nil))
	}))
	buckets := func(behind *string) (all []string) {
		for name, err := range w.store.Buckets(ctx, "shop", behind) {
			must(t, err)
			all = append(all, name)
		}
		return all
	}
	none, b := "", "b"
	if got := fmt.Sprintf("%q %q %q", buckets(nil), buckets(&none), buckets(&b)); got != `["" "b" "more"] ["b" "more"] ["more"]` {
		t.Errorf("the buckets are %s", got)
	}
	entries := func(behind string) (all []string) {
		for e, err := range w.store.Entries(ctx, "shop", "b", behind) {
			must(t, err)
			all = append(all, fmt.Sprint(e.Key, " ", e.Size, " ", e.Written.Equal(w.now)))
		}
		return all
	}
	if got := fmt.Sprintf("%q %q", entries(""), entries("x/y")); got != `["x/y 3 true" "z 0 true"] ["z 0 true"]` {
		t.Errorf("the keys are %s", got)
	}
	v, there, err := w.store.Value(ctx, "shop", "b", "x/y")
	if string(v) != "one" || !there || err != nil {
		t.Errorf("the value is %q %v %v", v, there, err)
	}
	for _, want := range []bool{true, false} {
		if there, err := w.store.Delete(ctx, "shop", "b", "x/y"); there != want || err != nil {
			t.Errorf("deleted: %v %v", there, err)
		}
	}
	if _, there, err := w.store.Value(ctx, "shop", "b", "x/y"); there || err != nil {
		t.Errorf("it is there: %v %v", there, err)
	}
}

// A process ends before or behind each write; its worker goes on in another, which
// somebody else has written before or not.
func TestEachWriteTakesEffectOnce(t *testing.T) {
	writes := map[string]struct {
		write  func(b *Buckets) error
		alone  string // what there is at the end, of 10 at the beginning
		beside string // if another adds 100 in the middle
		before string // if that comes between the crash and the write
	}{
		"set":       {func(b *Buckets) error { return b.Set("b", "n", []byte("7")) }, "7", "107", "7"},
		"delete":    {func(b *Buckets) error { return b.Delete("b", "n") }, "-", "100", "-"},
		"increment": {func(b *Buckets) error { _, err := b.Increment("b", "n", 5); return err }, "15", "115", "115"},
	}
	for name, w := range writes {
		for _, others := range []int{0, 1, once.MaxWriters - 1} {
			for _, behind := range []bool{false, true} {
				world := newWorld(t)
				must(t, world.as("zoe", func(b *Buckets) error { return b.Set("b", "n", []byte("10")) }))
				if world.cells.before = 1; behind {
					world.cells.before, world.cells.behind = 0, 1
				}
				if err := world.as("alice", w.write); !errors.Is(err, errDied) {
					t.Fatalf("%s: the process ended with %v", name, err)
				}
				for i := range others {
					must(t, world.as(fmt.Sprint("other", i), func(b *Buckets) error {
						delta := int64(0)
						if i == 0 {
							delta = 100
						}
						_, err := b.Increment("b", "n", delta)
						return err
					}))
				}
				must(t, world.as("alice", w.write))
				must(t, world.as("alice", w.write)) // a replay
				want := w.alone
				if others > 0 && behind {
					want = w.beside
				} else if others > 0 {
					want = w.before
				}
				if got := world.value("n"); got != want {
					t.Errorf("%s, %d others, behind %v: there is %s, want %s", name, others, behind, got, want)
				}
			}
		}
	}
}

// again makes a worker anew.
func (w *world) again(name string) {
	w.t.Helper()
	ctx, worker := context.Background(), id.Worker{Component: "shop", Name: name}
	epoch, err := w.disk.Logs().Epoch(ctx, 0)
	must(w.t, err)
	must(w.t, w.disk.Logs().Delete(ctx, 0, epoch, worker))
	w.life += "'"
}

// A worker that is deleted and made anew writes by entries that have the same indexes
// as those of the one before.
func TestAWriteIsNotTakenForThatOfAWorkerBefore(t *testing.T) {
	w := newWorld(t)
	add := func(b *Buckets) error { _, err := b.Increment("b", "n", 5); return err }
	must(t, w.as("alice", add))
	w.again("alice")
	w.cells.before = 1
	if err := w.as("alice", add); !errors.Is(err, errDied) {
		t.Fatal(err)
	}
	must(t, w.as("alice", add))
	if got := w.value("n"); got != "10" {
		t.Errorf("the sum is %s, want 10", got)
	}
}

func TestAWriteThatNobodyRemembersIsNotRepeated(t *testing.T) {
	for _, behind := range []bool{false, true} {
		w := newWorld(t)
		if w.cells.before = 1; behind {
			w.cells.before, w.cells.behind = 0, 1
		}
		add := func(b *Buckets) error { _, err := b.Increment("b", "n", 5); return err }
		if err := w.as("alice", add); !errors.Is(err, errDied) {
			t.Fatal(err)
		}
		if err := w.as("bob", func(b *Buckets) error { return b.Set("b", "m", nil) }); err != nil {
			t.Fatal(err)
		}
		for i := range once.MaxWriters + 1 {
			must(t, w.as(fmt.Sprint("other", i), func(b *Buckets) error { _, err := b.Increment("b", "n", 1); return err }))
		}
		before := w.value("n")
		err := w.as("alice", add)
		if e := (*Error)(nil); !errors.As(err, &e) || !strings.Contains(e.Reason, "in doubt") {
			t.Errorf("behind %v: got %v, want that it is in doubt", behind, err)
		}
		if got := w.value("n"); got != before {
			t.Errorf("behind %v: it was %s, and is %s", behind, before, got)
		}
	}
}

func TestManyWorkersAddUp(t *testing.T) {
	w := newWorld(t)
	const workers, each = 2 * once.MaxWriters, 5
	errs := make(chan error, workers)
	for i := range workers {
		go func() {
			worker := id.Worker{Component: "shop", Name: fmt.Sprint("w", i)}
			for n := range each {
				o, err := w.store.apply(context.Background(), prefixOf("shop", "b")+"n", change{action: incrementing, delta: 1, seen: 0}, once.Writer{Worker: worker.Name, Index: oplog.Index(n + 1)}, false)
				if err != nil || !o.done {
					errs <- fmt.Errorf("%+v %w", o, err)
					return
				}
			}
			errs <- nil
		}()
	}
	for range workers {
		must(t, <-errs)
	}
	if got := w.value("n"); got != fmt.Sprint(workers*each) {
		t.Errorf("the sum is %s, want %d", got, workers*each)
	}
}

func TestNamesKeysAndValuesAreBounded(t *testing.T) {
	w := newWorld(t)
	must(t, w.as("alice", func(b *Buckets) error {
		for _, bucket := range []string{"a/b", "..", "-", strings.Repeat("x", MaxBucket+1), "\x00"} {
			var e *Error
			if err := b.Check(bucket); !errors.As(err, &e) || !e.NoBucket {
				t.Errorf("bucket %q: %v", bucket, err)
			}
		}
		for _, bucket := range []string{"", "default", strings.Repeat("x", MaxBucket)} {
			must(t, b.Check(bucket))
		}
		for _, key := range []string{"", strings.Repeat("x", MaxKey+1), "\xff", "a\x00"} {
			_, _, getErr := b.Get("b", key)
			for what, err := range map[string]error{"get": getErr, "set": b.Set("b", key, nil), "delete": b.Delete("b", key)} {
				if e := (*Error)(nil); !errors.As(err, &e) {
					t.Errorf("%s of key %q: %v", what, key, err)
				}
			}
		}
		must(t, b.Set("b", strings.Repeat("é", MaxKey/2), make([]byte, MaxValue)))
		if e := (*Error)(nil); !errors.As(b.Set("b", "k", make([]byte, MaxValue+1)), &e) {
			t.Error("a value that is too long was taken")
		}
		if _, err := b.Increment("b", "n", 1<<62); err != nil {
			t.Error(err)
		}
		if _, err := b.Increment("b", "n", 1<<62); err == nil {
			t.Error("the sum has more than 64 bits")
		}
		return nil
	}))
}

func TestAComponentAndWhatWasDeletedLongAgoAreForgotten(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	must(t, w.as("alice", func(b *Buckets) error {
		must(t, b.Set("b", "old", nil))
		must(t, b.Set("b", "kept", nil))
		return b.Delete("b", "old")
	}))
	count := func() int { return len(slices.Collect(func(yield func(string) bool) { w.each(yield) })) }
	must(t, w.store.Tidy(ctx))
	if n := count(); n != 2 {
		t.Errorf("%d cells at once, want 2", n)
	}
	w.now = w.now.Add(once.Graveyard + time.Second)
	must(t, w.store.Tidy(ctx))
	if n := count(); n != 1 {
		t.Errorf("%d cells later, want 1", n)
	}
	must(t, w.store.Forget(ctx, "sho"))
	must(t, w.store.Forget(ctx, "shop"))
	if n := count(); n != 0 {
		t.Errorf("%d cells of a forgotten component", n)
	}
}

func (w *world) each(yield func(string) bool) {
	for cell, err := range w.disk.Cells().List(context.Background(), "", "") {
		must(w.t, err)
		if !yield(cell) {
			return
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(appendChange(nil, change{place: place{"b", "k"}, action: swapping, value: []byte("v")}))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = decodeChange(b)
		_, _ = decodeOutcome(b)
		_, _ = decodeFound(b)
		_, _ = decodeKeys(b)
	})
}
