package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/sched"
)

// trading is the component of a Market's workers, callers.
const trading = "callers"

const (
	traders  = 4 // workers of a Market, and clients of it
	payments = 8 // that each client wants made
)

// Market is a machine whose workers pay each other by calling each other, over
// several of them and also in circles, which are refused. Whatever becomes of the
// processes meanwhile, all that there is at the end is what there was: nothing is
// paid twice or lost on the way.
type Market struct {
	machine
	bounds
	guests  Guests
	clients []*trader
	refused int // payments
	made    int

	node   *node                              // of the present process
	beside func(ctx context.Context, n *node) // as of Platform
}

// trader wants payments made, one after the other, each under a key.
type trader struct {
	random *rand.Rand
	done   int
	worker id.Worker
	call   api.Call // the one that is not known to be done; without a function there is none
}

// NewMarket makes a world in which workers of guests pay each other.
func NewMarket(host Host, guests Guests, o Options) *Market {
	m := &Market{machine: newMachine(host, o), guests: guests}
	r := rand.New(rand.NewPCG(o.Seed, 0xb0d5))
	m.bounds = bounds{
		instances: 1 + r.IntN(3), running: 1 + r.IntN(3), residents: 4 + r.IntN(8), queue: 2 + r.Uint64N(20),
		idleAfter: time.Duration(magnitude(r, 7, 10)), suspendAfter: time.Duration(magnitude(r, 3, 9)),
		imageAfter: []time.Duration{-1, 0, time.Duration(magnitude(r, 4, 7))}[r.IntN(3)], imageSize: 1000,
	}
	for i := range traders {
		m.clients = append(m.clients, &trader{random: rand.New(rand.NewPCG(o.Seed, uint64(i)))})
	}
	return m
}

// Payments is how many were made, and refused because they went in a circle or a
// queue was full.
func (m *Market) Payments() (made, refused int) { return m.made, m.refused }

// Run lets processes come and go until everything is paid.
func (m *Market) Run() error {
	m.buried = func() error { return m.node.bury() }
	return m.run(m.process)
}

// process is a node from its start to its end.
func (m *Market) process(p *plan) (done bool, err error) {
	ctx := context.Background()
	m.node = &node{}
	_ = m.sim.Sleep(ctx, p.down)
	if !p.faulty {
		m.setClock()
	}
	opened, err := m.Backing.open(ctx)
	if err != nil {
		return false, fmt.Errorf("open the store: %w", err)
	}
	n := m.node
	if err = n.open(&m.machine, newDisk(opened, p), m.guests, m.bounds, m.entropy); err == nil {
		done, err = m.serve(p, n)
	}
	return done, errors.Join(err, n.closeNow(), opened.Close())
}

// serve lets the clients use the node until they are done, or for a while.
func (m *Market) serve(p *plan, n *node) (done bool, err error) {
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	s := service(n.workers)
	end := m.sim.Go("signal", func() {
		limit := soonEnough * 6
		if p.faulty {
			limit = time.Duration(magnitude(m.random, 6, 10.5))
		}
		_ = m.sim.Sleep(ctx, limit)
		stop(errInterrupted)
	})
	var tasks []sched.Task
	for _, c := range m.clients {
		tasks = append(tasks, m.sim.Go("client", func() { m.trade(ctx, c, s) }))
	}
	if p.full {
		tasks = append(tasks, m.sim.Go("room", func() {
			if m.sim.Sleep(ctx, time.Duration(magnitude(m.random, 6, 10))) == nil {
				p.relieve()
			}
		}))
	}
	if m.beside != nil {
		tasks = append(tasks, m.sim.Go("beside", func() { m.beside(ctx, n) }))
	}
	people := m.sim.Go("people", func() {
		for m.sim.Sleep(ctx, 10*time.Second) == nil {
			for i := range traders {
				_ = s.Retry(ctx, traderNamed(i)) // which only one that has failed does
			}
		}
	})
	for _, t := range tasks {
		t.Wait()
	}
	late := ctx.Err() != nil
	stop(nil)
	people.Wait()
	end.Wait()
	switch {
	case m.broke != nil:
		return false, nil // it is known what is wrong
	case late && !p.faulty:
		return false, m.broken("nothing went wrong for %v, and not everything is paid: %s", soonEnough*6, m.standstill(n))
	case late || p.faulty:
		return false, nil
	}
	return true, m.count(s)
}

// standstill says what all do.
func (m *Market) standstill(n *node) string {
	var all []string
	for i := range traders {
		v, err := n.workers.Worker(context.Background(), traderNamed(i))
		all = append(all, fmt.Sprintf("%s is %s, %s, queue %d, %v", traderNamed(i), v.Status, v.Reason, v.Queue, err))
		for _, p := range v.Pending {
			all = append(all, fmt.Sprintf("%s of %+v, %s, %s%s", p.Key, p.Caller, p.State, p.Function, p.Args))
		}
	}
	return strings.Join(all, "\n")
}

// trade lets payments be made until all are, or ctx is done.
func (m *Market) trade(ctx context.Context, c *trader, s service) {
	for c.done < payments && ctx.Err() == nil && m.broke == nil {
		if c.call.Function == "" {
			c.draw()
		}
		v, err := s.Invoke(ctx, c.worker, c.call)
		switch {
		case err != nil:
			_ = m.sim.Sleep(ctx, time.Second) // and send the same again
			continue
		case v.State != api.StateFinished:
			_ = m.broken("%s%s ended as %s: %+v", c.worker, c.call.Args, v.State, v.Failure)
			return
		}
		m.note("%s%s: %s", c.worker, c.call.Args, v.Result)
		switch text := string(v.Result); {
		case strings.HasPrefix(text, `[{"ok":`):
			m.made++
		case strings.Contains(text, "Failure::Canceled"), // a circle, too: the call was taken back, and a crash came before that was told
			strings.Contains(text, "Failure::Cycle"), strings.Contains(text, "Failure::QueueFull"), strings.Contains(text, "Failure::Stopped"):
			m.refused++
		default:
			_ = m.broken("%s%s was told %s", c.worker, c.call.Args, text)
		}
		c.done++
		c.call = api.Call{}
	}
}

func traderNamed(i int) id.Worker { return id.Worker{Component: trading, Name: fmt.Sprint("w", i)} }

// draw chooses the next payment. Paths may come back to where they were.
func (c *trader) draw() {
	c.worker = traderNamed(c.random.IntN(traders))
	path := []string{}
	for range 1 + c.random.IntN(3) {
		path = append(path, traderNamed(c.random.IntN(traders)).String())
	}
	args, _ := json.Marshal([]any{path, 1 + c.random.IntN(1000)})
	c.call = api.Call{Function: "pay", Args: args, Key: fmt.Sprintf("k%d-%d", c.random.Uint64(), c.done)}
}

// count adds up what all have, which is nothing.
func (m *Market) count(s service) error {
	sum := int64(0)
	for i := range traders {
		v, err := s.Invoke(context.Background(), traderNamed(i), api.Call{Function: "add", Args: json.RawMessage("[0]")})
		var has [1]int64
		if err == nil {
			err = json.Unmarshal(v.Result, &has)
		}
		if err != nil {
			return m.broken("%s does not say what it has: %w (%s)", traderNamed(i), err, v.Result)
		}
		sum += has[0]
	}
	if sum != 0 {
		return m.broken("together they have %d, and there is nothing to be had", sum)
	}
	return nil
}
