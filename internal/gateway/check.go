package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
)

// Bounds of what a route can say.
const (
	maxBody        = 64 << 20
	maxConcurrency = 1 << 20
	maxTimeout     = time.Hour
	maxCORSAge     = 24 * time.Hour
	maxArguments   = 1000
	maxErrors      = 100
	maxRefusals    = 20 // that one problem lists
)

// methods are those that a route can be for. CONNECT and TRACE are not among
// them: no server of ours is a proxy, and none repeats headers.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// refusal is the problem of all that is wrong with routes.
func refusal(wrong []api.FieldError) *api.Problem {
	p := api.NewProblem(api.CodeInvalid, fmt.Sprintf("the routes cannot be used: %s: %s", wrong[0].Location, wrong[0].Message))
	if more := len(wrong) - 1; more > 0 {
		p.Detail += fmt.Sprintf(", and %d more", more)
	}
	p.Errors = wrong[:min(len(wrong), maxRefusals)]
	return p
}

// check collects what is wrong with a route.
type check struct {
	at     string
	errors []api.FieldError
}

func (c *check) refuse(field, format string, args ...any) {
	c.errors = append(c.errors, api.FieldError{Location: fmt.Sprintf("route %.128s: %s", c.at, field), Message: fmt.Sprintf(format, args...)})
}

// try refuses a field for err, if there is one.
func (c *check) try(field string, err error) bool {
	if err != nil {
		c.refuse(field, "%v", err)
	}
	return err == nil
}

func checkName(name string) error { return id.CheckName(name) }

// same reports whether two routes say the same,
// however they were written.
func same(a, b *api.Route) bool {
	if a == nil || b == nil {
		return false
	}
	one, err := json.Marshal(a)
	other, otherErr := json.Marshal(b)
	return err == nil && otherErr == nil && bytes.Equal(one, other)
}

// route looks at what a route says, apart from what components are like.
func (c *check) route(r *api.Route) {
	c.try("name", checkName(r.Name))
	c.host(r.Host)
	wildcards, err := pathWildcards(r.Path)
	c.try("path", err)
	for i, m := range r.Methods {
		switch {
		case !slices.Contains(methods, m):
			c.refuse("methods", "there is no method %.20q: there are %s", m, strings.Join(methods, ", "))
		case slices.Contains(r.Methods[:i], m):
			c.refuse("methods", "%s is there twice", m)
		}
	}
	c.try("component", checkName(r.Component))
	choice, err := parseChooser(r.Worker)
	if c.try("worker", err) && choice.from.place == inPath && !slices.Contains(wildcards, choice.from.name) {
		c.refuse("worker", "the path has no {%s}", choice.from.name)
	}
	if r.Existing && choice.perRequest() {
		c.refuse("existing", "a worker for each request is made by it, so it cannot be there already")
	}
	_, err = parseKeying(r.Key)
	c.try("key", err)
	c.limits(r.Limits)
	c.cors(r.CORS)
	if r.Below && (r.Function != "" || !strings.HasSuffix(r.Path, "...}")) {
		c.refuse("below", "it is for a handler, and for a path with an end such as {rest...}")
	}
	if r.Function == "" {
		c.handler(r)
		return
	}
	if len(r.Arguments) > maxArguments {
		c.refuse("arguments", "there are %d, more than %d", len(r.Arguments), maxArguments)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Arguments)) {
		s, err := parseSource(r.Arguments[name])
		if c.try("arguments."+name, err) && s.place == inPath && !slices.Contains(wildcards, s.name) {
			c.refuse("arguments."+name, "the path has no {%s}", s.name)
		}
	}
	c.answers(r)
}

// handler refuses what is for functions alone: a handler is given the whole
// request, and gives the whole response.
func (c *check) handler(r *api.Route) {
	for field, said := range map[string]bool{
		"arguments": len(r.Arguments) > 0, "status": r.Status != 0, "errors": len(r.Errors) > 0, "content": r.Content != "", "async": r.Async,
	} {
		if said {
			c.refuse(field, "it is for routes with a function: a handler takes the request as it is and makes the response")
		}
	}
	if r.Key == keyRequest {
		c.refuse("key", "the program of a handler takes what it wants from a request, so nobody knows which are the same: take header or header.NAME")
	}
}

// answers looks at what becomes of results.
func (c *check) answers(r *api.Route) {
	if r.Status != 0 && (r.Status < 200 || r.Status > 299) {
		c.refuse("status", "%d is not from 200 to 299", r.Status)
	}
	if len(r.Errors) > maxErrors {
		c.refuse("errors", "there are %d, more than %d", len(r.Errors), maxErrors)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Errors)) {
		if status := r.Errors[name]; status < 400 || status > 599 {
			c.refuse("errors."+name, "%d is not from 400 to 599", status)
		}
	}
	if r.Content != "" {
		if _, _, err := mime.ParseMediaType(r.Content); err != nil || strings.ContainsAny(r.Content, "\r\n\x00") {
			c.refuse("content", "%q is no media type: write it as in text/html; charset=utf-8", r.Content)
		}
	}
	if r.Async && (r.Status != 0 || len(r.Errors) > 0 || r.Content != "") {
		c.refuse("async", "the answer is 202 before there is a result, so status, errors and content mean nothing")
	}
}

