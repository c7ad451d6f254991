package wasip1_test

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

// TestOfficialSuitePasses runs the WASI 0.1 programs of
// WebAssembly/wasi-testsuite that WATERBEAR_WASI_TESTSUITE has.
func TestOfficialSuitePasses(t *testing.T) {
	dir := os.Getenv("WATERBEAR_WASI_TESTSUITE")
	if dir == "" {
		t.Skip("WATERBEAR_WASI_TESTSUITE names no directory")
	}
	var programs []string
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".wasm") && strings.Contains(path, "wasm32-wasip1") {
			programs = append(programs, path)
		}
		return err
	}))
	if len(programs) == 0 {
		t.Fatalf("%s has no programs", dir)
	}
	for _, path := range programs {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".wasm"), func(t *testing.T) { official(t, path) })
	}
	t.Logf("%d programs", len(programs))
}

func official(t *testing.T, path string) {
	var m manifest
	spec, err := os.ReadFile(strings.TrimSuffix(path, ".wasm") + ".json")
	if err == nil {
		err = json.Unmarshal(spec, &m)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(path)
	must(t, err)
	p := program{args: append([]string{filepath.Base(path)}, m.Args...)}
	for k, v := range m.Env {
		p.env = append(p.env, k+"="+v)
	}
	slices.Sort(p.env)
	if m.Root != "" {
		p.root = filepath.Join(filepath.Dir(path), m.Root)
	}
	r := newRunner(t)
	o := r.run(t, r.compile(t, binary), p)
	if o.code != m.ExitCode {
		t.Errorf("exit code: got %d, want %d\nstderr: %s", o.code, m.ExitCode, o.stderr)
	}
	if m.Stdout != nil && o.stdout != *m.Stdout {
		t.Errorf("stdout: got %q, want %q", o.stdout, *m.Stdout)
	}
}
