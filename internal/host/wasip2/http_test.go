package wasip2

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/host/inbound"
	"github.com/waterbear-run/waterbear/internal/host/socket"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

const (
	newFieldsName = "[constructor]fields"
	fromList      = "[static]fields.from-list"
	getName       = "[method]fields.get"
	hasName       = "[method]fields.has"
	setName       = "[method]fields.set"
	deleteName    = "[method]fields.delete"
	appendName    = "[method]fields.append"
	entriesName   = "[method]fields.entries"
	cloneName     = "[method]fields.clone"

	newRequestName  = "[constructor]outgoing-request"
	newResponseName = "[constructor]outgoing-response"
	requestHeaders  = "[method]outgoing-request.headers"
	responseHeaders = "[method]outgoing-response.headers"
	requestBodyName = "[method]outgoing-request.body"
	respBodyName    = "[method]outgoing-response.body"
	bodyWrite       = "[method]outgoing-body.write"
	bodyFinish      = "[static]outgoing-body.finish"
	handleName      = "wasi:http/outgoing-handler#handle"
	outparamSet     = "[static]response-outparam.set"

	consumeRequest  = "[method]incoming-request.consume"
	bodyStream      = "[method]incoming-body.stream"
	incomingFinish  = "[static]incoming-body.finish"
	trailersGet     = "[method]future-trailers.get"
	responseGet     = "[method]future-incoming-response.get"
	httpCodeName    = "wasi:http/types#http-error-code"
	toDebugString   = "[method]error.to-debug-string"
	setStatusName   = "[method]outgoing-response.set-status-code"
	responseConsume = "[method]incoming-response.consume"
)

// pairs are entries of fields: names and values in turn.
func pairs(texts ...string) wit.Value {
	list := []wit.Value{}
	for i := 0; i < len(texts); i += 2 {
		list = append(list, []wit.Value{texts[i], []byte(texts[i+1])})
	}
	return list
}

func values(texts ...string) wit.Value {
	list := []wit.Value{}
	for _, t := range texts {
		list = append(list, []byte(t))
	}
	return list
}

// headers makes fields of names and values in turn.
func (r *rig) headers(texts ...string) wit.Value {
	r.t.Helper()
	return r.ok(fromList, pairs(texts...))
}

func TestFieldsKeepNamesAndOrder(t *testing.T) {
	r := newRig(t, wasi.Config{})
	f := r.headers("Set-Cookie", "a", "Accept", "x", "set-cookie", "b")
	r.equal(r.call(entriesName, f), pairs("Set-Cookie", "a", "Accept", "x", "set-cookie", "b"))
	r.equal(r.call(getName, f, "SET-COOKIE"), values("a", "b"))
	r.equal(r.call(hasName, f, "accept"), true)
	r.ok(appendName, f, "accept", []byte(""))
	r.ok(setName, f, "SET-Cookie", values("c", "d", "e"))
	r.equal(r.call(entriesName, f), pairs("SET-Cookie", "c", "SET-Cookie", "d", "SET-Cookie", "e", "Accept", "x", "accept", ""))
	clone := r.call(cloneName, f)
	r.ok(deleteName, f, "accept")
	r.ok(deleteName, f, "accept")
	r.equal(r.call(hasName, f, "accept"), false)
	r.equal(r.call(getName, f, "accept"), values())
	r.ok(setName, f, "set-cookie", values())
	r.equal(r.call(entriesName, f), pairs())
	r.ok(setName, f, "new", values("1"))
	r.equal(r.call(entriesName, f), pairs("new", "1"))
	r.equal(r.call(getName, clone, "accept"), values("x", ""))
	r.ok(appendName, clone, "accept", []byte("y")) // a clone can be changed
	r.drop(f, clone, r.call(newFieldsName))
	r.empty()
}

