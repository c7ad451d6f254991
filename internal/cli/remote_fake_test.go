package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

// remoteServer is a server in memory that speaks the REST interface as far as
// the command line needs it: a library "shop", a command "report", and one
// worker of each. It keeps what it was asked.
type remoteServer struct {
	http.ServeMux
	url   string
	mu    sync.Mutex
	asked []string // METHOD URL, of what changes something or has a query
	body  string   // of the newest request that has one
	auth  string   // Authorization of the newest request

	invoke   func(function, args string, query map[string][]string) (api.Invocation, *api.Problem)
	result   api.Invocation
	logs     []api.LogChunk
	expired  string // what the logs do not have any more
	settings api.Settings
}

var (
	libraryRevision = api.Revision{
		Component: "shop", Number: 2, Hash: strings.Repeat("ab", 32), Size: 2048, Kind: api.Library, Created: longAgo,
		Exports: []api.Function{
			{Name: "add", Params: []string{"i32", "i64"}, Results: []string{"i64"}},
			{Name: "half", Params: []string{"f64"}, Results: []string{"f64"}},
			{Name: "nothing", Params: []string{}, Results: []string{}},
		},
		Imports: []string{"wasi_snapshot_preview1.fd_write", "env.f", "wasi_snapshot_preview1.proc_exit"},
	}
	commandRevision = api.Revision{
		Component: "report", Number: 1, Kind: api.Command, Created: longAgo,
		Exports: []api.Function{{Name: "run", Params: []string{"string..."}, Results: []string{"i32"}}},
	}
	longAgo = time.Now().Add(-48 * time.Hour)
)

func newRemoteServer(t *testing.T) *remoteServer {
	t.Helper()
	s := &remoteServer{}
	s.components()
	s.workers()
	s.rest()
	h := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(h.Close)
	s.url = h.URL
	return s
}

func (s *remoteServer) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.mu.Lock()
	s.auth = r.Header.Get("Authorization")
	if r.Method != http.MethodGet || r.URL.RawQuery != "" {
		s.asked = append(s.asked, r.Method+" "+r.URL.String())
	}
	if len(body) > 0 {
		s.body = string(body)
	}
	s.mu.Unlock()
	s.ServeMux.ServeHTTP(w, r)
}

// lastAsked is the newest request that changes something or has a query.
func (s *remoteServer) lastAsked() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) == 0 {
		return ""
	}
	return s.asked[len(s.asked)-1]
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	if p, ok := v.(*api.Problem); ok {
		w.Header().Set("Content-Type", "application/problem+json")
		status = p.Status
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (s *remoteServer) components() {
	latest := map[string]api.Revision{"shop": libraryRevision, "report": commandRevision}
	component := func(name string) any {
		r, ok := latest[name]
		if !ok {
			return api.NewProblem(api.CodeNoComponent, fmt.Sprintf("no component %q: deploy it first", name))
		}
		return api.Component{Name: name, Latest: r, Created: longAgo, Settings: s.settings, Shared: &api.Shared{Bytes: 3 << 20, Limit: 10 << 30}}
	}
	s.HandleFunc("GET /v1/components", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, map[string]any{"items": []any{component("report"), component("shop")}})
	})
	s.HandleFunc("GET /v1/components/{c}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, 200, component(r.PathValue("c")))
	})
	s.HandleFunc("PUT /v1/components/{c}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "event: progress\ndata: {\"stage\":\"compiling\",\"done\":0.5}\n\n")
		var last any = api.NewProblem(api.CodeBadProgram, "it imports env.f, which is not there")
		name := "problem"
		if c := r.PathValue("c"); c != "bad" {
			d := api.Deployed{Revision: libraryRevision, New: c != "same"}
			d.Component = c
			last, name = d, "deployed"
		}
		b, _ := json.Marshal(last)
		fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, b)
	})
	s.HandleFunc("DELETE /v1/components/{c}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("c") == "shop" {
			reply(w, 0, api.NewProblem(api.CodeComponentInUse, "it has workers"))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	s.HandleFunc("GET /v1/components/{c}/revisions", func(w http.ResponseWriter, _ *http.Request) {
		older := libraryRevision
		older.Number, older.Exports = 1, []api.Function{{Name: "old", Params: []string{}, Results: []string{}}}
		reply(w, 200, api.Page[api.Revision]{Items: []api.Revision{libraryRevision, older}})
	})
	s.HandleFunc("PUT /v1/components/{c}/settings", func(w http.ResponseWriter, r *http.Request) {
		s.settings = api.Settings{}
		if err := json.NewDecoder(r.Body).Decode(&s.settings); err != nil {
			panic(err)
		}
		reply(w, 200, component(r.PathValue("c")))
	})
}

