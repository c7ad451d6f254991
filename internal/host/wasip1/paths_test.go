package wasip1_test

import (
	"strings"
	"testing"
)

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
