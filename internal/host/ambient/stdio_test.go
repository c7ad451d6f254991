package ambient

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/live"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
)

// never is an input that gives nothing for ever.
type never struct{ sched.Condition }

func (n never) forever(ctx context.Context) error {
	return n.Wait(ctx, func() bool { return false })
}

func (n never) Ready(ctx context.Context) (int, bool, error) { return 0, false, n.forever(ctx) }

func (n never) Read(ctx context.Context, _ int) ([]byte, error) { return nil, n.forever(ctx) }

func (n never) Skip(ctx context.Context, _ uint64, _ [sha256.Size]byte) error { return n.forever(ctx) }

// untouchable fails the test that reads it.
type untouchable struct{ t testing.TB }

func (u untouchable) Read([]byte) (int, error) {
	u.t.Error("input was read at replay")
	return 0, io.EOF
}

// slow gives one text after some time, and then its end.
type slow struct {
	*world
	texts []string
	after time.Duration
}

func (s *slow) Read(b []byte) (int, error) {
	if err := s.sim.Sleep(s.alive, s.after); err != nil || len(s.texts) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.texts[0])
	s.texts = s.texts[1:]
	return n, nil
}

func TestInputIsReadOnceAndReplayed(t *testing.T) {
	w := newWorld(t, 1)
	program := func(p *process) []string { return []string{p.read(4), p.read(100), p.read(100)} }
	w.source = strings.NewReader("some input")
	var first, again []string
	w.run(func(p *process) { first = program(p) })
	w.source = untouchable{t}
	w.run(func(p *process) { again = program(p) })
	if want := []string{"some", " input", ""}; !slices.Equal(first, want) || !slices.Equal(again, want) {
		t.Errorf("got %q and at replay %q, want %q", first, again, want)
	}
}

func TestInputGivenAgainGoesOnBehindWhatWasRead(t *testing.T) {
	w := newWorld(t, 1)
	w.source = strings.NewReader("some input")
	w.run(func(p *process) { p.read(4) })
	w.source = strings.NewReader("some input")
	w.run(func(p *process) {
		if got := []string{p.read(4), p.read(3), p.read(100)}; !slices.Equal(got, []string{"some", " in", "put"}) {
			t.Errorf("got %q", got)
		}
	})
}

func TestTerminalGoesOnWithWhatIsTypedNow(t *testing.T) {
	w := newWorld(t, 1)
	w.continues, w.source = true, strings.NewReader("some")
	w.run(func(p *process) { p.read(4) })
	w.source = strings.NewReader("thing else")
	w.run(func(p *process) {
		if got := p.read(4) + p.read(100); got != "something else" {
			t.Errorf("got %q", got)
		}
	})
}

func TestInputThatWasNotGivenAgainIsAtItsEnd(t *testing.T) {
	w := newWorld(t, 1)
	w.source = strings.NewReader("some input")
	w.run(func(p *process) { p.read(4) })
	w.source = nil
	w.run(func(p *process) {
		if got := []string{p.read(4), p.read(100)}; !slices.Equal(got, []string{"some", ""}) {
			t.Errorf("got %q, want the end behind what was read", got)
		}
	})
}

func TestOtherInputIsRefusedAndNothingIsRecorded(t *testing.T) {
	for _, other := range []string{"SOME input", "som"} {
		w := newWorld(t, 1)
		w.source = strings.NewReader("some input")
		w.run(func(p *process) { p.read(4) })
		w.source = strings.NewReader(other)
		w.run(func(p *process) {
			p.read(4)
			if _, err := p.stdio.Read(4); !errors.Is(err, live.ErrInputDiffers) {
				t.Errorf("%q: got %v, want ErrInputDiffers", other, err)
			}
		})
		if w.last() != 1 {
			t.Errorf("%q: %d entries are recorded, want 1", other, w.last())
		}
		w.source = strings.NewReader("some input")
		w.run(func(p *process) {
			if got := p.read(4) + p.read(100); got != "some input" {
				t.Errorf("with the right input: got %q", got)
			}
		})
	}
}

func TestEndOfInputStaysTheEnd(t *testing.T) {
	w := newWorld(t, 1)
	w.continues, w.source = true, strings.NewReader("x")
	program := func(p *process) string { return p.read(10) + p.read(10) }
	w.run(func(p *process) { program(p) })
	w.source = untouchable{t}
	w.run(func(p *process) {
		program(p)
		if got := p.read(10); got != "" {
			t.Errorf("got %q behind the end", got)
		}
		if r := p.wait(Forever, true); !r.Stdin || !r.EOF {
			t.Errorf("got %+v, want the end of input", r)
		}
	})
}

