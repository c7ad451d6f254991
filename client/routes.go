package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/waterbear-run/waterbear/api"
)

// Routes lists the routes, by name.
func (c *Client) Routes(ctx context.Context) ([]api.Route, error) {
	return list[api.Route](ctx, c, "routes")
}

// Route is one of them.
func (c *Client) Route(ctx context.Context, name string) (api.Route, error) {
	var found api.Route
	err := c.call(ctx, http.MethodGet, nil, &found, "routes", name)
	return found, err
}

// SetRoute adds a route, or replaces the one of its name.
func (c *Client) SetRoute(ctx context.Context, r api.Route) (api.RouteChanges, error) {
	var changes api.RouteChanges
	err := c.call(ctx, http.MethodPut, r, &changes, "routes", r.Name)
	return changes, err
}

// DeleteRoute removes a route.
func (c *Client) DeleteRoute(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, nil, nil, "routes", name)
}

// ApplyRoutes makes these all the routes that there are, at once, or with dry only
// tells what that would change.
func (c *Client) ApplyRoutes(ctx context.Context, all api.Routes, dry bool) (api.RouteChanges, error) {
	var changes api.RouteChanges
	at, err := c.path("routes")
	if err != nil {
		return changes, err
	}
	body, err := json.Marshal(all)
	if err != nil {
		return changes, err
	}
	r := request{method: http.MethodPut, url: at, body: body, media: typeJSON}
	if dry {
		r.query = url.Values{"dryRun": {"true"}}
	}
	return changes, c.do(ctx, r, &changes)
}

// RoutesOpenAPI describes the routes to functions as an OpenAPI document: those
// for a host, or all of them if that is "".
func (c *Client) RoutesOpenAPI(ctx context.Context, host string) (json.RawMessage, error) {
	at, err := c.path("openapi")
	if err != nil {
		return nil, err
	}
	r := request{method: http.MethodGet, url: at, accepts: typeOpenAPI + ", " + typeProblem}
	if host != "" {
		r.query = url.Values{"host": {host}}
	}
	answer, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := readAll(answer.Body)
	if err != nil {
		return nil, c.unreached(ctx, err)
	}
	if media := mediaOf(answer.Header); media != typeOpenAPI || !json.Valid(text) {
		return nil, c.nonsense("%s with the media type %q", answer.Status, media)
	}
	return text, nil
}
