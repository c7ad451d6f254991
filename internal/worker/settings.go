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
	if m := r.merged.Load(); m.of(component, own) {
		return m
	}
	m := r.ws.merge(r.worker.Component, component, own)
	r.merged.Store(m)
	return m
}

func (m *merged) of(component, own *api.Settings) bool {
	return m != nil && m.component == component && m.own == own
}

// maxCommon is how many components' settings are kept in mind.
const maxCommon = 256

// merge gives what holds for a worker of a component. The workers without settings
// of their own share it.
func (ws *Workers) merge(name string, component, own *api.Settings) *merged {
	if own == &noSettings {
		ws.mu.Lock()
		m := ws.common[name]
		ws.mu.Unlock()
		if m.of(component, own) {
			return m
		}
	}
	m := &merged{component: component, own: own, Settings: ws.settings(own, component)}
	m.http, m.net = httpPolicy(m.HTTP), socketPolicy(m.Net)
	if own == &noSettings {
		ws.mu.Lock()
		defer ws.mu.Unlock()
		if len(ws.common) >= maxCommon {
			clear(ws.common)
		}
		ws.common[name] = m
	}
	return m
}
