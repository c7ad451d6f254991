package live

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/waterbear-run/waterbear/internal/host/exchange"
)

// outgoing is the body of a request that its program goes on writing, as package
// http reads it.
type outgoing struct {
	ctx     context.Context
	source  exchange.Source
	watch   *watch
	trailer http.Header  // filled at the end
	length  int64        // -1: it is in chunks
	http2   *atomic.Bool // the connection speaks it

	came int64 // bytes that Next has given
	left []byte
	err  error
}

// errTrailers refuses trailers that the protocol would lose.
var errTrailers = errors.New("there are trailers behind a body with a content-length, or that the field trailer of a request over HTTP/2 does not announce")

// Read implements io.Reader. Reading again is progress: what was read before is
// on its way.
func (o *outgoing) Read(p []byte) (int, error) {
	for len(o.left) == 0 {
		if o.err != nil {
			return 0, o.err
		}
		o.watch.sent()
		o.next()
	}
	n := copy(p, o.left)
	o.left = o.left[n:]
	return n, nil
}

// next takes what follows. The last bytes of a body of known length wait for its
// end: until the program has finished it, it must not look whole.
func (o *outgoing) next() {
	o.left, o.err = o.source.Next(o.ctx)
	o.came += int64(len(o.left))
	if o.err == nil && o.came == o.length {
		last := bytes.Clone(o.left)
		if o.left, o.err = o.source.Next(o.ctx); errors.Is(o.err, io.EOF) {
			if o.err = o.end(); errors.Is(o.err, io.EOF) {
				o.left = last
			}
		}
		return
	}
	if errors.Is(o.err, io.EOF) {
		o.err = o.end()
	}
}

// end gives the trailers to package http, and is how the body ends.
func (o *outgoing) end() error {
	o.watch.sent()
	for _, f := range o.source.Trailers() {
		name := http.CanonicalHeaderKey(f.Name)
		_, follows := o.trailer[name]
		if !o.http2.Load() {
			follows = o.length < 0
		}
		if !follows {
			return errTrailers
		}
		o.trailer[name] = append(o.trailer[name], string(f.Value))
	}
	return io.EOF
}

// Close implements io.Closer.
func (o *outgoing) Close() error {
	o.source.Close()
	return nil
}

// stream makes req one whose body goes on to be written.
func (r *httpReply) stream(ctx context.Context, req *http.Request) {
	req.ContentLength = -1
	req.Trailer = http.Header{}
	for _, f := range r.request.Headers {
		switch strings.ToLower(f.Name) {
		case "content-length":
			if n, err := strconv.ParseInt(string(f.Value), 10, 64); err == nil {
				req.ContentLength = n
			}
		case "trailer":
			for name := range strings.SplitSeq(string(f.Value), ",") {
				req.Trailer[http.CanonicalHeaderKey(strings.TrimSpace(name))] = nil
			}
		}
	}
	if req.ContentLength == 0 {
		req.ContentLength = -1 // which 0 means, too, for package http
	}
	req.Body = &outgoing{ctx: ctx, source: r.request.Source, watch: &r.watch, trailer: req.Trailer, length: req.ContentLength, http2: &r.http2}
}
