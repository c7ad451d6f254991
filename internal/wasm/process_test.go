package wasm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/waterbear-run/waterbear/internal/wasm"
)

// cacheOfProcess names, to a process that is started by a test, the cache
// directory that it is to use.
const cacheOfProcess = "WATERBEAR_TEST_CACHE"

// startWithCache starts this test program again, to run a test in a process of
// its own.
func startWithCache(t *testing.T, test, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), cacheOfProcess+"="+dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestProcessesShareACacheDirectory(t *testing.T) {
	const modules = 20
	if dir := os.Getenv(cacheOfProcess); dir != "" {
		e := newEngine(t, wasm.Config{CacheDir: dir})
		for n := range int64(modules) {
			if got, _ := ask(t, e, answer(n)); got != uint64(n) {
				t.Errorf("got %d, want %d", got, n)
			}
		}
		return
	}
	dir := t.TempDir()
	var processes []*exec.Cmd
	for range 4 {
		processes = append(processes, startWithCache(t, t.Name(), dir))
	}
	if err := processes[0].Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = processes[0].Wait() // it was killed, if it was not done yet
	for _, p := range processes[1:] {
		if err := p.Wait(); err != nil {
			t.Error(err)
		}
	}
	e := newEngine(t, wasm.Config{CacheDir: dir})
	for n := range int64(modules) {
		if got, stages := ask(t, e, answer(n)); got != uint64(n) || stages[0] != "loading" {
			t.Errorf("got %d by %v, want %d from the cache", got, stages, n)
		}
	}
	if engines, _ := filepath.Glob(filepath.Join(dir, "engines", "*")); len(engines) != 1 {
		t.Errorf("got the directories %v, want that of one engine", engines)
	}
}
