package wasip2

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/inbound"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
	"github.com/waterbear-run/waterbear/wit"
)

// served is a request that a program answers, and the oplog that has the answer.
type served struct {
	*inbound.Serving
	store  *memory.Store
	writer *oplog.Writer
	stored string // the body, where the request has it elsewhere
}

var server = id.Worker{Component: "web", Name: "a"}

func newServed(q *inbound.Request) *served {
	s := &served{store: memory.New()}
	c, err := oplog.NewCommitter(context.Background(), sched.NewGoroutines(), s.store.Logs(), 0)
	if err != nil {
		panic(err)
	}
	s.writer = c.NewWriter(server, 0)
	session := durable.NewSession(context.Background(), durable.Config{
		Worker: server, Writer: s.writer, Cursor: oplog.NewCursor(s.store.Logs(), server, 1, 0),
	})
	s.Serving = inbound.NewServing(session, q, func(_ context.Context, offset uint64, limit int) ([]byte, error) {
		rest := s.stored[offset:]
		return []byte(rest[:min(limit, len(rest))]), nil
	})
	return s
}

// told is the response as the oplog has it: status, fields, body, end.
func (s *served) told(t testing.TB) string {
	t.Helper()
	must(t, s.writer.Commit(context.Background()))
	var parts []string
	var body strings.Builder
	for e, err := range oplog.Read(context.Background(), s.store.Logs(), server, 1, 0) {
		must(t, err)
		switch b := e.Body.(type) {
		case *oplog.Response:
			parts = append(parts, fmt.Sprint(b.Status))
			for _, f := range b.Fields {
				parts = append(parts, fmt.Sprintf("%s=%s", f.Name, []byte(f.Value)))
			}
		case *oplog.ResponseBody:
			body.Write(b.Bytes)
		case *oplog.ResponseEnd:
			parts = append(parts, fmt.Sprintf("%q end", body.String()))
			for _, f := range b.Trailers {
				parts = append(parts, fmt.Sprintf("%s=%s", f.Name, []byte(f.Value)))
			}
			if b.Failure != "" {
				parts = append(parts, "broken: "+b.Failure)
			}
		}
	}
	return strings.Join(parts, " ")
}

func (s *served) result(t testing.TB) string {
	t.Helper()
	b, err := s.Result()
	must(t, err)
	return string(b)
}

// serves lets a rig answer a request by do, and gives what it has answered.
func serves(t *testing.T, q *inbound.Request, do func(r *rig, s *served, request, param wit.Value)) string {
	t.Helper()
	r, s := newRig(t, wasi.Config{}), newServed(q)
	request, param, err := r.sys.Serve(s.Serving)
	must(t, err)
	do(r, s, request, param)
	must(t, r.sys.EndServing())
	return s.told(t)
}

// answers sets a response with these fields and gives its body's handle.
func (r *rig) answers(param wit.Value, status uint16, fields ...string) wit.Value {
	r.t.Helper()
	m := r.call(newResponseName, r.headers(fields...))
	r.ok(setStatusName, m, status)
	body := r.ok(respBodyName, m)
	r.call(outparamSet, param, ok(m))
	return body
}

