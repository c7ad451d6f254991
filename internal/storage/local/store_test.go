package local_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/local"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

// log is an owner of shard 0 that appends entries of one worker.
type log struct {
	t     testing.TB
	store *local.Store
	head  uint64
	next  map[string]uint64
}

func newLog(t testing.TB, s *local.Store) *log {
	head, err := s.Logs().Acquire(ctx, 0, 1)
	must(t, err)
	return &log{t: t, store: s, head: head, next: map[string]uint64{}}
}

func (l *log) append(name string, size int) error {
	l.next[name]++
	first := l.next[name]
	c := storage.Chunk{Worker: named(name), First: first, Count: 1, Bytes: bytesOf(name, first, size)}
	err := l.store.Logs().Append(ctx, 0, 1, l.head, []storage.Chunk{c})
	if err != nil {
		l.next[name]--
		return err
	}
	l.head++
	return nil
}

// read gives how many entries can be read, and checks them.
func read(t testing.TB, s *local.Store, name string) (n uint64) {
	t.Helper()
	for c, err := range s.Logs().Read(ctx, named(name), 1, 0) {
		must(t, err)
		if !bytes.Equal(c.Bytes, bytesOf(name, c.First, len(c.Bytes))) {
			t.Fatalf("entry %d of %s holds %.20q", c.First, name, c.Bytes)
		}
		n++
	}
	return n
}

func TestAFullDiskStopsWritesAndNothingElse(t *testing.T) {
	disk := vfs.NewMemory(1)
	s := open(t, disk, "store", small)
	ballast, err := disk.Create("ballast")
	must(t, err)
	must(t, ballast.Allocate(0, 100<<10))
	disk.SetCapacity(200 << 10)
	l := newLog(t, s)
	for err == nil {
		err = l.append("a", 3000)
	}
	if !errors.Is(err, storage.ErrFull) {
		t.Fatalf("got %v", err)
	}
	_, _, err = s.Blobs().Put(ctx, strings.NewReader(strings.Repeat("x", 150_000)))
	if !errors.Is(err, storage.ErrFull) {
		t.Fatalf("a blob on a full disk: %v", err)
	}
	_, err = s.Cells().Put(ctx, "k", 0, make([]byte, 10_000))
	if !errors.Is(err, storage.ErrFull) {
		t.Fatalf("a cell on a full disk: %v", err)
	}
	n := read(t, s, "a")
	if n != l.next["a"] || n < 10 {
		t.Fatalf("%d of %d entries can be read", n, l.next["a"])
	}
	// It can be opened and read while the disk is full, also without an index.
	must(t, s.Close())
	removeIndex(t, disk, "store")
	disk.SetCapacity(disk.Used())
	s = open(t, disk, "store", small)
	l.store = s
	if got := read(t, s, "a"); got != n {
		t.Fatalf("opened on a full disk, %d of %d entries can be read", got, n)
	}
	if _, err := s.Housekeep(ctx); !errors.Is(err, storage.ErrFull) {
		t.Fatalf("keeping house on a full disk: %v", err)
	}
	must(t, disk.Remove("ballast"))
	disk.SetCapacity(500 << 10)
	for range 20 {
		must(t, l.append("a", 3000))
	}
	if got := read(t, s, "a"); got != n+20 {
		t.Errorf("with space again, %d of %d entries can be read", got, n+20)
	}
	must(t, s.Close())
}

func TestASecondProcessIsRefusedAndToldWhose(t *testing.T) {
	if dir := os.Getenv("LOCAL_TEST_DIR"); dir != "" {
		_, err := local.Open(ctx, vfs.OS(), dir, local.Options{})
		fmt.Printf("locked %v: %v\n", errors.Is(err, storage.ErrLocked), err)
		r, err := local.OpenReadOnly(ctx, vfs.OS(), dir)
		if err == nil {
			fmt.Printf("reading %d\n", read(t, r, "a"))
		}
		return
	}
	dir := t.TempDir()
	s := open(t, vfs.OS(), dir, local.Options{})
	defer s.Close()
	must(t, newLog(t, s).append("a", 100))
	child := exec.Command(os.Args[0], "-test.run=^TestASecondProcessIsRefusedAndToldWhose$")
	child.Env = append(os.Environ(), "LOCAL_TEST_DIR="+dir)
	out, err := child.CombinedOutput()
	must(t, err)
	for _, want := range []string{"locked true", dir, fmt.Sprintf("process %d", os.Getpid()), "reading 1"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the other process said %q, without %q", out, want)
		}
	}
}

func TestAKilledProcessLeavesWhatItAppended(t *testing.T) {
	if dir := os.Getenv("LOCAL_TEST_KILL"); dir != "" {
		s := open(t, vfs.OS(), dir, local.Options{})
		l := newLog(t, s)
		for {
			must(t, l.append("a", 100))
			fmt.Println(l.next["a"])
		}
	}
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestAKilledProcessLeavesWhatItAppended$")
	child.Env = append(os.Environ(), "LOCAL_TEST_KILL="+dir)
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	var acknowledged uint64
	for acknowledged < 50 {
		_, err := fmt.Fscanln(out, &acknowledged)
		must(t, err)
	}
	must(t, child.Process.Kill())
	_ = child.Wait()
	s := open(t, vfs.OS(), dir, local.Options{})
	defer s.Close()
	if n := read(t, s, "a"); n < acknowledged {
		t.Errorf("%d entries are left of %d", n, acknowledged)
	}
}

