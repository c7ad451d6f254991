package durable

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/waterbear-run/waterbear/internal/oplog"
)

var tell = Func[uint64, None]{Code: 3, Name: "test.tell", Effect: WriteLocal, Request: Uint64Codec, Response: NoneCodec}

// TestWhatWasToldCanBeReadAgainBesideTheSession tells numbers among other calls,
// and reads them again, but for those that were taken back.
func TestWhatWasToldCanBeReadAgainBesideTheSession(t *testing.T) {
	w := newWorld(t)
	s := w.session(0, true)
	var places []oplog.Index
	for i := range uint64(6) {
		if _, err := Run(s, &read, i, w.perform("read")); err != nil {
			t.Fatal(err)
		}
		index, err := Tell(s, &tell, i)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Durable(context.Background(), index); err != nil || s.Writer.Committed() < index {
			t.Errorf("entry %d: %v, and %d are durable", index, err, s.Writer.Committed())
		}
		places = append(places, index)
	}
	told := func(s *Session, from oplog.Index) (got []uint64) {
		t.Helper()
		for p := Recorded(s, &tell, from); ; {
			req, ok, err := p.Next(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return got
			}
			got = append(got, req)
		}
	}
	if got := fmt.Sprint(told(s, places[1])); got != "[1 2 3 4 5]" {
		t.Errorf("got %s", got)
	}
	// A second life passes what is recorded, and can read it while it does so.
	s = w.session(w.last(), true)
	s.undone = []oplog.Span{{From: places[2], To: places[3]}}
	for i := range uint64(6) {
		if _, err := Run(s, &read, i, nil); err != nil {
			t.Fatal(err)
		}
		if index, err := Tell(s, &tell, i); err != nil || index != places[i] {
			t.Errorf("got entry %d, want %d: %v", index, places[i], err)
		}
	}
	if got := fmt.Sprint(told(s, 1)); got != "[0 1 4 5]" {
		t.Errorf("without those taken back: got %s", got)
	}
	// It diverges where a program says something else.
	s = w.session(w.last(), true)
	if _, err := Run(s, &read, 0, nil); err != nil {
		t.Fatal(err)
	}
	var divergence *DivergenceError
	if _, err := Tell(s, &tell, 9); !errors.As(err, &divergence) {
		t.Errorf("got %v", err)
	}
}
