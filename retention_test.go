package waterbear_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// truncated is a node over dir, which keeps everything, with a worker
// counter/alice that was called n times before, and whose oplog was truncated. Each call has printed a line.
func truncated(t *testing.T, dir string, n int, keep api.Retention) *waterbear.Node {
	t.Helper()
	node, err := waterbear.Open(t.Context(), waterbear.Options{Dir: dir, Platform: &waterbear.PlatformOptions{Defaults: api.Settings{Retention: keep}}})
	if err != nil {
		t.Fatal(err)
	}
	p := node.Platform()
	if _, err := p.Deploy(t.Context(), "counter", guests.Wasm(t, "counter"), nil); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	const clients = 30
	for i := range clients {
		wait.Go(func() {
			for j := range n / clients {
				v, err := p.Invoke(t.Context(), "counter", "alice", api.Call{Function: "add", Args: json.RawMessage("[1]"), Key: fmt.Sprint(i, "-", j)})
				if err != nil || v.State != api.StateFinished {
					t.Errorf("got %+v, %v", v, err)
				}
			}
		})
	}
	wait.Wait()
	calls := uint64(4 * n) // the entries that these have made
	// It takes another image when some time has passed.
	for began := time.Now(); ; {
		for range 100 {
			if _, err := p.Invoke(t.Context(), "counter", "alice", api.Call{Function: "get"}); err != nil {
				t.Fatal(err)
			}
		}
		d, err := p.Worker(t.Context(), "counter", "alice")
		if err != nil {
			t.Fatal(err)
		}
		if d.First > calls {
			break
		}
		if time.Since(began) > 2*time.Minute {
			t.Fatalf("nothing is truncated: %+v", d)
		}
	}
	// What is looked at next is not to be truncated meanwhile.
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	return openPlatform(t, dir)
}

func TestATruncatedWorkerIsReadWhole(t *testing.T) {
	const calls = 900
	dir := t.TempDir()
	node := truncated(t, dir, calls, api.Retention{Oplog: api.KeepInvocations(20)})
	checkTruncated(t, node.Platform(), calls)
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	// Deleting a durable process sweeps blobs, and must spare what the worker
	// needs: archives, images, and what its first entry had named.
	plain, err := waterbear.Open(t.Context(), waterbear.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plain.Run(t.Context(), waterbear.Command{Name: "other", Program: guests.Wasm(t, "primes"), Args: []string{"primes", "2", "100"}}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(plain.Delete(t.Context(), "other"), plain.Close()); err != nil {
		t.Fatal(err)
	}
	node = openPlatform(t, dir)
	defer node.Close()
	checkTruncated(t, node.Platform(), calls)
	for _, key := range []string{"0-0", "29-29"} {
		v, err := node.Platform().Invoke(t.Context(), "counter", "alice", api.Call{Function: "add", Args: json.RawMessage("[1]"), Key: key})
		if err != nil || v.State != api.StateFinished || v.Index == 0 {
			t.Errorf("%s: got %+v, %v", key, v, err)
		}
	}
	v, err := node.Platform().Invoke(t.Context(), "counter", "alice", api.Call{Function: "get"})
	if err != nil || string(v.Result) != fmt.Sprintf("[%d]", calls) {
		t.Errorf("got %s, %v", v.Result, err)
	}
}

func checkTruncated(t *testing.T, p *waterbear.Platform, calls int) {
	t.Helper()
	lines, problems := 0, 0
	for c, err := range p.Logs(t.Context(), "counter", "alice", api.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		lines += strings.Count(c.Text, "\n")
	}
	if lines != calls {
		t.Errorf("%d lines were printed, want %d", lines, calls)
	}
	var first uint64
	for e, err := range p.Oplog(t.Context(), "counter", "alice", api.Range{}) {
		var gone *api.Problem
		switch {
		case errors.As(err, &gone) && gone.Code == api.CodeExpired && first == 0:
			problems++
			if !strings.HasPrefix(gone.Detail, "entries 1 to ") || !strings.Contains(gone.Detail, "truncated") {
				t.Errorf("got %s", gone.Detail)
			}
		case err != nil:
			t.Fatal(err)
		case first == 0:
			first = e.Index
		}
	}
	if problems != 1 || first <= 1 {
		t.Errorf("%d problems, and the first entry is %d", problems, first)
	}
	for e, err := range p.Oplog(t.Context(), "counter", "alice", api.Range{From: 2, To: 3}) {
		if err == nil {
			t.Errorf("there is still %+v", e)
		}
	}
	var tarball bytes.Buffer
	if err := p.Export(t.Context(), "counter", "alice", &tarball); err != nil {
		t.Fatal(err)
	}
	exported := map[string]int{}
	for archive := tar.NewReader(&tarball); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(h.Name, "-")
		exported[name] += bytes.Count(b, []byte("\n"))
	}
	if exported["invocations"] < calls || exported["output"] != calls || exported["oplog"] == 0 {
		t.Errorf("exported %v", exported)
	}
}

func TestWhatIsNotKeptIsToldAndNoFailureOverHTTP(t *testing.T) {
	const calls = 900
	node := truncated(t, t.TempDir(), calls, api.Retention{Oplog: api.KeepInvocations(20), Results: api.KeepInvocations(20), Logs: api.KeepInvocations(20)})
	defer node.Close()
	c, stop := serve(t, node)
	defer stop()
	var codes []api.Code
	lines, entries := 0, 0
	for chunk, err := range c.Logs(t.Context(), "counter", "alice", api.Range{}) {
		var p *api.Problem
		switch {
		case errors.As(err, &p):
			codes = append(codes, p.Code)
		case err != nil:
			t.Fatal(err)
		}
		lines += strings.Count(chunk.Text, "\n")
	}
	for _, err := range c.Oplog(t.Context(), "counter", "alice", api.Range{}) {
		var p *api.Problem
		switch {
		case errors.As(err, &p):
			codes = append(codes, p.Code)
		case err != nil:
			t.Fatal(err)
		}
		entries++
	}
	if len(codes) != 2 || codes[0] != api.CodeExpired || codes[1] != api.CodeExpired || lines >= calls || entries == 0 {
		t.Errorf("problems %v, %d lines and %d entries", codes, lines, entries)
	}
	_, err := c.Invocation(t.Context(), "counter", "alice", "i-2")
	if p, ok := errors.AsType[*api.Problem](err); !ok || p.Code != api.CodeExpired || p.Status != 410 {
		t.Errorf("got %v", err)
	}
}
