package worker

import (
	"errors"
	"testing"

	"github.com/waterbear-run/waterbear/internal/oplog"
)

// TestAnAnswerBreaksOffWhereItsProgramIsTakenBack reads what a program has
// answered before it was taken back: whoever has it is told, and who comes later
// does not get it.
func TestAnAnswerBreaksOffWhereItsProgramIsTakenBack(t *testing.T) {
	entries := []oplog.Body{
		4: &oplog.InvocationStarted{Accepted: 3, Attempt: 1},
		5: &oplog.Waypoint{Atomic: true},
		6: &oplog.Response{Status: 500},
		7: &oplog.ResponseBody{Bytes: []byte("wrong")},
		8: &oplog.Jump{From: 6, Region: 5, Code: oplog.JumpCrash},
		9: &oplog.Response{Status: 200},
	}
	read := func(a *Answer) {
		for i := 4; i < len(entries) && a.result == nil; i++ {
			a.take(&oplog.Entry{Index: oplog.Index(i), Body: entries[i]})
		}
	}
	early := &Answer{index: 3}
	if read(early); !errors.Is(early.result, ErrTakenBack) || len(early.parts) != 2 {
		t.Errorf("who was there has %d parts and %v", len(early.parts), early.result)
	}
	late := &Answer{index: 3, undone: []oplog.Span{{From: 6, To: 8}}}
	if read(late); late.result != nil || len(late.parts) != 1 || late.parts[0].Status != 200 {
		t.Errorf("who comes later has %+v and %v", late.parts, late.result)
	}
	before := &Answer{index: 3}
	entries[5], entries[6], entries[7], entries[8] = &oplog.Response{Status: 200}, &oplog.Waypoint{Atomic: true}, &oplog.Log{}, &oplog.Jump{From: 7, Region: 6}
	entries[9] = &oplog.ResponseBody{Bytes: []byte("right")}
	if read(before); before.result != nil || len(before.parts) != 2 {
		t.Errorf("an answer from before the region has %+v and %v", before.parts, before.result)
	}
}
