package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/wit"
)

// Program is a revision whose code is in memory. It is used by one owner, who
// releases it.
type Program struct {
	Revision api.Revision

	catalog  *Catalog
	code     *code
	released atomic.Bool
}

// Module is the compiled code of a core module, nil if the program is a
// component. It stays until Release.
func (p *Program) Module() *wasm.Module { return p.code.compiled.Module }

// Component is the compiled code of a component, nil if the program is a core
// module. It stays until Release.
func (p *Program) Component() *component.Program { return p.code.compiled.Component }

// Cores are the core modules of each instance, in their order.
func (p *Program) Cores() []*wasm.Module { return p.code.compiled.cores() }

// Typed gives the type of a function that a component exports, by its whole name.
func (p *Program) Typed(name string) (*wit.Func, bool) {
	f, ok := p.code.compiled.typed[name]
	return f, ok
}

// RunExport is the export that runs a component which is a command.
func (p *Program) RunExport() string { return p.code.compiled.RunExport() }

// Handler is the function that answers HTTP requests, "" if there is none.
func (p *Program) Handler() string {
	if !p.Revision.HTTP {
		return ""
	}
	return p.code.compiled.handler
}

// Function gives an export that can be invoked, or at least was listed as one.
func (p *Program) Function(name string) (api.Function, bool) {
	f, ok := p.code.functions[name]
	return f, ok
}

// Release says that the owner does not use the program any more: none of its
// instances is open. It may be called twice.
func (p *Program) Release() error {
	if p.released.Swap(true) {
		return nil
	}
	return p.catalog.release(p.code)
}

// revisionID names a revision.
type revisionID struct {
	component string
	number    uint64
}

// code is the compiled code of a revision: being loaded, in use, or kept.
type code struct {
	id revisionID

	// What follows is guarded by Catalog.mu, but for what does not change once
	// compiled is set.
	revision  *api.Revision // nil until it is read
	compiled  *Compiled     // nil until it is loaded
	functions map[string]api.Function
	users     int // those who wait for it included
	loading   bool
	err       error // why it could not be loaded
}

// Acquire gives a revision's program, 0 being the newest revision. It compiles
// the module unless that is in memory; all who ask meanwhile wait for that, each
// as long as its ctx lasts.
func (c *Catalog) Acquire(ctx context.Context, name string, number uint64) (*Program, error) {
	r, loaded, err := c.enlist(name, number)
	if err != nil {
		return nil, err
	}
	if !loaded {
		if err := c.await(ctx, r); err != nil {
			return nil, failed(fmt.Sprintf("load revision %d of %s", r.id.number, name), errors.Join(err, c.release(r)))
		}
	}
	return &Program{Revision: *r.revision, catalog: c, code: r}, nil
}

// enlist counts a user of a revision's code, and tells whether it is loaded.
func (c *Catalog) enlist(name string, number uint64) (r *code, loaded bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, false, failed("load component "+name, errClosed)
	}
	k := c.components[name]
	if err := k.usable(name); err != nil {
		return nil, false, err
	}
	if number, err = k.number(number); err != nil {
		return nil, false, err
	}
	id := revisionID{name, number}
	r = c.code[id]
	switch {
	case r == nil:
		if number == k.Latest && k.latest == nil {
			return nil, false, k.problem()
		}
		r = &code{id: id}
		if number == k.Latest {
			r.revision = k.latest
		}
		c.code[id] = r
	case r.users == 0:
		c.idle = slices.DeleteFunc(c.idle, func(i *code) bool { return i == r })
	}
	r.users++
	return r, r.compiled != nil, nil
}

// await returns when the code is loaded, which it does itself if nobody does.
func (c *Catalog) await(ctx context.Context, r *code) error {
	var failure error
	leads := false
	err := c.changed.Wait(ctx, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		failure = r.err
		if r.compiled != nil || r.err != nil {
			return true
		}
		leads = !r.loading
		r.loading = true
		return leads
	})
	if err != nil || failure != nil || !leads {
		return errors.Join(err, failure)
	}
	return c.load(ctx, r)
}

