package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

// maxKey is the longest idempotency key, in bytes.
const maxKey = 256

// maxFunction is the longest name of a function that can be invoked, in bytes.
const maxFunction = 1024

// OfInvocation is what operations on an invocation take.
type OfInvocation struct {
	OfWorker
	Key string `path:"key" doc:"Its idempotency key"`
}

// invocationCall documents what invoke takes; callOf reads it.
type invocationCall struct {
	OfWorker
	Function string            `path:"function" doc:"Name of the exported function; run for a command" example:"add"`
	Key      string            `header:"Idempotency-Key" minLength:"1" maxLength:"256" pattern:"^[!-~]+$" doc:"The same key is the same invocation and gets the same answer, for ever. Without one, each request is another invocation."`
	Async    bool              `query:"async" doc:"Answer as soon as it is accepted"`
	At       time.Time         `query:"at" doc:"When to begin; the answer comes at once"`
	In       string            `query:"in" doc:"After how long to begin; the answer comes at once" example:"1m30s"`
	Timeout  string            `query:"timeout" doc:"How long to wait for the answer, at most as long as the server does" example:"10s"`
	Body     []json.RawMessage `required:"false" doc:"The arguments"`
}

// answered is what invoke answers; 202 if the invocation is not done.
type answered struct {
	Status int
	Body   api.Invocation
}

func (s *Server) addInvocations() {
	addRaw[invocationCall, answered](s, "invoke", s.invoke)
	add(s, "get-invocation", func(ctx context.Context, _ *exchange, in *struct {
		OfInvocation
		Wait    bool   `query:"wait" doc:"Answer once it is done"`
		Timeout string `query:"timeout" doc:"How long to wait, at most as long as the server does" example:"10s"`
	},
	) (*body[api.Invocation], error) {
		if p := checkKey("path.key", in.Key); p != nil {
			return nil, p
		}
		wait := s.config.Timeout
		if in.Timeout != "" {
			if p := readTimeout(&wait, in.Timeout); p != nil {
				return nil, p
			}
		}
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		i, err := s.config.Platform.Invocation(ctx, in.Component, in.Worker, in.Key, in.Wait)
		return &body[api.Invocation]{i}, timedOut(ctx, err)
	})
	add(s, "cancel-invocation", func(ctx context.Context, _ *exchange, in *OfInvocation) (*body[api.Invocation], error) {
		if p := checkKey("path.key", in.Key); p != nil {
			return nil, p
		}
		i, err := s.config.Platform.Cancel(ctx, in.Component, in.Worker, in.Key)
		return &body[api.Invocation]{i}, err
	})
}

// timedOut makes an error that only says that ctx is done the problem that it
// is: the context that the client's own timeout bounds is known here alone.
func timedOut(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && !isProblem(err) && context.Cause(ctx) == context.DeadlineExceeded {
		return api.NewProblem(api.CodeTimeout, "the answer is still to come: ask for it again by the key of the invocation")
	}
	return err
}

// checkKey refuses idempotency keys that no invocation has. The elements of a
// path that lead elsewhere cannot be keys, however they are escaped: what is
// between a client and the server may follow them.
func checkKey(location, key string) *api.Problem {
	if key == "" || len(key) > maxKey {
		return invalid(location, "an idempotency key has 1 to %d bytes, this one has %d", maxKey, len(key))
	}
	if key == "." || key == ".." {
		return invalid(location, "%q cannot be an idempotency key, since no path can have it: choose another", key)
	}
	for i := range len(key) {
		if key[i] < '!' || key[i] > '~' {
			return invalid(location, "an idempotency key has visible ASCII characters only, this one has %q at byte %d", key[i], i)
		}
	}
	return nil
}

