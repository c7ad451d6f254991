package catalog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/waterbear-run/waterbear/api"
)

// Components lists all components, by name. Of one that is damaged there is
// only what could be read.
func (c *Catalog) Components(context.Context) ([]api.Component, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]api.Component, 0, len(c.components))
	for _, name := range slices.Sorted(maps.Keys(c.components)) {
		if k := c.components[name]; !k.Deleted {
			all = append(all, k.view())
		}
	}
	return all, nil
}

// view is the component for callers.
func (k *entry) view() api.Component {
	v := api.Component{Name: k.Name, Created: k.Created, Settings: k.Settings}
	v.Latest.Component, v.Latest.Number = k.Name, k.Latest
	if k.latest != nil {
		v.Latest = *k.latest
	}
	return v
}

// Component tells of one component.
func (c *Catalog) Component(_ context.Context, name string) (api.Component, error) {
	k, err := c.lookUp(name)
	if err == nil && k.latest == nil {
		err = k.problem()
	}
	if err != nil {
		return api.Component{}, err
	}
	return k.view(), nil
}

// lookUp finds a component whose own record could be read.
func (c *Catalog) lookUp(name string) (*entry, error) {
	k := c.find(name)
	return k, k.usable(name)
}

// usable says why a component, which may be nil, cannot be used, or nil.
func (k *entry) usable(name string) error {
	switch {
	case k == nil || k.Deleted:
		return noComponent(name)
	case !k.known():
		return k.problem()
	}
	return nil
}

// Latest gives the newest revision of a component from memory.
func (c *Catalog) Latest(name string) (api.Revision, bool) {
	k, err := c.lookUp(name)
	if err != nil || k.latest == nil {
		return api.Revision{}, false
	}
	return *k.latest, true
}

// Settings gives the settings of a component as of now, from memory, and nil for
// one that is not there. They are the same as long as the pointer is, and not to be
// changed.
func (c *Catalog) Settings(name string) *api.Settings {
	k := c.find(name)
	if k == nil || k.Deleted || !k.known() {
		return nil
	}
	return &k.Settings
}

// Revisions lists the revisions of a component, the newest first. Of one that
// is damaged there is only its number.
func (c *Catalog) Revisions(ctx context.Context, name string) ([]api.Revision, error) {
	k, err := c.lookUp(name)
	if err != nil {
		return nil, err
	}
	all := make([]api.Revision, 0, k.Latest)
	for number := k.Latest; number > 0; number-- {
		r, err := c.revision(ctx, k, number)
		if damaged(err) {
			r, err = &api.Revision{Component: name, Number: number}, nil
		}
		if err != nil {
			return nil, failed("list the revisions of "+name, err)
		}
		all = append(all, *r)
	}
	return all, nil
}

// Revision tells of one revision; 0 stands for the newest.
func (c *Catalog) Revision(ctx context.Context, name string, number uint64) (api.Revision, error) {
	k, err := c.lookUp(name)
	if err != nil {
		return api.Revision{}, err
	}
	if number, err = k.number(number); err != nil {
		return api.Revision{}, err
	}
	r, err := c.revision(ctx, k, number)
	if err != nil {
		return api.Revision{}, failed(fmt.Sprintf("read revision %d of %s", number, name), err)
	}
	return *r, nil
}

// WIT gives the interface of a revision, which is a component; 0 stands for the
// newest.
func (c *Catalog) WIT(ctx context.Context, name string, number uint64) (string, error) {
	r, err := c.Revision(ctx, name, number)
	if err != nil {
		return "", err
	}
	if !r.Typed {
		return "", api.NewProblem(api.CodeNoWIT, fmt.Sprintf(
			"revision %d of %s is a core module, which has no interface in WIT; its exports say how it is called", r.Number, name))
	}
	source, err := c.sourceOf(ctx, &r)
	if err != nil {
		return "", failed(fmt.Sprintf("read revision %d of %s", r.Number, name), err)
	}
	return describe(source)
}

