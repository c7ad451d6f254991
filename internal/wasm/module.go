package wasm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero"

	"github.com/waterbear-run/waterbear/internal/wasmbin"
)

// Module is compiled code, ready to be instantiated.
type Module struct {
	engine   *Engine
	compiled wazero.CompiledModule
	imports  []Import
	exports  []Export
	slots    map[string]int // of an exported function, the values its stack holds, or references

	elements  string   // the export that writes element segments, or ""
	data      string   // the export that writes data segments, or ""
	start     string   // the export that was the start function, or ""
	globals   []string // the exports that are an instance's mutable globals
	changed   string   // the export that tells what else an instance has changed, or ""
	stack     string   // the export that counts what is left of the stack
	minMemory uint64   // bytes
	maxMemory uint64   // bytes, as declared

	memoryImport  int
	instanceBytes uint64
	base          *baseImage
	closed        atomic.Bool
	unimageable   []string
	// initial are the values that the globals of an instance begin with. The
	// first instance tells them.
	initial     []uint64
	initialOnce sync.Once
	// exceptionRefs tells that the module takes references to exceptions.
	exceptionRefs bool
}

const wasmPage = 64 << 10

// references marks a function that takes or returns references. To a host
// those are addresses: any number would be taken for one.
const references = -1

func newModule(e *Engine, compiled wazero.CompiledModule, r *wasmbin.Rewritten) *Module {
	m := &Module{
		engine: e, compiled: compiled,
		slots: make(map[string]int), start: r.Start, globals: r.Globals, changed: r.Changed, stack: r.Stack,
		minMemory:     uint64(r.MemoryMin) * wasmPage,
		maxMemory:     uint64(r.MemoryMax) * wasmPage,
		base:          newBase(r.Base, e.images),
		exceptionRefs: r.ExceptionRefs, unimageable: r.Reasons,
		elements: r.Elements, data: r.Data,
		memoryImport: r.MemoryImport, instanceBytes: r.InstanceBytes,
	}
	for _, i := range r.Imports {
		if i.Kind != wasmbin.Func {
			continue // of a linked module
		}
		m.imports = append(m.imports, Import{
			Module: i.Module, Name: i.Name,
			Params: valueTypes(i.Type.Params), Results: valueTypes(i.Type.Results),
		})
	}
	for _, x := range r.Exports {
		if x.Kind != wasmbin.Func {
			continue
		}
		f := Export{Name: x.Name, Params: valueTypes(x.Type.Params), Results: valueTypes(x.Type.Results)}
		m.exports = append(m.exports, f)
		m.slots[x.Name] = max(slots(f.Params), slots(f.Results))
		if slices.ContainsFunc(slices.Concat(f.Params, f.Results), ValueType.isReference) {
			m.slots[x.Name] = references
		}
	}
	return m
}

// acceptable refuses modules that could be compiled but not run.
func (e *Engine) acceptable(r *wasmbin.Rewritten, linked bool) error {
	for _, i := range r.Imports {
		if i.Kind != wasmbin.Func && !linked {
			return fmt.Errorf("it imports a %s, %s.%s, and a host offers functions only; link the program so that it has its own",
				kindNames[i.Kind], i.Module, i.Name)
		}
	}
	if r.ExceptionRefs && !e.gauge.known {
		return errors.New("it catches exceptions by reference (catch_ref, catch_all_ref), and this engine, an interpreter, does not keep them alive")
	}
	return nil
}

var kindNames = map[wasmbin.Kind]string{
	wasmbin.Table: "table", wasmbin.Memory: "memory", wasmbin.Global: "global", wasmbin.Tag: "tag",
}

func valueTypes(types []wasmbin.ValueType) []ValueType {
	out := make([]ValueType, len(types))
	for i, t := range types {
		out[i] = ValueType(t)
	}
	return out
}

// Imports lists the functions the module needs, in the order of its source.
func (m *Module) Imports() []Import { return m.imports }

// Exports lists the functions the module offers, in the order of its source.
func (m *Module) Exports() []Export { return m.exports }

// Close lets the module's code go once its instances are closed too.
func (m *Module) Close() error {
	if !m.closed.CompareAndSwap(false, true) {
		return nil
	}
	return errors.Join(m.compiled.Close(context.Background()), m.base.release())
}
