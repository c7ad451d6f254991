package waterbear_test

import (
	"context"
	"encoding/json"
	"net"
	"testing"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// openPlatform opens a node that looks after components.
func openPlatform(t *testing.T, dir string) *waterbear.Node {
	t.Helper()
	node, err := waterbear.Open(t.Context(), waterbear.Options{Dir: dir, Platform: &waterbear.PlatformOptions{}})
	if err != nil {
		t.Fatal(err)
	}
	return node
}

func TestAWorkerIsThereAfterTheNodeWasOpenedAnew(t *testing.T) {
	dir := t.TempDir()
	node := openPlatform(t, dir)
	if _, err := node.Platform().Deploy(t.Context(), "counter", guests.Wasm(t, "counter"), nil); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		v, err := node.Platform().Invoke(t.Context(), "counter", "alice", api.Call{Function: "add", Args: json.RawMessage("[2]")})
		if err != nil || v.State != api.StateFinished {
			t.Fatalf("%+v %v", v, err)
		}
		if want := string(rune('0' + 2*(i+1))); string(v.Result) != "["+want+"]" {
			t.Errorf("got %s, want [%s]", v.Result, want)
		}
		if err := node.Close(); err != nil {
			t.Fatal(err)
		}
		node = openPlatform(t, dir)
	}
	// Deleting a durable process must spare what components need.
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	plain, err := waterbear.Open(t.Context(), waterbear.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plain.Run(t.Context(), waterbear.Command{Name: "other", Program: guests.Wasm(t, "primes"), Args: []string{"primes", "2", "100"}}); err != nil {
		t.Fatal(err)
	}
	if err := plain.Delete(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	if err := plain.Close(); err != nil {
		t.Fatal(err)
	}
	node = openPlatform(t, dir)
	defer node.Close()
	v, err := node.Platform().Invoke(t.Context(), "counter", "alice", api.Call{Function: "get"})
	if err != nil || string(v.Result) != "[6]" {
		t.Errorf("got %s, %v", v.Result, err)
	}
}

func TestServedOverHTTP(t *testing.T) {
	node := openPlatform(t, t.TempDir())
	defer node.Close()
	c, stop := serve(t, node)
	defer stop()
	if _, err := c.Deploy(t.Context(), "counter", guests.Wasm(t, "counter"), nil); err != nil {
		t.Fatal(err)
	}
	v, err := c.Invoke(t.Context(), "counter", "bob", api.Call{Function: "add", Args: json.RawMessage("[7]")})
	if err != nil || string(v.Result) != "[7]" {
		t.Errorf("got %s, %v", v.Result, err)
	}
}

// serve serves a node over HTTP until stop is called, which has to be before the
// node is closed.
func serve(t *testing.T, node *waterbear.Node) (c *client.Client, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err = client.New(client.Config{URL: "http://" + l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- node.Platform().Serve(ctx, l, nil, waterbear.ServeConfig{}) }()
	return c, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
