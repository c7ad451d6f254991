package wasip1_test

import "testing"

// needs is a call on a descriptor and the rights it takes, by their bits.
type needs struct {
	function string
	dir      bool // on a directory, else on a file
	bits     []int
	params   func(g *guest, fd uint64) []uint64
}

func onlyFD(_ *guest, fd uint64) []uint64 { return []uint64{fd} }

func withPath(g *guest, fd uint64) []uint64 {
	at, n := g.path("d")
	return []uint64{fd, at, n}
}

func rightsTable() []needs {
	iovs := func(g *guest, fd uint64) []uint64 {
		at, n := g.iovs([2]uint64{g.room(1), 1})
		return []uint64{fd, at, n, 0, g.room(4)}
	}
	return []needs{
		{"fd_advise", false, []int{7}, func(_ *guest, fd uint64) []uint64 { return []uint64{fd, 0, 0, 0} }},
		{"fd_allocate", false, []int{8}, func(_ *guest, fd uint64) []uint64 { return []uint64{fd, 0, 1} }},
		{"fd_datasync", false, []int{0}, onlyFD},
		{"fd_sync", true, []int{4}, onlyFD},
		{"fd_fdstat_set_flags", false, []int{3}, func(_ *guest, fd uint64) []uint64 { return []uint64{fd, 0} }},
		{"fd_filestat_get", false, []int{21}, func(g *guest, fd uint64) []uint64 { return []uint64{fd, g.room(64)} }},
		{"fd_filestat_set_size", false, []int{22}, func(_ *guest, fd uint64) []uint64 { return []uint64{fd, 0} }},
		{"fd_filestat_set_times", true, []int{23}, func(_ *guest, fd uint64) []uint64 { return []uint64{fd, 0, 0, 0} }},
		{"fd_pread", false, []int{2}, iovs}, // and fd_read, whose lack is badf
		{"fd_pwrite", false, []int{2}, iovs},
		{"fd_seek", false, []int{2}, func(g *guest, fd uint64) []uint64 { return []uint64{fd, 1, 0, g.room(8)} }},
		{"fd_tell", false, []int{5}, func(g *guest, fd uint64) []uint64 { return []uint64{fd, g.room(8)} }},
		{"fd_readdir", true, []int{14}, func(g *guest, fd uint64) []uint64 { return []uint64{fd, g.room(9), 9, 0, g.room(4)} }},
		{"path_create_directory", true, []int{9}, withPath},
		{"path_remove_directory", true, []int{25}, withPath},
		{"path_unlink_file", true, []int{26}, withPath},
		{"path_filestat_get", true, []int{18}, func(g *guest, fd uint64) []uint64 {
			at, n := g.path("d")
			return []uint64{fd, 0, at, n, g.room(64)}
		}},
		{"path_filestat_set_times", true, []int{20}, func(g *guest, fd uint64) []uint64 {
			at, n := g.path("d")
			return []uint64{fd, 0, at, n, 0, 0, 0}
		}},
		{"path_link", true, []int{11, 12}, func(g *guest, fd uint64) []uint64 {
			at, n := g.path("d")
			return []uint64{fd, 0, at, n, fd, at, n}
		}},
		{"path_open", true, []int{10, 13, 19}, func(g *guest, fd uint64) []uint64 {
			at, n := g.path("d")
			return []uint64{fd, 0, at, n, oCreate | oTruncate, 0, 0, 0, g.room(4)}
		}},
		{"path_readlink", true, []int{15}, func(g *guest, fd uint64) []uint64 {
			at, n := g.path("d")
			return []uint64{fd, at, n, at, n, g.room(4)}
		}},
		{"path_rename", true, []int{16, 17}, func(g *guest, fd uint64) []uint64 {
			at, n := g.path("d")
			return []uint64{fd, at, n, fd, at, n}
		}},
		{"path_symlink", true, []int{24}, func(g *guest, fd uint64) []uint64 {
			at, n := g.path("d")
			return []uint64{at, n, fd, at, n}
		}},
	}
}

