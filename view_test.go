package waterbear

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

func number(v uint64) []byte { return binary.AppendUvarint(nil, v) }

// TestEveryKindOfEntryHasItsJSONAndItsLine gives a reader one entry after the
// other, in the order in which a worker would have them.
func TestEveryKindOfEntryHasItsJSONAndItsLine(t *testing.T) {
	const zeros = "0000000000000000000000000000000000000000000000000000000000000000"
	entries := []struct {
		body       oplog.Body
		json, line string
	}{
		{
			&oplog.Create{
				At: 1e9, Epoch: 2, Args: []string{"a", "b c"}, Env: []string{"A=1"}, Dirs: []oplog.Dir{{Host: "/h", Guest: "/g"}},
				Seed: [32]byte{99}, Memory: 3, Storage: 4, Files: 5,
			},
			`{"at":"1970-01-01T00:00:01Z","epoch":2,"program":"` + zeros + `","args":["a","b c"],"env":["A=1"],` +
				`"dirs":[{"host":"/h","guest":"/g","tree":"` + zeros + `"}],"memory":3,"storage":4,"files":5}`,
			`program 000000000000…, arguments ["a" "b c"]`,
		},
		{
			&oplog.HostCall{Func: 2, Response: number(1500 * 1e6)},
			`{"func":"clocks.monotonic","effect":"ReadLocal","response":"1.5s"}`, `clocks.monotonic → 1.5s`,
		},
		{
			&oplog.HostCall{Func: 5, Request: number(10), Response: []byte("line\n")},
			`{"func":"stdin.read","effect":"ReadLocal","request":"10","response":"\"line\\n\""}`, `stdin.read 10 → "line\n"`,
		},
		{
			&oplog.HostCall{Func: 12345, Request: []byte{0xab}, Response: []byte{0xcd}},
			`{"func":"function 12345","effect":"","request":"ab","response":"cd"}`, `function 12345 ab → cd`,
		},
		{
			&oplog.HostCallStarted{Func: 3, Request: append([]byte{0}, number(2e9)...)},
			`{"func":"clocks.wait","effect":"ReadRemote","request":"until 2s"}`, `clocks.wait until 2s`,
		},
		{
			&oplog.HostCallFinished{Started: 5, Response: slices.Concat([]byte{0}, number(2e9), number(0))},
			`{"func":"clocks.wait","effect":"ReadRemote","started":5,"response":"at 2s"}`, `of 5, clocks.wait → at 2s`,
		},
		{
			&oplog.Log{Stream: oplog.Stdout, Bytes: []byte("text\n")},
			`{"stream":"stdout","bytes":{"text":"text\n"}}`, `stdout "text\n"`,
		},
		{
			&oplog.Log{Stream: oplog.Stderr, Bytes: []byte{0xff, 0xfe}},
			`{"stream":"stderr","bytes":{"base64":"//4="}}`, `stderr "\xff\xfe"`,
		},
		{
			&oplog.Interrupted{At: 1e9, Reason: "interrupted"},
			`{"at":"1970-01-01T00:00:01Z","reason":"interrupted"}`, `interrupted`,
		},
		{
			&oplog.Forked{At: 1e9, Origin: id.Worker{Component: "shop", Name: "alice"}, Seed: [32]byte{7}, Key: "k"},
			`{"at":"1970-01-01T00:00:01Z","origin":{"Component":"shop","Name":"alice"},"key":"k"}`, `a copy of shop/alice from here on`,
		},
		{&oplog.Omitted{Kind: "Image"}, `{"kind":"Image"}`, `Image of the origin alone`},
		{&oplog.Recovered{At: 1e9, Epoch: 3}, `{"at":"1970-01-01T00:00:01Z","epoch":3}`, `by owner 3`},
		{
			&oplog.HostCallRepeated{At: 1e9, Started: 3, Attempt: 2, Until: 2e9, Reason: "status 503"},
			`{"at":"1970-01-01T00:00:01Z","started":3,"attempt":2,"until":"1970-01-01T00:00:02Z","reason":"status 503"}`,
			`of 3, attempt 2 at 1970-01-01T00:00:02Z: status 503`,
		},
		{&oplog.Exited{At: 1e9, Code: 7}, `{"at":"1970-01-01T00:00:01Z","code":7,"files":"` + zeros + `"}`, `code 7`},
		{
			&oplog.Error{At: 1e9, Reason: "unreachable executed", Stack: []string{"main"}},
			`{"at":"1970-01-01T00:00:01Z","reason":"unreachable executed","stack":["main"],"files":"` + zeros + `"}`, `unreachable executed`,
		},
		{
			&oplog.RequestBody{First: 7, Bytes: []byte("abc")},
			`{"first":7,"bytes":{"text":"abc"}}`, "3 bytes",
		},
		{
			&oplog.InvocationAccepted{
				At: 1e9, Key: "k", Function: "wasi:http/incoming-handler@0.2.3#handle", Body: 7,
				Args: oplog.Payload(`[{"method":"PUT","path":"/a?b","body":{"size":0}}]`),
			},
			`{"at":"1970-01-01T00:00:01Z","key":"k","function":"wasi:http/incoming-handler@0.2.3#handle",` +
				`"args":{"text":"[{\"method\":\"PUT\",\"path\":\"/a?b\",\"body\":{\"size\":0}}]"},"queue":0,"body":7}`,
			`PUT /a?b, 0 bytes key "k"`,
		},
		{
			&oplog.Response{Status: 404, Fields: []oplog.Field{{Name: "a", Value: []byte("b")}}},
			`{"status":404,"fields":[{"name":"a","value":{"text":"b"}}]}`, "status 404, 1 fields",
		},
		{
			&oplog.ResponseBody{Bytes: []byte("x\n")},
			`{"bytes":{"text":"x\n"}}`, `"x\n"`,
		},
		{
			&oplog.ResponseEnd{Failure: "the program has not finished it"},
			`{"failure":"the program has not finished it"}`, "the program has not finished it",
		},
		{
			&oplog.Archiving{At: 1e9, Blobs: make([]storage.Hash, 1)},
			`{"at":"1970-01-01T00:00:01Z","blobs":["` + zeros + `"]}`, `archives to come: 1`,
		},
		{
			&oplog.Archived{At: 1e9, Below: 20, Ended: 3, Results: oplog.Shelving{Forget: 4, Added: []oplog.Archive{{From: 5, Below: 20, Count: 2}}}, Logs: oplog.Shelving{Forget: 20, Added: []oplog.Archive{}}},
			`{"at":"1970-01-01T00:00:01Z","below":20,"ended":3,"results":{"forget":4,"added":[{"from":5,"below":20,"count":2,"oldest":0,"newest":"1970-01-01T00:00:00Z","ended":0,"blob":"` + zeros + `","size":0}]},"logs":{"forget":20,"added":[]}}`,
			`what is below 20 may go, results of 5 to 19: 2, results below 4 forgotten, output below 20 forgotten`,
		},
	}
	r := newReader()
	kinds := map[string]bool{}
	for i, e := range entries {
		got, err := r.entry(oplog.Entry{Index: uint64(i + 1), At: 1e9, Body: e.body})
		if err != nil {
			t.Errorf("%s: %v", oplog.Name(e.body), err)
		}
		if kinds[got.Kind] = true; got.Kind != oplog.Name(e.body) || got.Index != uint64(i+1) || got.At.Unix() != 1 {
			t.Errorf("got %+v for %s", got, oplog.Name(e.body))
		}
		if string(got.Body) != e.json || got.Text != e.line {
			t.Errorf("%s:\ngot  %s\nwant %s\ngot  %s\nwant %s", got.Kind, got.Body, e.json, got.Text, e.line)
		}
	}
	if len(kinds) != 19 {
		t.Errorf("saw the kinds %v, want all 19", kinds)
	}
}

