package wasip2

import (
	"errors"
	"strconv"
	"strings"
)

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
	// tokenChars are those of a token (RFC 9110, section 5.6.2).
	tokenChars = letters + digits + "!#$%&'*+-.^_`|~"
	// hostChars are those of a registered name or an IPv4 address, and of what
	// may be before them (RFC 3986, sections 2 and 3.2).
	hostChars = letters + digits + "-._~" + "!$&'()*+,;=" + "%"
)

var errContentLength = errors.New("the content-length is no length")

// isMadeOf tells whether s is of these characters alone, and of one at least.
func isMadeOf(s, chars string) bool { return s != "" && strings.Trim(s, chars) == "" }

// isToken tells whether s is a token, as methods and the names of fields are.
func isToken(s string) bool { return isMadeOf(s, tokenChars) }

// isFieldValue tells whether v can be the value of a field (RFC 9110, section
// 5.5). White space around it belongs to nobody and does no harm.
func isFieldValue(name string, v []byte) bool {
	for _, c := range v {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	if strings.EqualFold(name, "content-length") {
		_, valid := parseLength(v)
		return valid
	}
	return true
}

// parseLength reads a content-length (RFC 9110, section 8.6).
func parseLength(v []byte) (n uint64, valid bool) {
	if !isMadeOf(string(v), digits) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(v), 10, 64)
	return n, err == nil
}

// isPath tells whether s can be a path with a query: whatever no parser would
// take for something else. Unlike RFC 3986 it lets characters be that ought to
// be percent-encoded and that browsers leave as they are.
func isPath(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c == 0x7f || strings.IndexByte("\"#<>\\`", c) >= 0 {
			return false
		}
	}
	return true
}

// isScheme tells whether s is a scheme (RFC 3986, section 3.1).
func isScheme(s string) bool {
	return s != "" && strings.IndexByte(letters, s[0]) >= 0 && isMadeOf(s, letters+digits+"+-.")
}

// isAuthority tells whether s is an authority (RFC 3986, section 3.2) that has a
// host, and a port if there is a colon for one.
func isAuthority(s string) bool {
	host := s
	if user, rest, found := strings.Cut(s, "@"); found {
		if user != "" && !isMadeOf(user, hostChars+":") {
			return false
		}
		host = rest
	}
	port := ""
	if literal, found := strings.CutPrefix(host, "["); found {
		var closed bool
		if literal, port, closed = strings.Cut(literal, "]"); !closed || !isMadeOf(literal, digits+letters+":.-_~!$&'()*+,;=") {
			return false
		}
		return port == "" || port[0] == ':' && isPort(port[1:])
	}
	host, port, found := strings.Cut(host, ":")
	return isMadeOf(host, hostChars) && (!found || isPort(port))
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return isMadeOf(s, digits) && err == nil
}
