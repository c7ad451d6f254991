package socket

import (
	"context"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/await"
)

// Resolve begins to look up a name, and returns what names the lookup when its
// intent is durable.
func (s *Sockets) Resolve(id uint64, name string) (call uint64, err error) {
	call, err = durable.Start(s.Session, &resolve, name)
	if err == nil && !s.Session.Replaying() {
		s.lookups[id] = s.Network.Resolve(s.Session.Context(), name, s.ties())
	}
	return call, err
}

// again looks a name up again whose lookup is in doubt.
func (s *Sockets) again(id, call uint64, name string) error {
	if s.lookups[id] != nil {
		return nil
	}
	if err := s.repeat(call, "the name was being looked up when the worker stopped"); err != nil {
		return err
	}
	s.lookups[id] = s.Network.Resolve(s.Session.Context(), name, s.ties())
	return nil
}

// Resolving is the event that a lookup has ended.
func (s *Sockets) Resolving(id, call uint64, name string) await.Event {
	return await.Event{
		Source: await.Lookup, ID: call, Begin: func() error { return s.again(id, call, name) },
		Come: func() bool {
			_, done := s.lookups[id].Answer()
			return done
		},
	}
}

// Resolved takes what a lookup has found, or waits for it.
func (s *Sockets) Resolved(id, call uint64, name string) (Answer, error) {
	a, err := durable.Finish(s.Session, &resolve, call, func(ctx context.Context) (a Answer, err error) {
		if err := s.again(id, call, name); err != nil {
			return a, err
		}
		err = s.Events.Await(ctx, await.Forever, func() (done bool) {
			a, done = s.lookups[id].Answer()
			return done
		})
		return a, err
	})
	s.Close(id)
	return a, err
}
