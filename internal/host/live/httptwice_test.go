package live

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/waterbear-run/waterbear/internal/host/exchange"
)

// saysTwice answers each request of a connection as form does, of its path, and says
// the same once more in the same packet.
func saysTwice(form string) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		for r := bufio.NewReader(c); err == nil; q, err = http.ReadRequest(r) {
			if _, err := c.Write([]byte(strings.Repeat(fmt.Sprintf(form, q.URL.Path), 2))); err != nil {
				return
			}
		}
	}
}

// TestASecondAnswerIsNobodys has a server answer each request twice: the second
// answer is not that of whoever gets the connection next, who may be another worker.
func TestASecondAnswerIsNobodys(t *testing.T) {
	for name, form := range map[string]string{
		"with a body":    "HTTP/1.1 200 OK\r\nX-Of: %s\r\nContent-Length: 5\r\n\r\nhello",
		"in chunks":      "HTTP/1.1 200 OK\r\nX-Of: %s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"without a body": "HTTP/1.1 200 OK\r\nX-Of: %s\r\nContent-Length: 0\r\n\r\n",
		"with no body":   "HTTP/1.1 204 No Content\r\nX-Of: %s\r\n\r\n",
		"that is longer": "HTTP/1.1 200 OK\r\nX-Of: %s\r\nContent-Length: 10000\r\n\r\n" + strings.Repeat("hello", 2000),
		"over TLS":       "HTTP/1.1 200 OK\r\nX-Of: %s\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, s := newClient(t, "127.0.0.1"), httptest.NewUnstartedServer(saysTwice(form))
			if name == "over TLS" {
				s.StartTLS()
				c.policy.Egress = exchange.Egress{Roots: certificatesOf(s), RootsOnly: true}
			} else {
				s.Start()
			}
			t.Cleanup(s.Close)
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					for n := range 100 {
						path := fmt.Sprintf("/%d/%d", i, n)
						r := get(s, path)
						r.Method = "POST"
						h, _, end := c.all(c.begin(r))
						if h.Failure != nil || end.Failure != nil {
							t.Errorf("%s failed: %v, %v", path, h.Failure, end.Failure)
							return
						}
						if of := headerOf(h, "x-of"); of != path {
							t.Errorf("%s got the answer of %s", path, of)
							return
						}
					}
				})
			}
			all.Wait()
		})
	}
}

func headerOf(h exchange.Head, name string) string {
	for _, f := range h.Headers {
		if f.Name == name {
			return string(f.Value)
		}
	}
	return ""
}

// givingUp is a server that answers the first request of a connection, and takes the
// second and closes; or closes at once. gone tells of each that it has closed.
func givingUp(t *testing.T, atOnce bool) (s *httptest.Server, came *atomic.Int64, gone chan struct{}) {
	came, gone = new(atomic.Int64), make(chan struct{}, 4)
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		came.Add(1)
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() {
			_ = c.Close()
			gone <- struct{}{}
		}()
		_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
		if atOnce {
			return
		}
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			came.Add(1)
		}
	}), came, gone
}

// TestNoRequestIsSentAgainUntold has a server give up connections that are kept. A
// request that may have left is not sent again by who has no record of that.
func TestNoRequestIsSentAgainUntold(t *testing.T) {
	for name, r := range map[string]exchange.Request{
		"a GET":             {Method: "GET"},
		"a POST with a key": {Method: "POST", Headers: []exchange.Field{{Name: "Idempotency-Key", Value: []byte("k")}}},
		"a POST":            {Method: "POST", Body: []byte("hello")},
	} {
		for _, atOnce := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, at once: %t", name, atOnce), func(t *testing.T) {
				s, came, gone := givingUp(t, atOnce)
				c := newClient(t, "127.0.0.1")
				to := get(s, "/")
				r.Scheme, r.Authority, r.Path = to.Scheme, to.Authority, to.Path
				for i := range int64(2) {
					h, body, end := c.all(c.begin(r))
					if i == 1 && !atOnce {
						if f := h.Failure; f == nil || f.Reason != exchange.ConnectionTerminated || !f.Kept {
							t.Errorf("got %+v", h)
						}
					} else if h.Failure != nil || body != "hello" || end.Failure != nil {
						t.Errorf("request %d got %+v, %q, %+v", i, h.Failure, body, end.Failure)
					}
					if n := came.Load(); n != i+1 {
						t.Errorf("%d requests came as %d", i+1, n)
					}
					if atOnce && !t.Failed() {
						<-gone // before the next request could leave
					}
				}
			})
		}
	}
}
