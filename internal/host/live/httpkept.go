package live

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"syscall"

	"github.com/waterbear-run/waterbear/internal/host/exchange"
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
	written uint64
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

// Write implements net.Conn.
func (k *keptConn) Write(p []byte) (int, error) {
	n, err := k.Conn.Write(p)
	k.mu.Lock()
	k.written += uint64(n)
	k.mu.Unlock()
	return n, err
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

// leaving is how a request leaves. Package http sends some requests again when a
// connection that it had kept is lost, and tells nobody; here a request of which
// anything may have left is sent again by who records that, or not at all.
type leaving struct {
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	by       *keptConn // nil: over HTTP/2, which says what it has not taken, or none yet
	reused   bool
	before   uint64 // what was written before the request
	answered bool
}

// errLost ends a request whose connection was lost before its answer began.
var errLost = errors.New("the connection was lost before an answer")

// trace notes in ctx how the request leaves.
func (l *leaving) trace(ctx context.Context) *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) {
			if l.left() {
				l.cancel(errLost)
			}
		},
		GotConn: func(c httptrace.GotConnInfo) { l.got(ctx, c) },
		GotFirstResponseByte: func() {
			l.mu.Lock()
			l.answered = true
			l.mu.Unlock()
		},
	}
}

// got takes note of the connection by which the request is about to leave.
func (l *leaving) got(ctx context.Context, c httptrace.GotConnInfo) {
	k := keptBelow(c.Conn)
	if isHTTP2(c.Conn) {
		k = nil
	}
	switch {
	case k == nil:
	case ctx.Err() != nil: // package http may not have looked
		_ = k.Close()
	case c.Reused:
		k.quiet(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.by, l.reused, l.answered = k, c.Reused, false
	if k != nil {
		l.before = k.sent()
	}
}

// left reports whether anything of the request may have left.
func (l *leaving) left() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.by != nil && l.by.sent() > l.before
}

// kept reports whether the request was to leave by a connection that was kept, and
// had no answer.
func (l *leaving) kept() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.by != nil && l.reused && !l.answered
}

func (k *keptConn) sent() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.written
}

// roundTrip sends a request, by another connection if nothing of it could leave by
// one that was kept.
func (l *leaving) roundTrip(pool *http.Transport, req *http.Request, streamed bool) (*http.Response, error) {
	for tries := 0; ; tries++ {
		response, err := pool.RoundTrip(req)
		if err == nil || req.Context().Err() != nil || !l.kept() || l.left() || streamed || tries == maxIdlePerHost {
			return response, err
		}
		if req.GetBody == nil {
			continue // it has none
		}
		if req.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
	}
}

// failureOf is failureOf of a request that has left so.
func (l *leaving) failureOf(ctx context.Context, err error) *exchange.Failure {
	f := failureOf(ctx, err)
	f.Kept = f.Reason == exchange.ConnectionTerminated && l.kept()
	return f
}
