package wasip2

import "github.com/waterbear-run/waterbear/wit"

var resolveStream = &wit.Resource{Name: "resolve-address-stream"}

// socketsLookup is wasi:sockets/ip-name-lookup.
func socketsLookup() interfaceOf {
	stream := self(resolveStream)
	return interfaceOf{
		name: "wasi:sockets/ip-name-lookup", resources: []*wit.Resource{resolveStream},
		functions: []function{
			{
				name: "resolve-addresses",
				typ:  fnTo(result(own(resolveStream), networkError), param("network", borrow(networkResource)), param("name", tString)),
				call: denyLookup,
			},
			{name: "[method]resolve-address-stream.resolve-next-address", typ: fnTo(result(option(ipAddress), networkError), stream), call: noSocket},
			{name: "[method]resolve-address-stream.subscribe", typ: fnTo(own(pollableResource), stream), call: noSocket},
		},
	}
}

// denyLookup finds no name: there is no resolver, and will be none later.
func denyLookup(*System, []wit.Value) (wit.Value, error) {
	return failed(label(netPermanentResolver)), nil
}
