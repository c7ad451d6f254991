package bench

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
)

var manyWorkers = flag.Int("many", 10_000, "workers of BenchmarkMany")

// goCounter builds a library in Go that counts.
func goCounter(b *testing.B) []byte {
	b.Helper()
	dir := b.TempDir()
	source, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "main.wasm")
	if err := os.WriteFile(source, []byte(counterSource), 0o600); err != nil {
		b.Fatal(err)
	}
	build := exec.Command("go", "build", "-trimpath", "-buildmode=c-shared", "-ldflags=-s -w", "-o", program, source)
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if text, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, text)
	}
	module, err := os.ReadFile(program)
	if err != nil {
		b.Fatal(err)
	}
	return module
}

// processTime is what the process has computed.
func processTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkMany invokes many workers one after the other, over and over, with
// memory for a hundred: each comes back, computes and leaves. It reports
// invocations per second of computing.
func BenchmarkMany(b *testing.B) {
	for name, module := range map[string]func(b *testing.B) []byte{
		"c": func(b *testing.B) []byte { return guests.Wasm(b, "kit") }, "go": goCounter,
	} {
		b.Run("guest="+name, func(b *testing.B) { benchMany(b, module(b)) })
	}
}

func benchMany(b *testing.B, module []byte) {
	node, err := waterbear.Open(b.Context(), waterbear.Options{Dir: b.TempDir(), Platform: &waterbear.PlatformOptions{MaxInstances: 100}})
	if err != nil {
		b.Fatal(err)
	}
	defer node.Close()
	p := node.Platform()
	if _, err := p.Deploy(b.Context(), "many", module, nil); err != nil {
		b.Fatal(err)
	}
	round := func(want int) {
		var next atomic.Int64
		var wait sync.WaitGroup
		for range 32 {
			wait.Go(func() {
				for i := next.Add(1); i <= int64(*manyWorkers); i = next.Add(1) {
					v, err := p.Invoke(b.Context(), "many", fmt.Sprint("w", i), api.Call{Function: "inc", Args: json.RawMessage("[1]")})
					if err != nil || string(v.Result) != fmt.Sprintf("[%d]", want) {
						b.Errorf("w%d: %s, %v, %v, want %d", i, v.Result, v.Failure, err, want)
						return
					}
				}
			})
		}
		wait.Wait()
	}
	began, computed := time.Now(), processTime(b)
	round(1)
	b.Logf("created %d workers in %v, %v of computing", *manyWorkers, time.Since(began), processTime(b)-computed)
	round(2)
	rounds := 2
	computed = processTime(b)
	for b.Loop() {
		rounds++
		round(rounds)
	}
	spent := processTime(b) - computed
	b.ReportMetric(float64(*manyWorkers)*float64(b.N)/spent.Seconds(), "invocations/CPU-s")
	s := p.Stats()
	b.ReportMetric(float64(s.DeltaBytes)/float64(max(s.Deltas, 1)), "B/delta")
	b.ReportMetric(float64(s.Images), "images")
}
