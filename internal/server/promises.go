package server

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"

	"github.com/waterbear-run/waterbear/api"
)

// OfPromise is what operations on a promise take.
type OfPromise struct {
	OfWorker
	Promise string `path:"promise" doc:"Its name within the worker, the last part of its whole name"`
}

// completion documents what complete-promise takes; complete reads it.
type completion struct {
	OfPromise
	Key     string `header:"Idempotency-Key" minLength:"1" maxLength:"256" pattern:"^[!-~]+$" doc:"Who repeats the request with the same key is told the same, and not that the promise is settled"`
	RawBody []byte `contentType:"application/octet-stream" required:"false" doc:"The value"`
}

// webhookCall documents what webhook takes.
type webhookCall struct {
	Hook    string `path:"hook" doc:"The end of the URL that the worker gave out"`
	Key     string `header:"Idempotency-Key" minLength:"1" maxLength:"256" pattern:"^[!-~]+$" doc:"As in complete-promise"`
	RawBody []byte `contentType:"*/*" required:"false" doc:"The value, of whatever type"`
}

func (s *Server) addPromises() {
	add(s, "list-promises", func(ctx context.Context, _ *exchange, in *OfWorker) (*body[api.Page[api.Promise]], error) {
		list, err := s.config.Platform.Promises(ctx, in.Component, in.Worker)
		return page(list, ""), err
	})
	add(s, "get-promise", func(ctx context.Context, _ *exchange, in *OfPromise) (*body[api.Promise], error) {
		p, err := s.config.Platform.Promise(ctx, in.Component, in.Worker, in.Promise)
		return &body[api.Promise]{p}, err
	})
	addRaw[completion, body[api.Promise]](s, "complete-promise", func(x *exchange, r *http.Request) error {
		return s.complete(x, r, r.PathValue("component"), r.PathValue("worker"), r.PathValue("promise"), "a client")
	})
	add(s, "fail-promise", func(ctx context.Context, x *exchange, in *struct {
		OfPromise
		Key  string `header:"Idempotency-Key" minLength:"1" maxLength:"256" pattern:"^[!-~]+$" doc:"As in complete-promise"`
		Body struct {
			Message string `json:"message" minLength:"1" maxLength:"65536" doc:"Why it fails"`
		}
	},
	) (*body[api.Promise], error) {
		p, err := s.config.Platform.SettlePromise(ctx, in.Component, in.Worker, in.Promise, api.Settlement{
			Failed: true, Value: []byte(in.Body.Message), Key: in.Key, By: x.settler("a client"),
		})
		return &body[api.Promise]{p}, err
	})
	addRaw[webhookCall, body[api.Promise]](s, "webhook", func(x *exchange, r *http.Request) error {
		// Who does not know a URL learns nothing and costs next to nothing.
		component, worker, promise, ok := s.config.Platform.Webhook(r.PathValue("hook"))
		if !ok {
			return api.NewProblem(api.CodeNoPromise, "this is no URL that a worker gave out, or not all of one")
		}
		return s.complete(x, r, component, worker, promise, "a webhook")
	})
}

// settler is who settles a promise, for people.
func (x *exchange) settler(what string) string {
	if x.token.Name != "" {
		return what + " with the token " + x.token.Name
	}
	return what
}

// complete completes a promise with the body of the request.
func (s *Server) complete(x *exchange, r *http.Request, component, worker, promise, by string) error {
	settlement := api.Settlement{By: x.settler(by)}
	if r.URL.RawQuery != "" && x.route.needs.of != anybody {
		return invalid("query."+short(r.URL.RawQuery), "there are no parameters here: the body is the value")
	}
	switch keys := r.Header["Idempotency-Key"]; len(keys) {
	case 0:
	case 1:
		settlement.Key = keys[0]
		if p := checkKey("header.Idempotency-Key", settlement.Key); p != nil {
			return p
		}
	default:
		return invalid("header.Idempotency-Key", "there are %d of them: send one", len(keys))
	}
	value, p := readBody(x, r, s.config.MaxBody, s.bodyWait)
	if p != nil {
		return p
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if media == mediaJSON && x.route.needs.of != anybody && !json.Valid(value) {
		return invalid("body", "it is not JSON: send it as %s if it is not meant to be", mediaBytes)
	}
	settlement.Value = value
	ctx, cancel := context.WithTimeout(r.Context(), s.config.Timeout)
	defer cancel()
	v, err := s.config.Platform.SettlePromise(ctx, component, worker, promise, settlement)
	if err != nil {
		return s.explain(ctx, x, err)
	}
	return x.json(http.StatusOK, v)
}
