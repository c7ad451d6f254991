package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/waterbear-run/waterbear/api"
)

// Deploy makes module the newest revision of a component, unless it is that
// already. progress, which may be nil, is told how far compiling is.
func (c *Client) Deploy(ctx context.Context, component string, module []byte, progress func(api.Progress)) (api.Deployed, error) {
	at, err := c.path("components", component)
	if err != nil {
		return api.Deployed{}, err
	}
	ctx, heard, forget := listening(ctx)
	defer forget()
	answer, err := c.send(ctx, request{
		method: http.MethodPut, url: at, body: module, media: typeWasm,
		accepts: typeEvents + ", " + typeJSON + ";q=0.5, " + typeProblem,
		// A server that refuses says so before megabytes are sent for nothing.
		header: http.Header{"Expect": {"100-continue"}},
	})
	if err != nil {
		return api.Deployed{}, err
	}
	defer answer.Body.Close()
	if mediaOf(answer.Header) != typeEvents {
		var d api.Deployed
		if err := c.decode(answer, &d); err != nil {
			return api.Deployed{}, err
		}
		return c.checked(d)
	}
	return c.deployment(ctx, hear(answer.Body, heard), progress)
}

// deployment reads the events of a deployment up to the last.
func (c *Client) deployment(ctx context.Context, from *events, progress func(api.Progress)) (api.Deployed, error) {
	for {
		e, err := from.next()
		if err != nil {
			return api.Deployed{}, c.unreached(ctx, err)
		}
		switch e.name {
		case "progress":
			var p api.Progress
			if err := json.Unmarshal(e.data, &p); err != nil {
				return api.Deployed{}, c.nonsense("progress that cannot be decoded: %v", err)
			}
			if progress != nil {
				progress(p)
			}
		case "deployed":
			var d api.Deployed
			if err := json.Unmarshal(e.data, &d); err != nil {
				return api.Deployed{}, c.nonsense("what cannot be decoded: %v", err)
			}
			return c.checked(d)
		case eventProblem:
			return api.Deployed{}, c.eventProblem(e)
		}
	}
}

// checked refuses a deployment that made no revision.
func (c *Client) checked(d api.Deployed) (api.Deployed, error) {
	if d.Number == 0 {
		return api.Deployed{}, c.nonsense("a deployment without a revision")
	}
	return d, nil
}

// Components lists what was deployed.
func (c *Client) Components(ctx context.Context) ([]api.Component, error) {
	return list[api.Component](ctx, c, "components")
}

// Component is one of what was deployed.
func (c *Client) Component(ctx context.Context, component string) (api.Component, error) {
	var found api.Component
	err := c.call(ctx, http.MethodGet, nil, &found, "components", component)
	return found, err
}

// Revisions lists the revisions of a component, the newest first.
func (c *Client) Revisions(ctx context.Context, component string) ([]api.Revision, error) {
	return list[api.Revision](ctx, c, "components", component, "revisions")
}

// WIT gives the interface of a revision of a component, in WIT. That of a core
// module is api.CodeNoWIT.
func (c *Client) WIT(ctx context.Context, component string, revision uint64) (string, error) {
	at, err := c.path("components", component, "revisions", strconv.FormatUint(revision, 10), "wit")
	if err != nil {
		return "", err
	}
	answer, err := c.send(ctx, request{method: http.MethodGet, url: at, accepts: typeText + ", " + typeProblem})
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := readAll(answer.Body)
	if err != nil {
		return "", c.unreached(ctx, err)
	}
	if media := mediaOf(answer.Header); media != typeText {
		return "", c.nonsense("%s with the media type %q", answer.Status, media)
	}
	return string(text), nil
}

// Configure sets the settings of a component, all of them.
func (c *Client) Configure(ctx context.Context, component string, s api.Settings) (api.Component, error) {
	var now api.Component
	err := c.call(ctx, http.MethodPut, s, &now, "components", component, "settings")
	return now, err
}

// DeleteComponent deletes a component, which must have no workers.
func (c *Client) DeleteComponent(ctx context.Context, component string) error {
	return c.call(ctx, http.MethodDelete, nil, nil, "components", component)
}

// list reads a list that is short enough to be had as a whole.
func list[T any](ctx context.Context, c *Client, parts ...string) ([]T, error) {
	return listOf[T](ctx, c, url.Values{}, parts...)
}

// listOf is list with a query, to which it adds where a page begins.
func listOf[T any](ctx context.Context, c *Client, query url.Values, parts ...string) ([]T, error) {
	at, err := c.path(parts...)
	if err != nil {
		return nil, err
	}
	r := request{method: http.MethodGet, url: at, query: query}
	var all []T
	for {
		var page api.Page[T]
		if err := c.do(ctx, r, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		switch {
		case page.Next == "":
			return all, nil
		case page.Next == r.query.Get("cursor"):
			return nil, c.nonsense("the same page twice")
		case len(all) > maxListed:
			return nil, c.nonsense("a list of more than %d items", maxListed)
		}
		query.Set("cursor", page.Next)
	}
}

// maxListed bounds a list that is held in memory.
const maxListed = 1_000_000
