package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// changing are steps that change files in every way.
var changing = []string{
	"write /data/new content", "append /data/changed +more", "truncate /data/cut 3", "remove /data/gone", "remove /data/sub/deep",
	"rename /data/old /data/sub/moved", "mkdir /data/a/b/c", "symlink ../changed /data/a/link", "touch /data/touched 1000", "read /data/read",
	"write /private mine",
}

var before = map[string]string{
	"changed": "text", "cut": "longer", "gone": "x", "sub/deep/f": "y", "old": "moves", "touched": "same", "read": "only read",
	"unread": "never opened", "sub/unread": "neither",
}

func TestWrittenBackIsExactlyWhatChanged(t *testing.T) {
	w := newWorld(t)
	dir := directory(t, before)
	untouched, err := os.Stat(filepath.Join(dir, "read"))
	if err != nil {
		t.Fatal(err)
	}
	l := script(t, changing...)
	l.Dirs = []oplog.Dir{{Host: dir, Guest: "/data"}}
	w.ends(l)
	want := []string{
		"mkdir a", "mkdir a/b", "mkdir a/b/c", "remove gone", "remove old", "remove sub/deep",
		"set changed", "set cut", "set new", "set sub/moved", "symlink a/link", "touch touched",
	}
	got := slices.Sorted(slices.Values(w.hosts.applied))
	if !slices.Equal(got, want) {
		t.Errorf("changed are %q, want %q", got, want)
	}
	files := tree(t, os.DirFS(dir))
	for name, content := range map[string]string{
		"new": "content", "changed": "text+more", "cut": "lon", "sub/moved": "moves", "a/b/c": "(directory)", "a/link": "-> ../changed",
		"touched": "same", "read": "only read", "unread": "never opened", "sub/unread": "neither",
	} {
		if files[name] != content {
			t.Errorf("%s is %q, want %q", name, files[name], content)
		}
	}
	for _, name := range []string{"gone", "old", "sub/deep", "private"} {
		if content, ok := files[name]; ok {
			t.Errorf("%s is there: %q", name, content)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "touched")); err != nil || !info.ModTime().Equal(time.Unix(1000, 0)) {
		t.Errorf("touched: %v, %v, want its new time", info.ModTime(), err)
	}
	if info, err := os.Stat(filepath.Join(dir, "read")); err != nil || !info.ModTime().Equal(untouched.ModTime()) {
		t.Errorf("a file that was only read has another time: %v", err)
	}
}

func TestNothingIsWrittenBackBeforeTheEnd(t *testing.T) {
	w := newWorld(t)
	dir := directory(t, before)
	l := script(t, append(slices.Clone(changing), "print here", "sleep 1h")...)
	l.Dirs = []oplog.Dir{{Host: dir, Guest: "/data"}}
	w.stopAt("here")
	_, _ = w.run(l)
	if len(w.hosts.applied) != 0 {
		t.Errorf("changed are %q", w.hosts.applied)
	}
}

// TestFilesOfAStoppedWorkerAreThoseOfOneThatEndedThere also looks at files that
// the program never opened.
func TestFilesOfAStoppedWorkerAreThoseOfOneThatEndedThere(t *testing.T) {
	run := func(further ...string) map[string]string {
		w := newWorld(t)
		l := script(t, slices.Concat(changing, []string{"print here"}, further)...)
		l.Dirs = []oplog.Dir{{Host: directory(t, before), Guest: "/data"}}
		w.stopAt("here")
		_, err := w.run(l)
		if stopped := errors.Is(err, errStop); stopped != (further != nil) {
			t.Fatalf("got %v", err)
		}
		entries := w.status().Last
		files := w.files()
		if w.status().Last != entries {
			t.Error("looking at files recorded something")
		}
		return files
	}
	ended, stopped := run(), run("sleep 1h", "remove /data")
	if !maps.Equal(ended, stopped) {
		t.Errorf("stopped: %q\nended: %q", stopped, ended)
	}
	if ended["private"] != "mine" || ended["data/changed"] != "text+more" || ended["data/unread"] != "never opened" {
		t.Errorf("got %q", ended)
	}
}

