package worker_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/host/live"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// talks is a platform with the component echo, whose programs may go to this
// machine and listen there.
func talks(t *testing.T, s setup) *platform {
	t.Helper()
	change := s.change
	s.change = func(c *worker.Config) {
		c.Sockets = live.NewSockets(c.Sched)
		c.Defaults.Net = api.Net{Allow: []string{"127.0.0.1"}, Listen: []string{"127.0.0.1"}}
		if change != nil {
			change(c)
		}
	}
	p := s.platform(t)
	p.deploy("echo", guests.Wasm(t, "echo"))
	return p
}

var talker = id.Worker{Component: "echo", Name: "alice"}

// echoes is a server that gives lines back, and counts connections.
func echoes(t *testing.T) (address string, connections *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	connections = &atomic.Int64{}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			go func() {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					fmt.Fprintln(conn, lines.Text())
				}
			}()
		}
	}()
	return l.Addr().String(), connections
}

// said is what a worker has printed.
func said(t *testing.T, logs storage.Logs) string {
	t.Helper()
	var all strings.Builder
	for e, err := range oplog.Read(t.Context(), logs, talker, 1, 0) {
		must(t, err)
		if b, is := e.Body.(*oplog.Log); is && b.Stream == oplog.Stdout {
			all.Write(b.Bytes)
		}
	}
	return all.String()
}

// TestAConnectionIsLostWhereverItsWorkerDies kills a worker behind every entry of
// a conversation. What it had printed it has printed, and once; and while the
// connection was there it is reset, which this program ends by.
func TestAConnectionIsLostWhereverItsWorkerDies(t *testing.T) {
	address, connections := echoes(t)
	args, err := json.Marshal([]string{"ask", address, "one", "two"})
	must(t, err)
	p := talks(t, setup{})
	v, err := p.Invoke(t.Context(), talker, api.Call{Function: "run", Args: args, Key: "k"})
	must(t, err)
	must(t, p.committer.Close())
	if string(v.Result) != "[0]" {
		t.Fatalf("got %s, %+v", v.Result, v.Failure)
	}
	first := history{logs: p.store.Logs()}
	for e, err := range oplog.Read(t.Context(), p.store.Logs(), talker, 1, 0) {
		must(t, err)
		first.kinds = append(first.kinds, oplog.Name(e.Body))
	}
	printed := said(t, first.logs)
	if printed != "one\ntwo\n" || connections.Swap(0) != 1 {
		t.Fatalf("it printed %q", printed)
	}
	outcome := first.at(t, "HostCallFinished")
	lastRead := len(first.kinds) - 1 // of the answer to the last line
	for lastRead > 0 && first.kinds[lastRead] != "HostCall" {
		lastRead--
	}
	for n := first.at(t, "InvocationAccepted") + 1; n < len(first.kinds); n++ {
		p := talks(t, setup{})
		w := p.committer.NewWriter(talker, 0)
		for e, err := range oplog.Read(t.Context(), first.logs, talker, 1, uint64(n)) {
			must(t, err)
			_, err := w.Append(t.Context(), e.Body)
			must(t, err)
		}
		must(t, w.Commit(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		v, err := p.Invocation(ctx, talker, "k", true)
		cancel()
		must(t, err)
		p.close()
		got, made := said(t, p.store.Logs()), connections.Swap(0)
		lost := n > outcome && n <= lastRead
		want := "[0]"
		if lost {
			want = "[1]" // the program says so, and does not try again
		}
		if string(v.Result) != want || !strings.HasPrefix(printed, got) || !lost && got != printed {
			t.Errorf("after %d of %d entries (%s): got %s %+v, and %q printed; want %s", n, len(first.kinds), first.kinds[n-1], v.Result, v.Failure, got, want)
		}
		if wantMade := int64(1); n > outcome && made != 0 || n <= outcome && made != wantMade {
			t.Errorf("after %d entries: %d connections were made", n, made)
		}
	}
}

// TestAWorkerThatListensLetsOthersCompute has one place to compute, a worker that
// listens for long, and others that work meanwhile.
func TestAWorkerThatListensLetsOthersCompute(t *testing.T) {
	p := talks(t, setup{change: func(c *worker.Config) { c.MaxRunning, c.SuspendAfter = 1, time.Millisecond }})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := l.Addr().String()
	must(t, l.Close())
	args, err := json.Marshal([]string{"serve", address})
	must(t, err)
	server := id.Worker{Component: "echo", Name: "server"}
	_, err = p.Invoke(t.Context(), server, api.Call{Function: "run", Args: args, Key: "k", Async: true})
	must(t, err)
	ask := func(name string, lines ...string) {
		t.Helper()
		args, err := json.Marshal(append([]string{"ask", address}, lines...))
		must(t, err)
		var v api.Invocation
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			v, err = p.Invoke(t.Context(), id.Worker{Component: "echo", Name: name}, api.Call{Function: "run", Args: args})
			must(t, err)
			if string(v.Result) == "[0]" {
				return
			}
		}
		t.Fatalf("%s: %s %+v", name, v.Result, v.Failure)
	}
	ask("a", "hello")
	ask("b", "hello", "again")
	entries := func() int {
		n := 0
		for _, err := range oplog.Read(t.Context(), p.store.Logs(), server, 1, 0) {
			must(t, err)
			n++
		}
		return n
	}
	before := entries()
	time.Sleep(200 * time.Millisecond)
	if after := entries(); after != before {
		t.Errorf("a worker that waits records: %d entries became %d", before, after)
	}
	ask("c", "end")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	v, err := p.Invocation(ctx, server, "k", true)
	must(t, err)
	if string(v.Result) != "[0]" {
		t.Errorf("got %s %+v", v.Result, v.Failure)
	}
	var kinds []string
	for e, err := range oplog.Read(t.Context(), p.store.Logs(), server, 1, 0) {
		must(t, err)
		kinds = append(kinds, oplog.Name(e.Body))
	}
	if slices.Contains(kinds, "Suspended") {
		t.Errorf("it was suspended while it listened: %v", kinds)
	}
}

// TestSocketsAreAllowedBySettings asks a server that no setting allows, and then
// one does.
func TestSocketsAreAllowedBySettings(t *testing.T) {
	address, connections := echoes(t)
	p := talks(t, setup{change: func(c *worker.Config) { c.Defaults.Net = api.Net{} }})
	ask := func(want string) {
		t.Helper()
		v, err := p.invoke(talker, "run", "ask", address, "hello")
		must(t, err)
		if string(v.Result) != want {
			t.Errorf("got %s %+v, want %s", v.Result, v.Failure, want)
		}
	}
	ask("[1]")
	if connections.Load() != 0 {
		t.Error("it was reached")
	}
	_, err := p.catalog.Configure(t.Context(), "echo", api.Settings{Net: api.Net{Allow: []string{address}}})
	must(t, err)
	ask("[0]")
	for _, net := range []api.Net{{Allow: []string{"http://x"}}, {Listen: []string{"localhost"}}, {Allow: make([]string, 257)}} {
		if _, err := p.catalog.Configure(t.Context(), "echo", api.Settings{Net: net}); err == nil {
			t.Errorf("%.40v was taken", net)
		}
	}
}
