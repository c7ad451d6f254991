package live

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"syscall"

	"github.com/waterbear-run/waterbear/internal/sched"
)

// keptConn is a connection that may be kept for another request. Package http lets
// a request have it before it has looked whether the server said more than it was
// asked for; so that no request takes that for its answer, which may be another
// worker's, each waits until the connection is quiet.
type keptConn struct {
	net.Conn
	raw     syscall.RawConn // nil if it has none
	changed sched.Condition

	mu      sync.Mutex
	reading bool // somebody waits for bytes: all that were read before are used up
	closed  bool
}

func (h *HTTP) keep(c net.Conn) net.Conn {
	k := &keptConn{Conn: c, changed: h.sched.NewCondition()}
	if s, ok := c.(syscall.Conn); ok {
		k.raw, _ = s.SyscallConn()
	}
	return k
}

// Read implements net.Conn.
func (k *keptConn) Read(p []byte) (int, error) {
	k.set(&k.reading, true)
	defer k.set(&k.reading, false)
	return k.Conn.Read(p)
}

// Close implements net.Conn.
func (k *keptConn) Close() error {
	k.set(&k.closed, true)
	return k.Conn.Close()
}

func (k *keptConn) set(what *bool, value bool) {
	k.mu.Lock()
	*what = value
	k.mu.Unlock()
	k.changed.Wake()
}

// quiet waits until nothing has come that nobody has asked for. If anything had,
// package http closes the connection, for there is no request yet, and takes
// another one.
func (k *keptConn) quiet(ctx context.Context) {
	_ = k.changed.Wait(ctx, func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.closed || k.reading && !k.pending()
	})
}

// pending reports whether bytes have come, or the end, that nobody has read.
func (k *keptConn) pending() (is bool) {
	if k.raw == nil {
		return false
	}
	err := k.raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		is = err == nil
	})
	return is && err == nil
}

// keptBelow is the connection that is kept below c, nil if there is none.
func keptBelow(c net.Conn) *keptConn {
	for {
		secure, is := c.(*tls.Conn)
		if !is {
			k, _ := c.(*keptConn)
			return k
		}
		c = secure.NetConn()
	}
}
