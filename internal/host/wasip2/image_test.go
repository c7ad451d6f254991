package wasip2

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/internal/host/blobstore"
	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/socket"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
	"github.com/waterbear-run/waterbear/wit/wittest"
)

// program is a program that does anything, as two systems see it: one that goes
// on all the time, and one that is restored from an image now and then.
type program struct {
	t           *testing.T
	seed        uint64
	chance      *rand.Rand
	steady      *rig
	interrupted *rig
}

func newProgram(t *testing.T, seed uint64) *program {
	p := &program{t: t, seed: seed, chance: rand.New(rand.NewPCG(seed, 0))}
	for _, r := range []**rig{&p.steady, &p.interrupted} {
		*r = newRig(t, wasi.Config{MaxFiles: 6, Terminal: [3]bool{true, true, true}})
		(*r).stdin = [][]byte{[]byte("one"), []byte("two")}
		for _, resource := range []resource{
			incomingExample(), &outparam{}, &outparam{},
			&futureResponse{failure: &httpError{wit.Case{Index: 1, Payload: []wit.Value{some("x"), some(uint16(3))}}}},
			&futureResponse{incomingResponse: incomingResponse{incoming: incomingExample().incoming, status: 201}},
		} {
			_, err := (*r).sys.add(resource, 0)
			must(t, err)
		}
		request := (*r).call(newRequestName, (*r).headers("content-length", "5"))
		out := (*r).ok(bodyWrite, (*r).ok(requestBodyName, request))
		(*r).ok(writeFlush, out, []byte("hell"))
	}
	return p
}

// pick takes one of some.
func pick[T any](p *program, list []T) T { return list[p.chance.IntN(len(list))] }

// fatalf ends the test and tells the seed.
func (p *program) fatalf(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf("seed %d: %s", p.seed, fmt.Sprintf(format, args...))
}

// handles are what the program has of a resource type.
func (p *program) handles(of *wit.Resource) (reps []uint32) {
	for n, e := range p.steady.sys.resources.All() {
		if isOf(e.resource, of) {
			reps = append(reps, n+1)
		}
	}
	return reps
}

// isOf tells whether a program can have a handle of this type to a resource.
func isOf(r resource, of *wit.Resource) bool {
	switch r := r.(type) {
	case input:
		return of == inputStream
	case output:
		return of == outputStream
	case *streamError:
		return of == errorResource
	case *pollable:
		return of == pollableResource
	case *descriptor:
		return of == descriptorResource
	case *entries:
		return of == entryStream
	case *network:
		return of == networkResource
	case *fields:
		return of == fieldsResource
	case *requestOptions:
		return of == requestOptionsHandle
	case *outgoingRequest:
		return of == outgoingRequestHandle
	case *outgoingResponse:
		return of == outgoingResponseHandle
	case *outgoingBody:
		return of == outgoingBodyHandle && r.handled
	case *incomingRequest:
		return of == incomingRequestHandle
	case *incomingResponse:
		return of == incomingResponseHandle
	case *incomingBody:
		return of == incomingBodyHandle
	case *futureTrailers:
		return of == futureTrailersHandle
	case *futureResponse:
		return of == futureResponseHandle
	case *outparam:
		return of == responseOutparamHandle
	}
	return false
}

