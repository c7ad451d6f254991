package socket

import (
	"context"
	"net/netip"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/reach"
)

// Network is where sockets are live. Its methods never wait, nor do those of what
// they give.
type Network interface {
	// Connect begins a connection, on tasks of its own.
	Connect(ctx context.Context, d Dial, t Ties) Connection
	// Reserve takes a local address for a TCP socket that does not listen yet.
	// With port 0 it chooses one.
	Reserve(local netip.AddrPort, p Policy) (Reservation, Code)
	// Listen listens at an address, which r, if it is not nil, has reserved. With
	// again it is one that the worker has listened at before: if it is not free,
	// the listener tries for a while before it fails.
	Listen(l Listen, r Reservation, t Ties) (Listener, Code)
	// Datagrams makes a UDP socket at a local address, again as for Listen.
	Datagrams(local netip.AddrPort, again bool, t Ties) (Datagrams, Code)
	// Resolve looks up the addresses of a name.
	Resolve(ctx context.Context, name string, t Ties) Lookup
}

// Policy is what a worker's sockets may do. It counts when something is done and
// is never asked for at replay.
type Policy struct {
	Reach  reach.Rules // where connections and datagrams may go
	Listen reach.Rules // at which local addresses they may come in
}

// Ties are what binds a live socket to its worker.
type Ties struct {
	Policy Policy
	// Changed is called each time that there may be more to see.
	Changed func()
	// Commit returns when all that the worker has recorded so far is durable:
	// nothing that was queued leaves before.
	Commit func(context.Context) error
}

// Dial is a connection to make.
type Dial struct {
	Local  netip.AddrPort // not valid: any
	Remote netip.AddrPort
	Names  []string // that the program has looked up and found Remote's address by
	Keep   KeepAlive
	// Reserved, if it is not nil, has Local.
	Reserved Reservation
}

// Listen is a place to listen at.
type Listen struct {
	Local   netip.AddrPort
	Backlog int
	Keep    KeepAlive
	Again   bool
}

// KeepAlive says whether a connection that is still is probed.
type KeepAlive struct {
	Enabled        bool
	Idle, Interval time.Duration
	Count          int
}

// Reservation is a local address that is kept from others.
type Reservation interface {
	Local() netip.AddrPort
	Close()
}

// Connection is a TCP connection, or one that is being made.
type Connection interface {
	// Outcome tells how it was made, and false as long as it is not.
	Outcome() (Outcome, bool)
	// Ready reports whether Read would give something.
	Ready() bool
	// Read gives up to limit bytes, and false as long as neither bytes nor the
	// end are there.
	Read(limit int) (Piece, bool)
	// Room is how many bytes can be queued, or how the connection has failed.
	Room() (int, Code)
	// Write queues p, for which there is room. If the connection is gone it is
	// lost.
	Write(p []byte)
	// Shutdown ends one direction or both: sending behind what is queued.
	Shutdown(receive, send bool)
	// Keep sets whether it is probed.
	Keep(k KeepAlive)
	// Close ends it, behind what is queued.
	Close()
}

// Listener is a place where connections come in.
type Listener interface {
	// Ready reports whether Accept would give something.
	Ready() bool
	// Accept gives a connection, or false as long as there is none. Without one
	// the code of what it gives says what is wrong.
	Accept() (Connection, Outcome, bool)
	// Keep sets whether connections that come in from now on are probed.
	Keep(k KeepAlive)
	Close()
}

// Datagrams is a UDP socket.
type Datagrams interface {
	Local() netip.AddrPort
	// Ready reports whether Receive would give something that from permits.
	Ready(from netip.AddrPort) bool
	// Receive gives up to most datagrams, of from alone if that is valid. Others
	// are lost.
	Receive(from netip.AddrPort, most int) ([]Datagram, Code)
	// May says whether a datagram may be sent to an address.
	May(to netip.AddrPort, names []string) Code
	// Source is the local address from which datagrams to an address would leave.
	Source(to netip.AddrPort, names []string) (netip.AddrPort, Code)
	// Send queues datagrams. Those that there is no room for are lost.
	Send(list []Datagram)
	Close()
}

// Lookup is a name that is being looked up.
type Lookup interface {
	// Answer gives what was found, and false as long as nothing is.
	Answer() (Answer, bool)
	Close()
}

// Outcome is how a connection was made.
type Outcome struct {
	Code          Code
	Local, Remote netip.AddrPort
}

// Piece is a part of what comes in on a connection. Neither bytes nor an end:
// nothing is there yet.
type Piece struct {
	Bytes []byte
	End   bool // nothing follows
	Code  Code // how it broke off, at its end
}

// Datagram is one that was received from a remote address, or is sent to one.
type Datagram struct {
	Remote netip.AddrPort
	Bytes  []byte
}

// Answer is what a lookup has found.
type Answer struct {
	Code      Code
	Addresses []netip.Addr
}
