package live

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/waterbear-run/waterbear/internal/host/socket"
	"github.com/waterbear-run/waterbear/internal/sched"
)

// datagrams is a UDP socket. One task reads ahead of the program, one sends.
type datagrams struct {
	s       *Sockets
	ties    socket.Ties
	conn    *net.UDPConn
	local   netip.AddrPort
	changed sched.Condition
	ctx     context.Context // until it has ended
	cancel  context.CancelFunc

	mu     sync.Mutex
	come   waiting
	leave  waiting
	met    peers // to whom it has sent: they may answer
	heard  peers // who has sent to it, where that is allowed: they may be answered
	closed bool
	tasks  int
}

// waiting are datagrams that wait, up to bounds.
type waiting struct {
	list  []socket.Datagram
	bytes int
}

func (w *waiting) add(d socket.Datagram) {
	if len(w.list) < maxWaiting && w.bytes+len(d.Bytes) <= maxWaitingBytes {
		w.list = append(w.list, d)
		w.bytes += len(d.Bytes)
	}
}

func (w *waiting) take(n int) {
	for _, d := range w.list[:n] {
		w.bytes -= len(d.Bytes)
	}
	if w.list = w.list[n:]; len(w.list) == 0 {
		w.list = nil
	}
}

// Datagrams implements socket.Network.
func (s *Sockets) Datagrams(local netip.AddrPort, again bool, t socket.Ties) (socket.Datagrams, socket.Code) {
	// An address that it was given may be given to it again.
	if !mayBind(t.Policy, local) && !(again && mayBind(t.Policy, netip.AddrPortFrom(local.Addr(), 0))) {
		return nil, socket.AccessDenied
	}
	if !s.enter() {
		return nil, socket.NewSocketLimit
	}
	conn, err := net.ListenUDP(network("udp", local.Addr()), net.UDPAddrFromAddrPort(local))
	if err != nil {
		s.leave()
		return nil, codeOf(err)
	}
	d := &datagrams{s: s, ties: t, conn: conn, local: addrPort(conn.LocalAddr()), changed: s.sched.NewCondition(), tasks: 2, met: peers{}, heard: peers{}}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.begin("socket", d.pump)
	d.begin("socket sender", d.send)
	return d, socket.OK
}

func (d *datagrams) begin(name string, do func()) {
	d.s.sched.Go(name, func() {
		do()
		d.mu.Lock()
		d.tasks--
		last := d.tasks == 0
		d.mu.Unlock()
		if last {
			_ = d.conn.Close()
			d.cancel()
			d.s.leave()
		}
	})
}

// pump reads ahead of the program, and only what those send to whom it may send.
func (d *datagrams) pump() {
	open := permits(d.ties.Policy.Listen, d.local, nil)
	p := make([]byte, socket.MaxDatagram)
	for {
		n, from, err := d.conn.ReadFromUDPAddrPort(p)
		d.mu.Lock()
		closed := d.closed
		d.mu.Unlock()
		switch from = unmapped(from); {
		case closed || errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			if d.s.sched.Sleep(d.ctx, rebindPause) != nil { // what an earlier one met on its way
				return
			}
			continue
		}
		d.mu.Lock()
		if !open && !d.met[from] && !permits(d.ties.Policy.Reach, from, nil) {
			d.mu.Unlock()
			continue
		}
		if open {
			d.heard.add(from)
		}
		d.come.add(socket.Datagram{Remote: from, Bytes: append([]byte(nil), p[:n]...)})
		d.mu.Unlock()
		d.ties.Changed()
	}
}

// send sends what is queued, once it is durable that the program has sent it.
func (d *datagrams) send() {
	for {
		var list []socket.Datagram
		closed := false
		_ = d.changed.Wait(context.Background(), func() bool {
			d.mu.Lock()
			defer d.mu.Unlock()
			list, closed = d.leave.list, d.closed
			return len(list) > 0 || closed
		})
		if len(list) == 0 || d.ties.Commit(d.ctx) != nil {
			return
		}
		for _, g := range list {
			_, _ = d.conn.WriteToUDPAddrPort(g.Bytes, g.Remote) // it may be lost anyway
		}
		d.mu.Lock()
		d.leave.take(len(list))
		d.mu.Unlock()
	}
}

// Local implements socket.Datagrams.
func (d *datagrams) Local() netip.AddrPort { return d.local }

// Ready implements socket.Datagrams.
func (d *datagrams) Ready(from netip.AddrPort) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, g := range d.come.list {
		if !from.IsValid() || g.Remote == from {
			return true
		}
	}
	return false
}

// Receive implements socket.Datagrams.
func (d *datagrams) Receive(from netip.AddrPort, most int) (list []socket.Datagram, code socket.Code) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, g := range d.come.list {
		if len(list) == most {
			break
		}
		if n++; !from.IsValid() || g.Remote == from {
			list = append(list, g)
		}
	}
	d.come.take(n)
	return list, socket.OK
}

// May implements socket.Datagrams. Who has sent to the program gets an answer.
func (d *datagrams) May(to netip.AddrPort, names []string) socket.Code {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.heard[to] && !permits(d.ties.Policy.Reach, to, names) {
		return socket.AccessDenied
	}
	return socket.OK
}

// Source implements socket.Datagrams. Another socket is asked, for one that sends
// to many has no address of its own.
func (d *datagrams) Source(to netip.AddrPort, names []string) (netip.AddrPort, socket.Code) {
	if code := d.May(to, names); code != socket.OK {
		return netip.AddrPort{}, code
	}
	if !d.local.Addr().IsUnspecified() {
		return d.local, socket.OK
	}
	probe, err := net.DialUDP(network("udp", to.Addr()), nil, net.UDPAddrFromAddrPort(to)) // sends nothing
	if err != nil {
		return netip.AddrPort{}, codeOf(err)
	}
	defer probe.Close()
	return netip.AddrPortFrom(addrPort(probe.LocalAddr()).Addr(), d.local.Port()), socket.OK
}

// peers are addresses that a socket remembers, the newest maxPeers or fewer.
type peers map[netip.AddrPort]bool

const maxPeers = 1024

func (p peers) add(a netip.AddrPort) {
	if len(p) == maxPeers {
		clear(p)
	}
	p[a] = true
}

// Send implements socket.Datagrams.
func (d *datagrams) Send(list []socket.Datagram) {
	d.mu.Lock()
	for _, g := range list {
		d.leave.add(g)
		d.met.add(g.Remote)
	}
	d.mu.Unlock()
	d.changed.Wake()
}

// Close implements socket.Datagrams.
func (d *datagrams) Close() {
	d.mu.Lock()
	waits := !d.closed && len(d.leave.list) > 0
	d.closed = true
	d.mu.Unlock()
	_ = d.conn.SetReadDeadline(past)
	d.changed.Wake()
	if waits {
		d.s.sched.Go("socket drain timer", func() {
			_ = d.s.sched.Sleep(d.ctx, drainFor)
			d.cancel()
		})
	}
}
