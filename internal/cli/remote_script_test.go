package cli

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/waterbear-run/waterbear/internal/guests"
)

// TestServerScripts runs the stories of testdata/server: what a person types to
// a server that is a process of its own, which may be killed. $COUNTER, $KIT and
// $PRIMES are programs, $TYPED and $TOUR components of WASI 0.2.
func TestServerScripts(t *testing.T) {
	root := guests.Root(t)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "server"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			for name, file := range map[string]string{
				"COUNTER": "examples/counter/counter.wasm", "PRIMES": "examples/primes/primes.wasm", "KIT": "internal/guests/testdata/kit.wasm",
				"TYPED": "examples/kit/rust.wasm", "TOUR": "internal/guests/testdata/components/tour.wasm",
			} {
				env.Setenv(name, filepath.Join(root, filepath.FromSlash(file)))
			}
			all := processes{}
			env.Values[processesKey{}] = all
			env.Defer(func() {
				for _, p := range all {
					_ = p.Process.Kill()
					_ = p.Wait()
				}
			})
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": codeCmd, "start": startCmd, "signal": signalCmd, "ended": endedCmd, "await": awaitCmd, "serve": serveCmd,
		},
	})
}

var listening = regexp.MustCompile(`listening on (https?://([^ ,]+))`)

var routing = regexp.MustCompile(`serving routes on (https?://[^ ,]+)`)

// serveCmd starts a server and waits until it listens: serve NAME [FLAGS...].
// $WATERBEAR_SERVER is its URL, which the next one of the script has again, and
// $ROUTES that of its routes.
func serveCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: serve NAME [FLAGS...]")
	}
	listen := ts.Getenv("LISTEN")
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	self, err := exec.LookPath("waterbear")
	ts.Check(err)
	startCmd(ts, false, append([]string{args[0], self, "server", "--state", "data", "--listen", listen}, args[1:]...))
	out := args[0] + ".out"
	awaitCmd(ts, false, []string{out, listening.String()})
	found := listening.FindStringSubmatch(ts.ReadFile(out))
	if slices.Contains(args, "--routes-listen") {
		awaitCmd(ts, false, []string{out, routing.String()})
		ts.Setenv("ROUTES", routing.FindStringSubmatch(ts.ReadFile(out))[1])
	}
	ts.Setenv(serverVariable, found[1])
	ts.Setenv("LISTEN", found[2])
}
