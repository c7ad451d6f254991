package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/waterbear-run/waterbear/api"
)

// CallsPage lists up to limit external calls (0: as many as the server likes) behind
// cursor ("": from the first): those of one worker after those of another, the newest
// first. A page may have fewer, even none, and still a Next. Its problems say what of
// a worker cannot be read, or is not kept.
func (c *Client) CallsPage(ctx context.Context, f api.CallFilter, cursor string, limit int) (api.CallPage, error) {
	query := url.Values{}
	for name, value := range map[string]string{"component": f.Component, "worker": f.Worker, "state": string(f.State), "cursor": cursor} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if f.Reads {
		query.Set("reads", "true")
	}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	var page api.CallPage
	err := c.do(ctx, request{method: http.MethodGet, url: c.base + "/calls", query: query}, &page)
	return page, err
}

// Calls lists all external calls that the filter chooses, page after page. What
// cannot be read, or is not kept, is an *api.Problem of CodeDamaged or CodeExpired,
// behind which the consumer may go on. It ends with the first other error that does
// not pass by itself.
func (c *Client) Calls(ctx context.Context, f api.CallFilter) iter.Seq2[api.ExternalCall, error] {
	return func(yield func(api.ExternalCall, error) bool) {
		pause := pauses{client: c}
		for cursor := ""; ; {
			page, err := c.CallsPage(ctx, f, cursor, 0)
			if after, again := passing(err); again && cursor != "" {
				if err = pause.wait(ctx, err, after); err == nil {
					continue
				}
			}
			if err == nil && page.Next != "" && page.Next == cursor {
				err = c.nonsense("the same page twice")
			}
			if err != nil {
				yield(api.ExternalCall{}, err)
				return
			}
			pause.reset()
			for _, v := range page.Items {
				if !yield(v, nil) {
					return
				}
			}
			for i := range page.Problems {
				if !yield(api.ExternalCall{}, &page.Problems[i]) {
					return
				}
			}
			if cursor = page.Next; cursor == "" {
				return
			}
		}
	}
}

// Call tells all of one external call of a worker, by its index.
func (c *Client) Call(ctx context.Context, component, worker string, index uint64) (api.ExternalCall, error) {
	var found api.ExternalCall
	err := c.call(ctx, http.MethodGet, nil, &found, "workers", component, worker, "calls", strconv.FormatUint(index, 10))
	return found, err
}

// CallStack gives where in the program an external call was made: the functions that
// were being called, innermost first. The server runs the program again up to there.
func (c *Client) CallStack(ctx context.Context, component, worker string, index uint64) (api.CallStack, error) {
	var found api.CallStack
	err := c.call(ctx, http.MethodGet, nil, &found, "workers", component, worker, "calls", strconv.FormatUint(index, 10), "stack")
	return found, err
}

// ResolveCall says what becomes of a call that is held. To say the same again before
// the worker has gone on changes nothing.
func (c *Client) ResolveCall(ctx context.Context, component, worker string, index uint64, r api.Resolve) error {
	return c.call(ctx, http.MethodPost, r, nil, "workers", component, worker, "calls", strconv.FormatUint(index, 10), "resolve")
}
