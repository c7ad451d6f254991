package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

const (
	// maxFaultyLives is how many processes in a row have faults; those after
	// them have none, so that every world comes to an end.
	maxFaultyLives = 8
	// maxLives is when a world without faults is given up.
	maxLives = maxFaultyLives + 2
)

// Host is what runs the guests of any number of worlds: compiled code does not
// depend on a seed.
type Host struct {
	Engine *wasm.Engine
	Hosts  []*wasm.Host // what core modules may import
}

// Options choose what goes wrong, and where.
type Options struct {
	Seed    uint64
	Calm    bool // nothing goes wrong
	Backing Backing
	Trace   func(string) // if set, hears what happens
}

// machine is where processes come and go: its clocks, its disk, and the bad
// luck it has.
type machine struct {
	Options
	host    Host
	sim     *sched.Simulation
	random  *rand.Rand // decides about faults
	chance  *rand.Rand // the machine's entropy
	life    int
	present *plan       // of the present process
	jumped  bool        // the wall clock has
	latest  time.Time   // that the wall clock has shown before it jumped
	over    bool        // no process has faults any more
	script  func(*plan) // if set, makes plans instead of the seed
	crashes int
	broke   error        // the first property that was found broken
	buried  func() error // if set, frees what a crashed process has left
}

func newMachine(host Host, o Options) machine {
	return machine{
		Options: o, host: host, sim: sched.NewSimulation(o.Seed), random: rand.New(rand.NewPCG(o.Seed, 0xfa017)),
		chance: rand.New(rand.NewPCG(o.Seed, 0xc4a9ce)),
	}
}

// entropy is what the workers of the machine draw their seeds from.
func (m *machine) entropy(p []byte) error {
	for i := range p {
		p[i] = byte(m.chance.Uint32())
	}
	return nil
}

// errBroken is wrapped by every error that says a property does not hold.
var errBroken = errors.New("broken property")

// run lets processes come and go until one of them is done.
func (m *machine) run(process func(*plan) (done bool, err error)) error {
	for m.life = 1; m.life <= maxLives; m.life++ {
		done, err := m.live(m.plan(), process)
		if m.broke != nil {
			err = m.broke
		}
		if err != nil {
			return fmt.Errorf("seed %#x, process %d: %w", m.Seed, m.life, err)
		}
		if done {
			return nil
		}
	}
	return fmt.Errorf("seed %#x: not at an end after %d processes, the last two without faults", m.Seed, maxLives)
}

// TraceHash is over everything that happened.
func (m *machine) TraceHash() uint64 { return m.sim.Trace() }

// Crashes is how many processes did not end by themselves.
func (m *machine) Crashes() int { return m.crashes }

// broken reports that a property does not hold, which ends the world.
func (m *machine) broken(format string, args ...any) error {
	err := fmt.Errorf("%w: %w", errBroken, fmt.Errorf(format, args...))
	if m.broke == nil {
		m.broke = err
	}
	m.note("%v", err)
	return err
}

func (m *machine) note(format string, args ...any) {
	event := fmt.Sprintf(format, args...)
	m.sim.Record(event)
	if m.Trace != nil {
		m.Trace(fmt.Sprintf("%d %v %s", m.life, m.sim.Monotonic(), event))
	}
}

// live is one process. It is done when there is nothing left to do for another.
func (m *machine) live(p *plan, process func(*plan) (bool, error)) (done bool, err error) {
	m.present = p
	m.note("process begins: %v", p)
	m.Backing.begin(p)
	m.sim.OnStep = p.step
	var failed error
	err = m.sim.Run(func() { done, failed = process(p) })
	m.sim.OnStep = nil
	if errors.Is(err, sched.ErrCrashed) {
		m.note("crash after %d steps", p.steps)
		m.crashes++
		m.Backing.crash(m.random, p.dark)
		return false, m.bury()
	}
	m.Backing.end()
	if err != nil {
		return false, err
	}
	if failed != nil {
		m.note("process ends: %v", failed)
		m.crashes++
		if !p.excuses(failed) {
			return false, failed
		}
		return false, nil
	}
	return done, nil
}

// bury frees what belongs to the process that runs the simulation.
func (m *machine) bury() (err error) {
	if m.buried == nil {
		return nil
	}
	crashed := m.sim.Run(func() {
		m.sim.Crash() // nobody else is there to be woken
		err = m.buried()
	})
	if !errors.Is(crashed, sched.ErrCrashed) {
		return errors.Join(crashed, err)
	}
	return err
}

// judge looks at the oplogs without faults: what a failing read shows proves
// nothing. It must not park.
func (m *machine) judge(look func() error) error {
	m.present.judging = true
	defer func() { m.present.judging = false }()
	if err := look(); err != nil {
		return m.broken("%w", err)
	}
	return nil
}

// housekeep lets a store that wants it tidy up now and then. What goes wrong
// meanwhile loses nothing, and so is nobody's concern.
func (m *machine) housekeep(ctx context.Context, p *plan, opened storage.Store) {
	keeper, ok := opened.(storage.Housekeeper)
	if !ok || p.housekeep == 0 {
		return
	}
	for m.sim.Sleep(ctx, time.Duration(m.random.Int64N(int64(p.housekeep)))) == nil {
		more, err := keeper.Housekeep(context.Background())
		m.note("housekeeping, more %t, %v", more, err)
	}
}
