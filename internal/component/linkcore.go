package component

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/waterbear-run/waterbear/internal/component/binary"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/internal/wasmbin"
)

// build is a core module under the names that its imports are looked up by. A
// module is compiled once for all instances that look them up alike.
type build struct {
	source []byte
	names  []wasm.ImportName
	cores  []int // the instances
}

// coreInstance follows the instantiation of a core module.
func (l *linker) coreInstance(s *scope, def *binary.CoreInstance) (any, error) {
	p := l.program
	if len(p.components)+len(p.cores) >= MaxInstances {
		return nil, fmt.Errorf("it has more than %d instances", MaxInstances)
	}
	module := s.items[binary.CoreModuleSort][def.Module].(*binary.CoreModule)
	args := map[string]coreExports{}
	for _, a := range def.Args {
		args[a.Name] = s.items[binary.CoreInstanceSort][a.Instance].(coreExports)
	}
	if err := l.charge(len(args) + len(module.Type.Imports) + len(module.Type.Exports)); err != nil {
		return nil, err
	}
	core := corePlan{memory: len(p.cores)}
	var names []wasm.ImportName
	for i := range module.Type.Imports {
		m := &module.Type.Imports[i]
		from, name, err := l.lookUp(args, m)
		if err != nil {
			return nil, err
		}
		at := slices.Index(core.sources, source{from})
		if at < 0 {
			at = len(core.sources)
			core.sources = append(core.sources, source{from})
		}
		names = append(names, wasm.ImportName{Module: strconv.Itoa(at), Name: name})
		if m.Kind == wasmbin.Memory {
			core.memory = p.cores[from].memory
		}
	}
	made := &coreInstance{index: len(p.cores), byName: map[string]wasmbin.Kind{}}
	for i := range module.Type.Exports {
		e := &module.Type.Exports[i]
		made.byName[e.Name] = e.Kind
	}
	p.cores = append(p.cores, core)
	return made, l.build(module, names, made.index)
}

// lookUp finds what an import of a core module is: the instance that has it, and
// its name there.
func (l *linker) lookUp(args map[string]coreExports, m *binary.CoreImport) (from int, name string, err error) {
	if of, ok := args[m.Module]; ok {
		switch item := of.export(m.Name).(type) {
		case coreItem:
			return item.instance, item.name, nil
		case *coreFunc:
			if item.tramp != nil {
				return trampolines, strconv.Itoa(item.tramp.index), nil
			}
			return item.instance, item.name, nil
		}
	}
	return 0, "", fmt.Errorf("a core module's import %s.%s is not there", m.Module, m.Name)
}

// build notes that an instance is of a module under names.
func (l *linker) build(module *binary.CoreModule, names []wasm.ImportName, core int) error {
	key := fmt.Sprintf("%p %q", module, names)
	i, ok := l.variants[key]
	if !ok {
		if l.used[module] {
			l.variantBytes += len(module.Source)
		}
		if l.variantBytes > maxVariantBytes {
			return fmt.Errorf("core modules of more than %d bytes have to be compiled again, for instances whose imports have other names", maxVariantBytes)
		}
		l.used[module] = true
		i = len(l.builds)
		l.variants[key] = i
		l.builds = append(l.builds, build{source: module.Source, names: names})
	}
	l.builds[i].cores = append(l.builds[i].cores, core)
	return nil
}

// checkUnused compiles the core modules of a component that nothing instantiates,
// for they make it invalid if they are.
func (l *linker) checkUnused(ctx context.Context, c *binary.Component) error {
	for _, def := range c.Defs {
		switch def := def.(type) {
		case *binary.SubComponent:
			if err := l.checkUnused(ctx, def.Component); err != nil {
				return err
			}
		case *binary.CoreModule:
			if l.used[def] {
				continue
			}
			names := slices.Repeat([]wasm.ImportName{{Module: "0"}}, len(def.Type.Imports))
			m, err := l.program.engine.CompileLinked(ctx, def.Source, names, nil)
			if err != nil {
				return err
			}
			if err := m.Close(); err != nil {
				return err
			}
		}
	}
	return nil
}

// compile makes the core modules and the trampolines ready.
func (l *linker) compile(ctx context.Context, progress func(stage string, done float64)) error {
	p := l.program
	all, done := 0.0, 0.0
	for _, b := range l.builds {
		all += float64(len(b.source))
	}
	bytes := uint64(0)
	for _, b := range l.builds {
		part := float64(len(b.source))
		m, err := p.engine.CompileLinked(ctx, b.source, b.names, func(stage string, of float64) {
			if progress != nil {
				progress(stage, (done+part*of)/all)
			}
		})
		if err != nil {
			return err
		}
		done += part
		p.modules = append(p.modules, m)
		for _, i := range b.cores {
			p.cores[i].module = m
		}
		if bytes += uint64(len(b.cores)) * m.InstanceBytes(); bytes > maxInstanceBytes {
			return fmt.Errorf("its %d core module instances take more than %d bytes besides their memories", len(p.cores), maxInstanceBytes)
		}
	}
	if err := l.checkUnused(ctx, l.main); err != nil {
		return err
	}
	funcs := make([]wasm.HostFunc, len(p.tramps))
	for i, t := range p.tramps {
		funcs[i] = t.hostFunc()
	}
	var err error
	p.host, err = p.engine.Host(wasm.HostModule{Name: "component", Funcs: funcs})
	return err
}
