package oplog

import (
	"errors"
	"testing"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// history writes an oplog of alice with these entries, each in its own chunk.
func history(t *testing.T, logs storage.Logs, bodies ...Body) {
	t.Helper()
	c := newCommitter(t, sched.NewGoroutines(), logs)
	defer mustClose(t, c)
	w := c.NewWriter(alice, 0)
	for _, b := range bodies {
		if _, err := w.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		mustCommit(t, w)
	}
}

func status(t *testing.T, bodies ...Body) *Status {
	t.Helper()
	logs := newHooked()
	history(t, logs, bodies...)
	s, err := ReadStatus(t.Context(), logs, alice)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// created is a first entry by owner 7.
var created = &Create{At: 1, Epoch: 7, Args: []string{"program", "argument"}, Memory: 1 << 20}

func TestStatusTellsWhatTheWorkerWasCreatedWith(t *testing.T) {
	s := status(t, created, line(2))
	if s.Worker != alice || s.Last != 2 || s.Create.Args[1] != "argument" || s.Create.Memory != 1<<20 || s.Changed == 0 {
		t.Errorf("got %+v", s)
	}
}

func TestStatusTellsEachEnding(t *testing.T) {
	for name, c := range map[string]struct {
		last                       Body
		exited, failed, interrupts bool
	}{
		"nothing":     {last: line(2)},
		"an exit":     {last: &Exited{Code: 3}, exited: true},
		"an error":    {last: &Error{Reason: "unreachable"}, failed: true},
		"interrupted": {last: &Interrupted{Reason: "by a person"}, interrupts: true},
	} {
		s := status(t, created, c.last)
		if (s.Exited != nil) != c.exited || (s.Error != nil) != c.failed || (s.Interrupted != nil) != c.interrupts || s.Ended() != (c.exited || c.failed) {
			t.Errorf("after %s: %+v", name, s)
		}
	}
	if s := status(t, created, &Exited{Code: 3}); s.Exited.Code != 3 {
		t.Errorf("got exit code %d, want 3", s.Exited.Code)
	}
	if s := status(t, created, &Error{Reason: "unreachable"}); s.Error.Reason != "unreachable" {
		t.Errorf("got reason %q", s.Error.Reason)
	}
}

func TestInterruptionIsOverWhenTheWorkerGoesOn(t *testing.T) {
	for _, next := range []Body{&Recovered{Epoch: 8}, line(3), &HostCall{Func: 1}, &HostCallStarted{Func: 1}, &HostCallFinished{Started: 1}} {
		if s := status(t, created, &Interrupted{Reason: "first"}, next); s.Interrupted != nil {
			t.Errorf("still interrupted after %s", Name(next))
		}
	}
	s := status(t, created, &Interrupted{Reason: "first"}, &Recovered{Epoch: 8}, &Interrupted{Reason: "again"})
	if s.Interrupted == nil || s.Interrupted.Reason != "again" {
		t.Errorf("got %+v, want the newer interruption", s.Interrupted)
	}
}

func TestOwnerIsTheNewestThatIsRecorded(t *testing.T) {
	if s := status(t, created, line(2)); s.Epoch != 7 {
		t.Errorf("got owner %d, want the creator 7", s.Epoch)
	}
	if s := status(t, created, &Recovered{Epoch: 8}, line(3), &Recovered{Epoch: 11}, line(5)); s.Epoch != 11 {
		t.Errorf("got owner %d, want the newest 11", s.Epoch)
	}
}

// long is a history whose newest owner is followed by n entries.
func long(n int) []Body {
	bodies := []Body{created, &Recovered{Epoch: 8}, &Recovered{Epoch: 9}}
	for range n {
		bodies = append(bodies, line(0))
	}
	return bodies
}

func TestOwnerIsFoundAmongManyEntries(t *testing.T) {
	for _, n := range []int{tailEntries - 1, tailEntries, tailEntries + 1, 5 * tailEntries} {
		logs := newHooked()
		history(t, logs, long(n)...)
		s, err := ReadStatus(t.Context(), logs, alice)
		if err != nil {
			t.Fatal(err)
		}
		owner, err := s.Owner(t.Context(), logs)
		if err != nil || owner != 9 {
			t.Errorf("with %d entries behind it: got owner %d, %v, want 9", n, owner, err)
		}
	}
}

func TestOwnerOfALongOplogWithoutRecoveryIsItsCreator(t *testing.T) {
	logs := newHooked()
	bodies := append([]Body{created}, long(2 * tailEntries)[3:]...)
	history(t, logs, bodies...)
	s, err := ReadStatus(t.Context(), logs, alice)
	if err != nil {
		t.Fatal(err)
	}
	if owner, err := s.Owner(t.Context(), logs); err != nil || owner != 7 {
		t.Errorf("got owner %d, %v, want 7", owner, err)
	}
}

func TestStatusOfALongOplogReadsOnlyItsEnds(t *testing.T) {
	logs := newHooked()
	history(t, logs, append(long(4*tailEntries), &Exited{Code: 5})...)
	chunks := 0
	logs.mangle = func(c storage.Chunk, yield func(storage.Chunk, error) bool) bool {
		chunks++
		return yield(c, nil)
	}
	s, err := ReadStatus(t.Context(), logs, alice)
	if err != nil || s.Exited == nil || s.Exited.Code != 5 {
		t.Fatalf("got %+v, %v", s, err)
	}
	if chunks > tailEntries+2 {
		t.Errorf("read %d chunks of one entry each, want at most %d", chunks, tailEntries+2)
	}
}

func TestNoWorkerHasNoStatus(t *testing.T) {
	_, err := ReadStatus(t.Context(), newHooked(), id.Worker{Component: "shop", Name: "nobody"})
	if !errors.Is(err, ErrNoWorker) || err.Error() != "shop/nobody: no such worker" {
		t.Errorf("got %v, want ErrNoWorker with the name", err)
	}
}

func TestDamageIsReportedWithItsWorkerAndEntries(t *testing.T) {
	for _, index := range []Index{1, 2, 4} {
		logs := newHooked()
		history(t, logs, created, line(2), line(3), &Exited{})
		logs.mangle = func(c storage.Chunk, yield func(storage.Chunk, error) bool) bool {
			if c.First == index {
				c.Bytes[len(c.Bytes)-1] ^= 0x40
			}
			return yield(c, nil)
		}
		_, err := ReadStatus(t.Context(), logs, alice)
		var corrupt *storage.CorruptError
		if !errors.As(err, &corrupt) || corrupt.Worker != alice || corrupt.From > index || corrupt.To < index {
			t.Errorf("entry %d is damaged: got %v", index, err)
		}
	}
}

func TestFirstEntryMustBeCreate(t *testing.T) {
	logs := newHooked()
	history(t, logs, line(1), line(2))
	_, err := ReadStatus(t.Context(), logs, alice)
	var corrupt *storage.CorruptError
	if !errors.As(err, &corrupt) || corrupt.From != 1 {
		t.Errorf("got %v, want damage of entry 1", err)
	}
}
