package oplog

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// feed applies bodies as the entries behind those that l has.
func feed(l *Life, bodies ...Body) *Life {
	for _, body := range bodies {
		l.Apply(Entry{Index: l.Last + 1, At: Time(l.Last + 1), Body: body})
	}
	return l
}

// promises says what l knows of promises: each with its name, and v if it has a
// value, f if it has failed, t if that was taken, w if it is withdrawn.
func promises(l *Life) string {
	var list []string
	for _, p := range l.Promises {
		s := p.Promise
		switch {
		case p.Settled != nil && p.Settled.Failed:
			s += "f"
		case p.Settled != nil:
			s += "v"
		}
		if p.Taken != 0 {
			s += "t"
		}
		if p.Withdrawn != 0 {
			s += "w"
		}
		list = append(list, s)
	}
	return strings.Join(list, " ")
}

// The entries of a worker whose invocation 2 is under way since entry 3.
func begun() *Life {
	return feed(NewLife(alice), created,
		&InvocationAccepted{Function: "f", Args: Payload("[]"), Queue: 1},
		&InvocationStarted{Accepted: 2, Attempt: 1, Queue: 1})
}

func makes(name string) Body { return &PromiseCreated{Promise: name, Accepted: 2} }
func settle(name string) Body {
	return &PromiseSettled{Promise: name, Value: Payload("v"), By: "a test"}
}

