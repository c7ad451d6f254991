package filesystem_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	fsys "github.com/waterbear-run/waterbear/internal/host/filesystem"
)

func TestPathsDoNotLeadOut(t *testing.T) {
	w := newWorld(t, fsys.Limits{})
	w.mkdir("box")
	w.mkdir("box/in")
	w.write("secret", "s")
	box := w.find("box")
	for _, path := range []string{"/", "/secret", "..", "../secret", "in/../../secret", "./..", "in/../..", "../box/in"} {
		_, err := w.Lookup(box, path, true)
		wants(t, path, err, fsys.ErrEscape)
	}
	for _, target := range []string{"..", "../secret", "in/../../secret", "in/.."} {
		w.must(w.Symlink(target, box, "link"))
		_, err := w.Lookup(box, "link/x", true)
		if target == "in/.." {
			wants(t, target, err, fsys.ErrNotExist)
		} else {
			wants(t, target, err, fsys.ErrEscape)
		}
		w.must(w.Unlink(box, "link"))
	}
	wants(t, "an absolute target", w.Symlink("/secret", box, "link"), fsys.ErrPermission)
	// A directory moved out of the box takes nobody along.
	in := w.find("box/in")
	w.must(w.Rename(fsys.Root, "box/in", fsys.Root, "out"))
	_, err := w.Lookup(in, "..", true)
	wants(t, "the parent of what was given", err, fsys.ErrEscape)
}

func TestPathsThatNoNameCanHaveAreRefused(t *testing.T) {
	w := newWorld(t, fsys.Limits{})
	for path, want := range map[string]fsys.Error{"": fsys.ErrNotExist, "a\x00b": fsys.ErrInvalid, "a\xffb": fsys.ErrEncoding} {
		wants(t, "mkdir", w.Mkdir(fsys.Root, path), want)
		_, err := w.Lookup(fsys.Root, path, false)
		wants(t, "lookup", err, want)
		wants(t, "symlink", w.Symlink(path, fsys.Root, "s"), want)
	}
}

func TestLoopsOfSymbolicLinksEnd(t *testing.T) {
	w := newWorld(t, fsys.Limits{})
	w.must(w.Symlink("b", fsys.Root, "a"))
	w.must(w.Symlink("a/x", fsys.Root, "b"))
	_, err := w.Lookup(fsys.Root, "a", true)
	wants(t, "a loop", err, fsys.ErrLoop)
	// A chain just as long as is followed, and one longer.
	w.write("l0", "end")
	for i := range fsys.MaxSymlinks + 1 {
		w.must(w.Symlink("l"+strings.Repeat("'", i), fsys.Root, "l"+strings.Repeat("'", i+1)))
	}
	w.must(w.Symlink("l0", fsys.Root, "l"))
	_, err = w.Lookup(fsys.Root, "l"+strings.Repeat("'", fsys.MaxSymlinks-1), true)
	w.must(err)
	_, err = w.Lookup(fsys.Root, "l"+strings.Repeat("'", fsys.MaxSymlinks), true)
	wants(t, "a chain too long", err, fsys.ErrLoop)
}

func TestRemovedFileLivesUntilItIsReleased(t *testing.T) {
	w := newWorld(t, fsys.Limits{})
	before := w.Usage()
	w.write("a", "content")
	i, err := w.Open(fsys.Root, "a", fsys.OpenOptions{})
	w.must(err)
	w.must(w.Retain(i))
	w.must(w.Unlink(fsys.Root, "a"))
	if got := content(t, w.FS, i); got != "content" {
		t.Errorf("content of the removed file: got %q", got)
	}
	w.must(w.Release(i))
	if stat, err := w.Stat(i); err != nil || stat.Links != 0 {
		t.Errorf("stat of the removed file: got %+v, %v, want no links", stat, err)
	}
	w.must(w.Release(i))
	_, err = w.Stat(i)
	wants(t, "stat after the last release", err, fsys.ErrStale)
	wants(t, "release once more", w.Release(i), fsys.ErrStale)
	if got := w.Usage(); got != before {
		t.Errorf("usage: got %+v, want %+v as before", got, before)
	}
}

func TestRemovedDirectoryTakesNoNames(t *testing.T) {
	w := newWorld(t, fsys.Limits{})
	d := w.mkdir("d")
	w.must(w.Retain(d))
	w.must(w.Rmdir(fsys.Root, "d"))
	wants(t, "mkdir", w.Mkdir(d, "x"), fsys.ErrNotExist)
	wants(t, "symlink", w.Symlink("x", d, "x"), fsys.ErrNotExist)
	_, err := w.Open(d, "x", fsys.OpenOptions{Create: true})
	wants(t, "create", err, fsys.ErrNotExist)
	w.write("f", "")
	wants(t, "rename", w.Rename(fsys.Root, "f", d, "f"), fsys.ErrNotExist)
	wants(t, "link", w.Link(fsys.Root, "f", false, d, "f"), fsys.ErrNotExist)
	if names := w.names(d); len(names) > 0 {
		t.Errorf("names: got %v", names)
	}
}

