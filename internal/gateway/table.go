package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/waterbear-run/waterbear/api"
)

// table is the routes that hold together. It is not changed.
type table struct {
	mux     *http.ServeMux
	entries []*entry
	// patterns are the entries by what the mux calls them.
	patterns map[string]*entry
}

// entry is a route as it is served.
type entry struct {
	route   api.Route
	worker  chooser
	key     keying
	cors    *cors
	binding atomic.Pointer[binding] // of the newest revision that was asked for
	members []atomic.Int32          // requests under way of each worker of its pool
	next    atomic.Uint64           // the member to begin with
	// load is shared with the entries of the same name before and after it: a
	// change of routes is no way around a limit.
	load *load
}

// load is what a route has under way.
type load struct{ requests atomic.Int64 }

// newTable makes the table of routes that are each for itself right. What they
// have under way goes on from before, which may be nil.
func newTable(g *Gateway, routes []api.Route, before *table) (*table, error) {
	t := &table{mux: http.NewServeMux(), patterns: map[string]*entry{}}
	loads := map[string]*load{}
	if before != nil {
		for _, e := range before.entries {
			loads[e.route.Name] = e.load
		}
	}
	for _, r := range routes {
		e := &entry{route: r, cors: newCORS(r.CORS), load: loads[r.Name]}
		if e.load == nil {
			e.load = &load{}
		}
		var err error
		if e.worker, err = parseChooser(r.Worker); err != nil {
			return nil, fmt.Errorf("route %s: %w", r.Name, err)
		}
		e.members = make([]atomic.Int32, e.worker.pool)
		if e.key, err = parseKeying(r.Key); err != nil {
			return nil, fmt.Errorf("route %s: %w", r.Name, err)
		}
		for _, pattern := range patternsOf(&r) {
			if had := t.patterns[pattern]; had != nil || !handles(t.mux, pattern, g.serving(e)) {
				other := pattern
				if had == nil {
					had, other = t.rival(pattern)
				}
				return nil, conflict(e, pattern, had, other)
			}
			t.patterns[pattern] = e
		}
		t.entries = append(t.entries, e)
	}
	return t, nil
}

// methodsOf are the methods of a route; none stands for all.
func methodsOf(r *api.Route) []string {
	if len(r.Methods) == 0 && r.Function != "" {
		return []string{http.MethodPost}
	}
	return r.Methods
}

// patternsOf are a route's requests as http.ServeMux writes them.
func patternsOf(r *api.Route) []string {
	at := r.Host + r.Path
	if strings.HasSuffix(at, "/") {
		at += "{$}" // else it would stand for all that is below
	}
	methods := methodsOf(r)
	if len(methods) == 0 {
		return []string{at}
	}
	all := make([]string, len(methods))
	for i, m := range methods {
		all[i] = m + " " + at
	}
	return all
}

// handles adds a pattern to a mux, unless another one there is neither narrower
// nor wider and yet for some of the same requests: then the mux panics, whose
// words are about our source.
func handles(mux *http.ServeMux, pattern string, h http.HandlerFunc) (ok bool) {
	defer func() { ok = recover() == nil }()
	mux.HandleFunc(pattern, h)
	return true
}

// rival finds which pattern another one overlaps with.
func (t *table) rival(pattern string) (*entry, string) {
	for _, other := range slices.Sorted(maps.Keys(t.patterns)) {
		pair := http.NewServeMux()
		if handles(pair, other, nobody) && !handles(pair, pattern, nobody) {
			return t.patterns[other], other
		}
	}
	panic("gateway: a pattern overlaps with none: " + pattern)
}

func nobody(http.ResponseWriter, *http.Request) {}

func conflict(e *entry, pattern string, had *entry, other string) error {
	return api.NewProblem(api.CodeRouteConflict, fmt.Sprintf(
		"route %s (%s) and route %s (%s) are for some of the same requests, and neither is the narrower one: change the path, the host or the methods of one of them",
		e.route.Name, pattern, had.route.Name, other))
}

// find gives the route of requests like this, or nil.
func (t *table) find(r *http.Request) *entry {
	_, pattern := t.mux.Handler(r)
	return t.patterns[pattern]
}
