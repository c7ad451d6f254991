package wasip2

import "github.com/waterbear-run/waterbear/wit"

var (
	tcpSocket    = &wit.Resource{Name: "tcp-socket"}
	shutdownType = enum("shutdown-type", "receive", "send", "both")
)

// socketsTCPCreate is wasi:sockets/tcp-create-socket.
func socketsTCPCreate() interfaceOf {
	return interfaceOf{
		name: "wasi:sockets/tcp-create-socket",
		functions: []function{
			{name: "create-tcp-socket", typ: fnTo(result(own(tcpSocket), networkError), param("address-family", addressFamily)), call: denySocket},
		},
	}
}

// socketsTCP is wasi:sockets/tcp.
func socketsTCP() interfaceOf {
	socket, network := self(tcpSocket), param("network", borrow(networkResource))
	streams := tuple(own(inputStream), own(outputStream))
	i := interfaceOf{name: "wasi:sockets/tcp", resources: []*wit.Resource{tcpSocket}}
	method := func(name string, result *wit.Type, params ...wit.Param) {
		i.functions = append(i.functions, function{
			name: "[method]tcp-socket." + name, typ: fnTo(result, append([]wit.Param{socket}, params...)...), call: noSocket,
		})
	}
	orError := func(t *wit.Type) *wit.Type { return result(t, networkError) }
	method("start-bind", orError(nil), network, param("local-address", socketAddress))
	method("finish-bind", orError(nil))
	method("start-connect", orError(nil), network, param("remote-address", socketAddress))
	method("finish-connect", orError(streams))
	method("start-listen", orError(nil))
	method("finish-listen", orError(nil))
	method("accept", orError(tuple(own(tcpSocket), own(inputStream), own(outputStream))))
	method("local-address", orError(socketAddress))
	method("remote-address", orError(socketAddress))
	method("is-listening", tBool)
	method("address-family", addressFamily)
	method("set-listen-backlog-size", orError(nil), param("value", tU64))
	for _, option := range []struct {
		name string
		typ  *wit.Type
	}{
		{"keep-alive-enabled", tBool},
		{"keep-alive-idle-time", tDuration},
		{"keep-alive-interval", tDuration},
		{"keep-alive-count", tU32},
		{"hop-limit", tU8},
		{"receive-buffer-size", tU64},
		{"send-buffer-size", tU64},
	} {
		method(option.name, orError(option.typ))
		method("set-"+option.name, orError(nil), param("value", option.typ))
	}
	method("subscribe", own(pollableResource))
	method("shutdown", orError(nil), param("shutdown-type", shutdownType))
	return i
}