func TestFilesOfASpinningWorkerWaitNoLongerThanTheirContext(t *testing.T) {
	w := newWorld(t)
	w.stopAt("begin")
	_, _ = w.run(script(t, "print begin", "sleep 1ms", "print more", "spin"))
	w.process(func(rt *Runtime) {
		ctx, stop := context.WithCancelCause(context.Background())
		stop(errStop)
		if _, err := rt.Files(ctx, w.status()); !errors.Is(err, errStop) {
			t.Errorf("got %v", err)
		}
	})
}

func TestDirectoryBelowAnotherHidesWhatIsThereAndIsWrittenBackToItsOwnPlace(t *testing.T) {
	for _, innerFirst := range []bool{false, true} {
		w := newWorld(t)
		outer := directory(t, map[string]string{"f": "outer", "sub/hidden": "outer's", "other": "no part of it"})
		inner := directory(t, map[string]string{"f": "inner", "deep/g": "x"})
		l := script(
			t, "append /data/f 1", "append /data/sub/f 2", "write /data/sub/new 3", "write /data/new 4", "remove /data/sub/deep",
			"list /data/sub", "read /data/other", "remove /data/other",
		)
		l.Dirs = []oplog.Dir{{Host: outer, Guest: "/data"}, {Host: inner, Guest: "/data/sub"}}
		if innerFirst {
			slices.Reverse(l.Dirs)
		}
		w.ends(l)
		if want := "f false\nnew false\nno part of it\n"; w.out.String() != want {
			t.Errorf("the program sees %q, want %q", w.out.String(), want)
		}
		want := map[string]string{".": "(directory)", "f": "outer1", "new": "4", "sub": "(directory)", "sub/hidden": "outer's"}
		if got := tree(t, os.DirFS(outer)); !maps.Equal(got, want) {
			t.Errorf("outside is %q, want %q", got, want)
		}
		want = map[string]string{".": "(directory)", "f": "inner2", "new": "3"}
		if got := tree(t, os.DirFS(inner)); !maps.Equal(got, want) {
			t.Errorf("inside is %q, want %q", got, want)
		}
	}
}

func TestDirectoryBelowTheRootIsNotMadeInTheHostsRoot(t *testing.T) {
	w := newWorld(t)
	root, out := directory(t, map[string]string{"f": "x"}), directory(t, nil)
	l := script(t, "write /out/result 1")
	l.Dirs = []oplog.Dir{{Host: root, Guest: "."}, {Host: out, Guest: "/out"}}
	w.ends(l)
	if got := tree(t, os.DirFS(root)); len(got) != 2 {
		t.Errorf("the root is %q, want it as it was", got)
	}
	if got := tree(t, os.DirFS(out)); got["result"] != "1" {
		t.Errorf("got %q", got)
	}
}

func TestTwoDirectoriesAtOnePlaceAreRefused(t *testing.T) {
	for _, other := range []string{"/data", "data", "/data/", "/x/../data"} {
		w := newWorld(t)
		l := script(t, "print one")
		l.Dirs = []oplog.Dir{{Host: directory(t, nil), Guest: "/data"}, {Host: directory(t, nil), Guest: other}}
		if _, err := w.run(l); err == nil || !strings.Contains(err.Error(), "as "+other+": another one is shown there") {
			t.Errorf("%s: got %v", other, err)
		}
		if _, err := oplog.ReadStatus(t.Context(), w.store.Logs(), alice); !errors.Is(err, oplog.ErrNoWorker) {
			t.Errorf("%s: a worker was created: %v", other, err)
		}
	}
}

