// Package socket is the TCP and UDP sockets of programs and their lookups of
// names, recorded: what a program observes of them is in the oplog as it has seen
// it, and nothing that it sends leaves before what led to it is durable. It hides
// which of what it gives comes from there, and what becomes of a socket that is
// live no more, after a crash or because the worker had left memory: a connection
// was reset, a listener listens again at the same address, a socket for datagrams
// is bound again, a connection or a lookup under way is begun again.
//
// A send costs the program no wait. It is an entry, and the bytes are queued; they
// leave once it is durable, all that were queued meanwhile by one commit.
package socket

import (
	"bytes"
	"context"
	"net/netip"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/await"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
)

// Bounds of one socket.
const (
	// Queue is how many bytes wait to leave on a connection.
	Queue = 128 << 10
	// MaxPiece bounds what one read gives, in bytes.
	MaxPiece = 64 << 10
	// MaxDatagram is the longest datagram.
	MaxDatagram = 65507
	// MaxDatagrams is how many one call moves at most.
	MaxDatagrams = 64
	// MaxAddresses is how many addresses of a name are kept.
	MaxAddresses = 64
	// MaxBacklog bounds connections that wait to be accepted.
	MaxBacklog = 4096
)

// Config is what an instance's sockets are made of.
type Config struct {
	Session *durable.Session
	Sched   sched.Scheduler
	Events  *await.Waiter // where the program waits
	Network Network
	Policy  func() Policy
}

// Sockets are those of one instance, each by a number that its owner gives it.
// They are for one task at a time.
type Sockets struct {
	Config
	reserved    map[uint64]Reservation
	connections map[uint64]Connection
	listeners   map[uint64]Listener
	datagrams   map[uint64]Datagrams
	lookups     map[uint64]Lookup
	accepted    Connection // until its owner has a number for it
}

// New makes the sockets of an instance, none of which is live.
func New(c Config) *Sockets {
	return &Sockets{
		Config: c, reserved: map[uint64]Reservation{}, connections: map[uint64]Connection{},
		listeners: map[uint64]Listener{}, datagrams: map[uint64]Datagrams{}, lookups: map[uint64]Lookup{},
	}
}

// UnderWay reports whether anything is that is lost when the worker leaves
// memory.
func (s *Sockets) UnderWay() bool {
	return len(s.connections) > 0 || len(s.listeners) > 0 || len(s.datagrams) > 0 || len(s.lookups) > 0
}

// CloseAll ends all that is live.
func (s *Sockets) CloseAll() {
	closeAll(s.reserved)
	closeAll(s.connections)
	closeAll(s.listeners)
	closeAll(s.datagrams)
	closeAll(s.lookups)
	s.drop()
}

func closeAll[T interface{ Close() }](all map[uint64]T) {
	for id := range all {
		closeOne(all, id)
	}
}

func closeOne[T interface{ Close() }](all map[uint64]T, id uint64) {
	if one, is := all[id]; is {
		delete(all, id)
		one.Close()
	}
}

// drop ends a connection that nobody has taken.
func (s *Sockets) drop() {
	if s.accepted != nil {
		s.accepted.Close()
		s.accepted = nil
	}
}

// Close ends what is live of a socket, behind what it has to send.
func (s *Sockets) Close(id uint64) {
	closeOne(s.reserved, id)
	closeOne(s.connections, id)
	closeOne(s.listeners, id)
	closeOne(s.datagrams, id)
	closeOne(s.lookups, id)
}

func (s *Sockets) ties() Ties {
	return Ties{Policy: s.Policy(), Changed: s.Events.Wake, Commit: s.commit}
}

// commit is called by the tasks of live sockets.
func (s *Sockets) commit(ctx context.Context) error {
	if s.Session.Writer == nil {
		return durable.ErrEndOfLog
	}
	return s.Session.Writer.Commit(ctx)
}