func TestFieldsRefuseWhatIsNoField(t *testing.T) {
	r := newRig(t, wasi.Config{})
	f := r.call(newFieldsName)
	refused := func(want, name, value string) {
		t.Helper()
		r.fails(want, appendName, f, name, []byte(value))
		r.fails(want, setName, f, name, values("fine", value))
		r.fails(want, fromList, pairs("fine", "x", name, value))
		r.equal(r.call(entriesName, f), pairs())
	}
	token := func(c rune) bool {
		return c < 0x80 && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c))
	}
	for c := range rune(0x180) {
		name := string(c)
		if token(c) {
			r.ok(setName, f, name, values("x"))
			r.ok(deleteName, f, name)
			continue
		}
		refused("invalid-syntax", name, "x")
		r.fails("invalid-syntax", deleteName, f, name)
		r.equal(r.call(hasName, f, name), false)
		r.equal(r.call(getName, f, name), values())
	}
	for c := range 0x100 {
		value := string([]byte{byte(c)})
		if c >= ' ' && c != 0x7f || c == '\t' {
			r.ok(appendName, f, "name", []byte(value))
			r.ok(deleteName, f, "name")
			continue
		}
		refused("invalid-syntax", "name", "a"+value+"b")
	}
	for _, name := range []string{"", "a b", "voilà", "a:"} {
		refused("invalid-syntax", name, "x")
	}
	for _, name := range forbiddenFields {
		refused("forbidden", name, "x")
		refused("forbidden", strings.ToUpper(name), "x")
		r.fails("forbidden", deleteName, f, name)
	}
	for _, length := range []string{"", "-1", "+1", "1.5", "1 ", "99999999999999999999", "ten"} {
		refused("invalid-syntax", "Content-Length", length)
	}
	r.ok(appendName, f, "content-length", []byte("18446744073709551615"))
	r.ok(appendName, f, strings.Repeat("x", 5000), []byte(""))
}

func TestHeadersOfAMessageCannotBeChanged(t *testing.T) {
	r := newRig(t, wasi.Config{})
	for constructor, headers := range map[string]string{newRequestName: requestHeaders, newResponseName: responseHeaders} {
		m := r.call(constructor, r.headers("a", "1", "B", "2"))
		h := r.call(headers, m)
		r.equal(r.call(entriesName, h), pairs("a", "1", "B", "2"))
		r.fails("immutable", setName, h, "a", values("2"))
		r.fails("immutable", appendName, h, "a", []byte("2"))
		r.fails("immutable", deleteName, h, "a")
		clone := r.call(cloneName, h)
		r.ok(setName, clone, "a", values("3"))
		r.equal(r.call(entriesName, h), pairs("a", "1", "B", "2"))
		r.keeps(m) // as long as its headers are there
		r.drop(h, m, clone)
	}
	r.empty()
}

func TestPartsOfRequestsAreChecked(t *testing.T) {
	other := func(s string) wit.Value { return wit.Case{Index: methodOther, Payload: s} }
	scheme := func(s string) wit.Value { return some(wit.Case{Index: schemeOther, Payload: s}) }
	for part, c := range map[string]struct {
		initial     wit.Value
		good, wrong []wit.Value
	}{
		"method": {
			label(methodGet),
			[]wit.Value{label(8), other("coucou"), other("M-SEARCH")},
			[]wit.Value{other(""), other("a b"), other("a\n"), other("ä")},
		},
		"path-with-query": {
			none,
			[]wit.Value{none, some(""), some("/"), some("*"), some("/a/../b?c=d&e[]={f}|g"), some("a/b"), some("?q"), some("/%20"), some("/ä")},
			[]wit.Value{some(" "), some("/a b"), some("/a\nb"), some("/a#b"), some("/\x7f"), some("/\""), some("/<>"), some("/\\"), some("/`")},
		},
		"scheme": {
			none,
			[]wit.Value{none, some(label(0)), some(label(schemeHTTPS)), scheme("ws"), scheme("a+b-c.1")},
			[]wit.Value{scheme(""), scheme("1a"), scheme("a b"), scheme("a:"), scheme("ä"), scheme("bad\nscheme")},
		},
		"authority": {
			none,
			[]wit.Value{
				none, some("localhost"), some("example.com:443"), some("1.2.3.4:80"), some("user:pass%20@example.com:80"),
				some("[::1]"), some("[2001:db8::1]:443"), some("@host"), some("a_b~c"),
			},
			[]wit.Value{
				some(""), some("::"), some(":@"), some("@@"), some("@:"), some(" "), some("#"), some("localhost:what"),
				some("localhost:"), some("localhost:65536"), some("localhost:+1"), some("[::1"), some("[::1]x"),
				some("[::1]:abc"), some("[]"), some("a b@host"), some("bad-\nhost"), some("ä"), some("a/b"), some(":80"),
			},
		},
	} {
		t.Run(part, func(t *testing.T) {
			r := newRig(t, wasi.Config{})
			request := r.call(newRequestName, r.headers())
			get, set := "[method]outgoing-request."+part, "[method]outgoing-request.set-"+part
			r.equal(r.call(get, request), c.initial)
			for _, v := range c.good {
				r.ok(set, request, v)
				r.equal(r.call(get, request), v)
			}
			last := c.good[len(c.good)-1]
			for _, v := range c.wrong {
				if r.failure(set, request, v) != "nothing" {
					t.Errorf("%v was taken", v)
				}
				r.equal(r.call(get, request), last)
			}
			r.drop(request)
			r.empty()
		})
	}
}

