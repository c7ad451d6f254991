package wasip1_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/ambient"
	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/internal/host/wasip1"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// live is the world as it is, unrecorded.
type live struct {
	start          time.Time
	stdin          io.Reader
	stdout, stderr bytes.Buffer
}

func (l *live) Realtime() (uint64, error)  { return uint64(time.Now().UnixNano()), nil }
func (l *live) Monotonic() (uint64, error) { return uint64(time.Since(l.start)) + 1, nil }
func (l *live) Touch() error               { return nil }
func (l *live) Fill(p []byte) error        { _, err := rand.Read(p); return err }
func (l *live) stamp() uint64              { return uint64(time.Now().UnixNano()) }

func (l *live) Wait(deadline uint64, stdin bool) (ambient.Readiness, error) {
	if !stdin {
		now, _ := l.Monotonic()
		if now < deadline {
			time.Sleep(time.Duration(deadline - now))
		}
	}
	now, err := l.Monotonic()
	return ambient.Readiness{Now: now, Stdin: stdin, Bytes: 1}, err
}

func (l *live) Read(limit int) ([]byte, error) {
	if l.stdin == nil {
		return nil, nil
	}
	p := make([]byte, min(limit, 4096))
	n, err := l.stdin.Read(p)
	if err == io.EOF {
		err = nil
	}
	return p[:n], err
}

func (l *live) Write(stream int, p []byte) error {
	if stream == 1 {
		l.stdout.Write(p)
	} else {
		l.stderr.Write(p)
	}
	return nil
}

// program is how a guest is run and how it ended.
type program struct {
	args, env []string
	root      string // a directory of the host to show as "/", or none
	stdin     io.Reader
}

type outcome struct {
	code           uint32
	stdout, stderr string
	fs             *filesystem.FS
}

// engine is one for all tests: compiling is most of their time.
var engine = sync.OnceValues(func() (*runner, error) {
	e, err := wasm.New(context.Background(), wasm.Config{})
	if err != nil {
		return nil, err
	}
	host, err := e.Host(wasip1.Module())
	return &runner{e, host}, err
})

type runner struct {
	engine *wasm.Engine
	host   *wasm.Host
}

func (r *runner) compile(t testing.TB, binary []byte) *wasm.Module {
	t.Helper()
	m, err := r.engine.Compile(context.Background(), binary, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func newRunner(t testing.TB) *runner {
	t.Helper()
	r, err := engine()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// run runs a module's _start to its end.
func (r *runner) run(t testing.TB, m *wasm.Module, p program) outcome {
	t.Helper()
	l := &live{start: time.Now(), stdin: p.stdin}
	files := filesystem.New(filesystem.Config{Now: l.stamp, Load: func(o filesystem.Origin) (io.ReadCloser, error) {
		return os.Open(filepath.Join(p.root, o.Path))
	}})
	c := wasi.Config{Args: p.args, Env: p.env, FS: files, Clocks: l, Random: l, Stdio: l}
	if p.root != "" {
		must(t, files.Import(filesystem.Root, 1, list(t, p.root)))
		_, err := files.MkdirAll(filesystem.Root, "tmp")
		must(t, err)
		c.Preopens = []wasi.Preopen{{Name: "/", Dir: filesystem.Root}}
	}
	s, err := wasip1.New(c)
	must(t, err)
	in, err := m.Instantiate(context.Background(), wasm.InstanceConfig{Hosts: []*wasm.Host{r.host}, State: s})
	must(t, err)
	defer in.Close()
	must(t, in.Start(context.Background()))
	err = in.Call(context.Background(), "_start", nil)
	o := outcome{stdout: l.stdout.String(), stderr: l.stderr.String(), fs: files}
	if exit, ok := err.(*wasi.ExitError); ok {
		o.code = exit.Code
	} else if err != nil {
		t.Fatalf("the program failed: %v\nstderr: %s", err, o.stderr)
	}
	return o
}

// list is a directory of the host as an imported tree.
func list(t testing.TB, root string) (tree []filesystem.Imported) {
	t.Helper()
	must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		im := filesystem.Imported{Path: filepath.ToSlash(rel), Kind: filesystem.File, Size: uint64(info.Size()), Mtime: uint64(info.ModTime().UnixNano())}
		switch {
		case d.IsDir():
			im.Kind = filesystem.Directory
		case d.Type()&fs.ModeSymlink != 0:
			im.Kind = filesystem.Symlink
			im.Target, err = os.Readlink(path)
		}
		tree = append(tree, im)
		return err
	}))
	return tree
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
