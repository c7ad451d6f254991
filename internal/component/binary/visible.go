package binary

import "github.com/waterbear-run/waterbear/wit"

// show decides whether an item can be an import or an export of a scope: all
// types in it that need a name have one outside (Explainer.md, "External
// Visibility of Types"). The types that it is, or exports, have one from then on.
func (d *decoder) show(s *scope, to *externs, t *ExternType) bool {
	switch t.Of {
	case Func:
		return d.funcVisible(to, t.Func)
	case Type:
		if !d.typeVisible(to, t) {
			return false
		}
		s.name(to, t)
	case InstanceSort:
		d.charge(len(t.Instance.Exports))
		for i := range t.Instance.Exports {
			if !d.show(s, to, &t.Instance.Exports[i].ExternType) {
				return false
			}
		}
	}
	return true
}

// name gives a type a name outside. What is imported can be exported as well.
func (s *scope) name(to *externs, t *ExternType) {
	var key any
	switch {
	case t.Resource != nil:
		key = t.name
	case t.Value != nil:
		key = t.Value
	default:
		return
	}
	to.show(key)
	s.exports.show(key)
}

// typeVisible says whether all that a type is made of is visible; the type itself
// is about to get a name.
func (d *decoder) typeVisible(to *externs, t *ExternType) bool {
	switch {
	case t.Value != nil:
		return d.partsVisible(to, t.Value)
	case t.Func != nil:
		return d.funcVisible(to, t.Func)
	case t.Instance != nil:
		return d.instanceVisible(to, t.Instance)
	}
	// A resource type is named by what declares it, and component types stand
	// alone.
	return true
}

// instanceVisible is typeVisible for all that a type of instances exports: unlike
// those of an instance, its own types name nothing.
func (d *decoder) instanceVisible(to *externs, t *InstanceType) bool {
	d.charge(len(t.Exports))
	for i := range t.Exports {
		e := &t.Exports[i].ExternType
		ok := true
		switch e.Of {
		case Func, Type:
			ok = d.typeVisible(to, e)
		case InstanceSort:
			ok = d.instanceVisible(to, e.Instance)
		}
		if !ok {
			return false
		}
	}
	return true
}

func (d *decoder) funcVisible(to *externs, f *wit.Func) bool {
	d.charge(len(f.Params))
	for i := range f.Params {
		if !d.valueVisible(to, f.Params[i].Type) {
			return false
		}
	}
	return f.Result == nil || d.valueVisible(to, f.Result)
}

// valueVisible says whether a type is visible where it is used.
func (d *decoder) valueVisible(to *externs, t *wit.Type) bool {
	if to.visible[t] {
		return true
	}
	switch t.Kind {
	case wit.Record, wit.Variant, wit.Enum, wit.Flags:
		return false
	}
	if !d.partsVisible(to, t) {
		return false
	}
	if t.Kind >= wit.List {
		to.show(t)
	}
	return true
}

// partsVisible says whether what a type is made of is visible.
func (d *decoder) partsVisible(to *externs, t *wit.Type) bool {
	switch t.Kind {
	case wit.Own, wit.Borrow:
		return to.visible[d.handles[t]]
	case wit.Enum, wit.Flags:
		return true
	}
	d.charge(1 + len(t.Fields))
	for _, p := range parts(t) {
		if !d.valueVisible(to, p) {
			return false
		}
	}
	return true
}
