package wasip2

import (
	"errors"

	"github.com/waterbear-run/waterbear/internal/host/blobstore"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

var (
	inputStream  = &wit.Resource{Name: "input-stream"}
	outputStream = &wit.Resource{Name: "output-stream"}

	streamErrorType = variant("stream-error", part("last-operation-failed", own(errorResource)), part("closed", nil))
)

// Cases of stream-error.
const (
	streamFailed = iota
	streamClosed
)

// ioStreams is wasi:io/streams.
func ioStreams() interfaceOf {
	in, out := self(inputStream), self(outputStream)
	length, contents := param("len", tU64), param("contents", tBytes)
	bytes, count, nothing := result(tBytes, streamErrorType), result(tU64, streamErrorType), result(nil, streamErrorType)
	pollable := own(pollableResource)
	src := param("src", borrow(inputStream))
	return interfaceOf{
		name: "wasi:io/streams", resources: []*wit.Resource{inputStream, outputStream},
		functions: []function{
			{name: "[method]input-stream.read", typ: fnTo(bytes, in, length), call: reading(false, contentsOf)},
			{name: "[method]input-stream.blocking-read", typ: fnTo(bytes, in, length), call: reading(true, contentsOf)},
			{name: "[method]input-stream.skip", typ: fnTo(count, in, length), call: reading(false, lengthOf)},
			{name: "[method]input-stream.blocking-skip", typ: fnTo(count, in, length), call: reading(true, lengthOf)},
			{name: "[method]input-stream.subscribe", typ: fnTo(pollable, in), call: subscribe},
			{name: "[method]output-stream.check-write", typ: fnTo(count, out), call: on(checkWrite)},
			{name: "[method]output-stream.write", typ: fnTo(nothing, out, contents), call: on(write), aliased: true},
			{name: "[method]output-stream.blocking-write-and-flush", typ: fnTo(nothing, out, contents), call: on(writeAndFlush), aliased: true},
			{name: "[method]output-stream.flush", typ: fnTo(nothing, out), call: on(flush)},
			{name: "[method]output-stream.blocking-flush", typ: fnTo(nothing, out), call: on(flush)},
			{name: "[method]output-stream.subscribe", typ: fnTo(pollable, out), call: subscribe},
			{name: "[method]output-stream.write-zeroes", typ: fnTo(nothing, out, length), call: on(writeZeroes)},
			{name: "[method]output-stream.blocking-write-zeroes-and-flush", typ: fnTo(nothing, out, length), call: on(writeZeroesAndFlush)},
			{name: "[method]output-stream.splice", typ: fnTo(count, out, src, length), call: splicing(false)},
			{name: "[method]output-stream.blocking-splice", typ: fnTo(count, out, src, length), call: splicing(true)},
		},
	}
}

// Bounds of one call.
const (
	// maxTransfer is how much one call moves at most, and what check-write
	// permits.
	maxTransfer = 1 << 20
	// maxBlockingWrite is what the WIT lets one blocking-write-and-flush write.
	maxBlockingWrite = 4096
)

// errClosed is the end of a stream.
var errClosed = errors.New("the stream is closed")

// input is an input-stream.
type input interface {
	resource
	// read gives up to limit bytes, which is not 0: none if there are none yet,
	// unless it is to block, and errClosed at the end.
	read(s *System, limit int, block bool) ([]byte, error)
	// ended tells whether it is known to be at the end.
	ended(s *System) bool
}

// narrow is an output-stream that may have no room for a while.
type narrow interface {
	// room is how many bytes can be written now. If it is to block there are
	// maxBlockingWrite at least.
	room(s *System, block bool) (int, error)
}

// output is an output-stream. All but those that are narrow have room at once.
type output interface {
	resource
	// write writes all of p, or as much as it can and an error.
	write(s *System, p []byte) error
	state() *outputState
}

// shutter is an output-stream that something else than a failure of it may close.
type shutter interface{ isShut(s *System) bool }

// outputState is what all output streams have.
type outputState struct {
	permit uint64 // bytes that may be written before the next check-write
	closed bool
}

func (o *outputState) state() *outputState { return o }

func (o *outputState) code(c *wasi.Coder) {
	wasi.Uint(c, &o.permit, maxTransfer)
	c.Bool(&o.closed)
}

// ending is how the program sees that an operation on a stream has ended: err is
// the end of the stream, or a failure that it is to see, or the host's.
func (s *System) ending(v wit.Value, err error) (wit.Value, error) {
	e := &streamError{}
	var broken *netError
	var blob *blobstore.Error
	switch {
	case err == nil:
		return ok(v), nil
	case errors.Is(err, errClosed):
		return failed(label(streamClosed)), nil
	case errors.As(err, &e.file), errors.As(err, &e.http), errors.As(err, &broken), errors.As(err, &blob):
		if broken != nil {
			e.net = broken.code
		}
		if blob != nil {
			e.blob = blob.Reason
		}
		rep, err := s.add(e, 0)
		return failed(wit.Case{Index: streamFailed, Payload: rep}), err
	}
	return nil, err
}

func contentsOf(p []byte) wit.Value { return p }
func lengthOf(p []byte) wit.Value   { return uint64(len(p)) }

// reading is a function that reads and gives what show makes of it.
func reading(block bool, show func(p []byte) wit.Value) call {
	return on(func(s *System, in input, a []wit.Value) (wit.Value, error) {
		p, err := s.read(in, a[1].(uint64), block)
		return s.ending(show(p), err)
	})
}

func (s *System) read(in input, limit uint64, block bool) ([]byte, error) {
	if in.ended(s) {
		return nil, errClosed
	}
	if limit == 0 {
		return []byte{}, nil
	}
	p, err := in.read(s, int(min(limit, maxTransfer)), block)
	if p == nil {
		p = []byte{} // no list is nil
	}
	return p, err
}

// check permits the next write.
func (s *System) check(o output) (uint64, error) {
	st := o.state()
	if s.isClosed(o) {
		return 0, errClosed
	}
	n, err := s.space(o, false)
	st.permit = uint64(n)
	return st.permit, err
}

// space is how many bytes can be written to a stream, which its failure closes.
func (s *System) space(o output, block bool) (int, error) {
	n, is := o.(narrow)
	if !is {
		return maxTransfer, nil
	}
	room, err := n.room(s, block)
	o.state().closed = err != nil
	return min(room, maxTransfer), err
}

// isClosed tells whether nothing can be written any more.
func (s *System) isClosed(o output) bool {
	r, is := o.(shutter)
	return o.state().closed || is && r.isShut(s)
}

// spend uses what check has permitted.
func (s *System) spend(o output, n uint64) error {
	st := o.state()
	if n > st.permit {
		return trap("%d bytes are written to a stream, and check-write has permitted %d", n, st.permit)
	}
	st.permit -= n
	return nil
}

// write writes what was permitted, and closes a stream that fails.
func (s *System) write(o output, p []byte) error {
	st := o.state()
	if s.isClosed(o) {
		return errClosed
	}
	err := o.write(s, p)
	st.closed = err != nil
	return err
}

func checkWrite(s *System, o output, _ []wit.Value) (wit.Value, error) {
	n, err := s.check(o)
	return s.ending(n, err)
}

func write(s *System, o output, a []wit.Value) (wit.Value, error) {
	p := a[1].([]byte)
	if err := s.spend(o, uint64(len(p))); err != nil {
		return nil, err
	}
	return s.ending(nil, s.write(o, p))
}

func writeAndFlush(s *System, o output, a []wit.Value) (wit.Value, error) {
	p := a[1].([]byte)
	return s.blockingWrite(o, uint64(len(p)), func() []byte { return p })
}

// blockingWrite writes n bytes as soon as they have room.
func (s *System) blockingWrite(o output, n uint64, p func() []byte) (wit.Value, error) {
	if n > maxBlockingWrite {
		return nil, trap("%d bytes are written to a stream at once with a flush, and %d can be", n, maxBlockingWrite)
	}
	if !s.isClosed(o) {
		if _, err := s.space(o, true); err != nil {
			return s.ending(nil, err)
		}
	}
	return s.ending(nil, s.write(o, p()))
}

// flush has nothing to do: what is written is where it belongs.
func flush(s *System, o output, _ []wit.Value) (wit.Value, error) {
	if s.isClosed(o) {
		return s.ending(nil, errClosed)
	}
	return ok(nil), nil
}

func writeZeroes(s *System, o output, a []wit.Value) (wit.Value, error) {
	n := a[1].(uint64)
	if err := s.spend(o, n); err != nil {
		return nil, err
	}
	return s.ending(nil, s.write(o, make([]byte, n)))
}

func writeZeroesAndFlush(s *System, o output, a []wit.Value) (wit.Value, error) {
	n := a[1].(uint64)
	return s.blockingWrite(o, n, func() []byte { return make([]byte, n) })
}

// splicing is check-write, read and write in one.
func splicing(block bool) call {
	return on(func(s *System, o output, a []wit.Value) (wit.Value, error) {
		in, err := get[input](s, a[1])
		if err != nil {
			return nil, err
		}
		n, err := s.splice(o, in, a[2].(uint64), block)
		return s.ending(n, err)
	})
}

func (s *System) splice(o output, in input, limit uint64, block bool) (uint64, error) {
	permit, err := s.check(o)
	if err == nil && permit == 0 && block {
		if _, err = s.space(o, true); err == nil {
			permit, err = s.check(o)
		}
	}
	if err != nil || permit == 0 {
		return 0, err
	}
	p, err := s.read(in, min(limit, permit), block)
	if err != nil {
		return 0, err
	}
	if err := s.spend(o, uint64(len(p))); err != nil {
		return 0, err
	}
	return uint64(len(p)), s.write(o, p)
}
