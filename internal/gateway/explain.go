package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/waterbear-run/waterbear/api"
)

// answer sends what an invocation came to.
func (p *public) answer(x *exchange, e *entry, b *binding, i api.Invocation) *api.Problem {
	h := x.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	switch {
	case e.route.Async:
		x.send(answer{status: http.StatusAccepted})
		return nil
	case i.State == api.StateFinished:
		a, err := b.reply.answer(i.Result)
		if err != nil {
			p.Log.Warn("a result cannot be sent as the route says", "route", e.route.Name, "request", x.id, "invocation", i.Key, "error", err)
			return p.internal(x)
		}
		x.send(a)
		return nil
	case i.State == api.StateCanceled:
		return api.NewProblem(api.CodeInvocationFailed, "the request was taken back before it had an effect")
	}
	p.Log.Warn("an invocation of a route failed", "route", e.route.Name, "request", x.id, "worker", i.Worker, "invocation", i.Key, "failure", reasonOf(i))
	return failed(x)
}

func failed(x *exchange) *api.Problem {
	return api.NewProblem(api.CodeInvocationFailed, "the program that answers this failed; request "+x.id)
}

func reasonOf(i api.Invocation) string {
	if i.Failure == nil {
		return ""
	}
	return i.Failure.Reason
}

// internal is what anybody is told of what is none of their affair.
func (p *public) internal(x *exchange) *api.Problem {
	return api.NewProblem(api.CodeInternal, "this cannot be answered now; whoever runs the server finds more in its log under request "+x.id)
}

// explain says what anybody is told of an error of the platform: what they can do
// something about, in words that do not tell what there is behind the route.
func (p *public) explain(x *exchange, r *http.Request, b *binding, each []json.RawMessage, err error) *api.Problem {
	if context.Cause(r.Context()) == context.Canceled {
		x.cut = "the client left"
	}
	var known *api.Problem
	if errors.As(err, &known) {
		switch known.Code {
		case api.CodeBadArguments: // so there is a binding
			return b.blame(each, known)
		case api.CodeKeyReused:
			// The draft wants 422 (draft-ietf-httpapi-idempotency-key-header, 2.7).
			reused := api.NewProblem(known.Code, "the idempotency key was used for another request: use another key for another request")
			reused.Status = http.StatusUnprocessableEntity
			return reused
		case api.CodeTooLarge:
			return api.NewProblem(known.Code, "the request is too long for what answers it")
		case api.CodeQueueFull:
			return api.NewProblem(known.Code, "too many requests wait for their turn: try again later")
		case api.CodeOverloaded, api.CodeDiskFull, api.CodeStopping:
			return api.NewProblem(api.CodeOverloaded, "nothing can be taken on now: try again later")
		case api.CodeExpired:
			return api.NewProblem(known.Code, "the answer to this key is not kept any more: use another key for another request")
		case api.CodeInvocationFailed:
			p.Log.Warn("a handler has not answered a request", "route", x.entry.route.Name, "request", x.id, "worker", x.worker, "why", known.Detail)
			return failed(x)
		case api.CodeInvalid:
			return api.NewProblem(known.Code, known.Detail)
		case api.CodeNoWorker:
			return api.NewProblem(api.CodeNoRoute, "there is nothing here")
		case api.CodeTimeout:
			return timeout()
		}
	} else if r.Context().Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		return timeout()
	}
	p.Log.Warn("a request of a route cannot be answered", "route", x.entry.route.Name, "request", x.id, "error", err)
	return p.internal(x)
}

func timeout() *api.Problem {
	return api.NewProblem(api.CodeTimeout, "the answer is still to come: repeat the request with the same idempotency key, if it had one, to wait for it on")
}