func TestBodiesAreWrittenOnceAndFinished(t *testing.T) {
	for _, c := range []struct {
		constructor, body, tooLong string
	}{
		{newRequestName, requestBodyName, "HTTP-request-body-size"}, {newResponseName, respBodyName, "HTTP-response-body-size"},
	} {
		r := newRig(t, wasi.Config{})
		m := r.call(c.constructor, r.headers("Content-Length", "5"))
		body := r.ok(c.body, m)
		r.equal(r.failure(c.body, m), "nothing")
		out := r.ok(bodyWrite, body)
		r.equal(r.failure(bodyWrite, body), "nothing")
		r.ok(writeFlush, out, []byte("hell"))
		r.keeps(body)
		r.traps("while its stream is there", bodyFinish, body, none)
		r.equal(r.call(ready, r.call(outSubscribe, out)), true)
		failure := r.call(writeFlush, out, []byte("o!")).(wit.Case).Payload.(wit.Case)
		code, _ := optional(r.call(httpCodeName, failure.Payload))
		r.equal(httpErrorCode.Fields[code.(wit.Case).Index].Name, c.tooLong)
		r.equal(code.(wit.Case).Payload, some(uint64(6)))
		r.equal(r.call(toDebugString, failure.Payload), c.tooLong+": 6")
		r.equal(r.call(fileCodeName, failure.Payload), none)
		r.fails("closed", writeFlush, out, []byte("o"))
	}

	r := newRig(t, wasi.Config{})
	for _, length := range []int{4, 5, 6} {
		m := r.call(newRequestName, r.headers("content-length", fmt.Sprint(length)))
		body := r.ok(requestBodyName, m)
		out := r.ok(bodyWrite, body)
		r.failure(writeFlush, out, []byte("hello"))
		r.drop(out)
		if length == 5 {
			r.ok(bodyFinish, body, some(r.headers("trailer", "x")))
			b, err := get[*outgoingBody](r.sys, body)
			must(t, err)
			r.equal([]any{b.finished, string(b.data), b.hasTrailers, b.trailers[0].name}, []any{true, "hello", true, "trailer"})
		} else {
			r.fails("HTTP-request-body-size", bodyFinish, body, none)
		}
		r.drop(m)
	}
}

func TestBodyLivesAsLongAsSomebodyNeedsIt(t *testing.T) {
	r := newRig(t, wasi.Config{})
	// The message goes first: nobody wants what is written any more.
	m := r.call(newRequestName, r.headers("a", "b"))
	body := r.ok(requestBodyName, m)
	out := r.ok(bodyWrite, body)
	r.ok(writeFlush, out, []byte("hello"))
	r.drop(m)
	r.fails("closed", writeFlush, out, []byte("hello"))
	r.drop(out)
	r.ok(bodyFinish, body, none)
	r.empty()
	// The body goes first: it has broken off.
	m = r.call(newRequestName, r.headers("a", "b"))
	body = r.ok(requestBodyName, m)
	r.drop(body)
	b, err := get[*outgoingBody](r.sys, body)
	must(t, err)
	r.equal(b.finished, false)
	r.drop(m)
	r.empty()
}

