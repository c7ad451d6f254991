package wasip2

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/waterbear-run/waterbear/internal/host/socket"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

var (
	networkResource = &wit.Resource{Name: "network"}

	networkError = enum("error-code", "unknown", "access-denied", "not-supported", "invalid-argument",
		"out-of-memory", "timeout", "concurrency-conflict", "not-in-progress", "would-block", "invalid-state",
		"new-socket-limit", "address-not-bindable", "address-in-use", "remote-unreachable", "connection-refused",
		"connection-reset", "connection-aborted", "datagram-too-large", "name-unresolvable",
		"temporary-resolver-failure", "permanent-resolver-failure")
	addressFamily = enum("ip-address-family", "ipv4", "ipv6")
	ipv4Address   = tuple(tU8, tU8, tU8, tU8)
	ipv6Address   = tuple(tU16, tU16, tU16, tU16, tU16, tU16, tU16, tU16)
	ipAddress     = variant("ip-address", part("ipv4", ipv4Address), part("ipv6", ipv6Address))
	ipv4Socket    = record("ipv4-socket-address", part("port", tU16), part("address", ipv4Address))
	ipv6Socket    = record("ipv6-socket-address", part("port", tU16), part("flow-info", tU32),
		part("address", ipv6Address), part("scope-id", tU32))
	socketAddress = variant("ip-socket-address", part("ipv4", ipv4Socket), part("ipv6", ipv6Socket))
)

// Bounds of the sockets of a program.
const (
	// maxSockets is how many it can have.
	maxSockets = 256
	// maxFound is how many addresses that it has looked up are remembered: a rule
	// for a name allows them.
	maxFound = 256
)

// socketsNetwork is wasi:sockets/network.
func socketsNetwork() interfaceOf {
	return interfaceOf{
		name: "wasi:sockets/network", resources: []*wit.Resource{networkResource},
		functions: []function{
			{name: "network-error-code", typ: fnTo(option(networkError), param("err", borrow(errorResource))), call: networkErrorCode},
		},
	}
}

// socketsInstanceNetwork is wasi:sockets/instance-network.
func socketsInstanceNetwork() interfaceOf {
	return interfaceOf{
		name: "wasi:sockets/instance-network",
		functions: []function{
			{name: "instance-network", typ: fnTo(own(networkResource)), call: instanceNetwork},
		},
	}
}

// network is the network. All that it lets in or out is said by settings.
type network struct{}

func (*network) kind() kind       { return kindNetwork }
func (*network) code(*wasi.Coder) {}

func instanceNetwork(s *System, _ []wit.Value) (wit.Value, error) { return s.add(&network{}, 0) }

// networkErrorCode tells why a stream of a socket has failed.
func networkErrorCode(s *System, a []wit.Value) (wit.Value, error) {
	e, err := get[*streamError](s, a[0])
	if err != nil || e.net == socket.OK {
		return none, err
	}
	return some(netCode(e.net)), nil
}

// netCode is a code as the program sees it.
func netCode(c socket.Code) wit.Value { return label(uint32(c) - 1) }

func netFailed(c socket.Code) (wit.Value, error) { return failed(netCode(c)), nil }

// netError is a code as the error of a stream.
type netError struct{ code socket.Code }

func (e *netError) Error() string { return e.code.String() }

// orCode is a result whose error is a code, unless that is OK.
func orCode(v wit.Value, c socket.Code, err error) (wit.Value, error) {
	switch {
	case err != nil:
		return nil, err
	case c != socket.OK:
		return netFailed(c)
	}
	return ok(v), nil
}

// mayOpen says why no socket can be made.
func (s *System) mayOpen() socket.Code {
	switch {
	case s.net == nil:
		return socket.AccessDenied
	case s.openSockets == maxSockets:
		return socket.NewSocketLimit
	}
	return socket.OK
}

// isSocket reports whether a resource is one of those that maxSockets counts, and
// that s.net knows by its representation.
func isSocket(r resource) bool {
	switch r.(type) {
	case *tcp, *udp, *resolving:
		return true
	}
	return false
}

// family is which addresses a socket has: a case of ip-address-family.
type family uint8

const (
	familyIPv4 family = iota
	familyIPv6
)

func codeFamily(c *wasi.Coder, f *family) { wasi.Uint(c, f, familyIPv6) }

