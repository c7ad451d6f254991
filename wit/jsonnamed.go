package wit

import "fmt"

// record reads the next value as a record.
func (r *jsonReader) record(t *Type) (Value, error) {
	if r.peek() != '{' {
		return nil, r.wrong("an object")
	}
	// Those that are left out take room as well.
	if err := r.spend(len(t.Fields)); err != nil {
		return nil, err
	}
	if err := r.enter(); err != nil {
		return nil, err
	}
	values := make([]Value, len(t.Fields))
	for hint := 0; r.more(); {
		name, err := r.name()
		if err != nil {
			return nil, err
		}
		i, ok := r.labels.find(t, name, hint)
		switch {
		case !ok:
			return nil, noSuch(t, "field", name)
		case values[i] != nil:
			return nil, fmt.Errorf("it has two fields %s", name)
		}
		if values[i], err = r.value(t.Fields[i].Type); err != nil {
			return nil, inField(name, err)
		}
		hint = i + 1
	}
	return values, fillIn(t, values)
}

// fillIn gives the fields that were left out their values, or says which must
// not be.
func fillIn(t *Type, values []Value) error {
	for i, f := range t.Fields {
		if values[i] != nil {
			continue
		}
		if f.Type.Kind != Option {
			return fmt.Errorf("it lacks the field %s, of type %s", f.Name, f.Type)
		}
		values[i] = Case{}
	}
	return nil
}

// maxListed bounds how many names an error lists.
const maxListed = 12

// noSuch is the error for a name that is none of t's.
func noSuch(t *Type, what, name string) error {
	text := fmt.Sprintf("there is no %s %s: ", what, quote(name))
	if len(t.Fields) == 1 {
		return fmt.Errorf("%sthe only one is %s", text, t.Fields[0].Name)
	}
	for i, f := range t.Fields {
		switch {
		case i == 0:
			text += "there are "
		case i == maxListed:
			return fmt.Errorf("%s and %d more", text, len(t.Fields)-i)
		default:
			text += ", "
		}
		text += f.Name
	}
	return fmt.Errorf("%s", text)
}

// variant reads the next value as a variant or an enum.
func (r *jsonReader) variant(t *Type) (Value, error) {
	switch {
	case r.peek() == '"':
		name, err := r.str()
		if err != nil {
			return nil, err
		}
		i, ok := r.labels.find(t, name, 0)
		if !ok {
			return nil, noSuch(t, "case", name)
		}
		if payload := t.Fields[i].Type; payload != nil {
			return nil, fmt.Errorf(`case %s has a payload of type %s: write {"%s": payload}`, name, payload, name)
		}
		return Case{Index: uint32(i)}, nil
	case r.peek() != '{' || t.Kind == Enum:
		return nil, r.wrong("the name of a case as a string" + payloadHint(t))
	}
	return r.member(func(name string) (Value, error) {
		i, ok := r.labels.find(t, name, 0)
		if !ok {
			return nil, noSuch(t, "case", name)
		}
		payload := t.Fields[i].Type
		if payload == nil {
			return nil, fmt.Errorf(`case %s has no payload: write "%s"`, name, name)
		}
		v, err := r.value(payload)
		return Case{Index: uint32(i), Payload: v}, inCase(name, err)
	})
}

func payloadHint(t *Type) string {
	if t.Kind == Enum {
		return ""
	}
	return `, or {"case": payload}`
}

// flags reads the next value as flags.
func (r *jsonReader) flags(t *Type) (Value, error) {
	if r.peek() != '[' {
		return nil, r.wrong("an array of names")
	}
	if err := r.enter(); err != nil {
		return nil, err
	}
	var bits uint32
	for i := 0; r.more(); i++ {
		if r.peek() != '"' {
			return nil, inElement(i, r.wrong("the name of a flag as a string"))
		}
		name, err := r.str()
		if err != nil {
			return nil, err
		}
		if bits, err = r.labels.setFlag(t, bits, name); err != nil {
			return nil, inElement(i, err)
		}
	}
	return bits, nil
}

// setFlag sets the one of that name, which must not be set.
func (l labels) setFlag(t *Type, bits uint32, name string) (uint32, error) {
	i, ok := l.find(t, name, 0)
	switch {
	case !ok:
		return 0, noSuch(t, "flag", name)
	case i >= maxFlags:
		return 0, fmt.Errorf("flag %s is beyond the %d that flags may have", name, maxFlags)
	case bits>>i&1 != 0:
		return 0, fmt.Errorf("flag %s is there twice", name)
	}
	return bits | 1<<i, nil
}
