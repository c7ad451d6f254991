package waterbear

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/gateway"
	"github.com/waterbear-run/waterbear/internal/routes"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// openRoutes lets the routes hold that are stored. Those that cannot be read or
// served are for a person to set anew; nothing else waits for that.
func (p *Platform) openRoutes(ctx context.Context) (err error) {
	if p.routes, err = routes.Open(ctx, p.node.sched, p.node.store.Cells()); err != nil {
		return err
	}
	p.gateway = gateway.New((*invoker)(p))
	list, err := p.routes.List()
	if err == nil {
		err = p.gateway.Set(list)
	}
	if err != nil {
		p.node.warn("there are no routes", err)
	}
	return nil
}

// RouteOptions say how routes are served.
type RouteOptions = gateway.Options

// RouteHandler serves the routes that hold, to anybody.
func (p *Platform) RouteHandler(o RouteOptions) http.Handler { return p.gateway.Handler(o) }

// Routes lists the routes, by name.
func (p *Platform) Routes(context.Context) ([]api.Route, error) { return p.routes.List() }

// Route is one of them.
func (p *Platform) Route(_ context.Context, name string) (api.Route, error) {
	list, err := p.routes.List()
	if err != nil {
		return api.Route{}, err
	}
	if i := slices.IndexFunc(list, named(name)); i >= 0 {
		return list[i], nil
	}
	return api.Route{}, unknownRoute(name)
}

func named(name string) func(api.Route) bool {
	return func(r api.Route) bool { return r.Name == name }
}

func unknownRoute(name string) error {
	return api.NewProblem(api.CodeUnknownRoute, fmt.Sprintf("there is no route %q; `waterbear route list` shows those there are", name))
}

// SetRoute adds a route, or replaces the one of its name.
func (p *Platform) SetRoute(ctx context.Context, r api.Route) (api.RouteChanges, error) {
	return p.changeRoutes(ctx, routeEdit{}, func(now []api.Route) ([]api.Route, error) {
		return append(slices.DeleteFunc(now, named(r.Name)), r), nil
	})
}

// DeleteRoute removes a route.
func (p *Platform) DeleteRoute(ctx context.Context, name string) error {
	_, err := p.changeRoutes(ctx, routeEdit{}, func(now []api.Route) ([]api.Route, error) {
		next := slices.DeleteFunc(now, named(name))
		if len(next) == len(now) {
			return nil, unknownRoute(name)
		}
		return next, nil
	})
	return err
}

// ApplyRoutes makes these all the routes that there are, at once, or with dry
// only tells what that would change.
func (p *Platform) ApplyRoutes(ctx context.Context, all api.Routes, dry bool) (api.RouteChanges, error) {
	return p.changeRoutes(ctx, routeEdit{anew: true, dry: dry}, func([]api.Route) ([]api.Route, error) { return slices.Clone(all.Routes), nil })
}

// routeEdit says how routes are changed.
type routeEdit struct {
	anew bool // all of them are set
	dry  bool // it is only asked what would change
}

// changeRoutes replaces the routes by what edit makes of them, if that makes
// sense, and tells the difference.
func (p *Platform) changeRoutes(ctx context.Context, how routeEdit, edit func(now []api.Route) ([]api.Route, error)) (api.RouteChanges, error) {
	changes := api.RouteChanges{Applied: !how.dry}
	err := p.routes.Change(ctx, how.anew, func(now []api.Route) ([]api.Route, error) {
		next, err := edit(slices.Clone(now))
		if err == nil {
			err = p.gateway.Check(ctx, next, now)
		}
		if err == nil {
			changes.Changes = gateway.Difference(now, next)
		}
		if err == nil && how.dry {
			err = routes.ErrUnchanged
		}
		return next, err
	}, p.gateway.Set)
	return changes, err
}

// RoutesOpenAPI describes the routes to functions as an OpenAPI document: those
// for a host, or all of them if that is "".
func (p *Platform) RoutesOpenAPI(ctx context.Context, host string) (json.RawMessage, error) {
	return p.gateway.OpenAPI(ctx, strings.ToLower(host))
}

// invoker is the platform as the gateway sees it.
type invoker Platform

// Revision is the newest revision of a component, with the number 0 if there is
// none.
func (i *invoker) Revision(component string) api.Revision {
	latest, _ := i.catalog.Latest(component)
	return latest
}

// Signature finds a function of the newest revision of a component.
func (i *invoker) Signature(ctx context.Context, component, function string) (s gateway.Signature, err error) {
	program, err := i.catalog.Acquire(ctx, component, 0)
	if err != nil {
		return s, err
	}
	defer func() {
		if released := program.Release(); err == nil {
			err = released
		}
	}()
	r := &program.Revision
	f, err := worker.FindFunction(*r, function)
	if err != nil {
		return s, err
	}
	s = gateway.Signature{Revision: r.Number, Kind: r.Kind, Function: *f}
	if r.Typed && r.Kind != api.Command {
		s.Type, _ = program.Typed(f.Name)
	}
	return s, nil
}

// Invoke is the platform's.
func (i *invoker) Invoke(ctx context.Context, component, name string, c api.Call) (api.Invocation, error) {
	return (*Platform)(i).Invoke(ctx, component, name, c)
}

// Exchange is the platform's.
func (i *invoker) Exchange(ctx context.Context, component, name string, c api.Call, r *http.Request, wait time.Duration) (*http.Response, error) {
	return (*Platform)(i).exchange(ctx, component, name, c, r, wait)
}