// address is a socket address of the program's that a socket of the family can
// have, or that can be its peer's.
func (f family) address(v wit.Value, peer bool) (netip.AddrPort, socket.Code) {
	a := addressOf(v)
	ip := a.Addr()
	switch {
	case ip.Is4() != (f == familyIPv4), ip.Is4In6(), ip.IsMulticast(), ip == broadcast:
		return a, socket.InvalidArgument
	case peer && (a.Port() == 0 || ip.IsUnspecified()):
		return a, socket.InvalidArgument
	}
	return a, socket.OK
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

func addressOf(v wit.Value) netip.AddrPort {
	c := v.(wit.Case)
	fields := c.Payload.([]wit.Value)
	port := fields[0].(uint16)
	if c.Index == uint32(familyIPv4) {
		var ip [4]byte
		for i, b := range fields[1].([]wit.Value) {
			ip[i] = b.(uint8)
		}
		return netip.AddrPortFrom(netip.AddrFrom4(ip), port)
	}
	var b []byte
	for _, part := range fields[2].([]wit.Value) {
		b = binary.BigEndian.AppendUint16(b, part.(uint16))
	}
	ip := netip.AddrFrom16([16]byte(b))
	if scope := fields[3].(uint32); scope != 0 {
		ip = ip.WithZone(strconv.FormatUint(uint64(scope), 10))
	}
	return netip.AddrPortFrom(ip, port)
}

// ipValue is an ip-address.
func ipValue(ip netip.Addr) wit.Value {
	parts := []wit.Value{}
	if ip.Is4() {
		for _, b := range ip.As4() {
			parts = append(parts, b)
		}
		return wit.Case{Index: uint32(familyIPv4), Payload: parts}
	}
	b := ip.As16()
	for p := range slices.Chunk(b[:], 2) {
		parts = append(parts, binary.BigEndian.Uint16(p))
	}
	return wit.Case{Index: uint32(familyIPv6), Payload: parts}
}

// addressValue is an ip-socket-address.
func addressValue(a netip.AddrPort) wit.Value {
	ip := ipValue(a.Addr()).(wit.Case)
	fields := []wit.Value{a.Port(), ip.Payload}
	if !a.Addr().Is4() {
		scope, _ := strconv.ParseUint(a.Addr().Zone(), 10, 32)
		fields = []wit.Value{a.Port(), uint32(0), ip.Payload, uint32(scope)}
	}
	return wit.Case{Index: ip.Index, Payload: fields}
}

// codeAddress codes an address, as its text; an empty one is none.
func codeAddress(c *wasi.Coder, a *netip.AddrPort) {
	text := ""
	if a.IsValid() {
		text = a.String()
	}
	wasi.Text(c, &text, maxAddressText)
	if !c.Reading() || text == "" {
		return
	}
	var err error
	if *a, err = netip.ParseAddrPort(text); err != nil {
		c.Fail()
	}
}

// maxAddressText bounds an address with its zone and its port.
const maxAddressText = 80

func codeIP(c *wasi.Coder, ip *netip.Addr) {
	a := netip.AddrPortFrom(*ip, 0)
	codeAddress(c, &a)
	*ip = a.Addr()
}

// found is an address that the program has found by a name.
type found struct {
	name string
	ip   netip.Addr
}

func (f *found) code(c *wasi.Coder) {
	wasi.Text(c, &f.name, maxHostName)
	codeIP(c, &f.ip)
}

// remember keeps what a lookup has found, in place of the oldest.
func (s *System) remember(name string, ips []netip.Addr) {
	name = strings.ToLower(name)
	for _, ip := range ips {
		f := found{name, ip}
		if at := slices.Index(s.found, f); at >= 0 {
			s.found = slices.Delete(s.found, at, at+1)
		} else if len(s.found) == maxFound {
			s.found = slices.Delete(s.found, 0, 1)
		}
		s.found = append(s.found, f)
	}
}

// namesOf are the names by which the program has found an address.
func (s *System) namesOf(ip netip.Addr) (names []string) {
	for _, f := range s.found {
		if f.ip == ip {
			names = append(names, f.name)
		}
	}
	return names
}

// socketOptions are what can be set of any socket and does nothing but be told.
// The kernel takes such things for advice.
type socketOptions struct {
	hopLimit      uint8
	receive, send uint64 // sizes of buffers
}

// maxBuffer is the size that larger ones of buffers become.
const maxBuffer = 1 << 20

func newSocketOptions() socketOptions { return socketOptions{64, 128 << 10, socket.Queue} }

func (o *socketOptions) code(c *wasi.Coder) {
	wasi.Uint(c, &o.hopLimit, 255)
	wasi.Uint(c, &o.receive, maxBuffer)
	wasi.Uint(c, &o.send, maxBuffer)
}

// setNumber sets an option to a number of the program's, which may not be 0.
func setNumber[T uint8 | uint32 | uint64](to *T, v wit.Value, most T) (wit.Value, error) {
	n := v.(T)
	if n == 0 {
		return netFailed(socket.InvalidArgument)
	}
	*to = min(n, most)
	return ok(nil), nil
}
