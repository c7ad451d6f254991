package cli

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// demoSource is the program that the demo builds and kills.
//
//go:embed demoguest/main.go
var demoSource []byte

// demoModule needs nothing but the standard library, math/rand/v2 included, which
// came with Go 1.22.
const demoModule = "module demo\n\ngo 1.22\n"

// build compiles the demo's program with the Go toolchain on the PATH.
func (d *demo) build(ctx context.Context) (string, error) {
	began := time.Now()
	tool, err := exec.LookPath("go")
	if err != nil {
		return "", errors.New("build the demo's program: there is no Go toolchain on the PATH; install Go from https://go.dev/dl, or use `waterbear run` on a program of your own")
	}
	source := filepath.Join(d.dir, "program")
	if err := os.Mkdir(source, 0o777); err != nil {
		return "", fmt.Errorf("build the demo's program: %w", err)
	}
	for name, content := range map[string][]byte{"main.go": demoSource, "go.mod": []byte(demoModule)} {
		if err := os.WriteFile(filepath.Join(source, name), content, 0o666); err != nil {
			return "", fmt.Errorf("build the demo's program: %w", err)
		}
	}
	d.wasm = filepath.Join(d.dir, "demo.wasm")
	build := exec.CommandContext(ctx, tool, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", d.wasm, ".")
	build.Dir = source
	// Settings of the person's own projects must not reach this one, and nothing
	// is to be downloaded.
	build.Env = append(slices.Clone([]string(d.env)), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0",
		"GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local", "GOPROXY=off", "PWD="+source)
	if out, err := build.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", fmt.Errorf("build the demo's program with %s: %w: %s; it takes Go 1.22 or newer", tool, err, bytes.TrimSpace(out))
	}
	stat, err := os.Stat(d.wasm)
	if err != nil {
		return "", fmt.Errorf("build the demo's program: %w", err)
	}
	return fmt.Sprintf("%s, %s", duration(time.Since(began)), bytesText(uint64(stat.Size()))), nil
}
