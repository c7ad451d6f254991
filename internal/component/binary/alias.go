package binary

import (
	"github.com/waterbear-run/waterbear/internal/wasmbin"
	"github.com/waterbear-run/waterbear/wit"
)

// Targets of aliases.
const (
	aliasExport = iota
	aliasCoreExport
	aliasOuter
)

// alias reads an alias definition or declaration.
func (d *decoder) alias(s *scope) {
	pos := d.pos
	sort, core := d.byte(), byte(0)
	if sort == 0 {
		core = d.byte()
	}
	at := d.pos
	switch target := d.byte(); target {
	case aliasExport:
		d.pos = pos // to read the sort as one that components can exchange
		of := d.sort("component external kind")
		d.byte()
		if s.kind != inComponent && of != Type && of != InstanceSort {
			d.refuseAlias(pos)
		}
		d.exportAlias(s, of)
	case aliasCoreExport:
		if sort != 0 {
			d.refuseLeading(pos, sort, "core instance export kind")
		}
		if core > byte(wasmbin.Tag) {
			d.refuseLeading(pos+1, core, "external kind")
		}
		if s.kind != inComponent {
			d.refuseAlias(pos)
		}
		d.coreExportAlias(s, wasmbin.Kind(core))
	case aliasOuter:
		d.outerAlias(s, pos, sort, core)
	default:
		d.refuseLeading(at, target, "alias")
	}
}

func (d *decoder) refuseAlias(pos int) {
	d.fail(pos, "aliases in a component or instance type may only refer to types or instances")
}

// exportAlias reads an alias of an export of an instance, behind its target.
func (d *decoder) exportAlias(s *scope, of Sort) {
	pos := d.pos
	i := d.u32()
	name := d.name()
	instance := at(d, s.instances, pos, i, "instance")
	if instance == nil {
		return
	}
	t := instance.export(name)
	switch {
	case t == nil:
		d.fail(pos, "instance %d has no export named `%s`", i, name)
		return
	case t.Of != of:
		d.fail(pos, "export `%s` for instance %d is not a %s", name, i, externNames[of])
		return
	}
	d.push(s, pos, t)
	if s.component != nil && of != Type {
		s.define(&Alias{Of: of, Instance: i, Name: name})
	}
}

// coreExportAlias reads an alias of an export of a core instance.
func (d *decoder) coreExportAlias(s *scope, kind wasmbin.Kind) {
	pos := d.pos
	i := d.u32()
	name := d.name()
	instance := at(d, s.coreInstances, pos, i, "core instance")
	if d.err != nil {
		return
	}
	t := instance[name]
	switch {
	case t == nil:
		d.fail(pos, "core instance %d has no export named `%s`", i, name)
		return
	case t.Kind != kind:
		d.fail(pos, "export `%s` for core instance %d is not a %s", name, i, coreSpaceNames[kind])
		return
	}
	d.pushCore(s, pos, t)
	s.define(&CoreAlias{Of: coreSorts[kind], Instance: i, Name: name})
}

// outerAlias reads an alias of a definition around, behind its target.
func (d *decoder) outerAlias(s *scope, pos int, sort, core byte) {
	const what = "component outer alias kind"
	at := d.pos
	count := d.u32()
	i := d.u32()
	switch {
	case sort == 0 && core == 0x10:
		d.outerCoreType(s, at, count, i)
	case sort == 0 && core == 0x11:
		d.outerItem(s, pos, at, CoreModuleSort, count, i)
	case sort == 0:
		d.refuseLeading(pos+1, core, what)
	case sort == 3:
		d.outerItem(s, pos, at, Type, count, i)
	case sort == 4:
		d.outerItem(s, pos, at, ComponentSort, count, i)
	default:
		d.refuseLeading(pos, sort, what)
	}
}

func (d *decoder) outerCoreType(s *scope, pos int, count, i uint32) {
	from := d.outward(s, pos, count)
	if from == nil {
		return
	}
	t := at(d, from.coreTypes, pos, i, "type")
	if d.err == nil {
		d.pushCoreType(s, pos, t)
	}
}

func (d *decoder) outerItem(s *scope, sortPos, pos int, of Sort, count, i uint32) {
	if s.kind != inComponent && of != Type {
		d.refuseAlias(sortPos)
	}
	from := d.outward(s, pos, count)
	if from == nil {
		return
	}
	t, _ := d.itemAt(from, pos, of, i)
	if d.err != nil {
		return
	}
	if of == Type && d.leavesComponent(s, from) && d.hasResources(&t) {
		d.fail(pos, "cannot alias outer type which transitively refers to resources not defined in the current component")
	}
	d.push(s, pos, &t)
	if s.component != nil && of != Type {
		s.define(&OuterAlias{Of: of, Outward: count, Index: i})
	}
}

// leavesComponent says whether the border of a component lies between a scope and
// one around it.
func (d *decoder) leavesComponent(s, from *scope) bool {
	for ; s != from; s = s.outer {
		if s.kind == inComponent {
			return true
		}
	}
	return false
}

// hasResources says whether a type refers to a resource type that it does not
// declare itself.
func (d *decoder) hasResources(t *ExternType) bool {
	return len(d.resourcesOf([]Extern{{ExternType: *t}})) > 0
}

// resourcesOf are the resource types that items refer to and do not declare.
func (d *decoder) resourcesOf(items []Extern) map[*wit.Resource]bool {
	w := resourceWalk{d: d, found: map[*wit.Resource]bool{}, seen: map[any]bool{}}
	for i := range items {
		w.extern(&items[i].ExternType)
	}
	return w.found
}

// resourceWalk collects resource types.
type resourceWalk struct {
	d     *decoder
	found map[*wit.Resource]bool
	seen  map[any]bool
}

// again says whether a type of so many parts has been visited.
func (w *resourceWalk) again(t any, n int) bool {
	w.d.charge(1 + n)
	if w.seen[t] || w.d.err != nil {
		return true
	}
	w.seen[t] = true
	return false
}

func (w *resourceWalk) extern(t *ExternType) {
	switch {
	case t.Resource != nil:
		w.found[t.Resource] = true
	case t.Value != nil:
		w.value(t.Value)
	case t.Func != nil:
		w.function(t.Func)
	case t.Instance != nil && !w.again(t.Instance, len(t.Instance.Exports)):
		w.externs(t.Instance.Exports)
		w.remove(t.Instance.own)
	case t.Component != nil && !w.again(t.Component, len(t.Component.Imports)+len(t.Component.Exports)):
		w.externs(t.Component.Imports)
		w.externs(t.Component.Exports)
		w.remove(t.Component.imported)
		w.remove(t.Component.own)
	}
}

func (w *resourceWalk) externs(list []Extern) {
	for i := range list {
		w.extern(&list[i].ExternType)
	}
}

// remove takes out what a type declares, which nothing around it can refer to.
func (w *resourceWalk) remove(resources []*wit.Resource) {
	for _, r := range resources {
		delete(w.found, r)
	}
}

func (w *resourceWalk) function(f *wit.Func) {
	if !w.d.funcFacts(f).handle || w.again(f, len(f.Params)) {
		return
	}
	for i := range f.Params {
		w.value(f.Params[i].Type)
	}
	if f.Result != nil {
		w.value(f.Result)
	}
}

func (w *resourceWalk) value(t *wit.Type) {
	if !w.d.factsOf(t).handle || w.again(t, len(t.Fields)) {
		return
	}
	if t.Resource != nil {
		w.found[t.Resource] = true
	}
	for _, p := range parts(t) {
		w.value(p)
	}
}
