package worker_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
)

func TestComponentWithAWorkerThatIsNotDurableYetIsNotDeleted(t *testing.T) {
	p, tricks := newTrickyPlatform(t, setup{})
	begun, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	tricks.set(func() error {
		once.Do(func() { close(begun) })
		<-goOn
		return nil
	}, nil)
	created := make(chan error, 1)
	go func() {
		_, err := p.Create(t.Context(), shop, api.NewWorker{})
		created <- err
	}()
	<-begun
	p.refused(p.DeleteComponent(t.Context(), shop.Component), api.CodeComponentInUse)
	close(goOn)
	must(t, <-created)
	p.refused(p.DeleteComponent(t.Context(), shop.Component), api.CodeComponentInUse)
	tricks.set(nil, nil)
	must(t, p.Delete(t.Context(), shop))
	must(t, p.DeleteComponent(t.Context(), shop.Component))
	_, err := p.Create(t.Context(), shop, api.NewWorker{})
	p.refused(err, api.CodeNoComponent)
}

func TestNoWorkerOutlivesItsComponent(t *testing.T) {
	p := newPlatform(t, nil)
	kit := guests.Wasm(t, "kit")
	deleted := 0
	for i := range 30 {
		var all sync.WaitGroup
		for n := range 4 {
			all.Go(func() {
				w := id.Worker{Component: shop.Component, Name: fmt.Sprintf("w%d-%d", i, n)}
				var problem *api.Problem
				if _, err := p.invoke(w, "get"); err != nil && (!errors.As(err, &problem) || problem.Code != api.CodeNoComponent) {
					t.Error(err)
				}
			})
		}
		var err error
		all.Go(func() { err = p.DeleteComponent(t.Context(), shop.Component) })
		all.Wait()
		page, listErr := p.List(t.Context(), api.WorkerFilter{}, nil, "", 1000)
		must(t, listErr)
		if err == nil {
			deleted++
			if len(page.Items) > 0 {
				t.Fatalf("the component was deleted, and has %d workers", len(page.Items))
			}
			p.deploy(shop.Component, kit)
			continue
		}
		p.refused(err, api.CodeComponentInUse)
		for _, w := range page.Items {
			must(t, p.Delete(t.Context(), id.Worker{Component: w.Component, Name: w.Name}))
		}
	}
	t.Logf("the component was deleted %d times before it had workers", deleted)
}
