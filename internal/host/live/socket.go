package live

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/reach"
	"github.com/waterbear-run/waterbear/internal/host/socket"
	"github.com/waterbear-run/waterbear/internal/sched"
)

// Bounds of sockets.
const (
	// maxSockets is how many a node has at a time.
	maxSockets = 4096
	// inbox is how much is read of a connection ahead of the program.
	inbox = 64 << 10
	// maxAhead is how many connections are taken at a listener ahead of the
	// program. The others wait in the kernel.
	maxAhead = 16
	// maxWaiting and maxWaitingBytes bound the datagrams that wait for the program,
	// or to leave. More are lost.
	maxWaiting      = 256
	maxWaitingBytes = 512 << 10
)

// Times.
const (
	dialTimeout = 30 * time.Second
	// drainFor is how long what is queued on a connection may still leave once the
	// program has closed it.
	drainFor = 10 * time.Second
	// A listener that comes back tries rebindFor long to get its address, every
	// rebindPause.
	rebindFor   = 10 * time.Second
	rebindPause = 100 * time.Millisecond
)

// Sockets are on the machine's network.
type Sockets struct {
	sched   sched.Scheduler
	changed sched.Condition
	// resolver looks names up.
	resolver *net.Resolver

	mu   sync.Mutex
	open int
}

// NewSockets makes sockets that use the machine's resolver.
func NewSockets(s sched.Scheduler) *Sockets {
	return &Sockets{sched: s, changed: s.NewCondition(), resolver: net.DefaultResolver}
}

// Close waits until no socket is live: who made one closes it.
func (s *Sockets) Close() {
	_ = s.changed.Wait(context.Background(), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.open == 0
	})
}

// enter counts a socket, if there is room for it.
func (s *Sockets) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == maxSockets {
		return false
	}
	s.open++
	return true
}

func (s *Sockets) leave() {
	s.mu.Lock()
	s.open--
	s.mu.Unlock()
	s.changed.Wake()
}

// permits reports whether rules permit an address that the program knows, or has
// found by names.
func permits(r reach.Rules, at netip.AddrPort, names []string) bool {
	if r.Permit(at.Addr().WithZone("").String(), at.Addr(), at.Port()) {
		return true
	}
	for _, name := range names {
		if r.Permit(name, at.Addr(), at.Port()) {
			return true
		}
	}
	return false
}

// mayBind reports whether a socket may have a local address at all. One of the
// machine's choice is harmless as long as nothing comes in there.
func mayBind(p socket.Policy, local netip.AddrPort) bool {
	return permits(p.Listen, local, nil) || local.Port() == 0 && (!p.Reach.None() || !p.Listen.None())
}

// network is "tcp4" or "udp6".
func network(protocol string, ip netip.Addr) string {
	if ip.Is4() {
		return protocol + "4"
	}
	return protocol + "6"
}

// reservation is a socket that is bound and does not listen.
type reservation struct {
	s     *Sockets
	fd    int
	local netip.AddrPort
	once  sync.Once
}

// Reserve implements socket.Network.
func (s *Sockets) Reserve(local netip.AddrPort, p socket.Policy) (socket.Reservation, socket.Code) {
	if !mayBind(p, local) {
		return nil, socket.AccessDenied
	}
	if !s.enter() {
		return nil, socket.NewSocketLimit
	}
	r := &reservation{s: s}
	if err := r.bind(local); err != nil {
		s.leave()
		return nil, codeOf(err)
	}
	return r, socket.OK
}

func (r *reservation) bind(local netip.AddrPort) (err error) {
	family := syscall.AF_INET
	if local.Addr().Is6() {
		family = syscall.AF_INET6
	}
	syscall.ForkLock.RLock() // or a process that is started now would have it, too
	r.fd, err = syscall.Socket(family, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(r.fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return err
	}
	// As every listener of Go's: an address whose connections have just ended is
	// free.
	err = syscall.SetsockoptInt(r.fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil && family == syscall.AF_INET6 {
		err = syscall.SetsockoptInt(r.fd, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 1)
	}
	if err == nil {
		err = syscall.Bind(r.fd, sockaddr(local))
	}
	if err == nil {
		var name syscall.Sockaddr
		name, err = syscall.Getsockname(r.fd)
		r.local = addressOf(name)
	}
	if err != nil {
		_ = syscall.Close(r.fd) // it was never used
	}
	return err
}

func sockaddr(a netip.AddrPort) syscall.Sockaddr {
	if a.Addr().Is4() {
		return &syscall.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &syscall.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16(), ZoneId: zone(a.Addr())}
}

func addressOf(name syscall.Sockaddr) netip.AddrPort {
	switch n := name.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(n.Addr), uint16(n.Port))
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(n.Addr), uint16(n.Port))
	}
	return netip.AddrPort{}
}

// zone is the number of an address's zone: names of interfaces come from nobody.
func zone(ip netip.Addr) (n uint32) {
	for _, c := range ip.Zone() {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + uint32(c-'0')
	}
	return n
}

// Local implements socket.Reservation.
func (r *reservation) Local() netip.AddrPort { return r.local }

// Close implements socket.Reservation.
func (r *reservation) Close() {
	r.once.Do(func() {
		_ = syscall.Close(r.fd) // nothing was ever written to it
		r.s.leave()
	})
}

// listen makes a listener of it. It is one no more.
func (r *reservation) listen(backlog int) (net.Listener, error) {
	defer r.Close()
	if err := syscall.Listen(r.fd, backlog); err != nil {
		return nil, err
	}
	fd, err := syscall.Dup(r.fd)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "listener")
	defer f.Close()
	return net.FileListener(f)
}

// codeOf is how the program sees an error of the network.
func codeOf(err error) socket.Code {
	for _, c := range socketCodes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return socket.NameUnresolvable
	case errors.As(err, &dns) && (dns.IsTemporary || dns.IsTimeout):
		return socket.TemporaryResolver
	case errors.As(err, &dns):
		return socket.PermanentResolver
	case errors.As(err, &timeout) && timeout.Timeout():
		return socket.Timeout
	}
	return socket.Unknown
}

// socketCodes are errors that say all there is to say.
var socketCodes = []struct {
	err  error
	code socket.Code
}{
	{syscall.EACCES, socket.AccessDenied},
	{syscall.EPERM, socket.AccessDenied},
	{syscall.EADDRINUSE, socket.AddressInUse},
	{syscall.EADDRNOTAVAIL, socket.AddressNotBindable},
	{syscall.EAFNOSUPPORT, socket.NotSupported},
	{syscall.ECONNREFUSED, socket.ConnectionRefused},
	{syscall.ECONNRESET, socket.ConnectionReset},
	{syscall.EPIPE, socket.ConnectionReset},
	{syscall.ECONNABORTED, socket.ConnectionAborted},
	{syscall.ENETUNREACH, socket.RemoteUnreachable},
	{syscall.EHOSTUNREACH, socket.RemoteUnreachable},
	{syscall.ENETDOWN, socket.RemoteUnreachable},
	{syscall.ETIMEDOUT, socket.Timeout},
	{syscall.EMSGSIZE, socket.DatagramTooLarge},
	{syscall.EMFILE, socket.NewSocketLimit},
	{syscall.ENFILE, socket.NewSocketLimit},
	{syscall.ENOBUFS, socket.OutOfMemory},
	{syscall.ENOMEM, socket.OutOfMemory},
	{context.Canceled, socket.ConnectionAborted},
	{context.DeadlineExceeded, socket.Timeout},
}
