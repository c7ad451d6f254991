package wit

import "maps"

// maxExterns bounds how many things all worlds of a document import and export
// and have in them, those included: text of a few lines could include what is
// included without end.
const maxExterns = 100_000

// worldItem is an item of a world or of one that it includes.
type worldItem struct {
	item
	*origin
	included *place // the include that it comes by, or nil
}

// origin is where an item comes from: the file whose names it knows, and what
// names in it have become.
type origin struct {
	file  *fileScope
	names renames
}

// renamed is the origin of items that are included with other names.
func (o *origin) renamed(with renames) *origin {
	names := renames{}
	maps.Copy(names, with)
	for from, to := range o.names {
		names[from] = with.of(to)
	}
	return &origin{o.file, names}
}

func (r *resolver) spend(n int, at place) error {
	if r.externs += n; r.externs > maxExterns {
		return at.errorf("the worlds import, export and include more than %d things in all: include less", maxExterns)
	}
	return nil
}

// flatten puts what a world includes in the place of the includes.
func (r *resolver) flatten(d *decl, depth int) error {
	own := &origin{file: d.file}
	for _, it := range d.syntax.items {
		i, ok := it.(includeSyntax)
		if !ok {
			if err := r.spend(1, d.syntax.name.at); err != nil {
				return err
			}
			d.flat = append(d.flat, worldItem{it, own, nil})
			continue
		}
		if r.hides(i.gate) {
			continue
		}
		if err := r.checkGate(d.file.pkg, d.syntax.name, i.gate); err != nil {
			return err
		}
		if err := r.include(d, i, depth); err != nil {
			return err
		}
	}
	return nil
}

func (r *resolver) include(d *decl, i includeSyntax, depth int) error {
	from, err := r.find(d.file, i.path, true, d, depth)
	if err != nil {
		return err
	}
	if err := r.spend(len(from.flat), i.path.at); err != nil {
		return err
	}
	with, err := from.renames(i)
	if err != nil {
		return err
	}
	origins := map[*origin]*origin{}
	for _, it := range from.flat {
		if origins[it.origin] == nil {
			origins[it.origin] = it.renamed(with)
		}
		included := it.item
		if from.file.pkg != d.file.pkg {
			included = withoutVersions(included)
		}
		d.flat = append(d.flat, worldItem{included, origins[it.origin], &i.path.at})
	}
	return nil
}

// withoutVersions is an item without gates that have versions, for those are of
// the package that it comes from.
func withoutVersions(it item) item {
	switch it := it.(type) {
	case useSyntax:
		it.gate = Gate{Unstable: it.gate.Unstable}
		return it
	case *typeSyntax:
		t := *it
		t.gate, t.funcs = Gate{Unstable: t.gate.Unstable}, nil
		for _, f := range it.funcs {
			t.funcs = append(t.funcs, withoutVersions(f).(*funcSyntax))
		}
		return &t
	case *funcSyntax:
		f := *it
		f.gate = Gate{Unstable: f.gate.Unstable}
		return &f
	case externSyntax:
		it.gate = Gate{Unstable: it.gate.Unstable}
		if it.fn != nil {
			it.fn = withoutVersions(it.fn).(*funcSyntax)
		}
		if it.inline != nil {
			inline := *it.inline
			inline.items = nil
			for _, inner := range it.inline.items {
				inline.items = append(inline.items, withoutVersions(inner))
			}
			it.inline = &inline
		}
		return it
	}
	return it
}

// renames is what an include of a world calls its names.
func (d *decl) renames(i includeSyntax) (renames, error) {
	with := renames{}
	if len(i.with) == 0 {
		return with, nil
	}
	plain := map[string]bool{}
	for _, it := range d.flat {
		for _, name := range plainNames(it.item) {
			plain[it.names.of(name)] = true
		}
	}
	for _, n := range i.with {
		if _, ok := with[n.from.name]; ok {
			return nil, n.from.at.errorf("%s is given a new name already", n.from.name)
		}
		if !plain[n.from.name] {
			return nil, n.from.at.errorf("%s is no plain name of %s: functions, types and interfaces that are declared in place can be given other names", n.from.name, d)
		}
		with[n.from.name] = n.to.name
	}
	return with, nil
}

// plainNames are the names that an item of a world declares in it.
func plainNames(it item) []string {
	switch it := it.(type) {
	case *typeSyntax:
		return []string{it.name.name}
	case externSyntax:
		return []string{it.name.name}
	case useSyntax:
		var names []string
		for _, n := range it.names {
			names = append(names, n.to.name)
		}
		return names
	}
	return nil
}

// resolveWorld fills in a world.
func (r *resolver) resolveWorld(d *decl, depth int) error {
	if err := r.flatten(d, depth); err != nil {
		return err
	}
	w := &worldScope{
		scope: newScope(r, d.file), decl: d, depth: depth,
		exports: newScope(r, d.file), imported: map[*decl]*Extern{}, exported: map[*decl]bool{}, reach: map[*decl]bool{},
		out: &World{ID: d.id, Gate: d.syntax.gate}, explicit: map[bool]map[*decl]place{false: {}, true: {}},
	}
	for _, it := range d.flat {
		if err := w.declareWorldItem(it); err != nil {
			return err
		}
	}
	if err := w.resolveTypes(); err != nil {
		return err
	}
	w.out.Types = w.types()
	for _, it := range d.flat {
		if err := w.worldItem(it); err != nil {
			return err
		}
	}
	if err := w.importForExports(); err != nil {
		return err
	}
	d.world = w.out
	return nil
}