func TestContentLengthThatIsAmbiguousGivesNoBody(t *testing.T) {
	r := newRig(t, wasi.Config{})
	r.ok(requestBodyName, r.call(newRequestName, r.headers("content-length", "5", "Content-Length", "5")))
	r.equal(r.failure(requestBodyName, r.call(newRequestName, r.headers("content-length", "5", "Content-Length", "6"))), "nothing")
}

func TestRequestsAreDenied(t *testing.T) {
	r := newRig(t, wasi.Config{})
	request := func(scheme, authority wit.Value) wit.Value {
		m := r.call(newRequestName, r.headers("a", "b"))
		r.ok("[method]outgoing-request.set-scheme", m, scheme)
		r.ok("[method]outgoing-request.set-authority", m, authority)
		return m
	}
	r.fails("HTTP-request-denied", handleName, request(some(label(schemeHTTPS)), some("example.com")), none)
	r.fails("HTTP-request-denied", handleName, request(none, some("example.com")), some(r.call("[constructor]request-options")))
	r.fails("HTTP-request-URI-invalid", handleName, request(none, none), none)
	r.fails("HTTP-protocol-error", handleName, request(some(wit.Case{Index: schemeOther, Payload: "ws"}), some("h")), none)
	// The body goes on, to nobody.
	m := request(none, some("h"))
	body := r.ok(requestBodyName, m)
	r.fails("HTTP-request-denied", handleName, m, none)
	out := r.ok(bodyWrite, body)
	r.fails("closed", writeFlush, out, []byte("x"))
	r.drop(out, body)
	// What has children cannot be passed on.
	m = request(none, some("h"))
	h := r.call(requestHeaders, m)
	r.traps("is passed on while", handleName, m, none)
	r.drop(h, m)
	r.empty()
}

func TestTimeoutsOfRequestsAreKept(t *testing.T) {
	r := newRig(t, wasi.Config{})
	o := r.call("[constructor]request-options")
	for i, name := range []string{"connect-timeout", "first-byte-timeout", "between-bytes-timeout"} {
		r.equal(r.call("[method]request-options."+name, o), none)
		r.ok("[method]request-options.set-"+name, o, some(uint64(i+1)))
	}
	for i, name := range []string{"connect-timeout", "first-byte-timeout", "between-bytes-timeout"} {
		r.equal(r.call("[method]request-options."+name, o), some(uint64(i+1)))
		r.ok("[method]request-options.set-"+name, o, none)
		r.equal(r.call("[method]request-options."+name, o), none)
	}
	r.drop(o)
	r.empty()
}

func TestStatusCodesAreThoseOfHTTP(t *testing.T) {
	r := newRig(t, wasi.Config{})
	m := r.call(newResponseName, r.headers())
	r.equal(r.call("[method]outgoing-response.status-code", m), uint16(200))
	for _, code := range []uint16{0, 99, 600, 1000, 65535} {
		r.equal(r.failure(setStatusName, m, code), "nothing")
	}
	for _, code := range []uint16{100, 418, 599} {
		r.ok(setStatusName, m, code)
		r.equal(r.call("[method]outgoing-response.status-code", m), code)
	}
}

