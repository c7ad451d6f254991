package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// TestGuideScripts does what docs/guide tells a new user to do, in a directory
// that has the examples as a clone of the repository has them.
func TestGuideScripts(t *testing.T) {
	examples := filepath.Join(guests.Root(t), "examples")
	goCache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "guide"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("ROOT", guests.Root(t))
			env.Setenv("GOCACHE", strings.TrimSpace(string(goCache)))
			all := processes{}
			env.Values[processesKey{}] = all
			env.Defer(func() {
				for _, p := range all {
					_ = p.Process.Kill()
					_ = p.Wait()
				}
			})
			for _, name := range []string{"counter", "echo", "ledger", "chat", "approval"} {
				if err := os.CopyFS(filepath.Join(env.WorkDir, "examples", name), os.DirFS(filepath.Join(examples, name))); err != nil {
					return err
				}
			}
			// Of others there is much beside, which builds them.
			for _, file := range []string{
				"examples/kit/rust.wasm", "examples/shop/pricing.wasm", "examples/shop/orders.wasm",
				"examples/saga/saga.wasm", "examples/poll/poll.wasm", "examples/fetch/fetch.wasm",
				"internal/guests/testdata/components/configured.wasm", "internal/guests/testdata/components/kept.wasm",
				"internal/guests/testdata/components/blobs.wasm",
			} {
				program, err := os.ReadFile(filepath.Join(guests.Root(t), filepath.FromSlash(file)))
				to := filepath.Join(env.WorkDir, filepath.FromSlash(file))
				if err == nil {
					err = os.MkdirAll(filepath.Dir(to), 0o755)
				}
				if err == nil {
					err = os.WriteFile(to, program, 0o644)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": startCmd, "signal": signalCmd, "ended": endedCmd, "await": awaitCmd, "serve": serveCmd,
			"grab": grabCmd, "remote": remoteCmd,
		},
	})
}

// otherwise are commands of the guide that its script does in its own way, for
// it starts and kills servers, or that only show what others print.
var otherwise = map[string]bool{
	"go install ./cmd/waterbear":                      true,
	"waterbear server":                                true,
	"waterbear server --routes-listen 127.0.0.1:8080": true,
	"kill -9 $(pgrep -f 'waterbear server')":          true,
	"waterbear invoke counter/alice rest 20":          true,
	"go run ./examples/saga/services":                 true,
}

// TestEveryCommandOfTheGuideIsTried demands that what a new user is told to
// type is what the scripts try, and that the program they are told to write and
// what they are told to expect are the scripts' files.
func TestEveryCommandOfTheGuideIsTried(t *testing.T) {
	for name, least := range map[string]int{"getting-started": 20, "components": 15, "sockets": 5, "calling-workers": 10, "serving": 7, "routes": 15, "promises": 12, "calls": 16, "durable": 14, "keyvalue": 7, "blobstore": 8} {
		t.Run(name, func(t *testing.T) { triedInGuide(t, name, least) })
	}
}

// quotedURL is a URL that a shell needs quotes around. Where the scripts have a
// variable in it they cannot have them.
var quotedURL = regexp.MustCompile(`'(http://[^' ]+)'`)

// grabCmd runs a command until its output matches, and keeps what the group does
// in a variable: grab VARIABLE REGEXP COMMAND [ARGS...]
func grabCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: grab VARIABLE REGEXP COMMAND [ARGS...]")
	}
	want := regexp.MustCompile("(?m)" + args[1])
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		err := ts.Exec(args[2], args[3:]...)
		found := want.FindStringSubmatch(ts.ReadFile("stdout"))
		if err == nil && len(found) == 2 {
			ts.Setenv(args[0], found[1])
			return
		}
		if time.Since(began) > patience {
			ts.Fatalf("%q does not print %s: %v", args[2:], args[1], err)
		}
	}
}