func (s *remoteServer) workers() {
	alice := api.WorkerDetail{
		Worker: api.Worker{
			Component: "shop", Name: "alice", Revision: 2, Status: api.Running, Reason: "in \x1b[31madd", Created: longAgo,
			Changed: longAgo, Args: []string{"-v", "a b"}, Env: []string{"TIER=gold"}, Queue: 1, Entries: 12345,
		},
		Settings: api.Settings{Retention: api.Retention{Oplog: api.KeepInvocations(1000), Results: api.KeepFor(720 * time.Hour), Logs: api.KeepEverything()}},
		First:    12001, Archived: &api.Archived{Results: 3000, Output: 1, Bytes: 2048},
		Bytes: 4096, Mode: "replay", Image: &api.Image{Index: 12001, Covers: 12000, Size: 2048, Taken: longAgo},
		Saved:   &api.Saved{Index: 12100, Deltas: 3, Bytes: 4096, LastPages: 17, LastBytes: 1400, Behind: 345, ReplayCost: api.Duration(1234567)},
		Pending: []api.Invocation{{Key: "i-7", Function: "add", State: api.StateQueued, Failure: &api.Failure{Reason: "trap"}}},
	}
	s.HandleFunc("GET /v1/workers/{c}/{w}", func(w http.ResponseWriter, r *http.Request) {
		found := alice
		found.Component, found.Name = r.PathValue("c"), r.PathValue("w")
		if found.Component == "report" {
			found.Revision = commandRevision.Number
		}
		switch found.Name {
		case "new":
			reply(w, 0, api.NewProblem(api.CodeNoWorker, "no worker shop/new"))
			return
		case "old":
			found.Revision = 1
		}
		reply(w, 200, found)
	})
	s.HandleFunc("PUT /v1/workers/{c}/{w}", func(w http.ResponseWriter, _ *http.Request) { reply(w, 201, alice) })
	s.HandleFunc("GET /v1/workers", func(w http.ResponseWriter, r *http.Request) {
		page := api.Page[api.Worker]{Items: []api.Worker{alice.Worker}, Next: "2"}
		if r.URL.Query().Get("cursor") == "2" {
			page = api.Page[api.Worker]{Items: []api.Worker{{Component: "shop", Name: "bob", Status: api.Idle}}}
		}
		reply(w, 200, page)
	})
	s.HandleFunc("POST /v1/workers/{c}/{w}/invoke/{f}", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		i, p := s.invoke(r.PathValue("f"), string(body), r.URL.Query())
		if key := r.Header.Get("Idempotency-Key"); key != "" {
			i.Key = key
		}
		i.Worker, i.Function, i.Args = r.PathValue("c")+"/"+r.PathValue("w"), r.PathValue("f"), body
		if p != nil {
			p.Invocation = &i
			reply(w, 0, p)
			return
		}
		reply(w, 200, i)
	})
	invocation := func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, s.result) }
	s.HandleFunc("GET /v1/workers/{c}/{w}/invocations/{key}", invocation)
	s.HandleFunc("DELETE /v1/workers/{c}/{w}/invocations/{key}", invocation)
	stream := func(name string, items func() []any) {
		s.HandleFunc("GET /v1/workers/{c}/{w}/"+name, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i, item := range items() {
				event := map[string]string{"logs": "log", "oplog": "entry"}[name]
				if _, ok := item.(*api.Problem); ok {
					event = "problem"
				}
				b, _ := json.Marshal(item)
				fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", i+1, event, b)
			}
		})
	}
	stream("logs", func() []any {
		var all []any
		if s.expired != "" {
			all = append(all, api.NewProblem(api.CodeExpired, s.expired))
		}
		for _, c := range s.logs {
			all = append(all, c)
		}
		return all
	})
	stream("oplog", func() []any {
		return []any{
			api.Entry{Index: 1, At: longAgo, Kind: "WorkerCreated", Text: "shop/alice", Body: json.RawMessage(`{"a":1}`)},
			api.NewProblem(api.CodeDamaged, "entry 2 of shop/alice is damaged"),
			api.Entry{Index: 3, At: longAgo, Kind: "Log", Text: "say \x1b[2J", Body: json.RawMessage(`{}`)},
		}
	})
}

