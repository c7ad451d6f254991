package sim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/storagetest"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

var (
	errInterrupted = errors.New("interrupted by a person")
	errDisk        = storagetest.ErrInjected
)

// plan is what goes wrong in one process.
type plan struct {
	machine *machine
	steps   uint64 // so far
	dark    bool   // the power has failed
	judging bool   // no faults now: the state is being looked at
	room    bool   // the disk that was full is no longer

	faulty    bool          // something may go wrong
	down      time.Duration // how long there was no process before
	crash     uint64        // before this step; 0: never
	powerOff  int           // during this change of the disk; -1: never
	kill      int           // before this change of the disk; -1: never
	full      bool          // the disk has no space left
	failures  float64       // of how many calls of the store
	slow      time.Duration // the longest a call takes
	jumps     float64       // at how many steps the wall clock jumps
	interrupt time.Duration // when a person stops all; 0: never
	housekeep time.Duration // the longest time between two bouts; 0: there is none
}

// plan draws what goes wrong in the next process. Each fault is absent more
// often than not, so that it also appears alone.
func (m *machine) plan() *plan {
	p := m.calm()
	if m.script != nil {
		m.script(p)
		return p
	}
	if m.Calm || m.over || m.life > maxFaultyLives {
		return p
	}
	p.faulty = true
	r := m.random
	likely := func(p float64) bool { return r.Float64() < p }
	if likely(0.5) {
		p.down = time.Duration(magnitude(r, 3, 14))
	}
	if likely(0.8) {
		p.crash = 1 + magnitude(r, 1, 3.3)
	}
	if likely(0.3) {
		p.powerOff = int(magnitude(r, 0, 3))
	}
	if likely(0.3) {
		p.kill = int(magnitude(r, 0, 3))
	}
	p.full = likely(0.1)
	if likely(0.3) {
		p.failures = math.Pow(10, -1-2*r.Float64())
	}
	if likely(0.5) {
		p.slow = time.Duration(magnitude(r, 3, 9))
	}
	if likely(0.3) {
		p.jumps = 0.01
	}
	if likely(0.2) {
		p.interrupt = time.Duration(magnitude(r, 3, 10))
	}
	if likely(0.5) {
		p.housekeep = time.Duration(magnitude(r, 6, 10))
	}
	return p
}

// calm is a plan without faults.
func (m *machine) calm() *plan { return &plan{machine: m, powerOff: -1, kill: -1} }

// magnitude draws a number between two powers of ten, each magnitude being as
// likely as the others.
func magnitude(r *rand.Rand, from, to float64) uint64 {
	return uint64(math.Pow(10, from+(to-from)*r.Float64()))
}

func (p *plan) String() string {
	return fmt.Sprintf("after %v, crash before step %d, power off at change %d, killed at change %d, full %t, %.3f of calls fail, calls take up to %v, jumps at %.3f of steps, interrupt after %v, housekeeping every %v",
		p.down, p.crash, p.powerOff, p.kill, p.full, p.failures, p.slow, p.jumps, p.interrupt, p.housekeep)
}

// step is called before each step of the scheduler.
func (p *plan) step(s sched.Step) {
	m := p.machine
	p.steps = s.Number
	if s.Number == p.crash {
		m.sim.Crash()
		return
	}
	if p.jumps > 0 && m.random.Float64() < p.jumps {
		d := time.Duration(magnitude(m.random, 6, 15))
		if m.random.IntN(2) == 0 {
			d = -d
		}
		m.note("wall clock jumps by %v", d)
		m.jumped = true
		if now := m.sim.Now(); now.After(m.latest) {
			m.latest = now
		}
		m.sim.JumpWall(d)
	}
}

// call decides on one call of a store in memory.
func (p *plan) call(name string) storagetest.Fault {
	if p.judging {
		return storagetest.None
	}
	if p.full && !p.room && name == "Append" {
		return storagetest.Before
	}
	if !p.fails() {
		return storagetest.None
	}
	fault := storagetest.Before
	if p.machine.random.IntN(2) == 0 {
		fault = storagetest.After
	}
	p.machine.note("%s fails, fault %d", name, fault)
	return fault
}

// operation decides on one operation of a disk.
func (p *plan) operation(op vfs.Op) error {
	switch {
	case p.judging:
		return nil
	case op.Change == p.powerOff && op.Change >= 0:
		p.machine.note("power fails during operation %d on %s", op.Kind, op.Name)
		p.machine.sim.Crash()
		p.dark = true
		return vfs.ErrPowerOff
	case p.fails():
		p.machine.note("operation %d on %s fails", op.Kind, op.Name)
		return errDisk
	}
	return nil
}

func (p *plan) fails() bool {
	return p.failures > 0 && p.machine.random.Float64() < p.failures
}

// mayFail reports whether a call of the store may fail for no reason of its own.
func (p *plan) mayFail() bool { return p.failures > 0 || p.full }

// relieve gives the full disk room.
func (p *plan) relieve() {
	p.room = true
	p.machine.Backing.relieve()
}

// pause lets time pass, and other tasks run.
func (p *plan) pause() {
	m := p.machine
	if p.slow == 0 {
		m.sim.Yield()
		return
	}
	_ = m.sim.Sleep(context.Background(), time.Duration(m.random.Int64N(int64(p.slow))))
}

// excuses reports whether a process may end with err: because of a fault that
// it was given, and of nothing else.
func (p *plan) excuses(err error) bool {
	switch {
	case errors.Is(err, errBroken):
		return false
	case errors.Is(err, errDisk), isCode(err, api.CodeDamaged):
		return p.mayFail()
	case errors.Is(err, storage.ErrFull), isCode(err, api.CodeDiskFull):
		return p.full
	case errors.Is(err, errInterrupted):
		return p.interrupt > 0
	}
	return false
}

// setClock sets the wall clock right after it has jumped: nothing waits any more
// for a time that is days off.
func (m *machine) setClock() {
	if behind := m.latest.Sub(m.sim.Now()); behind > 0 {
		m.sim.JumpWall(behind + time.Minute)
	}
}
