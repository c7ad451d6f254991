package live

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/sched"
)

// The defaults of timeouts, where the program says none.
const (
	connectTimeout   = 30 * time.Second
	firstByteTimeout = 2 * time.Minute
	betweenBytes     = 2 * time.Minute
)

// Bounds of HTTP.
const (
	// maxUnderWay is how many requests a node has under way at a time.
	maxUnderWay = 4096
	// bodyBuffer is how much of a body is read ahead of the program.
	bodyBuffer = 128 << 10
	// bodyPiece is how much is read at once.
	bodyPiece = 32 << 10
	// maxResponseHead bounds the head of a response, and its trailers.
	maxResponseHead = 256 << 10
)

// HTTP sends requests over the machine's network.
type HTTP struct {
	sched   sched.Scheduler
	pools   pools
	pieces  sync.Pool // of *[bodyPiece]byte
	changed sched.Condition

	mu       sync.Mutex
	underWay int
}

// NewHTTP makes a client that trusts the certificates that the machine does.
func NewHTTP(s sched.Scheduler) *HTTP {
	h := &HTTP{
		sched: s, changed: s.NewCondition(),
		pieces: sync.Pool{New: func() any { return new([bodyPiece]byte) }},
	}
	h.pools = pools{keep: h.keep, all: map[poolKey]*http.Transport{}}
	return h
}

// Close waits until nothing is under way: who began something ends it. Then it
// closes the connections that are kept.
func (h *HTTP) Close() {
	_ = h.changed.Wait(context.Background(), func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.underWay == 0
	})
	h.pools.close()
}

// enter counts a request, if there is room for it.
func (h *HTTP) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.underWay == maxUnderWay {
		return false
	}
	h.underWay++
	return true
}

func (h *HTTP) leave() {
	h.mu.Lock()
	h.underWay--
	h.mu.Unlock()
	h.changed.Wake()
}

// Begin implements exchange.Client. It follows no redirects, keeps no cookies and
// undoes no compression: what comes is for the program.
func (h *HTTP) Begin(ctx context.Context, r *exchange.Request, p exchange.Policy, leave func(context.Context) error, changed func()) exchange.Reply {
	reply := &httpReply{client: h, request: r, policy: p, leave: leave, wake: changed, room: h.sched.NewCondition()}
	if !h.enter() {
		reply.fail(&exchange.Failure{Reason: exchange.ConnectionLimit})
		return reply
	}
	ctx, reply.cancel = context.WithCancelCause(ctx)
	h.sched.Go("http", func() {
		defer h.leave()
		reply.run(ctx)
	})
	return reply
}

// httpReply is a request under way.
type httpReply struct {
	client  *HTTP
	request *exchange.Request
	policy  exchange.Policy
	leave   func(context.Context) error
	wake    func()
	room    sched.Condition
	cancel  context.CancelCauseFunc
	watch   watch
	http2   atomic.Bool // the connection speaks HTTP/2

	mu       sync.Mutex
	closed   bool
	answered bool
	head     exchange.Head
	buffer   []byte
	ended    bool
	end      exchange.Piece
}

