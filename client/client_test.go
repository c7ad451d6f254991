package client

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
)

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{URL: "localhost:4004"}, "write one such as"},
		{Config{URL: "ftp://h"}, "write one such as"},
		{Config{URL: "http://h:port"}, "write one such as"},
		{Config{URL: "127.0.0.1:4004"}, `URL "127.0.0.1:4004": it is none; write one such as`},
		{Config{URL: "http://me:secret@h:port"}, `URL "h:port": it is none; write one such as`},
		{Config{URL: "http://me:secret@h"}, "leave out user"},
		{Config{URL: "http://h?x=y"}, "leave out user"},
		{Config{Token: "a\nb"}, "token"},
		{Config{CACert: []byte("none")}, "no certificate in PEM"},
		{Config{CACert: []byte("none"), HTTP: http.DefaultClient}, "RootCAs"},
	} {
		_, err := New(c.config)
		wantText(t, err, c.want)
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error has the password: %v", err)
		}
	}
}

func TestAServerThatIsNotThereIsAnErrorThatSaysWhatToDo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{URL: "http://" + l.Addr().String() + "/"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Components(t.Context())
	wantText(t, err, "connection refused at http://"+l.Addr().String()+": is `waterbear server` running?")
}

func TestTransportLayerSecurityIsCheckedAndExplained(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			answerProblem(w, api.NewProblem(api.CodeUnauthorized, "no token"))
			return
		}
		answer(w, http.StatusOK, api.Page[api.Component]{Items: []api.Component{{Name: "shop"}}})
	})
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = quiet
	s.StartTLS()
	defer s.Close()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})

	trusting, err := New(Config{URL: s.URL, Token: "secret", CACert: authority})
	if err != nil {
		t.Fatal(err)
	}
	defer trusting.Close()
	if got, err := trusting.Components(t.Context()); err != nil || len(got) != 1 || got[0].Name != "shop" {
		t.Errorf("got %v, %v", got, err)
	}
	careful, err := New(Config{URL: s.URL, Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer careful.Close()
	// Invoke goes on through what passes; distrust does not.
	_, err = careful.Invoke(t.Context(), "shop", "alice", call("[1]"))
	wantText(t, err, "trust "+s.URL, "certificate of its authority")

	plain := httptest.NewServer(h)
	defer plain.Close()
	wrong, err := New(Config{URL: strings.Replace(plain.URL, "http:", "https:", 1)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = wrong.Invoke(t.Context(), "shop", "alice", call("[1]"))
	wantText(t, err, "try http://")
}

func TestAnswersThatMakeNoSenseAreErrors(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"a page": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>hello</html>") },
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", typeJSON)
			_, _ = io.WriteString(w, `{"items": [`)
		},
		"other JSON": func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, map[string]int{"items": 7}) },
		"other problem": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, http.StatusInternalServerError, map[string]int{"status": 1})
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"the same page for ever": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, http.StatusOK, api.Page[api.Component]{Next: "x"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, h)
			_, err := c.Components(t.Context())
			wantText(t, err, c.URL()+" answered")
			if _, err := c.Invoke(t.Context(), "shop", "alice", call("[1]")); err == nil {
				t.Error("an invocation came of it")
			}
			for _, err := range c.Workers(t.Context(), api.WorkerFilter{}) {
				if err == nil {
					t.Error("a worker came of it")
				}
			}
			for _, err := range c.Logs(t.Context(), "shop", "alice", api.Range{}) {
				if err == nil {
					t.Error("a chunk came of it")
				}
			}
			if _, err := c.Deploy(t.Context(), "shop", []byte("x"), nil); err == nil && name != "the same page for ever" {
				t.Error("a revision came of it")
			}
		})
	}
}

func TestHugeAnswersAreRefused(t *testing.T) {
	endless := func(media, before string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", media)
			_, _ = io.WriteString(w, before)
			junk := bytes.Repeat([]byte("x"), 1<<20)
			for r.Context().Err() == nil {
				if _, err := w.Write(junk); err != nil {
					return
				}
			}
		})
	}
	c := within(t, http.NotFoundHandler())
	c.http.Transport = limitless{}
	_, err := c.Components(t.Context())
	wantText(t, err, "larger than 64 MiB")
	_, err = c.Invoke(t.Context(), "shop", "alice", call("[1]"))
	wantText(t, err, "larger than 64 MiB")

	c = serve(t, endless(typeEvents, "event: log\ndata: "))
	n := 0
	for _, err := range c.Logs(t.Context(), "shop", "alice", api.Range{Follow: true}) {
		wantText(t, err, "larger than 32 MiB")
		n++
	}
	if n != 1 {
		t.Errorf("%d errors, want 1", n)
	}
	_, err = c.Deploy(t.Context(), "shop", []byte("x"), nil)
	wantText(t, err, "larger than 32 MiB")
}

// limitless answers JSON without an end.
type limitless struct{}

