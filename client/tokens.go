package client

import (
	"context"
	"net/http"

	"github.com/waterbear-run/waterbear/api"
)

// CreateToken makes a token. The secret that it returns is never shown again.
func (c *Client) CreateToken(ctx context.Context, t api.NewToken) (api.CreatedToken, error) {
	var created api.CreatedToken
	err := c.call(ctx, http.MethodPost, t, &created, "tokens")
	return created, err
}

// Tokens lists the tokens, without their secrets.
func (c *Client) Tokens(ctx context.Context) ([]api.Token, error) {
	return list[api.Token](ctx, c, "tokens")
}

// DeleteToken deletes a token: nobody can use it any more.
func (c *Client) DeleteToken(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, nil, nil, "tokens", name)
}
