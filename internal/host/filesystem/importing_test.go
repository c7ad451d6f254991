package filesystem_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	fsys "github.com/waterbear-run/waterbear/internal/host/filesystem"
)

// tree is what the tests import, as tree 7 to /data.
var tree = []fsys.Imported{
	{Path: ".", Kind: fsys.Directory, Mtime: 50},
	{Path: "a", Kind: fsys.File, Size: 5, Mtime: 51},
	{Path: "b", Kind: fsys.File, Size: 4, Mtime: 52},
	{Path: "d", Kind: fsys.Directory, Mtime: 53},
	{Path: "d/e", Kind: fsys.File, Size: 4, Mtime: 54},
	{Path: "d/f", Kind: fsys.Directory, Mtime: 55},
	{Path: "d/f/g", Kind: fsys.File, Mtime: 56},
	{Path: "s", Kind: fsys.Symlink, Target: "a", Mtime: 57},
	{Path: "t", Kind: fsys.Symlink, Target: "/etc/passwd", Mtime: 58},
}

func imported(t *testing.T) (*world, fsys.Inode) {
	t.Helper()
	w := newWorld(t, fsys.Limits{})
	for path, content := range map[string]string{"a": "alpha", "b": "beta", "d/e": "echo", "d/f/g": ""} {
		w.host[fsys.Origin{Tree: 7, Path: path}] = content
	}
	data, err := w.MkdirAll(fsys.Root, "mnt/data")
	w.must(err)
	w.must(w.Import(data, 7, tree))
	return w, data
}