// argument makes a value up, or says that the program has no such handle.
func (p *program) argument(t *wit.Type) (wit.Value, bool) {
	switch t.Kind {
	case wit.Own, wit.Borrow:
		reps := p.handles(t.Resource)
		if len(reps) == 0 {
			return nil, false
		}
		if p.chance.IntN(2) == 0 { // rather those that it has just got
			reps = reps[max(0, len(reps)-2):]
		}
		return pick(p, reps), true
	case wit.String:
		return pick(p, []string{"a", "b", "dir", "dir/c", "..", "", "Accept", "host", "x y", "content-length"}), true
	case wit.U64:
		return pick(p, []uint64{0, 1, 3, 4096, maxTransfer, filesystem.MaxFileSize, math.MaxUint64}), true
	case wit.List:
		return p.list(t)
	case wit.Record, wit.Tuple:
		parts := make([]wit.Value, len(t.Fields))
		for i, f := range t.Fields {
			var have bool
			if parts[i], have = p.argument(f.Type); !have {
				return nil, false
			}
		}
		return parts, true
	case wit.Option:
		return p.caseOf(nil, t.Elem)
	case wit.Result:
		return p.caseOf(t.Elem, t.Err)
	case wit.Variant, wit.Enum:
		var cases []*wit.Type
		for _, f := range t.Fields {
			cases = append(cases, f.Type)
		}
		return p.caseOf(cases...)
	case wit.Flags:
		return p.chance.Uint32N(1 << len(t.Fields)), true
	case wit.U8:
		return uint8(p.chance.Uint32()), true
	case wit.U16:
		return pick(p, []uint16{0, 103, 200, 404, 600}), true
	case wit.U32:
		return p.chance.Uint32(), true
	}
	panic("no argument of kind " + t.Kind.String())
}

func (p *program) caseOf(cases ...*wit.Type) (wit.Value, bool) {
	c := wit.Case{Index: p.chance.Uint32N(uint32(len(cases)))}
	have := true
	if t := cases[c.Index]; t != nil {
		c.Payload, have = p.argument(t)
	}
	return c, have
}

func (p *program) list(t *wit.Type) (wit.Value, bool) {
	if t.Elem.Kind == wit.U8 {
		return []byte(pick(p, []string{"", "5", "hello", strings.Repeat("x", 5000)})), true
	}
	list := []wit.Value{}
	for range p.chance.IntN(4) {
		v, have := p.argument(t.Elem)
		if !have {
			return nil, false
		}
		list = append(list, v)
	}
	return list, true
}

// step calls a function, or drops a resource, in both systems.
func (p *program) step(names []string) {
	name := pick(p, append(names, "drop"))
	if name == "drop" {
		p.drop()
		return
	}
	if strings.HasSuffix(name, "random-bytes") || name == "wasi:cli/exit#exit" {
		return
	}
	var args []wit.Value
	used := map[uint32]bool{}
	for _, param := range declared()[name].typ.Params {
		v, have := p.argument(param.Type)
		if !have {
			return
		}
		// A handle that is passed on cannot be in the call a second time.
		h := v
		if c, is := v.(wit.Case); is && param.Type.Elem != nil {
			h = c.Payload
		}
		if rep, is := h.(uint32); is && handleIn(param.Type) {
			if used[rep] && !isBorrow(param.Type) {
				return
			}
			used[rep] = true
		}
		args = append(args, v)
	}
	want, wantErr := p.steady.try(name, args...)
	got, gotErr := p.interrupted.try(name, args...)
	if fmt.Sprint(wantErr) != fmt.Sprint(gotErr) || !wittest.Equal(got, want) {
		p.fatalf("%s%v: got %v, %v, and after a restoration %v, %v", name, args, want, wantErr, got, gotErr)
	}
}

func isBorrow(t *wit.Type) bool { return t.Kind == wit.Borrow }

// handleIn tells whether values of t are handles, or results or options of one.
func handleIn(t *wit.Type) bool { return t.Resource != nil || t.Elem != nil && t.Elem.Resource != nil }

func (p *program) drop() {
	var reps []uint32
	for n, e := range p.steady.sys.resources.All() {
		b, isBody := e.resource.(*outgoingBody)
		if !isBody || b.handled {
			reps = append(reps, n+1)
		}
	}
	if len(reps) == 0 {
		return
	}
	rep := pick(p, reps)
	want, got := p.steady.sys.drop(rep), p.interrupted.sys.drop(rep)
	if fmt.Sprint(want) != fmt.Sprint(got) {
		p.fatalf("drop %d: got %v, and after a restoration %v", rep, want, got)
	}
}

// check finds the accounts of a system to be right.
func (p *program) check(s *System) {
	held, files, children := 0, 0, map[uint32]int{}
	for _, e := range s.resources.All() {
		held += weight(e.resource)
		if e.kind() == kindDescriptor {
			files++
		}
		children[e.parent]++
	}
	if held != s.held || files != s.files {
		p.fatalf("%d bytes are held and %d files are open, and the system says %d and %d", held, files, s.held, s.files)
	}
	for n, e := range s.resources.All() {
		if e.children != children[n+1] {
			p.fatalf("resource %d has %d children, and says %d", n+1, children[n+1], e.children)
		}
	}
}

