package binary

import "github.com/waterbear-run/waterbear/wit"

// externs are the imports of a scope, or its exports.
type externs struct {
	what string // "import" or "export"
	list []Extern
	// names are their names, by what has to be unique of them.
	names nameSet
	// visible are the types that have a name outside: resource types by their
	// *resourceName, records, variants, enums and flags by their *wit.Type. So
	// are types without a name once all that they are made of is found to be.
	visible map[any]bool
	// resources are the labels of the resource types among them.
	resources map[*resourceName]string
	labels    map[string]bool
}

// show makes a type visible.
func (e *externs) show(key any) {
	if e.visible == nil {
		e.visible = map[any]bool{}
	}
	e.visible[key] = true
}

// label notes the label of a resource type.
func (e *externs) label(name *resourceName, label string) {
	if e.resources == nil {
		e.resources, e.labels = map[*resourceName]string{}, map[string]bool{}
	}
	e.resources[name] = label
	e.labels[label] = true
}

// externAttributes are the name of an import or export and what else is said of
// it that types do not depend on (Binary.md, "nameattributes").
type externAttributes struct {
	pos           int
	name          string
	implements    string
	hasImplements bool
}

// Kinds of attributes.
const (
	attributeImplements = iota
	attributeVersionSuffix
	attributeExternalID
)

func (d *decoder) attributes() externAttributes {
	a := externAttributes{pos: d.pos}
	form := d.byte()
	if form > 2 {
		d.refuseLeading(a.pos, form, "component name")
	}
	a.name = d.name()
	if form < 2 {
		return a
	}
	seen := [3]bool{}
	d.vector(2, "name options", maxOptions, func() {
		pos := d.pos
		kind := d.byte()
		if int(kind) >= len(seen) {
			d.refuseLeading(pos, kind, "name option")
			return
		}
		if seen[kind] {
			d.fail(pos, "duplicate '%s' option in name", [...]string{"implements", "version suffix", "external id"}[kind])
		}
		seen[kind] = true
		switch kind {
		case attributeImplements:
			a.implements, a.hasImplements = d.name(), true
		case attributeVersionSuffix:
			d.refuse(pos, &featureCanonicalNames)
		case attributeExternalID:
			d.name()
		}
	})
	return a
}

// externType reads the type of an import or export, and says whether it is a
// resource type that there was not before.
func (d *decoder) externType(s *scope, label string) (t ExternType, isNew bool) {
	pos := d.pos
	sort := d.sort("component external kind")
	if d.err != nil {
		return t, false
	}
	t.Of = sort
	if sort == Type {
		return d.typeBound(s, label)
	}
	i := d.u32()
	if sort == CoreModuleSort {
		t.Module = at(d, s.coreTypes, pos, i, "type").module
		if t.Module == nil {
			d.fail(pos, "core type index %d is not a module type", i)
		}
		return t, false
	}
	def := at(d, s.types, pos, i, "type")
	if def == nil {
		return t, false
	}
	ok := false
	switch sort {
	case Func:
		t.Func, ok = def.Func, def.Func != nil
	case ComponentSort:
		t.Component, ok = def.Component, def.Component != nil
	case InstanceSort:
		t.Instance, ok = def.Instance, def.Instance != nil
	}
	if !ok {
		d.fail(pos, "type index %d is not %s type", i, sortNames[sort])
	}
	return t, false
}

// sort reads the sort of an item that components can exchange.
func (d *decoder) sort(what string) Sort {
	pos := d.pos
	switch b := d.byte(); b {
	case 0:
		pos = d.pos
		if core := d.byte(); core != 0x11 {
			d.refuseLeading(pos, core, what)
		}
		return CoreModuleSort
	case 1:
		return Func
	case 2:
		d.refuse(pos, &featureValues)
	case 3:
		return Type
	case 4:
		return ComponentSort
	case 5:
		return InstanceSort
	default:
		d.refuseLeading(pos, b, what)
	}
	return 0
}

// typeBound reads what a type that is imported or exported is known to be.
func (d *decoder) typeBound(s *scope, label string) (t ExternType, isNew bool) {
	pos := d.pos
	switch b := d.byte(); b {
	case 0:
		pos := d.pos
		if def := at(d, s.types, pos, d.u32(), "type"); def != nil {
			return d.renamed(def, label), false
		}
	case 1:
		r := &wit.Resource{Name: label}
		return ExternType{Of: Type, Resource: r, name: &resourceName{r}}, true
	default:
		d.refuseLeading(pos, b, "type bound")
	}
	return ExternType{Of: Type}, false
}

// renamed is a type as an import or export under a label makes it known once
// more: the same type under a name of its own.
func (d *decoder) renamed(def *ExternType, label string) ExternType {
	t := *def
	if t.Value != nil {
		named := *t.Value
		named.Name = label
		if handle, ok := d.handles[t.Value]; ok {
			d.handles[&named] = handle
		}
		d.facts[&named] = d.factsOf(t.Value)
		t.Value, t.origin = &named, t.Value
	}
	if t.Resource != nil {
		t.name = &resourceName{t.Resource}
		if t.Resource.Name == "" {
			t.Resource.Name = label
		}
	}
	return t
}

