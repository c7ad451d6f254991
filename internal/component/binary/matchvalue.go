package binary

import "github.com/waterbear-run/waterbear/wit"

// funcMatch says why two types of functions differ, or nil. As in other
// implementations a type has no subtypes but itself.
func (d *decoder) funcMatch(a, b *wit.Func) error {
	if a == b {
		return nil
	}
	d.charge(1 + len(a.Params))
	if len(a.Params) != len(b.Params) {
		return mismatch("expected %d parameters, found %d", len(b.Params), len(a.Params))
	}
	for i := range a.Params {
		if a.Params[i].Name != b.Params[i].Name {
			return mismatch("expected parameter named `%s`, found `%s`", b.Params[i].Name, a.Params[i].Name)
		}
		if err := d.valueMatch(a.Params[i].Type, b.Params[i].Type); err != nil {
			return within(err, "type mismatch in function parameter `%s`", a.Params[i].Name)
		}
	}
	switch {
	case a.Result == nil && b.Result == nil:
		return nil
	case a.Result == nil:
		return mismatch("expected a result, found none")
	case b.Result == nil:
		return mismatch("expected no result, found one")
	}
	if err := d.valueMatch(a.Result, b.Result); err != nil {
		return within(err, "type mismatch with result type")
	}
	return nil
}

// valueMatch says why two value types differ, or nil.
func (d *decoder) valueMatch(a, b *wit.Type) error {
	pair := [2]*wit.Type{a, b}
	if a == b || d.same[pair] {
		return nil
	}
	d.charge(1 + len(a.Fields))
	if d.err != nil {
		return errStopped
	}
	if a.Kind != b.Kind {
		if a.Kind < wit.List && b.Kind < wit.List {
			return mismatch("expected primitive `%s` found primitive `%s`", b.Kind, a.Kind)
		}
		return expected(b.Kind.String(), a.Kind.String())
	}
	if err := d.partsMatch(a, b); err != nil {
		return err
	}
	if a.Kind >= wit.List {
		d.same[pair] = true
	}
	return nil
}

// partsMatch compares what two types of a kind are made of.
func (d *decoder) partsMatch(a, b *wit.Type) error {
	switch a.Kind {
	case wit.Record:
		return d.fieldsMatch(a, b, "fields", "field name", "record field")
	case wit.Variant:
		return d.fieldsMatch(a, b, "cases", "case named", "variant case")
	case wit.Tuple:
		return d.fieldsMatch(a, b, "types", "", "tuple field")
	case wit.Enum, wit.Flags:
		if d.fieldsMatch(a, b, "labels", "label", "label") != nil {
			return mismatch("mismatch in %s elements", a.Kind)
		}
	case wit.List, wit.Option:
		return d.valueMatch(a.Elem, b.Elem)
	case wit.Result:
		if err := d.optionalMatch(a.Elem, b.Elem, "ok"); err != nil {
			return err
		}
		return d.optionalMatch(a.Err, b.Err, "err")
	case wit.Own, wit.Borrow:
		if a.Resource != b.Resource {
			return mismatch("resource types are not the same")
		}
	}
	return nil
}

// fieldsMatch compares fields, cases or labels: many of them, each by its name,
// each as a part.
func (d *decoder) fieldsMatch(a, b *wit.Type, many, name, part string) error {
	if len(a.Fields) != len(b.Fields) {
		return mismatch("expected %d %s, found %d", len(b.Fields), many, len(a.Fields))
	}
	for i := range a.Fields {
		x, y := &a.Fields[i], &b.Fields[i]
		if x.Name != y.Name {
			return mismatch("expected %s `%s`, found `%s`", name, y.Name, x.Name)
		}
		switch {
		case x.Type == y.Type:
			continue
		case x.Type == nil:
			return mismatch("expected case `%s` to have a type, found none", x.Name)
		case y.Type == nil:
			return mismatch("expected case `%s` to have no type", x.Name)
		}
		if err := d.valueMatch(x.Type, y.Type); err != nil {
			if a.Kind == wit.Tuple {
				return within(err, "type mismatch in %s %d", part, i)
			}
			return within(err, "type mismatch in %s `%s`", part, x.Name)
		}
	}
	return nil
}

// optionalMatch compares the payloads of a case of results.
func (d *decoder) optionalMatch(a, b *wit.Type, which string) error {
	switch {
	case a == b:
		return nil
	case a == nil:
		return mismatch("expected %s type, but found none", which)
	case b == nil:
		return mismatch("expected %s type to not be present", which)
	}
	if err := d.valueMatch(a, b); err != nil {
		return within(err, "type mismatch in %s variant", which)
	}
	return nil
}
