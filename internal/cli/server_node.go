package cli

import (
	"context"
	"log/slog"
	"net/url"
	"slices"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
)

// tokenStore is what making the first token needs of a node.
type tokenStore interface {
	CreateToken(ctx context.Context, t api.NewToken) (api.CreatedToken, error)
	Tokens(ctx context.Context) ([]api.Token, error)
}

// openNode opens the state directory with all that workers are configured to
// have.
func (c *config) openNode(ctx context.Context, log *slog.Logger, reachedAt string) (*waterbear.Node, error) {
	tracker := c.tracker
	if tracker == trackerAuto {
		tracker = ""
	}
	return openState(ctx, waterbear.Options{
		Dir: c.state,
		Platform: &waterbear.PlatformOptions{
			MaxInstances: c.maxInstances, MaxMemory: c.maxMemory, MaxRunning: c.maxRunning,
			IdleAfter: c.idleAfter, SuspendAfter: c.suspendAfter, ImageAfter: c.imageAfter, Tracker: tracker,
			Defaults: c.workers, PublicURL: reachedAt, Grace: c.grace, Log: log,
			Config: c.configFrom, Secrets: c.secretsFrom, SecretsKey: c.secretsKey,
		},
	})
}

// serving is the part of the configuration that requests meet.
func (c *config) serving(log serverLog) waterbear.ServeConfig {
	hosts := c.hosts
	if u, err := url.Parse(c.publicURL); err == nil && u.Host != "" {
		hosts = append(slices.Clone(hosts), u.Hostname()) // webhooks come under that name
	}
	return waterbear.ServeConfig{
		Auth: c.auth == authOn, Log: log.Logger, AccessLog: log.requests, Version: ownVersion().Version,
		Hosts: hosts, MaxBody: c.maxBody, MaxModule: c.maxModule, MaxRequests: c.maxRequests,
		Timeout: c.timeout, Grace: c.grace,
	}
}
