package cli

import (
	"bytes"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
)

func TestWorkersAreListedThroughAllPages(t *testing.T) {
	s := newRemoteServer(t)
	s.typeTo("worker", "list").want(t, 0, "WORKER      STATUS   REVISION  QUEUE  ENTRIES  CHANGED     REASON\n"+
		"shop/alice  Running         2      1   12,345  2 days ago  in \\x1b[31madd\n"+
		"shop/bob    Idle            0      0        0  -\n", "")
	if got := s.typeTo("worker", "list", "--json"); strings.Count(got.out, "\n") != 2 || got.code != 0 {
		t.Errorf("got %+v", got)
	}
	if got := s.typeTo("worker", "list", "--json", "--limit", "1"); strings.Count(got.out, "\n") != 1 || got.code != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestFiltersAreSent(t *testing.T) {
	s := newRemoteServer(t)
	s.typeTo("worker", "list", "--limit", "1", "--component", "shop", "--revision", "2", "--status", "failed", "--name", "al*",
		"--env", "TIER=gold", "--created-after", "2026-11-01T00:00:00Z", "--created-before", "2026-11-02T00:00:00Z").want(t, 0, "shop/alice", "")
	const want = "GET /v1/workers?component=shop&createdAfter=2026-11-01T00%3A00%3A00Z&createdBefore=2026-11-02T00%3A00%3A00Z" +
		"&env=TIER%3Dgold&name=al%2A&revision=2&status=Failed"
	if s.lastAsked() != want {
		t.Errorf("asked %s\nwant  %s", s.lastAsked(), want)
	}
	s.typeTo("worker", "list", "--status", "Dead").want(t, 2, "", "want one of Idle, Running,")
	s.typeTo("worker", "list", "--created-after", "soon").want(t, 2, "", "--created-after soon: want a duration")
	s.typeTo("worker", "list", "--limit", "0").want(t, 2, "", "lists nothing")
}

func TestALongListIsPrintedInPartsWithOneHeading(t *testing.T) {
	many := func(n int) iter.Seq2[api.Worker, error] {
		return func(yield func(api.Worker, error) bool) {
			for i := range n {
				if !yield(api.Worker{Component: "c", Name: fmt.Sprint(i)}, nil) {
					return
				}
			}
		}
	}
	for _, n := range []int{0, 1, tableBatch, 2*tableBatch + 1} {
		var out bytes.Buffer
		a := &app{stdout: &out}
		if err := a.printRemoteWorkers(many(n), false); err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(out.String(), "\n"); lines != n+1 || strings.Count(out.String(), "WORKER") != 1 {
			t.Errorf("%d workers: %d lines", n, lines)
		}
	}
}

func TestAWorkerIsCreatedWithAllItsFlags(t *testing.T) {
	s := newRemoteServer(t)
	dir := t.TempDir()
	rates := filepath.Join(dir, "rates:1.csv")
	if err := os.WriteFile(rates, []byte("hi\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.typeTo("worker", "create", "--revision", "3", "--arg", "-v", "--env", "A=b", "--env", serverVariable, "--file", rates+":/etc/./rates.csv",
		"--ephemeral", "--memory", "64MiB", "--retry-attempts", "1", "--image-after", "20ms", "shop/alice").want(t, 0, "Worker       shop/alice\n", "")
	want := `{"revision":3,"args":["-v"],"env":["A=b","` + serverVariable + "=" + s.url + `"],"files":{"/etc/rates.csv":"aGkK"},"ephemeral":true,` +
		`"settings":{"limits":{"memory":67108864},"retry":{"attempts":1},"images":{"after":"20ms"}}}`
	if s.body != want || s.lastAsked() != "PUT /v1/workers/shop/alice" {
		t.Errorf("%s: sent\n%s, want\n%s", s.lastAsked(), s.body, want)
	}
	s.typeTo("worker", "create", "--json", "shop/alice").want(t, 0, `"name":"alice"`, "")
	if s.body != "{}" {
		t.Errorf("sent %s, want {}", s.body)
	}
	s.typeTo("worker", "create", "--file", rates, "shop/alice").want(t, 2, "", "write HOST:GUEST")
	s.typeTo("worker", "create", "--file", dir+":/d", "shop/alice").want(t, 1, "", "is no regular file")
	s.typeTo("worker", "create", "--file", rates+":/a", "--file", rates+":/b/../a", "shop/alice").want(t, 2, "", "two files /a")
	s.typeTo("worker", "create", "--env", "NONE", "shop/alice").want(t, 2, "", "no such variable")
	s.typeTo("worker", "create", "shop").want(t, 2, "", "names no worker")

	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, maxInitial+1); err != nil {
		t.Fatal(err)
	}
	s.typeTo("worker", "create", "--file", big+":/a", "shop/alice").want(t, 1, "", "more than 47 MiB")
}

func TestAWorkerIsShownWithWhatItWaitsFor(t *testing.T) {
	s := newRemoteServer(t)
	got := s.typeTo("worker", "get", "shop/alice")
	got.want(t, 0, "Worker       shop/alice\nStatus       Running\nReason       in \\x1b[31madd\nRevision     2\nArguments    -v 'a b'\nEnvironment  TIER=gold\n", "")
	got.want(t, 0, "Image        entry 12,001, of all up to entry 12,000, 2.0 KiB, made 2 days ago\n"+
		"Deltas       3, 4.0 KiB, the newest at entry 12,100\nLast delta   1.4 KiB, 17 changed pages of memory\nReplay       345 entries, about 1.235ms\n", "")
	got.want(t, 0, "Retention    oplog 1,000 invocations, results 30d, logs everything\n", "")
	got.want(t, 0, "Oplog        12,345 entries, 4.0 KiB; kept from entry 12,001 on\nArchived     3,000 results, 1 piece of output, 2.0 KiB\n", "")
	got.want(t, 0, "\nKEY  FUNCTION  STATE   ATTEMPTS  DUE  LAST FAILURE\ni-7  add       Queued         0  -    trap\n", "")
	s.typeTo("worker", "get", "--json", "shop/alice").want(t, 0, `"mode":"replay"`, "")
	s.typeTo("worker", "get", "shop/new").want(t, 1, "", "waterbear: no worker shop/new\n")
}

func TestLogsGoToTheStreamsTheyCameFrom(t *testing.T) {
	s := newRemoteServer(t)
	s.logs = []api.LogChunk{{Index: 1, Stream: "stdout", Text: "o\x1b\n"}, {Index: 2, Stream: "stderr", Base64: []byte("\xfe\n")}}
	s.typeTo("worker", "logs", "shop/alice").want(t, 0, "o\x1b\n", "\xfe\n")
	s.typeTo("worker", "logs", "--stream", "stderr", "--from", "1", "--to", "9", "shop/alice").want(t, 0, "", "\xfe\n")
	if want := "GET /v1/workers/shop/alice/logs?from=1&to=9"; s.lastAsked() != want {
		t.Errorf("asked %s, want %s", s.lastAsked(), want)
	}
	s.typeTo("worker", "logs", "--since", "1h", "shop/alice").want(t, 0, "", "")
	s.typeTo("worker", "logs", "--json", "shop/alice").want(t, 0, `"stream":"stderr","base64":"/go="}`, "")
	s.typeTo("worker", "logs", "--stream", "x", "shop/alice").want(t, 2, "", "want stdout or stderr")
	s.typeTo("worker", "logs", "--from", "2", "--to", "1", "shop/alice").want(t, 2, "", "is behind")
}

func TestWhatIsNotKeptAnyMoreIsToldAndNoFailure(t *testing.T) {
	s := newRemoteServer(t)
	s.expired = "entries 1 to 7 are not kept"
	for _, logs := range [][]api.LogChunk{nil, {{Index: 8, Stream: "stdout", Text: "hi\n"}}} {
		s.logs = logs
		want := ""
		if logs != nil {
			want = "hi\n"
		}
		s.typeTo("worker", "logs", "shop/alice").want(t, 0, want, "waterbear: entries 1 to 7 are not kept\n")
	}
}

func TestAnOplogIsPrintedAroundDamage(t *testing.T) {
	s := newRemoteServer(t)
	got := s.typeTo("worker", "oplog", "--search", "a b", "shop/alice")
	got.want(t, 1, "WorkerCreated        shop/alice\n", "waterbear: entry 2 of shop/alice is damaged\n")
	got.want(t, 1, "say \\x1b[2J\n", "damaged")
	if want := "GET /v1/workers/shop/alice/oplog?search=a+b"; s.lastAsked() != want {
		t.Errorf("asked %s, want %s", s.lastAsked(), want)
	}
	s.typeTo("worker", "oplog", "--json", "shop/alice").want(t, 1, `"body":{"a":1}`, "damaged")
}

func TestFilesAreListedPrintedAndExported(t *testing.T) {
	s := newRemoteServer(t)
	s.typeTo("worker", "files", "shop/alice").want(t, 0, "PATH           SIZE  KIND       MODIFIED\n/data           0 B  directory  2 days ago\n/data/\\x1bout   3 B  file ", "")
	s.typeTo("worker", "files", "--json", "shop/alice").want(t, 0, `"kind":"directory"`, "")
	s.typeTo("worker", "cat", "shop/alice", "/data/out").want(t, 0, "a\x00b", "")
	s.typeTo("worker", "cat", "shop/alice", "/none").want(t, 1, "", "no file /none")
	s.typeTo("worker", "export", "shop/alice").want(t, 0, "archive", "")

	dir := t.TempDir()
	archive := filepath.Join(dir, "alice.tar")
	s.typeTo("worker", "export", "--output", archive, "shop/alice").want(t, 0, "", "")
	if b, err := os.ReadFile(archive); err != nil || string(b) != "archive" {
		t.Errorf("got %q, %v", b, err)
	}
	s.typeTo("worker", "export", "--output", filepath.Join(dir, "broken.tar"), "shop/broken").want(t, 1, "", "export shop/broken")
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("there are %v, %v", left, err)
	}
}

