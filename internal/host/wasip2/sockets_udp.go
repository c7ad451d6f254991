package wasip2

import "github.com/waterbear-run/waterbear/wit"

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
			{name: "create-udp-socket", typ: fnTo(result(own(udpSocket), networkError), param("address-family", addressFamily)), call: denySocket},
		},
	}
}

// socketsUDP is wasi:sockets/udp.
func socketsUDP() interfaceOf {
	i := interfaceOf{name: "wasi:sockets/udp", resources: []*wit.Resource{udpSocket, incomingDatagrams, outgoingDatagrams}}
	method := func(of *wit.Resource, name string, result *wit.Type, params ...wit.Param) {
		i.functions = append(i.functions, function{
			name: "[method]" + of.Name + "." + name, typ: fnTo(result, append([]wit.Param{self(of)}, params...)...), call: noSocket,
		})
	}
	orError := func(t *wit.Type) *wit.Type { return result(t, networkError) }
	network, local := param("network", borrow(networkResource)), param("local-address", socketAddress)
	method(udpSocket, "start-bind", orError(nil), network, local)
	method(udpSocket, "finish-bind", orError(nil))
	method(udpSocket, "stream", orError(tuple(own(incomingDatagrams), own(outgoingDatagrams))), param("remote-address", option(socketAddress)))
	method(udpSocket, "local-address", orError(socketAddress))
	method(udpSocket, "remote-address", orError(socketAddress))
	method(udpSocket, "address-family", addressFamily)
	method(udpSocket, "unicast-hop-limit", orError(tU8))
	method(udpSocket, "set-unicast-hop-limit", orError(nil), param("value", tU8))
	for _, option := range []string{"receive-buffer-size", "send-buffer-size"} {
		method(udpSocket, option, orError(tU64))
		method(udpSocket, "set-"+option, orError(nil), param("value", tU64))
	}
	method(udpSocket, "subscribe", own(pollableResource))
	method(incomingDatagrams, "receive", orError(list(incomingDatagram)), param("max-results", tU64))
	method(incomingDatagrams, "subscribe", own(pollableResource))
	method(outgoingDatagrams, "check-send", orError(tU64))
	method(outgoingDatagrams, "send", orError(tU64), param("datagrams", list(outgoingDatagram)))
	method(outgoingDatagrams, "subscribe", own(pollableResource))
	return i
}
