package waterbear

import (
	"fmt"
	"math"
	"time"
	"unsafe"
)

// Promise is the name of a value that is not there yet, COMPONENT/WORKER/PROMISE.
// Whoever knows it can settle the promise, once. It lasts until it is withdrawn.
type Promise string

// Refusal is why something is not done with a promise. It is an error.
type Refusal uint8

// The refusals.
const (
	Unsupported Refusal = iota // the worker can have none: it is ephemeral, or runs without a server
	Unknown                    // there is no such promise, or it is of another worker that alone can do this
	Settled                    // somebody else has settled it, or with something else
	TooMany                    // the worker has too many
	TooLarge                   // the label, the value or the message is too long
	Invalid                    // this cannot be a name
)

// Error implements error.
func (r Refusal) Error() string {
	texts := [...]string{
		"this worker can have no promises: it is ephemeral, or runs without a server",
		"there is no such promise of this worker",
		"the promise is settled already",
		"the worker has too many promises",
		"the label, value or message of a promise is too long",
		"this cannot be the name of a promise",
	}
	if int(r) < len(texts) {
		return texts[r]
	}
	return fmt.Sprintf("refusal %d", uint8(r))
}

// Failed is how a promise has failed.
type Failed struct {
	Promise Promise
	Message string
}

// Error implements error.
func (f *Failed) Error() string { return f.Message }

// NewPromise makes a promise with a name that nobody can guess. The label, of at
// most 256 bytes, says to people what it is for.
func NewPromise(label string) (Promise, error) {
	var r textResult
	promisesCreate(label, unsafe.Pointer(&r))
	name, err := r.take()
	return Promise(name), err
}

// WebhookURL gives a URL by which anybody can complete the promise, once, with the
// body of a POST.
func (p Promise) WebhookURL() (string, error) {
	var r textResult
	promisesWebhookURL(string(p), unsafe.Pointer(&r))
	return r.take()
}

// Wait waits for the promise, for years if need be, and gives its value. The error
// is a *Failed if the promise has failed, or a Refusal.
func (p Promise) Wait() ([]byte, error) {
	var r struct {
		refused uint32
		outcome outcome
	}
	promisesWait(string(p), unsafe.Pointer(&r))
	if r.refused&0xff != 0 {
		return nil, Refusal(r.outcome.failed)
	}
	return r.outcome.take(p)
}

// Forever is a timeout that is never over.
const Forever time.Duration = math.MaxInt64

// WaitAny waits for the first of some promises, at most 1024, and at most for a
// timeout. It gives its place in the list, or -1 when the time is over.
func WaitAny(timeout time.Duration, promises ...Promise) (int, error) {
	list, kept := lend(promises)
	var r struct {
		refused uint32
		some    uint32 // or the refusal
		place   uint32
	}
	promisesWaitAny(unsafe.Pointer(unsafe.SliceData(list)), uint32(len(list)), timeout != Forever, uint64(max(timeout, 0)), unsafe.Pointer(&r))
	keep(kept)
	switch {
	case r.refused&0xff != 0:
		return -1, Refusal(r.some)
	case r.some&0xff == 0:
		return -1, nil
	}
	return int(r.place), nil
}

// Poll tells what has become of the promise, if it is settled yet. The error is as
// that of Wait.
func (p Promise) Poll() (value []byte, settled bool, err error) {
	var r struct {
		refused uint32
		some    uint32 // or the refusal
		outcome outcome
	}
	promisesPoll(string(p), unsafe.Pointer(&r))
	switch {
	case r.refused&0xff != 0:
		return nil, false, Refusal(r.some)
	case r.some&0xff == 0:
		return nil, false, nil
	}
	value, err = r.outcome.take(p)
	return value, true, err
}

// Withdraw makes that nobody can settle the promise any more.
func (p Promise) Withdraw() error {
	var r [2]uint8
	promisesWithdraw(string(p), unsafe.Pointer(&r))
	return refusal(r)
}

// Complete completes a promise of any worker, with at most 256 KiB.
func (p Promise) Complete(value []byte) error {
	var r [2]uint8
	promisesComplete(string(p), unsafe.Pointer(unsafe.SliceData(value)), uint32(len(value)), unsafe.Pointer(&r))
	return refusal(r)
}

// Fail lets a promise of any worker fail.
func (p Promise) Fail(message string) error {
	var r [2]uint8
	promisesFail(string(p), message, unsafe.Pointer(&r))
	return refusal(r)
}

func refusal(r [2]uint8) error {
	if r[0] != 0 {
		return Refusal(r[1])
	}
	return nil
}

// textResult is result<string, refusal>.
type textResult struct {
	refused uint32
	text    text // or the refusal
}

func (r textResult) take() (string, error) {
	if r.refused&0xff != 0 {
		return "", Refusal(r.text.begin)
	}
	return r.text.take(), nil
}

// outcome is what has become of a promise.
type outcome struct {
	failed uint32
	text   text // the message or the value
}

func (o outcome) take(p Promise) ([]byte, error) {
	if o.failed&0xff != 0 {
		return nil, &Failed{p, o.text.take()}
	}
	return []byte(o.text.take()), nil
}
