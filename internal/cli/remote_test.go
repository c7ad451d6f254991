package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDeployingTellsTheRevisionAndItsFunctions(t *testing.T) {
	s := newRemoteServer(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "my shop.wasm")
	if err := os.WriteFile(file, []byte(binaries["trap.wasm"]), 0o600); err != nil {
		t.Fatal(err)
	}
	const told = "Component  my-shop\nRevision   2 (new)\nKind       library: a worker's memory lasts from one invocation to the next\nSize       2.0 KiB\nHash       sha256:abab"
	got := s.typeTo("deploy", file)
	got.want(t, 0, told, "")
	got.want(t, 0, "Exports    add(i32, i64) -> i64\n           half(f64) -> f64\n           nothing()\n"+
		"Imports    env: f\n           wasi_snapshot_preview1: fd_write proc_exit\n", "")
	s.typeTo("deploy", "--name", "same", file).want(t, 0, "2 (was deployed before)", "")
	s.typeTo("deploy", "--json", "--name", "shop", file).want(t, 0, `"number":2,`, "")
	s.typeTo("deploy", "--name", "bad", file).want(t, 1, "", "waterbear: it imports env.f, which is not there\n")
	s.typeTo("deploy", filepath.Join(dir, "none.wasm")).want(t, 1, "", "no such file")
	s.typeTo("deploy").want(t, 2, "", "wants the .wasm file to deploy")
}

func TestComponentsAreShownAndSet(t *testing.T) {
	s := newRemoteServer(t)
	s.typeTo("components").want(t, 0, "NAME    REVISION     SIZE  FUNCTIONS  KIND     DEPLOYED\nreport         1      0 B          1  command  2 days ago\n", "")
	if got := s.typeTo("components", "--json"); strings.Count(got.out, "\n") != 2 {
		t.Errorf("got %+v", got)
	}
	s.typeTo("component", "get", "shop").want(t, 0, "Limits     as the server has them by default\n", "")
	s.typeTo("component", "get", "none").want(t, 1, "", `no component "none": deploy it first`)
	s.typeTo("component", "get", "shop").want(t, 0, "Shared     3.0 MiB of 10 GiB in buckets and containers\n", "")
	s.typeTo("component", "get", "--json", "shop").want(t, 0, `"name":"shop"`, "")
	s.typeTo("component", "revisions", "shop").want(t, 0, "       1  library", "")
	s.typeTo("component", "revisions", "--json", "shop").want(t, 0, `"number":1`, "")

	s.typeTo("component", "settings", "--memory", "64MiB", "--retry-factor", "1.5", "shop").want(t, 0, "Limit: memory           64 MiB\n", "")
	s.typeTo("component", "settings", "--json", "--cpu-time", "5s", "shop").
		want(t, 0, `{"limits":{"memory":67108864,"cpuTime":"5s"},"retry":{"factor":1.5}}`, "")
	asked := len(s.asked)
	s.typeTo("component", "settings", "shop").want(t, 0, "Limit: queue            the server's default\n", "")
	if len(s.asked) != asked {
		t.Error("looking at settings changed them")
	}
	s.typeTo("component", "settings", "--image-after", "off", "shop").want(t, 0, "Image: after            off\n", "")
	s.typeTo("component", "get", "shop").want(t, 0, "Images     after off\n", "")
	s.typeTo("component", "settings", "--retention-oplog", "1000", "--retention-logs", "30d", "shop").
		want(t, 0, "Retention: oplog        1,000 invocations\nRetention: results      the server's default\nRetention: logs         30d\n", "")
	s.typeTo("component", "settings", "--retention-results", "all", "shop").want(t, 2, "", "want everything, a time such as 30d")
	s.typeTo("component", "settings", "--image-after", "soon", "shop").want(t, 2, "", "want off, or a duration")
	s.typeTo("component", "settings", "--json", "--reset", "--queue", "9", "shop").want(t, 0, `{"limits":{"queue":9}}`, "")
	s.typeTo("component", "settings", "--json", "--shared", "1MiB", "shop").want(t, 0, `{"limits":{"shared":1048576,"queue":9}}`, "")

	s.typeTo("component", "delete", "--json", "shop", "report").want(t, 1, `{"name":"report"}`, "waterbear: shop: it has workers\n")
	s.typeTo("component", "delete").want(t, 2, "", "wants the names of components")
	s.typeTo("component", "frobnicate").want(t, 2, "", "unknown command")
}