func (limitless) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Request: r,
		Header: http.Header{"Content-Type": {typeJSON}}, Body: io.NopCloser(zeros{}),
	}, nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestNamesCannotMakeAnotherPath(t *testing.T) {
	var paths []string
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.Method+" "+r.URL.EscapedPath())
		w.WriteHeader(http.StatusNoContent)
	}))
	for _, name := range []string{"", ".", ".."} {
		wantProblem(t, c.DeleteComponent(t.Context(), name), api.CodeInvalid)
		wantProblem(t, c.DeleteWorker(t.Context(), "shop", name), api.CodeInvalid)
	}
	if err := c.DeleteWorker(t.Context(), "a/b", "../c?d#e"); err != nil {
		t.Fatal(err)
	}
	want := "DELETE /v1/workers/a%2Fb/..%2Fc%3Fd%23e"
	if len(paths) != 1 || paths[0] != want {
		t.Errorf("asked %q, want %q", paths, want)
	}
}

func TestDeployingTellsProgressAndTheEnd(t *testing.T) {
	var body []byte
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Content-Type", typeEvents+"; charset=utf-8")
		fmt.Fprint(w, ": hello\n\n")
		sendEvent(w, "progress", "", api.Progress{Stage: "compiling", Done: 0.5})
		sendEvent(w, "else", "", 1)
		if string(body) == "bad" {
			sendEvent(w, eventProblem, "", api.NewProblem(api.CodeBadProgram, "it imports env.f"))
			return
		}
		if string(body) == "crash" {
			panic(http.ErrAbortHandler)
		}
		sendEvent(w, "deployed", "", api.Deployed{New: true, Revision: api.Revision{Component: "shop", Number: 3}})
	}))
	var seen []api.Progress
	got, err := c.Deploy(t.Context(), "shop", []byte("module"), func(p api.Progress) { seen = append(seen, p) })
	if err != nil || got.Number != 3 || !got.New || len(seen) != 1 || seen[0].Done != 0.5 || string(body) != "module" {
		t.Errorf("got %+v, %v, progress %v", got, err, seen)
	}
	_, err = c.Deploy(t.Context(), "shop", []byte("bad"), nil)
	wantText(t, wantProblem(t, err, api.CodeBadProgram), "it imports env.f")
	_, err = c.Deploy(t.Context(), "shop", []byte("crash"), nil)
	wantText(t, err, "connection", "lost")
}

