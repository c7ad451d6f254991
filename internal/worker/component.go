package worker

import (
	"context"
	"fmt"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
)

// components keep the creation of workers and the deletion of their component
// apart. It is guarded by ws.mu.
type components struct {
	creating map[string]int  // creations under way: until the entry is recorded
	leaving  map[string]bool // components that somebody deletes
}

func newComponents() components {
	return components{creating: map[string]int{}, leaving: map[string]bool{}}
}

// beginCreating waits until nobody deletes the component, and keeps those who
// want to waiting.
func (ws *Workers) beginCreating(ctx context.Context, component string) error {
	return ws.changed.Wait(ctx, func() bool {
		ws.mu.Lock()
		defer ws.mu.Unlock()
		if ws.leaving[component] {
			return false
		}
		ws.creating[component]++
		return true
	})
}

func (ws *Workers) endCreating(component string) {
	ws.mu.Lock()
	if ws.creating[component]--; ws.creating[component] == 0 {
		delete(ws.creating, component)
	}
	ws.mu.Unlock()
	ws.changed.Wake()
}

// DeleteComponent forgets a component that has no workers, those included that
// are not durable yet. Until it returns none is created; who creates one then
// finds no component.
func (ws *Workers) DeleteComponent(ctx context.Context, component string) error {
	err := ws.changed.Wait(ctx, func() bool {
		ws.mu.Lock()
		defer ws.mu.Unlock()
		if ws.leaving[component] || ws.creating[component] > 0 {
			return false
		}
		ws.leaving[component] = true
		return true
	})
	if err != nil {
		return err
	}
	defer func() {
		ws.mu.Lock()
		delete(ws.leaving, component)
		ws.mu.Unlock()
		ws.changed.Wake()
	}()
	w, found, err := ws.anyOf(ctx, component)
	if err != nil {
		return err
	}
	if found {
		return api.NewProblem(api.CodeComponentInUse, fmt.Sprintf("component %s has workers, %s for one; delete them first", component, w))
	}
	return ws.Catalog.Delete(ctx, component)
}

// anyOf finds a worker of a component, first among those that the node has in
// mind: they leave it only once they are durable.
func (ws *Workers) anyOf(ctx context.Context, component string) (id.Worker, bool, error) {
	for _, r := range ws.all() {
		if r.worker.Component != component {
			continue
		}
		r.mu.Lock()
		exists := r.loaded && r.damage == nil && r.exists()
		r.mu.Unlock()
		if exists {
			return r.worker, true, nil
		}
	}
	for w, err := range ws.Store.Logs().Workers(ctx, id.Worker{Component: component}) {
		if err != nil {
			return w, false, fmt.Errorf("look for workers of %s: %w", component, err)
		}
		return w, w.Component == component, nil
	}
	return id.Worker{}, false, nil
}
