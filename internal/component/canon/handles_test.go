package canon_test

import (
	"testing"

	"github.com/waterbear-run/waterbear/internal/component/canon"
	"github.com/waterbear-run/waterbear/wit"
)

// handleFunc is a function that takes an own and a borrow of someResource.
func handleFuncs(t *testing.T, local bool) (own, borrow *canon.Func) {
	t.Helper()
	types := &canon.Scope{Resolve: func(*wit.Resource) (canon.Resource, error) {
		return canon.Resource{Index: 7, Local: local}, nil
	}}
	make := func(k wit.Kind) *canon.Func {
		f, err := types.Func(&wit.Func{Params: []wit.Param{{Type: &wit.Type{Kind: k, Resource: someResource}}}})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	return make(wit.Own), make(wit.Borrow)
}

func TestHandlesAreNumberedAndUsedAgain(t *testing.T) {
	h := &canon.Handles{}
	add := func(want uint32) {
		t.Helper()
		if got, err := h.New(7, 100+want); got != want || err != nil {
			t.Errorf("got handle %d, %v, want %d", got, err, want)
		}
	}
	drop := func(i uint32) {
		t.Helper()
		if rep, owned, err := h.Drop(i, 7); rep != 100+i || !owned || err != nil {
			t.Errorf("dropped %d, %t, %v", rep, owned, err)
		}
	}
	add(1)
	add(2)
	add(3)
	drop(2)
	drop(1)
	add(1) // the last that became free is the first to be used
	add(2)
	add(4)
	if rep, err := h.Rep(4, 7); rep != 104 || err != nil {
		t.Errorf("got representation %d, %v", rep, err)
	}
}

func TestHandlesThatAreNotThereTrap(t *testing.T) {
	h := &canon.Handles{}
	if _, err := h.New(7, 1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Drop(1, 7); err != nil {
		t.Fatal(err)
	}
	for _, i := range []uint32{0, 1, 2, 1 << 31, 1<<32 - 1} {
		_, err := h.Rep(i, 7)
		wantTrap(t, "rep", err, "unknown handle index")
		_, _, err = h.Drop(i, 7)
		wantTrap(t, "drop", err, "unknown handle index")
	}
}

func TestHandlesKeepToTheirResourceType(t *testing.T) {
	s := newSide(canon.UTF8)
	if _, err := s.handles.New(8, 1); err != nil {
		t.Fatal(err)
	}
	own, borrow := handleFuncs(t, false)
	for _, f := range []*canon.Func{own, borrow} {
		_, err := f.LiftParams(s.lift(), []uint64{1})
		wantTrap(t, "lift", err, "another resource type")
	}
	_, err := s.handles.Rep(1, 7)
	wantTrap(t, "rep", err, "another resource type")
	_, _, err = s.handles.Drop(1, 7)
	wantTrap(t, "drop", err, "another resource type")
}

func TestWhatIsLentCanBeNeitherDroppedNorPassedOn(t *testing.T) {
	s := newSide(canon.UTF8)
	i, err := s.handles.New(7, 1234)
	if err != nil {
		t.Fatal(err)
	}
	own, borrow := handleFuncs(t, false)
	for range 2 { // it can be lent more than once
		v, err := borrow.LiftParams(s.lift(), []uint64{uint64(i)})
		if err != nil || v[0] != uint32(1234) {
			t.Fatalf("got %v, %v", v, err)
		}
	}
	_, err = own.LiftParams(s.lift(), []uint64{uint64(i)})
	wantTrap(t, "pass on", err, "while it is lent")
	_, _, err = s.handles.Drop(i, 7)
	wantTrap(t, "drop", err, "while it is lent")
	s.loans.Return()
	if v, err := own.LiftParams(s.lift(), []uint64{uint64(i)}); err != nil || v[0] != uint32(1234) {
		t.Errorf("got %v, %v", v, err)
	}
	_, err = s.handles.Rep(i, 7)
	wantTrap(t, "what was passed on", err, "unknown handle index")
}

func TestBorrowsHaveToBeDroppedBeforeTheCallEnds(t *testing.T) {
	s := newSide(canon.UTF8)
	own, borrow := handleFuncs(t, false)
	stack := make([]uint64, 1)
	if err := borrow.LowerParams(s.lower(), []wit.Value{uint32(9)}, stack); err != nil {
		t.Fatal(err)
	}
	wantTrap(t, "end", s.task.Done(), "borrow handles still remain")
	_, err := own.LiftParams(s.lift(), stack)
	wantTrap(t, "pass on", err, "which is borrowed")
	// It can be lent further, and not be dropped meanwhile.
	if _, err := borrow.LiftParams(s.lift(), stack); err != nil {
		t.Fatal(err)
	}
	_, _, err = s.handles.Drop(uint32(stack[0]), 7)
	wantTrap(t, "drop", err, "while it is lent")
	s.loans.Return()
	if rep, owned, err := s.handles.Drop(uint32(stack[0]), 7); rep != 9 || owned || err != nil {
		t.Errorf("dropped %d, %t, %v", rep, owned, err)
	}
	if err := s.task.Done(); err != nil {
		t.Error(err)
	}
}

func TestTheMakerOfAResourceGetsItsRepresentationForABorrow(t *testing.T) {
	s := newSide(canon.UTF8)
	_, borrow := handleFuncs(t, true)
	stack := make([]uint64, 1)
	if err := borrow.LowerParams(s.lower(), []wit.Value{uint32(77)}, stack); err != nil || stack[0] != 77 {
		t.Errorf("got %d, %v", stack[0], err)
	}
	if err := s.task.Done(); err != nil {
		t.Error(err)
	}
}

func TestResultsCannotBeBorrows(t *testing.T) {
	y := &wit.Type{Kind: wit.Option, Elem: &wit.Type{Kind: wit.Borrow, Resource: someResource}}
	if _, err := newScope().Func(&wit.Func{Result: y}); err == nil {
		t.Error("it is accepted")
	}
}

func TestThereIsABoundOnHandles(t *testing.T) {
	h := &canon.Handles{}
	for i := range canon.MaxHandles {
		if _, err := h.New(1, uint32(i)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := h.New(1, 0)
	wantTrap(t, "one more", err, "more than 1048576 handles")
}
