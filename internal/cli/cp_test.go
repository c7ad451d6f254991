package cli

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
)

// hostileTree has links that lead out of every directory it is copied to.
func hostileTree(outside string) fstest.MapFS {
	return fstest.MapFS{
		"d/file":          {Data: []byte("content")},
		"d/up":            {Data: []byte("../.."), Mode: fs.ModeSymlink | 0o777},
		"d/out":           {Data: []byte(outside), Mode: fs.ModeSymlink | 0o777},
		"d/self":          {Data: []byte("self"), Mode: fs.ModeSymlink | 0o777},
		"d/sub/\x1b[2J":   {Data: []byte("odd name")},
		"d/unreadable":    {Data: []byte("x"), Mode: 0o200},
		"d/no-permission": {Data: []byte("y"), Mode: fs.FileMode(0)},
	}
}

func TestCopyOfAHostileTreeStaysInItsDestination(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	a := &app{stdout: new(bytes.Buffer)}
	tree := hostileTree(outside)
	source := workerPath{worker: "w", path: "d"}
	dest := filepath.Join(dir, "dest")
	done, err := a.copyOut(tree, source, dest)
	if err != nil {
		t.Fatal(err)
	}
	if want := (copied{Files: 4, Directories: 2, Links: 3, Bytes: 17}); done != want {
		t.Errorf("copied %+v, want %+v", done, want)
	}

	// The same worker, with a directory now where the link out was.
	tree["d/out/planted"] = &fstest.MapFile{Data: []byte("planted")}
	delete(tree, "d/out")
	source.contents = true
	if _, err := a.copyOut(tree, source, dest); err == nil {
		t.Error("a directory went through a link that leads out")
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("outside has %v, %v", entries, err)
	}
}

func TestCopyLeavesNoPartBehind(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	a := &app{stdout: new(bytes.Buffer)}
	tree := fstest.MapFS{"x": {Data: []byte("content")}}
	if _, err := a.copyOut(tree, workerPath{worker: "w", path: "x"}, dir); err == nil {
		t.Error("a file replaced a directory")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("the directory has %v", entries)
	}
}

func TestCopiedPermissionsAreUsable(t *testing.T) {
	dir := t.TempDir()
	a := &app{stdout: new(bytes.Buffer)}
	if _, err := a.copyOut(hostileTree("/"), workerPath{worker: "w", path: "d"}, filepath.Join(dir, "d")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"unreadable", "no-permission", "file"} {
		stat, err := os.Stat(filepath.Join(dir, "d", name))
		if err != nil || stat.Mode().Perm()&0o600 != 0o600 {
			t.Errorf("%s: %v, %v", name, stat.Mode(), err)
		}
	}
}
