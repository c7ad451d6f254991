package server

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
)

// OfWorker is what operations on a worker take.
type OfWorker struct {
	Component string `path:"component" doc:"Name of the component" example:"shop"`
	Worker    string `path:"worker" doc:"Name of the worker" example:"alice"`
}

func (s *Server) addWorkers() {
	add(s, "list-workers", s.listWorkers)
	add(s, "create-worker", func(ctx context.Context, _ *exchange, in *struct {
		OfWorker
		Body *api.NewWorker
	},
	) (*created[api.WorkerDetail], error) {
		w, isNew, err := s.config.Platform.CreateWorker(ctx, in.Component, in.Worker, orZero(in.Body))
		status := http.StatusOK
		if isNew {
			status = http.StatusCreated
		}
		return &created[api.WorkerDetail]{status, w}, err
	})
	add(s, "get-worker", func(ctx context.Context, _ *exchange, in *OfWorker) (*body[api.WorkerDetail], error) {
		w, err := s.config.Platform.Worker(ctx, in.Component, in.Worker)
		return &body[api.WorkerDetail]{w}, err
	})
	add(s, "delete-worker", func(ctx context.Context, _ *exchange, in *OfWorker) (*none, error) {
		return nil, s.config.Platform.DeleteWorker(ctx, in.Component, in.Worker)
	})
	add(s, "fork-worker", func(ctx context.Context, _ *exchange, in *struct {
		OfWorker
		Body *copying
	},
	) (*created[api.WorkerDetail], error) {
		w, err := s.config.Platform.Fork(ctx, in.Component, in.Worker, orZero(in.Body).Name)
		return &created[api.WorkerDetail]{http.StatusCreated, w}, err
	})
	add(s, "interrupt-worker", func(ctx context.Context, _ *exchange, in *struct {
		OfWorker
		Body *interruption
	},
	) (*none, error) {
		return nil, s.config.Platform.Interrupt(ctx, in.Component, in.Worker, orZero(in.Body).Reason)
	})
	add(s, "resume-worker", func(ctx context.Context, _ *exchange, in *OfWorker) (*none, error) {
		return nil, s.config.Platform.Resume(ctx, in.Component, in.Worker)
	})
	add(s, "retry-worker", func(ctx context.Context, _ *exchange, in *OfWorker) (*none, error) {
		return nil, s.config.Platform.Retry(ctx, in.Component, in.Worker)
	})
}

// copying is the body of a fork.
type copying struct {
	Name string `json:"name" doc:"Name of the copy"`
}

// interruption is the body of an interrupt.
type interruption struct {
	Reason string `json:"reason,omitempty" maxLength:"1000" doc:"Shown with the worker's status"`
}

// orZero is what a body that may be left out has.
func orZero[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// workerQuery is a WorkerFilter and a place in the list, as query parameters.
type workerQuery struct {
	Component     string     `query:"component" maxLength:"128" doc:"Of this component"`
	Revision      uint64     `query:"revision" doc:"Of this revision"`
	Status        api.Status `query:"status" enum:"Idle,Running,Suspended,Interrupted,Retrying,Failed,Exited"`
	Name          string     `query:"name" maxLength:"256" doc:"A glob: * and ?" example:"cart-*"`
	Env           string     `query:"env" maxLength:"4096" doc:"KEY, or KEY=VALUE"`
	CreatedAfter  time.Time  `query:"createdAfter" doc:"Exclusive"`
	CreatedBefore time.Time  `query:"createdBefore" doc:"Exclusive"`
	Cursor        string     `query:"cursor" maxLength:"1024" doc:"The next of the page before"`
	Limit         int        `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Of workers in a page"`
}

func (q *workerQuery) filter() api.WorkerFilter {
	return api.WorkerFilter{
		Component: q.Component, Revision: q.Revision, Status: q.Status, Name: q.Name, Env: q.Env,
		CreatedAfter: q.CreatedAfter, CreatedBefore: q.CreatedBefore,
	}
}

// listWorkers never shows a worker of a component that the token is not for, nor
// a cursor, which may have the name of one.
func (s *Server) listWorkers(ctx context.Context, x *exchange, q *workerQuery) (*body[api.Page[api.Worker]], error) {
	if q.Component != "" {
		if err := id.CheckName(q.Component); err != nil {
			return nil, invalid("query.component", "%v", err)
		}
	}
	if s.config.Auth && q.Component == "" {
		if all, some := x.route.needs.allowed(x.token); !all {
			return s.listAllowed(ctx, some, q)
		}
	}
	if s.config.Auth && q.Component != "" {
		if err := x.route.needs.check(x.token, q.Component); err != nil {
			return nil, err
		}
	}
	p, err := s.config.Platform.Workers(ctx, q.filter(), q.Cursor, q.Limit)
	return page(p.Items, p.Next), err
}

// listAllowed lists the workers of some components.
func (s *Server) listAllowed(ctx context.Context, components []string, q *workerQuery) (*body[api.Page[api.Worker]], error) {
	in, cursor, err := readTurn(components, q.Cursor)
	if err != nil {
		return nil, err
	}
	filter := q.filter()
	filter.Component = in
	p, err := s.config.Platform.Workers(ctx, filter, cursor, q.Limit)
	if err != nil {
		return nil, err
	}
	return page(p.Items, turn(components, in, p.Next)), nil
}

// readTurn reads the cursor of a list of what some components have, of which there
// is at least one, one after the other: in which component to go on, and where in it.
func readTurn(components []string, cursor string) (in, at string, err error) {
	if cursor == "" {
		return components[0], "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	in, at, ok := strings.Cut(string(text), "/")
	if err != nil || !ok || !slices.Contains(components, in) {
		return "", "", invalid("query.cursor", "it is not the next of a page that this token got")
	}
	return in, at, nil
}

// turn is such a cursor, behind a page of one component whose next is next.
func turn(components []string, in, next string) string {
	if after := slices.Index(components, in) + 1; next != "" {
		next = in + "/" + next
	} else if after < len(components) {
		next = components[after] + "/"
	}
	return base64.RawURLEncoding.EncodeToString([]byte(next))
}
