// Package gateway is the way from anybody's HTTP requests to invocations of
// workers, by routes: which requests there are, which worker each is for, what
// of it becomes an argument, its idempotency key, and how what the function
// returns becomes an answer. It hides HTTP from the platform; the REST interface,
// by which the platform is controlled, is another package's and another
// listener's.
package gateway

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/wit"
)

// Invoker is what the gateway stands on. Errors are an *api.Problem where the
// caller is at fault or can do something. Its methods may be called by any number
// of goroutines.
type Invoker interface {
	// Revision is the newest revision of a component, with the number 0 if there is
	// none. It is fast: every request asks.
	Revision(component string) api.Revision
	// Signature finds a function of the newest revision, by its whole name or by
	// a shorter one that no other has.
	Signature(ctx context.Context, component, function string) (Signature, error)
	// Invoke calls a function of a worker, which it makes if it is not there.
	Invoke(ctx context.Context, component, worker string, c api.Call) (api.Invocation, error)
	// Exchange lets a worker of a component that handles HTTP answer a request. It
	// returns when the response has begun, for which it waits as long as wait says.
	// Of c count the key and which worker is wanted.
	Exchange(ctx context.Context, component, worker string, c api.Call, r *http.Request, wait time.Duration) (*http.Response, error)
}

// Signature is how a function is called.
type Signature struct {
	Revision uint64
	Kind     api.Kind
	// Function has its whole name, and the types of a core module's.
	Function api.Function
	// Type is that of a component's function, nil for one of a core module and for
	// a command.
	Type *wit.Func
}

// Gateway has the routes that hold now. Its methods may be called by any number
// of goroutines.
type Gateway struct {
	invoker Invoker
	table   atomic.Pointer[table]
	cross   *http.CrossOriginProtection
}

// New makes a gateway without routes.
func New(i Invoker) *Gateway {
	g := &Gateway{invoker: i, cross: http.NewCrossOriginProtection()}
	g.table.Store(&table{mux: http.NewServeMux()})
	return g
}

// Set makes the routes hold that Check has nothing against. Requests under way
// end by the routes that held when they began.
func (g *Gateway) Set(routes []api.Route) error {
	t, err := newTable(g, routes, g.table.Load())
	if err == nil {
		g.table.Store(t)
	}
	return err
}

// Check says what is wrong with routes, or nil: with each for itself, with two
// that are for the same requests, or with what a component has not. Of those that
// are as they were, by name, only that is looked at which they could not be
// refused for before.
func (g *Gateway) Check(ctx context.Context, routes, before []api.Route) error {
	var wrong []api.FieldError
	had := make(map[string]*api.Route, len(before))
	for i := range before {
		had[before[i].Name] = &before[i]
	}
	seen := map[string]bool{}
	for i := range routes {
		r := &routes[i]
		at := check{at: r.Name}
		if seen[r.Name] {
			at.refuse("name", "there are two routes of this name")
		}
		seen[r.Name] = true
		at.route(r)
		// A component may have changed since its route was made, and that must not
		// keep others from being changed.
		if len(at.errors) == 0 && !same(r, had[r.Name]) {
			at.component(ctx, g.invoker, r)
		}
		wrong = append(wrong, at.errors...)
	}
	if len(wrong) > 0 {
		return refusal(wrong)
	}
	_, err := newTable(g, routes, nil)
	return err
}

// Difference is what differs between routes before and after, by name.
func Difference(before, after []api.Route) []api.RouteChange {
	changes := []api.RouteChange{}
	had := map[string]*api.Route{}
	for _, was := range before {
		had[was.Name] = &was
	}
	for _, now := range after {
		r := &now
		was := had[r.Name]
		delete(had, r.Name)
		switch {
		case was == nil:
			changes = append(changes, api.RouteChange{Name: r.Name, Change: api.RouteAdded, After: r})
		case !same(r, was):
			changes = append(changes, api.RouteChange{Name: r.Name, Change: api.RouteChanged, Before: was, After: r})
		}
	}
	for name, was := range had {
		changes = append(changes, api.RouteChange{Name: name, Change: api.RouteRemoved, Before: was})
	}
	slices.SortFunc(changes, func(a, b api.RouteChange) int { return strings.Compare(a.Name, b.Name) })
	return changes
}
