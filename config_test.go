package waterbear_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
)

// configured is a directory with a node whose programs are configured.
type configured struct {
	t    *testing.T
	dir  string
	node *waterbear.Node
}

func newConfigured(t *testing.T) *configured {
	c := &configured{t: t, dir: t.TempDir()}
	c.write("config", "url", "there\n")
	c.write("secrets", "token", "hunter2\n")
	c.open()
	module, err := os.ReadFile("internal/guests/testdata/components/configured.wasm")
	if err == nil {
		_, err = c.node.Platform().Deploy(t.Context(), "shop", module, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *configured) write(source, name, text string) {
	c.t.Helper()
	dir := filepath.Join(c.dir, source, "shop")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

func (c *configured) state() string { return filepath.Join(c.dir, "state") }

func (c *configured) open() {
	c.t.Helper()
	var err error
	c.node, err = waterbear.Open(c.t.Context(), waterbear.Options{Dir: c.state(), Platform: &waterbear.PlatformOptions{
		Config: []string{"dir:" + filepath.Join(c.dir, "config")}, Secrets: []string{"dir:" + filepath.Join(c.dir, "secrets")},
	}})
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *configured) close() {
	c.t.Helper()
	if err := c.node.Close(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *configured) invoke(call api.Call) api.Invocation {
	c.t.Helper()
	v, err := c.node.Platform().Invoke(c.t.Context(), "shop", "alice", call)
	if err != nil {
		c.t.Fatal(err)
	}
	return v
}

func TestProgramsAreConfigured(t *testing.T) {
	c := newConfigured(t)
	defer c.close()
	v := c.invoke(api.Call{Function: "get", Args: json.RawMessage(`[["url", "token", "nothing"], 0]`)})
	if got := string(v.Result); got != `[["there","hunter2",null]]` {
		t.Errorf("got %s", got)
	}
	v = c.invoke(api.Call{Function: "all"})
	if got := string(v.Result); got != `[{"ok":[["token","hunter2"],["url","there"]]}]` {
		t.Errorf("all are %s", got)
	}
	c.write("config", "url", "elsewhere")
	v = c.invoke(api.Call{Function: "get", Args: json.RawMessage(`[["url"], 0]`)})
	if got := string(v.Result); got != `[["elsewhere"]]` {
		t.Errorf("the next invocation got %s", got)
	}
}

// An invocation is under way while a secret is rotated and the node is opened anew.
func TestAnInvocationKeepsTheSecretsItBeganWith(t *testing.T) {
	c := newConfigured(t)
	v := c.invoke(api.Call{Function: "get", Args: json.RawMessage(`[["token", "token"], 2000]`), Key: "k", Async: true})
	for entry, err := range c.node.Platform().Oplog(t.Context(), "shop", "alice", api.Range{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(entry.Text, "config.read") {
			break
		}
	}
	c.close()
	c.write("secrets", "token", "rotated")
	c.open()
	defer c.close()
	v, err := c.node.Platform().Invocation(t.Context(), "shop", "alice", v.Key, true)
	if got := string(v.Result); err != nil || got != `[["hunter2","hunter2"]]` {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	c := newConfigured(t)
	v := c.invoke(api.Call{Function: "tell", Args: json.RawMessage(`["token"]`)})
	if v.State != api.StateFailed || strings.Contains(v.Failure.Stderr, "hunter2") || !strings.Contains(v.Failure.Stderr, "it is [secret]") {
		t.Errorf("the failure is %+v", v.Failure)
	}
	var shown strings.Builder
	for chunk, err := range c.node.Platform().Logs(t.Context(), "shop", "alice", api.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		shown.WriteString(chunk.Text)
	}
	if !strings.Contains(shown.String(), "WARN tell: it is [secret]\n    and no more\n") {
		t.Errorf("the log is %q", shown.String())
	}
	for entry, err := range c.node.Platform().Oplog(t.Context(), "shop", "alice", api.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		shown.WriteString(entry.Text)
		shown.Write(entry.Body)
	}
	if text := shown.String(); strings.Contains(text, "hunter2") || !strings.Contains(text, "token: secret ") {
		t.Errorf("the oplog is shown as %q", text)
	}
	c.close()
}

// Programs may keep a secret where others of the component find it.
func TestSecretsInBucketsAreNotShown(t *testing.T) {
	c := newConfigured(t)
	defer c.close()
	c.invoke(api.Call{Function: "get", Args: json.RawMessage(`[["token"], 0]`)})
	deployKept(t, c.node, "shop")
	steps(t, c.node, "shop", "bob", "cart", "set hunter2 it-is-hunter2")
	steps(t, c.node, "shop", "bob", "of-hunter2", "set k v")
	p, ctx := c.node.Platform(), t.Context()
	buckets, err := p.Buckets(ctx, "shop", "", 10)
	if err != nil || len(buckets.Items) != 2 || buckets.Items[1].Name != "of-[secret]" {
		t.Errorf("the buckets are %+v, %v", buckets, err)
	}
	keys, err := p.Keys(ctx, "shop", "cart", "", 10)
	if err != nil || len(keys.Items) != 1 || keys.Items[0].Key != "[secret]" {
		t.Errorf("the keys are %+v, %v", keys, err)
	}
	if v, err := p.Value(ctx, "shop", "cart", "hunter2"); string(v) != "it-is-[secret]" || err != nil {
		t.Errorf("the value is %q, %v", v, err)
	}
}

// Other programs of the component may send a secret, and be given it.
func TestSecretsOfPromisesAndCallsAreNotShown(t *testing.T) {
	c := newConfigured(t)
	defer c.close()
	c.invoke(api.Call{Function: "get", Args: json.RawMessage(`[["token"], 0]`)})
	p := c.node.Platform()
	deploy := func(file string) {
		t.Helper()
		program, err := os.ReadFile(file)
		if err == nil {
			_, err = p.Deploy(t.Context(), "shop", program, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	shown := ""
	show := func(v any, err error) {
		t.Helper()
		text, jsonErr := json.Marshal(v)
		if err := errors.Join(err, jsonErr); err != nil {
			t.Fatal(err)
		}
		shown += string(text) + "\n"
	}

	deploy("examples/approval/approval.wasm")
	call := func(worker, function, args string, async bool) api.Invocation {
		t.Helper()
		v, err := p.Invoke(t.Context(), "shop", worker, api.Call{Function: function, Args: json.RawMessage(args), Key: worker, Async: async})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for worker, s := range map[string]api.Settlement{
		"text": {Value: []byte("it is hunter2")}, "bytes": {Value: []byte("\xffhunter2")}, "failure": {Failed: true, Value: []byte("no hunter2")},
	} {
		call(worker, "order", `["hunter2", 250, 30]`, true)
		var made []api.Promise
		for len(made) == 0 {
			list, err := p.Promises(t.Context(), "shop", worker)
			if made = list; err != nil {
				t.Fatal(err)
			}
		}
		detail, err := p.Worker(t.Context(), "shop", worker)
		show(detail.Promises, err)
		name := made[0].Promise[strings.LastIndex(made[0].Promise, "/")+1:]
		v, err := p.SettlePromise(t.Context(), "shop", worker, name, s)
		show(v, err)
		if bytes.Contains(v.Base64, []byte("hunter2")) {
			t.Errorf("bytes are shown as %q", v.Base64)
		}
		v, err = p.Promise(t.Context(), "shop", worker, name)
		show(v, err)
		list, err := p.Promises(t.Context(), "shop", worker)
		show(list, err)
		result, err := p.Invocation(t.Context(), "shop", worker, worker, true)
		if err != nil || worker == "text" && !strings.Contains(string(result.Result), "it is hunter2") {
			t.Errorf("%s ends as %s, %v", worker, result.Result, err)
		}
	}

	deploy("examples/fetch/fetch.wasm")
	call("fetch", "get", `["http://hunter2.invalid/hunter2"]`, false)
	page, err := p.Calls(t.Context(), api.CallFilter{Component: "shop", Worker: "fetch"}, "", 10)
	show(page, err)
	if len(page.Items) != 1 {
		t.Fatalf("there are %d calls", len(page.Items))
	}
	one, err := p.Call(t.Context(), "shop", "fetch", page.Items[0].Index)
	show(one, err)
	if strings.Contains(shown, "hunter2") || strings.Count(shown, "[secret]") < 12 {
		t.Errorf("it is shown as %s", shown)
	}
}

// A program that does not print, return or send a secret leaves nothing of it.
func TestSecretsAreKeptEncrypted(t *testing.T) {
	c := newConfigured(t)
	v := c.invoke(api.Call{Function: "get", Args: json.RawMessage(`[["url"], 0]`)})
	if got := string(v.Result); got != `[["there"]]` {
		t.Errorf("got %s", got)
	}
	c.close()
	files := 0
	err := filepath.WalkDir(c.state(), func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(name)
		if files++; bytes.Contains(b, []byte("hunter2")) {
			t.Errorf("%s has the secret", name)
		}
		return err
	})
	if err != nil || files < 3 {
		t.Errorf("%d files, %v", files, err)
	}
	if info, err := os.Stat(filepath.Join(c.state(), "secrets.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info, err)
	}
}

func TestAKeyOfSecretsHasToBeOne(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	for _, text := range []string{"", "abc", strings.Repeat("ab", 31), strings.Repeat("ab", 33), strings.Repeat("xy", 32)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := waterbear.Open(t.Context(), waterbear.Options{Dir: t.TempDir(), Platform: &waterbear.PlatformOptions{SecretsKey: file}})
		if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "openssl rand -hex 32") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}
