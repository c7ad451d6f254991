package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// Deploy makes module the newest revision of a component, which is made if it
// is not there. If the newest has these bytes already nothing changes, but that
// a module missing from the store is there again. progress, which may be nil,
// is told how far compiling is; it may be called by another task, but not after
// Deploy has returned.
func (c *Catalog) Deploy(ctx context.Context, name string, module []byte, progress func(api.Progress)) (api.Deployed, error) {
	if err := checkName(name); err != nil {
		return api.Deployed{}, err
	}
	d := deployment{catalog: c, name: name, module: module, hash: sha256.Sum256(module)}
	for {
		if k := c.find(name); !k.newestIs(d.hash) {
			var err error
			if d.prepared, err = c.prepare(ctx, module, progress); err != nil {
				return api.Deployed{}, failed("deploy "+name, err)
			}
			var links map[string]string
			if s := c.Settings(name); s != nil {
				links = s.Links
			}
			if err := c.checkLinks(ctx, d.prepared.code, links); err != nil {
				return api.Deployed{}, failed("deploy "+name, errors.Join(err, d.prepared.code.Close()))
			}
		}
		deployed, err := d.store(ctx)
		if err == nil && deployed.Typed {
			deployed.WIT, err = describe(module)
		}
		if d.prepared != nil && !deployed.New {
			err = errors.Join(err, d.prepared.code.Close())
		}
		if !errors.Is(err, errOvertaken) {
			return deployed, failed("deploy "+name, err)
		}
	}
}

// newestIs reports whether the newest revision has these bytes.
func (k *entry) newestIs(h storage.Hash) bool {
	return k != nil && k.latest != nil && k.latest.Hash == h.String()
}

// deployment is one call of Deploy.
type deployment struct {
	catalog  *Catalog
	name     string
	module   []byte
	hash     storage.Hash
	prepared *prepared // nil if the newest revision had these bytes
}

// errOvertaken says that the module is not the newest revision any more, as it
// was before, and has to be compiled after all.
var errOvertaken = errors.New("another deployment was quicker")

// store makes the deployment durable: first the module, then the revision,
// which counts for nothing until the component names it, then that.
func (d *deployment) store(ctx context.Context) (api.Deployed, error) {
	c := d.catalog
	if err := c.beginStoring(ctx); err != nil {
		return api.Deployed{}, err
	}
	defer c.endStoring()
	yield, err := c.take(ctx, d.name)
	if err != nil {
		return api.Deployed{}, err
	}
	defer yield()
	k, err := d.current(ctx)
	if err != nil {
		return api.Deployed{}, err
	}
	if k.newestIs(d.hash) {
		return api.Deployed{Revision: *k.latest}, d.putModule(ctx)
	}
	if d.prepared == nil {
		return api.Deployed{}, errOvertaken
	}
	next, err := d.next(k)
	if err != nil {
		return api.Deployed{}, err
	}
	record := encode(revisionRecord{format, *next.latest})
	if len(record) > MaxDescription {
		return api.Deployed{}, &programError{fmt.Sprintf(
			"the names and types of its exports and imports take %d bytes, more than %d: export only what is invoked", len(record), MaxDescription)}
	}
	if err := d.putModule(ctx); err != nil {
		return api.Deployed{}, err
	}
	if err := c.replace(ctx, revisionKey(d.name, next.Latest), record); err != nil {
		return api.Deployed{}, err
	}
	if err := c.write(ctx, next); err != nil {
		return api.Deployed{}, err
	}
	return api.Deployed{Revision: *next.latest, New: true}, c.keep(next.latest, d.prepared.code)
}

// current is the component as it is, or nil. If it was deleted, that is brought
// to an end.
func (d *deployment) current(ctx context.Context) (*entry, error) {
	k, err := d.catalog.settle(ctx, d.name)
	if k == nil || err != nil || !k.Deleted {
		return k, err
	}
	if err := d.catalog.clear(ctx, k); err != nil {
		return nil, fmt.Errorf("clear away the component of that name that was deleted: %w", err)
	}
	return nil, nil
}

// next is the component with the new revision.
func (d *deployment) next(k *entry) (*entry, error) {
	now := d.catalog.Sched.Now().UTC()
	if k == nil {
		if d.catalog.count() >= MaxComponents {
			return nil, api.NewProblem(api.CodeTooLarge, fmt.Sprintf("deploy %s: there are %d components, as many as there can be: delete some", d.name, MaxComponents))
		}
		k = &entry{componentRecord: componentRecord{Format: format, Name: d.name, Created: now}}
	} else if !k.known() {
		return nil, k.problem()
	}
	if k.Latest >= MaxRevisions {
		return nil, api.NewProblem(api.CodeTooLarge, fmt.Sprintf("deploy %s: it has %d revisions, as many as there can be: deploy under another name", d.name, k.Latest))
	}
	next := *k
	next.Latest++
	next.damage = nil
	next.latest = &api.Revision{
		Component: d.name, Number: next.Latest, Hash: d.hash.String(), Size: int64(len(d.module)), Created: now,
		Kind: d.prepared.kind, Typed: d.prepared.code.Component != nil, HTTP: d.prepared.serves, Exports: d.prepared.exports, Imports: append([]string{}, d.prepared.imports...), Calls: d.prepared.calls,
	}
	return &next, nil
}

func (d *deployment) putModule(ctx context.Context) error {
	h, _, err := d.catalog.Blobs.Put(ctx, bytes.NewReader(d.module))
	if err != nil {
		return fmt.Errorf("store the module: %w", err)
	}
	if h != d.hash {
		panic(fmt.Sprintf("catalog: the store calls %s what is %s", h, d.hash))
	}
	return nil
}

func (c *Catalog) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.components)
}
