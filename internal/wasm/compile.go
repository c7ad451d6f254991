package wasm

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"

	"github.com/waterbear-run/waterbear/internal/wasmbin"
)

// Stages of a compilation, as progress is told.
const (
	stageLoad    = "loading"
	stageCompile = "compiling"
)

// MaxTableItems bounds the tables of an instance together. Eight bytes of the
// Go heap stand for each.
const MaxTableItems = 1 << 20

// Compile makes a module ready to run. It takes seconds for a large module
// that is not in the cache: progress, which may be nil, is told the stage and
// the fraction done, which never falls within a stage and ends at 1; it may be
// called from another task, but never after Compile has returned. One module
// is compiled at a time; ctx ends the wait for that, and is looked at between
// steps, but the longest of them cannot be interrupted.
func (e *Engine) Compile(ctx context.Context, source []byte, progress func(stage string, done float64)) (*Module, error) {
	return e.compile(ctx, source, wasmbin.Options{TableItems: MaxTableItems}, progress)
}

func (e *Engine) compile(ctx context.Context, source []byte, o wasmbin.Options, progress func(stage string, done float64)) (*Module, error) {
	if progress == nil {
		progress = func(string, float64) {}
	}
	select {
	case e.compiling <- struct{}{}:
		defer func() { <-e.compiling }()
	case <-ctx.Done():
		return nil, fmt.Errorf("compile module: %w", context.Cause(ctx))
	}
	m, err := e.prepare(ctx, source, o, progress)
	if err != nil {
		return nil, fmt.Errorf("compile module: %w", err)
	}
	return m, nil
}

// prepare rewrites and compiles source, or finds both done in the cache.
func (e *Engine) prepare(ctx context.Context, source []byte, o wasmbin.Options, progress func(stage string, done float64)) (*Module, error) {
	key := ""
	if e.cache != nil {
		key = e.cache.key(source, o)
		if r := e.cache.load(key); r != nil {
			progress(stageLoad, 0)
			m, err := e.finish(r)
			e.cache.store(key, r, true)
			if err == nil {
				progress(stageLoad, 1)
				return m, nil
			}
		}
	}
	r, err := wasmbin.Rewrite(source, o)
	if err != nil {
		return nil, err
	}
	if err := e.acceptable(r, o.Link != nil); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	p := newEstimate(func(done float64) { progress(stageCompile, done) }, len(r.Module), e.speed)
	m, err := e.finish(r)
	if ticks := p.end(); ticks > 0 {
		e.speed = float64(len(r.Module)) / float64(ticks)
	}
	if err != nil {
		return nil, err
	}
	progress(stageCompile, 1)
	if e.cache != nil {
		e.cache.store(key, r, false)
	}
	return m, nil
}

// finish turns a rewritten module into machine code.
func (e *Engine) finish(r *wasmbin.Rewritten) (*Module, error) {
	compiled, err := e.machineCode(r.Module)
	if err != nil && e.cache != nil {
		// What went wrong may be no more than reading or writing the cached
		// code: without the file, and with the code in memory if it got that
		// far, the second attempt needs the disk for nothing.
		e.cache.private.clear()
		compiled, err = e.machineCode(r.Module)
	}
	if err != nil {
		return nil, err
	}
	return newModule(e, compiled, r), nil
}

// machineCode has wazero validate and compile a module. A guest that finds a
// defect of the compiler gets an error for it: it compiles in this task alone,
// where its panic can be caught.
func (e *Engine) machineCode(module []byte) (_ wazero.CompiledModule, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the compiler failed, which is a defect of it: %v", r)
		}
	}()
	return e.runtime.CompileModule(context.Background(), module)
}