// repeat records that something in doubt is begun again.
func (s *Sockets) repeat(call uint64, why string) error {
	now := oplog.At(s.Sched.Now())
	_, err := s.Session.Repeat(call, now, now, why)
	return err
}

// Bind takes a local address for a TCP socket, and gives the one it has then.
func (s *Sockets) Bind(id uint64, local netip.AddrPort) (Outcome, error) {
	return durable.Run(s.Session, &bind, binding{local: local}, func(context.Context, binding) (Outcome, error) {
		r, code := s.Network.Reserve(local, s.Policy())
		if code != OK {
			return Outcome{Code: code}, nil
		}
		s.reserved[id] = r
		return Outcome{Local: r.Local()}, nil
	})
}

// Connect begins a connection, and returns what names it when its intent is
// durable.
func (s *Sockets) Connect(id uint64, d Dial) (call uint64, err error) {
	call, err = durable.Start(s.Session, &connect, binding{d.Local, d.Remote})
	if err == nil && !s.Session.Replaying() {
		s.dial(id, d)
	}
	return call, err
}

func (s *Sockets) dial(id uint64, d Dial) {
	if d.Reserved = s.reserved[id]; d.Reserved != nil {
		delete(s.reserved, id)
	}
	s.connections[id] = s.Network.Connect(s.Session.Context(), d, s.ties())
}

// redial begins a connection again that is in doubt: making one has no effect of
// its own.
func (s *Sockets) redial(id, call uint64, d Dial) error {
	if s.connections[id] != nil {
		return nil
	}
	if err := s.repeat(call, "the connection was being made when the worker stopped"); err != nil {
		return err
	}
	s.dial(id, d)
	return nil
}

// Connecting is the event that a connection is made, or cannot be.
func (s *Sockets) Connecting(id, call uint64, d Dial) await.Event {
	return await.Event{
		Source: await.Connection, ID: call, Begin: func() error { return s.redial(id, call, d) },
		Come: func() bool {
			_, done := s.connections[id].Outcome()
			return done
		},
	}
}

// Connected takes the outcome of a connection, or waits for it.
func (s *Sockets) Connected(id, call uint64, d Dial) (Outcome, error) {
	o, err := durable.Finish(s.Session, &connect, call, func(ctx context.Context) (o Outcome, err error) {
		if err := s.redial(id, call, d); err != nil {
			return o, err
		}
		err = s.Events.Await(ctx, await.Forever, func() (done bool) {
			o, done = s.connections[id].Outcome()
			return done
		})
		return o, err
	})
	if err == nil && o.Code != OK {
		s.Close(id)
	}
	return o, err
}

// Listen listens at the address that the socket was bound to.
func (s *Sockets) Listen(id uint64, l Listen) (Code, error) {
	return durable.Run(s.Session, &listen, listening{l.Local, l.Backlog}, func(context.Context, listening) (Code, error) {
		r := s.reserved[id]
		delete(s.reserved, id)
		l.Again = r == nil // the worker was bound to it in another life
		live, code := s.Network.Listen(l, r, s.ties())
		if code == OK {
			s.listeners[id] = live
		}
		return code, nil
	})
}

// relisten lets a listener come back that is live no more.
func (s *Sockets) relisten(id uint64, l Listen) Code {
	if s.listeners[id] != nil {
		return OK
	}
	l.Again = true
	live, code := s.Network.Listen(l, nil, s.ties())
	if code == OK {
		s.listeners[id] = live
	}
	return code
}

// Accepting is the event that a connection comes in.
func (s *Sockets) Accepting(id uint64, l Listen) await.Event {
	return await.Event{Source: await.Listener, ID: id, Come: func() bool { return s.listeners[id] == nil || s.listeners[id].Ready() }, Begin: func() error {
		s.relisten(id, l)
		return nil
	}}
}

