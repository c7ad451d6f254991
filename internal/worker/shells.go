package worker

import (
	"sync"

	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// maxShells is how many instances are kept that nobody uses. Each holds some
// addresses and next to no memory.
const maxShells = 64

// shells are instances without a worker, as good as new: to recycle one costs a
// fraction of making one.
type shells struct {
	mu     sync.Mutex
	all    []shell // the one put last at the end
	closed bool
}

// shell is an instance with the program that it keeps in memory.
type shell struct {
	instance *wasm.Instance
	program  *catalog.Program
}

// take gives an instance of a program as Instantiate would make it with c, or
// nil if there is none that could be one.
func (s *shells) take(p *catalog.Program, c wasm.InstanceConfig) *wasm.Instance {
	taken, ok := s.find(p.Module())
	if !ok {
		return nil
	}
	err := taken.instance.Recycle(c)
	_ = taken.program.Release() // p is of the same module
	if err != nil {
		_ = taken.instance.Close()
		return nil
	}
	return taken.instance
}

// find takes the newest shell of a module out.
func (s *shells) find(m *wasm.Module) (shell, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.all) - 1; i >= 0; i-- {
		if found := s.all[i]; found.program.Module() == m {
			s.all = append(s.all[:i], s.all[i+1:]...)
			return found, true
		}
	}
	return shell{}, false
}

// put keeps a recycled instance with the use of its program.
func (s *shells) put(given shell) {
	s.mu.Lock()
	var over []shell
	if s.closed {
		over = []shell{given}
	} else if s.all = append(s.all, given); len(s.all) > maxShells {
		over = []shell{s.all[0]}
		s.all = append(s.all[:0], s.all[1:]...)
	}
	s.mu.Unlock()
	for _, o := range over {
		o.close()
	}
}

// empty closes all instances. It reports whether there were any.
func (s *shells) empty() bool {
	s.mu.Lock()
	all := s.all
	s.all = nil
	s.mu.Unlock()
	for _, one := range all {
		one.close()
	}
	return len(all) > 0
}

// close closes all instances, and those that are put from now on.
func (s *shells) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.empty()
}

func (s shell) close() {
	_ = s.instance.Close() // refused only during a call
	_ = s.program.Release()
}
