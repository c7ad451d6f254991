package live

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/host/reach"
)

// testProxy is a proxy that leads every name to one server, and remembers what it
// is asked for.
type testProxy struct {
	*httptest.Server
	to    string
	mu    sync.Mutex
	asked []string
}

func newProxy(t *testing.T, to *httptest.Server) *testProxy {
	p := &testProxy{to: to.Listener.Addr().String()}
	p.Server = serve(t, func(w http.ResponseWriter, q *http.Request) {
		p.mu.Lock()
		p.asked = append(p.asked, fmt.Sprint(q.Method, " ", q.RequestURI, " ", q.Header.Get("Proxy-Authorization")))
		p.mu.Unlock()
		if q.Method == http.MethodConnect {
			p.tunnel(w)
			return
		}
		out := q.Clone(q.Context())
		out.RequestURI, out.URL.Host = "", p.to
		response, err := new(http.Transport).RoundTrip(out)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		_, _ = io.Copy(w, response.Body)
	})
	return p
}

func (p *testProxy) tunnel(w http.ResponseWriter) {
	there, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	fmt.Fprint(here, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(there, buffered); _ = there.Close() }()
	_, _ = io.Copy(here, there)
	_ = here.Close()
}

func (p *testProxy) takes() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.asked = nil }()
	return strings.Join(p.asked, ", ")
}

func hello(t *testing.T) *httptest.Server {
	return serve(t, func(w http.ResponseWriter, q *http.Request) { fmt.Fprint(w, "hello ", q.Host) })
}

func TestRequestsGoThroughAProxy(t *testing.T) {
	proxy := newProxy(t, hello(t))
	c := newClient(t, "a.example")
	c.policy.Egress.Proxy = strings.Replace(proxy.URL, "http://", "http://user:secret@", 1)
	if _, body, _ := c.all(c.begin(exchange.Request{Method: "GET", Scheme: "http", Authority: "a.example", Path: "/x"})); body != "hello a.example" {
		t.Errorf("got %q", body)
	}
	if got := proxy.takes(); got != "GET http://a.example/x Basic dXNlcjpzZWNyZXQ=" {
		t.Errorf("the proxy was asked for %s", got)
	}
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "secret") }))
	t.Cleanup(secure.Close)
	proxy.to = secure.Listener.Addr().String()
	c.policy.Egress.Roots, c.policy.Egress.RootsOnly = certificatesOf(secure), true
	c.policy.Reach, _ = reach.Parse([]string{"example.com"}) // which its certificate is for
	if _, body, _ := c.all(c.begin(exchange.Request{Method: "GET", Scheme: "https", Authority: "example.com", Path: "/"})); body != "secret" {
		t.Errorf("over TLS: got %q", body)
	}
	if got := proxy.takes(); !strings.HasPrefix(got, "CONNECT example.com:443 ") {
		t.Errorf("the proxy was asked for %s", got)
	}
	proxy.Close()
	c.fails(exchange.ConnectionRefused, exchange.Request{Method: "GET", Scheme: "http", Authority: "example.com", Path: "/"})
}

// TestAProxyIsAskedForNothingThatAProgramMayNotReach tries what a proxy inside of
// a network would reach.
func TestAProxyIsAskedForNothingThatAProgramMayNotReach(t *testing.T) {
	proxy := newProxy(t, hello(t))
	c := newClient(t, reach.Public, "*.b.example")
	c.policy.Egress.Proxy = proxy.URL
	for _, host := range []string{
		"localhost", "127.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "169.254.169.254", "10.0.0.1", "metadata", "metadata.google.internal",
		"printer.local", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", strings.TrimPrefix(proxy.URL, "http://"),
	} {
		for _, scheme := range []string{"http", "https"} {
			c.fails(exchange.Denied, exchange.Request{Method: "GET", Scheme: scheme, Authority: host, Path: "/"})
		}
	}
	if got := proxy.takes(); got != "" {
		t.Errorf("the proxy was asked for %s", got)
	}
	// What is listed by name is asked for without a look at its address, and a name
	// that nobody here knows is the proxy's affair.
	if _, body, _ := c.all(c.begin(exchange.Request{Method: "GET", Scheme: "http", Authority: "no-such-host.invalid", Path: "/"})); body != "hello no-such-host.invalid" {
		t.Errorf("got %q", body)
	}
}

func TestAProxyOfTheEnvironmentCountsOnlyIfItIsSaid(t *testing.T) {
	// The environment is read once in a process, so this is one of its own.
	if os.Getenv("TEST_OWN_PROCESS") == "" {
		own := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		own.Env = append(os.Environ(), "TEST_OWN_PROCESS=1")
		if out, err := own.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	proxy := newProxy(t, hello(t))
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	t.Setenv("NO_PROXY", "direct.invalid")
	c := newClient(t, "a.invalid", "direct.invalid")
	ask := exchange.Request{Method: "GET", Scheme: "http", Authority: "a.invalid", Path: "/"}
	for _, off := range []string{"", "off"} {
		c.policy.Egress.Proxy = off
		c.fails(exchange.DNSError, ask)
	}
	c.policy.Egress.Proxy = "environment"
	if h, body, _ := c.all(c.begin(ask)); body != "hello a.invalid" {
		t.Errorf("got %q, %v", body, h.Failure)
	}
	ask.Authority = "direct.invalid"
	c.fails(exchange.DNSError, ask)
	if got := proxy.takes(); got != "GET http://a.invalid/ " {
		t.Errorf("the proxy was asked for %s", got)
	}
}

// TestAProxyThatRefusesIsAFailure has a proxy that wants a password.
func TestAProxyThatRefusesIsAFailure(t *testing.T) {
	proxy := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) })
	c := newClient(t, "a.example")
	c.policy.Egress.Proxy = proxy.URL
	c.fails(exchange.ProtocolError, exchange.Request{Method: "GET", Scheme: "https", Authority: "a.example", Path: "/"})
}

func TestCertificatesToTrustCanTakeThePlaceOfTheMachines(t *testing.T) {
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "secret") }))
	t.Cleanup(secure.Close)
	c := newClient(t, "127.0.0.1")
	c.policy.Egress.RootsOnly = true
	c.fails(exchange.TLSCertificate, get(secure, "/"))
	c.policy.Egress.Roots = certificatesOf(secure)
	for _, only := range []bool{true, false} {
		c.policy.Egress.RootsOnly = only
		if _, body, _ := c.all(c.begin(get(secure, "/"))); body != "secret" {
			t.Errorf("only those %v: got %q", only, body)
		}
	}
	// Nor does one who does not trust it get the connection of one who does.
	c.policy.Egress = exchange.Egress{}
	c.fails(exchange.TLSCertificate, get(secure, "/"))
}
