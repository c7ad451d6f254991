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

func TestPathsAreConfinedToTheirDirectory(t *testing.T) {
	g := newGuest(t, guestConfig{pages: 16})
	for _, d := range []string{"box", "box/in"} {
		if e := g.onPath("path_create_directory", d); e != success {
			t.Fatal(e)
		}
	}
	g.write(g.create("secret"), "s")
	g.write(g.create("box/own"), "o")
	box := g.open("box", how{flags: oDirectory, base: everything &^ fdWrite, inheriting: everything})
	stat, used := g.room(64), g.room(4)
	own, ownN := g.path("own")
	free := g.free
	for _, path := range []string{
		"/", "/secret", "..", "../", "../secret", "in/../../secret", "./../secret", "in/../..", "../box/own",
		"in/../../box/own",
	} {
		at, n := g.path(path)
		for what, e := range map[string]errno{
			"path_open":               g.call("path_open", box, follow, at, n, oCreate, 0, 0, 0, used),
			"path_filestat_get":       g.call("path_filestat_get", box, 0, at, n, stat),
			"path_filestat_set_times": g.call("path_filestat_set_times", box, 0, at, n, 0, 0, 0),
			"path_create_directory":   g.call("path_create_directory", box, at, n),
			"path_remove_directory":   g.call("path_remove_directory", box, at, n),
			"path_unlink_file":        g.call("path_unlink_file", box, at, n),
			"path_readlink":           g.call("path_readlink", box, at, n, stat, 64, used),
			"path_symlink":            g.call("path_symlink", own, ownN, box, at, n),
			"path_link from":          g.call("path_link", box, 0, at, n, box, own, ownN),
			"path_link to":            g.call("path_link", box, 0, own, ownN, box, at, n),
			"path_rename from":        g.call("path_rename", box, at, n, box, own, ownN),
			"path_rename to":          g.call("path_rename", box, own, ownN, box, at, n),
		} {
			if e != perm {
				t.Errorf("%s %q: got %v, want %v", what, path, e, perm)
			}
		}
		g.free = free
	}
	at, n := g.path("../secret")
	to, toN := g.path("link")
	g.ok("path_symlink", at, n, box, to, toN)
	if _, e := g.tryOpen("link", how{dir: box, lookup: follow}); e != perm {
		t.Errorf("open a link that leads out: got %v", e)
	}
	g.wants(perm, "path_filestat_get", box, follow, to, toN, stat)
	g.ok("path_filestat_get", box, 0, to, toN, stat)
	at, n = g.path("/secret")
	to, toN = g.path("absolute")
	g.wants(perm, "path_symlink", at, n, box, to, toN)
}

func TestStrangePathsAreRefused(t *testing.T) {
	g := newGuest(t, guestConfig{})
	for _, c := range []struct {
		path string
		want errno
	}{
		{"", noent},
		{"a\x00", inval},
		{"\x00", inval},
		{"\xff\xfe", ilseq},
		{"a/\xc3", ilseq},
		{strings.Repeat("n", 256), nametoolong},
		{strings.Repeat("n/", 2048), nametoolong},
		{strings.Repeat("x", 64<<10), nametoolong},
	} {
		free := g.free
		if _, e := g.tryOpen(c.path, how{flags: oCreate}); e != c.want {
			t.Errorf("open %.20q of %d bytes: got %v, want %v", c.path, len(c.path), e, c.want)
		}
		if e := g.onPath("path_create_directory", c.path); e != c.want {
			t.Errorf("mkdir %.20q of %d bytes: got %v, want %v", c.path, len(c.path), e, c.want)
		}
		g.free = free
	}
	if e := g.onPath("path_create_directory", strings.Repeat("n", 255)); e != success {
		t.Errorf("the longest name: got %v", e)
	}
	if e := g.onPath("path_create_directory", "gr\u00fc\u00df dich/../\u26f0"); e != noent {
		t.Errorf("letters of any script: got %v", e)
	}
}