func TestADirectoryThatCannotBeWrittenSaysWhatToDo(t *testing.T) {
	disk := vfs.NewMemory(1)
	s := open(t, disk, "store", local.Options{})
	must(t, newLog(t, s).append("a", 100))
	must(t, s.Close())
	for _, cause := range []error{vfs.ErrReadOnly, os.ErrPermission} {
		disk.SetFault(func(op vfs.Op) error {
			if op.Change >= 0 {
				return cause
			}
			return nil
		})
		_, err := local.Open(ctx, disk, "other/store", local.Options{})
		if err == nil || !strings.Contains(err.Error(), "make it writable") || !errors.Is(err, cause) {
			t.Errorf("got %v", err)
		}
		r, err := local.OpenReadOnly(ctx, disk, "store")
		must(t, err)
		if n := read(t, r, "a"); n != 1 {
			t.Errorf("%d entries can be read", n)
		}
		must(t, r.Close())
	}
}

func TestANewerFormatIsRefusedByBothVersions(t *testing.T) {
	disk := vfs.NewMemory(1)
	s := open(t, disk, "store", local.Options{})
	must(t, newLog(t, s).append("a", 100))
	must(t, s.Close())
	newer := disk.Crash(nil)
	f, err := newer.Create("store/FORMAT")
	must(t, err)
	_, err = f.WriteAt([]byte("waterbear store 7\n"), 0)
	must(t, err)
	_, err = local.Open(ctx, newer, "store", local.Options{})
	refusedAsNewer(t, err, "format 7")
	_, err = local.OpenReadOnly(ctx, newer, "store")
	refusedAsNewer(t, err, "format 7")

	// Without its FORMAT it is still told by the log.
	must(t, disk.Remove("store/FORMAT"))
	again := disk.Crash(func() bool { return true })
	s = open(t, again, "store", local.Options{})
	if n := read(t, s, "a"); n != 1 {
		t.Errorf("%d entries can be read", n)
	}
	must(t, s.Close())
	f, err = disk.Create("store/FORMAT")
	must(t, err)
	_, err = f.WriteAt([]byte("something else"), 0)
	must(t, err)
	if _, err = local.Open(ctx, disk, "store", local.Options{}); err == nil || !strings.Contains(err.Error(), "store/FORMAT") {
		t.Errorf("a FORMAT that says something else gives %v", err)
	}
}

func refusedAsNewer(t *testing.T, err error, version string) {
	t.Helper()
	if !errors.Is(err, storage.ErrNewerFormat) || !strings.Contains(err.Error(), version) || !strings.Contains(err.Error(), "format 1") {
		t.Errorf("got %v", err)
	}
}

func TestSpaceComesBack(t *testing.T) {
	disk := vfs.NewMemory(1)
	s := open(t, disk, "store", small)
	l := newLog(t, s)
	for i := range 60 {
		must(t, l.append("old", 1000))
		if i%10 == 0 {
			must(t, l.append("kept", 100))
		}
	}
	_, err := s.Cells().Put(ctx, "k", 0, []byte("v"))
	must(t, err)
	before := disk.Used()
	must(t, s.Logs().Truncate(ctx, 0, 1, named("old"), 30))
	must(t, l.append("old", 1000))
	tidy(t, s)
	must(t, s.Logs().Delete(ctx, 0, 1, named("old")))
	must(t, l.append("kept", 100))
	for range 8 { // So that the last file with much in it is not the newest.
		must(t, l.append("filler", 1000))
	}
	tidy(t, s)
	if after := disk.Used(); after > before/2 {
		t.Errorf("%d bytes are used after %d", after, before)
	}
	if n := read(t, s, "kept"); n != 7 {
		t.Errorf("%d entries are left of 7", n)
	}
	removeIndexOf(t, s, disk, true)
}

func tidy(t testing.TB, s *local.Store) {
	t.Helper()
	for n := 0; ; n++ {
		more, err := s.Housekeep(ctx)
		must(t, err)
		if !more {
			return
		}
		if n > 1000 {
			t.Fatal("keeping house does not end")
		}
	}
}

func TestHousekeepingEndsWhenEverythingIsStateOrGone(t *testing.T) {
	disk := vfs.NewMemory(1)
	s := open(t, disk, "store", small)
	l := newLog(t, s)
	for i := range 300 {
		name := fmt.Sprint("w", i)
		must(t, l.append(name, 10))
		must(t, l.append(name, 10))
		must(t, s.Logs().Truncate(ctx, 0, 1, named(name), 3))
		if i%2 == 0 {
			must(t, s.Logs().Delete(ctx, 0, 1, named(name)))
		}
		if i%20 == 0 {
			tidy(t, s)
		}
	}
	tidy(t, s)
	for i := range 300 {
		_, last, err := s.Logs().Bounds(ctx, named(fmt.Sprint("w", i)))
		must(t, err)
		if want := uint64(2 * (i % 2)); last != want {
			t.Fatalf("the log of w%d ends at %d, want %d", i, last, want)
		}
	}
	removeIndexOf(t, s, disk, true)
}