// worldScope is a world that is being filled in. Its scope is that of imports
// and types.
type worldScope struct {
	*scope
	decl     *decl
	depth    int
	exports  *scope // of the names of exports
	out      *World
	imported map[*decl]*Extern
	exported map[*decl]bool
	needs    []need
	reach    map[*decl]bool // whether one of the exported is used from here
	// explicit are the imports, at false, and the exports, at true, that the world
	// itself says.
	explicit map[bool]map[*decl]place
}

// need is an interface that an export uses types of.
type need struct {
	by string
	of *decl
	at place
}

// declareWorldItem makes known what an item declares.
func (w *worldScope) declareWorldItem(it worldItem) error {
	w.file = it.file
	w.included, w.exports.included = it.included, it.included
	e, ok := it.item.(externSyntax)
	if !ok {
		return w.declareItem(it.item, w.decl, it.names, w.depth)
	}
	if w.r.hides(e.gate) {
		return nil
	}
	at := word{e.path.id.Name, e.at}
	if e.name != (word{}) {
		at = e.name
	}
	if err := w.r.checkGate(it.file.pkg, at, e.gate); err != nil || e.name == (word{}) {
		return err
	}
	names := w.scope
	if e.export {
		names = w.exports
	}
	return names.declare(FuncName{Name: it.names.of(e.name.name)}, e.name.at)
}

// worldItem adds what an item imports or exports.
func (w *worldScope) worldItem(it worldItem) error {
	w.file = it.file
	switch item := it.item.(type) {
	case externSyntax:
		if w.r.hides(item.gate) {
			return nil
		}
		return w.extern(item, it)
	case useSyntax:
		if w.r.hides(item.gate) {
			return nil
		}
		from, err := w.r.find(w.file, item.path, false, w.decl, w.depth)
		if err != nil {
			return err
		}
		return w.importInterface(from, item.path.at)
	}
	funcs, err := w.itemFuncs(it.item, it.names)
	for _, f := range funcs {
		w.out.Imports = append(w.out.Imports, &Extern{Func: f})
	}
	return err
}

// extern adds an import or an export.
func (w *worldScope) extern(e externSyntax, it worldItem) error {
	if e.fn != nil {
		funcs, err := w.functions([]*funcSyntax{e.fn}, nil, it.names)
		for _, f := range funcs {
			w.add(e.export, &Extern{Func: f})
		}
		return err
	}
	var target *decl
	if e.inline != nil {
		target = newDecl(e.inline, w.file)
		i, _, err := w.r.interfaceBody(target, w.file, e.inline.items, w.depth)
		if err != nil {
			return err
		}
		w.decl.depth = max(w.decl.depth, target.depth)
		target.iface = i
	} else {
		var err error
		if target, err = w.r.find(w.file, e.path, false, w.decl, w.depth); err != nil {
			return err
		}
	}
	if e.name == (word{}) {
		return w.byID(e, target, it.included != nil)
	}
	// What it uses comes before it.
	for _, used := range target.uses {
		if e.export {
			w.needs = append(w.needs, need{e.name.name, used, e.at})
		} else if err := w.importInterface(used, e.at); err != nil {
			return err
		}
	}
	w.add(e.export, &Extern{Name: it.names.of(e.name.name), Interface: target.iface, Gate: e.gate})
	return nil
}

func (w *worldScope) add(export bool, e *Extern) {
	if export {
		w.out.Exports = append(w.out.Exports, e)
	} else {
		w.out.Imports = append(w.out.Imports, e)
	}
}

// byID imports or exports an interface by its own name.
func (w *worldScope) byID(e externSyntax, target *decl, included bool) error {
	if !included {
		if other, ok := w.explicit[e.export][target]; ok {
			return e.at.errorf("%s is here already, at %s: remove one of them", target.id, other)
		}
		w.explicit[e.export][target] = e.at
	}
	if !e.export {
		_, there := w.imported[target]
		if err := w.importInterface(target, e.at); err != nil {
			return err
		}
		if !there || !included {
			w.imported[target].Gate = e.gate
		}
		return nil
	}
	if w.exported[target] {
		return nil
	}
	w.exported[target] = true
	for _, used := range target.uses {
		w.needs = append(w.needs, need{target.id.String(), used, e.at})
	}
	w.add(true, &Extern{Interface: target.iface, Gate: e.gate})
	return nil
}

// importInterface imports an interface and before it what it uses.
func (w *worldScope) importInterface(target *decl, at place) error {
	if _, ok := w.imported[target]; ok {
		return nil
	}
	// What is unstable is so wherever it is imported.
	e := &Extern{Interface: target.iface, Gate: Gate{Unstable: target.syntax.gate.Unstable}}
	w.imported[target] = e
	if err := w.r.spend(1, at); err != nil {
		return err
	}
	for _, used := range target.uses {
		if err := w.importInterface(used, at); err != nil {
			return err
		}
	}
	w.add(false, e)
	return nil
}

// importForExports imports what exports use and what is not exported (WIT.md,
// "Transitive imports and worlds").
func (w *worldScope) importForExports() error {
	for _, n := range w.needs {
		if w.exported[n.of] {
			continue
		}
		if w.reaches(n.of) {
			return n.at.errorf("the export %s uses types of %s, which is not exported and itself uses types of an interface that is: export %s as well", n.by, n.of.id, n.of.id)
		}
		if err := w.importInterface(n.of, n.at); err != nil {
			return err
		}
	}
	return nil
}

// reaches reports whether an interface uses types of an exported one, perhaps
// through others.
func (w *worldScope) reaches(d *decl) bool {
	if found, ok := w.reach[d]; ok {
		return found
	}
	w.reach[d] = false
	for _, used := range d.uses {
		if w.exported[used] || w.reaches(used) {
			w.reach[d] = true
		}
	}
	return w.reach[d]
}
