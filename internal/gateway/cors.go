package gateway

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

// anyOrigin stands for all of them.
const anyOrigin = "*"

// cors is a route's api.CORS, ready to be sent (Fetch, "HTTP-responses").
type cors struct {
	origins     map[string]bool
	any         bool
	credentials bool
	headers     string
	expose      string
	maxAge      string
}

func newCORS(c *api.CORS) *cors {
	if c == nil {
		return nil
	}
	o := &cors{origins: map[string]bool{}, credentials: c.Credentials, expose: strings.Join(c.Expose, ", ")}
	for _, origin := range c.Origins {
		o.any = o.any || origin == anyOrigin
		o.origins[origin] = true
	}
	allowed := []string{"Content-Type", keyField}
	for _, name := range c.Headers {
		if !slices.ContainsFunc(allowed, func(had string) bool { return strings.EqualFold(had, name) }) {
			allowed = append(allowed, name)
		}
	}
	o.headers = strings.Join(allowed, ", ")
	if c.MaxAge > 0 {
		o.maxAge = strconv.Itoa(int(time.Duration(c.MaxAge).Seconds()))
	}
	return o
}

// admits says that a page of this origin may use the route, in the header of an
// answer, and whether it may.
func (o *cors) admits(h http.Header, origin string) bool {
	if !o.any {
		h.Add("Vary", "Origin")
	}
	if !o.any && !o.origins[origin] {
		return false
	}
	if o.any {
		origin = anyOrigin
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if o.credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	return true
}

// preflight answers a browser that asks whether a page may send a request. It
// reports whether the request is such.
func (g *Gateway) preflight(t *table, x *exchange, r *http.Request) bool {
	wanted := r.Header.Get("Access-Control-Request-Method")
	origin := r.Header.Get("Origin")
	if r.Method != http.MethodOptions || wanted == "" || origin == "" {
		return false
	}
	meant := *r
	meant.Method = wanted
	e := t.find(&meant)
	if e == nil || e.cors == nil {
		return false // the route's own, if it is for OPTIONS
	}
	x.entry = e
	h := x.Header()
	h.Add("Vary", "Access-Control-Request-Method")
	h.Add("Vary", "Access-Control-Request-Headers")
	if e.cors.admits(h, origin) {
		h.Set("Access-Control-Allow-Methods", wanted)
		h.Set("Access-Control-Allow-Headers", e.cors.headers)
		if e.cors.maxAge != "" {
			h.Set("Access-Control-Max-Age", e.cors.maxAge)
		}
	}
	x.WriteHeader(http.StatusNoContent)
	return true
}

// crossOrigin is what pages of other sites are told who may not use a route.
const crossOrigin = "web pages of other sites may not use this route: its cors says which may"

// admitOrigin says in x's header which pages may see the answer, and reports
// whether the request may come in at all. Reading is kept from other sites by
// their browsers; a request that changes something must not be let in.
func (g *Gateway) admitOrigin(e *entry, x *exchange, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if e.cors != nil && origin != "" {
		if e.cors.admits(x.Header(), origin) {
			if e.cors.expose != "" {
				x.Header().Set("Access-Control-Expose-Headers", e.cors.expose)
			}
			return true
		}
	}
	if e.route.Function == "" && e.cors == nil {
		return true // a handler minds its own origins
	}
	return g.cross.Check(r) == nil
}
