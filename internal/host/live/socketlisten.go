package live

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"

	"github.com/waterbear-run/waterbear/internal/host/socket"
	"github.com/waterbear-run/waterbear/internal/sched"
)

// listener is where connections come in. Its task takes some ahead of the
// program.
type listener struct {
	s       *Sockets
	ties    socket.Ties
	at      socket.Listen
	changed sched.Condition
	ctx     context.Context // until it is closed
	cancel  context.CancelFunc

	mu     sync.Mutex
	inner  net.Listener
	come   []*net.TCPConn
	failed socket.Code
	closed bool
}

// Listen implements socket.Network.
func (s *Sockets) Listen(l socket.Listen, r socket.Reservation, t socket.Ties) (socket.Listener, socket.Code) {
	own, _ := r.(*reservation)
	if !permits(t.Policy.Listen, l.Local, nil) {
		if own != nil {
			own.Close()
		}
		return nil, socket.AccessDenied
	}
	n := &listener{s: s, ties: t, at: l, changed: s.sched.NewCondition()}
	if own != nil {
		var err error
		if n.inner, err = own.listen(l.Backlog); err != nil {
			return nil, codeOf(err)
		}
	}
	if !s.enter() {
		if n.inner != nil {
			_ = n.inner.Close()
		}
		return nil, socket.NewSocketLimit
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	s.sched.Go("socket listener", func() {
		n.run()
		n.end()
		s.leave()
	})
	return n, socket.OK
}

// run takes connections.
func (n *listener) run() {
	if n.inner == nil && !n.comeBack() {
		return
	}
	for n.changed.Wait(n.ctx, n.hungry) == nil {
		conn, err := n.inner.Accept()
		switch {
		case err == nil:
			n.took(conn.(*net.TCPConn))
		case n.ctx.Err() != nil:
			return
		case errors.Is(err, syscall.ECONNABORTED):
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
			_ = n.s.sched.Sleep(n.ctx, rebindPause) // there may be room soon
		default:
			n.fail(codeOf(err))
			return
		}
	}
}

// hungry reports whether one more connection is to be taken.
func (n *listener) hungry() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.come) < maxAhead
}

// took keeps a connection for the program. A node that has too many resets it.
func (n *listener) took(conn *net.TCPConn) {
	if !n.s.enter() {
		_ = conn.SetLinger(0)
		_ = conn.Close()
		return
	}
	n.mu.Lock()
	closed := n.closed
	if !closed {
		n.come = append(n.come, conn)
	}
	n.mu.Unlock()
	if closed {
		_ = conn.Close()
		n.s.leave()
	}
	n.ties.Changed()
}

// comeBack gets the address that the worker has listened at before. Another
// process may be about to leave it.
func (n *listener) comeBack() bool {
	until := n.s.sched.Monotonic() + rebindFor
	for {
		inner, err := (&net.ListenConfig{KeepAlive: -1}).Listen(n.ctx, network("tcp", n.at.Local.Addr()), n.at.Local.String())
		if err == nil {
			n.mu.Lock()
			n.inner = inner
			closed := n.closed
			n.mu.Unlock()
			return !closed
		}
		if !errors.Is(err, syscall.EADDRINUSE) || n.s.sched.Monotonic() >= until || n.s.sched.Sleep(n.ctx, rebindPause) != nil {
			n.fail(codeOf(err))
			return false
		}
	}
}

func (n *listener) fail(code socket.Code) {
	n.mu.Lock()
	n.failed = code
	n.mu.Unlock()
	n.ties.Changed()
}

// end closes what nobody has taken.
func (n *listener) end() {
	_ = n.changed.Wait(n.ctx, func() bool { return false }) // for the program to see how it failed
	n.mu.Lock()
	come, inner := n.come, n.inner
	n.come = nil
	n.mu.Unlock()
	if inner != nil {
		_ = inner.Close()
	}
	for _, conn := range come {
		_ = conn.Close()
		n.s.leave()
	}
}

// Ready implements socket.Listener.
func (n *listener) Ready() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.come) > 0 || n.failed != socket.OK
}

// Accept implements socket.Listener.
func (n *listener) Accept() (socket.Connection, socket.Outcome, bool) {
	n.mu.Lock()
	if len(n.come) == 0 {
		defer n.mu.Unlock()
		return nil, socket.Outcome{Code: n.failed}, n.failed != socket.OK
	}
	conn, keep := n.come[0], n.at.Keep
	n.come = n.come[1:]
	n.mu.Unlock()
	n.changed.Wake()
	c := n.s.newConnection(context.Background(), n.ties)
	c.keep = keep
	c.established(conn)
	c.begin("socket sender", c.send)
	c.begin("socket", c.pump)
	return c, c.outcome, true
}

// Keep implements socket.Listener.
func (n *listener) Keep(k socket.KeepAlive) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at.Keep = k
}

// Close implements socket.Listener.
func (n *listener) Close() {
	n.mu.Lock()
	n.closed = true
	inner := n.inner
	n.mu.Unlock()
	n.cancel()
	if inner != nil {
		_ = inner.Close()
	}
}
