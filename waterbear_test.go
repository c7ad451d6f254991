package waterbear

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/waterbear-run/waterbear/internal/guests"
)

// compiled keeps what the tests' nodes compile.
var compiled string

func TestMain(m *testing.M) {
	code, err := withCache(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withCache(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "waterbear-compiled-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	compiled = dir
	return m.Run(), nil
}

// stateDir makes a state directory.
func stateDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(compiled, filepath.Join(dir, "cache")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func open(t *testing.T, dir string) *Node {
	t.Helper()
	return openWith(t, Options{Dir: dir})
}

func openWith(t *testing.T, o Options) *Node {
	t.Helper()
	n, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func mustClose(t *testing.T, n *Node) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

// script is a command of the Go guest that takes these steps.
func script(t *testing.T, name string, steps ...string) Command {
	t.Helper()
	return Command{
		Name: name, Program: guests.Go(t, "internal/worker/testdata/guest"), Args: append([]string{"guest"}, steps...),
	}
}

// run runs a command to its end and gives what it printed.
func run(t *testing.T, n *Node, c Command) (Exit, string) {
	t.Helper()
	var out bytes.Buffer
	c.Stdout = &out
	exit, err := n.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return exit, out.String()
}

// screen is an output that a test can wait at.
type screen struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newScreen() *screen { return &screen{changed: make(chan struct{}, 1)} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// running is a command that runs meanwhile.
type running struct {
	t      *testing.T
	screen *screen
	stop   context.CancelCauseFunc
	stdin  *io.PipeWriter
	ended  chan struct{}
	exit   Exit
	err    error
}

// begin runs a command until its context or its input ends it.
func begin(t *testing.T, n *Node, c Command) *running {
	t.Helper()
	ctx, stop := context.WithCancelCause(t.Context())
	stdin, typed := io.Pipe()
	r := &running{t: t, screen: newScreen(), stop: stop, stdin: typed, ended: make(chan struct{})}
	c.Stdin, c.Stdout, c.StdinContinues = stdin, r.screen, true
	go func() {
		defer close(r.ended)
		r.exit, r.err = n.Run(ctx, c)
	}()
	t.Cleanup(func() {
		_ = typed.Close()
		stop(nil)
		<-r.ended
	})
	return r
}

// shows waits until the output contains text.
func (r *running) shows(text string) {
	r.t.Helper()
	for !bytes.Contains([]byte(r.screen.String()), []byte(text)) {
		select {
		case <-r.screen.changed:
		case <-r.ended:
			if !bytes.Contains([]byte(r.screen.String()), []byte(text)) {
				r.t.Fatalf("it ended with %+v, %v and showed %q, not %q", r.exit, r.err, r.screen, text)
			}
		}
	}
}

// interrupt stops it so that it can be resumed.
func (r *running) interrupt() {
	r.t.Helper()
	r.stop(ErrInterrupted)
	if <-r.ended; !errors.Is(r.err, ErrInterrupted) {
		r.t.Fatalf("it ended with %+v, %v", r.exit, r.err)
	}
}
