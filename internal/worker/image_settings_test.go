package worker_test

import (
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/worker"
)

func imagesAfter(d time.Duration) api.Settings {
	return api.Settings{Images: api.Images{After: api.Duration(d)}}
}

func TestImagesAreTakenAsTheWorkerItsComponentOrTheNodeSays(t *testing.T) {
	for _, c := range []struct {
		name                  string
		node, component, mine time.Duration
		want                  bool
	}{
		{"the node always", 0, 0, 0, true},
		{"the node never", -1, 0, 0, false},
		{"the component never", 0, -1, 0, false},
		{"the component but not the node", -1, time.Millisecond, 0, true},
		{"the worker never", 0, time.Millisecond, -1, false},
		{"the worker but not the component", 0, -1, time.Millisecond, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlatform(t, func(config *worker.Config) { config.ImageAfter = c.node })
			_, err := p.catalog.Configure(t.Context(), shop.Component, imagesAfter(c.component))
			must(t, err)
			w := id.Worker{Component: shop.Component, Name: "set"}
			_, err = p.Create(t.Context(), w, api.NewWorker{Settings: imagesAfter(c.mine)})
			must(t, err)
			for range 5 {
				_, err := p.invoke(w, "steps", 30000)
				must(t, err)
			}
			d, err := p.Worker(t.Context(), w)
			must(t, err)
			entries, _ := p.images(w)
			if got := len(entries) > 0; got != c.want || (d.Image != nil) != c.want || (p.Stats().Images > 0) != c.want {
				t.Errorf("%d images are taken, one shown is %+v, %d counted; want some: %t", len(entries), d.Image, p.Stats().Images, c.want)
			}
			want := c.node
			for _, after := range []time.Duration{c.component, c.mine} {
				if after != 0 {
					want = after
				}
			}
			if got := time.Duration(d.Settings.Images.After); got != want {
				t.Errorf("the worker shows %v, want %v", got, want)
			}
		})
	}
}

func TestImageIsUsedAlsoOnceNoMoreAreTaken(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.ImageAfter = 0 })
	for range 20 {
		p.everything(shop)
	}
	p.close() // which waits for the last image
	before, _ := p.images(shop)
	p.open()
	_, err := p.catalog.Configure(t.Context(), shop.Component, imagesAfter(-1))
	must(t, err)
	p.everything(shop)
	if after, _ := p.images(shop); len(after) != len(before) {
		t.Errorf("%d images, want none beside the %d there were", len(after), len(before))
	}
	if s := p.Stats(); s.Recoveries != 1 || s.Replayed > 4 {
		t.Errorf("%d recoveries replayed %d entries, want one and next to none", s.Recoveries, s.Replayed)
	}
}
