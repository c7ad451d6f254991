package binary

import (
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/wit"
)

func mismatch(format string, args ...any) error { return fmt.Errorf(format, brief(args)...) }

func expected(want, found string) error { return mismatch("expected %s, found %s", want, found) }

// within says where a mismatch is.
func within(err error, format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, brief(args)...), err)
}

// errStopped stands for a failure that the decoder has recorded.
var errStopped = errors.New("stopped")

// match says why an item of type a cannot stand for one of type b, or nil
// (Explainer.md, "Type Checking").
func (d *decoder) match(a, b *ExternType) error {
	d.charge(1)
	if d.err != nil {
		return errStopped
	}
	if a.Of != b.Of {
		return expected(externNames[b.Of], externNames[a.Of])
	}
	switch a.Of {
	case CoreModuleSort:
		return d.moduleMatch(a.Module, b.Module)
	case Func:
		return d.funcMatch(a.Func, b.Func)
	case ComponentSort:
		return d.componentMatch(a.Component, b.Component)
	case InstanceSort:
		return d.instanceMatch(a.Instance, b.Instance)
	}
	return d.typeMatch(a, b)
}

// typeMatch compares types that are items themselves.
func (d *decoder) typeMatch(a, b *ExternType) error {
	switch {
	case a.Resource != nil && b.Resource != nil:
		if a.Resource != b.Resource {
			return mismatch("resource types are not the same")
		}
		return nil
	case a.Value != nil && b.Value != nil:
		return d.valueMatch(a.Value, b.Value)
	case a.Func != nil && b.Func != nil:
		return d.funcMatch(a.Func, b.Func)
	case a.Instance != nil && b.Instance != nil:
		return d.instanceMatch(a.Instance, b.Instance)
	case a.Component != nil && b.Component != nil:
		return d.componentMatch(a.Component, b.Component)
	}
	return expected(typeKind(b), typeKind(a))
}

// typeKind says what a type is a type of.
func typeKind(t *ExternType) string {
	switch {
	case t.Of != Type:
		return externNames[t.Of]
	case t.Resource != nil:
		return "resource"
	case t.Value != nil:
		return "defined type"
	case t.Func != nil:
		return "func type"
	case t.Instance != nil:
		return "instance type"
	}
	return "component type"
}

// instanceMatch says why an instance of type a cannot stand for one of type b, or
// nil: a may export more.
func (d *decoder) instanceMatch(a, b *InstanceType) error {
	if a == b {
		return nil
	}
	d.charge(len(b.Exports))
	for i := range b.Exports {
		want := &b.Exports[i]
		if a.export(want.Name) == nil {
			return mismatch("missing expected export `%s`", want.Name)
		}
	}
	for i := range b.Exports {
		want := &b.Exports[i]
		if err := d.match(a.export(want.Name), &want.ExternType); err != nil {
			return within(err, "type mismatch in instance export `%s`", want.Name)
		}
	}
	return nil
}

// componentMatch says why a component of type a cannot stand for one of type b,
// or nil: with what b takes it has to give what b gives.
func (d *decoder) componentMatch(a, b *ComponentType) error {
	if a == b {
		return nil
	}
	m, err := d.open("import", a.Imports, a.imported, d.byName(b.Imports))
	if err != nil {
		return err
	}
	exports, _ := m.externs(a.Exports)
	_, err = d.open("export", b.Exports, b.own, d.byName(exports))
	return err
}

// given finds an item by its name, or gives nil.
type given func(name string) *ExternType

func (d *decoder) byName(list []Extern) given {
	d.charge(len(list))
	all := make(map[string]*ExternType, len(list))
	for i := range list {
		all[list[i].Name] = &list[i].ExternType
	}
	return func(name string) *ExternType { return all[name] }
}

// open says why items do not satisfy a list of imports or exports, or gives the
// substitution that stands for their doing so: of the resource types that the list
// declares, which are bound, by those of the items, and of the types in the list by
// the names that the items have for them.
func (d *decoder) open(what string, wanted []Extern, bound []*wit.Resource, items given) (*substitution, error) {
	actual := d.newSubstitution()
	if len(bound) > 0 {
		left := make(map[*wit.Resource]bool, len(bound))
		for _, r := range bound {
			left[r] = true
		}
		for i := range wanted {
			d.bind(left, actual.resources, &wanted[i].ExternType, items(wanted[i].Name))
		}
	}
	for i := range wanted {
		if items(wanted[i].Name) == nil {
			return nil, mismatch("missing %s named `%s`", what, wanted[i].Name)
		}
	}
	renamed := d.newSubstitution()
	renamed.resources = actual.resources
	for i := range wanted {
		item := items(wanted[i].Name)
		want := actual.extern(wanted[i].ExternType)
		if err := d.match(item, &want); err != nil {
			return nil, within(err, "type mismatch for %s `%s`", what, wanted[i].Name)
		}
		renamed.rename(&wanted[i].ExternType, item)
	}
	return renamed, nil
}

// bind finds which resource types stand for those that are left where an item is
// wanted, as far as the item is like it.
func (d *decoder) bind(left map[*wit.Resource]bool, found map[*wit.Resource]*wit.Resource, want, item *ExternType) {
	if item == nil || item.Of != want.Of {
		return
	}
	switch {
	case want.Of == Type && want.Resource != nil && item.Resource != nil && left[want.Resource]:
		delete(left, want.Resource)
		found[want.Resource] = item.Resource
	case want.Of == InstanceSort:
		d.charge(len(want.Instance.Exports))
		for i := range want.Instance.Exports {
			e := &want.Instance.Exports[i]
			d.bind(left, found, &e.ExternType, item.Instance.export(e.Name))
		}
	}
}

// ascriptionMatch says why the type of an export cannot be said to be b, or nil.
// Resource types that b declares stand for those of the item.
func (d *decoder) ascriptionMatch(a, b *ExternType) error {
	if a.Of != InstanceSort || b.Of != InstanceSort || len(b.Instance.own) == 0 {
		return d.match(a, b)
	}
	_, err := d.open("expected export", b.Instance.Exports, b.Instance.own, a.Instance.export)
	return err
}
