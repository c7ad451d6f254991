// Package guests gives tests and benchmarks real programs to run: those of
// examples/, which people read, and those of testdata/, which only try the
// host. Modules that come from other toolchains than Go are committed with
// their source and their hashes; Go programs are built when a test asks.
// No other package than tests imports it.
package guests

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// sumsFile lists the hash of every committed module, in the form of sha256sum.
const sumsFile = "internal/guests/SHA256SUMS"

// Wasm returns a committed module or component by its name: "primes" is that of
// examples/primes, "kit/rust" the kit in Rust, "effects" and "hostile" are of
// testdata, and so are the small invalid or unusual ones, "odd/start-spin" for
// example. One that is not what SHA256SUMS says fails the test.
func Wasm(t testing.TB, name string) []byte {
	t.Helper()
	root := Root(t)
	sums, err := readSums(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{
		fmt.Sprintf("examples/%s/%s.wasm", name, name),
		fmt.Sprintf("examples/%s.wasm", name),
		fmt.Sprintf("internal/guests/testdata/%s.wasm", name),
	} {
		want, ok := sums[file]
		if !ok {
			continue
		}
		module, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatalf("read guest %s: %v", name, err)
		}
		if got := hashOf(module); got != want {
			t.Fatalf("guest %s has SHA-256 %s, and %s says %s", name, got, sumsFile, want)
		}
		return module
	}
	t.Fatalf("%s lists no guest %s", sumsFile, name)
	return nil
}

// Root is the directory of the repository.
func Root(t testing.TB) string {
	t.Helper()
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// findRoot goes up from the directory that the test runs in, which is its
// package's.
var findRoot = sync.OnceValues(func() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for start := dir; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(sumsFile))); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the repository above %s: none of its parents has %s", start, sumsFile)
		}
	}
})

// readSums gives the hash of each committed module by its slash-separated path
// in the repository.
func readSums(root string) (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(sumsFile)))
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	for line := range strings.Lines(string(text)) {
		sum, file, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok || len(sum) != hex.EncodedLen(sha256.Size) {
			return nil, fmt.Errorf("read %s: no hash and file in %q", sumsFile, line)
		}
		sums[file] = sum
	}
	return sums, nil
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