// changes lists them readably.
func (w *world) changes(dir fsys.Inode) string {
	w.t.Helper()
	list, err := w.Changes(dir, 7, tree)
	w.must(err)
	var lines []string
	for _, c := range list {
		line := fmt.Sprintf("%v %v %s", c.Difference, c.Kind, c.Path)
		if c.Difference != fsys.Deleted && c.Kind == fsys.File && c.Lost == "" {
			line += fmt.Sprintf(" %q", content(w.t, w.FS, c.Inode))
		}
		if c.Target != "" {
			line += " -> " + c.Target
		}
		if c.Lost != "" {
			line += fmt.Sprintf(" lost: %v", c.Lost)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

func TestImportedContentIsLoadedOnceWhenItIsNeeded(t *testing.T) {
	w, data := imported(t)
	a := w.find("mnt/data/a")
	if stat, err := w.Stat(a); err != nil || stat.Size != 5 || stat.Mtime != 51 {
		t.Errorf("stat: got %+v, %v", stat, err)
	}
	if stat, err := w.Stat(data); err != nil || stat.Mtime != 50 {
		t.Errorf("stat of the directory: got %+v, %v", stat, err)
	}
	if len(w.loads) > 0 {
		t.Errorf("loaded %v before anything was read", w.loads)
	}
	for range 2 {
		if got := w.read("mnt/data/a"); got != "alpha" {
			t.Errorf("got %q", got)
		}
		if got := w.read("mnt/data/s"); got != "alpha" {
			t.Errorf("through a link: got %q", got)
		}
	}
	if want := []fsys.Origin{{Tree: 7, Path: "a"}}; !slices.Equal(w.loads, want) {
		t.Errorf("loaded %v, want %v", w.loads, want)
	}
	_, err := w.Lookup(data, "t", true)
	wants(t, "a link that leads out", err, fsys.ErrEscape)
	if got := w.changes(data); got != "" {
		t.Errorf("reading changed: %s", got)
	}
}

func TestWhatTruncationDropsIsNotLoaded(t *testing.T) {
	w, data := imported(t)
	w.write("mnt/data/a", "")
	if len(w.loads) > 0 {
		t.Errorf("loaded %v", w.loads)
	}
	if got, want := w.changes(data), `modified file a ""`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestContentThatChangedItsSizeSinceTheImportIsTakenAsItIs(t *testing.T) {
	w, _ := imported(t)
	longer := strings.Repeat("0123456789", 20000) + strings.Repeat("\x00", 200000) + "end"
	w.host[fsys.Origin{Tree: 7, Path: "a"}] = longer
	if got := w.read("mnt/data/a"); got != longer {
		t.Errorf("got %d bytes, want %d", len(got), len(longer))
	}
	if used, most := w.Usage().Bytes, uint64(300000); used > most {
		t.Errorf("zeros take space: %d bytes used, want at most %d", used, most)
	}
}

func TestFailureToLoadIsTheProgramsOrTheHosts(t *testing.T) {
	w, data := imported(t)
	delete(w.host, fsys.Origin{Tree: 7, Path: "a"})
	a := w.find("mnt/data/a")
	_, err := w.ReadAt(a, make([]byte, 1), 0)
	wants(t, "read what is gone", err, fsys.ErrNotExist)
	_, err = w.Open(data, "a", fsys.OpenOptions{Content: true})
	wants(t, "open what is gone", err, fsys.ErrNotExist)

	disk := errors.New("disk on fire")
	w.config.Load = func(fsys.Origin) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("al"), broken{disk})), nil
	}
	w.FS = fsys.New(w.config)
	w.must(w.Import(fsys.Root, 7, tree))
	used := w.Usage()
	if _, err := w.ReadAt(w.find("a"), make([]byte, 1), 0); !errors.Is(err, disk) {
		t.Errorf("got error %v, want the host's", err)
	}
	if got := w.Usage(); got != used {
		t.Errorf("a failed load takes space: got %+v, want %+v", got, used)
	}
	w.Check()
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func TestContentLargerThanTheQuotaIsRefused(t *testing.T) {
	w := newWorld(t, fsys.Limits{Bytes: 100000})
	w.host[fsys.Origin{Tree: 7, Path: "a"}] = strings.Repeat("x", 200000)
	w.must(w.Import(fsys.Root, 7, []fsys.Imported{{Path: "a", Kind: fsys.File, Size: 200000}}))
	_, err := w.Open(fsys.Root, "a", fsys.OpenOptions{Content: true})
	wants(t, "open", err, fsys.ErrNoSpace)
	w.Check()
	w.write("b", "there is space again")
}

func TestImportRefusesWhatIsNoTree(t *testing.T) {
	for name, list := range map[string][]fsys.Imported{
		"no parent": {{Path: "a/b", Kind: fsys.File}},
		"a file for a parent": {
			{Path: "a", Kind: fsys.File}, {Path: "a/b", Kind: fsys.File},
		},
		"twice":              {{Path: "a", Kind: fsys.File}, {Path: "a", Kind: fsys.File}},
		"out":                {{Path: "../a", Kind: fsys.File}},
		"absolute":           {{Path: "/a", Kind: fsys.File}},
		"not clean":          {{Path: "./a", Kind: fsys.File}},
		"empty":              {{Path: "", Kind: fsys.File}},
		"the tree as a file": {{Path: ".", Kind: fsys.File}},
		"name too long":      {{Path: strings.Repeat("a", 256), Kind: fsys.File}},
		"no UTF-8":           {{Path: "\xff", Kind: fsys.File}},
		"no target":          {{Path: "a", Kind: fsys.Symlink}},
		"no kind":            {{Path: "a"}},
		"too big":            {{Path: "a", Kind: fsys.File, Size: fsys.MaxFileSize + 1}},
	} {
		w := newWorld(t, fsys.Limits{})
		if err := w.Import(fsys.Root, 1, list); err == nil {
			t.Errorf("%s: imported", name)
		}
	}
	w := newWorld(t, fsys.Limits{})
	w.write("a", "")
	if err := w.Import(fsys.Root, 1, nil); !errors.Is(err, fsys.ErrNotEmpty) {
		t.Errorf("import over files: got error %v", err)
	}
}

func TestImportedDirectoryIsNeitherMovedNorRemoved(t *testing.T) {
	w := newWorld(t, fsys.Limits{})
	d := w.mkdir("d")
	w.mkdir("e")
	w.must(w.Import(d, 7, nil))
	wants(t, "rmdir", w.Rmdir(fsys.Root, "d"), fsys.ErrBusy)
	wants(t, "rename", w.Rename(fsys.Root, "d", fsys.Root, "x"), fsys.ErrBusy)
	wants(t, "rename over", w.Rename(fsys.Root, "e", fsys.Root, "d"), fsys.ErrBusy)
}

func TestChangesSayWhatBecameOfATree(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(w *world, data fsys.Inode)
		want string
	}{
		{"nothing", func(*world, fsys.Inode) {}, ""},
		{"a new file in a new directory", func(w *world, _ fsys.Inode) {
			w.mkdir("mnt/data/n")
			w.write("mnt/data/n/x", "new")
		}, `created directory n; created file n/x "new"`},
		{"written", func(w *world, _ fsys.Inode) {
			_, err := w.WriteAt(w.find("mnt/data/a"), []byte("A"), 0)
			w.must(err)
		}, `modified file a "Alpha"`},
		{"replaced by renaming", func(w *world, data fsys.Inode) {
			w.write("mnt/data/tmp", "replaced")
			w.must(w.Rename(data, "tmp", data, "a"))
		}, `modified file a "replaced"`},
		{"renamed unread", func(w *world, data fsys.Inode) {
			w.must(w.Rename(data, "a", data, "z"))
		}, `deleted file a; created file z "alpha"`},
		{"swapped", func(w *world, data fsys.Inode) {
			w.must(w.Rename(data, "a", data, "x"))
			w.must(w.Rename(data, "b", data, "a"))
			w.must(w.Rename(data, "x", data, "b"))
		}, `modified file a "beta"; modified file b "alpha"`},
		{"there and back", func(w *world, data fsys.Inode) {
			w.must(w.Rename(data, "a", data, "x"))
			w.must(w.Rename(data, "x", data, "a"))
		}, ""},
		{"hard link", func(w *world, data fsys.Inode) {
			w.must(w.Link(data, "a", false, data, "h"))
		}, `created file h "alpha"`},
		{"a whole directory removed", func(w *world, data fsys.Inode) {
			w.must(w.Unlink(data, "d/e"))
			w.must(w.Unlink(data, "d/f/g"))
			w.must(w.Rmdir(data, "d/f"))
			w.must(w.Rmdir(data, "d"))
		}, `deleted directory d`},
		{"a directory renamed", func(w *world, data fsys.Inode) {
			w.must(w.Rename(data, "d/f", data, "d/h"))
		}, `deleted directory d/f; created directory d/h; created file d/h/g ""`},
		{"a file made a directory", func(w *world, data fsys.Inode) {
			w.must(w.Unlink(data, "a"))
			w.mkdir("mnt/data/a")
			w.write("mnt/data/a/x", "1")
		}, `deleted file a; created directory a; created file a/x "1"`},
		{"a directory made a link", func(w *world, data fsys.Inode) {
			w.must(w.Unlink(data, "d/f/g"))
			w.must(w.Rmdir(data, "d/f"))
			w.must(w.Symlink("../a", data, "d/f"))
		}, `deleted directory d/f; created symbolic link d/f -> ../a`},
		{"a link retargeted", func(w *world, data fsys.Inode) {
			w.must(w.Unlink(data, "s"))
			w.must(w.Symlink("b", data, "s"))
		}, `modified symbolic link s -> b`},
		{"a link made again", func(w *world, data fsys.Inode) {
			w.must(w.Unlink(data, "s"))
			w.must(w.Symlink("a", data, "s"))
		}, ""},
		{"touched", func(w *world, data fsys.Inode) {
			mtime := uint64(99)
			w.must(w.SetTimes(w.find("mnt/data/a"), nil, &mtime))
			w.must(w.SetTimes(w.find("mnt/data/d"), nil, &mtime))
		}, `touched file a "alpha"`},
		{"moved out", func(w *world, data fsys.Inode) {
			w.must(w.Rename(data, "a", fsys.Root, "a"))
		}, `deleted file a`},
		{"moved away although it cannot be read", func(w *world, data fsys.Inode) {
			delete(w.host, fsys.Origin{Tree: 7, Path: "a"})
			w.must(w.Rename(data, "a", data, "z"))
		}, `created file z lost: no such file or directory`},
		{"another tree below", func(w *world, data fsys.Inode) {
			below, err := w.MkdirAll(data, "other/tree")
			w.must(err)
			w.must(w.Import(below, 8, tree))
		}, `created directory other`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, data := imported(t)
			c.do(w, data)
			if got := w.changes(data); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			w.Check()
			manifest, err := w.Encode()
			w.must(err)
			w.FS, err = fsys.Decode(manifest, w.config)
			w.must(err)
			if got := w.changes(data); got != c.want {
				t.Errorf("after a restart: got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestMkdirAllStopsAtWhatIsNoDirectory(t *testing.T) {
	w := newWorld(t, fsys.Limits{})
	w.write("f", "")
	w.mkdir("d")
	w.must(w.Symlink("d", fsys.Root, "s"))
	for path, want := range map[string]fsys.Error{"f/x": fsys.ErrNotDirectory, "s/x": fsys.ErrNotDirectory, "d/../x": fsys.ErrEscape, "": fsys.ErrNotExist} {
		_, err := w.MkdirAll(fsys.Root, path)
		wants(t, path, err, want)
	}
	i, err := w.MkdirAll(fsys.Root, "/d//x/./y/")
	if w.must(err); i != w.find("d/x/y") {
		t.Errorf("got inode %d", i)
	}
}