func TestAPromiseOutlivesTheInvocationThatMadeIt(t *testing.T) {
	l := feed(begun(), makes("a"), makes("b"), &InvocationFinished{Accepted: 2, Started: 3}, settle("b"))
	if got, want := promises(l), "a bv"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatAnAttemptThatIsTakenBackDidToPromisesItHasNotDone(t *testing.T) {
	l := feed(begun(), makes("a"), makes("b"), makes("c"), settle("a"), &PromiseTaken{"a"}, &PromiseWithdrawn{"b"},
		&InvocationFailed{Accepted: 2, Started: 3, Attempt: 1, Retry: 9, Queue: 1})
	if got, want := promises(l), "av b c"; got != want {
		t.Fatalf("between two attempts: got %q, want %q: the next one may make them again", got, want)
	}
	feed(l, settle("b"), &InvocationStarted{Accepted: 2, Attempt: 2, Queue: 1}, makes("b"), makes("d"))
	if got, want := promises(l), "av bv c d"; got != want {
		t.Fatalf("in the next: got %q, want %q", got, want)
	}
	feed(l, &InvocationFinished{Accepted: 2, Started: l.Begun})
	if got, want := promises(l), "bv d"; got != want {
		t.Errorf("behind it: got %q, want %q: a and c were not made by the attempt that counts", got, want)
	}
}

func TestWhatAProgramDidToPromisesBeforeItWentBackItHasNotDone(t *testing.T) {
	l := feed(begun(), makes("a"), settle("a"), &Waypoint{}, &PromiseTaken{"a"}, makes("b"), makes("c"), &PromiseWithdrawn{"c"})
	back := &Jump{From: 7, Region: 6, Code: JumpCrash}
	if feed(l, back); promises(l) != "av b c" {
		t.Fatalf("got %q, want that nothing was taken or withdrawn", promises(l))
	}
	feed(l, settle("b"), makes("b"), &InvocationFinished{Accepted: 2, Started: 3})
	if got, want := promises(l), "av bv"; got != want {
		t.Errorf("got %q, want %q: c was not made again", got, want)
	}
}

func TestPromisesOfAnInvocationThatComesToNothingAreGone(t *testing.T) {
	before := func() *Life {
		return feed(begun(), makes("a"), &InvocationFinished{Accepted: 2, Started: 3},
			&InvocationAccepted{Function: "f", Args: Payload("[]"), Queue: 1}, &InvocationStarted{Accepted: 6, Attempt: 1, Queue: 1},
			&PromiseCreated{Promise: "b", Accepted: 6}, settle("b"), &PromiseTaken{"b"}, settle("a"), &PromiseTaken{"a"})
	}
	l := feed(before(), &InvocationFailed{Accepted: 6, Started: 7, Attempt: 1})
	if got, want := promises(l), "av"; got != want {
		t.Errorf("failed for good: got %q, want %q", got, want)
	}
	l = feed(before(), &InvocationFailed{Accepted: 6, Started: 7, Attempt: 1, Retry: 99, Queue: 1}, &InvocationCanceled{Accepted: 6})
	if got, want := promises(l), "av"; got != want {
		t.Errorf("canceled between two attempts: got %q, want %q", got, want)
	}
}

func TestASuspendedWorkerGoesOnByTheFirstOfItsPromises(t *testing.T) {
	l := feed(begun(), makes("a"), makes("b"), makes("c"), &Suspended{Promises: []string{"a", "b"}}, settle("c"))
	if l.Suspended == nil {
		t.Fatal("it goes on by a promise that it does not wait for")
	}
	if feed(l, settle("b")); l.Suspended != nil {
		t.Error("it does not go on")
	}
}

func TestPromisesThatWereTakenMakeRoomForOthers(t *testing.T) {
	l := begun()
	for i := range MaxPromises {
		if !l.RoomForPromise() {
			t.Fatalf("there is no room for promise %d", i)
		}
		feed(l, makes(fmt.Sprint(i)))
	}
	if l.RoomForPromise() {
		t.Fatalf("there is room for more than %d", MaxPromises)
	}
	feed(l, settle("7"), &PromiseTaken{"7"})
	if l.RoomForPromise() {
		t.Fatal("what the attempt under way has taken makes room: it may be taken back")
	}
	feed(l, &InvocationFinished{Accepted: 2, Started: 3},
		&InvocationAccepted{Function: "f", Args: Payload("[]"), Queue: 1}, &InvocationStarted{Accepted: l.Last + 2, Attempt: 1, Queue: 1})
	if !l.RoomForPromise() {
		t.Fatal("there is no room although one was taken")
	}
	feed(l, &PromiseCreated{Promise: "new", Accepted: l.Attempt.Accepted})
	if l.Promise("7") != nil || l.Promise("new") == nil || l.Promise("6") == nil || len(l.Promises) != MaxPromises {
		t.Errorf("got %d promises, want %d with the new one in the place of the one taken", len(l.Promises), MaxPromises)
	}
}

func TestValuesThatWereTakenMakeRoomForOthers(t *testing.T) {
	l := begun()
	large := make(Payload, MaxPromiseBytes/4)
	for i := range 4 {
		name := fmt.Sprint(i)
		feed(l, makes(name))
		if !l.RoomForValue(len(large)) {
			t.Fatalf("there is no room for value %d", i)
		}
		feed(l, &PromiseSettled{Promise: name, Value: large})
	}
	if l.RoomForValue(1) {
		t.Fatalf("there is room for more than %d bytes", MaxPromiseBytes)
	}
	feed(l, makes("x"), &PromiseTaken{"2"}, &InvocationFinished{Accepted: 2, Started: 3})
	if !l.RoomForValue(1) || !l.RoomForValue(len(large)) || l.RoomForValue(len(large)+1) {
		t.Fatal("there is not as much room as one value leaves that was taken")
	}
	if feed(l, settle("x")); promises(l) != "0v 1v 3v xv" {
		t.Errorf("got %q", promises(l))
	}
}

func TestTheStatusOfAWorkerThatManySettleForIsFound(t *testing.T) {
	bodies := []Body{created, &InvocationAccepted{Args: Payload("[]"), Queue: 1}, &InvocationStarted{Accepted: 2, Attempt: 1, Queue: 1}, &Suspended{Promises: []string{"a"}}}
	for range 3 * tailEntries {
		bodies = append(bodies, settle("b"))
	}
	logs := newHooked()
	history(t, logs, bodies...)
	s, err := ReadStatus(t.Context(), logs, alice)
	if err != nil || s.Suspended == nil || s.Attempt == nil {
		t.Errorf("got %+v, %v, want it suspended", s, err)
	}
}

// TestWhatALifeKnowsOfPromisesSurvivesItsEncoding encodes and decodes a life
// wherever nothing is under way, and lets the other one see all entries.
func TestWhatALifeKnowsOfPromisesSurvivesItsEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, imaged := feed(NewLife(alice), created), feed(NewLife(alice), created)
		name := func() string { return rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "promise") }
		for range rapid.IntRange(1, 40).Draw(t, "entries") {
			var body Body
			switch draw := rapid.IntRange(0, 7).Draw(t, "entry"); {
			case draw == 0 && l.Begun == 0:
				body = &InvocationAccepted{Args: Payload("[]"), Queue: l.Waiting + 1}
			case draw <= 1 && l.Begun == 0 && len(l.Queue) > 0:
				body = &InvocationStarted{Accepted: l.Queue[0].Index, Attempt: l.Queue[0].Failures + 1, Queue: l.Waiting}
			case draw == 2 && l.Promise(name()) != nil:
				body = &PromiseSettled{Promise: name(), Failed: rapid.Bool().Draw(t, "failed"), Value: Payload("v"), Key: "k", By: "b"}
			case l.Begun == 0:
				continue
			case draw == 0:
				body = &InvocationFinished{Accepted: l.Attempt.Accepted, Started: l.Begun, Queue: l.Waiting - 1}
			case draw == 1:
				f := &InvocationFailed{Accepted: l.Attempt.Accepted, Started: l.Begun, Attempt: l.Attempt.Attempt, Queue: l.Waiting - 1, Stack: []string{}}
				if rapid.Bool().Draw(t, "again") {
					f.Retry, f.Queue = 1, l.Waiting
				}
				body = f
			case draw <= 4:
				body = &PromiseCreated{Promise: name(), Accepted: l.Attempt.Accepted}
			case draw == 5:
				body = &PromiseTaken{name()}
			case draw == 6:
				body = &PromiseWithdrawn{name()}
			default:
				body = &Suspended{Promises: []string{name()}}
			}
			feed(l, body)
			feed(imaged, body)
			if l.Begun == 0 {
				var err error
				if imaged, err = DecodeLife(alice, AppendLife(nil, imaged)); err != nil {
					t.Fatal(err)
				}
			}
			if want, got := promises(l), promises(imaged); want != got {
				t.Fatalf("from the encoding: %q, want %q", got, want)
			}
			for i, p := range l.Promises {
				if got := imaged.Promises[i]; !reflect.DeepEqual(got, p) {
					t.Fatalf("got %+v, want %+v", got, p)
				}
			}
		}
	})
}

func TestAPromiseOutlivesThatItsMakerIsTakenBack(t *testing.T) {
	l := feed(begun(), makes("kept"), &Waypoint{}, makes("p"), settle("kept"),
		&PromiseTaken{Promise: "kept"}, &PromiseWithdrawn{Promise: "kept"}, &Jump{From: 6})
	if got, want := promises(l), "keptv p"; got != want {
		t.Errorf("taken back there are %q, want %q", got, want)
	}
	again := feed(begun(), makes("kept"), &Waypoint{}, makes("p"), &Jump{From: 6}, makes("p"), &InvocationFinished{Accepted: 2, Started: 3})
	if got, want := promises(again), "kept p"; got != want {
		t.Errorf("made again there are in the end %q, want %q", got, want)
	}
	if got, want := promises(feed(l, &InvocationFinished{Accepted: 2, Started: 3})), "keptv"; got != want {
		t.Errorf("in the end there are %q, want %q", got, want)
	}
}