// declare adds an import or export to a scope and gives it as it came to be, with
// the resource types that came with it. isNew says that it is one itself.
func (d *decoder) declare(s *scope, to *externs, a *externAttributes, t ExternType, isNew bool) (Extern, []Binding) {
	var made []*wit.Resource
	if t.Instance != nil && t.Of == InstanceSort {
		t.Instance, made = d.freshen(t.Instance)
	}
	if isNew {
		made = append(made, t.Resource)
	}
	if to == &s.imports {
		s.imported = append(s.imported, made...)
	} else {
		s.made = append(s.made, made...)
	}
	e := Extern{Name: a.name, Implements: a.implements, ExternType: t}
	d.push(s, a.pos, &e.ExternType)
	if t.Of == Type && t.Resource != nil {
		to.label(t.name, a.name)
	}
	if d.err == nil && s.kind != inInstanceType && !d.show(s, to, &e.ExternType) {
		d.fail(a.pos, "%s not valid to be used as %s: it refers to a type that has no name as an %s", externNames[t.Of], to.what, to.what)
	}
	d.checkName(to, a, &e.ExternType)
	d.addSize(a.pos, &s.size, d.sizeOf(&t))
	to.list = append(to.list, e)
	return e, d.bindings(&e.ExternType, made)
}

// bindings say where the resource types made are in an item.
func (d *decoder) bindings(t *ExternType, made []*wit.Resource) []Binding {
	if len(made) == 0 || d.err != nil {
		return nil
	}
	left := make(map[*wit.Resource]bool, len(made))
	for _, r := range made {
		left[r] = true
	}
	var all []Binding
	d.eachResource(t, nil, func(r *wit.Resource, path []string) {
		if left[r] {
			delete(left, r)
			all = append(all, Binding{Resource: r, Path: append([]string(nil), path...)})
		}
	})
	return all
}

// eachResource visits the resource types that an item exports, or is.
func (d *decoder) eachResource(t *ExternType, path []string, visit func(*wit.Resource, []string)) {
	switch {
	case t.Of == Type && t.Resource != nil:
		visit(t.Resource, path)
	case t.Of == InstanceSort:
		d.charge(len(t.Instance.Exports))
		for i := range t.Instance.Exports {
			e := &t.Instance.Exports[i]
			d.eachResource(&e.ExternType, append(path, e.Name), visit)
		}
	}
}

// checkName checks the name of an import or export, and that its type is one that
// the name may have (Binary.md, "Import and Export Definitions").
func (d *decoder) checkName(to *externs, a *externAttributes, t *ExternType) {
	if d.err != nil {
		return
	}
	n, err := parseName(a.name)
	if nested, ok := err.(*nestedNameError); ok && nested != nil {
		d.refuse(a.pos, &featureNestedNames)
		d.err.Rule = nested.Error()
		return
	}
	if err != nil {
		d.fail(a.pos, "%s name `%s` is not a valid extern name: %v", to.what, a.name, err)
		return
	}
	if to.what == "export" && n.form > interfaceName {
		d.fail(a.pos, "name `%s` is not a valid export name", a.name)
	}
	if a.hasImplements {
		d.checkImplements(a, n, t)
	}
	if err := d.checkAnnotation(to, n, t); err != nil {
		d.fail(a.pos, "%s name `%s` is not valid: %v", to.what, a.name, err)
	}
	if before, ok := to.names[n.unique]; ok {
		d.fail(a.pos, "%s name `%s` conflicts with previous name `%s`", to.what, a.name, before)
	}
	if to.names == nil {
		to.names = nameSet{}
	}
	to.names[n.unique] = a.name
}

func (d *decoder) checkImplements(a *externAttributes, n externName, t *ExternType) {
	if n.form != labelName {
		d.fail(a.pos, "name `%s` is not valid with `implements`", a.name)
	}
	if t.Of != InstanceSort {
		d.fail(a.pos, "only instances can have an `implements`")
	}
	i, err := parseName(a.implements)
	if err != nil {
		d.fail(a.pos, "`%s` is not a valid name: %v", a.implements, err)
	}
	if i.form != interfaceName {
		d.fail(a.pos, "name `%s` must be an interface", a.implements)
	}
}

// checkAnnotation says why an item cannot be the constructor, method or static
// function that its name says it is, or nil.
func (d *decoder) checkAnnotation(to *externs, n externName, t *ExternType) error {
	if n.form != constructorName && n.form != methodName && n.form != staticName {
		return nil
	}
	if t.Of != Func {
		return mismatch("item is not a func")
	}
	switch n.form {
	case constructorName:
		if t.Func.Result == nil {
			return mismatch("function should return one value")
		}
		r := t.Func.Result
		if r.Kind == wit.Result && r.Elem != nil {
			r = r.Elem
		}
		if r.Kind != wit.Own {
			return mismatch("function should return `(own $T)` or `(result (own $T))`")
		}
		return d.checkResourceLabel(to, n, r)
	case methodName:
		if len(t.Func.Params) == 0 {
			return mismatch("function should have at least one argument")
		}
		self := t.Func.Params[0]
		if self.Name != "self" {
			return mismatch("function should have a first argument called `self`")
		}
		if self.Type.Kind != wit.Borrow {
			return mismatch("function should take a first argument of `(borrow $T)`")
		}
		return d.checkResourceLabel(to, n, self.Type)
	}
	if !to.labels[n.resource] {
		return mismatch("static resource name is not known in this context")
	}
	return nil
}

// checkResourceLabel says why the handle is none to the resource type in the
// name, or nil.
func (d *decoder) checkResourceLabel(to *externs, n externName, handle *wit.Type) error {
	label, ok := to.resources[d.handles[handle]]
	if !ok {
		return mismatch("resource used in function does not have a name in this context")
	}
	if label != n.resource {
		return mismatch("function does not match expected resource name `%s`", label)
	}
	return nil
}