func TestWhatIsDoneToWorkersIsDoneToEach(t *testing.T) {
	s := newRemoteServer(t)
	for verb, want := range map[string]string{
		"interrupt": "POST /v1/workers/shop/bob/interrupt", "resume": "POST /v1/workers/shop/bob/resume",
		"retry": "POST /v1/workers/shop/bob/retry", "delete": "DELETE /v1/workers/shop/bob",
	} {
		s.typeTo("worker", verb, "shop/bad", "shop/bob", "--json").want(t, 1, `{"worker":"shop/bob"}`, "waterbear: shop/bad: it is busy\n")
		if s.lastAsked() != want {
			t.Errorf("asked %s, want %s", s.lastAsked(), want)
		}
		s.typeTo("worker", verb).want(t, 2, "", "wants workers")
		s.typeTo("worker", verb, "shop/bob", "alice").want(t, 2, "", "alice names no worker")
	}
	s.typeTo("worker", "fork", "shop/bob", "twin").want(t, 0, "", "")
	if want := `POST /v1/workers/shop/bob/fork {"name":"twin"}`; s.lastAsked()+" "+s.body != want {
		t.Errorf("asked %s with %s, want %s", s.lastAsked(), s.body, want)
	}
	s.typeTo("worker", "fork", "shop/bob").want(t, 2, "", "wants one worker")
	s.typeTo("worker", "interrupt", "--reason", "lunch", "shop/bob").want(t, 0, "", "")
	if want := `{"reason":"lunch"}`; s.body != want {
		t.Errorf("sent %s, want %s", s.body, want)
	}
}
