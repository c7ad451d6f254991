package gateway

import (
	"fmt"
	"net/textproto"
	"strconv"
	"strings"
)

// place is where in a request something stands.
type place string

// The places, as a route names them before a dot.
const (
	inPath   place = "path"
	inQuery  place = "query"
	inHeader place = "header"
	inBody   place = "body" // as a value, or a field of it
	inRaw    place = "raw"  // the body's bytes
)

// source is a part of a request: what stands under a name at a place. The whole
// body has no name.
type source struct {
	place place
	name  string
}

// String is what a route calls it, and a problem.
func (s source) String() string {
	if s.name == "" {
		return string(s.place)
	}
	return string(s.place) + "." + s.name
}

// body reports whether it takes the request's body.
func (s source) body() bool { return s.place == inBody || s.place == inRaw }

// parseSource reads what String writes.
func parseSource(text string) (source, error) {
	kind, name, named := strings.Cut(text, ".")
	s := source{place(kind), name}
	switch {
	case (s.place == inPath || s.place == inQuery || s.place == inHeader) && name == "":
		return s, fmt.Errorf("%q names nothing: write %s.NAME", text, kind)
	case s.place == inHeader:
		if !isToken(name) {
			return s, fmt.Errorf("%q is no field of a header", name)
		}
		s.name = textproto.CanonicalMIMEHeaderKey(name)
	case s.place == inPath, s.place == inQuery, s.place == inBody && (!named || name != ""), s.place == inRaw && !named:
	default:
		return s, fmt.Errorf("%q is no part of a request: there are path.NAME, query.NAME, header.NAME, body, body.NAME and raw", text)
	}
	return s, nil
}

// isToken reports whether s can be the name of a header's field (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// How a route names workers, besides by a source.
const (
	workerNamed   = "name."
	workerPool    = "pool."
	workerRequest = "request"
)

// maxPool bounds the workers of a pool.
const maxPool = 1024

// chooser says which worker a request is for.
type chooser struct {
	from  source // where its name stands, if there
	named string // its name, or that of a pool's before the number
	pool  int    // how many there are; 0: it is no pool
}

// perRequest reports whether each request has a worker of its own.
func (c chooser) perRequest() bool { return c.named == "" && c.from == source{} }

func parseChooser(text string) (c chooser, err error) {
	const ways = "write name.NAME, path.NAME, query.NAME, header.NAME, pool.NAME.N or request"
	if text == workerRequest {
		return c, nil
	}
	if name, ok := strings.CutPrefix(text, workerNamed); ok {
		c.named = name
		return c, checkName(name)
	}
	if pool, ok := strings.CutPrefix(text, workerPool); ok {
		dot := strings.LastIndexByte(pool, '.')
		n, err := strconv.Atoi(pool[dot+1:])
		if dot < 0 || err != nil || n < 1 || n > maxPool {
			return c, fmt.Errorf("%q says no pool: write pool.NAME.N, N being from 1 to %d", text, maxPool)
		}
		c.named, c.pool = pool[:dot], n
		return c, checkName(c.member(n))
	}
	c.from, err = parseSource(text)
	if err != nil || c.from.body() {
		return c, fmt.Errorf("%q names no worker: %s", text, ways)
	}
	return c, nil
}

// member is a worker of the pool, from 1.
func (c chooser) member(n int) string { return c.named + "-" + strconv.Itoa(n) }

// What a route's key can be, besides header.NAME.
const (
	keyHeader   = "header"
	keyRequired = "required"
	keyRequest  = "request"
	keyOff      = "off"
)

// keyField is where clients put idempotency keys
// (draft-ietf-httpapi-idempotency-key-header).
const keyField = "Idempotency-Key"

// keying says where the idempotency keys of a route come from.
type keying struct {
	field    string // of the header; "": not from there
	required bool
	request  bool // the request is its own key
}

func parseKeying(text string) (keying, error) {
	switch text {
	case "", keyHeader:
		return keying{field: keyField}, nil
	case keyRequired:
		return keying{field: keyField, required: true}, nil
	case keyRequest:
		return keying{request: true}, nil
	case keyOff:
		return keying{}, nil
	}
	s, err := parseSource(text)
	if err != nil || s.place != inHeader {
		return keying{}, fmt.Errorf("%q says no idempotency key: write header, required, header.NAME, request or off", text)
	}
	return keying{field: s.name}, nil
}
