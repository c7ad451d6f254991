package server_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/server"
)

func TestRequestsUnderWayAreBounded(t *testing.T) {
	const most = 3
	c := start(t, func(c *server.Config) { c.MaxRequests = most })
	var waiting sync.WaitGroup
	for i := range most {
		waiting.Go(func() { c.do("POST", alice+"/invoke/forever", "", "Idempotency-Key: k"+string(rune('0'+i))) })
	}
	if err := c.node.await(t.Context(), func() bool { return len(c.node.workers["shop/alice"].invocations) == most }); err != nil {
		t.Fatal(err)
	}
	r := c.do("GET", alice, "")
	p := refused(t, r, api.CodeOverloaded)
	if r.Header.Get("Retry-After") == "" || p.RetryAfter == 0 {
		t.Error("there is no time after which to try again")
	}
	for _, probe := range []string{"/healthz", "/readyz"} {
		if r := c.do("GET", probe, ""); r.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d under load", probe, r.StatusCode)
		}
	}
	for i := range most {
		if _, err := c.node.Cancel(t.Context(), "shop", "alice", "k"+string(rune('0'+i))); err != nil {
			t.Fatal(err)
		}
	}
	waiting.Wait()
	for range most + 1 {
		c.ended() // so that they are under way no more
	}
	wants[api.WorkerDetail](t, c.do("GET", alice, ""), http.StatusOK)
}

func TestBodiesAreBounded(t *testing.T) {
	c := start(t, func(c *server.Config) { c.MaxBody, c.MaxModule = 100, 1000 })
	fits, over := "["+strings.Repeat(" ", 97)+"1]", "["+strings.Repeat(" ", 98)+"1]"
	r := c.do("POST", alice+"/invoke/add", fits[:len(fits)-1]) // 99 bytes, cut
	refused(t, r, api.CodeInvalid)
	wants[api.Invocation](t, c.do("POST", alice+"/invoke/add", fits), http.StatusOK)
	refused(t, c.do("POST", alice+"/invoke/add", over), api.CodeTooLarge)
	wants[api.Deployed](t, c.do("PUT", shop, module+strings.Repeat("x", 1000-len(module)), "Content-Type: application/wasm"), http.StatusCreated)
	refused(t, c.do("PUT", shop, module+strings.Repeat("x", 1001-len(module)), "Content-Type: application/wasm"), api.CodeTooLarge)

	// A body that does not say how long it is.
	for _, path := range []string{alice + "/invoke/add", shop + "/settings", shop} {
		method, media := http.MethodPut, "application/json"
		if strings.HasPrefix(path, alice) {
			method = http.MethodPost
		}
		if path == shop {
			media = "application/wasm"
		}
		q, err := http.NewRequestWithContext(t.Context(), method, c.url+path, io.LimitReader(spaces{}, 10_000))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Content-Type", media)
		resp, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		refused(t, reply{resp, b}, api.CodeTooLarge)
	}
}

func TestAWorkerIsCreatedWithFilesThatNoOtherBodyMayHave(t *testing.T) {
	c := start(t, func(c *server.Config) { c.MaxBody = 1000 })
	content := strings.Repeat("QUJD", 4_000_000)
	created := wants[api.WorkerDetail](t, c.do("PUT", "/v1/workers/shop/full", `{"files":{"/big":"`+content+`"}}`), http.StatusCreated)
	if created.Name != "full" {
		t.Errorf("got %+v", created)
	}
	c.ended() // until then it counts among those below

	// As many as there may be do not end their bodies; those that are short are
	// created nevertheless.
	ctx, end := context.WithCancel(t.Context())
	defer end()
	hang := func() (status int) {
		body, w := io.Pipe()
		defer body.Close()
		r, err := http.NewRequestWithContext(ctx, http.MethodPut, c.url+"/v1/workers/shop/slow", body)
		if err != nil {
			t.Error(err)
			return 0
		}
		r.Header.Set("Content-Type", "application/json")
		go func() { _, _ = io.WriteString(w, strings.Repeat(" ", 2000)) }()
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for range server.MaxFilled {
		go func() {
			for hang() == http.StatusServiceUnavailable { // one of those below was there first
			}
		}()
	}
	long := `{"args":["` + strings.Repeat("x", 1000) + `"]}`
	for c.do("PUT", "/v1/workers/shop/long", long).StatusCode != http.StatusServiceUnavailable {
		c.ended() // that creation was quicker than a hanging one
	}
	refused(t, c.do("PUT", "/v1/workers/shop/long", long), api.CodeOverloaded)
	wants[api.WorkerDetail](t, c.do("PUT", "/v1/workers/shop/short", `{}`), http.StatusCreated)
}

// spaces has no end.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestARefusalDoesNotWaitForABodyThatDoesNotCome(t *testing.T) {
	c := start(t, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "POST "+alice+"/invoke/add HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n[")
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnsupportedMediaType || !resp.Close {
		t.Errorf("got %d, close %v", resp.StatusCode, resp.Close)
	}
}

func TestABodyThatIsCutOffIsRefused(t *testing.T) {
	c := start(t, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "POST "+alice+"/invoke/add HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[1]")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := c.ended(); got["status"] != float64(http.StatusBadRequest) {
		t.Errorf("got %v, want 400", got)
	}
	if sum := c.node.workers["shop/alice"].sum; sum != 0 {
		t.Errorf("half a request was performed: the sum is %d", sum)
	}
}

func TestABodyThatDoesNotComeIsNotAwaited(t *testing.T) {
	c := start(t, nil)
	c.server.SetBodyWait(50 * time.Millisecond)
	for _, path := range []string{alice + "/invoke/add", alice + "/interrupt"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[1]")
		if got := c.ended(); got["status"] != float64(http.StatusBadRequest) {
			t.Errorf("%s: got %v, want 400", path, got)
		}
	}
	// What has come in time is not ended by that deadline.
	refused(t, c.do("POST", alice+"/invoke/forever?timeout=200ms", "[]"), api.CodeTimeout)
	if got := c.ended(); got["status"] != float64(http.StatusGatewayTimeout) {
		t.Errorf("got %v, want 504: the client has not left", got)
	}
}

func TestListsAreBoundedAndGoOn(t *testing.T) {
	c := start(t, nil)
	for _, name := range []string{"b", "c", "d", "e"} {
		if _, _, err := c.node.CreateWorker(t.Context(), "shop", name, api.NewWorker{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []string{
		"limit=0", "limit=1001", "limit=x", "status=Sleepy", "revision=-1", "createdAfter=yesterday", "name=" + strings.Repeat("x", 257),
		"component=-", "component=" + strings.Repeat("x", 129), "env=" + strings.Repeat("x", 5000), "cursor=" + strings.Repeat("x", 1025),
	} {
		refused(t, c.do("GET", "/v1/workers?"+bad, ""), api.CodeInvalid)
	}
	if got := c.names("limit=2"); got != "alice b c d e" {
		t.Errorf("got %q", got)
	}
	if got := c.names("limit=1000&name=[b-d]"); got != "b c d" {
		t.Errorf("got %q", got)
	}
}

// names lists workers, page by page.
func (c *client) names(query string) string {
	c.t.Helper()
	var names []string
	for cursor := ""; ; {
		page := wants[api.Page[api.Worker]](c.t, c.do("GET", "/v1/workers?"+query+cursor, ""), http.StatusOK)
		for _, w := range page.Items {
			names = append(names, w.Name)
		}
		if page.Next == "" {
			return strings.Join(names, " ")
		}
		cursor = "&cursor=" + page.Next
	}
}
