package cli

import (
	"context"
	"log/slog"

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
func (c *config) openNode(ctx context.Context, log *slog.Logger) (*waterbear.Node, error) {
	tracker := c.tracker
	if tracker == trackerAuto {
		tracker = ""
	}
	return waterbear.Open(ctx, waterbear.Options{
		Dir: c.state,
		Platform: &waterbear.PlatformOptions{
			MaxInstances: c.maxInstances, MaxMemory: c.maxMemory, MaxRunning: c.maxRunning,
			IdleAfter: c.idleAfter, SuspendAfter: c.suspendAfter, ImageAfter: c.imageAfter, Tracker: tracker,
			Defaults: c.workers, Grace: c.grace, Log: log,
			Config: c.configFrom, Secrets: c.secretsFrom, SecretsKey: c.secretsKey,
		},
	})
}

// serving is the part of the configuration that requests meet.
func (c *config) serving(log *slog.Logger) waterbear.ServeConfig {
	return waterbear.ServeConfig{
		Auth: c.auth == authOn, Log: log, Version: ownVersion().Version,
		Hosts: c.hosts, MaxBody: c.maxBody, MaxModule: c.maxModule, MaxRequests: c.maxRequests,
		Timeout: c.timeout, Grace: c.grace,
	}
}
