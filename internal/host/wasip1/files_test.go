package wasip1_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/host/filesystem"
)

func TestSeekTellAndAppend(t *testing.T) {
	g := newGuest(t, guestConfig{})
	fd := g.create("f")
	to := g.room(8)
	g.ok("fd_tell", fd, to)
	g.write(fd, "0123456789")
	for _, c := range []struct {
		offset int64
		whence uint64
		want   uint64
		e      errno
	}{
		{3, 0, 3, success},
		{4, 1, 7, success},
		{-2, 1, 5, success},
		{-4, 2, 6, success},
		{0, 1, 6, success},
		{100, 2, 110, success},
		{-111, 1, 0, inval},
		{1<<63 - 1, 0, 1<<63 - 1, success},
		{1, 1, 0, inval},
		{-1, 0, 0, inval},
		{0, 3, 0, inval},
		{0, 255, 0, inval},
		{8, 0, 8, success},
	} {
		e := g.call("fd_seek", fd, uint64(c.offset), c.whence, to)
		if e != c.e || e == success && g.u64(to) != c.want {
			t.Errorf("seek %d from %d: got %d, %v, want %d, %v", c.offset, c.whence, g.u64(to), e, c.want, c.e)
		}
	}
	g.reads(fd, 10, "89")
	g.reads(fd, 10, "")
	g.ok("fd_seek", fd, 12, 0, to)
	g.write(fd, "x")
	g.ok("fd_seek", fd, 9, 0, to)
	g.reads(fd, 10, "9\x00\x00x")

	g.ok("fd_fdstat_set_flags", fd, 1)
	g.ok("fd_seek", fd, 0, 0, to)
	g.write(fd, "end")
	g.ok("fd_tell", fd, to)
	if got := g.u64(to); got != 16 {
		t.Errorf("after appending the offset is %d, want 16", got)
	}
	g.ok("fd_fdstat_set_flags", fd, 0)
	g.ok("fd_seek", fd, 0, 0, to)
	g.write(fd, "begin")
	g.ok("fd_seek", fd, 0, 0, to)
	g.reads(fd, 20, "begin56789\x00\x00xend")
	g.wants(inval, "fd_fdstat_set_flags", fd, 32)
	other := g.open("f", how{base: fdRead | fdSeek})
	g.reads(other, 5, "begin")
	g.reads(other, 5, "56789")
}

func TestPositionedReadsAndWritesLeaveTheOffset(t *testing.T) {
	g := newGuest(t, guestConfig{})
	fd := g.create("f")
	g.write(fd, "0123456789")
	abc := g.put([]byte("abc"))
	iovs, n := g.iovs([2]uint64{abc, 1}, [2]uint64{0, 0}, [2]uint64{abc + 1, 2})
	done := g.room(8)
	g.ok("fd_pwrite", fd, iovs, n, 4, done)
	g.ok("fd_pread", fd, iovs, n, 3, done)
	if got := string(g.bytes(abc, 3)); got != "3ab" || g.u32(done) != 3 {
		t.Errorf("got %q, %d", got, g.u32(done))
	}
	g.ok("fd_pread", fd, iovs, n, 9, done)
	if got := string(g.bytes(abc, 3)); got != "9ab" || g.u32(done) != 1 {
		t.Errorf("at the end: got %q, %d", got, g.u32(done))
	}
	g.wants(inval, "fd_pread", fd, iovs, n, 1<<63, done)
	g.wants(fbig, "fd_pwrite", fd, iovs, n, filesystem.MaxFileSize, done)
	g.wants(spipe, "fd_pread", 0, iovs, n, 0, done)
	g.wants(spipe, "fd_pwrite", 1, iovs, n, 0, done)
	g.wants(isdir, "fd_pread", root, iovs, n, 0, done)
	g.write(fd, "x")
	g.ok("fd_seek", fd, 0, 0, done)
	g.reads(fd, 20, "0123abc789x")
}

func TestDirectoriesAreReadWithBuffersOfAnySize(t *testing.T) {
	g := newGuest(t, guestConfig{})
	want := []string{".", ".."}
	for i := range 20 {
		name := strings.Repeat("n", i) + fmt.Sprint(i)
		g.ok("fd_close", g.create(name))
		want = append(want, name)
	}
	free := g.free
	for size := 24 + 21 + 1; size < 1200; size += 1 + size/20 {
		if got := g.names(root, size); !slices.Equal(got, want) {
			t.Errorf("buffer of %d bytes: got %q", size, got)
		}
		g.free = free
	}
	buffer, used := g.put([]byte{0xee, 0xee}), g.room(4)
	g.ok("fd_readdir", root, buffer, 0, 0, used)
	if g.u32(used) != 0 {
		t.Errorf("no buffer: used %d", g.u32(used))
	}
	g.ok("fd_readdir", root, buffer, 1, 2, used)
	if b := g.bytes(buffer, 2); g.u32(used) != 1 || b[0] != 3 || b[1] != 0xee {
		t.Errorf("a buffer of one byte: used %d, %x", g.u32(used), b)
	}
	g.ok("fd_readdir", root, buffer, 2, 1<<64-1, used)
	if g.u32(used) != 0 {
		t.Errorf("behind everything: used %d", g.u32(used))
	}
	g.wants(notdir, "fd_readdir", g.open("0", how{base: everything}), buffer, 2, 0, used)
	g.wants(notdir, "fd_readdir", 0, buffer, 2, 0, used)
}

