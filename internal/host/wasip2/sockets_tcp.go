package wasip2

import (
	"net/netip"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/await"
	"github.com/waterbear-run/waterbear/internal/host/socket"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

var (
	tcpSocket    = &wit.Resource{Name: "tcp-socket"}
	shutdownType = enum("shutdown-type", "receive", "send", "both")
)

// Cases of shutdown-type.
const (
	shutReceive = iota
	shutSend
)

// socketsTCPCreate is wasi:sockets/tcp-create-socket.
func socketsTCPCreate() interfaceOf {
	return interfaceOf{
		name: "wasi:sockets/tcp-create-socket",
		functions: []function{
			{name: "create-tcp-socket", typ: fnTo(result(own(tcpSocket), networkError), param("address-family", addressFamily)), call: createTCP},
		},
	}
}

// socketsTCP is wasi:sockets/tcp.
func socketsTCP() interfaceOf {
	socket, network := self(tcpSocket), param("network", borrow(networkResource))
	streams := tuple(own(inputStream), own(outputStream))
	i := interfaceOf{name: "wasi:sockets/tcp", resources: []*wit.Resource{tcpSocket}}
	method := func(name string, call call, result *wit.Type, params ...wit.Param) {
		i.functions = append(i.functions, function{
			name: "[method]tcp-socket." + name, typ: fnTo(result, append([]wit.Param{socket}, params...)...), call: call,
		})
	}
	orError := func(t *wit.Type) *wit.Type { return result(t, networkError) }
	method("start-bind", on(tcpStartBind), orError(nil), network, param("local-address", socketAddress))
	method("finish-bind", on(tcpFinishBind), orError(nil))
	method("start-connect", on(tcpStartConnect), orError(nil), network, param("remote-address", socketAddress))
	method("finish-connect", on(tcpFinishConnect), orError(streams))
	method("start-listen", on(tcpStartListen), orError(nil))
	method("finish-listen", on(tcpFinishListen), orError(nil))
	method("accept", on(tcpAccept), orError(tuple(own(tcpSocket), own(inputStream), own(outputStream))))
	method("local-address", on(tcpLocal), orError(socketAddress))
	method("remote-address", on(tcpRemote), orError(socketAddress))
	method("is-listening", on(tcpIsListening), tBool)
	method("address-family", on(tcpFamily), addressFamily)
	method("set-listen-backlog-size", on(tcpSetBacklog), orError(nil), param("value", tU64))
	for _, option := range tcpOptions {
		method(option.name, on(option.get), orError(option.typ))
		method("set-"+option.name, on(option.set), orError(nil), param("value", option.typ))
	}
	method("subscribe", subscribe, own(pollableResource))
	method("shutdown", on(tcpShutdown), orError(nil), param("shutdown-type", shutdownType))
	return i
}

// tcpState is where a socket is in its life.
type tcpState uint8

const (
	tcpUnbound tcpState = iota
	tcpBinding          // between start and finish, as are the others in -ing
	tcpBound
	tcpConnecting
	tcpConnected
	tcpStartsListening
	tcpListening
	tcpClosed // a connection could not be made
	tcpLast   = tcpClosed
)

// tcp is a tcp-socket: what the program knows of it.
type tcp struct {
	family        family
	state         tcpState
	local, remote netip.AddrPort
	connecting    uint64 // what names the connection under way
	backlog       int
	shut          [2]bool // receiving, sending
	// ready says that the program was told that a connection is made, or has come
	// in. It holds until the program takes that.
	ready    bool
	keep     bool
	idle     uint64
	interval uint64
	count    uint32
	options  socketOptions
}

func (*tcp) kind() kind { return kindTCP }

func (t *tcp) code(c *wasi.Coder) {
	codeFamily(c, &t.family)
	wasi.Uint(c, &t.state, tcpLast)
	codeAddress(c, &t.local)
	codeAddress(c, &t.remote)
	wasi.Uint(c, &t.connecting, 1<<64-1)
	wasi.Uint(c, &t.backlog, socket.MaxBacklog)
	for _, b := range []*bool{&t.shut[0], &t.shut[1], &t.ready, &t.keep} {
		c.Bool(b)
	}
	wasi.Uint(c, &t.idle, maxProbe)
	wasi.Uint(c, &t.interval, maxProbe)
	wasi.Uint(c, &t.count, maxProbes)
	t.options.code(c)
}

// Bounds of what can be said of probes.
const (
	maxProbe  = uint64(32767 * time.Second)
	minProbe  = uint64(time.Second)
	maxProbes = 127
)

func createTCP(s *System, a []wit.Value) (wit.Value, error) {
	if code := s.mayOpen(); code != socket.OK {
		return netFailed(code)
	}
	return s.addSocket(&tcp{
		family: family(a[0].(wit.Case).Index), backlog: 128,
		idle: uint64(2 * time.Hour), interval: uint64(75 * time.Second), count: 9, options: newSocketOptions(),
	})
}

// addSocket makes a resource that maxSockets counts.
func (s *System) addSocket(r resource) (wit.Value, error) {
	rep, err := s.add(r, 0)
	if err == nil {
		s.openSockets++
	}
	return ok(rep), err
}

func repOf(a []wit.Value) uint64 { return uint64(a[0].(uint32)) }

func tcpStartBind(s *System, t *tcp, a []wit.Value) (wit.Value, error) {
	local, code := t.family.address(a[2], false)
	switch {
	case t.state != tcpUnbound:
		return netFailed(socket.InvalidState)
	case code != socket.OK:
		return netFailed(code)
	}
	o, err := s.net.Bind(repOf(a), local)
	if err == nil && o.Code == socket.OK {
		t.local, t.state = o.Local, tcpBinding
	}
	return orCode(nil, o.Code, err)
}

// finish goes from one state to the next.
func (t *tcp) finish(from, to tcpState) (wit.Value, error) {
	if t.state != from {
		return netFailed(socket.NotInProgress)
	}
	t.state = to
	return ok(nil), nil
}

func tcpFinishBind(_ *System, t *tcp, _ []wit.Value) (wit.Value, error) {
	return t.finish(tcpBinding, tcpBound)
}

func (s *System) dial(t *tcp) socket.Dial {
	return socket.Dial{Local: t.local, Remote: t.remote, Names: s.namesOf(t.remote.Addr()), Keep: t.probes()}
}

func tcpStartConnect(s *System, t *tcp, a []wit.Value) (wit.Value, error) {
	remote, code := t.family.address(a[2], true)
	switch {
	case t.state != tcpUnbound && t.state != tcpBound:
		return netFailed(socket.InvalidState)
	case code != socket.OK:
		return netFailed(code)
	}
	t.remote = remote
	call, err := s.net.Connect(repOf(a), s.dial(t))
	t.connecting, t.state = call, tcpConnecting
	return ok(nil), err
}

func tcpFinishConnect(s *System, t *tcp, a []wit.Value) (wit.Value, error) {
	if t.state != tcpConnecting {
		return netFailed(socket.NotInProgress)
	}
	if !t.ready {
		if there, err := s.look(tcpWait{t, repOf(a)}); err != nil || !there {
			return orCode(nil, socket.WouldBlock, err)
		}
	}
	o, err := s.net.Connected(repOf(a), t.connecting, s.dial(t))
	if err != nil || o.Code != socket.OK {
		t.state, t.ready = tcpClosed, false
		return orCode(nil, o.Code, err)
	}
	t.connected(o)
	in, out, err := s.streams(a[0].(uint32))
	return ok([]wit.Value{in, out}), err
}

func (t *tcp) connected(o socket.Outcome) {
	t.state, t.local, t.remote, t.ready, t.connecting = tcpConnected, o.Local, o.Remote, false, 0
}

// streams makes those of a connection.
func (s *System) streams(rep uint32) (in, out wit.Value, err error) {
	if in, err = s.add(&tcpInput{}, rep); err == nil {
		out, err = s.add(&tcpOutput{credit: socket.Queue}, rep)
	}
	return in, out, err
}

func (t *tcp) listen() socket.Listen {
	return socket.Listen{Local: t.local, Backlog: t.backlog, Keep: t.probes()}
}

func tcpStartListen(s *System, t *tcp, a []wit.Value) (wit.Value, error) {
	if t.state != tcpBound {
		return netFailed(socket.InvalidState)
	}
	code, err := s.net.Listen(repOf(a), t.listen())
	if t.state = tcpStartsListening; code != socket.OK {
		t.state = tcpClosed
	}
	return orCode(nil, code, err)
}

func tcpFinishListen(_ *System, t *tcp, _ []wit.Value) (wit.Value, error) {
	return t.finish(tcpStartsListening, tcpListening)
}

func tcpAccept(s *System, t *tcp, a []wit.Value) (wit.Value, error) {
	if t.state != tcpListening {
		return netFailed(socket.InvalidState)
	}
	if code := s.mayOpen(); code != socket.OK {
		return netFailed(code)
	}
	t.ready = false
	o, err := s.net.Accept(repOf(a), t.listen())
	if err != nil || o.Code != socket.OK {
		return orCode(nil, o.Code, err)
	}
	c := *t // what was set for the listener holds for it
	c.connected(o)
	added, err := s.addSocket(&c)
	if err != nil {
		return nil, err
	}
	rep := added.(wit.Case).Payload
	s.net.Keep(uint64(rep.(uint32)))
	in, out, err := s.streams(rep.(uint32))
	return ok([]wit.Value{rep, in, out}), err
}

func tcpLocal(_ *System, t *tcp, _ []wit.Value) (wit.Value, error) {
	if !t.local.IsValid() || t.state == tcpBinding || t.state == tcpClosed {
		return netFailed(socket.InvalidState)
	}
	return ok(addressValue(t.local)), nil
}

func tcpRemote(_ *System, t *tcp, _ []wit.Value) (wit.Value, error) {
	if t.state != tcpConnected {
		return netFailed(socket.InvalidState)
	}
	return ok(addressValue(t.remote)), nil
}

func tcpIsListening(_ *System, t *tcp, _ []wit.Value) (wit.Value, error) {
	return t.state == tcpListening, nil
}

func tcpFamily(_ *System, t *tcp, _ []wit.Value) (wit.Value, error) {
	return label(uint32(t.family)), nil
}

func tcpShutdown(s *System, t *tcp, a []wit.Value) (wit.Value, error) {
	if t.state != tcpConnected {
		return netFailed(socket.InvalidState)
	}
	how := a[1].(wit.Case).Index
	receive, send := how != shutSend, how != shutReceive
	t.shut[0], t.shut[1] = t.shut[0] || receive, t.shut[1] || send
	s.net.Shutdown(repOf(a), receive, send)
	return ok(nil), nil
}

// probes are those of its connections.
func (t *tcp) probes() socket.KeepAlive {
	return socket.KeepAlive{Enabled: t.keep, Idle: time.Duration(t.idle), Interval: time.Duration(t.interval), Count: int(t.count)}
}

func tcpSetBacklog(_ *System, t *tcp, a []wit.Value) (wit.Value, error) {
	n := a[1].(uint64)
	switch {
	case n == 0:
		return netFailed(socket.InvalidArgument)
	case t.state == tcpConnecting || t.state == tcpConnected:
		return netFailed(socket.InvalidState)
	}
	t.backlog = int(min(n, socket.MaxBacklog))
	return ok(nil), nil
}

type tcpMethod = func(*System, *tcp, []wit.Value) (wit.Value, error)

// tcpOption is a thing that can be asked and set of a socket.
type tcpOption struct {
	name     string
	typ      *wit.Type
	get, set tcpMethod
}

var tcpOptions = []tcpOption{
	{
		"keep-alive-enabled", tBool, func(_ *System, t *tcp, _ []wit.Value) (wit.Value, error) { return ok(t.keep), nil },
		func(s *System, t *tcp, a []wit.Value) (wit.Value, error) {
			t.keep = a[1].(bool)
			s.net.SetKeepAlive(repOf(a), t.probes())
			return ok(nil), nil
		},
	},
	probeOption("keep-alive-idle-time", tDuration, minProbe, maxProbe, func(t *tcp) *uint64 { return &t.idle }),
	probeOption("keep-alive-interval", tDuration, minProbe, maxProbe, func(t *tcp) *uint64 { return &t.interval }),
	probeOption("keep-alive-count", tU32, 1, maxProbes, func(t *tcp) *uint32 { return &t.count }),
	probeOption("hop-limit", tU8, 1, 255, func(t *tcp) *uint8 { return &t.options.hopLimit }),
	probeOption("receive-buffer-size", tU64, 1, maxBuffer, func(t *tcp) *uint64 { return &t.options.receive }),
	probeOption("send-buffer-size", tU64, 1, maxBuffer, func(t *tcp) *uint64 { return &t.options.send }),
}

// probeOption is an option that is a number between bounds.
func probeOption[T uint8 | uint32 | uint64](name string, typ *wit.Type, least, most T, of func(*tcp) *T) tcpOption {
	return tcpOption{
		name, typ,
		func(_ *System, t *tcp, _ []wit.Value) (wit.Value, error) { return ok(*of(t)), nil },
		func(s *System, t *tcp, a []wit.Value) (wit.Value, error) {
			r, err := setNumber(of(t), a[1], most)
			*of(t) = max(*of(t), least)
			s.net.SetKeepAlive(repOf(a), t.probes())
			return r, err
		},
	}
}

// tcpWait is that a connection of a socket is made, or comes in.
type tcpWait struct {
	t  *tcp
	id uint64
}

func (w tcpWait) event(s *System) await.Event {
	if w.t.state == tcpConnecting {
		return s.net.Connecting(w.id, w.t.connecting, s.dial(w.t))
	}
	return s.net.Accepting(w.id, w.t.listen())
}

func (w tcpWait) come() { w.t.ready = true }

// waits reports whether there is something to wait for that has not come.
func (t *tcp) waits() bool {
	return !t.ready && (t.state == tcpConnecting || t.state == tcpListening)
}