func TestDeployingTakesAPlainAnswerToo(t *testing.T) {
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut || r.Header.Get("Content-Type") != typeWasm || r.URL.Path != "/v1/components/shop" {
			t.Errorf("asked %s %s as %s", r.Method, r.URL, r.Header.Get("Content-Type"))
		}
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w, http.StatusCreated, api.Deployed{Revision: api.Revision{Number: 1}})
	}))
	if got, err := c.Deploy(t.Context(), "shop", []byte("module"), nil); err != nil || got.Number != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestTheRestIsSentAsTheContractHasIt(t *testing.T) {
	var asked, body string
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		asked, body = r.Method+" "+r.URL.String(), string(b)
		switch {
		case r.Method == http.MethodDelete, strings.HasPrefix(r.URL.Path, "/v1/workers/shop/alice/re"), strings.HasSuffix(r.URL.Path, "/interrupt"):
			w.WriteHeader(http.StatusNoContent)
		case strings.HasSuffix(r.URL.Path, "/wit"):
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		case r.URL.Path == "/v1/openapi":
			w.Header().Set("Content-Type", "application/openapi+json")
			_, _ = io.WriteString(w, "{}")
		default:
			answer(w, http.StatusOK, struct{}{})
		}
	}))
	ctx := t.Context()
	for want, ask := range map[string]func() error{
		"GET /readyz":                                   func() error { return c.Ready(ctx) },
		"GET /v1/components":                            func() error { return second(c.Components(ctx)) },
		"GET /v1/components/shop":                       func() error { return second(c.Component(ctx, "shop")) },
		"GET /v1/components/shop/revisions":             func() error { return second(c.Revisions(ctx, "shop")) },
		"GET /v1/components/shop/revisions/2/wit":       func() error { return second(c.WIT(ctx, "shop", 2)) },
		"DELETE /v1/components/shop":                    func() error { return c.DeleteComponent(ctx, "shop") },
		"PUT /v1/components/shop/settings":              func() error { return second(c.Configure(ctx, "shop", api.Settings{})) },
		"PUT /v1/workers/shop/alice":                    func() error { return second(c.CreateWorker(ctx, "shop", "alice", api.NewWorker{})) },
		"GET /v1/workers/shop/alice":                    func() error { return second(c.Worker(ctx, "shop", "alice")) },
		"DELETE /v1/workers/shop/alice":                 func() error { return c.DeleteWorker(ctx, "shop", "alice") },
		"POST /v1/workers/shop/alice/fork":              func() error { return second(c.Fork(ctx, "shop", "alice", "bob")) },
		"POST /v1/workers/shop/alice/interrupt":         func() error { return c.Interrupt(ctx, "shop", "alice", "lunch") },
		"POST /v1/workers/shop/alice/resume":            func() error { return c.Resume(ctx, "shop", "alice") },
		"POST /v1/workers/shop/alice/retry":             func() error { return c.Retry(ctx, "shop", "alice") },
		"GET /v1/workers/shop/alice/files":              func() error { return second(c.Files(ctx, "shop", "alice")) },
		"GET /v1/workers/shop/alice/files/data/a%20b/c": func() error { return readClose(c.File(ctx, "shop", "alice", "/data/../data/a b/c")) },
		"GET /v1/workers/shop/alice/export":             func() error { return c.Export(ctx, "shop", "alice", io.Discard) },
		"GET /v1/workers/shop/alice/promises":           func() error { return second(c.Promises(ctx, "shop", "alice")) },
		"GET /v1/workers/shop/alice/promises/p":         func() error { return second(c.Promise(ctx, "shop", "alice", "p")) },
		"POST /v1/workers/shop/alice/promises/p/complete": func() error {
			return second(c.SettlePromise(ctx, "shop", "alice", "p", api.Settlement{Value: []byte("yes")}))
		},
		"POST /v1/workers/shop/alice/promises/p/fail": func() error {
			return second(c.SettlePromise(ctx, "shop", "alice", "p", api.Settlement{Failed: true, Value: []byte("no")}))
		},
		"GET /v1/components/shop/buckets?limit=1000":                        func() error { return second(c.Buckets(ctx, "shop")) },
		"GET /v1/components/shop/buckets/keys?bucket=a%2Fb&limit=1000":      func() error { return second(c.Keys(ctx, "shop", "a/b")) },
		"GET /v1/components/shop/buckets/keys?limit=1000":                   func() error { return second(c.Keys(ctx, "shop", "")) },
		"GET /v1/components/shop/buckets/value?bucket=b&key=%26k":           func() error { return second(c.Value(ctx, "shop", "b", "&k")) },
		"DELETE /v1/components/shop/buckets/value?key=k":                    func() error { return c.DeleteValue(ctx, "shop", "", "k") },
		"GET /v1/components/shop/containers?limit=1000":                     func() error { return second(c.Containers(ctx, "shop")) },
		"DELETE /v1/components/shop/containers?container=..":                func() error { return c.DeleteContainer(ctx, "shop", "..") },
		"GET /v1/components/shop/containers/objects?container=c&limit=1000": func() error { return second(c.Objects(ctx, "shop", "c")) },
		"GET /v1/components/shop/containers/object?container=c&name=a%2Fb":  func() error { return readClose(c.Object(ctx, "shop", "c", "a/b")) },
		"DELETE /v1/components/shop/containers/object?container=c&name=o":   func() error { return c.DeleteObject(ctx, "shop", "c", "o") },
		"GET /v1/tokens":             func() error { return second(c.Tokens(ctx)) },
		"POST /v1/tokens":            func() error { return second(c.CreateToken(ctx, api.NewToken{Name: "ci"})) },
		"DELETE /v1/tokens/ci":       func() error { return c.DeleteToken(ctx, "ci") },
		"GET /v1/routes":             func() error { return second(c.Routes(ctx)) },
		"GET /v1/routes/r":           func() error { return second(c.Route(ctx, "r")) },
		"PUT /v1/routes/r":           func() error { return second(c.SetRoute(ctx, api.Route{Name: "r"})) },
		"DELETE /v1/routes/r":        func() error { return c.DeleteRoute(ctx, "r") },
		"PUT /v1/routes":             func() error { return second(c.ApplyRoutes(ctx, api.Routes{}, false)) },
		"PUT /v1/routes?dryRun=true": func() error { return second(c.ApplyRoutes(ctx, api.Routes{}, true)) },
		"GET /v1/openapi":            func() error { return second(c.RoutesOpenAPI(ctx, "")) },
		"GET /v1/openapi?host=h":     func() error { return second(c.RoutesOpenAPI(ctx, "h")) },
	} {
		if err := ask(); err != nil || asked != want {
			t.Errorf("asked %q, want %q: %v", asked, want, err)
		}
		if strings.HasSuffix(want, "/complete") && body != "yes" || strings.HasSuffix(want, "/fail") && body != `{"message":"no"}` {
			t.Errorf("%s: sent %q", want, body)
		}
		if strings.HasSuffix(want, "/interrupt") {
			var got map[string]string
			if err := json.Unmarshal([]byte(body), &got); err != nil || got["reason"] != "lunch" {
				t.Errorf("sent %q: %v", body, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

func readClose(r io.ReadCloser, err error) error {
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}

func TestAFileThatIsCutOffIsAnError(t *testing.T) {
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	wantText(t, readClose(c.File(t.Context(), "shop", "alice", "/f")), "connection")
	wantText(t, c.Export(t.Context(), "shop", "alice", io.Discard), "export shop/alice", "connection")
}
