package server

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/relay"
)

// answerMethods are the methods of requests that workers answer here. HEAD comes
// with GET.
var answerMethods = []string{
	http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// workerRequest documents what the operations take by which a worker answers
// requests; answer reads it.
type workerRequest struct {
	OfWorker
	Path string `path:"path" doc:"What the program sees as the path, with the query behind it"`
	Key  string `header:"Idempotency-Key" minLength:"1" maxLength:"256" pattern:"^[!-~]+$" doc:"The same key is the same request and gets the same response, from its beginning. Without one, each request is another invocation."`
}

func (s *Server) addAnswers() {
	for _, method := range answerMethods {
		addRaw[workerRequest, struct{}](s, answerOperation(method), s.answer)
	}
}

func answerOperation(method string) string { return "answer-" + strings.ToLower(method) }

// answer lets a worker answer a request, and gives the response on as it comes.
func (s *Server) answer(x *exchange, r *http.Request) error {
	if !s.config.Auth && r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		return api.NewProblem(api.CodeForbidden, "web pages of other sites may not use this server")
	}
	keys := r.Header["Idempotency-Key"]
	key := ""
	switch {
	case len(keys) > 1:
		return invalid("header.Idempotency-Key", "there are %d of them: send one", len(keys))
	case len(keys) == 1:
		if key = keys[0]; checkKey("header.Idempotency-Key", key) != nil {
			return checkKey("header.Idempotency-Key", key)
		}
	}
	ctx, cancel := s.untilStopping(r.Context())
	defer cancel(nil)
	q := r.WithContext(ctx)
	q.Header = r.Header.Clone()
	if s.config.Auth {
		q.Header.Del("Authorization") // it is ours
	}
	q.URL = below(r)
	q.Body = relay.SlowBody(x, r, s.bodyWait, uploadWait)
	response, err := s.config.Platform.Exchange(ctx, r.PathValue("component"), r.PathValue("worker"), key, q, s.config.Timeout)
	if err != nil {
		p := *s.explain(ctx, x, err)
		p.Invocation = nil // it is for those who may look at the worker
		return &p
	}
	h := x.Header()
	h.Del("Cache-Control")
	h.Del("X-Content-Type-Options")
	// What the program sends is not ours: as a page it must not act for us.
	response.Header.Add("Content-Security-Policy", "sandbox")
	if err := relay.Respond(x, r, response, s.writeWait); err != nil {
		x.cutOff(err)
	}
	return nil
}

// below is the URL of a request as the program sees it: without what led here,
// and escaped as it came.
func below(r *http.Request) *url.URL {
	u := *r.URL
	rest := func(path string) string {
		if i := nthSlash(path, slashesToProgram); i >= 0 {
			return path[i:]
		}
		return "/"
	}
	u.Path = rest(u.Path)
	if u.RawPath != "" {
		u.RawPath = rest(u.RawPath)
	}
	return &u
}

// slashesToProgram is how many slashes come before the path that the program
// sees: in /v1/workers/COMPONENT/WORKER/http. Names have none, escaped or not.
const slashesToProgram = 5

// nthSlash is where the slash behind n others is, or -1.
func nthSlash(path string, n int) int {
	for i := range len(path) {
		if path[i] == '/' {
			if n == 0 {
				return i
			}
			n--
		}
	}
	return -1
}
