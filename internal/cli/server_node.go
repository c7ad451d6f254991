package cli

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
)

// serverNode is what a server needs of a node.
type serverNode interface {
	Serve(ctx context.Context, l net.Listener, c serveConfig) error
	CreateToken(ctx context.Context, t api.NewToken) (api.CreatedToken, error)
	Tokens(ctx context.Context) ([]api.Token, error)
	Close() error
}

type serveConfig struct {
	Auth               bool
	Log                *slog.Logger
	Version            string
	Hosts              []string
	MaxBody, MaxModule int64
	MaxRequests        int
	Timeout, Grace     time.Duration
	TLS                *tls.Config
}

type shimNode struct{ *waterbear.Node }

func (n shimNode) Serve(ctx context.Context, l net.Listener, c serveConfig) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	s := &http.Server{Handler: mux, TLSConfig: c.TLS}
	stop := context.AfterFunc(ctx, func() { _ = s.Shutdown(context.Background()) })
	defer stop()
	var err error
	if c.TLS != nil {
		err = s.ServeTLS(l, "", "")
	} else {
		err = s.Serve(l)
	}
	if err == http.ErrServerClosed {
		err = nil
	}
	return err
}

func (n shimNode) CreateToken(_ context.Context, t api.NewToken) (api.CreatedToken, error) {
	return api.CreatedToken{Token: api.Token{Name: t.Name}, Secret: "shim"}, nil
}
func (n shimNode) Tokens(context.Context) ([]api.Token, error) { return nil, nil }

// openNode opens the state directory for a server.
func openNode(ctx context.Context, c *config, log *slog.Logger) (serverNode, error) {
	n, err := waterbear.Open(ctx, waterbear.Options{Dir: c.state})
	return shimNode{n}, err
}

// serving is the part of the configuration that requests meet.
func (c *config) serving(log *slog.Logger, pair *keyPair) serveConfig {
	return serveConfig{
		Auth: c.auth == authOn, Log: log, Version: ownVersion().Version,
		Hosts: c.hosts, MaxBody: c.maxBody, MaxModule: c.maxModule, MaxRequests: c.maxRequests,
		Timeout: c.timeout, Grace: c.grace, TLS: pair.tlsConfig(),
	}
}