func TestResponseIsPutWhereTheHostFindsIt(t *testing.T) {
	r := newRig(t, wasi.Config{})
	served := newServed(&inbound.Request{Method: "GET", Path: "/"})
	request, param, err := r.sys.Serve(served.Serving)
	must(t, err)
	r.drop(request)
	r.fails("internal-error", "[method]response-outparam.send-informational", param, uint16(103), r.headers())
	r.fails("HTTP-protocol-error", "[method]response-outparam.send-informational", param, uint16(200), r.headers())
	m := r.call(newResponseName, r.headers("a", "b"))
	r.ok(setStatusName, m, uint16(404))
	body := r.ok(respBodyName, m)
	h := r.call(responseHeaders, m)
	r.traps("is passed on while", outparamSet, param, ok(m))
	r.drop(h)
	r.call(outparamSet, param, ok(m))
	// The program goes on writing.
	out := r.ok(bodyWrite, body)
	r.ok(writeFlush, out, []byte("not found"))
	r.drop(out)
	r.ok(bodyFinish, body, none)
	r.equal(served.told(t), `404 a=b "not found" end`)
	must(t, r.sys.EndServing())
	r.equal(served.result(t), `[{"status":404,"size":9}]`)
	r.empty()

	served = newServed(&inbound.Request{Method: "GET", Path: "/"})
	request, param, err = r.sys.Serve(served.Serving)
	must(t, err)
	r.drop(request)
	r.call(outparamSet, param, failed(wit.Case{Index: httpInternalError, Payload: some("why")}))
	must(t, r.sys.EndServing())
	r.equal(served.told(t), "")
	r.equal(served.result(t), `[{"failure":"internal-error: why"}]`)
	r.empty()
}

// request as it comes from outside.
func incomingExample() *incomingRequest {
	return &incomingRequest{
		incoming: incoming{
			headers: []field{{"Host", []byte("example.com")}},
			content: content{data: []byte("hello world"), hasTrailers: true, trailers: []field{{"t", []byte("1")}}},
		},
		parts: [...]wit.Value{label(2), some("/a?b"), some(label(schemeHTTPS)), some("example.com")},
	}
}

func TestRequestFromOutsideIsReadOnce(t *testing.T) {
	r := newRig(t, wasi.Config{})
	request, err := r.sys.add(incomingExample(), 0)
	must(t, err)
	r.equal(r.call("[method]incoming-request.method", request), label(2))
	r.equal(r.call("[method]incoming-request.path-with-query", request), some("/a?b"))
	r.equal(r.call("[method]incoming-request.scheme", request), some(label(schemeHTTPS)))
	r.equal(r.call("[method]incoming-request.authority", request), some("example.com"))
	h := r.call("[method]incoming-request.headers", request)
	r.equal(r.call(entriesName, h), pairs("Host", "example.com"))
	r.fails("immutable", appendName, h, "a", []byte("b"))
	r.keeps(request)
	body := r.ok(consumeRequest, request)
	r.equal(r.failure(consumeRequest, request), "nothing")
	r.drop(h, request) // the body goes on
	in := r.ok(bodyStream, body)
	r.equal(r.failure(bodyStream, body), "nothing")
	r.keeps(body)
	r.equal(r.ok(read, in, uint64(5)), []byte("hello"))
	r.equal(r.ok(blockingRead, in, uint64(100)), []byte(" world"))
	r.equal(r.call(ready, r.call(inSubscribe, in)), true)
	r.fails("closed", read, in, uint64(5))
	r.fails("closed", read, in, uint64(0))
	r.traps("is passed on while", incomingFinish, body)
}

func TestTrailersComeBehindABody(t *testing.T) {
	r := newRig(t, wasi.Config{})
	finish := func(c content) wit.Value {
		body, err := r.sys.add(&incomingBody{content: c}, 0)
		must(t, err)
		return r.call(incomingFinish, body)
	}
	with := finish(content{data: []byte("x"), hasTrailers: true, trailers: []field{{"a", []byte("b")}}})
	p := r.call("[method]future-trailers.subscribe", with)
	r.equal(r.call(ready, p), true)
	got := r.call(trailersGet, with).(wit.Case).Payload.(wit.Case).Payload.(wit.Case).Payload.(wit.Case)
	r.equal(r.call(entriesName, got.Payload), pairs("a", "b"))
	r.fails("immutable", deleteName, got.Payload, "a")
	r.keeps(with)
	r.equal(r.call(trailersGet, with), some(failed(nil)))
	r.drop(p, got.Payload, with)

	without := finish(content{})
	r.equal(r.call(trailersGet, without), some(ok(ok(none))))
	r.equal(r.call(trailersGet, without), some(failed(nil)))
	broken := finish(content{failure: &httpError{label(7)}})
	r.equal(r.call(trailersGet, broken), some(ok(failed(label(7)))))
	r.equal(r.call(trailersGet, broken), some(failed(nil)))
	r.drop(without, broken)
	r.empty()
}