func TestEachCallTakesItsRightsAndNoOthers(t *testing.T) {
	g := newGuest(t, guestConfig{})
	for _, c := range rightsTable() {
		name, dir := "file", uint64(0)
		if c.dir {
			name, dir = ".", oDirectory
		}
		var all uint64
		for _, bit := range c.bits {
			all |= 1 << bit
		}
		also := uint64(0)
		if !c.dir {
			dir = oCreate
			if c.function == "fd_pread" || c.function == "fd_pwrite" {
				also = fdRead | fdWrite
			}
		}
		free := g.free
		fd := g.open(name, how{flags: dir, base: all | also})
		if got := g.call(c.function, c.params(g, fd)...); got == notcapable || got == badf || got == fault {
			t.Errorf("%s with just its rights: got %v", c.function, got)
		}
		g.ok("fd_close", fd)
		for _, bit := range c.bits {
			base := uint64(everything)
			if c.dir {
				base &^= fdWrite
			}
			fd := g.open(name, how{flags: dir, base: base &^ (1 << bit)})
			g.wants(notcapable, c.function, c.params(g, fd)...)
			g.ok("fd_close", fd)
		}
		g.free = free
	}
}

func TestReadingAndWritingTakeARightWhoseLackIsABadDescriptor(t *testing.T) {
	g := newGuest(t, guestConfig{})
	fd := g.open("f", how{flags: oCreate, base: everything &^ (fdRead | fdWrite)})
	iovs, n := g.iovs([2]uint64{g.room(1), 1})
	g.wants(badf, "fd_read", fd, iovs, n, g.room(4))
	g.wants(badf, "fd_write", fd, iovs, n, g.room(4))
	g.wants(badf, "fd_pread", fd, iovs, n, 0, g.room(4))
	g.wants(badf, "fd_pwrite", fd, iovs, n, 0, g.room(4))
}

func TestRightsAreTakenAwayAndNeverHadBack(t *testing.T) {
	g := newGuest(t, guestConfig{})
	base, inheriting := g.rights(root)
	g.ok("path_create_directory", root, g.put([]byte("d")), 1)
	g.ok("fd_fdstat_set_rights", root, base&^fdReaddir, inheriting&^fdWrite)
	for what, params := range map[string][2]uint64{
		"a right that was taken":          {base, 0},
		"a right to pass on":              {0, inheriting},
		"a right that no descriptor has":  {1 << 40, 0},
		"a right that directories lack":   {fdRead, 0},
		"a right to pass on that is none": {0, 1 << 63},
		"everything there ever could be":  {1<<64 - 1, 1<<64 - 1},
	} {
		if got := g.call("fd_fdstat_set_rights", root, params[0], params[1]); got != notcapable {
			t.Errorf("%s: got %v, want %v", what, got, notcapable)
		}
	}
	if _, e := g.tryOpen("f", how{flags: oCreate, base: fdWrite}); e != notcapable {
		t.Errorf("open with a right that is not passed on: got %v", e)
	}
	if _, e := g.tryOpen("d", how{flags: oDirectory, inheriting: fdWrite}); e != notcapable {
		t.Errorf("pass on a right that is not passed on: got %v", e)
	}
	d := g.open("d", how{flags: oDirectory, base: pathOpen, inheriting: fdRead})
	if _, e := g.tryOpen("..", how{dir: d}); e != perm {
		t.Errorf("open the parent: got %v", e)
	}
	if _, e := g.tryOpen(".", how{dir: d, base: fdSeek}); e != notcapable {
		t.Errorf("open itself with more: got %v", e)
	}
	again := g.open(".", how{dir: d, base: fdRead, inheriting: fdRead})
	if base, inheriting := g.rights(again); base != 0 || inheriting != fdRead {
		t.Errorf("opened again: got rights %#x and %#x", base, inheriting)
	}
}

func TestDescriptorsHaveTheRightsThatMeanSomethingForThem(t *testing.T) {
	g := newGuest(t, guestConfig{})
	for i := range 3 {
		base, inheriting := g.rights(uint64(i))
		if base&(fdSeek|1<<5) != 0 || inheriting != 0 {
			t.Errorf("stream %d: got rights %x and %x", i, base, inheriting)
		}
		if reads := base&fdRead != 0; reads != (i == 0) {
			t.Errorf("stream %d: reads: %v", i, reads)
		}
		if writes := base&fdWrite != 0; writes != (i > 0) {
			t.Errorf("stream %d: writes: %v", i, writes)
		}
	}
	file := g.create("f")
	if base, inheriting := g.rights(file); base&(1<<9|1<<13|fdReaddir|1<<28) != 0 || inheriting != 0 || base&(fdRead|fdWrite|fdSeek) != fdRead|fdWrite|fdSeek {
		t.Errorf("file: got rights %x and %x", base, inheriting)
	}
	if base, inheriting := g.rights(root); base&(fdRead|fdWrite|fdSeek|1<<22) != 0 || inheriting != everything {
		t.Errorf("preopen: got rights %x and %x", base, inheriting)
	}
}
