package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/server"
)

// program answers requests by a function, in place of a worker's program.
type program struct {
	*node
	answer func(ctx context.Context, key string, r *http.Request) (*http.Response, error)
}

func (p *program) Exchange(ctx context.Context, _, _, key string, r *http.Request, _ time.Duration) (*http.Response, error) {
	return p.answer(ctx, key, r)
}

// programmed is a client of a server whose workers answer by a function.
func programmed(t *testing.T, change func(*server.Config), answer func(ctx context.Context, key string, r *http.Request) (*http.Response, error)) *client {
	t.Helper()
	return start(t, func(c *server.Config) {
		c.Platform = &program{c.Platform.(*node), answer}
		if change != nil {
			change(c)
		}
	})
}

// response has a body that comes piece by piece, and then err.
func response(status int, err error, pieces ...string) *http.Response {
	reader, writer := io.Pipe()
	go func() {
		for _, p := range pieces {
			_, _ = io.WriteString(writer, p)
		}
		writer.CloseWithError(err)
	}()
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: reader}
}

func TestProgramsSeeRequestsAsTheyWere(t *testing.T) {
	var got string
	c := programmed(t, nil, func(_ context.Context, key string, r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		got = fmt.Sprintf("%s %s?%s %q %q %q %v", r.Method, r.URL.EscapedPath(), r.URL.RawQuery, key, r.Header.Get("X-A"), body, err)
		return response(200, nil), nil
	})
	for want, do := range map[string]func() reply{
		`GET /a%2Fb/c%20d?x=%2F&y "" "" "" <nil>`: func() reply { return c.do("GET", alice+"/http/a%2Fb/c%20d?x=%2F&y", "") },
		`GET /? "" "" "" <nil>`:                   func() reply { return c.do("GET", alice+"/http/", "") },
		`POST /form? "k" "1" "a=b" <nil>`: func() reply {
			return c.do("POST", alice+"/http/form", "a=b", "Idempotency-Key: k", "X-A: 1", "Content-Type: application/x-www-form-urlencoded")
		},
		`HEAD /v1/workers/shop/alice/http/x? "" "" "" <nil>`: func() reply { return c.do("HEAD", alice+"/http/v1/workers/shop/alice/http/x", "") },
	} {
		if r := do(); r.StatusCode != 200 || got != want {
			t.Errorf("got %d, %s, want %s", r.StatusCode, got, want)
		}
	}
	for _, path := range []string{alice + "/http/a//b", alice + "/http/a/../b", alice + "/http"} {
		refused(t, c.do("GET", path, ""), api.CodeNoRoute)
	}
	refused(t, c.do("GET", alice+"/http/a", "", "Idempotency-Key: a b"), api.CodeInvalid)
	refused(t, c.do("GET", alice+"/http/a", "", "Sec-Fetch-Site: cross-site"), api.CodeForbidden)
}

func TestTheTokenIsNotTheProgramsBusiness(t *testing.T) {
	var got []string
	c := programmed(t, withTokens, func(_ context.Context, _ string, r *http.Request) (*http.Response, error) {
		got = r.Header["Authorization"]
		return response(200, nil), nil
	})
	if r := c.with("invoke").do("GET", alice+"/http/", ""); r.StatusCode != 200 || got != nil {
		t.Errorf("got %d, and the program %q", r.StatusCode, got)
	}
}

