package local_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/local"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

// story is a sequence of steps that uses everything a store can do. Each step
// changes what dump shows at once or not at all, and can be repeated.
type story struct {
	disk  vfs.FS
	store *local.Store
	heads [2]uint64
	next  map[string]uint64
}

type step struct {
	name string
	run  func(*story) error
}

func (s *story) logs() storage.Logs { return s.store.Logs() }

func named(name string) id.Worker { return id.Worker{Component: "story", Name: name} }

// bytesOf is what the entries of a worker from first on are.
func bytesOf(name string, first uint64, size int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%s/%d ", name, first), size/4+1)[:size]
}

// segment appends a chunk of size bytes with two entries for each of names.
func segment(shard id.Shard, size int, names ...string) step {
	return step{fmt.Sprintf("append %v to shard %d", names, shard), func(s *story) error {
		var chunks []storage.Chunk
		for _, name := range names {
			first := s.next[name] + 1
			chunks = append(chunks, storage.Chunk{Worker: named(name), First: first, Count: 2, Bytes: bytesOf(name, first, size)})
		}
		if err := s.logs().Append(ctx, shard, 1, s.heads[shard], chunks); err != nil {
			return err
		}
		s.heads[shard]++
		for _, name := range names {
			s.next[name] += 2
		}
		return nil
	}}
}

func acquire(shard id.Shard) step {
	return step{fmt.Sprintf("acquire shard %d", shard), func(s *story) error {
		_, err := s.logs().Acquire(ctx, shard, 1)
		return err
	}}
}

// cell sets a cell to a value whatever it had.
func cell(key, value string) step {
	return step{"set cell " + key, func(s *story) error {
		_, version, err := s.store.Cells().Get(ctx, key)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		_, err = s.store.Cells().Put(ctx, key, version, []byte(value))
		return err
	}}
}

func deleteCell(key string) step {
	return step{"delete cell " + key, func(s *story) error {
		_, version, err := s.store.Cells().Get(ctx, key)
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return s.store.Cells().Delete(ctx, key, version)
	}}
}

func blob(size int) step {
	return step{fmt.Sprintf("put a blob of %d bytes", size), func(s *story) error {
		_, _, err := s.store.Blobs().Put(ctx, bytes.NewReader(bytesOf("blob", 1, size)))
		return err
	}}
}

func truncate(shard id.Shard, name string, below uint64) step {
	return step{"truncate " + name, func(s *story) error {
		return s.logs().Truncate(ctx, shard, 1, named(name), below)
	}}
}

func deleteLog(shard id.Shard, name string) step {
	return step{"delete " + name, func(s *story) error {
		err := s.logs().Delete(ctx, shard, 1, named(name))
		if err == nil {
			s.next[name] = 0
		}
		return err
	}}
}

var housekeep = step{"keep house", func(s *story) error {
	for {
		more, err := s.store.Housekeep(ctx)
		if err != nil || !more {
			return err
		}
	}
}}

var reopen = step{"open again", func(s *story) error {
	if err := s.store.Close(); err != nil {
		return err
	}
	store, err := local.Open(ctx, s.disk, "store", small)
	if err == nil {
		s.store = store
	}
	return err
}}

func steps() []step {
	all := []step{acquire(0), segment(0, 100, "a", "b"), acquire(1), segment(1, 300, "c"), blob(100), cell("x", "1")}
	for range 3 {
		all = append(all, segment(0, 1500, "a", "b"), segment(1, 10, "c", "d"), cell("x", strings.Repeat("2", 900)))
	}
	all = append(all, housekeep, truncate(0, "a", 4), reopen, segment(0, 3000, "b", "a"), deleteCell("x"), blob(70_000))
	all = append(all, deleteLog(0, "b"), segment(0, 900, "b"), cell("x", "3"), cell("y", "4"), housekeep, segment(1, 2000, "c"), reopen)
	for range 4 {
		all = append(all, segment(0, 900, "b"), truncate(1, "c", 7), segment(1, 1800, "c"), housekeep)
	}
	return append(all, deleteLog(1, "d"), deleteLog(0, "b"), housekeep, segment(1, 5, "d"), reopen)
}