// invoke is what a server does most, so nothing here is done by reflection.
func (s *Server) invoke(x *exchange, r *http.Request) error {
	call, timeout, p := s.callOf(r)
	if p != nil {
		return p
	}
	args, p := readBody(x, r, s.config.MaxBody, s.bodyWait)
	if p != nil {
		return p
	}
	if isWAVE(r) {
		call.WAVE = string(args)
	} else if call.Args, p = arguments(args); p != nil {
		return p
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	component, worker := r.PathValue("component"), r.PathValue("worker")
	i, err := s.config.Platform.Invoke(ctx, component, worker, call)
	if err != nil {
		return s.explain(ctx, x, timedOut(ctx, err))
	}
	awaited := !call.Async && call.Due.IsZero()
	if awaited {
		s.metrics.invocation(i.State, time.Since(x.began))
	}
	switch {
	case i.State == api.StateFinished:
		return x.invocation(http.StatusOK, i)
	case i.State.Done():
		p := api.NewProblem(api.CodeInvocationFailed, failureOf(i))
		p.Invocation = new(i) // here alone it has to outlive this
		return p
	}
	x.Header().Set("Location", "/v1/workers/"+component+"/"+worker+"/invocations/"+url.PathEscape(i.Key))
	return x.invocation(http.StatusAccepted, i)
}

// isWAVE reports whether the arguments are in WAVE instead of JSON.
func isWAVE(r *http.Request) bool {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.TrimSpace(media) == api.MediaWAVE
}

func failureOf(i api.Invocation) string {
	switch {
	case i.State == api.StateCanceled:
		return fmt.Sprintf("the invocation of %s was canceled before it had an effect", i.Function)
	case i.Failure == nil:
		return fmt.Sprintf("the invocation of %s failed", i.Function)
	}
	return fmt.Sprintf("the invocation of %s failed: %s", i.Function, i.Failure.Reason)
}

// callOf reads all of a call but its arguments, and how long to wait for it.
func (s *Server) callOf(r *http.Request) (call api.Call, timeout time.Duration, p *api.Problem) {
	call.Function, timeout = r.PathValue("function"), s.config.Timeout
	if call.Function == "" || len(call.Function) > maxFunction {
		return call, 0, invalid("path.function", "a function's name has 1 to %d bytes", maxFunction)
	}
	if keys := r.Header["Idempotency-Key"]; len(keys) > 1 {
		return call, 0, invalid("header.Idempotency-Key", "there are %d of them: send one", len(keys))
	} else if len(keys) == 1 {
		call.Key = keys[0]
		if p := checkKey("header.Idempotency-Key", call.Key); p != nil {
			return call, 0, p
		}
	}
	if r.URL.RawQuery == "" {
		return call, timeout, nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return call, 0, invalid("query", "%v", err)
	}
	for name, values := range query {
		if len(values) != 1 {
			return call, 0, invalid("query."+short(name), "it is there %d times: give it once", len(values))
		}
		if p := readParameter(&call, &timeout, name, values[0]); p != nil {
			return call, 0, p
		}
	}
	if query.Has("at") && query.Has("in") {
		return call, 0, invalid("query.in", "give at or in, not both")
	}
	return call, timeout, nil
}

// readParameter reads one query parameter of a call.
func readParameter(call *api.Call, timeout *time.Duration, name, value string) *api.Problem {
	location := "query." + short(name)
	var err error
	switch name {
	case "async":
		if value != "true" && value != "false" {
			return invalid(location, "it is %q: write true or false", value)
		}
		call.Async = value == "true"
	case "at":
		if call.Due, err = time.Parse(time.RFC3339, value); err != nil || call.Due.IsZero() {
			return invalid(location, "%q is no time: write it as in 2030-01-31T08:00:00Z", value)
		}
	case "in":
		in, err := time.ParseDuration(value)
		if err != nil || in < 0 {
			return invalid(location, "%q is no duration from 0 on: write it as in 1h30m", value)
		}
		call.Due = time.Now().Add(in)
	case "timeout":
		return readTimeout(timeout, value)
	default:
		return invalid(location, "there is no such parameter: the call has async, at, in and timeout")
	}
	return nil
}

// readTimeout shortens how long to wait to what the client wants.
func readTimeout(timeout *time.Duration, value string) *api.Problem {
	wait, err := time.ParseDuration(value)
	if err != nil || wait <= 0 {
		return invalid("query.timeout", "%q is no duration over 0: write it as in 10s", value)
	}
	*timeout = min(*timeout, wait)
	return nil
}

// arguments checks that a body is an array in JSON; what may be in it depends on
// the function.
func arguments(body []byte) (json.RawMessage, *api.Problem) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil, nil
	}
	if body[0] != '[' || !json.Valid(body) {
		return nil, invalid("body", "it is not an array in JSON: send the arguments as in [1, 2]")
	}
	return body, nil
}
