package live

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
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
