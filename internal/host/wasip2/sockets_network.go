package wasip2

import (
	"errors"

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

// Values of error-code.
const (
	netAccessDenied      = 1
	netPermanentResolver = 20
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

// network is the network, which lets nothing in or out.
type network struct{}

func (*network) kind() kind       { return kindNetwork }
func (*network) code(*wasi.Coder) {}

func instanceNetwork(s *System, _ []wit.Value) (wit.Value, error) { return s.add(&network{}, 0) }

// networkErrorCode knows no error, for no stream is a socket's.
func networkErrorCode(*System, []wit.Value) (wit.Value, error) { return none, nil }

// denySocket refuses to make a socket.
func denySocket(*System, []wit.Value) (wit.Value, error) { return failed(label(netAccessDenied)), nil }

// noSocket is what can be done with a socket: nothing, for there is none.
func noSocket(*System, []wit.Value) (wit.Value, error) {
	return nil, errors.New("a function of a socket was called, and there are no sockets")
}
