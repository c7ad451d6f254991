package hostdir

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

var alice = id.Worker{Component: "shop", Name: "alice"}

// machine is a host whose directories are all the same files.
type machine struct {
	files   map[string]string
	nodes   []Node
	refuse  error // of Open
	broken  error // of reading what was opened
	fail    error // of List and Apply
	opens   int
	applied [][]Change
}

func (m *machine) List(context.Context, string) ([]Node, error) { return m.nodes, m.fail }

func (m *machine) Open(_, path string) (io.ReadCloser, error) {
	m.opens++
	if m.refuse != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: m.refuse}
	}
	content, ok := m.files[path]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	r := io.Reader(strings.NewReader(content))
	if m.broken != nil {
		r = io.MultiReader(strings.NewReader(content), failing{m.broken})
	}
	return io.NopCloser(r), nil
}

func (m *machine) Apply(_ context.Context, _ string, changes []Change) error {
	m.applied = append(m.applied, changes)
	return m.fail
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// world is a worker's oplog and the machine it is on.
type world struct {
	*machine
	t     *testing.T
	store *memory.Store
}

func newWorld(t *testing.T) *world {
	return &world{&machine{files: map[string]string{}}, t, memory.New()}
}

func (w *world) last() oplog.Index {
	_, last, err := w.store.Logs().Bounds(context.Background(), alice)
	if err != nil {
		w.t.Fatal(err)
	}
	return last
}

// begin is a new process with the worker.
func (w *world) begin() *Shown {
	w.t.Helper()
	c, err := oplog.NewCommitter(context.Background(), sched.NewGoroutines(), w.store.Logs(), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	last := w.last()
	session := durable.NewSession(context.Background(), durable.Config{
		Worker: alice, Cursor: oplog.NewCursor(w.store.Logs(), alice, 1, last), Writer: c.NewWriter(alice, last),
	})
	return &Shown{Session: session, Host: w.machine, Blobs: w.store.Blobs(), Number: 3, Root: "/home/data"}
}

// end keeps what the process recorded.
func (w *world) end(d *Shown) {
	w.t.Helper()
	if err := d.Session.Writer.Commit(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// load gives the content of a file, or what the program sees instead.
func (w *world) load(d *Shown, path string) (string, error) {
	w.t.Helper()
	r, seen, err := d.Load(path)
	if err != nil {
		w.t.Fatal(err)
	}
	if seen != nil {
		return "", seen
	}
	content, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		w.t.Fatal(err)
	}
	return string(content), nil
}
