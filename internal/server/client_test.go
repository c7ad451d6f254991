package server_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	goclient "github.com/waterbear-run/waterbear/client"
	"github.com/waterbear-run/waterbear/internal/server"
)

// TestTheGoClientSpeaksThisInterface has the client do everything it can, for
// both are held to a contract that is nowhere but in their code.
func TestTheGoClientSpeaksThisInterface(t *testing.T) {
	ctx := t.Context()
	s := start(t, withTokens).with("admin")
	c, err := goclient.New(goclient.Config{URL: s.url, Token: s.token})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	check("ready", c.Ready(ctx))

	stages := 0
	d, err := c.Deploy(ctx, "shop", []byte(module+"2"), func(api.Progress) { stages++ })
	if err != nil || d.Number != 2 || !d.New || stages != 1 {
		t.Errorf("deploy: got %+v, %v after %d stages", d, err, stages)
	}
	_, err = c.Configure(ctx, "shop", api.Settings{Limits: api.Limits{CPUTime: api.Duration(1e9)}})
	check("configure", err)
	if got, err := c.Component(ctx, "shop"); err != nil || got.Settings.Limits.CPUTime != 1e9 {
		t.Errorf("component: got %+v, %v", got, err)
	}
	if list, err := c.Revisions(ctx, "shop"); err != nil || len(list) != 2 {
		t.Errorf("revisions: got %+v, %v", list, err)
	}
	_, err = c.CreateWorker(ctx, "shop", "bob", api.NewWorker{Args: []string{"a"}})
	check("create", err)
	var names strings.Builder
	for w, err := range c.Workers(ctx, api.WorkerFilter{Component: "shop", CreatedAfter: epoch.AddDate(-1, 0, 0)}) {
		check("workers", err)
		names.WriteString(w.Name + " ")
	}
	if names.String() != "alice bob " {
		t.Errorf("workers: got %q", names.String())
	}

	for _, key := range []string{"k", "a/b%c?", "..."} {
		call := api.Call{Function: "add", Args: []byte("[1]"), Key: key}
		if i, err := c.Invoke(ctx, "shop", "bob", call); err != nil || i.Key != key {
			t.Errorf("invoke: got %+v, %v", i, err)
		}
		if i, err := c.Await(ctx, "shop", "bob", key); err != nil || i.State != api.StateFinished {
			t.Errorf("await %q: got %+v, %v", key, i, err)
		}
	}
	scheduled, err := c.InvokeAfter(ctx, "shop", "bob", api.Call{Function: "add", Args: []byte("[1]")}, 1e12)
	if err != nil || scheduled.State != api.StateScheduled {
		t.Errorf("invoke later: got %+v, %v", scheduled, err)
	}
	if i, err := c.Cancel(ctx, "shop", "bob", scheduled.Key); err != nil || i.State != api.StateCanceled {
		t.Errorf("cancel: got %+v, %v", i, err)
	}
	if w, err := c.Fork(ctx, "shop", "bob", "twin"); err != nil || w.Name != "twin" {
		t.Errorf("fork: got %+v, %v", w, err)
	}
	check("delete", c.DeleteWorker(ctx, "shop", "twin"))
	check("interrupt", c.Interrupt(ctx, "shop", "bob", "lunch"))
	check("resume", c.Resume(ctx, "shop", "bob"))
	check("retry", c.Retry(ctx, "shop", "bob"))

	s.print("hello")
	n := 0
	for chunk, err := range c.Logs(ctx, "shop", "alice", api.Range{}) {
		check("logs", err)
		n += len(chunk.Text)
	}
	for entry, err := range c.Oplog(ctx, "shop", "alice", api.Range{Follow: true, Search: "HELL"}) {
		check("oplog", err)
		n += len(entry.Text)
		break
	}
	if n != 2*len("hello") {
		t.Errorf("logs and oplog have %d bytes", n)
	}
	if files, err := c.Files(ctx, "shop", "alice"); err != nil || len(files) != 1 {
		t.Errorf("files: got %+v, %v", files, err)
	}
	if r, err := c.File(ctx, "shop", "alice", "/hello.txt"); err != nil {
		t.Error(err)
	} else if b, err := io.ReadAll(r); err != nil || string(b) != "hello" || r.Close() != nil {
		t.Errorf("file: got %q, %v", b, err)
	}
	var archive strings.Builder
	check("export", c.Export(ctx, "shop", "alice", &archive))
	check("delete", c.DeleteWorker(ctx, "shop", "alice"))
	check("delete", c.DeleteWorker(ctx, "shop", "bob"))
	check("delete", c.DeleteComponent(ctx, "shop"))
	_, err = c.CreateToken(ctx, api.NewToken{Name: "ci", Scopes: []api.Scope{"read"}})
	check("create a token", err)
	if list, err := c.Tokens(ctx); err != nil || len(list) != 2 {
		t.Errorf("tokens: got %+v, %v", list, err)
	}
	check("delete a token", c.DeleteToken(ctx, "ci"))
}

// TestTheGoClientFollowsThroughARestart stops one server and starts another for
// the same node.
func TestTheGoClientFollowsThroughARestart(t *testing.T) {
	first := start(t, nil)
	listening, stop := first.listen(nil)
	again, err := server.New(server.Config{Platform: first.node})
	if err != nil {
		t.Fatal(err)
	}
	c, err := goclient.New(goclient.Config{URL: listening.url})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	first.print("1")
	var got strings.Builder
	for chunk, err := range c.Logs(t.Context(), "shop", "alice", api.Range{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString(chunk.Text)
		switch got.String() {
		case "1":
			if err := stop(); err != nil {
				t.Error(err)
			}
			l, err := net.Listen("tcp", strings.TrimPrefix(listening.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { ended <- again.Serve(ctx, l, nil) }()
			defer func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}()
			first.print("2")
		case "12":
			return
		}
	}
	t.Errorf("got %q, want 12", got.String())
}
