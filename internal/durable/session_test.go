package durable

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

var alice = id.Worker{Component: "shop", Name: "alice"}

var read = Func[uint64, uint64]{Code: 1, Name: "test.read", Effect: ReadLocal, Request: Uint64Codec, Response: Uint64Codec}

var send = Func[uint64, uint64]{Code: 2, Name: "test.send", Effect: WriteRemote, Request: Uint64Codec, Response: Uint64Codec}

// world is a worker's oplog and what its program did to the outside.
type world struct {
	t         *testing.T
	committer *oplog.Committer
	store     *memory.Store
	performed []string
	crash     int // perform fails when it is called this many times more; 0: never
}

var errCrash = errors.New("crash")

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, store: memory.New()}
	w.reopen()
	return w
}

// reopen is a crash of the process: what was not committed is gone.
func (w *world) reopen() {
	w.t.Helper()
	c, err := oplog.NewCommitter(context.Background(), sched.NewGoroutines(), w.store.Logs(), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	w.committer = c
	w.t.Cleanup(func() { _ = c.Close() })
}

func (w *world) last() oplog.Index {
	w.t.Helper()
	_, last, err := w.store.Logs().Bounds(context.Background(), alice)
	if err != nil {
		w.t.Fatal(err)
	}
	return last
}

// session begins a session that replays the first entries and then, if it may
// write, goes on.
func (w *world) session(entries oplog.Index, write bool) *Session {
	c := Config{Worker: alice, Cursor: oplog.NewCursor(w.store.Logs(), alice, 1, entries)}
	if write {
		c.Writer = w.committer.NewWriter(alice, entries)
	}
	return NewSession(context.Background(), c)
}

func (w *world) perform(name string) func(context.Context, uint64) (uint64, error) {
	return func(_ context.Context, req uint64) (uint64, error) {
		w.performed = append(w.performed, fmt.Sprint(name, " ", req))
		if w.crash > 0 {
			if w.crash--; w.crash == 0 {
				return 0, errCrash
			}
		}
		return 100*uint64(len(w.performed)) + req, nil
	}
}

// program is a run of the same program: it adds up what it is told.
func (w *world) program(s *Session) (sum uint64, err error) {
	for i := range uint64(3) {
		for _, f := range []*Func[uint64, uint64]{&read, &send} {
			got, err := Run(s, f, i, w.perform(f.Name))
			if err != nil {
				return 0, err
			}
			sum = 31*sum + got
		}
		if err := s.Output(oplog.Stdout, fmt.Appendf(nil, "sum %d\n", sum)); err != nil {
			return 0, err
		}
	}
	return sum, s.End()
}

func TestReplayGivesWhatWasRecordedAndPerformsNothing(t *testing.T) {
	w := newWorld(t)
	s := w.session(0, true)
	want, err := w.program(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Writer.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	performed := len(w.performed)
	got, err := w.program(w.session(w.last(), true))
	if err != nil || got != want || len(w.performed) != performed {
		t.Errorf("got %d, %v and %d calls; want %d and %d calls", got, err, len(w.performed), want, performed)
	}
}

func TestEveryPrefixOfTheOplogLeadsToAnEnd(t *testing.T) {
	for k := 1; ; k++ {
		w := newWorld(t)
		w.crash = k
		s := w.session(0, true)
		_, err := w.program(s)
		if commitErr := s.Writer.Commit(context.Background()); commitErr != nil {
			t.Fatal(commitErr)
		}
		crashed := errors.Is(err, errCrash)
		if err != nil && !crashed {
			t.Fatal(err)
		}
		last := w.last()
		w.reopen()
		s = w.session(last, true)
		first, err := w.program(s)
		if err != nil {
			t.Fatalf("crash at call %d: %v", k, err)
		}
		if err := s.Writer.Commit(context.Background()); err != nil {
			t.Fatal(err)
		}
		again, err := w.program(w.session(w.last(), false))
		if !errors.Is(err, ErrEndOfLog) && err != nil || again != first && err == nil {
			t.Errorf("crash at call %d: replay gives %d, %v; the run gave %d", k, again, err, first)
		}
		counts := map[string]int{}
		for _, p := range w.performed {
			counts[p]++
		}
		for p, n := range counts {
			if n > 2 || n == 2 && !crashed {
				t.Errorf("crash at call %d: %s was performed %d times", k, p, n)
			}
		}
		if !crashed {
			return
		}
	}
}

func TestIntentIsDurableBeforeARemoteCallBegins(t *testing.T) {
	w := newWorld(t)
	s := w.session(0, true)
	_, err := Run(s, &send, 7, func(context.Context, uint64) (uint64, error) {
		if last := w.last(); last != 1 {
			t.Errorf("%d entries are durable when the call begins, want the intent", last)
		}
		return 0, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnotherCallThanRecordedDiverges(t *testing.T) {
	w := newWorld(t)
	s := w.session(0, true)
	if _, err := Run(s, &read, 7, w.perform("read")); err != nil {
		t.Fatal(err)
	}
	if err := s.Output(oplog.Stdout, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(s, &send, 7, w.perform("send")); err != nil {
		t.Fatal(err)
	}
	if err := s.Writer.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	hello := func(s *Session) error { return s.Output(oplog.Stdout, []byte("hello")) }
	call := func(f *Func[uint64, uint64], req uint64) func(*Session) error {
		return func(s *Session) error {
			_, err := Run(s, f, req, w.perform("never"))
			return err
		}
	}
	for name, steps := range map[string][]func(*Session) error{
		"another request":     {call(&read, 8)},
		"another function":    {call(&send, 7)},
		"output for a call":   {hello},
		"a call for output":   {call(&read, 7), call(&read, 7)},
		"other output":        {call(&read, 7), func(s *Session) error { return s.Output(oplog.Stdout, []byte("hellO")) }},
		"other stream":        {call(&read, 7), func(s *Session) error { return s.Output(oplog.Stderr, []byte("hello")) }},
		"less output":         {call(&read, 7), func(s *Session) error { return s.Output(oplog.Stdout, []byte("hell")) }, call(&send, 7)},
		"another remote call": {call(&read, 7), hello, call(&send, 9)},
		"an early end":        {call(&read, 7), (*Session).End},
	} {
		s := w.session(w.last(), true)
		var err error
		for _, step := range steps {
			if err = step(s); err != nil {
				break
			}
		}
		var divergence *DivergenceError
		if !errors.As(err, &divergence) || divergence.Worker != alice || divergence.Index == 0 {
			t.Errorf("%s: got %v, want a divergence that names worker and index", name, err)
		}
		if again := hello(s); !errors.Is(again, err) {
			t.Errorf("%s: the session went on with %v", name, again)
		}
	}
}

func TestOutputCutDifferentlyIsTheSame(t *testing.T) {
	w := newWorld(t)
	s := w.session(0, true)
	for _, p := range []string{"ab", "cdef", "g"} {
		if err := s.Output(oplog.Stdout, []byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Writer.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	s = w.session(w.last(), true)
	for _, p := range []string{"abc", "d", "efghi"} {
		if err := s.Output(oplog.Stdout, []byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Writer.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	var all []byte
	for entry, err := range oplog.Read(context.Background(), w.store.Logs(), alice, 1, 0) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, entry.Body.(*oplog.Log).Bytes...)
	}
	if string(all) != "abcdefghi" {
		t.Errorf("the log holds %q, want each byte once", all)
	}
}

func TestLongOutputIsSeveralEntries(t *testing.T) {
	w := newWorld(t)
	s := w.session(0, true)
	if err := s.Output(oplog.Stderr, make([]byte, 2*MaxOutput+1)); err != nil {
		t.Fatal(err)
	}
	if last := s.Writer.Last(); last != 3 {
		t.Errorf("got %d entries for two bounds and a byte, want 3", last)
	}
}

func TestReplayOnlySessionEndsWhereItsOplogEnds(t *testing.T) {
	w := newWorld(t)
	s := w.session(0, false)
	if err := s.Output(oplog.Stdout, []byte("x")); !errors.Is(err, ErrEndOfLog) {
		t.Errorf("got %v, want ErrEndOfLog", err)
	}
}
