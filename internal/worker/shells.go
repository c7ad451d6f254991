package worker

import (
	"slices"
	"sync"

	"github.com/waterbear-run/waterbear/internal/catalog"
)

// What is kept of instances that nobody uses. Each holds some addresses, at most a
// few pages of memory for its guest, and what the engine has of it.
const (
	// maxShells bounds their number, maxShellBytes what the engine has of all.
	maxShells     = 64
	maxShellBytes = 64 << 20
)

// shells are instances without a worker, at rest: to renew one costs a fraction of
// making one.
type shells struct {
	mu     sync.Mutex
	all    []shell // the one put last at the end
	bytes  uint64  // of all
	closed bool
}

// shell is an instance with the program that it keeps in memory.
type shell struct {
	guest   *guest
	program *catalog.Program
	bytes   uint64
}

func newShell(g *guest, p *catalog.Program) shell {
	s := shell{guest: g, program: p}
	for _, core := range p.Cores() {
		s.bytes += core.InstanceBytes()
	}
	return s
}

// take gives an instance of a program, or nil if there is none. It is to be
// renewed.
func (s *shells) take(p *catalog.Program) *guest {
	s.mu.Lock()
	taken, ok := s.find(p)
	s.mu.Unlock()
	if !ok {
		return nil
	}
	_ = taken.program.Release() // p is of the same code
	return taken.guest
}

// find takes the newest shell of a program's code out. It is called with s.mu held.
func (s *shells) find(p *catalog.Program) (shell, bool) {
	for i := len(s.all) - 1; i >= 0; i-- {
		if found := s.all[i]; found.program.Module() == p.Module() && found.program.Component() == p.Component() {
			s.all = append(s.all[:i], s.all[i+1:]...)
			s.bytes -= found.bytes
			return found, true
		}
	}
	return shell{}, false
}

// put keeps an instance at rest with the use of its program.
func (s *shells) put(given shell) {
	s.mu.Lock()
	var over []shell
	if s.closed {
		over = []shell{given}
	} else {
		s.all = append(s.all, given)
		s.bytes += given.bytes
		n := 0
		for ; len(s.all)-n > maxShells || s.bytes > maxShellBytes; n++ {
			s.bytes -= s.all[n].bytes
		}
		over = slices.Clone(s.all[:n])
		s.all = slices.Delete(s.all, 0, n)
	}
	s.mu.Unlock()
	for _, o := range over {
		o.close()
	}
}

// any reports whether there is an instance of a kind.
func (s *shells) any(kind func(shell) bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.all, kind)
}

// empty closes all instances but those of a kind. It reports whether there were any.
func (s *shells) empty(but func(shell) bool) bool {
	s.mu.Lock()
	all := s.all
	s.all, s.bytes = nil, 0
	var out []shell
	for _, one := range all {
		if but(one) {
			s.all = append(s.all, one)
			s.bytes += one.bytes
		} else {
			out = append(out, one)
		}
	}
	s.mu.Unlock()
	for _, one := range out {
		one.close()
	}
	return len(out) > 0
}

// close closes all instances, and those that are put from now on.
func (s *shells) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.empty(func(shell) bool { return false })
}

func (s shell) close() {
	_ = s.guest.close() // refused only during a call
	_ = s.program.Release()
}
