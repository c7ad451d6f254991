package wasip2

import (
	"bytes"
	"slices"
	"strings"

	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

// Cases of header-error.
const (
	headerInvalid = iota
	headerForbidden
	headerImmutable
)

// fields are the headers or the trailers of a message. Those that a message has
// given are its children and cannot be changed.
type fields struct {
	child
	list      []field
	immutable bool
}

// field is a name and one of its values. It is never changed.
type field struct {
	name  string // as it was given
	value []byte
}

func (*fields) kind() kind { return kindFields }

func (f *fields) code(c *wasi.Coder) {
	c.Bool(&f.immutable)
	codeFields(c, &f.list)
}

func codeFields(c *wasi.Coder, list *[]field) {
	wasi.List(c, list, maxHeld/entryCost, func(f *field) {
		wasi.Text(c, &f.name, maxHeld)
		wasi.Text(c, &f.value, maxHeld)
	})
}

func (f *fields) weight() int { return weightOf(f.list) }

func weightOf(list []field) (n int) {
	for _, f := range list {
		n += f.weight()
	}
	return n
}

func (f field) weight() int { return len(f.name) + len(f.value) + entryCost }

// named tells whether a field has this name: case does not matter.
func (f field) named(name string) bool { return strings.EqualFold(f.name, name) }

// wrong tells why a name cannot be given these values, or any.
func (f *fields) wrong(name string, values ...[]byte) (wit.Value, bool) {
	switch {
	case !isToken(name):
		return label(headerInvalid), true
	case f.immutable:
		return label(headerImmutable), true
	case slices.Contains(forbiddenFields, strings.ToLower(name)):
		return label(headerForbidden), true
	}
	for _, v := range values {
		if !isFieldValue(name, v) {
			return label(headerInvalid), true
		}
	}
	return nil, false
}

// forbiddenFields are those that belong to the connection, which is the host's.
var forbiddenFields = []string{
	"connection", "host", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authorization",
	"proxy-connection", "transfer-encoding", "upgrade",
}

func newFields(s *System, _ []wit.Value) (wit.Value, error) { return s.add(&fields{}, 0) }

func fieldsFromList(s *System, a []wit.Value) (wit.Value, error) {
	f := &fields{}
	for _, e := range a[0].([]wit.Value) {
		pair := e.([]wit.Value)
		name, value := pair[0].(string), pair[1].([]byte)
		if why, wrong := f.wrong(name, value); wrong {
			return failed(why), nil
		}
		f.list = append(f.list, field{name, value})
	}
	rep, err := s.add(f, 0)
	return ok(rep), err
}

// values are those of a name.
func (f *fields) values(name string) []wit.Value {
	values := []wit.Value{}
	for _, e := range f.list {
		if e.named(name) {
			values = append(values, e.value)
		}
	}
	return values
}

func fieldsGet(s *System, f *fields, a []wit.Value) (wit.Value, error) {
	return f.values(a[1].(string)), nil
}

func fieldsHas(s *System, f *fields, a []wit.Value) (wit.Value, error) {
	return len(f.values(a[1].(string))) > 0, nil
}

// replace gives a name other values, where its first value is, or at the end.
func (s *System) replace(f *fields, name string, values [][]byte) error {
	at, list := -1, make([]field, 0, len(f.list)+len(values))
	for _, e := range f.list {
		switch {
		case !e.named(name):
			list = append(list, e)
		case at < 0:
			at = len(list)
		}
	}
	if at < 0 {
		at = len(list)
	}
	fresh := make([]field, len(values))
	for i, v := range values {
		fresh[i] = field{name, v}
	}
	list = slices.Insert(list, at, fresh...)
	if err := s.hold(weightOf(list) - f.weight()); err != nil {
		return err
	}
	f.list = list
	return nil
}

func fieldsSet(s *System, f *fields, a []wit.Value) (wit.Value, error) {
	name, given := a[1].(string), a[2].([]wit.Value)
	values := make([][]byte, len(given))
	for i, v := range given {
		values[i] = v.([]byte)
	}
	if why, wrong := f.wrong(name, values...); wrong {
		return failed(why), nil
	}
	return ok(nil), s.replace(f, name, values)
}

func fieldsDelete(s *System, f *fields, a []wit.Value) (wit.Value, error) {
	name := a[1].(string)
	if why, wrong := f.wrong(name); wrong {
		return failed(why), nil
	}
	return ok(nil), s.replace(f, name, nil)
}

func fieldsAppend(s *System, f *fields, a []wit.Value) (wit.Value, error) {
	e := field{a[1].(string), a[2].([]byte)}
	if why, wrong := f.wrong(e.name, e.value); wrong {
		return failed(why), nil
	}
	if err := s.hold(e.weight()); err != nil {
		return nil, err
	}
	f.list = append(f.list, e)
	return ok(nil), nil
}

func fieldsEntries(s *System, f *fields, _ []wit.Value) (wit.Value, error) {
	entries := make([]wit.Value, len(f.list))
	for i, e := range f.list {
		entries[i] = []wit.Value{e.name, e.value}
	}
	return entries, nil
}

func fieldsClone(s *System, f *fields, _ []wit.Value) (wit.Value, error) {
	return s.add(&fields{list: slices.Clone(f.list)}, 0)
}

// contentLength is what the fields say of the length of the body, if they do, or
// an error.
func contentLength(list []field) (n uint64, limited bool, err error) {
	for _, f := range list {
		if !f.named("content-length") {
			continue
		}
		v, valid := parseLength(bytes.TrimSpace(f.value))
		if !valid || limited && v != n {
			return 0, false, errContentLength
		}
		n, limited = v, true
	}
	return n, limited, nil
}
