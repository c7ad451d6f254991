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
	all map[*wasm.Module]*origin
}

// origin is what a program is after its initialization.
type origin struct {
	size uint64 // of the memory
	open []byte // wasip1.AppendOpen

	mu     sync.Mutex
	memory *wasm.Saved
}

// of gives the origin of a program, or nil. The first who asks finds it out;
// others do without meanwhile.
func (s *origins) of(ctx context.Context, rt *Runtime, m *wasm.Module) *origin {
	s.mu.Lock()
	known, found := s.all[m]
	if !found {
		if s.all == nil {
			s.all = map[*wasm.Module]*origin{}
		}
		for old := range s.all { // any: they are made again where they are missed
			if len(s.all) < maxOrigins {
				break
			}
			s.all[old].close()
			delete(s.all, old)
		}
		s.all[m] = nil
	}
	s.mu.Unlock()
	if found {
		return known
	}
	made := rt.newOrigin(ctx, m, s.limits)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.all[m]; !ok { // it has lost its place
		made.close()
		return nil
	}
	s.all[m] = made
	return made
}

// newOrigin initializes a library for all workers. It gives nil if that cannot
// be, for whatever reason.
func (rt *Runtime) newOrigin(ctx context.Context, m *wasm.Module, limits api.Limits) *origin {
	n, err := rt.initializationOf(ctx, m, limits)
	if err != nil {
		return nil
	}
	defer n.close()
	if len(n.observed) > 0 || n.instance == nil || len(n.instance.Unimageable()) > 0 {
		return nil
	}
	s := &origin{open: n.system.AppendOpen(nil), memory: m.NewSaved()}
	if n.instance.Save(s.memory) != nil {
		s.close()
		return nil
	}
	s.size = s.memory.Size()
	return s
}

func (s *origin) close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.memory.Close() // nothing else can be done with it
}

// restore makes a fresh instance what the program is after its initialization.
func (s *origin) restore(in *wasm.Instance) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return in.Restore(s.memory)
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
