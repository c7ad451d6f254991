package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/waterbear-run/waterbear/api"
)

// maxClientKey is the longest idempotency key that a client can give, in bytes,
// and maxKey that of an invocation.
const (
	maxClientKey = 255
	maxKey       = 256
)

// clientKey is the idempotency key that a request has, "" if it has none: one that
// changes nothing needs none, for repeating it does no harm, and an answer that is
// repeated for ever would do some.
func (k keying) clientKey(r *http.Request, digest func() string) (string, *api.Problem) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
		return "", nil
	}
	if k.request {
		return digest(), nil
	}
	if k.field == "" {
		return "", nil
	}
	at := "header." + k.field
	given := r.Header[k.field]
	switch {
	case len(given) == 0 && k.required:
		return "", wrongAt(at, "it is missing: send a key of your own, which is the same when you repeat the request, and only then")
	case len(given) == 0:
		return "", nil
	case len(given) > 1:
		return "", wrongAt(at, "it is there %d times: send it once", len(given))
	}
	key := given[0]
	// The draft has it as a string of structured fields (RFC 9651, 3.3.3), in
	// quotes. Many clients send it without; both are the same key.
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(key[1 : len(key)-1])
	}
	if key == "" || len(key) > maxClientKey {
		return "", wrongAt(at, "a key has 1 to %d bytes, this one has %d", maxClientKey, len(key))
	}
	for i := range len(key) {
		if key[i] < '!' || key[i] > '~' {
			return "", wrongAt(at, "a key has visible ASCII characters only, this one has %q at byte %d", key[i], i)
		}
	}
	return key, nil
}

// invocationKey is the key of the invocation that a client's key of a route is
// for: that of another route is for another. No name of a route has a slash.
func invocationKey(route, client string) string {
	if client == "" {
		return ""
	}
	if key := route + "/" + client; len(key) <= maxKey {
		return key
	}
	sum := sha256.Sum256([]byte(client))
	return route + "/sha256:" + hex.EncodeToString(sum[:])
}

// digest is the key of a request that is its own: what it asks for.
func digest(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		one := sha256.Sum256(p)
		h.Write(one[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}