func TestTokensAreMadeListedAndDeleted(t *testing.T) {
	s := newRemoteServer(t)
	s.typeTo("token", "create", "--scope", "invoke:shop", "--scope", "read", "ci").want(t, 0, "wb_secret\n", "")
	if want := `{"name":"ci","scopes":["invoke:shop","read"]}`; s.body != want {
		t.Errorf("sent %s, want %s", s.body, want)
	}
	s.typeTo("token", "create", "--json", "--scope", "admin", "--expires", "720h", "me").want(t, 0, `"secret":"wb_secret"`, "")
	s.typeTo("token", "create", "me").want(t, 2, "", "at least one --scope")
	s.typeTo("token", "create", "--scope", "admin", "--expires", "-1h", "me").want(t, 2, "", "--expires -1h")
	s.typeTo("token", "create", "--scope", "x", "bad").want(t, 1, "", "the token makes no sense; body.scopes[0]: no such scope")
	s.typeTo("token", "delete", "ci").want(t, 0, "", "")

	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const told = "NAME  SCOPES            CREATED     EXPIRES\nci    invoke:shop read  2 days ago  never\n"
	s.typeTo("token", "list", "--token-file", file).want(t, 0, told, "")
	typeWith([]string{tokenVariable + "=secret"}, "token", "list", "--server", s.url).want(t, 0, told, "")
	typeWith([]string{tokenVariable + "=other"}, "token", "list", "--server", s.url, "--token-file", file, "--json").want(t, 0, `"name":"ci"`, "")
}

func TestWhatIsWrongWithTheConnectionIsSaidWithTheNextStep(t *testing.T) {
	s := newRemoteServer(t)
	s.typeTo("token", "list").want(t, 1, "", "waterbear: this needs a token; give one with --token-file or $WATERBEAR_TOKEN\n")
	typeWith([]string{tokenVariable + "=wrong"}, "token", "list", "--server", s.url).want(t, 1, "", "the token is that of $WATERBEAR_TOKEN")
	typeWith(nil, "worker", "list", "--server", "http://127.0.0.1:1").
		want(t, 1, "", "waterbear: connection refused at http://127.0.0.1:1: is `waterbear server` running?\n")
	typeWith(nil, "invoke", "--server", "http://127.0.0.1:1", "shop/alice", "add").want(t, 1, "", "is `waterbear server` running?")
	typeWith([]string{serverVariable + "=localhost:4004"}, "worker", "list").want(t, 1, "", "write one such as http://127.0.0.1:4004")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.typeTo("worker", "list", "--token-file", empty).want(t, 1, "", "is empty")
	s.typeTo("worker", "list", "--token-file", empty+"2").want(t, 1, "", "read the token")
	s.typeTo("worker", "list", "--ca-file", empty).want(t, 1, "", "no certificate in PEM")
}

func TestNamesOnAServerAreCompleted(t *testing.T) {
	s := newRemoteServer(t)
	for words, want := range map[string]string{
		"component get s":                         "shop\tlibrary\n:4\n",
		"component delete report s":               "shop\tlibrary\n:4\n",
		"component get shop ":                     ":4\n",
		"worker get ":                             "shop/alice\tRunning\nshop/bob\tIdle\n:4\n",
		"worker delete shop/bob shop/a":           "shop/alice\tRunning\n:4\n",
		"invoke shop/b":                           "shop/bob\tIdle\n:4\n",
		"invoke shop/alice a":                     "add\tadd(i32, i64) -> i64\n:4\n",
		"invoke shop/alice add ":                  ":4\n",
		"worker get --server http://127.0.0.1:1 ": ":4\n",
		"token delete ":                           ":4\n",
	} {
		got := s.typeTo(append([]string{"__complete"}, strings.Split(words, " ")...)...)
		if got.code != 0 || got.out != want {
			t.Errorf("%s: got %q, want %q; %s", words, got.out, want, got.errs)
		}
	}
}
