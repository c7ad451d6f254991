package waterbear

import (
	"context"
	"errors"

	"github.com/waterbear-run/waterbear/api"
)

// Deploy makes module the newest revision of a component, unless it is that
// already. progress, which may be nil, is told how far compiling is.
func (p *Platform) Deploy(ctx context.Context, component string, module []byte, progress func(api.Progress)) (api.Deployed, error) {
	return p.catalog.Deploy(ctx, component, module, progress)
}

// Components lists all components, by name.
func (p *Platform) Components(ctx context.Context) ([]api.Component, error) {
	return p.catalog.Components(ctx)
}

// Component tells of one component.
func (p *Platform) Component(ctx context.Context, component string) (api.Component, error) {
	c, err := p.catalog.Component(ctx, component)
	if err != nil {
		return c, err
	}
	c.Shared = &api.Shared{}
	c.Shared.Bytes, c.Shared.Limit, err = p.cells.Held(ctx, component)
	return c, err
}

// Revisions lists the revisions of a component, the newest first.
func (p *Platform) Revisions(ctx context.Context, component string) ([]api.Revision, error) {
	return p.catalog.Revisions(ctx, component)
}

// WIT gives the interface of a revision of a component, 0 being the newest. That
// of a core module is api.CodeNoWIT.
func (p *Platform) WIT(ctx context.Context, component string, revision uint64) (string, error) {
	return p.catalog.WIT(ctx, component, revision)
}

// Configure sets a component's settings, all of them.
func (p *Platform) Configure(ctx context.Context, component string, s api.Settings) (api.Component, error) {
	return p.catalog.Configure(ctx, component, s)
}

// DeleteComponent forgets a component that has no workers, and what it has kept in
// buckets and containers.
func (p *Platform) DeleteComponent(ctx context.Context, component string) error {
	err := p.workers.DeleteComponent(ctx, component)
	var problem *api.Problem
	if err != nil && (!errors.As(err, &problem) || problem.Code != api.CodeNoComponent) {
		return err
	}
	// Also if it is not there: a process may have ended before this was done.
	err = errors.Join(err, p.buckets.Forget(ctx, component), p.containers.Forget(ctx, component))
	if p.vault != nil {
		err = errors.Join(err, p.vault.Forget(ctx, component))
	}
	return err
}

// CreateToken makes a token. Its secret is shown this once.
func (p *Platform) CreateToken(ctx context.Context, t api.NewToken) (api.CreatedToken, error) {
	return p.tokens.Create(ctx, t)
}

// Tokens lists the tokens, by name.
func (p *Platform) Tokens(ctx context.Context) ([]api.Token, error) {
	return p.tokens.List(ctx)
}

// DeleteToken makes a token worthless.
func (p *Platform) DeleteToken(ctx context.Context, name string) error {
	return p.tokens.Delete(ctx, name)
}

// Authenticate finds the token whose secret it is.
func (p *Platform) Authenticate(_ context.Context, secret string) (api.Token, error) {
	return p.tokens.Authenticate(secret)
}
