package guests_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/waterbear-run/waterbear/internal/guests"
)

// maxCommitted bounds what the committed modules weigh in the repository.
const maxCommitted = 10 << 20

func TestEveryCommittedModuleHasItsHash(t *testing.T) {
	root := guests.Root(t)
	text, err := os.ReadFile(filepath.Join(root, "internal", "guests", "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for line := range strings.Lines(string(text)) {
		sum, file, _ := strings.Cut(strings.TrimSpace(line), "  ")
		listed[file] = sum
	}
	total := 0
	for _, file := range committedModules(t, root) {
		module, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		total += len(module)
		if got, want := hash(module), listed[file]; got != want {
			t.Errorf("%s has SHA-256 %s, and SHA256SUMS says %q: rebuild it, or run internal/guests/sums.sh if the change is meant", file, got, want)
		}
		delete(listed, file)
	}
	for file := range listed {
		t.Errorf("SHA256SUMS lists %s, which is not there", file)
	}
	if total > maxCommitted {
		t.Errorf("the committed modules weigh %d bytes, more than %d", total, maxCommitted)
	}
}

// committedModules finds the modules in the work tree, less those that are
// built on demand and what lies in directories of build tools.
func committedModules(t *testing.T, root string) []string {
	t.Helper()
	skip := map[string]bool{"node_modules": true, "build": true, "pipeline": true, "python": true, "reminder": true, "branches": true}
	var modules []string
	for _, top := range []string{"examples", "internal/guests/testdata"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() && skip[entry.Name()] {
				return fs.SkipDir
			}
			if filepath.Ext(path) != ".wasm" {
				return nil
			}
			file, err := filepath.Rel(root, path)
			modules = append(modules, filepath.ToSlash(file))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return modules
}

// TestCommittedModulesAreWhatTheirSourcesGive builds every module again, less
// the components on QuickJS: they have the clock and the random numbers of their
// build in them. It needs the compilers that examples/setup.sh installs.
func TestCommittedModulesAreWhatTheirSourcesGive(t *testing.T) {
	if os.Getenv("WATERBEAR_REBUILD_GUESTS") == "" {
		t.Skip("set WATERBEAR_REBUILD_GUESTS to build the guests again, with the compilers of examples/setup.sh")
	}
	root := guests.Root(t)
	for _, name := range []string{"clocks", "countdown", "errands", "ledger", "lua", "primes"} {
		t.Run(name, func(t *testing.T) {
			built := filepath.Join(t.TempDir(), name+".wasm")
			run(t, filepath.Join(root, "examples", name, "build.sh"), built)
			compareFiles(t, built, filepath.Join(root, "examples", name, name+".wasm"))
		})
	}
	testdata := filepath.Join(root, "internal", "guests", "testdata")
	kit := filepath.Join(root, "examples", "kit")
	for _, b := range []struct {
		name, script, committed string
		patterns                []string
	}{
		{"testdata", filepath.Join(testdata, "build.sh"), testdata, []string{"*.wasm", "odd/*.wasm"}},
		{"components", filepath.Join(testdata, "components", "build.sh"), filepath.Join(testdata, "components"), []string{"*.wasm"}},
		{"chat", filepath.Join(root, "examples", "chat", "build.sh"), filepath.Join(root, "examples", "chat"), []string{"*.wasm"}},
		{"agent", filepath.Join(root, "examples", "agent", "build.sh"), filepath.Join(root, "examples", "agent"), []string{"*.wasm"}},
		{"approval", filepath.Join(root, "examples", "approval", "build.sh"), filepath.Join(root, "examples", "approval"), []string{"*.wasm"}},
		{"saga", filepath.Join(root, "examples", "saga", "build.sh"), filepath.Join(root, "examples", "saga"), []string{"*.wasm"}},
		{"crawler", filepath.Join(root, "examples", "crawler", "build.sh"), filepath.Join(root, "examples", "crawler"), []string{"*.wasm"}},
		{"kit in C", filepath.Join(kit, "c", "build.sh"), kit, []string{"c*.wasm"}},
		{"kit in Rust", filepath.Join(kit, "rust", "build.sh"), kit, []string{"rust*.wasm"}},
	} {
		t.Run(b.name, func(t *testing.T) {
			out := t.TempDir()
			run(t, b.script, out)
			compareDirs(t, out, b.committed, b.patterns)
		})
	}
}

// compareDirs compares what the patterns match in want with the files of the
// same names in got.
func compareDirs(t *testing.T, got, want string, patterns []string) {
	t.Helper()
	for _, pattern := range patterns {
		files, err := filepath.Glob(filepath.Join(want, pattern))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) == 0 {
			t.Errorf("nothing in %s is %s", want, pattern)
		}
		for _, file := range files {
			rel, err := filepath.Rel(want, file)
			if err != nil {
				t.Fatal(err)
			}
			compareFiles(t, filepath.Join(got, rel), file)
		}
	}
}

func run(t *testing.T, command string, args ...string) {
	t.Helper()
	if out, err := exec.Command(command, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

func compareFiles(t *testing.T, got, want string) {
	t.Helper()
	a, err := os.ReadFile(got)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("%s differs from what its source gives: %d bytes with %s, now %d with %s", want, len(b), hash(b), len(a), hash(a))
	}
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// TestExamplesDoWhatTheySay runs each on wazero's own WASI host, which nobody
// here wrote.
func TestExamplesDoWhatTheySay(t *testing.T) {
	runtime := newPeer(t)
	for _, example := range guests.Examples(t) {
		t.Run(example.Name, func(t *testing.T) {
			if example.Name == "countdown" {
				t.Skip("wazero's own host cannot sleep until a moment of the clock")
			}
			first := runtime.run(t, example)
			if first.code != example.ShortExit {
				t.Fatalf("the exit code is %d instead of %d; stderr: %s", first.code, example.ShortExit, first.stderr)
			}
			if err := example.Check([]byte(first.stdout), first.files); err != nil {
				t.Error(err)
			}
			if !example.Same {
				return
			}
			second := runtime.run(t, example)
			if first.stdout != second.stdout || first.stderr != second.stderr {
				t.Errorf("two runs print different things:\n%s%s\n%s%s", first.stdout, first.stderr, second.stdout, second.stderr)
			}
			for name, content := range first.files {
				if !bytes.Equal(content, second.files[name]) {
					t.Errorf("two runs leave different files %s", name)
				}
			}
		})
	}
}

func TestCheckClocksFindsReadingsThatChanged(t *testing.T) {
	runtime := newPeer(t)
	var clocks guests.Example
	for _, e := range guests.Examples(t) {
		if e.Name == "clocks" {
			clocks = e
		}
	}
	good := runtime.run(t, clocks)
	log := good.files["clocks.log"]
	lines := bytes.SplitAfter(log, []byte("\n"))
	swapped := bytes.Join([][]byte{lines[1], lines[0], bytes.Join(lines[2:], nil)}, nil)
	repeated := bytes.Join([][]byte{lines[0], lines[0], bytes.Join(lines[2:], nil)}, nil)
	other := bytes.Replace(log, []byte("\n"), []byte("0\n"), 1)
	for name, bad := range map[string][]byte{
		"order of readings": swapped,
		"repeated reading":  repeated,
		"other reading":     other,
		"lost reading":      bytes.Join(lines[1:], nil),
		"half a line":       log[:len(log)-3],
		"empty file":        nil,
	} {
		if guests.CheckClocks([]byte(good.stdout), map[string][]byte{"clocks.log": bad}) == nil {
			t.Errorf("CheckClocks accepts clocks.log with: %s", name)
		}
	}
	printed := strings.SplitAfter(good.stdout, "\n")
	for name, bad := range map[string]string{
		"a line twice": printed[0] + good.stdout,
		"a line lost":  strings.Join(printed[1:], ""),
		"no verdict":   strings.Join(printed[:len(printed)-2], ""),
		"nothing":      "",
	} {
		if guests.CheckClocks([]byte(bad), good.files) == nil {
			t.Errorf("CheckClocks accepts an output with: %s", name)
		}
	}
}

func TestEveryHostileModuleIsListed(t *testing.T) {
	files, err := filepath.Glob("testdata/odd/*.wasm")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, odd := range guests.Odds {
		listed[odd.Name] = true
		guests.Wasm(t, "odd/"+odd.Name)
	}
	if len(files) != len(listed) {
		t.Errorf("testdata/odd has %d modules and Odds lists %d", len(files), len(listed))
	}
	source, err := os.ReadFile("testdata/hostile.c")
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]bool{}
	for _, misdeed := range guests.Misdeeds {
		modes[misdeed.Args[0]] = true
	}
	_, table, _ := strings.Cut(string(source), "} modes[] = {")
	table, _, _ = strings.Cut(table, "};")
	for line := range strings.Lines(strings.TrimSpace(table)) {
		name, _, _ := strings.Cut(strings.TrimLeft(line, "\t{\""), "\"")
		if !modes[name] {
			t.Errorf("Misdeeds lacks the mode %q of hostile.c", name)
		}
	}
}

// peer is wazero with its own WASI host.
type peer struct{ wazero.Runtime }

func newPeer(t *testing.T) peer {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	compiled, err := wazero.NewCompilationCacheWithDir(filepath.Join(cache, "waterbear-test", "wazero"))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(compiled).
		WithCoreFeatures(api.CoreFeaturesV2|experimental.CoreFeaturesExceptionHandling))
	t.Cleanup(func() {
		if err := errors.Join(r.Close(ctx), compiled.Close(ctx)); err != nil {
			t.Error(err)
		}
	})
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	return peer{r}
}

// outcome is what a run left.
type outcome struct {
	stdout, stderr string
	code           int
	files          map[string][]byte
}

// run runs an example with its short arguments.
func (p peer) run(t *testing.T, e guests.Example) outcome {
	t.Helper()
	root := t.TempDir()
	for name, content := range e.Files {
		if err := os.WriteFile(filepath.Join(root, name), content, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	var stdout, stderr bytes.Buffer
	config := wazero.NewModuleConfig().WithName("").WithArgs(append([]string{e.Name}, e.Short...)...).
		WithStdin(strings.NewReader(e.Stdin)).WithStdout(&stdout).WithStderr(&stderr).
		WithSysWalltime().WithSysNanotime().WithSysNanosleep().WithFSConfig(wazero.NewFSConfig().WithDirMount(root, "/"))
	config = config.WithRandSource(rand.Reader)
	module, err := p.InstantiateWithConfig(context.Background(), e.Program(t), config)
	var exit *sys.ExitError
	switch {
	case errors.As(err, &exit):
	case err != nil:
		t.Fatalf("run %s: %v", e.Name, err)
	default:
		if err := module.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	o := outcome{stdout: stdout.String(), stderr: stderr.String(), files: map[string][]byte{}}
	if exit != nil {
		o.code = int(exit.ExitCode())
	}
	o.files = readTree(t, root)
	return o
}

func readTree(t *testing.T, root string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
