package exchange

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waterbear-run/waterbear/internal/durable"
)

// hidden stands where a secret is not shown.
const hidden = "(hidden)"

// secretFields are the fields whose values are secrets, in lower case.
var secretFields = []string{"authorization", "proxy-authorization", "cookie", "set-cookie", "authentication-info"}

// secretNames are names of secrets in queries, in lower case.
var secretNames = []string{"key", "sig", "code", "jwt", "pin", "otp", "sid", "state", "assertion"}

// secretWords are in names of secrets.
var secretWords = []string{"token", "secret", "passw", "passphrase", "pwd", "signature", "credential", "apikey", "accesskey", "privatekey", "auth", "session"}

// isSecret reports whether what is called name is most likely one.
func isSecret(name string) bool {
	name = strings.ToLower(name)
	if slices.Contains(secretNames, name) {
		return true
	}
	bare := strings.NewReplacer("-", "", "_", "", ".", "").Replace(name)
	return slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(bare, word) })
}

// redactURL leaves the secrets of a query, and of who is said to ask, out of a URL
// or the end of one.
func redactURL(s string) string {
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		if at := strings.LastIndexByte(rest[:end], '@'); at >= 0 {
			s = scheme + "://" + hidden + rest[at:]
		}
	}
	before, query, ok := strings.Cut(s, "?")
	if !ok {
		return s
	}
	query, fragment, hasFragment := strings.Cut(query, "#")
	parts := strings.FieldsFunc(query, func(c rune) bool { return c == '&' || c == ';' })
	for i, part := range parts {
		if name, value, ok := strings.Cut(part, "="); ok && value != "" && isSecret(unescape(name)) {
			parts[i] = name + "=" + hidden
		}
	}
	s = before + "?" + strings.Join(parts, "&")
	if hasFragment {
		s += "#" + fragment
	}
	return s
}

// unescape reads a name as a server does, so that no secret hides behind how its
// name is written.
func unescape(name string) string {
	b := make([]byte, 0, len(name))
	for i := 0; i < len(name); i++ {
		var c byte
		if name[i] == '%' && i+2 < len(name) {
			if n, err := fmt.Sscanf(name[i+1:i+3], "%02x", &c); n == 1 && err == nil {
				b = append(b, c)
				i += 2
				continue
			}
		}
		b = append(b, name[i])
	}
	return string(b)
}

// redactField is the value of a field without secrets.
func redactField(f Field) string {
	name := strings.ToLower(f.Name)
	switch {
	case name == strings.ToLower(keyField):
	case slices.Contains(secretFields, name), isSecret(name):
		return hidden
	case name == "location", name == "content-location", name == "referer", name == "origin", name == "refresh", name == "link":
		return redactURL(string(f.Value))
	}
	return string(f.Value)
}

// Bounds of what is shown of a call.
const (
	maxShownFields = 100
	maxShownField  = 1 << 10
)

// showFields are fields on a line each, without secrets.
func showFields(list []Field) []string {
	var lines []string
	for _, f := range list[:min(len(list), maxShownFields)] {
		lines = append(lines, clip(fmt.Sprintf("%s: %s", f.Name, redactField(f)), maxShownField))
	}
	if more := len(list) - maxShownFields; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
}

// clip keeps what is shown short.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// ofRequest is what people want to know of a request.
func ofRequest(t ticket) durable.Facts {
	f := durable.Facts{Lines: showFields(t.Headers)}
	if key, ok := value(t.Headers, keyField); ok {
		f.Key = clip(string(key), maxShownField)
	}
	if t.length > 0 {
		f.Lines = append(f.Lines, fmt.Sprintf("body: %d bytes with the SHA-256 %x", t.length, t.hash))
	}
	return f
}

// unsent are the failures that come before anything of a request has left.
var unsent = []Reason{
	DNSTimeout, DNSError, DestinationNotFound, DestinationUnroutable, ConnectionRefused, ConnectionTimeout, ConnectionLimit,
	TLSCertificate, Denied, URIInvalid,
}

// ofResponse is what people want to know of what came back.
func ofResponse(h Head) durable.Facts {
	f := durable.Facts{Lines: showFields(h.Headers)}
	switch {
	case h.Given:
		f.Lines = append(f.Lines, fmt.Sprintf("body: %d bytes, given by a person", len(h.Body)))
	case h.Failure == nil:
	case slices.Contains(unsent, h.Failure.Reason):
		f.Fate = durable.NotSent
	default:
		f.Fate = durable.Unknown
	}
	return f
}
