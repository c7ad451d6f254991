package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

// Public is what is served to anybody, beside the REST interface and on an
// address of its own: no request there reaches what controls the node, whatever
// its host, path or header.
type Public struct {
	Listener net.Listener
	TLS      *tls.Config // nil: plain HTTP
	// Handler makes what answers. It tells observe of each request: the name of its
	// route, "" if it has none, and the status. What could go on for ever takes a
	// context of until's, which ends when the server stops.
	Handler func(observe func(route string, status int, took time.Duration), until func(context.Context) (context.Context, context.CancelCauseFunc)) http.Handler
}

// OfRoute is what operations on a route take.
type OfRoute struct {
	Route string `path:"route" minLength:"1" maxLength:"128" doc:"Name of the route" example:"add-item"`
}

func (s *Server) addRoutes() {
	add(s, "list-routes", func(ctx context.Context, _ *exchange, _ *none) (*body[api.Page[api.Route]], error) {
		list, err := s.config.Platform.Routes(ctx)
		return page(list, ""), err
	})
	add(s, "get-route", func(ctx context.Context, _ *exchange, in *OfRoute) (*body[api.Route], error) {
		r, err := s.config.Platform.Route(ctx, in.Route)
		return &body[api.Route]{r}, err
	})
	add(s, "set-route", func(ctx context.Context, _ *exchange, in *struct {
		OfRoute
		Body api.Route
	},
	) (*body[api.RouteChanges], error) {
		if in.Body.Name != in.Route {
			return nil, invalid("body.name", "it is %q, and the path says %q", in.Body.Name, in.Route)
		}
		return s.changed(s.config.Platform.SetRoute(ctx, in.Body))
	})
	add(s, "delete-route", func(ctx context.Context, _ *exchange, in *OfRoute) (*none, error) {
		return nil, s.config.Platform.DeleteRoute(ctx, in.Route)
	})
	add(s, "apply-routes", func(ctx context.Context, _ *exchange, in *struct {
		DryRun bool `query:"dryRun" doc:"Only tell what would change"`
		Body   api.Routes
	},
	) (*body[api.RouteChanges], error) {
		return s.changed(s.config.Platform.ApplyRoutes(ctx, in.Body, in.DryRun))
	})
	addRaw[struct {
		Host string `query:"host" maxLength:"253" doc:"Those for this host; absent: all"`
	}, status200](s, "routes-openapi", s.routesOpenAPI)
}

// changed answers what a change of routes came to.
func (s *Server) changed(c api.RouteChanges, err error) (*body[api.RouteChanges], error) {
	if c.Changes == nil {
		c.Changes = []api.RouteChange{}
	}
	c.Served = s.config.Public != nil
	return &body[api.RouteChanges]{c}, err
}

func (s *Server) routesOpenAPI(x *exchange, r *http.Request) error {
	query := r.URL.Query()
	for name, values := range query {
		if name != "host" || len(values) != 1 || len(values[0]) > 253 {
			return invalid("query."+short(name), "there is one parameter, host, with the name of one")
		}
	}
	text, err := s.config.Platform.RoutesOpenAPI(r.Context(), query.Get("host"))
	if err != nil {
		return err
	}
	return x.content("application/openapi+json", text)
}
