package live

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/socket"
	"github.com/waterbear-run/waterbear/internal/sched"
)

// connection is a TCP connection. One task makes it and reads ahead of the
// program, one sends what is queued, and one sees that that ends.
type connection struct {
	s       *Sockets
	ties    socket.Ties
	changed sched.Condition // its tasks wait for work here
	ctx     context.Context // of its tasks, until it has ended
	cancel  context.CancelCauseFunc
	dialing context.CancelFunc // nil: it was not dialed

	mu      sync.Mutex
	conn    *net.TCPConn
	outcome socket.Outcome
	made    bool // or cannot be
	keep    socket.KeepAlive

	in        []byte
	ended     bool // nothing more comes in
	inFailed  socket.Code
	queue     []byte
	outFailed socket.Code
	shut      bool // nothing more is queued
	deaf      bool // the program reads no more
	closed    bool
	tasks     int
}

func (s *Sockets) newConnection(ctx context.Context, t socket.Ties) *connection {
	c := &connection{s: s, ties: t, changed: s.sched.NewCondition()}
	// What is queued leaves even when the worker is stopped meanwhile.
	c.ctx, c.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	return c
}

// Connect implements socket.Network.
func (s *Sockets) Connect(ctx context.Context, d socket.Dial, t socket.Ties) socket.Connection {
	c := s.newConnection(ctx, t)
	c.keep = d.Keep
	switch {
	case !permits(t.Policy.Reach, d.Remote, d.Names):
		c.unmade(d, socket.AccessDenied)
	case !s.enter():
		c.unmade(d, socket.NewSocketLimit)
	default:
		ctx, c.dialing = context.WithCancel(ctx)
		c.begin("socket", func() {
			if c.dial(ctx, d) {
				c.begin("socket sender", c.send)
				c.pump()
			}
		})
		return c
	}
	return c
}

// unmade says that there is no connection, and will be none.
func (c *connection) unmade(d socket.Dial, code socket.Code) {
	if d.Reserved != nil {
		d.Reserved.Close()
	}
	c.made, c.outcome, c.ended, c.inFailed, c.outFailed = true, socket.Outcome{Code: code}, true, code, code
	c.cancel(nil)
}

// begin starts one of its tasks.
func (c *connection) begin(name string, do func()) {
	c.mu.Lock()
	c.tasks++
	c.mu.Unlock()
	c.run(name, do)
}

// run runs a task that is counted. The last one that ends closes the connection.
func (c *connection) run(name string, do func()) {
	c.s.sched.Go(name, func() {
		do()
		c.mu.Lock()
		c.tasks--
		last, conn := c.tasks == 0, c.conn
		c.mu.Unlock()
		if !last {
			return
		}
		if conn != nil {
			_ = conn.Close() // who cares for what was sent shuts it down first
		}
		c.cancel(nil)
		c.s.leave()
	})
}

// dial makes the connection.
func (c *connection) dial(ctx context.Context, d socket.Dial) bool {
	defer c.dialing()
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: -1}
	if d.Local.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(d.Local)
		dialer.ControlContext = func(_ context.Context, _, _ string, raw syscall.RawConn) (err error) {
			failed := raw.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
			})
			return errors.Join(failed, err)
		}
	}
	if d.Reserved != nil {
		d.Reserved.Close() // its address is for this connection
	}
	made, err := dialer.DialContext(ctx, network("tcp", d.Remote.Addr()), d.Remote.String())
	if err != nil {
		c.change(func() {
			code := codeOf(err)
			c.made, c.outcome, c.ended, c.inFailed, c.outFailed = true, socket.Outcome{Code: code}, true, code, code
		})
		return false
	}
	c.established(made.(*net.TCPConn))
	return true
}

func (c *connection) established(conn *net.TCPConn) {
	c.change(func() {
		c.conn, c.made = conn, true
		c.outcome = socket.Outcome{Local: addrPort(conn.LocalAddr()), Remote: addrPort(conn.RemoteAddr())}
		c.probe()
		if c.closed {
			_ = conn.SetReadDeadline(past) // the task that reads is to see it
		}
	})
}

func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		return unmapped(a.AddrPort())
	case *net.UDPAddr:
		return unmapped(a.AddrPort())
	}
	return netip.AddrPort{}
}

// unmapped has no zone, whose name means nothing elsewhere.
func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// past ends what waits for the network at once.
var past = time.Unix(1, 0)

// change lets those who wait see what do does.
func (c *connection) change(do func()) {
	c.mu.Lock()
	do()
	c.mu.Unlock()
	c.changed.Wake()
	c.ties.Changed()
}

// await waits until it is so, asked with c.mu held.
func (c *connection) await(so func() bool) bool {
	return c.changed.Wait(c.ctx, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return so()
	}) == nil
}