func TestOpenFlags(t *testing.T) {
	g := newGuest(t, guestConfig{})
	g.write(g.create("file"), "content")
	g.onPath("path_create_directory", "dir")
	link := func(target, name string) {
		at, n := g.path(target)
		to, toN := g.path(name)
		g.ok("path_symlink", at, n, root, to, toN)
	}
	link("file", "tofile")
	link("dir", "todir")
	link("new", "dangling")
	link("self", "self")
	for _, c := range []struct {
		path string
		how  how
		want errno
	}{
		{"none", how{}, noent},
		{"none/x", how{flags: oCreate}, noent},
		{"file/x", how{flags: oCreate}, notdir},
		{"file", how{flags: oDirectory}, notdir},
		{"file", how{flags: oCreate | oExclusive}, exist},
		{"file/", how{}, notdir},
		{"file", how{flags: oCreate | oDirectory}, inval},
		{"new/", how{flags: oCreate}, isdir},
		{"dir", how{base: fdWrite}, isdir},
		{"dir", how{flags: oTruncate}, isdir},
		{"dir", how{flags: oCreate}, isdir},
		{"dir", how{base: fdRead}, success},
		{"dir/", how{flags: oDirectory}, success},
		{"tofile", how{}, loop},
		{"tofile", how{lookup: follow}, success},
		{"todir", how{flags: oDirectory}, notdir},
		{"todir", how{lookup: follow, flags: oDirectory}, success},
		{"todir/", how{flags: oDirectory}, success},
		{"dangling", how{lookup: follow}, noent},
		{"dangling", how{flags: oCreate | oExclusive}, exist},
		{"dangling", how{lookup: follow, flags: oCreate | oExclusive}, exist},
		{"self", how{lookup: follow}, loop},
		{"self", how{}, loop},
		{"file", how{lookup: 2}, inval},
		{"file", how{flags: 16}, inval},
		{"file", how{fdflags: 32}, inval},
		{"file", how{fdflags: 31}, success},
		{"dangling", how{lookup: follow, flags: oCreate}, success},
		{"new", how{}, success},
		{"file", how{dir: 1}, notdir},
		{"file", how{dir: 99}, badf},
	} {
		if _, e := g.tryOpen(c.path, c.how); e != c.want {
			t.Errorf("open %q %+v: got %v, want %v", c.path, c.how, e, c.want)
		}
	}
	fd := g.open("file", how{flags: oTruncate, base: fdRead})
	g.reads(fd, 10, "")
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

func TestLinksAndReadlink(t *testing.T) {
	g := newGuest(t, guestConfig{})
	fd := g.create("f")
	g.write(fd, "x")
	f, fN := g.path("f")
	s, sN := g.path("s")
	g.ok("path_symlink", f, fN, root, s, sN)
	h, hN := g.path("h")
	g.ok("path_link", root, 0, s, sN, root, h, hN) // of the link itself
	stat, used := g.room(64), g.room(4)
	g.ok("path_filestat_get", root, 0, h, hN, stat)
	if kind, links := g.bytes(stat, 64)[16], g.u64(stat+24); kind != 7 || links != 2 {
		t.Errorf("got type %d with %d links, want a symbolic link with 2", kind, links)
	}
	i, iN := g.path("i")
	g.ok("path_link", root, follow, s, sN, root, i, iN)
	g.ok("fd_filestat_get", fd, stat)
	if links := g.u64(stat + 24); links != 2 {
		t.Errorf("the file has %d links, want 2", links)
	}
	g.wants(inval, "path_link", root, 2, s, sN, root, i, iN)
	g.wants(exist, "path_link", root, 0, f, fN, root, i, iN)
	dot, dotN := g.path(".")
	g.wants(perm, "path_link", root, 0, dot, dotN, root, g.put([]byte("j")), 1)

	buffer := g.put([]byte("..."))
	g.ok("path_readlink", root, s, sN, buffer, 3, used)
	if got := string(g.bytes(buffer, 3)); got != "f.." || g.u32(used) != 1 {
		t.Errorf("got %q, %d", got, g.u32(used))
	}
	g.ok("path_readlink", root, s, sN, buffer, 0, used)
	if g.u32(used) != 0 {
		t.Errorf("no buffer: used %d", g.u32(used))
	}
	g.wants(inval, "path_readlink", root, f, fN, buffer, 3, used)
}