// load reads and compiles a revision for all who wait. If it is given up
// because ctx is done, one of the others goes on.
func (c *Catalog) load(ctx context.Context, r *code) error {
	revision, module, err := c.fetch(ctx, r)
	c.mu.Lock()
	r.loading = false
	switch {
	case err == nil:
		r.loaded(revision, module)
	case ctx.Err() == nil:
		r.err = err
		c.drop(r)
	}
	c.mu.Unlock()
	c.changed.Wake()
	return err
}

// loaded makes the code ready for use.
func (r *code) loaded(revision *api.Revision, c *Compiled) {
	r.revision, r.compiled = revision, c
	r.functions = make(map[string]api.Function, len(revision.Exports))
	for _, f := range revision.Exports {
		r.functions[f.Name] = f
	}
}

// drop lets the next who asks begin anew. It is called with c.mu held.
func (c *Catalog) drop(r *code) {
	if c.code[r.id] == r {
		delete(c.code, r.id)
	}
}

// fetch reads and compiles a revision.
func (c *Catalog) fetch(ctx context.Context, r *code) (*api.Revision, *Compiled, error) {
	revision := r.revision
	if revision == nil {
		var err error
		if revision, err = c.readRevision(ctx, r.id.component, r.id.number); err != nil {
			return nil, nil, err
		}
	}
	source, err := c.sourceOf(ctx, revision)
	if err != nil {
		return nil, nil, err
	}
	m, err := c.compile(ctx, source, nil)
	return revision, m, err
}

// sourceOf gives a revision's module.
func (c *Catalog) sourceOf(ctx context.Context, revision *api.Revision) ([]byte, error) {
	source, err := c.source(ctx, revision)
	if damaged(err) || errors.Is(err, storage.ErrNotFound) {
		return nil, api.NewProblem(api.CodeDamaged, fmt.Sprintf(
			"load revision %d of %s: its module, SHA-256 %s, is missing or damaged in the store: %v; deploy the same module again to restore it",
			revision.Number, revision.Component, revision.Hash, err))
	}
	return source, err
}

// source reads a revision's module, which the store checks against its hash.
func (c *Catalog) source(ctx context.Context, revision *api.Revision) ([]byte, error) {
	h, err := parseHash(revision.Hash)
	if err != nil {
		return nil, err
	}
	blob, err := c.Blobs.Get(ctx, h)
	if err != nil {
		return nil, err
	}
	source, err := io.ReadAll(blob)
	return source, errors.Join(err, blob.Close())
}

// keep takes over the code of a revision that was just deployed, so that its
// first worker need not wait. Its caller has taken the component.
func (c *Catalog) keep(revision *api.Revision, made *Compiled) error {
	r := &code{id: revisionID{revision.Component, revision.Number}, users: 1}
	r.loaded(revision, made)
	c.mu.Lock()
	if c.code[r.id] == nil {
		c.code[r.id] = r
	}
	c.mu.Unlock()
	return c.release(r)
}

// release counts a user out. Code that nobody uses is kept for a while, unless
// its place is taken.
func (c *Catalog) release(r *code) error {
	c.mu.Lock()
	r.users--
	var out []*code
	switch {
	case r.users > 0:
	case c.code[r.id] == r && r.compiled != nil && !c.closed:
		c.idle = append(c.idle, r)
		excess := max(len(c.idle)-c.Resident, 0)
		out = slices.Clone(c.idle[:excess])
		c.idle = slices.Delete(c.idle, 0, excess)
	default:
		out = []*code{r}
	}
	for _, r := range out {
		c.drop(r)
	}
	c.mu.Unlock()
	return closeAll(out)
}

// forget lets the code of a component go, now or when it is released.
func (c *Catalog) forget(name string) error {
	c.mu.Lock()
	var out []*code
	for id, r := range c.code {
		if id.component != name {
			continue
		}
		delete(c.code, id)
		if r.users == 0 {
			out = append(out, r)
		}
	}
	c.idle = slices.DeleteFunc(c.idle, func(r *code) bool { return r.id.component == name })
	c.mu.Unlock()
	return closeAll(out)
}

// closeAll closes modules that nobody uses.
func closeAll(all []*code) error {
	var err error
	for _, r := range all {
		if r.compiled != nil {
			err = errors.Join(err, r.compiled.Close())
		}
	}
	return err
}