// pump reads ahead of the program.
func (c *connection) pump() {
	piece := make([]byte, 32<<10)
	for c.await(func() bool { return len(c.in) < inbox || c.closed || c.deaf }) {
		n, err := c.conn.Read(piece)
		over := false
		c.change(func() {
			if over = c.closed || c.deaf; !over {
				c.in = append(c.in, piece[:n]...)
			}
			if err != nil {
				c.ended = true
				if !errors.Is(err, io.EOF) {
					c.inFailed = codeOf(err)
				}
			}
		})
		if over || err != nil {
			return
		}
	}
}

// send sends what is queued, once it is durable that the program has sent it.
func (c *connection) send() {
	for {
		var p []byte
		shut := false
		if !c.await(func() bool {
			p, shut = c.queue, c.shut
			return len(p) > 0 || shut || c.closed
		}) {
			return
		}
		if len(p) == 0 {
			if shut {
				_ = c.conn.CloseWrite() // if it is gone, the program will see so
				_ = c.await(func() bool { return c.closed })
			}
			return
		}
		// What is behind p may be queued meanwhile; p itself does not move.
		err := c.ties.Commit(c.ctx)
		if err == nil {
			_, err = c.conn.Write(p)
		}
		c.change(func() {
			if err != nil {
				c.queue, c.outFailed = nil, codeOf(err)
				if c.outFailed == socket.Unknown || c.outFailed == socket.Timeout {
					c.outFailed = socket.ConnectionReset
				}
				return
			}
			if c.queue = c.queue[len(p):]; len(c.queue) == 0 {
				c.queue = nil // or what was sent would be kept
			}
		})
		if err != nil {
			_ = c.conn.SetLinger(0) // it ends in the middle
			_ = c.await(func() bool { return c.closed })
			return
		}
	}
}

// Outcome implements socket.Connection.
func (c *connection) Outcome() (socket.Outcome, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outcome, c.made
}

// Ready implements socket.Connection.
func (c *connection) Ready() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.in) > 0 || c.ended
}

// Read implements socket.Connection.
func (c *connection) Read(limit int) (socket.Piece, bool) {
	c.mu.Lock()
	n := min(limit, len(c.in))
	p := socket.Piece{Bytes: bytes.Clone(c.in[:n])}
	c.in = c.in[:copy(c.in, c.in[n:])]
	if c.ended && len(c.in) == 0 {
		p.End, p.Code = true, c.inFailed
	}
	c.mu.Unlock()
	c.changed.Wake()
	return p, n > 0 || p.End
}

// Room implements socket.Connection.
func (c *connection) Room() (int, socket.Code) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.outFailed != socket.OK {
		return 0, c.outFailed
	}
	if c.inFailed == socket.ConnectionReset {
		return 0, c.inFailed
	}
	return max(socket.Queue-len(c.queue), 0), socket.OK
}

// Write implements socket.Connection.
func (c *connection) Write(p []byte) {
	c.mu.Lock()
	if c.outFailed == socket.OK && !c.shut && !c.closed {
		c.queue = append(c.queue, p...)
	}
	c.mu.Unlock()
	c.changed.Wake()
}

// Shutdown implements socket.Connection.
func (c *connection) Shutdown(receive, send bool) {
	c.mu.Lock()
	c.shut = c.shut || send
	if receive && !c.deaf {
		c.deaf, c.in, c.ended = true, nil, true
		if c.conn != nil {
			_ = c.conn.CloseRead()
		}
	}
	c.mu.Unlock()
	c.changed.Wake()
}

// Keep implements socket.Connection.
func (c *connection) Keep(k socket.KeepAlive) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep = k
	c.probe()
}

// probe sets what keep says. It is called with c.mu held.
func (c *connection) probe() {
	if c.conn != nil {
		_ = c.conn.SetKeepAliveConfig(net.KeepAliveConfig{ // it is for advice
			Enable: c.keep.Enabled, Idle: c.keep.Idle, Interval: c.keep.Interval, Count: c.keep.Count,
		})
	}
}

// Close implements socket.Connection. Its tasks end by themselves: the sender when
// what is queued has left, or drainFor later.
func (c *connection) Close() {
	c.mu.Lock()
	if c.conn == nil {
		c.queue = nil // for there is nothing to send it on
	}
	waits := !c.closed && len(c.queue) > 0
	c.closed = true
	if waits {
		c.tasks++ // before the others can end
	}
	if c.conn != nil {
		_ = c.conn.SetReadDeadline(past)
	}
	c.mu.Unlock()
	if c.dialing != nil {
		c.dialing()
	}
	c.changed.Wake()
	if waits {
		c.run("socket drain", c.drain)
	}
}

// drain ends the connection if what is queued does not leave in time.
func (c *connection) drain() {
	timer, stop := context.WithCancel(c.ctx)
	task := c.s.sched.Go("socket drain timer", func() {
		if c.s.sched.Sleep(timer, drainFor) == nil {
			c.cancel(errDrain)
			_ = c.conn.SetDeadline(past)
		}
	})
	_ = c.await(func() bool { return len(c.queue) == 0 })
	stop()
	task.Wait()
}

var errDrain = errors.New("the other side did not take what was sent before the connection was closed")
