package durable

import (
	"context"
	"testing"
)

// TestARepetitionIsDurableAndIsKnownInTheNextLife begins a call, says that it is
// performed again, and crashes.
func TestARepetitionIsDurableAndIsKnownInTheNextLife(t *testing.T) {
	w := newWorld(t)
	s := w.session(0, true)
	call, err := Start(s, &send, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Repeated(call); ok {
		t.Error("the first attempt is a repetition")
	}
	for want := uint64(2); want < 4; want++ {
		r, err := s.Repeat(call, 5, 6, "status 503")
		if err != nil || r.Attempt != want || s.Writer.Committed() != s.Writer.Last() {
			t.Errorf("attempt %d: got %+v, %v; %d of %d entries are durable", want, r, err, s.Writer.Committed(), s.Writer.Last())
		}
	}
	w.reopen()
	s = w.session(w.last(), true)
	if _, err := Start(s, &send, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.peek(); err != nil {
		t.Fatal(err)
	}
	if r, ok := s.Repeated(call); !ok || r != (Repeat{Attempt: 3, Until: 6}) {
		t.Errorf("the next life knows of %+v", r)
	}
	if _, err := Finish(s, &send, call, func(context.Context) (uint64, error) { return 7, nil }); err != nil {
		t.Fatal(err)
	}
	if r, ok := s.Repeated(call); ok {
		t.Errorf("a call with an outcome has %+v", r)
	}
}
