package server

import (
	"context"

	"github.com/waterbear-run/waterbear/api"
)

func (s *Server) addTokens() {
	add(s, "list-tokens", func(ctx context.Context, _ *exchange, _ *none) (*body[api.Page[api.Token]], error) {
		list, err := s.config.Platform.Tokens(ctx)
		return page(list, ""), err
	})
	add(s, "create-token", func(ctx context.Context, _ *exchange, in *struct{ Body api.NewToken }) (*body[api.CreatedToken], error) {
		t, err := s.config.Platform.CreateToken(ctx, in.Body)
		return &body[api.CreatedToken]{t}, err
	})
	add(s, "delete-token", func(ctx context.Context, _ *exchange, in *struct {
		Token string `path:"token" maxLength:"128" doc:"Name of the token"`
	},
	) (*none, error) {
		return nil, s.config.Platform.DeleteToken(ctx, in.Token)
	})
}