func (c *check) host(host string) {
	if host == "" {
		return
	}
	if len(host) > 253 || strings.HasPrefix(host, ".") || strings.HasSuffix(host, ".") || strings.Contains(host, "..") {
		c.refuse("host", "%.100q is no host: write a name or an address, without a port", host)
		return
	}
	for i := range len(host) {
		b := host[i]
		if !('a' <= b && b <= 'z' || '0' <= b && b <= '9' || b == '-' || b == '.' || b == '_') {
			c.refuse("host", "%.100q is no host: write a name or an address in lower case, without a port", host)
			return
		}
	}
}

func (c *check) limits(l api.RouteLimits) {
	if l.Body > maxBody {
		c.refuse("limits.body", "%d bytes are more than %d", l.Body, maxBody)
	}
	if l.Concurrency > maxConcurrency {
		c.refuse("limits.concurrency", "%d requests are more than %d", l.Concurrency, maxConcurrency)
	}
	if t := time.Duration(l.Timeout); t < 0 || t > maxTimeout || t > 0 && t < time.Millisecond {
		c.refuse("limits.timeout", "%v is not from 1ms to %v, nor 0 for the default", t, maxTimeout)
	}
}

func (c *check) cors(o *api.CORS) {
	if o == nil {
		return
	}
	if len(o.Origins) == 0 {
		c.refuse("cors.origins", "there are none: name those that may, or leave out cors")
	}
	for _, origin := range o.Origins {
		if origin == anyOrigin {
			if o.Credentials {
				c.refuse("cors.credentials", "no browser sends them where the origin * may: name the origins")
			}
			continue
		}
		u, err := url.Parse(origin)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin || strings.ToLower(origin) != origin {
			c.refuse("cors.origins", "%.100q is no origin: write it as in https://shop.example.com, in lower case", origin)
		}
	}
	for field, names := range map[string][]string{"cors.headers": o.Headers, "cors.expose": o.Expose} {
		for _, name := range names {
			if !isToken(name) || name == "*" {
				c.refuse(field, "%.100q is no field of a header", name)
			}
		}
	}
	if age := time.Duration(o.MaxAge); age < 0 || age > maxCORSAge {
		c.refuse("cors.maxAge", "%v is not from 0 to %v", age, maxCORSAge)
	}
}

// component looks whether the route's component has what it is for.
func (c *check) component(ctx context.Context, i Invoker, r *api.Route) {
	if r.Function == "" {
		switch revision := i.Revision(r.Component); {
		case revision.Number == 0:
			c.refuse("component", "there is no component %q: deploy it first", r.Component)
		case !revision.HTTP:
			c.refuse("function", "revision %d of %s exports no wasi:http/incoming-handler, so say which function is to be invoked", revision.Number, r.Component)
		}
		return
	}
	s, err := i.Signature(ctx, r.Component, r.Function)
	var p *api.Problem
	switch {
	case errors.As(err, &p) && p.Code == api.CodeNoComponent:
		c.refuse("component", "%v", err)
	case err != nil:
		c.refuse("function", "%v", err)
	default:
		b := newBinding(r, s)
		c.errors = append(c.errors, b.refused(c.at)...)
	}
}

// pathWildcards are the names of a path's wildcards.
func pathWildcards(path string) (names []string, err error) {
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("%.100q does not begin with /", path)
	}
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		last := i == len(segments)-1
		name, open := strings.CutPrefix(s, "{")
		name, closed := strings.CutSuffix(name, "}")
		switch {
		case open && closed:
			name, rest := strings.CutSuffix(name, "...")
			if rest && !last {
				return nil, fmt.Errorf("{%s...} stands for the rest of a path, so it is the end", name)
			}
			if !isIdentifier(name) {
				return nil, fmt.Errorf("{%.100s}: a wildcard has a name of letters, digits and _, not beginning with a digit", name)
			}
			if slices.Contains(names, name) {
				return nil, fmt.Errorf("{%s} is there twice", name)
			}
			names = append(names, name)
		case strings.ContainsAny(s, "{}"):
			return nil, fmt.Errorf("%.100q: a wildcard stands for a whole element of a path, as in /carts/{cart}", s)
		case s == "" && !last, s == ".", s == "..":
			return nil, fmt.Errorf("%.100q has the element %q, which no request reaches", path, s)
		case !isPathText(s):
			return nil, fmt.Errorf("%.100q has a character that no path has as it is: write it without escapes, in ASCII", s)
		}
	}
	return names, nil
}

func isIdentifier(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || i > 0 && '0' <= c && c <= '9') {
			return false
		}
	}
	return s != ""
}

// isPathText reports whether s stands for itself in a path (RFC 3986, "pchar").
func isPathText(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~!$&'()*+,;=:@", c) >= 0) {
			return false
		}
	}
	return true
}