func TestDirectoryEntriesNameInodeAndType(t *testing.T) {
	g := newGuest(t, guestConfig{})
	g.ok("fd_close", g.create("file"))
	at, n := g.path("dir")
	g.ok("path_create_directory", root, at, n)
	to, toN := g.path("link")
	g.ok("path_symlink", at, n, root, to, toN)
	buffer, used, stat := g.room(300), g.room(4), g.room(64)
	g.ok("fd_readdir", root, buffer, 300, 2, used)
	for _, want := range []struct {
		name string
		kind byte
	}{{"file", 4}, {"dir", 3}, {"link", 7}} {
		name, n := g.path(want.name)
		g.ok("path_filestat_get", root, 0, name, n, stat)
		entry := g.bytes(buffer, 24+len(want.name))
		if got := string(entry[24:]); got != want.name || entry[20] != want.kind || g.u64(buffer+8) != g.u64(stat+8) || g.bytes(stat, 64)[16] != want.kind {
			t.Errorf("got %q of type %d, inode %d, want %q, %d, %d", got, entry[20], g.u64(buffer+8), want.name, want.kind, g.u64(stat+8))
		}
		buffer += uint64(len(entry))
	}
}

// A directory is removed while it is read, as rm -r does.
func TestDirectoryIsEmptiedWhileItIsRead(t *testing.T) {
	g := newGuest(t, guestConfig{pages: 16})
	for i := range 300 {
		g.ok("fd_close", g.create(fmt.Sprint(i)))
	}
	buffer, used := g.room(100), g.room(4)
	cookie, removed := uint64(2), 0
	for {
		g.ok("fd_readdir", root, buffer, 100, cookie, used)
		if g.u32(used) < 24 {
			break
		}
		n := uint64(g.u32(buffer + 16))
		cookie = g.u64(buffer)
		g.ok("path_unlink_file", root, buffer+24, n)
		removed++
	}
	if removed != 300 {
		t.Errorf("removed %d of 300", removed)
	}
}

func TestTimesAreSetAsTold(t *testing.T) {
	g := newGuest(t, guestConfig{})
	fd, stat := g.create("f"), g.room(64)
	at, n := g.path("f")
	times := func() (atime, mtime, ctime uint64) {
		g.ok("fd_filestat_get", fd, stat)
		return g.u64(stat + 40), g.u64(stat + 48), g.u64(stat + 56)
	}
	g.ok("fd_filestat_set_times", fd, 11, 22, 1|4)
	a, m, c := times()
	if a != 11 || m != 22 || c < 100 {
		t.Errorf("both: got %d, %d, %d", a, m, c)
	}
	g.ok("path_filestat_set_times", root, 0, at, n, 33, 44, 1)
	if a, m, _ = times(); a != 33 || m != 22 {
		t.Errorf("access alone: got %d, %d", a, m)
	}
	g.ok("path_filestat_set_times", root, 0, at, n, 33, 44, 8)
	if a, m, _ = times(); a != 33 || m < 100 {
		t.Errorf("modified now: got %d, %d", a, m)
	}
	g.ok("fd_filestat_set_times", fd, 0, 0, 2|8)
	if a, m, _ = times(); a != m || a < 100 {
		t.Errorf("both now: got %d, %d", a, m)
	}
	for _, flags := range []uint64{1 | 2, 4 | 8, 15, 16, 1 << 15} {
		g.wants(inval, "fd_filestat_set_times", fd, 1, 1, flags)
		g.wants(inval, "path_filestat_set_times", root, 0, at, n, 1, 1, flags)
	}
	before := g.touched
	g.ok("fd_close", fd)
	g.open("f", how{base: fdRead})
	if g.touched != before {
		t.Error("opening to read reads a clock")
	}
	g.open("f", how{base: fdWrite})
	if g.touched != before+1 {
		t.Errorf("opening to write reads %d clocks", g.touched-before)
	}
}

