package wasip2

import (
	"errors"
	"strconv"

	"github.com/waterbear-run/waterbear/internal/host/blobstore"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

// outgoingValue is an outgoing-value: bytes for an object.
type outgoingValue struct {
	container, name string // of the object; empty before write-data
	taken           bool   // the program has had its stream
	failure         string // why not all that was written is there
	written         blobstore.Writing
}

func (*outgoingValue) kind() kind { return kindOutgoingValue }

func (v *outgoingValue) code(c *wasi.Coder) {
	wasi.Text(c, &v.container, blobstore.MaxContainer)
	wasi.Text(c, &v.name, blobstore.MaxObject)
	c.Bool(&v.taken)
	wasi.Text(c, &v.failure, maxBlobError)
	codeBlobID(c, &v.written.ID)
	wasi.Uint(c, &v.written.Chunks, blobstore.MaxSize/blobstore.ChunkSize)
	wasi.Text(c, &v.written.Rest, blobstore.ChunkSize-1)
}

func (v *outgoingValue) weight() int {
	return entryCost + len(v.container) + len(v.name) + maxBlobError + len(v.written.Rest)
}

// maxBlobError bounds the text of why bytes cannot be written or read.
const maxBlobError = 256

func codeBlobID(c *wasi.Coder, i *blobstore.ID) {
	for n := range i {
		wasi.Uint(c, &i[n], 255)
	}
}

func newValue(s *System, _ []wit.Value) (wit.Value, error) { return s.add(&outgoingValue{}, 0) }

func writeValue(s *System, v *outgoingValue, a []wit.Value) (wit.Value, error) {
	if v.taken {
		return failed(nil), nil
	}
	rep, err := s.add(&valueOutput{}, a[0].(uint32))
	if err != nil {
		return nil, err
	}
	v.taken = true
	return ok(rep), nil
}

// finishValue gives a value to the object that it is for. If there is none, nobody
// will have it.
func finishValue(s *System, a []wit.Value) (wit.Value, error) {
	v, err := take[*outgoingValue](s, a[0])
	switch {
	case err != nil:
		return nil, err
	case v.failure != "":
		return failed(v.failure), nil
	case v.container == "":
		return ok(nil), nil
	}
	return blobResult(nil, s.containers.Finish(&v.written, v.container, v.name))
}

// valueOutput is the stream of an outgoing-value, whose child it is.
type valueOutput struct {
	outputState
	child
}

func (*valueOutput) kind() kind { return kindValueOutput }

func (o *valueOutput) code(c *wasi.Coder) { o.outputState.code(c) }

func (o *valueOutput) write(s *System, p []byte) error {
	v, err := get[*outgoingValue](s, o.parent)
	if err != nil {
		return err
	}
	before := len(v.written.Rest)
	if min(before+len(p), blobstore.ChunkSize)-before > maxHeld-s.held {
		err = &blobstore.Error{Reason: "the values that are not finished, and other resources of the host, hold more than " + strconv.Itoa(maxHeld) + " bytes"}
	} else {
		err = s.containers.Write(&v.written, p)
	}
	if e := (*blobstore.Error)(nil); errors.As(err, &e) {
		v.failure, v.written = e.Reason, blobstore.Writing{}
	}
	s.held += len(v.written.Rest) - before
	return err
}

// incomingValue is an incoming-value: a part of an object.
type incomingValue struct{ blobstore.Reading }

func (*incomingValue) kind() kind { return kindIncomingValue }

func (v *incomingValue) code(c *wasi.Coder) {
	wasi.Uint(c, &v.End, blobstore.MaxSize)
	wasi.Uint(c, &v.At, v.End)
	wasi.Text(c, &v.Tail, int(min(v.End, blobstore.MaxTail)))
	codeBlobID(c, &v.ID)
}

func (v *incomingValue) weight() int { return entryCost + len(v.Tail) }

func valueSize(_ *System, v *incomingValue, _ []wit.Value) (wit.Value, error) { return v.Size(), nil }

// consumeValue reads all of a value.
func consumeValue(s *System, a []wit.Value) (wit.Value, error) {
	v, err := take[*incomingValue](s, a[0])
	if err != nil {
		return nil, err
	}
	if v.Size() > maxHeld {
		return failed("the value has " + strconv.FormatUint(v.Size(), 10) + " bytes, and one call gives at most " + strconv.Itoa(maxHeld) + ": consume it by its stream"), nil
	}
	all := make([]byte, 0, v.Size())
	for v.Size() > 0 {
		p, err := s.containers.Read(&v.Reading, maxTransfer)
		if err != nil {
			return blobResult(nil, err)
		}
		all = append(all, p...)
	}
	return ok(all), nil
}

func streamValue(s *System, a []wit.Value) (wit.Value, error) {
	v, err := take[*incomingValue](s, a[0])
	if err != nil {
		return nil, err
	}
	rep, err := s.add(&valueInput{incomingValue: *v}, 0)
	return ok(rep), err
}

// valueInput is the stream of an incoming-value, in whose place it is.
type valueInput struct {
	incomingValue
	closed bool
}

func (*valueInput) kind() kind { return kindValueInput }

func (i *valueInput) code(c *wasi.Coder) {
	i.incomingValue.code(c)
	c.Bool(&i.closed)
}

func (i *valueInput) ended(*System) bool { return i.closed }

func (i *valueInput) read(s *System, limit int, _ bool) ([]byte, error) {
	if i.Size() == 0 {
		i.closed = true
		return nil, errClosed
	}
	p, err := s.containers.Read(&i.Reading, limit)
	i.closed = err != nil
	return p, err
}
