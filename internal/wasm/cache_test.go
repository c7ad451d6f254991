package wasm_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/waterbear-run/waterbear/internal/wasm"
)

// answer is a module whose function answers with a constant.
func answer(n int64) []byte {
	g := &guest{}
	g.function("answer", nil, []byte{typeI32}, nil, opI32Const, n)
	return g.binary()
}

// ask compiles and runs a module of answer, and tells how it was compiled.
func ask(t *testing.T, e *wasm.Engine, source []byte) (got uint64, stages []string) {
	t.Helper()
	m, err := e.Compile(context.Background(), source, func(stage string, _ float64) {
		if !slices.Contains(stages, stage) {
			stages = append(stages, stage)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	in, err := m.Instantiate(context.Background(), wasm.InstanceConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	stack := make([]uint64, 1)
	if err := in.Call(context.Background(), "answer", stack); err != nil {
		t.Fatal(err)
	}
	return stack[0], stages
}

// entries are the files of a cache directory.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "entries", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestCompiledCodeIsFoundAgainByAnotherEngine(t *testing.T) {
	dir := t.TempDir()
	for i, want := range [][]string{{"compiling"}, {"loading"}, {"loading"}} {
		e := newEngine(t, wasm.Config{CacheDir: dir})
		for _, n := range []int64{7, 8} {
			got, stages := ask(t, e, answer(n))
			if got != uint64(n) || !slices.Equal(stages, want) {
				t.Errorf("engine %d: got %d by %v, want %d by %v", i, got, stages, n, want)
			}
		}
	}
}

func TestDamagedCacheEntryIsCompiledAgain(t *testing.T) {
	dir := t.TempDir()
	source := answer(7)
	ask(t, newEngine(t, wasm.Config{CacheDir: dir}), source)
	file := entries(t, dir)[0]
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damage := map[string][]byte{"empty": {}, "longer": append(slices.Clone(whole), 0)}
	for at := 0; at < len(whole); at += 97 {
		flipped := slices.Clone(whole)
		flipped[at] ^= 0x10
		damage["flipped"] = flipped
		damage["cut"] = whole[:at]
		for name, data := range damage {
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			e, err := wasm.New(context.Background(), wasm.Config{CacheDir: dir})
			if err != nil {
				t.Fatal(err)
			}
			if got, stages := ask(t, e, source); got != 7 || !slices.Equal(stages, []string{"compiling"}) {
				t.Fatalf("%s at %d: got %d by %v, want 7 by compiling", name, at, got, stages)
			}
			if again, err := os.ReadFile(file); err != nil || !bytes.Equal(again[:28], whole[:28]) {
				t.Fatalf("%s at %d: the entry was not written again: %v", name, at, err)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestUnusableCacheDirectoryIsDoneWithout(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below"), "/proc/nowhere", "\x00"} {
		e := newEngine(t, wasm.Config{CacheDir: dir})
		if got, _ := ask(t, e, answer(7)); got != 7 {
			t.Errorf("cache in %q: got %d, want 7", dir, got)
		}
	}
}

func TestCacheDirectoryThatVanishesIsDoneWithout(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, wasm.Config{CacheDir: dir})
	ask(t, e, answer(7))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{7, 8} {
		if got, _ := ask(t, e, answer(n)); got != uint64(n) {
			t.Errorf("got %d, want %d", got, n)
		}
	}
}

func TestEnginesShareACacheDirectory(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			e, err := wasm.New(context.Background(), wasm.Config{CacheDir: dir})
			if err != nil {
				t.Error(err)
				return
			}
			for n := range int64(20) {
				if got, _ := ask(t, e, answer(n)); got != uint64(n) {
					t.Errorf("got %d, want %d", got, n)
				}
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(entries(t, dir)); got != 20 {
		t.Errorf("the cache has %d entries, want 20", got)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "engines", "*")); len(left) > 0 {
		t.Errorf("the engines left %v behind", left)
	}
}

func TestWhatAKilledEngineLeftBehindIsRemoved(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "engines", "killed")
	if err := os.MkdirAll(filepath.Join(left, "code"), 0o700); err != nil {
		t.Fatal(err)
	}
	alive := newEngine(t, wasm.Config{CacheDir: dir})
	ask(t, newEngine(t, wasm.Config{CacheDir: dir}), answer(1))
	if _, err := os.Stat(left); err == nil {
		t.Error("the directory of a killed engine is still there")
	}
	if got, _ := ask(t, alive, answer(2)); got != 2 || len(entries(t, dir)) != 2 {
		t.Errorf("got %d and %d entries, want 2 and 2: a living engine lost its directory", got, len(entries(t, dir)))
	}
}

func TestProgressIsToldUntilTheModuleIsCompiled(t *testing.T) {
	var mu sync.Mutex
	var told []float64
	e := newEngine(t, wasm.Config{})
	_, err := e.Compile(context.Background(), buildGo(t, helloSource), func(stage string, done float64) {
		mu.Lock()
		defer mu.Unlock()
		if stage != "compiling" {
			t.Errorf("got stage %q", stage)
		}
		told = append(told, done)
	})
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(told) < 3 || told[0] != 0 || told[len(told)-1] != 1 || !slices.IsSorted(told) {
		t.Errorf("got %v, want more than begin and end, from 0 to 1", told)
	}
}

func TestCompileGivesUpWhenItsContextIsDone(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := e.Compile(ctx, answer(1), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestModulesAreCompiledByManyTasks(t *testing.T) {
	e := newEngine(t, wasm.Config{CacheDir: t.TempDir()})
	var wg sync.WaitGroup
	for i := range int64(8) {
		wg.Go(func() {
			for n := range int64(5) {
				want := uint64(10*(i%2) + n)
				if got, _ := ask(t, e, answer(int64(want))); got != want {
					t.Errorf("got %d, want %d", got, want)
				}
			}
		})
	}
	wg.Wait()
}