func TestResponsesAreThePrograms(t *testing.T) {
	c := programmed(t, nil, func(_ context.Context, _ string, r *http.Request) (*http.Response, error) {
		a := response(http.StatusTeapot, nil, "short and stout")
		a.Header = http.Header{
			"Cache-Control": {"max-age=60"}, "Set-Cookie": {"a=1", "b=2"}, "Connection": {"X-Hop"}, "X-Hop": {"1"}, "Keep-Alive": {"1"}, "Trailer": {"x"},
			"Content-Security-Policy": {"default-src 'none'"},
		}
		return a, nil
	})
	r := c.do("GET", alice+"/http/", "")
	want := map[string]string{
		"Cache-Control": "max-age=60", "Set-Cookie": "a=1|b=2", "X-Hop": "", "Keep-Alive": "", "Trailer": "", "Content-Type": "",
		"Content-Security-Policy": "default-src 'none'|sandbox", "X-Content-Type-Options": "",
	}
	for name, value := range want {
		if got := strings.Join(r.Header.Values(name), "|"); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	if r.StatusCode != http.StatusTeapot || string(r.body) != "short and stout" {
		t.Errorf("got %d %q", r.StatusCode, r.body)
	}
	if r := c.do("HEAD", alice+"/http/", ""); r.StatusCode != http.StatusTeapot || len(r.body) != 0 {
		t.Errorf("HEAD: got %d %q", r.StatusCode, r.body)
	}
}

func TestResponsesWithoutABodyHaveNone(t *testing.T) {
	for _, status := range []int{http.StatusNoContent, http.StatusNotModified} {
		c := programmed(t, nil, func(context.Context, string, *http.Request) (*http.Response, error) {
			return response(status, nil, "a body", " all the same"), nil
		})
		for range 3 { // on one connection, which the bytes would spoil
			if r := c.do("GET", alice+"/http/", ""); r.StatusCode != status || len(r.body) != 0 {
				t.Errorf("got %d %q", r.StatusCode, r.body)
			}
		}
	}
}

func TestAResponseThatIsNotWholeBreaksOff(t *testing.T) {
	broken := errors.New("the response broke off")
	for name, a := range map[string]func() *http.Response{
		"without a length": func() *http.Response { return response(200, broken, "some", " of it") },
		"too short": func() *http.Response {
			a := response(200, broken, "some")
			a.Header.Set("Content-Length", "10")
			return a
		},
		"too long": func() *http.Response {
			a := response(200, nil, "some", " of it")
			a.Header.Set("Content-Length", "4")
			return a
		},
	} {
		c := programmed(t, nil, func(context.Context, string, *http.Request) (*http.Response, error) { return a(), nil })
		r, err := http.Get(c.url + alice + "/http/")
		if err != nil {
			continue // before there was a head
		}
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if name == "too long" { // what is over never leaves
			if string(body) != "some" {
				t.Errorf("%s: got %q, %v", name, body, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s: got %q as if it were all", name, body)
		}
	}
}

func TestEventsComeAsTheyHappen(t *testing.T) {
	reader, writer := io.Pipe()
	c := programmed(t, nil, func(context.Context, string, *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: reader}, nil
	})
	r, err := http.Get(c.url + alice + "/http/") // returns with the head, before there is an event
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewReader(r.Body)
	for i := range 3 {
		want := fmt.Sprintf("data: %d\n", i)
		go func() { _, _ = io.WriteString(writer, want) }()
		if got, err := lines.ReadString('\n'); err != nil || got != want {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	writer.Close()
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("got %q, %v", rest, err)
	}
}

func TestWhatHappenedInsideIsNotTold(t *testing.T) {
	c := programmed(t, nil, func(context.Context, string, *http.Request) (*http.Response, error) {
		p := api.NewProblem(api.CodeInvocationFailed, "it has not answered")
		p.Invocation = &api.Invocation{Failure: &api.Failure{Reason: "secret", Stack: []string{"secret"}}}
		return nil, p
	})
	r := c.do("GET", alice+"/http/", "")
	refused(t, r, api.CodeInvocationFailed)
	if r.StatusCode != 500 || strings.Contains(string(r.body), "secret") {
		t.Errorf("got %d %s", r.StatusCode, r.body)
	}
}

// endless is a body without an end, that counts what was taken of it.
type endless struct {
	closed chan struct{}
	ready  bool
}

func (e *endless) Read(p []byte) (int, error) { return len(p), nil }
func (e *endless) Ready() bool                { return e.ready }

func (e *endless) Close() error {
	close(e.closed)
	return nil
}

func TestAClientThatTakesNothingIsCutOffFromAResponse(t *testing.T) {
	body := &endless{closed: make(chan struct{}), ready: true}
	c := programmed(t, nil, func(context.Context, string, *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: body}, nil
	})
	c.server.SetPace(time.Minute, 50*time.Millisecond)
	r, err := http.Get(c.url + alice + "/http/")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	select {
	case <-body.closed:
	case <-time.After(20 * time.Second):
		t.Error("it is still given more")
	}
}

func TestAClientThatSendsNothingIsCutOffFromItsRequest(t *testing.T) {
	ended := make(chan error, 1)
	c := programmed(t, nil, func(_ context.Context, _ string, r *http.Request) (*http.Response, error) {
		_, err := io.ReadAll(r.Body)
		ended <- err
		return nil, api.NewProblem(api.CodeInvalid, "the body of the request did not arrive whole")
	})
	c.server.SetBodyWait(50 * time.Millisecond)
	body, stop := io.Pipe()
	defer stop.Close()
	go func() {
		_, _ = io.WriteString(stop, "some of it")
	}()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, c.url+alice+"/http/", body)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := http.DefaultClient.Do(r); err == nil { // or the connection is gone before
		if a.StatusCode != http.StatusBadRequest {
			t.Errorf("got %d", a.StatusCode)
		}
		_ = a.Body.Close()
	}
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the program's side got %v", err)
	}
}

func TestRequestsThatSayTwoThingsAreRefused(t *testing.T) {
	asked := 0
	c := programmed(t, nil, func(_ context.Context, _ string, r *http.Request) (*http.Response, error) {
		asked++
		_, err := io.ReadAll(r.Body)
		return response(200, nil), err
	})
	host := strings.TrimPrefix(c.url, "http://")
	for _, lines := range []string{
		"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
		"Transfer-Encoding: chunked, identity\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"Transfer-Encoding: xchunked\r\n\r\n",
		"Content-Length: +3\r\n\r\nabc",
		"X-A: b\x00c\r\n\r\n",
		"X-A : b\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "PUT %s/http/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s", alice, host, lines)
		status, err := bufio.NewReader(conn).ReadString('\n')
		if !strings.HasPrefix(status, "HTTP/1.1 4") && !strings.HasPrefix(status, "HTTP/1.1 501") {
			t.Errorf("%.60q: got %q, %v", lines, status, err)
		}
		_ = conn.Close()
	}
	if asked > 0 {
		t.Errorf("the program got %d of them", asked)
	}
}
