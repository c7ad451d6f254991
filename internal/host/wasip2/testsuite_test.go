package wasip2

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// manifest is what a test of the official suite expects (its
// doc/specification.md).
type manifest struct {
	Args     []string
	Env      map[string]string
	Root     string
	ExitCode uint32 `json:"exit_code"`
	Stdout   *string
	Stderr   string
}

// failInAdapter are the programs that the adapter fails, on every host: its own
// use of the memory, and that of AssemblyScript, get into each other's way.
var failInAdapter = map[string]bool{
	"args_get-multiple-arguments": true, "environ_get-multiple-variables": true, "fd_write-to-invalid-fd": true,
}

// TestOfficialSuitePassesThroughTheAdapter runs the WASI 0.1 programs of
// WebAssembly/wasi-testsuite that WATERBEAR_WASI_TESTSUITE_COMPONENTS has, each
// made a component, name.component.wasm, beside its manifest by the adapter for
// commands that comes with the tools for components.
func TestOfficialSuitePassesThroughTheAdapter(t *testing.T) {
	dir := os.Getenv("WATERBEAR_WASI_TESTSUITE_COMPONENTS")
	if dir == "" {
		t.Skip("WATERBEAR_WASI_TESTSUITE_COMPONENTS names no directory")
	}
	var programs []string
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".component.wasm") {
			programs = append(programs, path)
		}
		return err
	}))
	if len(programs) == 0 {
		t.Fatalf("%s has no programs", dir)
	}
	for _, path := range programs {
		name := strings.TrimSuffix(filepath.Base(path), ".component.wasm")
		t.Run(name, func(t *testing.T) {
			if failInAdapter[name] {
				t.Skip("the adapter fails it")
			}
			official(t, path)
		})
	}
	t.Logf("%d programs", len(programs))
}

func official(t *testing.T, path string) {
	var m manifest
	name := strings.TrimSuffix(path, ".component.wasm")
	spec, err := os.ReadFile(name + ".json")
	if err == nil {
		err = json.Unmarshal(spec, &m)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	source, err := os.ReadFile(path)
	must(t, err)
	c := command{args: append([]string{filepath.Base(name) + ".wasm"}, m.Args...)}
	for k, v := range m.Env {
		c.env = append(c.env, k+"="+v)
	}
	slices.Sort(c.env)
	if m.Root != "" {
		c.root = filepath.Join(filepath.Dir(path), m.Root)
	}
	o := run(t, compile(t, source), c)
	if o.code != min(m.ExitCode, 1) { // all that the adapter can say
		t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", o.code, m.ExitCode, o.stdout, o.stderr)
	}
	if m.Stdout != nil && o.stdout != *m.Stdout {
		t.Errorf("stdout: got %q, want %q", o.stdout, *m.Stdout)
	}
	if m.Stderr != "" && o.stderr != m.Stderr {
		t.Errorf("stderr: got %q, want %q", o.stderr, m.Stderr)
	}
}