func TestRenumberMovesADescriptor(t *testing.T) {
	g := newGuest(t, guestConfig{maxFiles: 8})
	a, b := g.create("a"), g.create("b")
	g.write(a, "aaa")
	g.ok("fd_renumber", a, a)
	g.ok("fd_renumber", a, b)
	g.wants(badf, "fd_close", a)
	to := g.room(8)
	g.ok("fd_seek", b, 0, 0, to)
	g.reads(b, 9, "aaa")
	g.wants(badf, "fd_renumber", b, a)
	g.wants(badf, "fd_renumber", a, b)
	g.wants(badf, "fd_renumber", b, 1<<32-1)

	// What the output is moved to is still the output.
	g.ok("fd_renumber", 1, b)
	g.write(b, "hello")
	if string(g.stdout) != "hello" {
		t.Errorf("stdout: got %q", g.stdout)
	}
	// A file for a standard stream: the program redirects its output.
	c := g.create("c")
	if c != 1 {
		t.Fatalf("got descriptor %d, want the lowest free one, 1", c)
	}
	c = g.create("d")
	g.ok("fd_renumber", c, 2)
	g.write(2, "log")
	if len(g.stderr) > 0 {
		t.Errorf("stderr: got %q", g.stderr)
	}
	// Onto the directory that was given: it is no longer given.
	c = g.create("e")
	g.ok("fd_renumber", c, root)
	g.wants(badf, "fd_prestat_get", root, to)
	g.write(root, "in e")
	if e := g.onPath("path_create_directory", "x"); e != notdir {
		t.Errorf("a directory below a file: got %v", e)
	}
	// Every inode is released once: a removed file goes with its descriptor.
	usage := g.fs.Usage()
	for fd := range uint64(10) {
		g.call("fd_close", fd)
	}
	if got := g.fs.Usage(); got != usage {
		t.Errorf("files that have names went with their descriptors: got %+v, want %+v", got, usage)
	}
	if _, err := g.fs.Stat(filesystem.Root); err != nil {
		t.Error(err)
	}
}

func TestOpenFilesAreBounded(t *testing.T) {
	g := newGuest(t, guestConfig{maxFiles: 20})
	at, n := g.path("f")
	to := g.room(4)
	opened := 0
	for range 1000000 {
		e := g.call("path_open", root, 0, at, n, oCreate, 0, 0, 0, to)
		if e == mfile {
			continue
		}
		if opened++; e != success || g.u32(to) != uint32(3+opened) {
			t.Fatalf("opening %d: got %d, %v", opened, g.u32(to), e)
		}
	}
	if opened != 16 {
		t.Errorf("opened %d, want 16 beside the 4 that were open", opened)
	}
	for _, fd := range []uint64{9, 5} {
		g.ok("fd_close", fd)
	}
	for _, want := range []uint32{5, 9} {
		if g.ok("path_open", root, 0, at, n, 0, 0, 0, 0, to); g.u32(to) != want {
			t.Errorf("got descriptor %d, want %d", g.u32(to), want)
		}
	}
	// A file that cannot be opened for want of a descriptor is not made.
	at, n = g.path("new")
	g.wants(mfile, "path_open", root, 0, at, n, oCreate, 0, 0, 0, to)
	g.wants(noent, "path_filestat_get", root, 0, at, n, g.room(64))
}

func TestDefaultNumberOfFilesCanBeOpened(t *testing.T) {
	g := newGuest(t, guestConfig{})
	for range 4096 - 4 {
		free := g.free
		g.create("f")
		g.free = free
	}
	if _, e := g.tryOpen("f", how{}); e != mfile {
		t.Errorf("one more: got %v", e)
	}
}

func TestQuotasAreErrorsOfTheProgram(t *testing.T) {
	g := newGuest(t, guestConfig{limits: filesystem.Limits{Bytes: 20000, Names: 4}, pages: 2})
	fd := g.create("f")
	done := g.room(8)
	iovs, n := g.iovs([2]uint64{0, 60000})
	if e := g.call("fd_write", fd, iovs, n, done); e != nospc {
		t.Errorf("write more than there is space: got %v", e)
	}
	g.write(fd, "small")
	g.wants(nospc, "fd_allocate", fd, 0, 1<<30)
	g.wants(fbig, "fd_allocate", fd, 1<<62, 1<<62)
	g.wants(inval, "fd_filestat_set_size", fd, 1<<63)
	g.wants(fbig, "fd_filestat_set_size", fd, 1<<62)
	g.ok("fd_filestat_set_size", fd, 1<<40)
	g.create("g")
	g.create("h")
	if _, e := g.tryOpen("i", how{flags: oCreate}); e != dquot {
		t.Errorf("a file too many: got %v", e)
	}
}

func TestPreopensAreFoundFromThreeOn(t *testing.T) {
	g := newGuest(t, guestConfig{})
	to := g.room(16)
	g.ok("fd_prestat_get", 3, to)
	if g.u32(to) != 0 || g.u32(to+4) != 1 {
		t.Errorf("got tag %d, length %d", g.u32(to), g.u32(to+4))
	}
	g.wants(badf, "fd_prestat_get", 4, to)
	g.wants(badf, "fd_prestat_get", 1, to)
	g.wants(badf, "fd_prestat_dir_name", g.create("f"), to, 10)
	g.wants(nametoolong, "fd_prestat_dir_name", 3, to, 0)
	g.ok("fd_prestat_dir_name", 3, to, 1)
	if got := string(g.bytes(to, 1)); got != "/" {
		t.Errorf("got %q", got)
	}
	g.ok("fd_close", 3)
	g.wants(badf, "fd_prestat_get", 3, to)
}
