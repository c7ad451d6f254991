package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/waterbear-run/waterbear/api"
)

// maxValue bounds what is read as the value of a key; the server has less.
const maxValue = 4 << 20

// Buckets lists the buckets of a component that have keys, by name.
func (c *Client) Buckets(ctx context.Context, component string) ([]api.Bucket, error) {
	return listOf[api.Bucket](ctx, c, longPages(url.Values{}), "components", component, "buckets")
}

// Keys lists the keys of a bucket, in order.
func (c *Client) Keys(ctx context.Context, component, bucket string) ([]api.Value, error) {
	return listOf[api.Value](ctx, c, longPages(inBucket(bucket)), "components", component, "buckets", "keys")
}

// Value gives the value of a key.
func (c *Client) Value(ctx context.Context, component, bucket, key string) ([]byte, error) {
	from, err := c.opened(ctx, ofKey(bucket, key), "components", component, "buckets", "value")
	if err != nil {
		return nil, err
	}
	defer from.Close()
	value, err := io.ReadAll(io.LimitReader(from, maxValue+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the value: %w", err)
	case len(value) > maxValue:
		return nil, c.nonsense("a value of more than %d bytes", maxValue)
	}
	return value, nil
}

// DeleteValue takes a key away.
func (c *Client) DeleteValue(ctx context.Context, component, bucket, key string) error {
	return c.remove(ctx, ofKey(bucket, key), "components", component, "buckets", "value")
}

// Containers lists the containers of a component, by name.
func (c *Client) Containers(ctx context.Context, component string) ([]api.Container, error) {
	return listOf[api.Container](ctx, c, longPages(url.Values{}), "components", component, "containers")
}

// DeleteContainer deletes a container with all that is in it.
func (c *Client) DeleteContainer(ctx context.Context, component, container string) error {
	return c.remove(ctx, inContainer(container), "components", component, "containers")
}

// Objects lists the objects of a container, by name.
func (c *Client) Objects(ctx context.Context, component, container string) ([]api.Object, error) {
	return listOf[api.Object](ctx, c, longPages(inContainer(container)), "components", component, "containers", "objects")
}

// Object opens an object, however large it is.
func (c *Client) Object(ctx context.Context, component, container, name string) (io.ReadCloser, error) {
	return c.opened(ctx, ofObject(container, name), "components", component, "containers", "object")
}

// DeleteObject deletes an object.
func (c *Client) DeleteObject(ctx context.Context, component, container, name string) error {
	return c.remove(ctx, ofObject(container, name), "components", component, "containers", "object")
}

// longPages asks for lists in as few pages as there can be.
func longPages(query url.Values) url.Values {
	query.Set("limit", "1000")
	return query
}

func inBucket(bucket string) url.Values {
	query := url.Values{}
	if bucket != "" {
		query.Set("bucket", bucket)
	}
	return query
}

func ofKey(bucket, key string) url.Values {
	query := inBucket(bucket)
	query.Set("key", key)
	return query
}

func inContainer(container string) url.Values { return url.Values{"container": {container}} }

func ofObject(container, name string) url.Values {
	return url.Values{"container": {container}, "name": {name}}
}

// opened opens what is at the path of parts with a query.
func (c *Client) opened(ctx context.Context, query url.Values, parts ...string) (io.ReadCloser, error) {
	at, err := c.path(parts...)
	if err != nil {
		return nil, err
	}
	return c.content(ctx, at+"?"+query.Encode())
}

// remove deletes what is there.
func (c *Client) remove(ctx context.Context, query url.Values, parts ...string) error {
	at, err := c.path(parts...)
	if err != nil {
		return err
	}
	return c.do(ctx, request{method: http.MethodDelete, url: at, query: query}, nil)
}