// remoteCmd starts a server at $REMOTE that notes each request's body in a file, and
// says what it has ordered; but never answers the first request with a body that
// matches: remote FILE REGEXP
func remoteCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: remote FILE REGEXP")
	}
	log, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	waits, seen := regexp.MustCompile(args[1]), sync.Map{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		_, known := seen.LoadOrStore(string(body), true)
		fmt.Fprintf(log, "%s %s: %s\n", q.Method, q.URL.Path, body)
		if !known && waits.Match(body) {
			<-q.Context().Done()
			return
		}
		fmt.Fprintf(w, "order of %s", body)
	}))
	ts.Setenv("REMOTE", s.URL)
	ts.Defer(func() {
		s.CloseClientConnections()
		s.Close()
		_ = log.Close()
	})
}

// triedInGuide holds a page of the guide, with least commands or more, to the
// script of its name.
func triedInGuide(t *testing.T, name string, least int) {
	content, err := os.ReadFile(filepath.Join("testdata", "guide", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	script, tried := string(content), map[string]bool{}
	for line := range strings.Lines(script) {
		if word, command, _ := strings.Cut(strings.TrimSpace(line), " "); word == "start" {
			_, command, _ = strings.Cut(command, " ")
			tried[command] = true
		}
		if command, ok := strings.CutPrefix(strings.TrimLeft(strings.TrimPrefix(strings.TrimSpace(line), "[exec:curl] "), "! "), "exec "); ok {
			tried[strings.TrimPrefix(command, "env ")] = true
		}
	}
	page, commands := readGuide(t, name+".md"), 0
	for line := range strings.Lines(page) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ ")
		if !ok {
			continue
		}
		commands++
		command = quotedURL.ReplaceAllString(command, "$1")
		if command = strings.NewReplacer(client.DefaultURL, "$"+serverVariable, "http://127.0.0.1:8080", "$ROUTES", "http://127.0.0.1:9000", "$REMOTE", "localhost:8090", "localhost:$SERVICES").Replace(command); !tried[command] && !otherwise[command] {
			t.Errorf("no script tries `%s`", command)
		}
	}
	if commands < least {
		t.Errorf("found only %d commands in the guide", commands)
	}
	_, files, _ := strings.Cut(script, "\n-- ")
	for file := range strings.SplitSeq(files, "\n-- ") {
		name, content, _ := strings.Cut(file, " --\n")
		if content = strings.TrimRight(content, "\n"); !strings.Contains(page, "\n"+content+"\n") {
			t.Errorf("the guide has another %s than the script:\n%s", name, content)
		}
	}
}

// TestTheGuideNamesEveryCodeStatusAndSetting holds the tables of the guide to
// what there is.
func TestTheGuideNamesEveryCodeStatusAndSetting(t *testing.T) {
	demand := func(page, row string) {
		t.Helper()
		if !strings.Contains(readGuide(t, page), "\n"+row) {
			t.Errorf("%s has no row %q", page, row)
		}
	}
	for _, code := range api.Codes() {
		p := api.NewProblem(code, "")
		demand("invocations.md", fmt.Sprintf("| `%s` | %d | %s |\n", code, p.Status, p.Title))
	}
	for _, status := range api.Statuses() {
		demand("workers.md", fmt.Sprintf("| `%s` | ", status))
	}
	for _, state := range []api.InvocationState{
		api.StateScheduled, api.StateQueued, api.StateStarted, api.StateFinished, api.StateFailed, api.StateCanceled,
	} {
		demand("invocations.md", fmt.Sprintf("| `%s` | ", state))
	}
	for _, code := range []api.FailureCode{api.FailedTrap, api.FailedLimit, api.FailedHost, api.FailedCanceled, api.FailedDoubt} {
		demand("invocations.md", fmt.Sprintf("| `%s` | ", code))
	}
	defaults := waterbear.DefaultSettings()
	for page, settings := range map[string]any{"workers.md": defaults.Limits, "invocations.md": defaults.Retry} {
		encoded, err := json.Marshal(settings)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(encoded, &fields); err != nil {
			t.Fatal(err)
		}
		for name := range fields {
			demand(page, fmt.Sprintf("| `%s` | `--", name))
		}
	}
}
