package exchange

import (
	"fmt"
	"strconv"
	"time"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// passing are the failures that may be gone the next time, before a response has
// begun.
var passing = map[Reason]bool{ConnectionRefused: true, ConnectionTerminated: true, ConnectionTimeout: true}

// passingStatus are the responses that say so of themselves (RFC 9110, section
// 15, and RFC 6585, section 4).
var passingStatus = map[uint16]bool{429: true, 502: true, 503: true, 504: true}

// maxKept is how often a request is sent again, beyond what the policy says, because
// a server had given up the connection by which it left. Every client does that (RFC
// 9112, section 9.3.1), or requests would fail at random.
const maxKept = 3

// again decides about the head of a response that has come: if it is of a failure
// that passes, and the request can be sent again, that is recorded, and the
// program is told nothing.
func (e *Exchanges) again(x *Exchange) (bool, error) {
	h, _ := e.replies[x.Call].Head()
	policy := e.Policy()
	attempt := uint64(1)
	if r, repeated := e.Session.Repeated(x.Call); repeated {
		attempt = r.Attempt
	}
	kept := h.Failure != nil && h.Failure.Kept && attempt < policy.Attempts+maxKept
	if attempt >= policy.Attempts && !kept || !x.Request.repeatable() || policy.inDoubt(&x.Request) != durable.Retry || x.Ended == Aborted || x.Request.Streamed && e.Session.Unrecorded {
		return false, nil
	}
	why := fmt.Sprintf("status %d", h.Status)
	switch {
	case h.Failure != nil && passing[h.Failure.Reason]:
		why = h.Failure.Error()
	case h.Failure != nil || !passingStatus[h.Status]:
		return false, nil
	}
	now := e.Sched.Now()
	pause, asked := retryAfter(h, now)
	switch {
	case kept:
		pause = 0
	case asked && pause > policy.MaxPause:
		return false, nil // which the program may wait for
	case !asked:
		pause = policy.pause(attempt)
	}
	if _, err := e.Session.Repeat(x.Call, oplog.At(now), oplog.At(now.Add(pause)), why); err != nil {
		return false, err
	}
	e.drop(x.Call)
	e.paused[x.Call] = true
	return true, nil
}

// pause is what comes behind an attempt, from 1.
func (p Policy) pause(attempt uint64) time.Duration {
	d := p.Pause
	for ; attempt > 1 && d < p.MaxPause; attempt-- {
		d *= 2
	}
	return min(d, p.MaxPause)
}

// retryAfter is how long a response wants to be waited for (RFC 9110, section
// 10.2.3).
func retryAfter(h Head, now time.Time) (time.Duration, bool) {
	text, ok := value(h.Headers, "retry-after")
	if !ok {
		return 0, false
	}
	if n, err := strconv.ParseUint(string(text), 10, 31); err == nil {
		return time.Duration(n) * time.Second, true
	}
	at, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", string(text))
	return max(0, at.Sub(now)), err == nil
}

// pause is how long it takes until the request of x is sent again, if that is
// what it waits for.
func (e *Exchanges) pause(x *Exchange) time.Duration {
	if !e.paused[x.Call] {
		return 0
	}
	r, _ := e.Session.Repeated(x.Call)
	return max(time.Millisecond, r.Until.Time().Sub(e.Sched.Now()))
}