func TestRestoredProgramGoesOnWithTheSameHandles(t *testing.T) {
	names := make([]string, 0, len(declared()))
	for name := range declared() {
		names = append(names, name)
	}
	slices.Sort(names)
	config := wasi.Config{MaxFiles: 6, Terminal: [3]bool{true, true, true}}
	for seed := range uint64(60) {
		p := newProgram(t, seed)
		for range 400 {
			p.step(names)
			p.check(p.steady.sys)
			p.check(p.interrupted.sys)
			if p.chance.IntN(8) == 0 {
				p.interrupted = p.interrupted.reopened(config)
			}
		}
		if a, b := p.steady.sys.AppendState(nil), p.interrupted.sys.AppendState(nil); string(a) != string(b) {
			p.fatalf("the state is %x, and after restorations %x", a, b)
		}
		if a, b := p.steady.everyFile(), p.interrupted.everyFile(); a != b {
			p.fatalf("the files are %s, and after restorations %s", a, b)
		}
		must(t, p.steady.sys.Close())
		p.steady.empty()
	}
}

// everyFile shows all files and the beginning of what is in them.
func (r *rig) everyFile() string {
	r.t.Helper()
	var text strings.Builder
	must(r.t, fs.WalkDir(r.fs.View(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		file, err := r.fs.Lookup(filesystem.Root, path, false)
		must(r.t, err)
		size, err := r.fs.Size(file)
		must(r.t, err)
		content, err := r.sys.readFile(file, 64<<10, 0)
		fmt.Fprintf(&text, "%s %d %x\n", path, size, sha256.Sum256(content))
		return err
	}))
	return text.String()
}

// everything has one of every resource, so that every kind is in its state.
func everything(t rapid.TB) *rig {
	r := newRig(t, wasi.Config{MaxFiles: 20, Terminal: [3]bool{true, true, true}})
	dir := r.root()
	f := r.create(dir, "file", "text")
	r.ok(readStream, f, uint64(1))
	r.ok(writeStream, f, uint64(2))
	r.ok(appendStream, f)
	r.ok(entryName, r.ok(readDirName, dir))
	r.call(inSubscribe, r.call(getStdinName))
	r.ok(checkWriteName, r.call(getStdoutName))
	r.call(subInstant, uint64(12345))
	r.call("wasi:cli/terminal-stdin#get-terminal-stdin")
	r.call("wasi:sockets/instance-network#instance-network")
	r.call("[constructor]request-options")
	m := r.call(newRequestName, r.headers("a", "b", "content-length", "3"))
	r.call(requestHeaders, m)
	out := r.ok(bodyWrite, r.ok(requestBodyName, m))
	r.call(writeFlush, out, []byte("long"))
	r.call(writeFlush, r.ok(writeStream, f, uint64(1<<62)), []byte("x"))
	for _, resource := range []resource{
		incomingExample(), &outparam{}, &incomingBody{content: incomingExample().content}, &futureTrailers{content: incomingExample().content},
		&incomingResponse{status: 200}, &futureResponse{failure: &httpError{label(3)}},
	} {
		_, err := r.sys.add(resource, 0)
		must(t, err)
	}
	request, err := r.sys.add(incomingExample(), 0)
	must(t, err)
	r.ok(read, r.ok(bodyStream, r.ok(consumeRequest, request)), uint64(3))
	param, err := r.sys.add(&outparam{}, 0)
	must(t, err)
	response := r.call(newResponseName, r.headers())
	r.drop(r.ok(respBodyName, response))
	r.call(outparamSet, param, ok(response))
	r.call(newResponseName, r.headers())
	return r
}