func TestSeedOfAWorkerIsNotShown(t *testing.T) {
	got, err := newReader().entry(oplog.Entry{Index: 1, Body: &oplog.Create{Seed: [32]byte{0: 0xee, 31: 0xee}}})
	if err != nil || strings.Contains(strings.ToLower(string(got.Body)), "seed") {
		t.Errorf("got %s, %v", got.Body, err)
	}
}

func TestFunctionsAreToldApartByTheirCodes(t *testing.T) {
	codes := map[uint64]string{}
	for _, f := range recorded() {
		code, name, effect := f.Declaration()
		if other, taken := codes[code]; taken || code == 0 || name == "" || strings.HasPrefix(effect.String(), "Effect(") {
			t.Errorf("%q has code %d and effect %v; %q has that code, too", name, code, effect, other)
		}
		codes[code] = name
	}
}

func TestOplogOfAProgramWithEveryEffectIsReadable(t *testing.T) {
	n := open(t, stateDir(t))
	c := Command{
		Name: "a", Program: guests.Wasm(t, "effects"), Args: []string{"effects", "7"}, Stdin: strings.NewReader("input\n"),
		Dirs: []Dir{{Host: shared(t, "of the host"), Guest: "/"}},
	}
	exit, _ := run(t, n, c)
	if exit.Code != 7 {
		t.Fatalf("got %+v", exit)
	}
	var all []OplogEntry
	for e, err := range n.Oplog(t.Context(), "a", ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(e.Body) || e.Text == "" || e.Kind == "" || e.At.IsZero() || strings.Contains(e.Text, "recorded value") {
			t.Errorf("entry %d: %+v", e.Index, e)
		}
		if e.Index != uint64(len(all)+1) {
			t.Errorf("entry %d is the %dth", e.Index, len(all)+1)
		}
		all = append(all, e)
	}
	if len(all) < 10 || all[0].Kind != "Create" || all[len(all)-1].Kind != "Exited" {
		t.Fatalf("got %d entries", len(all))
	}
	t.Run("any part of it", func(t *testing.T) {
		for from := 1; from <= len(all); from++ {
			var part []OplogEntry
			to := min(from+2, len(all))
			for e, err := range n.Oplog(t.Context(), "a", ReadOptions{From: uint64(from), To: uint64(to)}) {
				if err != nil {
					t.Fatal(err)
				}
				part = append(part, e)
			}
			same := func(a, b OplogEntry) bool {
				return a.Index == b.Index && a.Text == b.Text && string(a.Body) == string(b.Body)
			}
			if !slices.EqualFunc(part, all[from-1:to], same) {
				t.Errorf("entries %d to %d: got %+v, want %+v", from, to, part, all[from-1:to])
			}
		}
	})
	t.Run("nothing behind its end", func(t *testing.T) {
		for e, err := range n.Oplog(t.Context(), "a", ReadOptions{From: uint64(len(all) + 1), Follow: true}) {
			t.Errorf("got %+v, %v", e, err)
		}
	})
	t.Run("its output alone", func(t *testing.T) {
		logs := 0
		for chunk, err := range n.Logs(t.Context(), "a", ReadOptions{}) {
			if err != nil || chunk.Stream != "stdout" && chunk.Stream != "stderr" || len(chunk.Bytes) == 0 || all[chunk.Index-1].Kind != "Log" {
				t.Errorf("got %+v, %v", chunk, err)
			}
			logs++
		}
		if logs == 0 {
			t.Error("there is none")
		}
	})
}
