package oplog

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// busy is a worker in the middle of its second invocation, with a third one waiting.
var busy = []Body{
	created,
	&InvocationAccepted{Key: "first", Function: "f", Args: Payload("[]"), Queue: 1},
	&InvocationStarted{Accepted: 2, Attempt: 1, Queue: 1},
	&InvocationFinished{Accepted: 2, Started: 3, Result: Payload("[2]")},
	&Image{Covers: 4, Blob: hash(1)},
	&InvocationAccepted{Key: "second", Function: "g", Args: Payload("[]"), Queue: 1},
	&InvocationStarted{Accepted: 6, Attempt: 1, Queue: 1},
	&PromiseCreated{Promise: "p", Accepted: 6},
	&InvocationAccepted{Key: "third", Function: "h", Args: Payload("[]"), Queue: 2},
	&HostCallStarted{Func: 1, Within: 7},
}

func lifeOf(bodies []Body) *Life {
	l := NewLife(alice)
	for i, body := range bodies {
		l.Apply(Entry{Index: Index(i + 1), Body: body})
	}
	return l
}

func TestACopyHasTheInvocationUnderWayAlone(t *testing.T) {
	origin := lifeOf(busy)
	first := &Create{Program: hash(9)}
	forked := &Forked{Origin: alice, Seed: hash(3), Key: "k"}
	var bodies []Body
	omitted := map[Index]string{}
	for i, body := range busy {
		b := Copied(Entry{Index: Index(i + 1), Body: body}, first, origin.Waits())
		if o, ok := b.(*Omitted); ok {
			omitted[Index(i+1)] = o.Kind
		} else if want := body; i > 0 && b != want || i == 0 && b != first {
			t.Errorf("entry %d becomes %+v", i+1, b)
		}
		bodies = append(bodies, b)
	}
	if want := map[Index]string{5: "Image", 8: "PromiseCreated", 9: "InvocationAccepted"}; !maps.Equal(omitted, want) {
		t.Errorf("omitted are %v, want %v", omitted, want)
	}
	l := lifeOf(append(bodies, forked))
	if len(l.Queue) != 1 || l.Queue[0].Index != 6 || l.Waiting != 1 || len(l.Promises) != 0 || l.Open != nil || len(l.Retained.Images) != 0 || l.Create.Program != hash(9) {
		t.Errorf("got %+v", l)
	}
	if want := map[string]Key{"second": {Accepted: 6}}; !maps.Equal(l.Keys, want) {
		t.Errorf("the keys are %v, want %v", l.Keys, want)
	}
	if want := (ForkedAt{11, *forked}); *l.Fork != want || !slices.Equal(l.Forks, []ForkedAt{want}) || !l.ForkedIn() {
		t.Errorf("it is a copy by %+v, %+v", l.Fork, l.Forks)
	}
	l.Apply(Entry{Index: 12, Body: &InvocationFinished{Accepted: 6, Started: 7, Result: Payload("[]")}})
	if len(l.Queue) != 0 || l.ForkedIn() || l.Fork == nil {
		t.Errorf("behind the end of the invocation: %+v", l)
	}
	idle := lifeOf(append(slices.Clone(busy[:4]), forked))
	if len(idle.Queue) != 0 || len(idle.Keys) != 0 || idle.Waiting != 0 || idle.ForkedIn() {
		t.Errorf("copied at rest: %+v", idle)
	}
}

func TestTheLifeOfACopySurvivesItsEncoding(t *testing.T) {
	l := lifeOf(append(slices.Clone(busy[:4]), &Forked{Origin: alice, Seed: hash(3), Key: "k"}))
	b := AppendLife(nil, l)
	got, err := DecodeLife(alice, b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Fork, l.Fork) {
		t.Errorf("got %+v, want %+v", got.Fork, l.Fork)
	}
	l.Fork = nil
	plain := len(AppendLife(nil, l))
	for n := range b {
		if _, err := DecodeLife(alice, b[:n]); (err == nil) != (n == plain) {
			t.Errorf("of the first %d of %d bytes: %v", n, len(b), err)
		}
	}
}

