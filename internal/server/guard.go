package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
)

// maxSecret is how many bytes of a secret are looked at.
const maxSecret = 512

// refuse says why a request is not even routed: it comes from a web page of
// somebody else, or its path would be redirected, which the interface never does.
func (s *Server) refuse(r *http.Request) *api.Problem {
	if !s.config.Auth && !s.knownHost(r.Host) {
		return api.NewProblem(api.CodeForbidden, fmt.Sprintf(
			"without tokens this server answers to localhost, IP addresses and the host names it was configured with, not to %.100q", r.Host))
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return api.NewProblem(api.CodeForbidden, fmt.Sprintf("web pages of other sites may not use this server: the request's origin is %.100q", origin))
		}
	}
	if s.cross.Check(r) != nil {
		return api.NewProblem(api.CodeForbidden, "web pages of other sites may not use this server")
	}
	if p := r.URL.EscapedPath(); p != "/" && path.Clean(p) != strings.TrimSuffix(p, "/") {
		return api.NewProblem(api.CodeNoRoute, `no path of the interface has empty elements, "." or ".."`)
	}
	return nil
}

// knownHost reports whether a Host header is one that no web page can have made
// point here.
func (s *Server) knownHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return strings.EqualFold(name, "localhost") || slices.ContainsFunc(s.config.Hosts, func(known string) bool {
		return strings.EqualFold(known, name) || strings.EqualFold(known, host)
	})
}

// admit says why a request may not reach its handler. It comes before anything
// of the body is read.
func (s *Server) admit(x *exchange, r *http.Request) *api.Problem {
	if p := s.authorize(x, r); p != nil {
		return p
	}
	if p := checkNames(r); p != nil {
		return p
	}
	return checkMedia(x.route, r)
}

// authorize finds the token of the request and looks what it allows.
func (s *Server) authorize(x *exchange, r *http.Request) *api.Problem {
	need := x.route.needs
	if !s.config.Auth || need.of == anybody {
		return nil
	}
	header := r.Header.Values("Authorization")
	if len(header) == 0 {
		return api.NewProblem(api.CodeUnauthorized, "this needs a token: send it as Authorization: Bearer TOKEN")
	}
	scheme, secret, _ := strings.Cut(header[0], " ")
	secret = strings.TrimSpace(secret)
	if len(header) > 1 || !strings.EqualFold(scheme, "Bearer") || secret == "" || len(secret) > maxSecret {
		return api.NewProblem(api.CodeUnauthorized, "the Authorization header has no token: send Authorization: Bearer TOKEN")
	}
	t, err := s.config.Platform.Authenticate(r.Context(), secret)
	if err != nil {
		return s.explain(r.Context(), x, err)
	}
	x.token = t
	if err := need.check(t, r.PathValue("component")); err != nil {
		return s.explain(r.Context(), x, err)
	}
	return nil
}

// checkNames refuses names that nothing can have.
func checkNames(r *http.Request) *api.Problem {
	for _, location := range [...]string{"component", "worker", "promise"} {
		if name := r.PathValue(location); name != "" {
			if err := id.CheckName(name); err != nil {
				return invalid("path."+location, "%v", err)
			}
		}
	}
	return nil
}

// checkMedia refuses bodies that are not what the operation takes. It is this
// that keeps a form on a web page, whose browser sends it without asking us, from
// invoking anything: a form cannot have these types. Where it may have any, the URL
// is a secret.
func checkMedia(o *route, r *http.Request) *api.Problem {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || o.any {
		return nil
	}
	given := r.Header.Get("Content-Type")
	if given == "" && r.ContentLength == 0 {
		return nil
	}
	want := orElse(o.body, mediaJSON)
	if given == want || want == mediaAny {
		return nil
	}
	media, parameters, err := mime.ParseMediaType(given)
	_, another := o.bodies[media]
	if charset := parameters["charset"]; err == nil && (media == want || another) && (charset == "" || strings.EqualFold(charset, "utf-8")) {
		return nil
	}
	for media := range o.bodies {
		want += " or " + media
	}
	return api.NewProblem(api.CodeMediaType, fmt.Sprintf("the body's Content-Type is %.100q: send %s", given, want))
}

// readBody reads the whole body of a request, unless it is over limit or takes
// longer than wait.
func readBody(x *exchange, r *http.Request, limit int64, wait time.Duration) ([]byte, *api.Problem) {
	if r.ContentLength == 0 {
		return nil, nil
	}
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	control := http.NewResponseController(x)
	// A deadline that passed later would end the request under way, so it is
	// taken back.
	_ = control.SetReadDeadline(time.Now().Add(wait))
	var content []byte
	var err error
	if n := r.ContentLength; n > 0 && n <= DefaultMaxBody {
		content = make([]byte, n)
		_, err = io.ReadFull(r.Body, content)
	} else { // it grows with what comes, not with what is announced
		var b bytes.Buffer
		_, err = b.ReadFrom(http.MaxBytesReader(x, r.Body, limit))
		content = b.Bytes()
	}
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge(limit)
	case err != nil:
		return nil, invalid("body", "it did not arrive whole within %v", wait)
	}
	_ = control.SetReadDeadline(time.Time{})
	return content, nil
}

func tooLarge(limit int64) *api.Problem {
	return api.NewProblem(api.CodeTooLarge, fmt.Sprintf("the body has more than the %d bytes that this takes", limit))
}
