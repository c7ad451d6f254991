package durable

import (
	"context"
	"errors"
	"testing"

	"github.com/waterbear-run/waterbear/internal/oplog"
)

// regional is a program that has a region, and goes back to a waypoint in it as
// long as it is told to.
func (w *world) regional(s *Session, back func() bool) error {
	s.Enter()
	if _, err := Run(s, &read, 1, w.perform("before")); err != nil {
		return err
	}
	if _, err := s.Waypoint(true); err != nil {
		return err
	}
	place, err := s.Waypoint(false)
	if err != nil {
		return err
	}
	if _, err := Run(s, &send, 2, w.perform("within")); err != nil {
		return err
	}
	if back() {
		if known, err := s.Known(place); err != nil || !known {
			return errors.Join(err, errors.New("the waypoint is not known"))
		}
		return s.Back(place)
	}
	if err := s.EndAtomic(); err != nil {
		return err
	}
	return s.End()
}

func TestAProgramThatGoesBackReplaysWhatIsLeft(t *testing.T) {
	w := newWorld(t)
	s := w.session(0, true)
	yes, no := func() bool { return true }, func() bool { return false }
	var back *BackError
	if err := w.regional(s, yes); !errors.As(err, &back) || back.From != 4 || back.Region != 2 {
		t.Fatalf("it ended with %v", err)
	}
	if err := w.regional(s, no); !errors.As(err, &back) {
		t.Errorf("the session went on with %v", err)
	}
	if err := s.Writer.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	last := w.last()
	s = w.session(last, true)
	s.Skip = []oplog.Span{{From: back.From, To: last}}
	if err := w.regional(s, no); err != nil {
		t.Fatal(err)
	}
	if got := len(w.performed); got != 3 || w.performed[2] != "within 2" || w.performed[1] != "within 2" {
		t.Errorf("performed was %q", w.performed)
	}
}

func TestRegionsThatWereOtherThanRecordedDiverge(t *testing.T) {
	w := newWorld(t)
	s := w.session(0, true)
	if err := w.regional(s, func() bool { return false }); err != nil {
		t.Fatal(err)
	}
	if err := s.Writer.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	enter := func(s *Session) error {
		_, err := Run(s, &read, 1, w.perform("never"))
		return err
	}
	for name, steps := range map[string]func(s *Session) error{
		"no region": func(s *Session) error { _, err := s.Waypoint(false); return err },
		"another call": func(s *Session) error {
			_, err := Run(s, &read, 1, w.perform("never"))
			return err
		},
		"an early end": func(s *Session) error {
			_, _ = s.Waypoint(true)
			return s.EndAtomic()
		},
		"a jump": func(s *Session) error {
			place, _ := s.Waypoint(true)
			_, err := s.Known(place)
			return err
		},
	} {
		s := w.session(w.last(), true)
		s.Enter()
		err := enter(s)
		if err == nil {
			err = steps(s)
		}
		var divergence *DivergenceError
		if !errors.As(err, &divergence) {
			t.Errorf("%s: got %v, want a divergence", name, err)
		}
	}
}

func TestTheOldestWaypointsAreForgotten(t *testing.T) {
	w := newWorld(t)
	s := w.session(0, true)
	var places []oplog.Index
	for range MaxWaypoints + 1 {
		place, err := s.Waypoint(false)
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, place)
	}
	for i, want := range map[int]bool{0: false, 1: true, MaxWaypoints: true} {
		if known, err := s.Known(places[i]); err != nil || known != want {
			t.Errorf("waypoint %d is known: %t, %v; want %t", i, known, err, want)
		}
	}
}

func TestWaypointsOfARegionThatHasEndedAreForgotten(t *testing.T) {
	w := newWorld(t)
	s := w.session(0, true)
	mark := func(atomic bool) oplog.Index {
		place, err := s.Waypoint(atomic)
		if err != nil {
			t.Fatal(err)
		}
		return place
	}
	before := mark(false)
	outer, inner := mark(true), mark(true)
	if err := s.EndAtomic(); err != nil {
		t.Fatal(err)
	}
	if known, _ := s.Known(inner); !known || s.Region() != outer || s.Depth() != 1 {
		t.Errorf("within the outer region the inner is known: %t; the region is %d, %d deep", known, s.Region(), s.Depth())
	}
	if err := s.EndAtomic(); err != nil {
		t.Fatal(err)
	}
	for place, want := range map[oplog.Index]bool{before: true, outer: false, inner: false} {
		if known, _ := s.Known(place); known != want {
			t.Errorf("behind the regions %d is known: %t, want %t", place, known, want)
		}
	}
}
