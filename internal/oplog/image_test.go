package oplog

import (
	"reflect"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/sched"
)

// lived is a life with something in every field that an image keeps.
func lived() *Life {
	l := NewLife(alice)
	for i, body := range []Body{
		created,
		&InvocationAccepted{Key: "first", Function: "f", Args: Payload("[1]"), Queue: 1},
		&InvocationStarted{Accepted: 0, Attempt: 1, Queue: 1},
		&InvocationFinished{Started: 3, Queue: 1},
		&InvocationStarted{Accepted: 2, Attempt: 1, Queue: 1},
		&InvocationFinished{Accepted: 2, Started: 5, Result: Payload("[2]")},
		&InvocationAccepted{Key: "second", Function: "g", Args: Payload("[]"), Due: At(time.Unix(4e9, 0)), Queue: 1},
	} {
		l.Apply(Entry{Index: uint64(i + 1), At: Time(i), Body: body})
	}
	return l
}

func TestLifeSurvivesItsEncoding(t *testing.T) {
	l := lived()
	got, err := DecodeLife(alice, AppendLife(nil, l))
	if err != nil {
		t.Fatal(err)
	}
	if got.Last != 7 || !got.Initialized || got.Keys["first"] != (Key{2, 6}) || got.Keys["second"] != (Key{Accepted: 7}) || got.Waiting != 1 ||
		!reflect.DeepEqual(got.Queue, l.Queue) || !reflect.DeepEqual(got.Create, decodedCreate(t, l)) {
		t.Errorf("got %+v, want %+v", got, l)
	}
}

// decodedCreate is what a reader gets of a life's first entry.
func decodedCreate(t *testing.T, l *Life) Create {
	t.Helper()
	var c Create
	w := coder{}
	l.Create.fields(&w)
	r := coder{b: w.b, reading: true}
	c.fields(&r)
	if r.err != nil {
		t.Fatal(r.err)
	}
	return c
}

func TestDamagedLifeIsRefused(t *testing.T) {
	b := AppendLife(nil, lived())
	for n := range b {
		if _, err := DecodeLife(alice, b[:n]); err == nil {
			t.Errorf("the first %d of %d bytes were taken for a life", n, len(b))
		}
	}
	if _, err := DecodeLife(alice, append(b, 0)); err == nil {
		t.Error("a byte too many was taken")
	}
}

func TestNewestImageIsFoundHoweverOld(t *testing.T) {
	for _, behind := range []int{0, 1, tailEntries - 1, tailEntries, 6 * tailEntries} {
		logs := newHooked()
		bodies := []Body{created, &Image{Covers: 1}, line(1), &Image{Covers: 3}}
		for range behind {
			bodies = append(bodies, line(1))
		}
		c := newCommitter(t, sched.NewGoroutines(), logs)
		w := c.NewWriter(alice, 0)
		for _, b := range bodies {
			if _, err := w.Append(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		mustCommit(t, w)
		mustClose(t, c)
		image, at, err := FindImage(t.Context(), logs, alice, 0)
		if err != nil || image == nil || at != 4 || image.Covers != 3 {
			t.Errorf("%d entries behind: got %+v at %d, %v", behind, image, at, err)
		}
		if image, at, err = FindImage(t.Context(), logs, alice, 4); err != nil || image == nil || at != 2 {
			t.Errorf("%d entries behind, the one before: got %+v at %d, %v", behind, image, at, err)
		}
		if image, _, err = FindImage(t.Context(), logs, alice, 2); err != nil || image != nil {
			t.Errorf("%d entries behind, before the first: got %+v, %v", behind, image, err)
		}
	}
	if image, _, err := FindImage(t.Context(), newHooked(), id.Worker{Component: "a", Name: "b"}, 0); err != nil || image != nil {
		t.Errorf("of nobody: got %+v, %v", image, err)
	}
}