func TestReadOfNothingIsNotRecordedAndIsNotTheEnd(t *testing.T) {
	w := newWorld(t, 1)
	w.source = strings.NewReader("x")
	w.run(func(p *process) {
		if got := p.read(0) + p.read(-1) + p.read(1); got != "x" {
			t.Errorf("got %q", got)
		}
	})
	if w.last() != 1 {
		t.Errorf("%d entries, want 1", w.last())
	}
}

func TestOneReadIsBounded(t *testing.T) {
	w := newWorld(t, 1)
	w.source = strings.NewReader(strings.Repeat("x", 3*maxRead))
	w.run(func(p *process) {
		total := 0
		for range 20 {
			n := len(p.read(1 << 30))
			if n > maxRead {
				t.Errorf("one read gives %d bytes, more than %d", n, maxRead)
			}
			total += n
		}
		if total != 3*maxRead {
			t.Errorf("got %d bytes, want %d", total, 3*maxRead)
		}
	})
}

func TestWaitEndsWhenInputComes(t *testing.T) {
	for _, deadline := range []uint64{uint64(2 * hour), Forever} {
		w := newWorld(t, 1)
		w.source = &slow{world: w, texts: []string{"line\n"}, after: hour}
		program := func(p *process) Readiness { return p.wait(deadline, true) }
		var first, again Readiness
		w.run(func(p *process) {
			first = program(p)
			if got := p.read(100); got != "line\n" {
				t.Errorf("got %q", got)
			}
		})
		if !first.Stdin || first.Bytes != 5 || first.EOF || !near(first.Now, second+uint64(hour)) {
			t.Errorf("deadline %d: got %+v, want 5 bytes after an hour", deadline, first)
		}
		w.source = untouchable{t}
		w.run(func(p *process) { again = program(p) })
		if again != first {
			t.Errorf("replay gives %+v, want %+v", again, first)
		}
	}
}

func TestWaitForInputEndsAtItsDeadline(t *testing.T) {
	w := newWorld(t, 1)
	w.source = &slow{world: w, texts: []string{"late"}, after: hour}
	w.run(func(p *process) {
		deadline := second + uint64(time.Minute)
		if r := p.wait(deadline, true); r.Stdin || !near(r.Now, deadline) {
			t.Errorf("got %+v, want the deadline", r)
		}
		if r := p.wait(Forever, true); !r.Stdin || r.Bytes != 4 {
			t.Errorf("got %+v, want 4 bytes", r)
		}
		if got := p.read(10); got != "late" {
			t.Errorf("got %q", got)
		}
	})
}

func TestWaitForInputSeesItsEnd(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func(p *process) {
		if r := p.wait(Forever, true); !r.Stdin || !r.EOF || r.Bytes != 0 {
			t.Errorf("got %+v, want the end", r)
		}
	})
}

// TestWaitsDoNotDisturbSkippingWhatWasRead resumes a program by an input that
// comes slower than its waits end.
func TestWaitsDoNotDisturbSkippingWhatWasRead(t *testing.T) {
	w := newWorld(t, 1)
	w.source = strings.NewReader("first second third")
	w.run(func(p *process) { p.read(12) })
	w.source = &slow{world: w, texts: []string{"fir", "st ", "sec", "ond", " third"}, after: time.Minute}
	w.run(func(p *process) {
		p.read(12)
		timeouts := 0
		for !p.wait(p.monotonic()+uint64(10*time.Second), true).Stdin {
			timeouts++
		}
		if got := p.read(100); got != " third" {
			t.Errorf("got %q behind %d timeouts", got, timeouts)
		}
		if timeouts < 20 {
			t.Errorf("only %d waits ended early, want one each 10 s of 5 minutes", timeouts)
		}
	})
}

func TestOutputIsRecordedByStream(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func(p *process) {
		if err := errors.Join(p.stdio.Write(1, []byte("out")), p.stdio.Write(2, []byte("err"))); err != nil {
			t.Error(err)
		}
	})
	var got []string
	for entry, err := range oplog.Read(t.Context(), w.store.Logs(), alice, 1, 0) {
		if err != nil {
			t.Fatal(err)
		}
		log := entry.Body.(*oplog.Log)
		got = append(got, log.Stream.String()+" "+string(log.Bytes))
	}
	if want := []string{"stdout out", "stderr err"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOtherProgramDivergesAndNamesTheEntry(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func(p *process) { p.monotonic() })
	w.run(func(p *process) {
		_, err := p.clocks.Realtime()
		var divergence *durable.DivergenceError
		if !errors.As(err, &divergence) || divergence.Index != 1 {
			t.Errorf("got %v, want a divergence at entry 1", err)
		}
	})
}
