package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// lines is what the guest prints for "many n".
func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%063d\n", i)
	}
	return b.String()
}

// recorded is how many bytes of output are in the oplog.
func (w *world) recorded() (n int) {
	for entry, err := range oplog.Read(context.Background(), w.store.Logs(), alice, 1, 0) {
		if err != nil {
			w.t.Error(err)
		}
		if log, ok := entry.Body.(*oplog.Log); ok {
			n += len(log.Bytes)
		}
	}
	return n
}

func TestSlowReaderHoldsTheProgramBackAndLosesNothing(t *testing.T) {
	const n = 3 * maxUnshown / 64
	w := newWorld(t)
	seen, most, pieces := 0, 0, 0
	w.seen = func(ctx context.Context, _ context.CancelCauseFunc, p []byte) error {
		if pieces++; pieces%1000 == 0 {
			most = max(most, w.recorded()-seen)
		}
		seen += len(p)
		return w.sim.Sleep(ctx, time.Millisecond)
	}
	o := w.ends(script(t, fmt.Sprint("many ", n), "exit 4"))
	if o.Exited.Code != 4 || w.out.String() != lines(n) {
		t.Errorf("got exit code %d and %d bytes, want 4 and %d", o.Exited.Code, w.out.Len(), 64*n)
	}
	if limit := maxUnshown + 2*durable.MaxOutput; most > limit || most < maxUnshown/2 {
		t.Errorf("the program was up to %d bytes ahead, want about %d", most, maxUnshown)
	}
}

func TestOutputIsDurableBeforeItIsShown(t *testing.T) {
	w := newWorld(t)
	w.seen = func(context.Context, context.CancelCauseFunc, []byte) error {
		if recorded := w.recorded(); recorded <= w.out.Len() {
			t.Errorf("output is shown behind %d bytes when %d are durable", w.out.Len(), recorded)
		}
		return nil
	}
	w.ends(script(t, "many 20", "sleep 1s", "many 20"))
	if w.out.String() != lines(20)+lines(20) {
		t.Errorf("got %q", w.out.String())
	}
}

func TestReaderThatGoesAwayEndsTheRunAndTheNextGetsTheRest(t *testing.T) {
	errPipe := errors.New("write to stdout: broken pipe")
	for _, at := range []int{1, 7, 40} {
		w := newWorld(t)
		l := script(t, "many 30", "sleep 1h", "many 20", "exit 6")
		n := 0
		w.seen = func(context.Context, context.CancelCauseFunc, []byte) error {
			if n++; n == at {
				return errPipe
			}
			return nil
		}
		if o, err := w.run(l); !errors.Is(err, errPipe) {
			t.Fatalf("piece %d: got %+v, %v, want the error", at, o, err)
		}
		w.seen = nil
		if o := w.ends(l); o.Exited == nil || o.Exited.Code != 6 {
			t.Errorf("piece %d: got %+v", at, o)
		}
		if w.out.String() != lines(30)+lines(20) {
			t.Errorf("piece %d: got %d bytes: %q", at, w.out.Len(), w.out.String())
		}
	}
}

func TestReaderThatGoesAwayWhileTheProgramSleepsEndsTheRun(t *testing.T) {
	errPipe := errors.New("broken pipe")
	w := newWorld(t)
	w.seen = func(ctx context.Context, _ context.CancelCauseFunc, _ []byte) error {
		return errors.Join(w.sim.Sleep(ctx, time.Second), errPipe)
	}
	began := w.sim.Monotonic()
	_, err := w.run(script(t, "print one", "sleep 1000h", "print two"))
	if took := w.sim.Monotonic() - began; !errors.Is(err, errPipe) || took > time.Minute {
		t.Errorf("got %v after %v, want the error at once", err, took)
	}
	if s := w.status(); s.Interrupted == nil || s.Interrupted.Reason != errPipe.Error() {
		t.Errorf("the oplog says %+v, want why it was interrupted", s.Interrupted)
	}
}
