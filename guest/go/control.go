package waterbear

import (
	"time"
	"unsafe"
)

// Waypoint is a place in the program's run that it can be taken back to: memory,
// files and everything else of the worker are then as they were there. What it has
// done to the world outside, it has done.
type Waypoint uint64

// Atomic calls do in an atomic region: if the process ends meanwhile, or the
// program fails, it goes on from the beginning of the region. A region in a region
// is part of it.
func Atomic(do func()) {
	BeginAtomic()
	do()
	EndAtomic()
}

// BeginAtomic begins an atomic region, and gives the waypoint there. A function
// that returns to its caller outside must have ended all that it began.
func BeginAtomic() Waypoint { return Waypoint(controlBeginAtomic()) }

// EndAtomic ends the innermost region. Of an outermost one all is done then.
func EndAtomic() { controlEndAtomic() }

// Here gives a waypoint without a region.
func Here() Waypoint { return Waypoint(controlWaypoint()) }

// GoBack goes back to a waypoint of this attempt, and does not return: the program
// goes on from there.
func (w Waypoint) GoBack() { controlGoBack(uint64(w)) }

// Repeats is how often this attempt was taken back to the waypoint, by whatever.
func (w Waypoint) Repeats() uint64 { return controlRepeats(uint64(w)) }

// Commit returns when all that the program has done so far is durable. It need not
// be called before it acts outside: that waits by itself.
func Commit() { controlCommit() }

// SetIdempotence says what becomes of requests that are in doubt after a crash:
// on, the worker's settings say it; off, the invocation fails.
func SetIdempotence(on bool) { controlSetIdempotence(on) }

// Idempotence tells what SetIdempotence has said.
func Idempotence() bool { return controlIdempotence() }

// RetryPolicy is when and how often an attempt, or an atomic region, that failed is
// tried again.
type RetryPolicy struct {
	Attempts uint64        // in all, the first included; from 1 to 1000000
	Initial  time.Duration // the pause before the second; from a millisecond to a year
	Max      time.Duration // the longest pause; not below the first, to a year
	Factor   float64       // by how much each pause is longer; from 1 to 1000
	Jitter   float64       // the part of each pause that is left to chance; from 0 to 1
}

// CurrentRetryPolicy is the policy that holds now: the program's own, or that of
// the worker's settings.
func CurrentRetryPolicy() RetryPolicy {
	var r struct {
		attempts, initial, longest uint64
		factor, jitter             float64
	}
	controlGetRetryPolicy(unsafe.Pointer(&r))
	return RetryPolicy{r.attempts, time.Duration(r.initial), time.Duration(r.longest), r.factor, r.jitter}
}

// SetRetryPolicy sets the policy that decides if this attempt fails, until it ends.
func SetRetryPolicy(p RetryPolicy) {
	controlSetRetryPolicy(p.Attempts, uint64(p.Initial), uint64(p.Max), p.Factor, p.Jitter)
}

// EffectKind is what an effect does.
type EffectKind uint32

// The kinds of effects.
const (
	Read  EffectKind = iota // asks something outside
	Write                   // changes something outside
)

// Effect records what a library does to the world, by whatever calls that takes, as
// one call in the worker's history. perform is told how often the effect was begun
// before and not ended: more than 0 times, a crash or a failure came, and it may
// have taken place. What perform gives is the effect's outcome. Name and request,
// and the outcome, have at most 256 KiB.
func Effect(name string, request []byte, kind EffectKind, perform func(times uint64) []byte) []byte {
	times, outcome, done := BeginEffect(name, request, kind)
	if !done {
		outcome = perform(times)
		EndEffect(outcome)
	}
	return outcome
}

// BeginEffect begins an effect: it is to be performed and ended, or it was done
// already and has ended, which only one comes to that EndEffectAndForget has ended.
func BeginEffect(name string, request []byte, kind EffectKind) (times uint64, outcome []byte, done bool) {
	var r struct {
		done  uint64 // its lowest byte
		times uint64 // or the outcome's address and, above, its length
	}
	effectsBegin(name, unsafe.Pointer(unsafe.SliceData(request)), uint32(len(request)), uint32(kind), unsafe.Pointer(&r))
	if r.done&0xff != 0 {
		return 0, []byte(text{uint32(r.times), uint32(r.times >> 32)}.take()), true
	}
	return r.times, nil, false
}

// EndEffect ends the innermost effect.
func EndEffect(outcome []byte) {
	effectsEnd(unsafe.Pointer(unsafe.SliceData(outcome)), uint32(len(outcome)))
}

// EndEffectAndForget does not return: the program is taken back to BeginEffect,
// which gives the outcome, and what it did meanwhile is forgotten. In an ephemeral
// worker, and for the 1001st time in an attempt, it is EndEffect, and returns.
func EndEffectAndForget(outcome []byte) {
	effectsEndAndForget(unsafe.Pointer(unsafe.SliceData(outcome)), uint32(len(outcome)))
}

// Entry is one thing that the worker has recorded of itself.
type Entry struct {
	Index uint64 // its place, from 1
	At    time.Time
	Kind  string // such as HostCall
	JSON  string // its fields; empty if they have more than 32 KiB
}

// History gives entries of the worker's oplog, from one index to another,
// inclusive; 0 stands for the newest. Kinds, if any are named, choose among them.
// next is where to go on reading, 0 if nothing is left.
func History(from, to uint64, kinds ...string) (entries []Entry, next uint64) {
	list, kept := lend(kinds)
	var r struct {
		entries text
		next    uint64
	}
	historyEntries(from, to, unsafe.Pointer(unsafe.SliceData(list)), uint32(len(list)), unsafe.Pointer(&r))
	keep(kept)
	type entry struct {
		index, at  uint64
		kind, json text
	}
	for _, e := range takeList[entry](r.entries) {
		entries = append(entries, Entry{e.index, moment(e.at), e.kind.take(), e.json.take()})
	}
	return entries, r.next
}