func TestResponsesThatLieBreakOff(t *testing.T) {
	get := &inbound.Request{Method: "GET", Path: "/"}
	head := &inbound.Request{Method: "HEAD", Path: "/"}
	for name, c := range map[string]struct {
		q    *inbound.Request
		do   func(r *rig, s *served, request, param wit.Value)
		want string
	}{
		"a body that is too short": {get, func(r *rig, _ *served, _, param wit.Value) {
			body := r.answers(param, 200, "content-length", "5")
			out := r.ok(bodyWrite, body)
			r.ok(writeFlush, out, []byte("abc"))
			r.drop(out)
			r.equal(r.failure(bodyFinish, body, none), "HTTP-response-body-size")
		}, `200 content-length=5 "abc" end broken: the content-length is 5, and the program has written 3 bytes`},
		"a body that is too long": {get, func(r *rig, _ *served, _, param wit.Value) {
			body := r.answers(param, 200, "content-length", "5")
			out := r.ok(bodyWrite, body)
			r.ok(writeFlush, out, []byte("abc"))
			r.fails("last-operation-failed: HTTP-response-body-size: 6", writeFlush, out, []byte("def"))
		}, `200 content-length=5 "abc" end broken: the content-length is 5, and the program has written 3 bytes`},
		"a body that nobody finishes": {get, func(r *rig, _ *served, _, param wit.Value) {
			r.ok(writeFlush, r.ok(bodyWrite, r.answers(param, 200)), []byte("abc"))
		}, `200 "abc" end broken: the program has not finished it`},
		"a body that is dropped": {get, func(r *rig, s *served, _, param wit.Value) {
			body := r.answers(param, 200)
			r.drop(body)
			r.equal(s.Ended(), true)
		}, `200 "" end broken: the program has not finished it`},
		"lengths that differ": {get, func(r *rig, s *served, _, param wit.Value) {
			r.call(outparamSet, param, ok(r.call(newResponseName, r.headers("content-length", "1", "content-length", "2"))))
			must(t, r.sys.EndServing())
			r.equal(s.result(t), `[{"failure":"the content-length is no length"}]`)
		}, ""},
		"a status that is none of a response": {get, func(r *rig, s *served, _, param wit.Value) {
			m := r.call(newResponseName, r.headers())
			r.ok(setStatusName, m, uint16(101))
			r.call(outparamSet, param, ok(m))
			must(t, r.sys.EndServing())
			r.equal(s.result(t), `[{"failure":"101 is the status of no response"}]`)
		}, ""},
		"very many fields": {get, func(r *rig, s *served, _, param wit.Value) {
			f := r.headers()
			for range 50 {
				r.ok(appendName, f, "a", []byte(strings.Repeat("x", 4096)))
			}
			r.call(outparamSet, param, ok(r.call(newResponseName, f)))
			must(t, r.sys.EndServing())
			r.equal(s.result(t), `[{"failure":"the fields of the response have more than 131072 bytes"}]`)
		}, ""},
		"very many trailers": {get, func(r *rig, _ *served, _, param wit.Value) {
			body := r.answers(param, 200)
			f := r.headers()
			for range 50 {
				r.ok(appendName, f, "a", []byte(strings.Repeat("x", 4096)))
			}
			r.equal(r.failure(bodyFinish, body, some(f)), "HTTP-response-trailer-section-size")
		}, `200 "" end broken: the program has not finished it`},
		"the length that a GET would have got": {head, func(r *rig, _ *served, _, param wit.Value) {
			r.ok(bodyFinish, r.answers(param, 200, "content-length", "5"), none)
		}, `200 content-length=5 "" end`},
		"the length of what was not modified": {get, func(r *rig, _ *served, _, param wit.Value) {
			r.ok(bodyFinish, r.answers(param, 304, "content-length", "5"), none)
		}, `304 content-length=5 "" end`},
		"no body": {get, func(r *rig, s *served, _, param wit.Value) {
			r.call(outparamSet, param, ok(r.call(newResponseName, r.headers())))
			r.equal(s.Ended(), true)
		}, `200 "" end`},
		"a body that was there before the response": {get, func(r *rig, s *served, _, param wit.Value) {
			m := r.call(newResponseName, r.headers("content-length", "3"))
			body := r.ok(respBodyName, m)
			out := r.ok(bodyWrite, body)
			r.ok(writeFlush, out, []byte("ab"))
			r.equal(s.Begun(), false)
			r.call(outparamSet, param, ok(m))
			r.ok(writeFlush, out, []byte("c"))
			r.drop(out)
			r.ok(bodyFinish, body, some(r.headers("sum", "1")))
			r.equal(r.sys.held, len("/"))
		}, `200 content-length=3 "abc" end sum=1`},
		"a body that was finished before the response": {get, func(r *rig, _ *served, _, param wit.Value) {
			m := r.call(newResponseName, r.headers())
			body := r.ok(respBodyName, m)
			out := r.ok(bodyWrite, body)
			r.ok(writeFlush, out, []byte("ab"))
			r.drop(out)
			r.ok(bodyFinish, body, none)
			r.call(outparamSet, param, ok(m))
		}, `200 "ab" end`},
		"nothing": {get, func(r *rig, s *served, _, param wit.Value) {
			r.drop(param)
			must(t, r.sys.EndServing())
			r.equal(s.result(t), `[{"failure":"the program has set no response"}]`)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := serves(t, c.q, c.do); got != c.want {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestWhatIsLeftOfARequestLeadsNowhere(t *testing.T) {
	r := newRig(t, wasi.Config{})
	q := &inbound.Request{Method: "PUT", Path: "/", Body: inbound.Body{Size: 10, Stored: true}}
	first := newServed(q)
	first.stored = "0123456789"
	request, param, err := r.sys.Serve(first.Serving)
	must(t, err)
	in := r.ok(bodyStream, r.ok(consumeRequest, request))
	r.equal(r.ok(read, in, uint64(4)), []byte("0123"))
	second := r.answers(param, 200)
	out := r.ok(bodyWrite, second)
	r.ok(writeFlush, out, []byte("x"))
	must(t, r.sys.EndServing())
	// The call is over, and the program has all its handles still.
	r.fails("closed", writeFlush, out, []byte("y"))
	r.fails("last-operation-failed: connection-terminated", read, in, uint64(4))

	other := newServed(&inbound.Request{Method: "GET", Path: "/"})
	_, kept, err := r.sys.Serve(other.Serving)
	must(t, err)
	must(t, r.sys.EndServing())
	third := newServed(&inbound.Request{Method: "GET", Path: "/"})
	_, _, err = r.sys.Serve(third.Serving)
	must(t, err)
	r.call(outparamSet, kept, ok(r.call(newResponseName, r.headers())))
	must(t, r.sys.EndServing())
	r.equal(third.told(t), "")
	r.equal(third.result(t), `[{"failure":"the program has set no response"}]`)
}

func TestTheBodyOfARequestIsReadFromWhereItIs(t *testing.T) {
	q := &inbound.Request{
		Method: "PURGE", Scheme: "https", Authority: "example.com:8443", Path: "/a?b", Fields: []inbound.Field{{Name: "X-Y", Value: []byte("z")}},
		Body: inbound.Body{Size: 100_000, Stored: true}, Trailers: []inbound.Field{{Name: "t", Value: []byte("1")}},
	}
	serves(t, q, func(r *rig, s *served, request, param wit.Value) {
		s.stored = strings.Repeat("0123456789", 10_000)
		r.equal(r.call("[method]incoming-request.method", request), wit.Case{Index: methodOther, Payload: "PURGE"})
		r.equal(r.call("[method]incoming-request.scheme", request), some(label(schemeHTTPS)))
		r.equal(r.call("[method]incoming-request.authority", request), some("example.com:8443"))
		r.equal(r.call("[method]incoming-request.path-with-query", request), some("/a?b"))
		h := r.call("[method]incoming-request.headers", request)
		r.equal(r.call(entriesName, h), pairs("X-Y", "z"))
		body := r.ok(consumeRequest, request)
		in := r.ok(bodyStream, body)
		var got []byte
		for len(got) < len(s.stored) {
			got = append(got, r.ok(blockingRead, in, uint64(1<<20)).([]byte)...)
		}
		r.equal(string(got) == s.stored, true)
		r.fails("closed", blockingRead, in, uint64(1))
		r.drop(in)
		future := r.call(incomingFinish, body)
		got2 := r.call(trailersGet, future).(wit.Case).Payload.(wit.Case).Payload.(wit.Case).Payload.(wit.Case)
		r.equal(r.call(entriesName, got2.Payload), pairs("t", "1"))
	})
}