func TestEveryKindOfResourceIsKept(t *testing.T) {
	r := everything(t)
	r.sys.http, r.sys.net = &outside{}, socket.New(socket.Config{})
	r.sockets()
	request := r.request("PUT", "example.com", "/")
	body := r.ok(requestBodyName, request)
	r.ok(handleName, request, none)
	r.ok(writeFlush, r.ok(bodyWrite, body), []byte("begun"))
	for _, resource := range []resource{&bucket{"cart"}, &cas{"cart", "key", 7}} {
		_, err := r.sys.add(resource, 0)
		must(t, err)
	}
	r.values()
	kinds := map[kind]bool{}
	for _, e := range r.sys.resources.All() {
		kinds[e.kind()] = true
		if reflect.TypeOf(newResource(e.kind())) != reflect.TypeOf(e.resource) {
			t.Errorf("kind %d makes a %T of a %T", e.kind(), newResource(e.kind()), e.resource)
		}
	}
	for k := kindError; k <= lastKind; k++ {
		if !kinds[k] && newResource(k) != nil {
			t.Errorf("there is none of kind %d", k)
		}
	}
	if newResource(0) != nil || newResource(lastKind+1) != nil {
		t.Error("there are resources of kinds that are not there")
	}
	other := r.reopened(wasi.Config{MaxFiles: 20, HTTP: &outside{}, Sockets: r.sys.net})
	r.equal(other.sys.AppendState(nil), r.sys.AppendState(nil))
	must(t, other.sys.Close())
	other.empty()
	r.equal(other.sys.AppendState(nil), []byte{1, 0, 0})
}

// sockets adds one of each resource of a socket, and what a lookup has found.
func (r *rig) sockets() {
	address := netip.MustParseAddrPort("[fe80::1%3]:80")
	add := func(res resource, parent wit.Value) wit.Value {
		rep, err := r.sys.add(res, parent.(uint32))
		must(r.t, err)
		if isSocket(res) {
			r.sys.openSockets++
		}
		return rep
	}
	none := wit.Value(uint32(0))
	options := newSocketOptions()
	listener := &tcp{
		family: familyIPv6, state: tcpListening, local: address, backlog: 5, ready: true, keep: true,
		idle: minProbe, interval: maxProbe, count: 3, options: options,
	}
	add(listener, none)
	connection := *listener
	connection.state, connection.remote, connection.shut = tcpConnected, address, [2]bool{true, false}
	c := add(&connection, none)
	add(&tcpInput{offset: 1 << 40, ready: true}, c)
	add(&tcpOutput{offset: 7, credit: 8, outputState: outputState{permit: 8}}, c)
	add(&tcp{state: tcpConnecting, remote: netip.MustParseAddrPort("1.2.3.4:5"), connecting: 99, options: options}, none)
	u := add(&udp{state: udpBound, local: address, remote: address, source: address, options: options}, none)
	add(&datagramsIn{remote: address, ready: true}, u)
	add(&datagramsOut{permit: 3}, u)
	ip := netip.MustParseAddr("10.0.0.7")
	add(&resolving{name: "db.local", call: 12, answered: true, rest: []netip.Addr{ip}}, none)
	add(&streamError{net: socket.ConnectionReset}, none)
	r.sys.remember("DB.local", []netip.Addr{ip})
}

// The golden state is never edited: what was written once stays readable, and a
// state of today is written as FORMAT.md says.
func TestStateHasTheFormatThatIsSpecified(t *testing.T) {
	r := everything(t)
	golden, err := os.ReadFile("testdata/state-1.golden")
	must(t, err)
	if state := r.sys.AppendState(nil); string(state) != string(golden) {
		t.Errorf("got state\n%x\nwant\n%x", state, golden)
	}
	s, err := New(wasi.Config{FS: r.fs.Clone(), MaxFiles: 20, Open: golden})
	must(t, err)
	r.equal(s.resources.Len(), r.sys.resources.Len())
}

