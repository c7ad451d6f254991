package wasip2

import (
	"github.com/waterbear-run/waterbear/internal/host/await"
	"github.com/waterbear-run/waterbear/internal/host/socket"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
)

// tcpInput is the input-stream of a connection, which is its parent.
type tcpInput struct {
	child
	offset uint64 // bytes read
	closed bool
	ready  bool // the program was told that there is more
}

func (*tcpInput) kind() kind { return kindTCPInput }

func (t *tcpInput) code(c *wasi.Coder) {
	wasi.Uint(c, &t.offset, 1<<64-1)
	c.Bool(&t.closed)
	c.Bool(&t.ready)
}

func (t *tcpInput) ended(s *System) bool {
	return t.closed || s.entry(t.parent).resource.(*tcp).shut[shutReceive]
}

func (t *tcpInput) read(s *System, limit int, block bool) ([]byte, error) {
	p, err := s.net.Receive(uint64(t.parent), t.offset, limit, block)
	t.ready = false
	if err != nil {
		return nil, err
	}
	t.offset += uint64(len(p.Bytes))
	switch t.closed = p.End; {
	case len(p.Bytes) > 0 && p.Code != socket.OK:
		t.closed = false // the next one gives it
	case p.Code != socket.OK:
		return nil, &netError{p.Code}
	case len(p.Bytes) == 0 && p.End:
		return nil, errClosed
	}
	return p.Bytes, nil
}

func (t *tcpInput) event(s *System) await.Event { return s.net.Incoming(uint64(t.parent), t.offset) }
func (t *tcpInput) come()                       { t.ready = true }

// tcpOutput is the output-stream of a connection, which is its parent.
type tcpOutput struct {
	child
	outputState
	offset uint64 // bytes written
	credit int    // room that is known of
	ready  bool   // the program was told that there is room
}

func (*tcpOutput) kind() kind { return kindTCPOutput }

func (t *tcpOutput) code(c *wasi.Coder) {
	t.outputState.code(c)
	wasi.Uint(c, &t.offset, 1<<64-1)
	wasi.Uint(c, &t.credit, socket.Queue)
	c.Bool(&t.ready)
}

func (t *tcpOutput) event(s *System) await.Event { return s.net.Outgoing(uint64(t.parent), t.offset) }
func (t *tcpOutput) come()                       { t.ready = true }

// isShut tells whether nothing can be written any more.
func (t *tcpOutput) isShut(s *System) bool {
	return t.closed || s.entry(t.parent).resource.(*tcp).shut[shutSend]
}

// room implements narrow. It asks only when all that it knew of is used; if it is
// to block there is a byte at least, and write waits for more.
func (t *tcpOutput) room(s *System, block bool) (int, error) {
	if t.isShut(s) {
		return 0, errClosed
	}
	for t.credit == 0 {
		r, err := s.net.Room(uint64(t.parent), t.offset)
		if err != nil {
			return 0, err
		}
		t.ready = false
		if r.Code != socket.OK {
			return 0, &netError{r.Code}
		}
		if t.credit = int(min(r.Bytes, socket.Queue)); t.credit > 0 || !block {
			break
		}
		if err := s.waitFor(t); err != nil {
			return 0, err
		}
	}
	return t.credit, nil
}

// write queues p. It waits for room where check-write was not asked.
func (t *tcpOutput) write(s *System, p []byte) error {
	for len(p) > 0 {
		n, err := t.room(s, true)
		if err != nil {
			return err
		}
		n = min(n, len(p))
		code, err := s.net.Send(uint64(t.parent), t.offset, p[:n])
		if err != nil {
			return err
		}
		if code != socket.OK {
			return &netError{code}
		}
		t.offset, t.credit, p = t.offset+uint64(n), t.credit-n, p[n:]
	}
	return nil
}
