package wasip2

import (
	"bytes"
	"net/netip"

	"github.com/waterbear-run/waterbear/internal/host/await"
	"github.com/waterbear-run/waterbear/internal/host/socket"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

var (
	udpSocket         = &wit.Resource{Name: "udp-socket"}
	incomingDatagrams = &wit.Resource{Name: "incoming-datagram-stream"}
	outgoingDatagrams = &wit.Resource{Name: "outgoing-datagram-stream"}

	incomingDatagram = record("incoming-datagram", part("data", tBytes), part("remote-address", socketAddress))
	outgoingDatagram = record("outgoing-datagram", part("data", tBytes), part("remote-address", option(socketAddress)))
)

// socketsUDPCreate is wasi:sockets/udp-create-socket.
func socketsUDPCreate() interfaceOf {
	return interfaceOf{
		name: "wasi:sockets/udp-create-socket",
		functions: []function{
			{name: "create-udp-socket", typ: fnTo(result(own(udpSocket), networkError), param("address-family", addressFamily)), call: createUDP},
		},
	}
}

// socketsUDP is wasi:sockets/udp.
func socketsUDP() interfaceOf {
	i := interfaceOf{name: "wasi:sockets/udp", resources: []*wit.Resource{udpSocket, incomingDatagrams, outgoingDatagrams}}
	method := func(of *wit.Resource, name string, call call, result *wit.Type, params ...wit.Param) {
		i.functions = append(i.functions, function{
			name: "[method]" + of.Name + "." + name, typ: fnTo(result, append([]wit.Param{self(of)}, params...)...), call: call,
		})
	}
	orError := func(t *wit.Type) *wit.Type { return result(t, networkError) }
	network, local := param("network", borrow(networkResource)), param("local-address", socketAddress)
	method(udpSocket, "start-bind", on(udpStartBind), orError(nil), network, local)
	method(udpSocket, "finish-bind", on(udpFinishBind), orError(nil))
	method(udpSocket, "stream", on(udpStream), orError(tuple(own(incomingDatagrams), own(outgoingDatagrams))), param("remote-address", option(socketAddress)))
	method(udpSocket, "local-address", on(udpLocal), orError(socketAddress))
	method(udpSocket, "remote-address", on(udpRemote), orError(socketAddress))
	method(udpSocket, "address-family", on(udpFamily), addressFamily)
	for _, option := range udpOptions {
		method(udpSocket, option.name, on(option.get), orError(option.typ))
		method(udpSocket, "set-"+option.name, on(option.set), orError(nil), param("value", option.typ))
	}
	method(udpSocket, "subscribe", subscribe, own(pollableResource))
	method(incomingDatagrams, "receive", on(receiveDatagrams), orError(list(incomingDatagram)), param("max-results", tU64))
	method(incomingDatagrams, "subscribe", subscribe, own(pollableResource))
	method(outgoingDatagrams, "check-send", on(checkSend), orError(tU64))
	method(outgoingDatagrams, "send", on(sendDatagrams), orError(tU64), param("datagrams", list(outgoingDatagram)))
	method(outgoingDatagrams, "subscribe", subscribe, own(pollableResource))
	return i
}

// udpState is where a socket is in its life.
type udpState uint8

const (
	udpUnbound udpState = iota
	udpBinding          // between start and finish
	udpBound
)

// udp is a udp-socket: what the program knows of it.
type udp struct {
	family        family
	state         udpState
	local, remote netip.AddrPort // remote: of stream, not valid without
	source        netip.AddrPort // from where datagrams to remote leave
	options       socketOptions
}

func (*udp) kind() kind { return kindUDP }

func (u *udp) code(c *wasi.Coder) {
	codeFamily(c, &u.family)
	wasi.Uint(c, &u.state, udpBound)
	codeAddress(c, &u.local)
	codeAddress(c, &u.remote)
	codeAddress(c, &u.source)
	u.options.code(c)
}

func createUDP(s *System, a []wit.Value) (wit.Value, error) {
	if code := s.mayOpen(); code != socket.OK {
		return netFailed(code)
	}
	return s.addSocket(&udp{family: family(a[0].(wit.Case).Index), options: newSocketOptions()})
}

func udpStartBind(s *System, u *udp, a []wit.Value) (wit.Value, error) {
	local, code := u.family.address(a[2], false)
	switch {
	case u.state != udpUnbound:
		return netFailed(socket.InvalidState)
	case code != socket.OK:
		return netFailed(code)
	}
	o, err := s.net.BindDatagrams(repOf(a), local)
	if err == nil && o.Code == socket.OK {
		u.local, u.state = o.Local, udpBinding
	}
	return orCode(nil, o.Code, err)
}

func udpFinishBind(_ *System, u *udp, _ []wit.Value) (wit.Value, error) {
	if u.state != udpBinding {
		return netFailed(socket.NotInProgress)
	}
	u.state = udpBound
	return ok(nil), nil
}

func udpStream(s *System, u *udp, a []wit.Value) (wit.Value, error) {
	if u.state != udpBound {
		return netFailed(socket.InvalidState)
	}
	var remote, source netip.AddrPort
	if given, is := optional(a[1]); is {
		var code socket.Code
		if remote, code = u.family.address(given, true); code != socket.OK {
			return netFailed(code)
		}
		o, err := s.net.Source(repOf(a), u.local, remote, s.namesOf(remote.Addr()))
		if err != nil || o.Code != socket.OK {
			return orCode(nil, o.Code, err)
		}
		source = o.Local
	}
	u.remote, u.source = remote, source
	in, err := s.add(&datagramsIn{remote: remote}, a[0].(uint32))
	if err != nil {
		return nil, err
	}
	out, err := s.add(&datagramsOut{remote: remote}, a[0].(uint32))
	return ok([]wit.Value{in, out}), err
}

func udpLocal(_ *System, u *udp, _ []wit.Value) (wit.Value, error) {
	if u.state != udpBound {
		return netFailed(socket.InvalidState)
	}
	if u.source.IsValid() {
		return ok(addressValue(u.source)), nil
	}
	return ok(addressValue(u.local)), nil
}

func udpRemote(_ *System, u *udp, _ []wit.Value) (wit.Value, error) {
	if !u.remote.IsValid() {
		return netFailed(socket.InvalidState)
	}
	return ok(addressValue(u.remote)), nil
}

func udpFamily(_ *System, u *udp, _ []wit.Value) (wit.Value, error) {
	return label(uint32(u.family)), nil
}

// udpOption is a thing that can be asked and set of a socket.
type udpOption struct {
	name     string
	typ      *wit.Type
	get, set func(*System, *udp, []wit.Value) (wit.Value, error)
}

var udpOptions = []udpOption{
	ofUDP("unicast-hop-limit", tU8, 255, func(u *udp) *uint8 { return &u.options.hopLimit }),
	ofUDP("receive-buffer-size", tU64, maxBuffer, func(u *udp) *uint64 { return &u.options.receive }),
	ofUDP("send-buffer-size", tU64, maxBuffer, func(u *udp) *uint64 { return &u.options.send }),
}

func ofUDP[T uint8 | uint32 | uint64](name string, typ *wit.Type, most T, of func(*udp) *T) udpOption {
	return udpOption{
		name, typ,
		func(_ *System, u *udp, _ []wit.Value) (wit.Value, error) { return ok(*of(u)), nil },
		func(_ *System, u *udp, a []wit.Value) (wit.Value, error) { return setNumber(of(u), a[1], most) },
	}
}

// datagramsIn is an incoming-datagram-stream, a child of its socket.
type datagramsIn struct {
	child
	remote netip.AddrPort // whose alone, if it is valid
	ready  bool           // the program was told that there are some
}

func (*datagramsIn) kind() kind { return kindDatagramsIn }

func (d *datagramsIn) code(c *wasi.Coder) {
	codeAddress(c, &d.remote)
	c.Bool(&d.ready)
}

func (d *datagramsIn) socket(s *System) *udp { return s.entry(d.parent).resource.(*udp) }

func (d *datagramsIn) event(s *System) await.Event {
	return s.net.Datagram(uint64(d.parent), d.socket(s).local, d.remote)
}

func (d *datagramsIn) come() { d.ready = true }

func receiveDatagrams(s *System, d *datagramsIn, a []wit.Value) (wit.Value, error) {
	most := int(min(a[1].(uint64), socket.MaxDatagrams))
	if most == 0 {
		return ok([]wit.Value{}), nil
	}
	r, err := s.net.ReceiveDatagrams(uint64(d.parent), d.socket(s).local, d.remote, most)
	if err != nil || r.Code != socket.OK {
		return orCode(nil, r.Code, err)
	}
	d.ready = false
	all := []wit.Value{}
	for _, g := range r.Datagrams {
		all = append(all, []wit.Value{g.Bytes, addressValue(g.Remote)})
	}
	return ok(all), nil
}

// datagramsOut is an outgoing-datagram-stream, a child of its socket.
type datagramsOut struct {
	child
	remote netip.AddrPort // where all go, if it is valid
	permit uint64         // datagrams that may be sent before the next check-send
}

func (*datagramsOut) kind() kind { return kindDatagramsOut }

func (d *datagramsOut) code(c *wasi.Coder) {
	codeAddress(c, &d.remote)
	wasi.Uint(c, &d.permit, socket.MaxDatagrams)
}

// checkSend permits the next datagrams. There is always room: what there is none
// for on the way is lost, as datagrams are.
func checkSend(_ *System, d *datagramsOut, _ []wit.Value) (wit.Value, error) {
	d.permit = socket.MaxDatagrams
	return ok(d.permit), nil
}

func sendDatagrams(s *System, d *datagramsOut, a []wit.Value) (wit.Value, error) {
	given := a[1].([]wit.Value)
	if uint64(len(given)) > d.permit {
		return nil, trap("%d datagrams are sent, and check-send has permitted %d", len(given), d.permit)
	}
	d.permit -= uint64(len(given))
	if len(given) == 0 {
		return ok(uint64(0)), nil
	}
	u := s.entry(d.parent).resource.(*udp)
	var list []socket.Parcel
	for _, v := range given {
		p, code := s.parcel(u, d, v.([]wit.Value))
		if code != socket.OK && len(list) == 0 {
			return netFailed(code)
		}
		if code != socket.OK {
			break // the next call says so
		}
		list = append(list, p)
	}
	sent, err := s.net.SendDatagrams(uint64(d.parent), u.local, list)
	if sent.Bytes > 0 {
		sent.Code = socket.OK
	}
	return orCode(sent.Bytes, sent.Code, err)
}

// parcel is one datagram of the program's.
func (s *System) parcel(u *udp, d *datagramsOut, v []wit.Value) (p socket.Parcel, code socket.Code) {
	p.Bytes, p.Remote = bytes.Clone(v[0].([]byte)), d.remote
	if given, is := optional(v[1]); is {
		if p.Remote, code = u.family.address(given, true); code != socket.OK {
			return p, code
		}
		if d.remote.IsValid() && p.Remote != d.remote {
			return p, socket.InvalidArgument
		}
	}
	switch {
	case !p.Remote.IsValid():
		return p, socket.InvalidArgument
	case len(p.Bytes) > socket.MaxDatagram:
		return p, socket.DatagramTooLarge
	}
	p.Names = s.namesOf(p.Remote.Addr())
	return p, socket.OK
}
