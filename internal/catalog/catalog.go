// Package catalog is what was deployed on a node: components, their revisions
// and settings, durably, and the compiled code of those that workers use. It
// hides how they are stored (docs/CATALOG.md), that a deployment is all or
// nothing, and which code is in memory.
package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// Limits of a catalog.
const (
	// MaxComponents bounds how many there are: the newest revision of each is
	// in memory.
	MaxComponents = 10_000
	// MaxRevisions bounds the revisions of one component.
	MaxRevisions = 10_000
	// MaxDescription bounds the stored form of a revision, in bytes: the names
	// and types of what the module exports and imports.
	MaxDescription = 512 << 10
	// DefaultResident is how many compiled modules are kept that nobody uses,
	// if the configuration does not say.
	DefaultResident = 64
)

// Config is what a catalog stands on.
type Config struct {
	Sched  sched.Scheduler
	Cells  storage.Cells
	Blobs  storage.Blobs
	Engine *wasm.Engine
	Hosts  []*wasm.Host // what core modules may import
	// Interfaces are what components may import.
	Interfaces []*component.HostInterface
	// Resident is how many compiled modules are kept when nobody uses them; 0
	// stands for DefaultResident.
	Resident int
}

// Catalog is the components of a node. Its methods may be called by any number
// of tasks. What they return is shared, and not to be changed. Errors are an
// *api.Problem where the caller is at fault or can do something.
type Catalog struct {
	Config
	changed sched.Condition // of all that follows

	mu         sync.Mutex
	components map[string]*entry
	// unclear are the components whose cells may say something newer than
	// components: a change of them has failed, and nobody knows how far it came.
	unclear map[string]bool
	turns   map[string]bool // components that somebody is changing
	hashes  map[string][]storage.Hash
	// storing counts those who put modules that no cell names yet, and sweeping
	// is set while somebody deletes those. Both at once cannot be.
	storing  int
	sweeping bool
	code     map[revisionID]*code
	idle     []*code // ready and used by nobody, the longest idle first
	closed   bool
}

// entry is one component as it was last read or written. It is not changed,
// but replaced.
type entry struct {
	componentRecord
	version uint64 // of its cell
	latest  *api.Revision
	// damage says why there is no latest.
	damage error
}

// known reports whether the component's own record could be read.
func (k *entry) known() bool { return k.Latest > 0 }

var errClosed = errors.New("the catalog is closed")

// Open reads all components. One whose record is damaged is listed, and refused
// by name when it is used; the others are not affected.
func Open(ctx context.Context, config Config) (*Catalog, error) {
	config.Resident = cmp.Or(config.Resident, DefaultResident)
	c := &Catalog{
		Config: config, changed: config.Sched.NewCondition(),
		components: map[string]*entry{}, unclear: map[string]bool{}, turns: map[string]bool{},
		hashes: map[string][]storage.Hash{}, code: map[revisionID]*code{},
	}
	if err := c.readAll(ctx); err != nil {
		return nil, fmt.Errorf("read the components: %w", err)
	}
	return c, nil
}

func (c *Catalog) readAll(ctx context.Context) error {
	var names []string
	for key, err := range c.Cells.List(ctx, componentPrefix, "") {
		if err != nil {
			return err
		}
		names = append(names, strings.TrimPrefix(key, componentPrefix))
	}
	for _, name := range names {
		if err := c.reload(ctx, name); err != nil {
			return err
		}
		if k := c.find(name); k != nil && k.Deleted {
			// A disk that is full must not keep the rest from being used.
			_ = c.clear(ctx, k)
		}
	}
	return nil
}

// reload takes over what the cells say of a component.
func (c *Catalog) reload(ctx context.Context, name string) error {
	k, err := c.read(ctx, name)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set(name, k)
	return nil
}

// set replaces a component, or forgets it if k is nil. It is called with c.mu
// held.
func (c *Catalog) set(name string, k *entry) {
	delete(c.unclear, name)
	if k == nil || k.Deleted {
		delete(c.hashes, name)
	}
	if k == nil {
		delete(c.components, name)
	} else {
		c.components[name] = k
	}
}

// take waits until nobody else is changing the component and keeps others from
// it until yield is called.
func (c *Catalog) take(ctx context.Context, name string) (yield func(), err error) {
	err = c.changed.Wait(ctx, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.turns[name] {
			return false
		}
		c.turns[name] = true
		return true
	})
	if err != nil {
		return nil, err
	}
	return func() {
		c.mu.Lock()
		delete(c.turns, name)
		c.mu.Unlock()
		c.changed.Wake()
	}, nil
}

// settle makes sure that what is in memory is what the cells say: a change that
// failed may have been made. Its caller has taken the component.
func (c *Catalog) settle(ctx context.Context, name string) (*entry, error) {
	c.mu.Lock()
	unclear := c.unclear[name]
	c.mu.Unlock()
	if unclear {
		if err := c.reload(ctx, name); err != nil {
			return nil, fmt.Errorf("read component %s: %w", name, err)
		}
	}
	return c.find(name), nil
}

// find gives what is known of a component, or nil.
func (c *Catalog) find(name string) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.components[name]
}

// write sets the component's own cell and remembers it. That is the moment from
// which a change holds. Its caller has taken the component.
func (c *Catalog) write(ctx context.Context, k *entry) error {
	version, err := c.Cells.Put(ctx, componentKey(k.Name), k.version, k.encode())
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.unclear[k.Name] = true
		return err
	}
	k.version = version
	c.set(k.Name, k)
	return nil
}

// Close lets go of all compiled modules; those that are in use, when they are
// released. It may be called twice.
func (c *Catalog) Close() error {
	c.mu.Lock()
	c.closed = true
	idle := c.idle
	c.idle = nil
	for _, r := range idle {
		delete(c.code, r.id)
	}
	c.mu.Unlock()
	return closeAll(idle)
}

// checkName says why no component can have this name, or nil.
func checkName(name string) error {
	if err := id.CheckName(name); err != nil {
		return api.NewProblem(api.CodeInvalid, fmt.Sprintf("component %v", err))
	}
	if slices.Contains([]string{"run", "waterbear"}, name) {
		return api.NewProblem(api.CodeInvalid, fmt.Sprintf("component name %q is kept for waterbear itself: choose another", name))
	}
	return nil
}