// Accept takes a connection that has come in, which Keep gives a number; the
// outcome's code is WouldBlock while there is none.
func (s *Sockets) Accept(id uint64, l Listen) (Outcome, error) {
	s.drop()
	return durable.Run(s.Session, &accept, id, func(context.Context, uint64) (Outcome, error) {
		if code := s.relisten(id, l); code != OK {
			return Outcome{Code: code}, nil
		}
		c, o, there := s.listeners[id].Accept()
		if !there {
			return Outcome{Code: WouldBlock}, nil
		}
		if s.accepted = c; c == nil {
			closeOne(s.listeners, id) // so that the next time it tries again
		}
		return o, nil
	})
}

// Keep gives the connection that Accept took its number.
func (s *Sockets) Keep(id uint64) {
	if s.accepted != nil {
		s.connections[id], s.accepted = s.accepted, nil
	}
}

// Incoming is the event that something comes in on a connection behind the bytes
// that were read.
func (s *Sockets) Incoming(id, offset uint64) await.Event {
	return await.Event{Source: await.Incoming, ID: id, Past: offset, Come: func() bool {
		c := s.connections[id]
		return c == nil || c.Ready()
	}}
}

// Receive takes up to limit bytes that have come in on a connection, behind the
// bytes that were read. If none are there it gives none, or waits for some if it
// is to block.
func (s *Sockets) Receive(id, offset uint64, limit int, block bool) (Piece, error) {
	req := reading{id, offset, uint64(min(limit, MaxPiece)), block}
	p, err := durable.Run(s.Session, &receive, req, func(ctx context.Context, req reading) (p Piece, err error) {
		c := s.connections[id]
		if c == nil {
			return Piece{End: true, Code: ConnectionReset}, nil
		}
		if block {
			err = s.Events.Await(ctx, await.Forever, c.Ready)
		}
		if err == nil {
			p, _ = c.Read(int(req.limit))
		}
		return p, err
	})
	p.Bytes = bytes.Clone(p.Bytes) // what was decoded is soon no more
	return p, err
}

// Outgoing is the event that there is room on a connection.
func (s *Sockets) Outgoing(id, offset uint64) await.Event {
	return await.Event{Source: await.Outgoing, ID: id, Past: offset, Come: func() bool {
		c := s.connections[id]
		if c == nil {
			return true
		}
		n, code := c.Room()
		return n > 0 || code != OK
	}}
}

// Room is how many bytes can be sent on a connection now, of which so many were.
func (s *Sockets) Room(id, offset uint64) (Room, error) {
	return durable.Run(s.Session, &room, place{id, offset}, func(context.Context, place) (Room, error) {
		c := s.connections[id]
		if c == nil {
			return Room{Code: ConnectionReset}, nil
		}
		n, code := c.Room()
		return Room{uint64(n), code}, nil
	})
}

// Send sends p behind what was sent on a connection. There must be room for it.
// What it gives is how the connection had failed before.
func (s *Sockets) Send(id, offset uint64, p []byte) (Code, error) {
	var live Connection
	code, err := durable.Run(s.Session, &send, newSending(id, offset, p), func(context.Context, sending) (code Code, err error) {
		c := s.connections[id]
		if c == nil {
			return ConnectionReset, nil
		}
		if _, code = c.Room(); code == OK {
			live = c
		}
		return code, nil
	})
	if err == nil && live != nil {
		live.Write(p) // now that it is recorded
	}
	return code, err
}

// Shutdown ends one direction of a connection, or both.
func (s *Sockets) Shutdown(id uint64, receive, send bool) {
	if c := s.connections[id]; c != nil {
		c.Shutdown(receive, send)
	}
}

// SetKeepAlive says whether a connection is probed, or those are that come in at
// a listener.
func (s *Sockets) SetKeepAlive(id uint64, k KeepAlive) {
	if c := s.connections[id]; c != nil {
		c.Keep(k)
	}
	if l := s.listeners[id]; l != nil {
		l.Keep(k)
	}
}