// run sends the request and reads what comes back.
func (r *httpReply) run(ctx context.Context) {
	defer r.cancel(nil)
	if err := r.leave(ctx); err != nil {
		r.fail(failureOf(ctx, err))
		return
	}
	t := timeouts(r.request.Timeouts)
	r.watch.sched, r.watch.end = r.client.sched, r.cancel
	r.watch.phase(ctx, connecting, t.connect, errConnectTimeout)
	defer r.watch.stop()
	way := &leaving{cancel: r.cancel}
	trace := way.trace(ctx)
	take := trace.GotConn
	trace.GotConn = func(c httptrace.GotConnInfo) {
		r.http2.Store(isHTTP2(c.Conn))
		take(c)
		r.watch.phase(ctx, writing, t.firstByte, errWriteTimeout)
	}
	trace.WroteRequest = func(httptrace.WroteRequestInfo) { r.watch.phase(ctx, awaiting, t.firstByte, errFirstByteTimeout) }
	req, err := r.message(httptrace.WithClientTrace(ctx, trace))
	if err != nil {
		r.fail(&exchange.Failure{Reason: exchange.URIInvalid, Text: err.Error()})
		return
	}
	proxy, err := via(ctx, r.policy, req)
	var pool *http.Transport
	if err == nil {
		pool, err = r.client.pools.take(r.policy, proxy)
	}
	var response *http.Response
	if err == nil {
		response, err = way.roundTrip(pool, req, r.request.Streamed)
	} else if req.Body != nil {
		_ = req.Body.Close()
	}
	if err != nil {
		r.fail(way.failureOf(ctx, err))
		return
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusSwitchingProtocols {
		r.fail(&exchange.Failure{Reason: exchange.UpgradeFailed})
		return
	}
	r.watch.phase(ctx, receiving, t.between, errBetweenBytes)
	r.begin(exchange.Head{Status: uint16(response.StatusCode), Headers: fields(response.Header)})
	r.pump(ctx, response)
}

// message is the request as package http has it.
func (r *httpReply) message(ctx context.Context) (*http.Request, error) {
	var body io.Reader = http.NoBody
	if len(r.request.Body) > 0 {
		body = bytes.NewReader(r.request.Body)
	}
	if path := r.request.Path; path != "" && path[0] != '/' && path[0] != '?' {
		return nil, errURI
	}
	url := r.request.Scheme + "://" + r.request.Authority + r.request.Path
	req, err := http.NewRequestWithContext(ctx, r.request.Method, url, body)
	if err != nil {
		return nil, err
	}
	if req.URL.User != nil || req.URL.Host != r.request.Authority {
		return nil, errURI
	}
	req.Header["User-Agent"] = nil // none but the program's
	for _, f := range r.request.Headers {
		name := http.CanonicalHeaderKey(f.Name)
		if name == "Content-Length" {
			continue // it is known
		}
		req.Header[name] = append(req.Header[name], string(f.Value))
	}
	if r.request.Streamed {
		r.stream(ctx, req)
	}
	for _, f := range r.request.Trailers {
		if req.Trailer == nil {
			req.Trailer = http.Header{}
			req.ContentLength = -1 // only chunks have trailers behind them
		}
		req.Trailer.Add(f.Name, string(f.Value))
	}
	return req, nil
}

// isHTTP2 reports whether a connection speaks it.
func isHTTP2(c net.Conn) bool {
	secure, is := c.(*tls.Conn)
	return is && secure.ConnectionState().NegotiatedProtocol == "h2"
}

// errURI refuses what would lead to another host than the authority says.
var errURI = errors.New("the authority and the path are none of a URI")

// fields gives the names in lower case, in order.
func fields(header http.Header) []exchange.Field {
	var list []exchange.Field
	for name, values := range header {
		for _, v := range values {
			list = append(list, exchange.Field{Name: strings.ToLower(name), Value: []byte(v)})
		}
	}
	slices.SortStableFunc(list, func(a, b exchange.Field) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// pump reads the body ahead of the program.
func (r *httpReply) pump(ctx context.Context, response *http.Response) {
	piece, total := r.client.pieces.Get().(*[bodyPiece]byte), uint64(0)
	defer r.client.pieces.Put(piece)
	for {
		n, err := response.Body.Read(piece[:])
		r.watch.progress()
		total += uint64(n)
		if total > r.policy.MaxBody {
			r.finish(exchange.Piece{Failure: &exchange.Failure{Reason: exchange.ResponseBodySize, Size: total}})
			return
		}
		r.add(piece[:n])
		if errors.Is(err, io.EOF) {
			r.finish(exchange.Piece{Trailers: fields(response.Trailer)})
			return
		}
		if err != nil {
			r.finish(exchange.Piece{Failure: failureOf(ctx, err)})
			return
		}
		if !r.awaitRoom(ctx) {
			return
		}
	}
}

// awaitRoom waits until the program has taken enough. Meanwhile no time counts.
func (r *httpReply) awaitRoom(ctx context.Context) bool {
	room := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.buffer) < bodyBuffer
	}
	if room() {
		return true
	}
	r.watch.pause()
	defer r.watch.progress()
	return r.room.Wait(ctx, room) == nil
}

func (r *httpReply) begin(h exchange.Head) {
	r.change(func() { r.answered, r.head = true, h })
}

// fail says that there is no response.
func (r *httpReply) fail(f *exchange.Failure) {
	r.change(func() {
		r.answered, r.head = true, exchange.Head{Failure: f}
		r.ended, r.end = true, exchange.Piece{Failure: f}
	})
}

func (r *httpReply) add(p []byte) {
	if len(p) > 0 {
		r.change(func() { r.buffer = append(r.buffer, p...) })
	}
}

func (r *httpReply) finish(end exchange.Piece) { r.change(func() { r.ended, r.end = true, end }) }

// change lets those who wait see what do does, unless nobody wants to.
func (r *httpReply) change(do func()) {
	r.mu.Lock()
	closed := r.closed
	if !closed {
		do()
	}
	r.mu.Unlock()
	if !closed {
		r.wake()
	}
}

// Head implements exchange.Reply.
func (r *httpReply) Head() (exchange.Head, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head, r.answered
}

// Ready implements exchange.Reply.
func (r *httpReply) Ready() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.buffer) > 0 || r.ended
}

// Read implements exchange.Reply.
func (r *httpReply) Read(limit int) (exchange.Piece, bool) {
	r.mu.Lock()
	n := min(limit, len(r.buffer))
	p := exchange.Piece{Bytes: bytes.Clone(r.buffer[:n])}
	r.buffer = r.buffer[:copy(r.buffer, r.buffer[n:])]
	if r.ended && len(r.buffer) == 0 {
		p.End, p.Trailers, p.Failure = true, r.end.Trailers, r.end.Failure
	}
	r.mu.Unlock()
	r.room.Wake()
	return p, n > 0 || p.End
}

// Close implements exchange.Reply. The task ends by itself, soon.
func (r *httpReply) Close() {
	r.mu.Lock()
	r.closed, r.buffer = true, nil
	r.mu.Unlock()
	if r.cancel != nil {
		r.cancel(errHungUp)
	}
}

var errHungUp = errors.New("the program wants no answer any more")
