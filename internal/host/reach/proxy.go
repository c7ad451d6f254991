package reach

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// MaxProxy bounds the URL of a proxy, in bytes.
const MaxProxy = 2 << 10

var errProxy = errors.New("it is no proxy: write http://HOST:PORT, or off")

// CheckProxy says why a text is not the URL of a proxy, and whether it has a name
// or a password in it.
func CheckProxy(text string) (password bool, err error) {
	if len(text) > MaxProxy {
		return false, errProxy
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return false, errProxy
	}
	return u.User != nil, nil
}

// Names reports whether a rule names the host itself, whatever its addresses.
func (r Rules) Names(host string, port uint16) bool {
	host = canonical(host)
	return slices.ContainsFunc(r.list, func(one rule) bool { return one.name != "" && one.speaksOf(host, port) })
}

// Local reports whether a name that is no address can only be one of a machine or
// of a network: without a dot, in a domain that is reserved for such names
// (RFC 6761, RFC 6762, RFC 8375, RFC 9476), or written like an address that it is
// not.
func Local(host string) bool {
	host = canonical(host)
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	if !isName(host) || !strings.Contains(host, ".") {
		return true
	}
	return slices.ContainsFunc(localDomains, func(d string) bool { return strings.HasSuffix(host, d) })
}

var localDomains = []string{".localhost", ".local", ".internal", ".home.arpa", ".lan", ".intranet", ".corp", ".home", ".alt", ".onion"}