// Sockets have a golden state of their own.
func TestStateOfSocketsHasTheFormatThatIsSpecified(t *testing.T) {
	r := newRig(t, wasi.Config{Sockets: socket.New(socket.Config{})})
	r.sockets()
	golden, err := os.ReadFile("testdata/state-sockets-1.golden")
	must(t, err)
	state := r.sys.AppendState(nil)
	if string(state) != string(golden) {
		t.Errorf("got state\n%x\nwant\n%x", state, golden)
	}
	s, err := New(wasi.Config{FS: r.fs.Clone(), Sockets: r.sys.net, Open: golden})
	must(t, err)
	r.equal(s.AppendState(nil), golden)
	for n := range state {
		if _, err := New(wasi.Config{FS: r.fs.Clone(), Sockets: r.sys.net, Open: state[:n]}); err == nil && n != bytes.LastIndex(state, []byte("\x01\x08db.local")) {
			t.Errorf("%d of %d bytes were taken", n, len(state))
		}
	}
	if _, err := New(wasi.Config{FS: r.fs.Clone(), Open: golden}); err == nil || !strings.Contains(err.Error(), "access-denied") {
		t.Errorf("without sockets: got %v", err)
	}
}

// values adds one of each resource of wasi:blobstore.
func (r *rig) values() {
	add := func(res resource, parent uint32) uint32 {
		rep, err := r.sys.add(res, parent)
		must(r.t, err)
		return rep.(uint32)
	}
	add(&container{"photos"}, 0)
	add(&objectNames{"photos", "2026/01"}, 0)
	name := blobstore.ID{1, 2, 255}
	v := add(&outgoingValue{container: "photos", name: "2026/02", taken: true, written: blobstore.Writing{ID: name, Chunks: 3, Rest: []byte("rest")}}, 0)
	add(&valueOutput{outputState: outputState{permit: 9}}, v)
	add(&outgoingValue{failure: "it is too long"}, 0)
	part := incomingValue{blobstore.Reading{ID: name, At: 5, End: 1 << 20, Tail: []byte("tail")}}
	add(&part, 0)
	add(&valueInput{incomingValue: part, closed: true}, 0)
	add(&streamError{blob: "it is not there any more"}, 0)
}

// So have those of wasi:blobstore.
func TestStateOfValuesHasTheFormatThatIsSpecified(t *testing.T) {
	r := newRig(t, wasi.Config{})
	r.values()
	golden, err := os.ReadFile("testdata/state-blobstore-1.golden")
	must(t, err)
	state := r.sys.AppendState(nil)
	if string(state) != string(golden) {
		t.Errorf("got state\n%x\nwant\n%x", state, golden)
	}
	s, err := New(wasi.Config{FS: r.fs.Clone(), Open: golden})
	must(t, err)
	r.equal(s.AppendState(nil), golden)
	for n := range state {
		if _, err := New(wasi.Config{FS: r.fs.Clone(), Open: state[:n]}); err == nil {
			t.Errorf("%d of %d bytes were taken", n, len(state))
		}
	}
	orphan := bytes.Replace(state, []byte{3, 45, 3}, []byte{3, 45, 1}, 1)
	if _, err := New(wasi.Config{FS: r.fs.Clone(), Open: orphan}); err == nil || bytes.Equal(orphan, state) {
		t.Errorf("a stream of a container was taken: %v", err)
	}
}

