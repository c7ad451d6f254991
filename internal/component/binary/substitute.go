package binary

import "github.com/waterbear-run/waterbear/wit"

// substitution replaces resource types by others in types, and types by what they
// are known as elsewhere. Types that nothing changes in stay the same pointers.
type substitution struct {
	d         *decoder
	resources map[*wit.Resource]*wit.Resource
	// These are what is replaced and, beyond that, what has come of each type so
	// far, so that none is made twice.
	names      map[*resourceName]*resourceName
	values     map[*wit.Type]*wit.Type
	funcs      map[*wit.Func]*wit.Func
	instances  map[*InstanceType]*InstanceType
	components map[*ComponentType]*ComponentType
	// renames says that values or names hold replacements.
	renames bool
}

func (d *decoder) newSubstitution() *substitution {
	return &substitution{
		d:          d,
		resources:  map[*wit.Resource]*wit.Resource{},
		names:      map[*resourceName]*resourceName{},
		values:     map[*wit.Type]*wit.Type{},
		funcs:      map[*wit.Func]*wit.Func{},
		instances:  map[*InstanceType]*InstanceType{},
		components: map[*ComponentType]*ComponentType{},
	}
}

// idle says that nothing is replaced.
func (m *substitution) idle() bool { return len(m.resources) == 0 && !m.renames }

// rename has the type that is known as from here known as to there, and all that
// instances export of it.
func (m *substitution) rename(from, to *ExternType) {
	switch {
	case from.Of == Type && from.Value != nil && to.Value != nil && from.Value != to.Value:
		m.values[from.Value], m.renames = to.Value, true
	case from.Of == Type && from.Resource != nil && to.Resource != nil:
		m.names[from.name], m.renames = to.name, true
	case from.Of == InstanceSort && to.Of == InstanceSort:
		for i := range from.Instance.Exports {
			e := &from.Instance.Exports[i]
			if actual := to.Instance.export(e.Name); actual != nil {
				m.rename(&e.ExternType, actual)
			}
		}
	}
}

func (m *substitution) resource(r *wit.Resource) *wit.Resource {
	if to, ok := m.resources[r]; ok {
		return to
	}
	return r
}

func (m *substitution) name(n *resourceName) *resourceName {
	if to, ok := m.names[n]; ok {
		return to
	}
	to := n
	if r := m.resource(n.resource); r != n.resource {
		to = &resourceName{r}
	}
	m.names[n] = to
	return to
}

func (m *substitution) value(t *wit.Type) *wit.Type {
	if t == nil || m.idle() || !m.renames && !m.d.factsOf(t).handle {
		return t
	}
	if to, ok := m.values[t]; ok {
		return to
	}
	m.d.charge(1 + len(t.Fields))
	to := m.changed(t)
	m.values[t] = to
	return to
}

// changed is a type with its parts replaced, or the same one if none is.
func (m *substitution) changed(t *wit.Type) *wit.Type {
	switch t.Kind {
	case wit.Own, wit.Borrow:
		name := m.d.handles[t]
		to := m.name(name)
		if to == name {
			return t
		}
		handle := &wit.Type{Kind: t.Kind, Name: t.Name, Resource: to.resource}
		m.d.handles[handle] = to
		return handle
	}
	elem, err := m.value(t.Elem), m.value(t.Err)
	fields := t.Fields
	for i := range t.Fields {
		to := m.value(t.Fields[i].Type)
		if to == t.Fields[i].Type {
			continue
		}
		if &fields[0] == &t.Fields[0] {
			fields = append([]wit.Field(nil), t.Fields...)
		}
		fields[i].Type = to
	}
	if elem == t.Elem && err == t.Err && (len(fields) == 0 || &fields[0] == &t.Fields[0]) {
		return t
	}
	return &wit.Type{Kind: t.Kind, Name: t.Name, Fields: fields, Elem: elem, Err: err}
}

func (m *substitution) function(f *wit.Func) *wit.Func {
	if m.idle() || !m.renames && !m.d.funcFacts(f).handle {
		return f
	}
	if to, ok := m.funcs[f]; ok {
		return to
	}
	m.d.charge(1 + len(f.Params))
	to := &wit.Func{Params: make([]wit.Param, len(f.Params)), Result: m.value(f.Result)}
	same := to.Result == f.Result
	for i, p := range f.Params {
		to.Params[i] = wit.Param{Name: p.Name, Type: m.value(p.Type)}
		same = same && to.Params[i].Type == p.Type
	}
	if same {
		to = f
	}
	m.funcs[f] = to
	return to
}

// extern is the type of an item with all that it is made of replaced.
func (m *substitution) extern(t ExternType) ExternType {
	switch {
	case t.Func != nil:
		t.Func = m.function(t.Func)
	case t.Value != nil:
		t.Value, t.origin = m.value(t.Value), m.value(t.origin)
	case t.Resource != nil:
		t.name = m.name(t.name)
		t.Resource = t.name.resource
	case t.Instance != nil:
		t.Instance = m.instance(t.Instance)
	case t.Component != nil:
		t.Component = m.component(t.Component)
	}
	return t
}

// externs replaces in a list, and says whether that changed anything.
func (m *substitution) externs(list []Extern) ([]Extern, bool) {
	if m.idle() {
		return list, false
	}
	m.d.charge(len(list))
	if m.d.err != nil {
		return list, false
	}
	to := list
	for i := range list {
		t := m.extern(list[i].ExternType)
		if t == list[i].ExternType {
			continue
		}
		if &to[0] == &list[0] {
			to = append([]Extern(nil), list...)
		}
		to[i].ExternType = t
	}
	return to, len(list) > 0 && &to[0] != &list[0]
}

func (m *substitution) instance(t *InstanceType) *InstanceType {
	if to, ok := m.instances[t]; ok {
		return to
	}
	to := t
	if exports, changed := m.externs(t.Exports); changed {
		made := *t
		made.Exports = exports
		to = &made
	}
	m.instances[t] = to
	return to
}

func (m *substitution) component(t *ComponentType) *ComponentType {
	if to, ok := m.components[t]; ok {
		return to
	}
	to := t
	imports, changed := m.externs(t.Imports)
	exports, changedToo := m.externs(t.Exports)
	if changed || changedToo {
		made := *t
		made.Imports, made.Exports = imports, exports
		to = &made
	}
	m.components[t] = to
	return to
}

// renew replaces resource types by new ones, which it gives in the same order.
func (m *substitution) renew(resources []*wit.Resource) []*wit.Resource {
	made := make([]*wit.Resource, len(resources))
	for i, r := range resources {
		made[i] = &wit.Resource{Name: r.Name}
		m.resources[r] = made[i]
	}
	return made
}

// freshen is the type of an instance of a type: what resource types the type
// declares are new ones in each.
func (d *decoder) freshen(t *InstanceType) (*InstanceType, []*wit.Resource) {
	if len(t.own) == 0 {
		return t, nil
	}
	m := d.newSubstitution()
	made := m.renew(t.own)
	fresh := *m.instance(t)
	fresh.own = nil
	return &fresh, made
}

// export is the type of an export, or nil.
func (t *InstanceType) export(name string) *ExternType {
	if t.byName == nil {
		t.byName = make(map[string]int, len(t.Exports))
		for i := range t.Exports {
			t.byName[t.Exports[i].Name] = i
		}
	}
	if i, ok := t.byName[name]; ok {
		return &t.Exports[i].ExternType
	}
	return nil
}
