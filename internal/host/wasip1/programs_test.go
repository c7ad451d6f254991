package wasip1_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/guests"
)

// Programs of each language run as they do elsewhere.
func TestExamplesRun(t *testing.T) {
	r := newRunner(t)
	for _, e := range guests.Examples(t) {
		t.Run(e.Name, func(t *testing.T) {
			dir := t.TempDir()
			for path, content := range e.Files {
				must(t, os.WriteFile(filepath.Join(dir, path), content, 0o600))
			}
			p := program{args: append([]string{e.Name}, e.Short...), root: dir, stdin: strings.NewReader(e.Stdin)}
			o := r.run(t, r.compile(t, e.Program(t)), p)
			if o.code != uint32(e.ShortExit) {
				t.Errorf("exit code: got %d, want %d\nstdout: %s\nstderr: %s", o.code, e.ShortExit, o.stdout, o.stderr)
			}
			if o.stdout == "" {
				t.Error("it printed nothing")
			}
		})
	}
}

func TestGoProgramFindsAnOrdinarySystem(t *testing.T) {
	r := newRunner(t)
	o := r.run(t, r.compile(t, guests.Go(t, "internal/host/wasip1/testdata/everything")), program{
		args: []string{"everything", "one", "two words"}, env: []string{"GREETING=hello", "PWD=/"},
		root: t.TempDir(), stdin: strings.NewReader("some\ninput\nwithout an end"),
	})
	if want := "SOME\nINPUT\nWITHOUT AN END\n"; o.code != 7 || o.stdout != want {
		t.Errorf("got code %d, %q, want 7, %q\nstderr: %s", o.code, o.stdout, want, o.stderr)
	}
	file, err := o.fs.View().Open("small")
	must(t, err)
	if info, err := file.Stat(); err != nil || info.Size() != 10 {
		t.Errorf("it left a file of %d bytes, %v", info.Size(), err)
	}
}

// TestGoSuitesPass runs what Go tests its own packages with. It takes minutes
// and WATERBEAR_GO_SUITES=1.
func TestGoSuitesPass(t *testing.T) {
	if os.Getenv("WATERBEAR_GO_SUITES") == "" {
		t.Skip("WATERBEAR_GO_SUITES is not set")
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	must(t, err)
	r := newRunner(t)
	for _, pkg := range []string{"os", "io/fs", "io/ioutil", "path/filepath", "time", "bufio", "runtime/debug"} {
		t.Run(pkg, func(t *testing.T) {
			module := filepath.Join(t.TempDir(), "suite.wasm")
			build := exec.Command("go", "test", "-c", "-o", module, pkg)
			build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("build: %v\n%s", err, out)
			}
			binary, err := os.ReadFile(module)
			must(t, err)
			o := r.run(t, r.compile(t, binary), program{
				// There are no devices.
				args: []string{"suite", "-test.short", "-test.skip=TestDevNullFile|TestOpenFileDevNull"},
				env:  []string{"PWD=/src/" + pkg, "GOROOT=/", "HOME=/tmp", "GOVERSION=" + runtime.Version()},
				root: strings.TrimSpace(string(root)),
			})
			if o.code != 0 {
				t.Errorf("exit code %d\n%s\n%s", o.code, o.stdout, o.stderr)
			}
		})
	}
}
