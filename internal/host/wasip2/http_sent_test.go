package wasip2

import (
	"fmt"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/host/await"
	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

// outside answers requests as it is told to.
type outside struct {
	sent    []exchange.Request
	come    bool // there is more for all who wait
	input   bool // there is input
	head    exchange.Head
	pieces  []exchange.Piece
	waits   int
	blocked int // reads that were to block
	hungUp  []uint64
	written []string          // the bodies that followed, what they ended with and what it carried
	taken   exchange.Progress // what the remote has taken beyond what was written
	looks   int               // how often that was asked for
}

func (o *outside) Write(x *exchange.Exchange, p []byte, end exchange.Ending, trailers []exchange.Field) error {
	for uint64(len(o.written)) < x.Call {
		o.written = append(o.written, "")
	}
	text := string(p)
	if len(p) > 100 {
		text = fmt.Sprintf("(%d)", len(p))
	}
	o.written[x.Call-1] += text + []string{"", ".", "!"}[end]
	for _, f := range trailers {
		o.written[x.Call-1] += f.Name + string(f.Value)
	}
	x.Written, x.Ended = x.Written+uint64(len(p)), end
	return nil
}

func (o *outside) Progress(x *exchange.Exchange, block bool) error {
	o.looks++
	if block {
		o.blocked++
		o.taken.Taken = x.Written
	}
	x.Taken, x.Over = o.taken.Taken, o.taken.Over
	return nil
}

func (o *outside) Send(r exchange.Request) (*exchange.Exchange, error) {
	if len(r.Path) > 1000 {
		return nil, exchange.ErrHead
	}
	o.sent = append(o.sent, r)
	return &exchange.Exchange{Call: uint64(len(o.sent)), Request: r}, nil
}

func (o *outside) Wait(deadline uint64, stdin bool, list []await.Event) (await.Readiness, error) {
	o.waits++
	r := await.Readiness{Now: deadline, Stdin: stdin && o.input, Come: make([]bool, len(list))}
	for i := range r.Come {
		r.Come[i] = list[i].Come()
	}
	return r, nil
}

func (o *outside) Event(x *exchange.Exchange) await.Event {
	return await.Event{Source: await.HTTP, ID: x.Call, Come: func() bool { return o.come }}
}

func (o *outside) RoomEvent(x *exchange.Exchange) await.Event {
	return await.Event{Source: await.Upload, ID: x.Call, Come: func() bool { return o.come }}
}

func (o *outside) Outcome(x *exchange.Exchange) (exchange.Head, error) {
	x.Answered = true
	return o.head, nil
}

func (o *outside) Read(_ *exchange.Exchange, _ int, block bool) (exchange.Piece, error) {
	if block {
		o.blocked++
	}
	if len(o.pieces) == 0 {
		return exchange.Piece{}, nil
	}
	p := o.pieces[0]
	o.pieces = o.pieces[1:]
	return p, nil
}

func (o *outside) HangUp(call uint64) { o.hungUp = append(o.hungUp, call) }

// request makes an outgoing-request to http.
func (r *rig) request(method, authority, path string) wit.Value {
	r.t.Helper()
	m := r.call(newRequestName, r.headers("a", "b"))
	methods := map[string]uint32{"GET": 0, "POST": 2, "PUT": 3, "CONNECT": 5}
	r.ok("[method]outgoing-request.set-method", m, label(methods[method]))
	r.ok("[method]outgoing-request.set-scheme", m, some(label(schemeHTTP)))
	r.ok("[method]outgoing-request.set-authority", m, some(authority))
	r.ok("[method]outgoing-request.set-path-with-query", m, some(path))
	return m
}

const (
	futureSubscribe = "[method]future-incoming-response.subscribe"
)

func newSender(t *testing.T) (*rig, *outside) {
	o := &outside{}
	return newRig(t, wasi.Config{HTTP: o, Events: o}), o
}

func TestARequestLeavesWhenItIsWhole(t *testing.T) {
	r, o := newSender(t)
	m := r.request("POST", "example.com:80", "/a?b")
	body := r.ok(requestBodyName, m)
	options := r.call("[constructor]request-options")
	r.ok("[method]request-options.set-connect-timeout", options, some(uint64(5)))
	future := r.ok(handleName, m, some(options))
	out := r.ok(bodyWrite, body)
	r.ok(writeFlush, out, []byte("hello"))
	r.drop(out)
	if len(o.sent) != 0 {
		t.Fatal("it left before its body was finished")
	}
	r.ok(bodyFinish, body, some(r.headers("t", "1")))
	if len(o.sent) != 1 {
		t.Fatalf("%d requests have left", len(o.sent))
	}
	got := o.sent[0]
	got.Headers, got.Trailers = nil, nil
	want := exchange.Request{Method: "POST", Scheme: "http", Authority: "example.com:80", Path: "/a?b", Body: []byte("hello"), Timeouts: exchange.Timeouts{Connect: 5}}
	r.equal(fmt.Sprint(got), fmt.Sprint(want))
	r.equal(fmt.Sprint(o.sent[0].Headers, o.sent[0].Trailers), fmt.Sprint([]exchange.Field{{Name: "a", Value: []byte("b")}}, []exchange.Field{{Name: "t", Value: []byte("1")}}))
	r.equal(r.call(responseGet, future), none)
	r.drop(future)
	r.equal(fmt.Sprint(o.hungUp), "[1]")
	r.empty()
}

// begun sends a request of which the body goes on, and gives its future, its body
// and the stream of that.
func (r *rig) begun(length ...string) (future, body, out wit.Value) {
	r.t.Helper()
	m := r.call(newRequestName, r.headers(length...))
	r.ok("[method]outgoing-request.set-method", m, label(2))
	r.ok("[method]outgoing-request.set-authority", m, some("h"))
	body = r.ok(requestBodyName, m)
	return r.ok(handleName, m, none), body, r.ok(bodyWrite, body)
}

// TestABodyLeavesWhileItIsWritten lets a request leave by all that the program can
// wait for, and what follows of its body.
func TestABodyLeavesWhileItIsWritten(t *testing.T) {
	for name, wait := range map[string]func(r *rig, future wit.Value){
		"it waits for the answer":     func(r *rig, future wit.Value) { r.call(block, r.call(futureSubscribe, future)) },
		"it looks for the answer":     func(r *rig, future wit.Value) { r.call(responseGet, future) },
		"it asks whether it is there": func(r *rig, future wit.Value) { r.call(ready, r.call(futureSubscribe, future)) },
		"it sleeps":                   func(r *rig, _ wit.Value) { r.call(block, r.call(subDuration, uint64(1000))) },
		"its invocation ends":         func(r *rig, _ wit.Value) { must(r.t, r.sys.Settle()) },
	} {
		t.Run(name, func(t *testing.T) {
			r, o := newSender(t)
			future, body, out := r.begun()
			r.ok(writeFlush, out, []byte("ab"))
			r.equal(len(o.sent), 0)
			wait(r, future)
			if len(o.sent) != 1 || !o.sent[0].Streamed || o.sent[0].Body != nil {
				t.Fatalf("got %+v", o.sent)
			}
			r.equal(o.written[0], "ab")
			r.ok(writeFlush, out, []byte("c"))
			r.equal(o.written[0], "ab")
			again := r.reopened(wasi.Config{HTTP: o, Events: o})
			again.ok(writeFlush, out, []byte("d"))
			wait(again, future)
			again.equal(o.written[0], "abcd")
			again.ok(writeFlush, out, []byte("e"))
			again.drop(out)
			again.ok(bodyFinish, body, some(again.headers("t", "1")))
			again.equal(o.written[0], "abcde.t1")
		})
	}
}

func TestALongBodyLeavesInChunks(t *testing.T) {
	r, o := newSender(t)
	future, body, out := r.begun()
	for range exchange.MaxChunk / 4096 {
		r.equal(len(o.sent), 0)
		r.ok(writeFlush, out, make([]byte, 4096))
	}
	r.equal(o.written[0], fmt.Sprintf("(%d)", exchange.MaxChunk))
	r.drop(out)
	r.ok(bodyFinish, body, none)
	r.equal(o.written[0], fmt.Sprintf("(%d).", exchange.MaxChunk))
	r.drop(future)
	r.empty()
}

// TestABodyHasRoomForAWindow writes as much as there is room for, and waits for
// more in every way there is.
func TestABodyHasRoomForAWindow(t *testing.T) {
	r, o := newSender(t)
	_, _, out := r.begun()
	r.ok(checkWriteName, out)
	r.ok(writeName, out, make([]byte, exchange.MaxChunk))
	total := exchange.MaxChunk
	for {
		n := r.ok(checkWriteName, out).(uint64)
		if n == 0 {
			break
		}
		r.ok(writeName, out, make([]byte, n))
		total += int(n)
	}
	r.equal(total, exchange.Window)
	r.traps("check-write has permitted 0", writeName, out, []byte("x"))
	p := r.call(outSubscribe, out)
	r.equal(r.call(ready, p), false)
	o.taken.Taken = exchange.MaxChunk
	r.equal(r.ok(checkWriteName, out), uint64(exchange.MaxChunk))
	r.equal(r.call(ready, p), true)
	r.ok(writeName, out, make([]byte, exchange.MaxChunk))
	o.come = true
	r.call(block, p)
	waits, blocked := o.waits, o.blocked
	r.equal(r.call(ready, p), true) // what it was told once holds
	r.equal(o.waits, waits)
	r.ok(writeFlush, out, []byte("x"))
	r.equal(o.blocked, blocked+1)
	o.taken.Over = true
	for range 2 * exchange.Window / 4096 {
		if v := r.call(writeFlush, out, make([]byte, 4096)).(wit.Case); v.Index == 1 {
			r.fails("closed", checkWriteName, out)
			return
		}
	}
	t.Error("it writes for ever what nobody takes")
}

func TestABodyThatIsGivenUpIsNotWhole(t *testing.T) {
	r, o := newSender(t)
	future, body, out := r.begun()
	r.ok(writeFlush, out, []byte("ab"))
	r.call(responseGet, future)
	r.drop(out, body)
	r.equal(o.written[0], "ab!")
	// So is one that is shorter than it is said to be.
	_, body, out = r.begun("content-length", "3")
	r.ok(writeFlush, out, []byte("ab"))
	must(t, r.sys.Settle())
	r.drop(out)
	r.fails("HTTP-request-body-size", bodyFinish, body, none)
	r.equal(o.written[1], "ab!")
	// Nobody writes for a request of which nothing is wanted back.
	future, body, out = r.begun()
	r.ok(writeFlush, out, []byte("ab"))
	must(t, r.sys.Settle())
	r.drop(future)
	r.fails("closed", writeFlush, out, []byte("c"))
	r.drop(out, body)
	r.equal(o.written[2], "ab")
}

// TestABodyOfAnAnswerComesWhileOneIsWritten is a request that goes both ways.
func TestABodyOfAnAnswerComesWhileOneIsWritten(t *testing.T) {
	r, o := newSender(t)
	future, body, out := r.begun()
	r.ok(writeFlush, out, []byte("a"))
	o.come, o.head = true, exchange.Head{Status: 200}
	r.call(block, r.call(futureSubscribe, future))
	response := r.call(responseGet, future).(wit.Case).Payload.(wit.Case).Payload.(wit.Case).Payload
	in := r.ok(bodyStream, r.ok(responseConsume, response))
	for _, text := range []string{"b", "c"} {
		r.ok(writeFlush, out, []byte(text))
		o.pieces = []exchange.Piece{{Bytes: []byte(text)}}
		r = r.reopened(wasi.Config{HTTP: o, Events: o})
		r.equal(r.ok(blockingRead, in, uint64(9)), []byte(text))
	}
	r.equal(o.written[0], "abc")
	r.drop(out)
	r.ok(bodyFinish, body, none)
	r.equal(o.written[0], "abc.")
}

// TestMoreThanAWindowThatWasWrittenBeforeLeavesAsTheRemoteTakesIt writes much
// before the request is handed over.
func TestMoreThanAWindowThatWasWrittenBeforeLeavesAsTheRemoteTakesIt(t *testing.T) {
	r, o := newSender(t)
	m := r.request("POST", "h", "/")
	body := r.ok(requestBodyName, m)
	out := r.ok(bodyWrite, body)
	r.ok(checkWriteName, out)
	r.ok(writeName, out, make([]byte, 3*exchange.Window))
	future := r.ok(handleName, m, none)
	r.call(responseGet, future)
	r.equal(o.written[0], strings.Repeat(fmt.Sprintf("(%d)", exchange.MaxChunk), 12))
	r.equal(o.blocked > 0, true)
	r.drop(out)
	r.ok(bodyFinish, body, none)
	r.drop(future)
	r.empty()
}

func TestABodyThatBreaksOffLeavesNoRequest(t *testing.T) {
	r, o := newSender(t)
	m := r.request("POST", "h", "/")
	body := r.ok(requestBodyName, m)
	future := r.ok(handleName, m, none)
	r.drop(body)
	r.call(block, r.call(futureSubscribe, future))
	got := r.call(responseGet, future).(wit.Case).Payload.(wit.Case).Payload
	r.equal(got, failed(label(httpProtocolError)))
	r.equal(len(o.sent), 0)
}

func TestWhatIsNoRequestIsRefused(t *testing.T) {
	r, o := newSender(t)
	r.fails("HTTP-request-method-invalid", handleName, r.request("CONNECT", "h", "/"), none)
	r.fails("HTTP-request-URI-invalid", handleName, r.request("GET", "user@h", "/"), none)
	r.fails("HTTP-request-URI-invalid", handleName, r.request("GET", "h", ".evil.example/"), none)
	long := r.ok(handleName, r.request("GET", "h", "/"+fmt.Sprintf("%01001d", 0)), none)
	r.equal(r.call(responseGet, long).(wit.Case).Payload.(wit.Case).Payload, failed(wit.Case{Index: httpRequestHeaders, Payload: none}))
	r.equal(len(o.sent), 0)
	r.drop(long)
	for range maxSent {
		r.ok(handleName, r.request("GET", "h", "/"), none)
	}
	r.fails("connection-limit-reached", handleName, r.request("GET", "h", "/"), none)
}

func TestAResponseComesInPieces(t *testing.T) {
	r, o := newSender(t)
	future := r.ok(handleName, r.request("GET", "h", "/"), none)
	p := r.call(futureSubscribe, future)
	r.equal(r.call(ready, p), false)
	o.come, o.head = true, exchange.Head{Status: 201, Headers: []exchange.Field{{Name: "x", Value: []byte("y")}}}
	r.call(block, p)
	waits := o.waits
	response := r.call(responseGet, future).(wit.Case).Payload.(wit.Case).Payload.(wit.Case).Payload
	r.equal(o.waits, waits) // what it was told once holds
	r.drop(p, future)
	r.equal(r.call("[method]incoming-response.status", response), uint16(201))
	body := r.ok(responseConsume, response)
	r.drop(response)
	in := r.ok(bodyStream, body)
	o.come = false
	p = r.call(inSubscribe, in)
	r.equal(r.call(ready, p), false)
	r.equal(r.ok(read, in, uint64(9)), []byte{})
	o.come, o.pieces = true, []exchange.Piece{{Bytes: []byte("ab")}, {Bytes: []byte("c"), End: true, Trailers: []exchange.Field{{Name: "t", Value: []byte("1")}}}}
	r.call(block, p)
	// It was told that there is something, so it gets something.
	r.equal(r.ok(read, in, uint64(9)), []byte("ab"))
	r.equal(o.blocked, 1)
	again := r.reopened(wasi.Config{HTTP: o, Events: o})
	r.equal(again.ok(read, in, uint64(9)), []byte("c"))
	r.equal(fmt.Sprint(o.hungUp), "[1]")
	again.fails("closed", read, in, uint64(9))
	again.drop(p, in)
	trailers := again.call(incomingFinish, body)
	got := again.call(trailersGet, trailers).(wit.Case).Payload.(wit.Case).Payload.(wit.Case).Payload.(wit.Case)
	again.equal(again.call(entriesName, got.Payload), pairs("t", "1"))
	again.drop(got.Payload, trailers)
	again.empty()
}

func TestFailuresAreErrorCodes(t *testing.T) {
	for want, f := range map[string]exchange.Failure{
		"DNS-error: rcode NXDOMAIN, info-code unknown":                   {Reason: exchange.DNSError, Text: "NXDOMAIN"},
		"connection-refused":                                             {Reason: exchange.ConnectionRefused},
		"TLS-alert-received: alert-id 42, alert-message bad certificate": {Reason: exchange.TLSAlert, Size: 42, Text: "bad certificate"},
		"HTTP-response-body-size: 99":                                    {Reason: exchange.ResponseBodySize, Size: 99},
		"HTTP-response-header-section-size: unknown":                     {Reason: exchange.ResponseHeaderSize},
		"internal-error: x":                                              {Reason: exchange.InternalError, Text: "x"},
	} {
		r, o := newSender(t)
		o.come, o.head.Failure = true, &f
		future := r.ok(handleName, r.request("GET", "h", "/"), none)
		got := r.call(responseGet, future).(wit.Case).Payload.(wit.Case).Payload.(wit.Case)
		r.equal((&httpError{got.Payload}).Error(), want)
		r.equal(r.call(responseGet, future), some(failed(nil)))
		r.drop(future)
		r.empty()
	}
	// The reasons are numbered as the WIT has them.
	for n, c := range httpErrorCode.Fields {
		if name := exchange.Reason(n).String(); name != c.Name && name != fmt.Sprintf("Reason(%d)", n) {
			t.Errorf("reason %d is %s, and the WIT says %s", n, name, c.Name)
		}
	}
}

func TestABodyFromOutsideThatBreaksOffTellsWhy(t *testing.T) {
	r, o := newSender(t)
	o.come, o.head, o.pieces = true, exchange.Head{Status: 200}, []exchange.Piece{{End: true, Failure: &exchange.Failure{Reason: exchange.ConnectionTerminated}}}
	future := r.ok(handleName, r.request("GET", "h", "/"), none)
	response := r.call(responseGet, future).(wit.Case).Payload.(wit.Case).Payload.(wit.Case).Payload
	in := r.ok(bodyStream, r.ok(responseConsume, response))
	r.fails("last-operation-failed: connection-terminated", blockingRead, in, uint64(9))
	r.fails("closed", read, in, uint64(9))
}