func TestOneDirectoryShownTwiceIsTwoCopies(t *testing.T) {
	w := newWorld(t)
	dir := directory(t, map[string]string{"f": "x"})
	l := script(t, "append /a/f 1", "read /b/f", "write /b/new 2", "read /a/new")
	l.Dirs = []oplog.Dir{{Host: dir, Guest: "/a"}, {Host: dir, Guest: "/b"}}
	if o, err := w.run(l); err != nil || o.Exited == nil {
		t.Fatalf("got %+v, %v", o, err)
	}
	if !strings.HasPrefix(w.out.String(), "x\n") {
		t.Errorf("got %q, want the second copy as it was", w.out.String())
	}
	files := tree(t, os.DirFS(dir))
	if files["f"] != "x1" || files["new"] != "2" {
		t.Errorf("got %q, want the changes of both", files)
	}
}

func TestRootCanBeAHostDirectory(t *testing.T) {
	w := newWorld(t)
	dir := directory(t, map[string]string{"f": "x"})
	l := script(t, "append /f 1", "write /sub/new 2", "mkdir /sub", "write /sub/new 3")
	l.Dirs = []oplog.Dir{{Host: dir, Guest: "/"}}
	w.ends(l)
	if files := tree(t, os.DirFS(dir)); files["f"] != "x1" || files["sub/new"] != "3" {
		t.Errorf("got %q", files)
	}
}

func TestHostDirectoryThatWentKeepsTheWorkerResumable(t *testing.T) {
	w := newWorld(t)
	dir := directory(t, map[string]string{"f": "x"})
	away := dir + "-away"
	l := script(t, "print one", "sleep 1s", "write /data/f x1")
	l.Dirs = []oplog.Dir{{Host: dir, Guest: "/data"}}
	w.seen = func(context.Context, context.CancelCauseFunc, []byte) error { return os.Rename(dir, away) }
	if o, err := w.run(l); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %+v, %v, want the directory named", o, err)
	}
	if w.status().Ended() {
		t.Fatal("it has ended")
	}
	if err := os.Rename(away, dir); err != nil {
		t.Fatal(err)
	}
	w.seen = nil
	w.ends(l)
	if files := tree(t, os.DirFS(dir)); files["f"] != "x1" {
		t.Errorf("got %q", files)
	}
}

func TestBlobsAreAllThatAWorkerNeeds(t *testing.T) {
	w := newWorld(t)
	l := script(t, changing...)
	l.Dirs = []oplog.Dir{{Host: directory(t, before), Guest: "/data"}}
	w.ends(l)
	want := w.files()
	needed := map[storage.Hash]bool{}
	w.process(func(rt *Runtime) {
		for entry, err := range oplog.Read(context.Background(), w.store.Logs(), alice, 1, 0) {
			if err != nil {
				t.Error(err)
				return
			}
			hashes, err := rt.Blobs(context.Background(), entry.Body)
			if err != nil {
				t.Error(err)
			}
			for _, h := range hashes {
				needed[h] = true
			}
		}
		deleted := 0
		for h, err := range w.store.Blobs().List(context.Background()) {
			if err != nil {
				t.Error(err)
			}
			if !needed[h] {
				deleted++
				if err := w.store.Blobs().Delete(context.Background(), h); err != nil {
					t.Error(err)
				}
			}
		}
		t.Logf("%d blobs are needed, %d are not", len(needed), deleted)
	})
	if got := w.files(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("without the others the files are %q, want %q", got, want)
	}
}

// refusing is a store whose blobs may be full.
type refusing struct {
	storage.Store
	full bool
}

func (r *refusing) Blobs() storage.Blobs { return refusingBlobs{r.Store.Blobs(), r} }

type refusingBlobs struct {
	storage.Blobs
	store *refusing
}

func (b refusingBlobs) Put(ctx context.Context, r io.Reader) (storage.Hash, int64, error) {
	if b.store.full {
		return storage.Hash{}, 0, storage.ErrFull
	}
	return b.Blobs.Put(ctx, r)
}
