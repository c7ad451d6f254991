package worker

import (
	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/host/socket"
)

// merged is what holds for a worker, and what follows from it. It is asked for
// several times for each invocation and request, and hardly ever changes.
type merged struct {
	component, own *api.Settings // what it was made of
	api.Settings
	http exchange.Policy
	net  socket.Policy
}

// settings are what holds for the worker now. They are not to be changed.
func (r *resident) settings() *merged {
	component, own := r.ws.Catalog.Settings(r.worker.Component), r.own
	if m := r.merged.Load(); m != nil && m.component == component && m.own == own {
		return m
	}
	m := &merged{component: component, own: own, Settings: r.ws.settings(own, component)}
	m.http, m.net = httpPolicy(m.HTTP), socketPolicy(m.Net)
	r.merged.Store(m)
	return m
}