// number checks that there is such a revision; 0 stands for the newest.
func (k *entry) number(number uint64) (uint64, error) {
	if number > k.Latest {
		return 0, api.NewProblem(api.CodeNoRevision, fmt.Sprintf("component %s has no revision %d: its newest is %d", k.Name, number, k.Latest))
	}
	if number == 0 {
		number = k.Latest
	}
	return number, nil
}

// revision gives a revision of k, the newest from memory.
func (c *Catalog) revision(ctx context.Context, k *entry, number uint64) (*api.Revision, error) {
	if number == k.Latest {
		return k.latest, k.damage
	}
	return c.readRevision(ctx, k.Name, number)
}

// Configure sets a component's settings, all of them.
func (c *Catalog) Configure(ctx context.Context, name string, s api.Settings) (api.Component, error) {
	if err := CheckSettings("body", s); err != nil {
		return api.Component{}, err
	}
	if err := c.checkNewLinks(ctx, name, s.Links); err != nil {
		return api.Component{}, failed("configure "+name, err)
	}
	yield, err := c.take(ctx, name)
	if err != nil {
		return api.Component{}, err
	}
	defer yield()
	k, err := c.change(ctx, name, func(k *entry) { k.Settings = s })
	if err != nil {
		return api.Component{}, failed("configure "+name, err)
	}
	return k.view(), nil
}

// change rewrites the record of a component. Its caller has taken it.
func (c *Catalog) change(ctx context.Context, name string, edit func(*entry)) (*entry, error) {
	k, err := c.settle(ctx, name)
	if err != nil {
		return nil, err
	}
	return c.rewrite(ctx, name, k, edit)
}

// rewrite is change for a component that was settled.
func (c *Catalog) rewrite(ctx context.Context, name string, k *entry, edit func(*entry)) (*entry, error) {
	if err := k.usable(name); err != nil {
		return nil, err
	}
	next := *k
	edit(&next)
	return &next, c.write(ctx, &next)
}

// Delete forgets a component and its revisions; the modules stay in the store
// until they are swept. It is for the caller to see that it has no workers.
func (c *Catalog) Delete(ctx context.Context, name string) error {
	yield, err := c.take(ctx, name)
	if err != nil {
		return err
	}
	defer yield()
	k, err := c.settle(ctx, name)
	if err == nil && k != nil && !k.known() && k.version > 0 {
		k, err = c.salvage(ctx, k)
	}
	if err == nil {
		k, err = c.rewrite(ctx, name, k, func(k *entry) { k.Deleted = true })
	}
	if err != nil {
		return failed("delete "+name, err)
	}
	// It is deleted. What cannot be cleared away now, the next deployment under
	// that name clears away, or the next Open.
	_ = c.clear(ctx, k)
	return c.forget(name)
}

// salvage makes of a component whose own record cannot be read one that can be
// deleted: it has as many revisions as there are cells of.
func (c *Catalog) salvage(ctx context.Context, k *entry) (*entry, error) {
	found := &entry{componentRecord: componentRecord{Format: format, Name: k.Name, Latest: 1}, version: k.version}
	prefix := revisionPrefix + k.Name + "/"
	for key, err := range c.Cells.List(ctx, prefix, "") {
		if err != nil {
			return nil, fmt.Errorf("list the revisions of %s: %w", k.Name, err)
		}
		if number, err := strconv.ParseUint(strings.TrimPrefix(key, prefix), 10, 64); err == nil && number <= MaxRevisions {
			found.Latest = max(found.Latest, number)
		}
	}
	return found, nil
}

// clear removes the cells of a component that is deleted, its own last.
func (c *Catalog) clear(ctx context.Context, k *entry) error {
	// One more than it has: a deployment may not have been finished.
	for number := uint64(1); number <= k.Latest+1; number++ {
		if err := c.remove(ctx, revisionKey(k.Name, number)); err != nil {
			return err
		}
	}
	err := c.Cells.Delete(ctx, componentKey(k.Name), k.version)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.unclear[k.Name] = true
		return err
	}
	c.set(k.Name, nil)
	return nil
}