func TestAWholeOplogIsDurableAtOnce(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		logs := newHooked()
		var chunks []storage.Chunk
		logs.before = func(segment []storage.Chunk) error {
			chunks = append(chunks, segment...)
			return nil
		}
		c := newCommitter(t, s, logs)
		w, other := c.NewWhole(alice, 0), c.NewWriter(worker(1), 0)
		n := 0
		for ; ; n++ {
			_, err := w.Offer(&HostCall{Func: 1, Response: entryOf(MaxEntry / 2)})
			if errors.Is(err, storage.ErrTooLarge) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if size := n * MaxEntry / 2; size > MaxWhole || size+MaxEntry < MaxWhole {
			t.Errorf("%d bytes were taken of at most %d", size, MaxWhole)
		}
		if _, err := other.Offer(line(1)); err != nil {
			t.Fatal(err)
		}
		mustCommit(t, other)
		if len(chunks) != 1 {
			t.Errorf("%d chunks are durable before the commit", len(chunks))
		}
		mustCommit(t, w)
		mustClose(t, c)
		if len(chunks) != 2 || chunks[1].Worker != alice || int(chunks[1].Count) != n || len(chunks[1].Bytes) > storage.MaxChunk {
			t.Errorf("it is durable as %d chunks", len(chunks)-1)
		}
	})
}

// TestAWholeOplogCanBeginLater, with blanks that are as good as truncated.
func TestAWholeOplogCanBeginLater(t *testing.T) {
	logs := newHooked()
	c := newCommitter(t, sched.NewGoroutines(), logs)
	w := c.NewWhole(alice, 1<<33)
	for range 2 {
		if _, err := w.Offer(line(1)); err != nil {
			t.Fatal(err)
		}
	}
	mustCommit(t, w)
	if n := c.Flushes(); n != 1 {
		t.Errorf("it took %d flushes", n)
	}
	look := func(what string) {
		t.Helper()
		var got []Index
		for e, err := range Read(t.Context(), logs, alice, 1, 0) {
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			got = append(got, e.Index)
		}
		if !slices.Equal(got, []Index{1<<33 + 1, 1<<33 + 2}) {
			t.Errorf("%s: read %v", what, got)
		}
		if e, err := NewCursor(logs, alice, 1<<33+1, 1<<33+2).Next(t.Context()); err != nil || e.Index != 1<<33+1 {
			t.Errorf("%s: a cursor gives %v, %v", what, e, err)
		}
		for _, from := range []Index{1, 2, 1 << 33} {
			if _, err := NewCursor(logs, alice, from, 1<<33+2).Next(t.Context()); !IsTruncated(err) {
				t.Errorf("%s: from entry %d a cursor gives %v", what, from, err)
			}
		}
		if _, err := ReadLife(t.Context(), logs, alice); !IsTruncated(err) {
			t.Errorf("%s: its life is %v", what, err)
		}
		if _, err := ReadStatus(t.Context(), logs, alice); !IsTruncated(err) {
			t.Errorf("%s: its status is %v", what, err)
		}
	}
	look("blank")
	if err := logs.Truncate(t.Context(), shard, c.Epoch(), alice, 1<<33+1); err != nil {
		t.Fatal(err)
	}
	look("truncated")
	if _, err := w.Offer(line(1)); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, w)
	mustClose(t, c)
}

func TestTheLifeOfACopyThatBeginsLater(t *testing.T) {
	origin := lifeOf(busy)
	first := &Create{Program: hash(9), Epoch: 7}
	l := origin.Resting(worker(1), first, 6, hash(5))
	for i, body := range busy[6:] {
		l.Apply(Entry{Index: Index(i + 7), Body: Copied(Entry{Index: Index(i + 7), Body: body}, first, origin.Waits())})
	}
	l.Apply(Entry{Index: 11, Body: &Forked{Origin: alice}})
	if l.Worker != worker(1) || l.Create.Program != hash(9) || l.Begun != 7 || len(l.Queue) != 1 || l.Queue[0].Index != 6 || l.Waiting != 1 || l.Retained.Below != 7 || l.Retained.Open != hash(5) || !l.ForkedIn() {
		t.Errorf("got %+v", l)
	}
	if want := map[string]Key{"second": {Accepted: 6}}; !maps.Equal(l.Keys, want) {
		t.Errorf("the keys are %v, want %v", l.Keys, want)
	}
}