func TestDamagedStateIsRefused(t *testing.T) {
	r := everything(t)
	state := r.sys.AppendState(nil)
	refused := func(why string, files *filesystem.FS, limit int, state []byte) {
		t.Helper()
		if _, err := New(wasi.Config{FS: files.Clone(), MaxFiles: limit, Open: state}); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("got %v, want: %s", err, why)
		}
	}
	for n := range state {
		if _, err := New(wasi.Config{FS: r.fs.Clone(), MaxFiles: 20, Open: state[:n]}); err == nil {
			t.Errorf("%d of %d bytes were taken", n, len(state))
		}
	}
	refused("damaged", r.fs, 20, append(slices.Clone(state), 0))
	refused("newer", r.fs, 20, append([]byte{2}, state[1:]...))
	refused("damaged", r.fs, 20, append([]byte{0}, state[1:]...))
	refused("too many open files", r.fs, 1, state)
	refused("no such inode", filesystem.New(filesystem.Config{Now: func() uint64 { return 1 }}), 20, state)

	// encode makes a state of resources and of who their parents are.
	encode := func(list ...any) []byte {
		c := wasi.NewEncoder([]byte{1, 0, byte(len(list) / 2)})
		for i := 0; i < len(list); i += 2 {
			number, parent, e := uint32(i/2), uint32(list[i+1].(int)), list[i].(resource)
			kind := e.kind()
			wasi.Uint(c, &number, maxResources)
			wasi.Uint(c, &kind, lastKind)
			wasi.Uint(c, &parent, maxResources)
			e.code(c)
		}
		return c.Bytes()
	}
	body := &outgoingBody{wanted: true, handled: true}
	refused("no child", r.fs, 20, encode(&pollable{}, 9))
	refused("no child", r.fs, 20, encode(&bodyInput{}, 0))
	refused("no child", r.fs, 20, encode(&bodyInput{}, 2, &pollable{}, 0))
	refused("no child", r.fs, 20, encode(&bodyOutput{}, 2, &incomingBody{}, 0))
	refused("no child", r.fs, 20, encode(&tcpInput{}, 2, &pollable{}, 0))
	refused("no child", r.fs, 20, encode(&tcpOutput{}, 0))
	refused("no child", r.fs, 20, encode(&datagramsIn{}, 2, &pollable{}, 0))
	refused("no child", r.fs, 20, encode(&datagramsOut{}, 0))
	refused("no body of its own", r.fs, 20, encode(&outgoingResponse{outgoing: outgoing{body: 2}}, 0, &pollable{}, 0))
	refused("no body of its own", r.fs, 20, encode(&outgoingResponse{outgoing: outgoing{body: 9}}, 0))
	refused("no body of its own", r.fs, 20, encode(&outgoingResponse{outgoing: outgoing{body: 2}}, 0, &outgoingBody{handled: true}, 0))
	refused("no body of its own", r.fs, 20, encode(&outgoingResponse{outgoing: outgoing{body: 3}}, 0, &outgoingResponse{outgoing: outgoing{body: 3}}, 0, body, 0))
	refused("body of nothing", r.fs, 20, encode(body, 0))
	refused("body of nothing", r.fs, 20, encode(&outgoingBody{}, 0))
	big := &incomingBody{content: content{data: make([]byte, maxHeld)}}
	refused("hold more than", r.fs, 20, encode(big, 0, &fields{list: []field{{"a", nil}}}, 0))
	_, err := New(wasi.Config{FS: r.fs.Clone(), Open: encode(&outgoingResponse{outgoing: outgoing{body: 2}}, 0, body, 0)})
	must(t, err)
}

func FuzzState(f *testing.F) {
	r := everything(f)
	f.Add(r.sys.AppendState(nil))
	r.sys.net = socket.New(socket.Config{})
	r.sockets()
	f.Add(r.sys.AppendState(nil))
	f.Add([]byte{1, 0, 0})
	f.Fuzz(func(t *testing.T, state []byte) {
		w := &world{now: 100}
		files := r.fs.Clone()
		s, err := New(wasi.Config{FS: files, Clocks: w, Random: w, Stdio: w, Sockets: r.sys.net, Open: append([]byte{}, state...)})
		if err != nil {
			return
		}
		first := s.AppendState(nil)
		again, err := New(wasi.Config{FS: files, Sockets: r.sys.net, Open: first})
		must(t, err)
		if string(again.AppendState(nil)) != string(first) {
			t.Fatal("the state of a state is another")
		}
		must(t, again.Close())
		// Whatever there is can be dropped, children first.
		for s.resources.Len() > 0 {
			before := s.resources.Len()
			for n, e := range s.resources.All() {
				if b, is := e.resource.(*outgoingBody); e.children == 0 && (!is || b.handled) {
					must(t, s.drop(n+1))
				}
			}
			if s.resources.Len() == before {
				return // children of each other, which only a damaged image has
			}
		}
		if s.openSockets != 0 {
			t.Fatalf("%d sockets are open", s.openSockets)
		}
		if s.held != 0 || s.files != 0 {
			t.Fatalf("%d bytes are held and %d files are open", s.held, s.files)
		}
	})
}