func (s *remoteServer) rest() {
	s.HandleFunc("GET /v1/workers/{c}/{w}/files", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, api.Page[api.File]{Items: []api.File{
			{Path: "/data", Kind: "directory", Modified: longAgo}, {Path: "/data/\x1bout", Kind: "file", Size: 3, Modified: longAgo},
		}})
	})
	s.HandleFunc("GET /v1/workers/{c}/{w}/files/{path...}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("path") != "data/out" {
			reply(w, 0, api.NewProblem(api.CodeNoFile, "no file /"+r.PathValue("path")))
			return
		}
		_, _ = io.WriteString(w, "a\x00b")
	})
	s.HandleFunc("GET /v1/workers/{c}/{w}/export", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "archive")
		if r.PathValue("w") == "broken" {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	act := func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("w") == "bad" {
			reply(w, 0, api.NewProblem(api.CodeWorkerBusy, "it is busy"))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
	s.HandleFunc("POST /v1/workers/{c}/{w}/fork", func(w http.ResponseWriter, r *http.Request) {
		reply(w, 201, api.WorkerDetail{Worker: api.Worker{Component: r.PathValue("c"), Name: "twin"}})
	})
	s.HandleFunc("POST /v1/workers/{c}/{w}/interrupt", act)
	s.HandleFunc("POST /v1/workers/{c}/{w}/resume", act)
	s.HandleFunc("POST /v1/workers/{c}/{w}/retry", act)
	s.HandleFunc("DELETE /v1/workers/{c}/{w}", act)
	s.HandleFunc("DELETE /v1/tokens/{name}", act)
	s.HandleFunc("GET /v1/tokens", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			reply(w, 0, api.NewProblem(api.CodeUnauthorized, "this needs a token"))
			return
		}
		reply(w, 200, api.Page[api.Token]{Items: []api.Token{{Name: "ci", Scopes: []api.Scope{"invoke:shop", "read"}, Created: longAgo}}})
	})
	s.HandleFunc("POST /v1/tokens", func(w http.ResponseWriter, r *http.Request) {
		var t api.NewToken
		if err := json.NewDecoder(r.Body).Decode(&t); err != nil {
			panic(err)
		}
		if t.Name == "bad" {
			p := api.NewProblem(api.CodeInvalid, "the token makes no sense")
			p.Errors = []api.FieldError{{Location: "body.scopes[0]", Message: "no such scope"}}
			reply(w, 0, p)
			return
		}
		reply(w, 201, api.CreatedToken{Token: api.Token{Name: t.Name, Scopes: t.Scopes, Expires: t.Expires}, Secret: "wb_secret"})
	})
}

// typed is what became of a command line.
type typed struct {
	code      int
	out, errs string
}

// typeTo runs a command line against a server.
func (s *remoteServer) typeTo(words ...string) typed {
	return typeWith([]string{serverVariable + "=" + s.url}, words...)
}

func typeWith(env []string, words ...string) typed {
	var out, errs bytes.Buffer
	code := Main(append([]string{"waterbear"}, words...), strings.NewReader(""), &out, &errs, env)
	return typed{code, out.String(), errs.String()}
}

// want compares what came of a command line: the exit code, and what standard
// output and standard error have. An empty text is wanted empty.
func (got typed) want(t *testing.T, code int, out, errs string) {
	t.Helper()
	has := func(text, want string) bool {
		return want == "" && text == "" || want != "" && strings.Contains(text, want)
	}
	if got.code != code || !has(got.out, out) || !has(got.errs, errs) {
		t.Errorf("got exit code %d\nstdout %q\nstderr %q\nwant %d, %q, %q", got.code, got.out, got.errs, code, out, errs)
	}
}
