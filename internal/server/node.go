package server

import (
	"context"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/waterbear-run/waterbear/api"
)

// alive is what probes are answered when all is well.
type alive struct {
	Status string `json:"status" enum:"ok"`
}

// index is what the root of the server says.
type index struct {
	Name    string `json:"name" example:"waterbear"`
	Version string `json:"version"`
	OpenAPI string `json:"openapi" doc:"Path of the document of the interface"`
}

func (s *Server) addNode() {
	add(s, "health", func(context.Context, *exchange, *none) (*body[alive], error) {
		return &body[alive]{alive{"ok"}}, nil
	})
	add(s, "ready", func(_ context.Context, _ *exchange, _ *none) (*body[alive], error) {
		err := s.config.Platform.Ready()
		if err == nil && s.stopping.Err() != nil {
			err = api.NewProblem(api.CodeStopping, "the server is stopping")
		}
		if err != nil && !isProblem(err) {
			// Whoever asks is to learn why, and it is always for a while.
			err = api.NewProblem(api.CodeOverloaded, err.Error())
		}
		return &body[alive]{alive{"ok"}}, err
	})
	metrics := promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{DisableCompression: true})
	addRaw[none, status200](s, "metrics", func(x *exchange, r *http.Request) error {
		metrics.ServeHTTP(x, r)
		return nil
	})
	addRaw[none, status200](s, "openapi-json", func(x *exchange, _ *http.Request) error {
		b, err := s.document.json()
		if err != nil {
			return err
		}
		return x.content("application/openapi+json", b)
	})
	addRaw[none, status200](s, "openapi-yaml", func(x *exchange, _ *http.Request) error {
		b, err := s.document.yaml()
		if err != nil {
			return err
		}
		return x.content("application/openapi+yaml", b)
	})
	add(s, "index", func(context.Context, *exchange, *none) (*body[index], error) {
		return &body[index]{index{Name: "waterbear", Version: s.config.Version, OpenAPI: "/openapi.json"}}, nil
	})
}

// content answers with what is there already.
func (x *exchange) content(media string, b []byte) error {
	h := x.Header()
	h.Set("Content-Type", media)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	x.WriteHeader(http.StatusOK)
	_, _ = x.Write(b)
	return nil
}
