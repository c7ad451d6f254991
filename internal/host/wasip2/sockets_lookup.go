package wasip2

import (
	"net/netip"
	"strings"

	"github.com/waterbear-run/waterbear/internal/host/await"
	"github.com/waterbear-run/waterbear/internal/host/socket"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

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
				call: resolveAddresses,
			},
			{name: "[method]resolve-address-stream.resolve-next-address", typ: fnTo(result(option(ipAddress), networkError), stream), call: on(resolveNext)},
			{name: "[method]resolve-address-stream.subscribe", typ: fnTo(own(pollableResource), stream), call: subscribe},
		},
	}
}

// maxHostName is the longest name that the domain name system allows.
const maxHostName = 253

// resolving is a resolve-address-stream.
type resolving struct {
	name     string
	call     uint64 // what names the lookup
	answered bool
	ready    bool // the program was told that it is
	failure  socket.Code
	rest     []netip.Addr // to be given yet
}

func (*resolving) kind() kind { return kindResolving }

func (r *resolving) code(c *wasi.Coder) {
	wasi.Text(c, &r.name, maxHostName)
	wasi.Uint(c, &r.call, 1<<64-1)
	c.Bool(&r.answered)
	c.Bool(&r.ready)
	wasi.Uint(c, &r.failure, socket.LastCode)
	wasi.List(c, &r.rest, socket.MaxAddresses, func(ip *netip.Addr) { codeIP(c, ip) })
}

func (r *resolving) weight() int { return len(r.name) }

// isName reports whether a text is a host's name. Others than ASCII are written
// with their own encoding, which is the program's affair.
func isName(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > maxHostName {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(strings.ToLower(label)) {
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return false
			}
		}
	}
	return true
}

func resolveAddresses(s *System, a []wit.Value) (wit.Value, error) {
	switch code := s.mayOpen(); {
	case s.net == nil: // there is no resolver
		return netFailed(socket.PermanentResolver)
	case code != socket.OK:
		return netFailed(code)
	}
	name := a[1].(string)
	bare := name
	if inner, is := strings.CutPrefix(name, "["); is && strings.HasSuffix(inner, "]") {
		bare = strings.TrimSuffix(inner, "]")
	}
	if ip, err := netip.ParseAddr(bare); err == nil && ip.Zone() == "" && (bare == name || ip.Is6()) {
		return s.addSocket(&resolving{answered: true, rest: []netip.Addr{ip.Unmap()}})
	}
	if !isName(name) {
		return netFailed(socket.InvalidArgument)
	}
	r := &resolving{name: name}
	rep, err := s.addSocket(r)
	if err != nil {
		return nil, err
	}
	r.call, err = s.net.Resolve(uint64(rep.(wit.Case).Payload.(uint32)), name)
	return rep, err
}

func resolveNext(s *System, r *resolving, a []wit.Value) (wit.Value, error) {
	if !r.answered {
		if !r.ready {
			if there, err := s.look(resolveWait{r, repOf(a)}); err != nil || !there {
				return orCode(nil, socket.WouldBlock, err)
			}
		}
		found, err := s.net.Resolved(repOf(a), r.call, r.name)
		if err != nil {
			return nil, err
		}
		r.answered, r.failure, r.rest = true, found.Code, found.Addresses
		if len(r.rest) > socket.MaxAddresses {
			r.rest = r.rest[:socket.MaxAddresses]
		}
		s.remember(r.name, r.rest)
	}
	if r.failure != socket.OK {
		return netFailed(r.failure)
	}
	if len(r.rest) == 0 {
		return ok(none), nil
	}
	ip := r.rest[0]
	r.rest = r.rest[1:]
	return ok(some(ipValue(ip))), nil
}

// resolveWait is that a lookup has ended.
type resolveWait struct {
	r  *resolving
	id uint64
}

func (w resolveWait) event(s *System) await.Event { return s.net.Resolving(w.id, w.r.call, w.r.name) }
func (w resolveWait) come()                       { w.r.ready = true }
