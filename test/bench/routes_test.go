package bench

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"testing"

	"github.com/waterbear-run/waterbear/api"
)

// proxyVariable, if it is set, makes this binary a reverse proxy for the URL that
// it is.
const proxyVariable = "WATERBEAR_BENCH_PROXY"

// serveProxy is the floor of a route: Go's own reverse proxy.
func serveProxy(to string) error {
	target, err := url.Parse(to)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("proxy: listening on http://%s, no token\n", l.Addr())
	p := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{MaxIdleConnsPerHost: maxClients},
	}
	return http.Serve(l, p)
}

// freeAddress is one that nobody listened on a moment ago.
func freeAddress(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// BenchmarkRoute is 64 clients of a route, against as many of the bare server
// behind Go's reverse proxy, each behind it in a process of its own. echo: each
// call has an instance of its own, and its record is durable before the answer,
// while the bare server keeps nothing. counter: both add durably. direct: the
// counter again, against ours without a route.
func BenchmarkRoute(b *testing.B) {
	const clients = 64
	routes := freeAddress(b)
	ours, raw := startServer(b, b.TempDir(), "--routes-listen", routes), startRaw(b)
	proxied := exec.Command(os.Args[0])
	proxied.Env = append(os.Environ(), proxyVariable+"="+raw.url)
	proxy := start(b, proxied)
	public := &process{url: "http://" + routes}
	c := ours.client(b)
	deploy(b, c, "kit")
	deploy(b, c, "counter")
	for _, r := range []api.Route{
		{Name: "echo", Component: "kit", Worker: "pool.echo.64", Ephemeral: true, Function: "add", Path: "/echo"},
		{Name: "counter", Component: "counter", Worker: "path.who", Function: "add", Path: "/counters/{who}", Arguments: map[string]string{"1": "body.1"}},
	} {
		if _, err := c.SetRoute(context.Background(), r); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("echo", func(b *testing.B) {
		against(b, clients, public, proxy, "/echo?%d", "/v1/workers/kit/w%d/invoke/echo", "[2,3]")
	})
	b.Run("counter", func(b *testing.B) {
		against(b, clients, public, proxy, "/counters/w%d", "/v1/workers/counter/w%d/invoke/add", "[1]")
	})
	b.Run("direct", func(b *testing.B) {
		against(b, clients, public, ours, "/counters/w%d", "/v1/workers/counter/w%d/invoke/add", "[1]")
	})
}
