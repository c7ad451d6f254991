// Package reach says which hosts a program may talk to. It hides how patterns are
// written and which addresses the public ones are. It resolves nothing: who dials
// asks with the address that is about to be dialed, so that a name cannot show
// one address to the check and another to the connection.
package reach

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Public is the pattern of all hosts with public addresses, on any port.
const Public = "public"

// Bounds of a list of patterns.
const (
	MaxPatterns = 256
	MaxPattern  = 280 // a name has up to 253 bytes
)

// Rules are the hosts that a program may reach. The zero value allows none.
type Rules struct {
	list []rule
	text string
}

// String gives the patterns. Equal rules have equal texts.
func (r Rules) String() string { return r.text }

// rule is one pattern.
type rule struct {
	public bool         // every public address
	prefix netip.Prefix // addresses, if it is valid
	name   string       // a host's name in lower case, or
	suffix string       // what is behind the * of one: its public addresses
	port   uint16       // 0: any
}

// Parse reads patterns: "public"; a name, with its addresses whatever they are;
// "*.example.com", what is below it and has public addresses; an address or a
// range of them, such as 10.0.0.0/8. Behind each but the first there may be a
// colon and a port; an IPv6 address with one is in brackets.
func Parse(patterns []string) (Rules, error) {
	var r Rules
	if len(patterns) > MaxPatterns {
		return r, fmt.Errorf("there are %d patterns, more than %d", len(patterns), MaxPatterns)
	}
	for _, p := range patterns {
		one, err := parse(p)
		if err != nil {
			return r, fmt.Errorf("%q: %w", p, err)
		}
		r.list = append(r.list, one)
	}
	r.text = strings.Join(patterns, ",")
	return r, nil
}

// ParseLocal reads patterns of a machine's own addresses: an address or a range of
// them, and behind that perhaps a colon and a port.
func ParseLocal(patterns []string) (Rules, error) {
	r, err := Parse(patterns)
	for i, one := range r.list {
		if !one.prefix.IsValid() && err == nil {
			err = fmt.Errorf("%q: %w", patterns[i], errLocal)
		}
	}
	if err != nil {
		return Rules{}, err
	}
	return r, nil
}

var (
	errLocal = errors.New("it is no address of a machine: write one such as 127.0.0.1, 0.0.0.0:8080 or [::1]:8080, or a range")

	errLong = fmt.Errorf("it has more than %d bytes", MaxPattern)
	errPort = errors.New("what is behind the colon is no port")
	errHost = errors.New("it is no host: write a name, *.NAME, an address, a range such as 10.0.0.0/8, or public")
)

func parse(p string) (r rule, err error) {
	if len(p) > MaxPattern {
		return r, errLong
	}
	if p == Public {
		return rule{public: true}, nil
	}
	host, port := split(p)
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return r, errPort
		}
		r.port = uint16(n)
	}
	if prefix, err := netip.ParsePrefix(host); err == nil {
		r.prefix = prefix.Masked()
		return r, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.WithZone("").Unmap()
		r.prefix = netip.PrefixFrom(ip, ip.BitLen())
		return r, nil
	}
	host = strings.ToLower(host)
	if suffix, ok := strings.CutPrefix(host, "*"); ok && strings.HasPrefix(suffix, ".") && isName(suffix[1:]) {
		r.suffix = suffix
		return r, nil
	}
	if !isName(host) {
		return r, errHost
	}
	r.name = host
	return r, nil
}

// split takes a port off a pattern. Without brackets, what has more than one
// colon is an address.
func split(p string) (host, port string) {
	if strings.HasPrefix(p, "[") {
		if end := strings.IndexByte(p, ']'); end > 0 {
			if rest := p[end+1:]; rest == "" || rest[0] == ':' && len(rest) > 1 {
				return p[1:end], strings.TrimPrefix(rest, ":")
			}
		}
		return p, ""
	}
	at := strings.LastIndexByte(p, ':')
	if at < 0 || strings.Count(p, ":") > 1 || at == len(p)-1 {
		return p, ""
	}
	return p[:at], p[at+1:]
}

// isName reports whether host is made of what names are made of. Nothing that
// looks like an address without being one is a name: an inet_aton takes 127.1,
// and 2130706433, for loopback.
func isName(host string) bool {
	if host == "" || len(host) > 253 {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return false
			}
		}
		last = label
	}
	return strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}

// Permit reports whether a connection to host, as the program names it, may be
// made to this address of it.
func (r Rules) Permit(host string, ip netip.Addr, port uint16) bool {
	host, ip = canonical(host), ip.WithZone("").Unmap()
	return slices.ContainsFunc(r.list, func(one rule) bool {
		return one.speaksOf(host, port) && one.permits(ip)
	})
}

// Consider reports whether any address of host could be permitted. Where not, its
// name need not be looked up, which tells it to others.
func (r Rules) Consider(host string, port uint16) bool {
	host = canonical(host)
	return slices.ContainsFunc(r.list, func(one rule) bool { return one.speaksOf(host, port) })
}

// Mentions reports whether any rule speaks of a name, whatever the port: whether
// looking it up can be of use.
func (r Rules) Mentions(host string) bool {
	host = canonical(host)
	return slices.ContainsFunc(r.list, func(one rule) bool { return one.speaksOf(host, one.port) })
}

// None reports whether nothing can be reached.
func (r Rules) None() bool { return len(r.list) == 0 }

// canonical is how names are compared.
func canonical(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

func (one rule) speaksOf(host string, port uint16) bool {
	switch {
	case one.port != 0 && one.port != port:
		return false
	case one.name != "":
		return one.name == host
	case one.suffix != "":
		return strings.HasSuffix(host, one.suffix) && len(host) > len(one.suffix)
	}
	return true
}

func (one rule) permits(ip netip.Addr) bool {
	switch {
	case one.prefix.IsValid():
		return one.prefix.Contains(ip)
	case one.name != "":
		return true // whoever listed the name answers for it
	}
	return isPublic(ip)
}

// isPublic reports whether an address is one of the internet's: not of this
// machine, its network or its provider (RFC 6890 and the registries of IANA).
func isPublic(ip netip.Addr) bool {
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// special are ranges that are not public, beside those that netip knows. Those
// that carry addresses of IPv4 in them lead to where these lead.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // of providers, and metadata of some
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("3fff::/20"),
	netip.MustParsePrefix("fec0::/10"),
}
