package live

import (
	"context"
	"sync"

	"github.com/waterbear-run/waterbear/internal/host/socket"
)

// lookup is a name that is being looked up.
type lookup struct {
	cancel context.CancelFunc

	mu     sync.Mutex
	answer socket.Answer
	done   bool
}

// Resolve implements socket.Network. A name that no rule speaks of is not looked
// up: that would tell it to others.
func (s *Sockets) Resolve(ctx context.Context, name string, t socket.Ties) socket.Lookup {
	l := &lookup{cancel: func() {}}
	switch {
	case !t.Policy.Reach.Mentions(name):
		l.answer, l.done = socket.Answer{Code: socket.AccessDenied}, true
	case !s.enter():
		l.answer, l.done = socket.Answer{Code: socket.TemporaryResolver}, true
	default:
		ctx, l.cancel = context.WithCancel(ctx)
		s.sched.Go("socket lookup", func() {
			defer s.leave()
			defer l.cancel()
			found, err := s.resolver.LookupNetIP(ctx, "ip", name)
			l.mu.Lock()
			l.done = true
			if err != nil {
				l.answer.Code = codeOf(err)
			}
			for _, ip := range found[:min(len(found), socket.MaxAddresses)] {
				l.answer.Addresses = append(l.answer.Addresses, ip.Unmap().WithZone(""))
			}
			l.mu.Unlock()
			t.Changed()
		})
	}
	return l
}

// Answer implements socket.Lookup.
func (l *lookup) Answer() (socket.Answer, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answer, l.done
}

// Close implements socket.Lookup.
func (l *lookup) Close() { l.cancel() }
