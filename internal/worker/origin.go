package worker

import (
	"context"
	"sync"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// maxOrigins is for how many programs it is kept what they are after their
// initialization.
const maxOrigins = 64

// origins are what programs are after their initialization, where that is the
// same for every worker: a worker is given it instead of running it. Which
// of the two happens shows nowhere.
type origins struct {
	limits api.Limits // of initializations

	mu  sync.Mutex
	all map[code]*origin
}

// origin is what a program is after its initialization.
type origin struct {
	size uint64 // of all memories
	// open is what is open: descriptors (wasip1.AppendOpen), or the handles of a
	// component (component.AppendHandles), none of which is of a resource of the host.
	open []byte

	mu    sync.RWMutex // held for writing to close the states
	cores []*wasm.Saved
}

// of gives the origin of a program, or nil. The first who asks finds it out;
// others do without meanwhile.
func (s *origins) of(ctx context.Context, rt *Runtime, c code) *origin {
	s.mu.Lock()
	known, found := s.all[c]
	if !found {
		if s.all == nil {
			s.all = map[code]*origin{}
		}
		for old := range s.all { // any: they are made again where they are missed
			if len(s.all) < maxOrigins {
				break
			}
			s.all[old].close()
			delete(s.all, old)
		}
		s.all[c] = nil
	}
	s.mu.Unlock()
	if found {
		return known
	}
	made := rt.newOrigin(ctx, c, s.limits)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.all[c]; !ok { // it has lost its place
		made.close()
		return nil
	}
	s.all[c] = made
	return made
}

// newOrigin initializes a program for all workers. It gives nil if that cannot
// be, for whatever reason.
func (rt *Runtime) newOrigin(ctx context.Context, c code, limits api.Limits) *origin {
	n, err := rt.initializationOf(ctx, c, limits)
	if err != nil {
		return nil
	}
	defer n.close()
	if len(n.observed) > 0 || n.guest == nil || len(n.guest.unimageable()) > 0 {
		return nil
	}
	s := &origin{}
	if err := s.save(n); err != nil {
		s.close()
		return nil
	}
	return s
}

// save makes s what a program is after its initialization.
func (s *origin) save(n *initialization) (err error) {
	if n.system != nil {
		s.open = n.system.AppendOpen(nil)
	} else if s.open, err = n.guest.component.AppendHandles(nil); err != nil {
		return err
	}
	for _, core := range n.guest.cores() {
		state := core.Module().NewSaved()
		s.cores = append(s.cores, state)
		if err := core.Save(state); err != nil {
			return err
		}
		s.size += state.Size()
	}
	return nil
}

func (s *origin) close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	closeStates(s.cores)
}

// restore makes the memories and globals of an instance in which nothing has run
// those that the program has after its initialization.
func (s *origin) restore(g *guest) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i, core := range g.cores() {
		if err := core.Restore(s.cores[i]); err != nil {
			return err
		}
	}
	return nil
}

// close forgets all.
func (s *origins) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.all {
		one.close()
	}
	s.all = nil
}
