package live

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/hostdir"
)

// plant makes files (content), directories (names that end in "/") and
// symlinks ("-> target") below a new directory.
func plant(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(target, full)
		} else if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(full, 0o755)
		} else {
			err = os.WriteFile(full, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func content(s string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

func TestListingShowsParentsBeforeChildrenAndFollowsNoSymlink(t *testing.T) {
	root := plant(t, map[string]string{"a/b/c.txt": "hello", "empty/": "", "link": "-> /etc"})
	nodes, err := Directories{}.List(context.Background(), root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range nodes {
		s := n.Path
		if n.Kind == hostdir.Symlink {
			s += " -> " + n.Target
		}
		got = append(got, s)
	}
	want := ". a a/b a/b/c.txt empty link -> /etc"
	if strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", strings.Join(got, " "), want)
	}
	if n := nodes[3]; n.Size != 5 || n.Kind != hostdir.File || time.Since(time.Unix(0, n.Mtime)) > time.Hour {
		t.Errorf("got %+v for a file of 5 bytes written now", n)
	}
}

func TestListingAFileSaysWhatToDo(t *testing.T) {
	root := plant(t, map[string]string{"f": "x"})
	_, err := Directories{}.List(context.Background(), filepath.Join(root, "f"))
	if err == nil || !strings.Contains(err.Error(), "it is a file") {
		t.Errorf("got %v, want an error that says that it is a file", err)
	}
}

func TestOpenLeavesTheDirectoryByNoPath(t *testing.T) {
	outside := plant(t, map[string]string{"secret": "s"})
	root := plant(t, map[string]string{"out": "-> " + outside, "f": "in"})
	for _, name := range []string{"out/secret", "../" + filepath.Base(outside) + "/secret", filepath.Join(outside, "secret")} {
		if f, err := (Directories{}).Open(root, name); err == nil {
			f.Close()
			t.Errorf("opened %s", name)
		}
	}
	if _, err := (Directories{}).Open(root, "gone"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v for a missing file, want fs.ErrNotExist", err)
	}
}

func TestApplyingTwiceIsApplyingOnce(t *testing.T) {
	root := plant(t, map[string]string{"old": "1", "dir/gone": "2", "kept": "3", "becomes-dir": "4"})
	if err := os.Chmod(filepath.Join(root, "old"), 0o750); err != nil {
		t.Fatal(err)
	}
	mtime := time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC)
	changes := []hostdir.Change{
		{Node: hostdir.Node{Path: "dir"}, Remove: true},
		{Node: hostdir.Node{Path: "becomes-dir"}, Remove: true},
		{Node: hostdir.Node{Path: "becomes-dir", Kind: hostdir.Directory}},
		{Node: hostdir.Node{Path: "old", Kind: hostdir.File, Mtime: mtime.UnixNano()}, Content: content("new")},
		{Node: hostdir.Node{Path: "becomes-dir/f", Kind: hostdir.File}, Content: content("f")},
		{Node: hostdir.Node{Path: "link", Kind: hostdir.Symlink, Target: "old"}},
	}
	for range 2 {
		if err := (Directories{}).Apply(context.Background(), root, changes); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"old": "new", "becomes-dir/f": "f", "link": "new", "kept": "3"} {
			if got, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(got) != want {
				t.Errorf("%s is %q, %v; want %q", name, got, err, want)
			}
		}
	}
	info, err := os.Stat(filepath.Join(root, "old"))
	if err != nil || info.Mode().Perm() != 0o750 || !info.ModTime().Equal(mtime) {
		t.Errorf("got %v, %v; want the permissions it had and the time it was given", info, err)
	}
	if _, err := os.Stat(filepath.Join(root, "dir")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v for a removed directory", err)
	}
}

func TestFailedReplacementLeavesTheOldFileAndNothingElse(t *testing.T) {
	root := plant(t, map[string]string{"f": "old"})
	broken := func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("ne"), failing{})), nil
	}
	err := Directories{}.Apply(context.Background(), root, []hostdir.Change{{Node: hostdir.Node{Path: "f", Kind: hostdir.File}, Content: broken}})
	if !errors.Is(err, errBroken) {
		t.Errorf("got %v, want the reader's error", err)
	}
	entries, _ := os.ReadDir(root)
	if got, _ := os.ReadFile(filepath.Join(root, "f")); string(got) != "old" || len(entries) != 1 {
		t.Errorf("f is %q among %v, want the old content alone", got, entries)
	}
}

var errBroken = errors.New("broken")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }

func TestApplyNeverWritesThroughASymlinkThatLeavesTheDirectory(t *testing.T) {
	outside := plant(t, map[string]string{"victim": "v"})
	root := plant(t, map[string]string{"out": "-> " + outside})
	err := Directories{}.Apply(context.Background(), root, []hostdir.Change{
		{Node: hostdir.Node{Path: "out/victim", Kind: hostdir.File}, Content: content("owned")},
	})
	if got, _ := os.ReadFile(filepath.Join(outside, "victim")); err == nil || string(got) != "v" {
		t.Errorf("got %v, and the file outside is %q", err, got)
	}
}