// dump shows everything in a store.
func dump(t testing.TB, s storage.Store) string {
	t.Helper()
	var b strings.Builder
	for w, err := range s.Logs().Workers(ctx, id.Worker{}) {
		must(t, err)
		first, last, err := s.Logs().Bounds(ctx, w)
		must(t, err)
		fmt.Fprintf(&b, "%s from %d to %d:", w, first, last)
		for c, err := range s.Logs().Read(ctx, w, 1, 0) {
			must(t, err)
			if !bytes.Equal(c.Bytes, bytesOf(w.Name, c.First, len(c.Bytes))) {
				t.Fatalf("chunk %d of %s holds %.20q", c.First, w, c.Bytes)
			}
			fmt.Fprintf(&b, " %d-%d (%d)", c.First, c.Last(), len(c.Bytes))
		}
		b.WriteString("\n")
	}
	for key, err := range s.Cells().List(ctx, "", "") {
		must(t, err)
		value, _, err := s.Cells().Get(ctx, key)
		must(t, err)
		fmt.Fprintf(&b, "cell %s: %s\n", key, value)
	}
	for h, err := range s.Blobs().List(ctx) {
		must(t, err)
		r, err := s.Blobs().Get(ctx, h)
		must(t, err)
		content, err := io.ReadAll(r)
		must(t, err)
		must(t, r.Close())
		fmt.Fprintf(&b, "blob %s: %d\n", h, len(content))
	}
	for shard := range id.Shard(2) {
		epoch, err := s.Logs().Epoch(ctx, shard)
		must(t, err)
		fmt.Fprintf(&b, "shard %d: epoch %d", shard, epoch)
		if _, real := s.(*local.Store); real && epoch > 0 {
			head, err := s.Logs().Acquire(ctx, shard, epoch)
			must(t, err)
			fmt.Fprintf(&b, ", head %d", head)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func begin(disk vfs.FS) (*story, error) {
	s := &story{disk: disk, next: map[string]uint64{}}
	var err error
	s.store, err = local.Open(ctx, disk, "store", small)
	return s, err
}

// randomSteps gives a story of n steps.
func randomSteps(random *rand.Rand, n int) []step {
	all := []step{acquire(0), acquire(1)}
	names := [2][]string{{"a", "b"}, {"c", "d"}}
	for range n {
		shard := random.IntN(2)
		name := names[shard][random.IntN(2)]
		next := segment(id.Shard(shard), 1+random.IntN(1500), name)
		switch random.IntN(12) {
		case 0:
			next = truncate(id.Shard(shard), name, 1+random.Uint64N(20))
		case 1:
			next = deleteLog(id.Shard(shard), name)
		case 2:
			next = cell("x", strings.Repeat("v", random.IntN(1000)))
		case 3:
			next = deleteCell("x")
		case 4:
			next = blob(random.IntN(3000))
		case 5, 6:
			next = housekeep
		case 7:
			next = reopen
		case 8:
			next = segment(id.Shard(shard), 1+random.IntN(700), names[shard]...)
		}
		all = append(all, next)
	}
	return all
}

// chapters gives what dump shows after each step, beginning with none.
func chapters(t testing.TB, steps []step) []string {
	s, err := begin(vfs.NewMemory(1))
	must(t, err)
	all := []string{dump(t, s.store)}
	for _, step := range steps {
		if err := step.run(s); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		all = append(all, dump(t, s.store))
	}
	must(t, s.store.Close())
	return all
}

func TestWhateverTheMomentThePowerFailsWhatWasAcknowledgedIsThere(t *testing.T) {
	steps := steps()
	want := chapters(t, steps)
	for k, done := 0, false; !done; k += stride() {
		done = powerFails(t, steps, want, k)
	}
}

func TestThePowerFailsInRandomStories(t *testing.T) {
	stories := uint64(12)
	if *long {
		stories = 2000
	}
	for seed := range stories {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			steps := randomSteps(random, 80)
			want := chapters(t, steps)
			for range 15 {
				powerFails(t, steps, want, random.IntN(1500))
			}
		})
	}
}

// stride leaves some moments out when the tests are to be short.
func stride() int {
	if testing.Short() {
		return 7
	}
	return 1
}

// long makes the random tests take minutes.
var long = flag.Bool("long", false, "run the random stories for minutes")

// powerFails tells a story until change k, where the power fails, and checks
// what is left. It says whether the story ended before.
func powerFails(t *testing.T, steps []step, want []string, k int) (done bool) {
	t.Helper()
	disk := vfs.NewMemory(1)
	disk.PowerOffAt(k)
	s, err := begin(disk)
	n := 0
	for ; err == nil && n < len(steps); n++ {
		if err = steps[n].run(s); err != nil {
			break
		}
	}
	if err != nil && !errors.Is(err, vfs.ErrPowerOff) {
		t.Fatalf("power off at change %d: step %d: %v", k, n, err)
	}
	done = err == nil
	random := rand.New(rand.NewPCG(uint64(k), 1))
	for _, keep := range []func() bool{nil, func() bool { return true }, func() bool { return random.IntN(2) == 0 }, func() bool { return random.IntN(8) == 0 }} {
		left := disk.Crash(keep)
		again, err := local.Open(ctx, left, "store", small)
		if err != nil {
			t.Fatalf("power off at change %d: open: %v", k, err)
		}
		got := dump(t, again)
		if got != want[n] && (done || got != want[n+1]) {
			t.Fatalf("power off at change %d, in step %q: the store holds\n%s\nwant\n%s", k, append(steps, step{})[n].name, got, want[n])
		}
		removeIndexOf(t, again, left, k%2 == 0)
	}
	return done
}

// removeIndexOf closes a store, after which opening it again, with or without
// its index, must show the same.
func removeIndexOf(t *testing.T, s *local.Store, disk vfs.FS, lost bool) {
	t.Helper()
	before := dump(t, s)
	must(t, s.Close())
	if lost {
		removeIndex(t, disk, "store")
	}
	s, err := local.Open(ctx, disk, "store", small)
	must(t, err)
	if after := dump(t, s); after != before {
		t.Fatalf("opened again the store holds\n%s\nwant\n%s", after, before)
	}
	must(t, s.Close())
}

func TestWhateverFailsOnceTheStoryEndsTheSame(t *testing.T) {
	want := chapters(t, steps())
	broken := errors.New("broken")
	for _, cause := range []error{broken, vfs.ErrFull} {
		for k, done := 0, false; !done; k += stride() {
			disk := vfs.NewMemory(1)
			failed := ""
			disk.SetFault(func(op vfs.Op) error {
				if op.Change == k {
					failed = fmt.Sprintf("%+v", op)
					return cause
				}
				return nil
			})
			s, err := begin(disk)
			if err != nil {
				s, err = begin(disk)
			}
			must(t, err)
			for n, step := range steps() {
				err := step.run(s)
				if err != nil && !errors.Is(err, cause) {
					t.Fatalf("failing %s: step %q: %v", failed, step.name, err)
				}
				if err == nil {
					continue
				}
				if err := step.run(s); err != nil {
					t.Fatalf("failing %s: step %q again: %v", failed, step.name, err)
				}
				if got := dump(t, s.store); got != want[n+1] {
					t.Fatalf("failing %s: after step %q the store holds\n%s\nwant\n%s", failed, step.name, got, want[n+1])
				}
			}
			left := disk.Crash(nil)
			again, err := local.Open(ctx, left, "store", small)
			must(t, err)
			if got := dump(t, again); got != want[len(want)-1] {
				t.Fatalf("failing %s: after a power failure the store holds\n%s\nwant\n%s", failed, got, want[len(want)-1])
			}
			must(t, again.Close())
			must(t, s.store.Close())
			done = failed == ""
		}
	}
}
