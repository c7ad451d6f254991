package waterbear

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/waterbear-run/waterbear/internal/server"
)

// ServeConfig says how the REST interface is served. A zero field means its
// default.
type ServeConfig = server.Config

// Serve answers requests that come in at l until ctx is done, and then those
// that are under way. With a TLS configuration it speaks HTTPS.
func (p *Platform) Serve(ctx context.Context, l net.Listener, t *tls.Config, c ServeConfig) error {
	c.Platform = p
	s, err := server.New(c)
	if err != nil {
		return err
	}
	return s.Serve(ctx, l, t)
}

// PublicConfig says at what other address requests of anybody are answered, and by
// what: Platform.RouteHandler.
type PublicConfig = server.Public
