package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/await"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
)

// Bounds of a body that is sent while the program goes on writing it.
const (
	// MaxChunk is how many bytes of it one entry has at most.
	MaxChunk = 64 << 10
	// Window is how many bytes a program can be ahead of what the remote takes.
	Window = 4 * MaxChunk
)

// Source is the body of a request whose program goes on writing it while it is
// sent.
type Source interface {
	// Next gives the bytes that follow, as soon as there are any and they may leave.
	// They are valid until the following Next. io.EOF is the end.
	Next(ctx context.Context) ([]byte, error)
	// Trailers are what follows the end.
	Trailers() []Field
	// Close says that no more is taken.
	Close()
}

// ErrAborted is the end of a body that its program has not finished. What was
// sent of it must not look whole.
var ErrAborted = errors.New("the program has dropped the body of its request unfinished")

// Ending says what is behind the bytes of a body that were written.
type Ending uint8

// The endings.
const (
	Unfinished Ending = iota // more of it
	Whole                    // nothing
	Aborted                  // what will never be written
	lastEnding = Aborted
)

// chunk is a part of the body of a request.
type chunk struct {
	call, offset uint64
	end          Ending
	trailers     []Field
	bytes        []byte
	index        oplog.Index // of its entry: it is not in it
}

// Write records what follows in the body of a request that was sent Streamed, and
// lets it leave once it is durable. It keeps p, which is no longer than MaxChunk.
func (e *Exchanges) Write(x *Exchange, p []byte, end Ending, trailers []Field) error {
	if !e.Session.Replaying() {
		if err := e.pace(e.Session.Context(), len(p)); err != nil {
			return err
		}
	}
	c := chunk{call: x.Call, offset: x.Written, end: end, trailers: trailers, bytes: p}
	index, err := durable.Tell(e.Session, &write, c)
	if err != nil {
		return err
	}
	x.Written += uint64(len(p))
	x.Ended = end
	if u := e.uploads[x.Call]; u != nil {
		c.index = index
		u.add(c)
	}
	return nil
}

// Room is how many bytes can be written, as far as the program knows.
func (x *Exchange) Room() int {
	return Window - int(min(x.Written-min(x.Taken, x.Written), Window))
}

// Progress finds out how much the remote has taken, or waits until a chunk has
// room again, or there is no use in writing more.
func (e *Exchanges) Progress(x *Exchange, block bool) error {
	p, err := durable.Run(e.Session, &progress, progressing{x.Call, x.Written, x.Taken, block},
		func(ctx context.Context, _ progressing) (p Progress, err error) {
			if err = e.revive(x); err == nil && block {
				err = e.Events.Hold(ctx, e.RoomEvent(x))
			}
			return e.progress(x), err
		})
	if err == nil {
		x.Taken, x.Over = p.Taken, p.Over
	}
	return err
}

// RoomEvent is that there is room for a chunk of the body of x, or that there is
// no use in writing more.
func (e *Exchanges) RoomEvent(x *Exchange) await.Event {
	v := e.event(x, await.Upload, e.roomy)
	v.Past = x.Written
	return v
}

// Progress is how far a body has got.
type Progress struct {
	Taken uint64 // bytes that the remote has taken
	Over  bool   // and takes no more
}

// progress looks at what is under way of x, if anything is.
func (e *Exchanges) progress(x *Exchange) Progress {
	switch u := e.uploads[x.Call]; {
	case u != nil:
		return u.progress()
	case e.paused[x.Call]:
		return Progress{} // it is taken from the beginning, later
	}
	return Progress{Taken: x.Written, Over: true}
}

// roomy reports whether a chunk has room, or is of no use.
func (e *Exchanges) roomy(x *Exchange) bool {
	p := e.progress(x)
	return p.Over || x.Written-min(p.Taken, x.Written)+MaxChunk <= Window
}

// upload is a body on its way.
type upload struct {
	session *durable.Session
	wake    func()
	come    sched.Condition
	call    uint64
	before  *durable.Past[chunk, durable.None] // of earlier lives, if any is left

	mu       sync.Mutex
	queue    []chunk
	current  uint64 // bytes of what Next has given
	taken    uint64 // bytes before that
	end      Ending
	trailers []Field
	over     bool
}

// begin makes the source of a request that is sent, from its first byte on.
func (e *Exchanges) begin(x *Exchange) *upload {
	u := &upload{session: e.Session, wake: e.Events.Wake, come: e.Sched.NewCondition(), call: x.Call}
	if x.Written > 0 || x.Ended != Unfinished {
		u.before = durable.Recorded(e.Session, &write, x.Call)
	}
	e.uploads[x.Call] = u
	return u
}

func (u *upload) add(c chunk) {
	u.mu.Lock()
	if !u.over {
		u.queue = append(u.queue, c)
	}
	u.mu.Unlock()
	u.come.Wake()
}

func (u *upload) progress() Progress {
	u.mu.Lock()
	defer u.mu.Unlock()
	return Progress{u.taken, u.over}
}

// Next implements Source.
func (u *upload) Next(ctx context.Context) ([]byte, error) {
	u.mu.Lock()
	u.taken += u.current
	u.current = 0
	end, offset := u.end, u.taken
	u.mu.Unlock()
	u.wake()
	for {
		switch end {
		case Whole:
			return nil, io.EOF
		case Aborted:
			return nil, ErrAborted
		}
		c, err := u.next(ctx)
		if err != nil {
			return nil, err
		}
		if c.offset != offset {
			return nil, fmt.Errorf("the body of request %d has byte %d where byte %d belongs", u.call, c.offset, offset)
		}
		end = c.end
		u.mu.Lock()
		u.current, u.end, u.trailers = uint64(len(c.bytes)), c.end, c.trailers
		u.mu.Unlock()
		if len(c.bytes) > 0 {
			return c.bytes, nil
		}
	}
}

// next waits for the next chunk that may leave.
func (u *upload) next(ctx context.Context) (c chunk, err error) {
	for u.before != nil {
		c, ok, err := u.before.Next(ctx)
		switch {
		case err != nil:
			return c, err
		case !ok:
			u.before = nil
		case c.call == u.call:
			return c, nil
		}
	}
	err = u.come.Wait(ctx, func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		if len(u.queue) == 0 && !u.over {
			return false
		}
		if !u.over {
			c, u.queue = u.queue[0], u.queue[1:]
		}
		return true
	})
	if err != nil {
		return c, err
	}
	if c.call == 0 {
		return c, errHungUp
	}
	return c, u.session.Durable(ctx, c.index)
}

var errHungUp = errors.New("nobody writes the body any more")

// Trailers implements Source.
func (u *upload) Trailers() []Field {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.trailers
}

// Close implements Source.
func (u *upload) Close() {
	u.mu.Lock()
	u.over, u.queue = true, nil
	u.mu.Unlock()
	u.come.Wake()
	u.wake()
}
