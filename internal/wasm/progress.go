package wasm

import (
	"sync"
	"time"
)

// estimate tells how far a compilation has come. wazero says nothing until it
// is done, so time tells, measured against how fast the last one was.
type estimate struct {
	report   func(done float64)
	expected float64 // ticks

	mu    sync.Mutex
	timer *time.Timer
	ticks int
	ended bool
}

const (
	progressTick = 100 * time.Millisecond
	// firstSpeed is how many bytes of a module are compiled in a tick before
	// any was measured; between the slowest and the fastest module it varies
	// tenfold.
	firstSpeed = 150 << 10
)

// newEstimate begins to report, from another task, until end is called.
func newEstimate(report func(done float64), size int, speed float64) *estimate {
	p := &estimate{report: report, expected: max(float64(size)/speed, 1)}
	report(0)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = time.AfterFunc(progressTick, p.tick)
	return p
}

func (p *estimate) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	p.ticks++
	p.report(fraction(float64(p.ticks) / p.expected))
	p.timer.Reset(progressTick)
}

// end stops reporting, for good when it returns, and gives the time it took.
func (p *estimate) end() (ticks int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.timer.Stop()
	return p.ticks
}

// fraction turns the part of the expected time that has passed into the part
// of the work done: the same until four fifths, and ever slower after, since
// what takes longer than expected is not done at one.
func fraction(passed float64) float64 {
	const straight = 0.8
	if passed <= straight {
		return passed
	}
	return straight + (1-straight)*(1-straight/passed)
}
