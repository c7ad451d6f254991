package server

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/waterbear-run/waterbear/api"
)

// OfComponent is what operations on a component take. It is exported because
// huma looks at exported fields alone, as are the others like it.
type OfComponent struct {
	Component string `path:"component" doc:"Name of the component" example:"shop"`
}

// body is an answer with status 200.
type body[T any] struct{ Body T }

// created is an answer with status 200 or 201.
type created[T any] struct {
	Status int
	Body   T
}

// none is what has nothing in it.
type none struct{}

func (s *Server) addComponents() {
	add(s, "list-components", s.listComponents)
	add(s, "get-component", func(ctx context.Context, _ *exchange, in *OfComponent) (*body[api.Component], error) {
		c, err := s.config.Platform.Component(ctx, in.Component)
		return &body[api.Component]{c}, err
	})
	addRaw[deployment, created[api.Deployed]](s, "deploy", s.deploy)
	add(s, "delete-component", func(ctx context.Context, _ *exchange, in *OfComponent) (*none, error) {
		return nil, s.config.Platform.DeleteComponent(ctx, in.Component)
	})
	add(s, "list-revisions", func(ctx context.Context, _ *exchange, in *OfComponent) (*body[api.Page[api.Revision]], error) {
		list, err := s.config.Platform.Revisions(ctx, in.Component)
		return page(list, ""), err
	})
	add(s, "get-wit", func(ctx context.Context, x *exchange, in *struct {
		OfComponent
		Revision uint64 `path:"revision" minimum:"1" doc:"Number of the revision" example:"1"`
	},
	) (*status200, error) {
		text, err := s.config.Platform.WIT(ctx, in.Component, in.Revision)
		if err != nil {
			return nil, err
		}
		w := s.newPieces(x, mediaText+"; charset=utf-8")
		_, err = io.WriteString(w, text)
		return nil, w.end(err)
	})
	add(s, "configure", func(ctx context.Context, _ *exchange, in *struct {
		OfComponent
		Body api.Settings
	},
	) (*body[api.Component], error) {
		c, err := s.config.Platform.Configure(ctx, in.Component, in.Body)
		return &body[api.Component]{c}, err
	})
}

// page answers with a part of a list.
func page[T any](items []T, next string) *body[api.Page[T]] {
	if items == nil {
		items = []T{} // null is no list
	}
	return &body[api.Page[T]]{api.Page[T]{Items: items, Next: next}}
}

func (s *Server) listComponents(ctx context.Context, x *exchange, _ *none) (*body[api.Page[api.Component]], error) {
	list, err := s.config.Platform.Components(ctx)
	if err != nil {
		return nil, err
	}
	seen := make([]api.Component, 0, len(list))
	for _, c := range list {
		if !s.config.Auth || x.route.needs.check(x.token, c.Name) == nil {
			seen = append(seen, c)
		}
	}
	return page(seen, ""), nil
}

// deployment is what deploy takes.
type deployment struct {
	OfComponent
	Accept  string `header:"Accept" doc:"text/event-stream: tell how far compiling is"`
	RawBody []byte `contentType:"application/wasm"`
}

func (s *Server) deploy(x *exchange, r *http.Request) error {
	leave, p := s.enter(s.deploys, "deployments")
	if p != nil {
		return p
	}
	defer leave()
	if r.URL.RawQuery != "" {
		return invalid("query", "deploy takes no query parameters")
	}
	// Reading and compiling take longer than other answers.
	_ = http.NewResponseController(x).SetWriteDeadline(noDeadline)
	module, p := readBody(x, r, s.config.MaxModule, uploadWait)
	if p != nil {
		return p
	}
	if len(module) == 0 {
		return invalid("body", "it is empty: send the module")
	}
	component := r.PathValue("component")
	if accepts(r.Header.Get("Accept"), mediaEvents) {
		return s.deployWithProgress(x, r, component, module)
	}
	d, err := s.config.Platform.Deploy(r.Context(), component, module, nil)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if d.New {
		status = http.StatusCreated
	}
	_ = http.NewResponseController(x).SetWriteDeadline(s.writeBy())
	return x.json(status, d)
}

// deployWithProgress deploys while it tells the client how far that is. Progress
// that comes faster than the client reads it is left out.
func (s *Server) deployWithProgress(x *exchange, r *http.Request, component string, module []byte) error {
	ctx, cancel := s.untilStopping(r.Context())
	defer cancel(nil)
	type outcome struct {
		deployed api.Deployed
		err      error
	}
	progress, ended := make(chan api.Progress, 1), make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() { ended <- o }()
		defer recovered(&o.err)
		o.deployed, o.err = s.config.Platform.Deploy(ctx, component, module, func(p api.Progress) {
			select {
			case <-progress: // the newest counts
			default:
			}
			select {
			case progress <- p:
			default:
			}
		})
	}()
	events := s.newEvents(x)
	events.open()
	alive := s.newHeartbeat()
	defer alive.Stop()
	for {
		var err error
		select {
		case p := <-progress:
			err = events.send("", "progress", p)
		case <-alive.C:
			err = events.beat()
		case o := <-ended:
			select {
			case p := <-progress: // which came before
				err = events.send("", "progress", p)
			default:
			}
			name, last := "deployed", any(o.deployed)
			if o.err != nil {
				name, last = "problem", s.explain(ctx, x, o.err)
			}
			if err = errors.Join(err, events.send("", name, last)); err != nil {
				x.cutOff(err)
			}
			return nil
		}
		if err != nil {
			cancel(err)
			<-ended // until then the platform has the module
			x.cutOff(err)
		}
	}
}
