package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/waterbear-run/waterbear/api"
)

// Promises lists the promises of a worker, without values.
func (c *Client) Promises(ctx context.Context, component, worker string) ([]api.Promise, error) {
	return list[api.Promise](ctx, c, "workers", component, worker, "promises")
}

// Promise is one of them, with its value. Its name is that within the worker.
func (c *Client) Promise(ctx context.Context, component, worker, promise string) (api.Promise, error) {
	var found api.Promise
	err := c.call(ctx, http.MethodGet, nil, &found, "workers", component, worker, "promises", promise)
	return found, err
}

// SettlePromise completes a promise, or lets it fail, once. With a key the request
// can be repeated.
func (c *Client) SettlePromise(ctx context.Context, component, worker, promise string, s api.Settlement) (api.Promise, error) {
	r := request{method: http.MethodPost, body: s.Value, media: typeBytes}
	if r.body == nil {
		r.body = []byte{}
	}
	how := "complete"
	if s.Failed {
		how, r.media = "fail", typeJSON
		var err error
		if r.body, err = json.Marshal(map[string]string{"message": string(s.Value)}); err != nil {
			return api.Promise{}, fmt.Errorf("encode the request: %w", err)
		}
	}
	if s.Key != "" {
		r.header = http.Header{"Idempotency-Key": {s.Key}}
	}
	var settled api.Promise
	var err error
	if r.url, err = c.path("workers", component, worker, "promises", promise, how); err != nil {
		return settled, err
	}
	return settled, c.do(ctx, r, &settled)
}
