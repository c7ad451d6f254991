package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waterbear-run/waterbear/api"
)

const problemType = "application/problem+json"

const (
	maxFieldErrors  = 20  // in one problem
	maxFieldMessage = 300 // bytes of each: they quote the client
)

// problem is an api.Problem as huma wants errors.
type problem api.Problem

func (p *problem) Error() string               { return p.Detail }
func (p *problem) GetStatus() int              { return p.Status }
func (p *problem) GetHeaders() http.Header     { return problemHeaders((*api.Problem)(p)) }
func (p *problem) ContentType(_ string) string { return problemType }

// problemHeaders are the headers that say what the problem says, for clients
// that do not read bodies.
func problemHeaders(p *api.Problem) http.Header {
	h := http.Header{}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="waterbear"`)
	}
	return h
}

// useProblems makes huma's own errors problems. Huma has them in a variable of
// its package, so this is done once for the whole process.
var useProblems = sync.OnceFunc(func() { huma.NewError = newError })

// newError makes a problem of what huma finds wrong with a request.
func newError(status int, message string, errs ...error) huma.StatusError {
	code := api.CodeInvalid
	switch {
	case status == http.StatusRequestEntityTooLarge:
		code = api.CodeTooLarge
	case status == http.StatusUnsupportedMediaType:
		code = api.CodeMediaType
	case status >= http.StatusInternalServerError:
		code = api.CodeInternal
	}
	p := api.NewProblem(code, message)
	for _, err := range errs {
		if err == nil || len(p.Errors) == maxFieldErrors {
			continue
		}
		wrong := api.FieldError{Message: err.Error()}
		var detailed huma.ErrorDetailer
		if errors.As(err, &detailed) {
			d := detailed.ErrorDetail()
			wrong = api.FieldError{Location: d.Location, Message: d.Message}
		}
		wrong.Location, wrong.Message = short(wrong.Location), short(wrong.Message)
		p.Errors = append(p.Errors, wrong)
	}
	if len(p.Errors) > 0 {
		p.Detail = fmt.Sprintf("%s: %s: %s", message, p.Errors[0].Location, p.Errors[0].Message)
	}
	return (*problem)(p)
}

// short cuts what quotes a client. What that splits, JSON makes whole.
func short(s string) string {
	if len(s) <= maxFieldMessage {
		return s
	}
	return s[:maxFieldMessage] + "…"
}

// invalid is the problem of one wrong place in a request.
func invalid(location, format string, args ...any) *api.Problem {
	message := short(fmt.Sprintf(format, args...))
	p := api.NewProblem(api.CodeInvalid, "validation failed: "+location+": "+message)
	p.Errors = []api.FieldError{{Location: location, Message: message}}
	return p
}

func internalDetail(request string) string {
	return "something went wrong inside the server; its log has more under request " + request
}

// explain says what a client is told of err: a problem as it is, and of an error
// of ours that there was one, which the log then has.
func (s *Server) explain(ctx context.Context, x *exchange, err error) *api.Problem {
	p := s.problemOf(ctx, x, err)
	if p.Status >= http.StatusInternalServerError && context.Cause(ctx) == context.Canceled {
		x.cut = errLeft // and does not read p
	}
	return p
}

func (s *Server) problemOf(ctx context.Context, x *exchange, err error) *api.Problem {
	cause := context.Cause(ctx)
	var p *api.Problem
	if errors.As(err, &p) {
		if errors.Is(cause, errStopping) && p.Code == api.CodeTimeout {
			stopping := api.NewProblem(api.CodeStopping, "the server is stopping; the invocation goes on when it is started again: ask for it by its key")
			stopping.Invocation = p.Invocation
			return stopping
		}
		return p
	}
	switch {
	case errors.Is(cause, errStopping):
		return api.NewProblem(api.CodeStopping, "the server is stopping: try again when it is back")
	case errors.Is(cause, context.DeadlineExceeded):
		return api.NewProblem(api.CodeTimeout, "it took longer than the time to wait for an answer")
	case errors.Is(cause, context.Canceled):
		return api.NewProblem(api.CodeTimeout, "the request was canceled")
	}
	s.config.Log.Error("a request failed", "request", x.id, "operation", x.route.id, "error", err)
	return api.NewProblem(api.CodeInternal, internalDetail(x.id))
}

func isProblem(err error) bool {
	var p *api.Problem
	return errors.As(err, &p)
}
