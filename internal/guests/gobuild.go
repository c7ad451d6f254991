package guests

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Go builds the Go program in dir, a slash-separated path in the repository,
// for wasip1. What it built is kept in the user's cache directory by the
// content of the program and the version of Go, so that only the first test
// after a change waits. Such a program imports the standard library alone, and
// the package that asks Waterbear.
func Go(t testing.TB, dir string) []byte {
	t.Helper()
	return goGuest(t, dir)
}

// GoLibrary builds the Go program in dir as Go does, but as a library.
func GoLibrary(t testing.TB, dir string) []byte {
	t.Helper()
	return goGuest(t, dir, "-buildmode=c-shared")
}

func goGuest(t testing.TB, dir string, flags ...string) []byte {
	t.Helper()
	source := filepath.Join(Root(t), filepath.FromSlash(dir))
	key, err := goKey(Root(t), source, flags)
	if err != nil {
		t.Fatalf("build the Go guest %s: %v", dir, err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "waterbear-test", "guests")
	built := filepath.Join(cache, filepath.Base(dir)+"-"+key+".wasm")
	if module, err := os.ReadFile(built); err == nil {
		return module
	}
	if err := buildGo(source, cache, built, flags); err != nil {
		t.Fatalf("build the Go guest %s: %v", dir, err)
	}
	module, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	return module
}

// buildGo builds beside the target and renames, for several test processes
// build at the same time.
func buildGo(source, cache, built string, flags []string) error {
	if err := os.MkdirAll(cache, 0o777); err != nil {
		return err
	}
	private, err := os.MkdirTemp(cache, "build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(private)
	module := filepath.Join(private, "guest.wasm")
	args := append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", module}, flags...)
	build := exec.Command("go", append(args, ".")...)
	build.Dir = source
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return os.Rename(module, built)
}

// goKey hashes all that decides what the program in dir becomes.
func goKey(root, dir string, flags []string) (string, error) {
	version := exec.Command("go", "env", "GOVERSION")
	version.Dir = dir
	out, err := version.Output()
	if err != nil {
		return "", fmt.Errorf("ask the go command for its version: %w", err)
	}
	var files []string
	for _, of := range []string{dir, filepath.Join(root, "guest", "go")} {
		found, err := filepath.Glob(filepath.Join(of, "*.go"))
		if err != nil {
			return "", err
		}
		if len(found) == 0 {
			return "", fmt.Errorf("no Go files in %s", of)
		}
		files = append(files, found...)
	}
	sum := sha256.New()
	sum.Write(out)
	fmt.Fprint(sum, flags)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		if err := importsOnlyStandard(file, text); err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n%s", filepath.Base(file), len(text), text)
	}
	return hex.EncodeToString(sum.Sum(nil)[:12]), nil
}

// guestPackage is what programs import to ask Waterbear.
const guestPackage = "github.com/waterbear-run/waterbear/guest/go"

// importsOnlyStandard refuses imports that goKey could not see change.
func importsOnlyStandard(file string, text []byte) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ImportsOnly)
	if err != nil {
		return err
	}
	for _, spec := range parsed.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") && path != guestPackage {
			return fmt.Errorf("%s imports %s, and a guest may import the standard library and %s alone", file, path, guestPackage)
		}
	}
	return nil
}
