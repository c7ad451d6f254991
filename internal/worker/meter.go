package worker

import (
	"fmt"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// LimitError ends an attempt that has exceeded a limit of its worker. A person
// can raise it; trying again would only exceed it again.
type LimitError struct {
	Limit string // as api.Limits names it
	Most  string
}

// Error names the limit and what to do.
func (e *LimitError) Error() string {
	return fmt.Sprintf("limit exceeded: %s, at most %s; raise it in the settings of the component, or let the program do less at once", e.Limit, e.Most)
}

// rateWindow is the time over which rates are averages.
const rateWindow = 10 * time.Second

// yieldsBetweenLooks is how often a guest yields before the clock is read: a
// yield takes microseconds of computing at least.
const yieldsBetweenLooks = 64

// meter measures what a worker uses, one attempt at a time. Rates go on from
// one instance to the next.
type meter struct {
	sched  sched.Scheduler
	limits api.Limits

	enforced bool

	since  time.Duration // when it began to compute
	spent  time.Duration // computing before that
	yields int
	output bucket
	calls  bucket
}

func newMeter(s sched.Scheduler, l api.Limits) *meter {
	m := &meter{sched: s, limits: l}
	m.output = bucket{rate: l.LogRate, at: s.Monotonic()}
	m.calls = bucket{rate: l.OplogRate, at: s.Monotonic()}
	return m
}

// limit changes the limits.
func (m *meter) limit(l api.Limits) {
	m.limits = l
	m.output.rate, m.calls.rate = l.LogRate, l.OplogRate
}

// replay lets no limit hold: what was allowed is allowed again.
func (m *meter) replay() { m.enforced = false }

// enforce lets the limits hold from now on.
func (m *meter) enforce() {
	m.enforced = true
	m.begin()
}

// begin starts an attempt; pause and proceed surround what it waits.
func (m *meter) begin()   { m.since, m.spent, m.yields = m.sched.Monotonic(), 0, 0 }
func (m *meter) pause()   { m.spent += m.sched.Monotonic() - m.since }
func (m *meter) proceed() { m.since = m.sched.Monotonic() }

// used is what the attempt has computed until now.
func (m *meter) used() time.Duration { return m.spent + m.sched.Monotonic() - m.since }

// yield is called by the guest now and then while it computes.
func (m *meter) yield() {
	if m.yields++; m.yields%yieldsBetweenLooks != 0 || !m.enforced || m.limits.CPUTime == 0 {
		return
	}
	if m.used() > time.Duration(m.limits.CPUTime) {
		wasm.Abort(&LimitError{"cpuTime", time.Duration(m.limits.CPUTime).String()})
	}
}

// charge is asked before bytes are recorded.
func (m *meter) charge(output bool, bytes int) error {
	b, name := &m.calls, "oplogRate"
	if output {
		b, name = &m.output, "logRate"
	}
	if b.take(m.sched, uint64(bytes)) {
		return nil
	}
	return &LimitError{name, fmt.Sprintf("%d bytes a second over %v", b.rate, rateWindow)}
}

// pace is how long to wait before bytes can be recorded, if they are to be.
func (m *meter) pace(bytes int) time.Duration {
	if !m.enforced || m.calls.fits(m.sched, uint64(bytes)) {
		return 0
	}
	return pause
}

// pause is how long one waits for a rate to have room.
const pause = 50 * time.Millisecond

// bucket lets a rate be exceeded for a while, as long as the average stays.
type bucket struct {
	rate uint64 // a second; 0: no limit
	used uint64
	at   time.Duration // when used was last lowered
}

func (b *bucket) take(s sched.Scheduler, n uint64) bool {
	if b.rate == 0 {
		return true
	}
	most := b.rate * uint64(rateWindow/time.Second)
	if b.used += n; b.used <= most {
		return true
	}
	b.drain(s)
	return b.used <= most
}

func (b *bucket) drain(s sched.Scheduler) {
	now := s.Monotonic()
	drained := uint64(float64(b.rate) * (now - b.at).Seconds())
	b.at = now
	b.used -= min(b.used, drained)
}

// fits reports whether n more, and a little, would not exceed the rate. What
// never fits is not to be waited for.
func (b *bucket) fits(s sched.Scheduler, n uint64) bool {
	n += 1 << 10
	most := b.rate * uint64(rateWindow/time.Second)
	if b.used+n <= most || n > most {
		return true
	}
	b.drain(s)
	return b.used+n <= most
}