func TestManySmallBlobsAtOnceCostFewSyncs(t *testing.T) {
	disk := vfs.NewMemory(1)
	s := open(t, disk, "store", local.Options{})
	syncs := 0
	disk.SetFault(func(op vfs.Op) error {
		if op.Kind == vfs.OpSync || op.Kind == vfs.OpSyncDir {
			syncs++
		}
		return nil
	})
	stored, err := s.Blobs().PutAll(ctx, func(yield func(io.Reader) bool) {
		for i := range 2000 {
			if !yield(strings.NewReader(fmt.Sprint("file ", i, strings.Repeat(".", i)))) {
				return
			}
		}
	})
	must(t, err)
	if len(stored) != 2000 || syncs > 6 {
		t.Errorf("%d blobs took %d syncs", len(stored), syncs)
	}
	must(t, s.Close())
}

func TestACrashedPutLeavesNothing(t *testing.T) {
	disk := vfs.NewMemory(1)
	s := open(t, disk, "store", local.Options{})
	stop := errors.New("stop")
	disk.SetFault(func(op vfs.Op) error {
		if op.Kind == vfs.OpRename || op.Kind == vfs.OpRemove {
			return stop
		}
		return nil
	})
	_, _, err := s.Blobs().Put(ctx, bytes.NewReader(make([]byte, 100_000)))
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	disk.SetFault(nil)
	must(t, s.Close())
	s = open(t, disk, "store", local.Options{})
	if names, _ := disk.List("store/blobs/incoming"); len(names) > 0 {
		t.Errorf("left: %q", names)
	}
	must(t, s.Close())
}

func TestManyLogFilesAreReadWithFewOpen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, vfs.OS(), dir, local.Options{FileBytes: 2048, AllocateBytes: 1024})
	l := newLog(t, s)
	for range 200 {
		must(t, l.append("a", 1000))
	}
	if n := read(t, s, "a"); n != 200 {
		t.Errorf("%d entries can be read", n)
	}
	files, err := filepath.Glob(dir + "/log/*.log")
	must(t, err)
	open := 0
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, dir+"/log/") {
			open++
		}
	}
	if len(files) < 190 || open > 130 {
		t.Errorf("%d of %d files are open", open, len(files))
	}
	must(t, s.Close())
}

func TestWorkersAreTruncatedAndDeletedIndependentlyOfTheirNamesOrder(t *testing.T) {
	disk := vfs.NewMemory(1)
	s := open(t, disk, "store", small)
	l := newLog(t, s)
	names := []string{"a", "a.b", "a-b", "a0", "aa"}
	for range 5 {
		for _, name := range names {
			must(t, l.append(name, 700))
		}
		tidy(t, s)
	}
	must(t, s.Logs().Delete(ctx, 0, 1, named("a")))
	must(t, s.Logs().Truncate(ctx, 0, 1, named("a-b"), 4))
	tidy(t, s)
	for name, want := range map[string]uint64{"a": 0, "a.b": 5, "a-b": 2, "a0": 5, "aa": 5} {
		if n := read(t, s, name); n != want {
			t.Errorf("%d entries of %s are left, want %d", n, name, want)
		}
	}
	for w := range s.Logs().Workers(ctx, id.Worker{}) {
		if w == named("a") {
			t.Error("the deleted worker is listed")
		}
	}
	removeIndexOf(t, s, disk, true)
}

func TestTheLargestDirectoryFits(t *testing.T) {
	s := open(t, vfs.NewMemory(1), "store", local.Options{})
	_, err := s.Logs().Acquire(ctx, 0, 1)
	must(t, err)
	component := strings.Repeat("c", id.MaxName)
	var segment []storage.Chunk
	for i := range storage.MaxChunks {
		w := id.Worker{Component: component[:id.MaxName-i%2], Name: fmt.Sprintf("%0*d", id.MaxName, i)}
		segment = append(segment, storage.Chunk{Worker: w, First: 1, Count: 1<<32 - 1})
	}
	must(t, s.Logs().Append(ctx, 0, 1, 0, segment))
	must(t, s.Close())
}

func TestTablesStayFewAlsoIfNobodyKeepsHouse(t *testing.T) {
	disk := vfs.NewMemory(1)
	s := open(t, disk, "store", local.Options{FlushWeight: 8})
	l := newLog(t, s)
	for i := range 1500 {
		must(t, l.append("a", 10))
		if i%30 == 0 {
			must(t, s.Close())
			s = open(t, disk, "store", local.Options{FlushWeight: 8})
			l.store = s
		}
		names, err := disk.List("store/index")
		must(t, err)
		if len(names) > 18 {
			t.Fatalf("%d files after %d appends", len(names), i)
		}
	}
	must(t, s.Close())
}