func TestBodyThatBreaksOffTellsWhy(t *testing.T) {
	r := newRig(t, wasi.Config{})
	body, err := r.sys.add(&incomingBody{content: content{data: []byte("hel"), failure: &httpError{label(7)}}}, 0)
	must(t, err)
	in := r.ok(bodyStream, body)
	r.equal(r.ok(read, in, uint64(9)), []byte("hel"))
	r.fails("last-operation-failed: connection-terminated", read, in, uint64(9))
	r.fails("closed", read, in, uint64(9))
}

func TestResponseFromOutsideIsGotOnce(t *testing.T) {
	r := newRig(t, wasi.Config{})
	future, err := r.sys.add(&futureResponse{incomingResponse: incomingResponse{
		status: 204, incoming: incoming{headers: []field{{"A", []byte("b")}}, content: content{data: []byte("x")}},
	}}, 0)
	must(t, err)
	p := r.call("[method]future-incoming-response.subscribe", future)
	r.call(block, p)
	response := r.call(responseGet, future).(wit.Case).Payload.(wit.Case).Payload.(wit.Case).Payload
	r.equal(r.call(responseGet, future), some(failed(nil)))
	r.keeps(future)
	r.drop(p, future)
	r.equal(r.call("[method]incoming-response.status", response), uint16(204))
	h := r.call("[method]incoming-response.headers", response)
	r.equal(r.call(entriesName, h), pairs("A", "b"))
	body := r.ok(responseConsume, response)
	r.equal(r.failure(responseConsume, response), "nothing")
	r.drop(h, response, body)

	future, err = r.sys.add(&futureResponse{failure: &httpError{wit.Case{Index: 1, Payload: []wit.Value{some("x"), none}}}}, 0)
	must(t, err)
	r.equal(r.call(responseGet, future), some(ok(failed(wit.Case{Index: 1, Payload: []wit.Value{some("x"), none}}))))
	r.equal(r.call(responseGet, future), some(failed(nil)))
	r.drop(future)
	r.empty()
}

func TestErrorsAreShownToPeople(t *testing.T) {
	for want, v := range map[string]wit.Value{
		"DNS-timeout": label(0),
		"DNS-error: rcode NXDOMAIN, info-code unknown":         wit.Case{Index: 1, Payload: []wit.Value{some("NXDOMAIN"), none}},
		"HTTP-request-body-size: unknown":                      wit.Case{Index: httpRequestBodySize, Payload: none},
		"HTTP-request-header-size: field-name x, field-size 7": wit.Case{Index: 22, Payload: some([]wit.Value{some("x"), some(uint32(7))})},
	} {
		must(t, wit.Check(httpErrorCode, v))
		if got := (&httpError{v}).Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestCodesAreWhatTheyAreCalled(t *testing.T) {
	for index, name := range map[int]string{
		httpRequestDenied: "HTTP-request-denied", httpRequestBodySize: "HTTP-request-body-size",
		httpRequestURI: "HTTP-request-URI-invalid", httpResponseBodySize: "HTTP-response-body-size",
		httpProtocolError: "HTTP-protocol-error", httpInternalError: "internal-error",
	} {
		if got := httpErrorCode.Fields[index].Name; got != name {
			t.Errorf("%d is %s, not %s", index, got, name)
		}
	}
	for code := socket.Unknown; code <= socket.LastCode; code++ {
		if got := networkError.Fields[netCode(code).(wit.Case).Index].Name; got != code.String() {
			t.Errorf("%s is seen as %s", code, got)
		}
	}
}

func TestForbiddenFieldsAreInLowerCase(t *testing.T) {
	for _, name := range forbiddenFields {
		if name != strings.ToLower(name) {
			t.Errorf("%s would never be found", name)
		}
	}
	if !slices.IsSorted(forbiddenFields) {
		t.Error("they are not sorted")
	}
}