// Cookies keep their place: whatever changes between two readings, each name
// that is there all the time is read once.
func TestDirectoryIsReadInPartsWhileItChanges(t *testing.T) {
	w := newWorld(t, fsys.Limits{})
	var stay []string
	for i := range 100 {
		name := string(rune('A'+i%26)) + strings.Repeat("x", i)
		w.write(name, "")
		w.write("gone "+name, "")
		stay = append(stay, name)
	}
	var got []string
	cookie := uint64(0)
	for step := 0; ; step++ {
		entries, err := w.ReadDir(fsys.Root, cookie)
		w.must(err)
		var batch []fsys.Entry
		for e := range entries {
			if batch = append(batch, e); len(batch) == 7 {
				break
			}
		}
		if len(batch) == 0 {
			break
		}
		for _, e := range batch {
			if !strings.HasPrefix(e.Name, "gone") && !strings.HasPrefix(e.Name, "new") && e.Cookie > 2 {
				got = append(got, e.Name)
			}
			if strings.HasPrefix(e.Name, "gone") {
				w.must(w.Unlink(fsys.Root, e.Name))
			}
			cookie = e.Cookie
		}
		if step < 20 {
			w.write("new"+strings.Repeat("y", step), "")
			w.write("tmp", "")
			w.must(w.Rename(fsys.Root, "tmp", fsys.Root, stay[3*step])) // keeps its place
		}
	}
	if !slices.Equal(got, stay) {
		t.Errorf("got %d names %v, want %d", len(got), got, len(stay))
	}
}

func TestReadDirBeginsWithTheDirectoryAndItsParent(t *testing.T) {
	w := newWorld(t, fsys.Limits{})
	d := w.mkdir("d")
	f := w.write("d/f", "")
	entries, err := w.ReadDir(d, 0)
	w.must(err)
	want := []fsys.Entry{{".", d, fsys.Directory, 1}, {"..", fsys.Root, fsys.Directory, 2}, {"f", f, fsys.File, 3}}
	if got := slices.Collect(entries); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	entries, err = w.ReadDir(d, ^uint64(0))
	w.must(err)
	if got := slices.Collect(entries); len(got) > 0 {
		t.Errorf("behind every cookie: got %+v", got)
	}
	_, err = w.ReadDir(f, 0)
	wants(t, "read a file as a directory", err, fsys.ErrNotDirectory)
}

func TestTimesSayWhatChanged(t *testing.T) {
	w := newWorld(t, fsys.Limits{})
	d := w.mkdir("d")
	i := w.write("d/f", "x")
	stat := func(i fsys.Inode) fsys.Stat {
		t.Helper()
		s, err := w.Stat(i)
		w.must(err)
		return s
	}
	file, dir := stat(i), stat(d)
	_, err := w.ReadAt(i, make([]byte, 1), 0)
	w.must(err)
	if got := stat(i); got != file {
		t.Errorf("reading changed the file: got %+v, want %+v", got, file)
	}
	_, err = w.WriteAt(i, []byte("y"), 0)
	w.must(err)
	if got := stat(i); got.Mtime <= file.Mtime || got.Ctime != got.Mtime || got.Atime != file.Atime {
		t.Errorf("writing: got %+v after %+v", got, file)
	}
	if got := stat(d); got != dir {
		t.Errorf("writing changed the directory: got %+v, want %+v", got, dir)
	}
	file = stat(i)
	w.must(w.Rename(d, "f", d, "g"))
	if got := stat(i); got.Mtime != file.Mtime || got.Ctime <= file.Ctime {
		t.Errorf("renaming: got %+v after %+v", got, file)
	}
	if got := stat(d); got.Mtime <= dir.Mtime {
		t.Errorf("renaming did not change the directory: got %+v after %+v", got, dir)
	}
	atime, mtime := uint64(5), uint64(7)
	w.must(w.SetTimes(i, &atime, nil))
	w.must(w.SetTimes(i, nil, &mtime))
	if got := stat(i); got.Atime != 5 || got.Mtime != 7 || got.Ctime <= file.Ctime {
		t.Errorf("setting times: got %+v", got)
	}
}

func TestCloneSharesAndThenDiffers(t *testing.T) {
	w := newWorld(t, fsys.Limits{})
	i := w.write("a", strings.Repeat("content", 100000))
	before := dump(t, w.FS, fsys.Root)
	clone := w.Clone()
	w.must(w.Truncate(i, 100))
	w.write("b", "new")
	w.must(w.Rename(fsys.Root, "a", fsys.Root, "c"))
	if got := dump(t, clone, fsys.Root); got != before {
		t.Errorf("the clone changed: got\n%swant\n%s", got, before)
	}
	mine := dump(t, w.FS, fsys.Root)
	if _, err := clone.WriteAt(i, []byte("other"), 0); err != nil {
		t.Fatal(err)
	}
	w.must(clone.Unlink(fsys.Root, "a"))
	if got := dump(t, w.FS, fsys.Root); got != mine {
		t.Errorf("the original changed: got\n%swant\n%s", got, mine)
	}
	w.Check()
	clone.Check()
}

func TestGrowingReadsAsZerosWhereNothingWasWritten(t *testing.T) {
	w := newWorld(t, fsys.Limits{})
	i := w.write("a", "secret")
	w.must(w.Truncate(i, 1))
	w.must(w.Truncate(i, 10))
	if got, want := content(t, w.FS, i), "s\x00\x00\x00\x00\x00\x00\x00\x00\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err := w.WriteAt(i, []byte("!"), 3)
	w.must(err)
	if got, want := content(t, w.FS, i), "s\x00\x00!\x00\x00\x00\x00\x00\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	p := bytes.Repeat([]byte{0xff}, 20)
	if n, err := w.ReadAt(i, p, 4); n != 6 || err != nil || !bytes.Equal(p[:6], make([]byte, 6)) || p[6] != 0xff {
		t.Errorf("read to the end: got %d, %v, %x", n, err, p)
	}
}
