package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/wit"
)

// binding is how a route calls a function of one revision.
type binding struct {
	Signature
	params []param
	fields []string // of the body that parameters take, if any do
	reply  reply
	// wrong is what a person is told who makes such a route.
	wrong []api.FieldError
}

// param is a parameter and where it comes from.
type param struct {
	name string
	from source
	form form
}

// form is the type of a parameter or a result: one of WIT or, if that is nil, a
// core module's, or textForm for a command's.
type form struct {
	*wit.Type
	core string
}

// textForm is what a command takes.
const textForm = "string"

func (f form) String() string {
	if f.Type == nil {
		return f.core
	}
	return f.Type.String()
}

// newBinding finds out where each parameter comes from.
func newBinding(r *api.Route, s Signature) *binding {
	b := &binding{Signature: s}
	b.params = b.parameters(r)
	known := map[string]bool{}
	left := 0 // parameters for the body that the route does not speak of
	wildcards, _ := pathWildcards(r.Path)
	for i := range b.params {
		p := &b.params[i]
		known[p.name] = true
		if said, ok := r.Arguments[p.name]; ok {
			p.from, _ = parseSource(said)
			continue
		}
		p.from = defaultSource(p.name, wildcards, bodyless(r))
		if p.from.place == inBody {
			left++
		}
	}
	for i := range b.params {
		p := &b.params[i]
		if _, said := r.Arguments[p.name]; !said && p.from.place == inBody && left == 1 && !b.takesFields(r) {
			p.from.name = "" // it is the only one: it is the body
		}
		if problem := p.unfit(); problem != "" {
			b.refuse("arguments."+p.name, "%s", problem)
		}
		if p.from.place == inBody && p.from.name != "" {
			b.fields = append(b.fields, p.from.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Arguments)) {
		if !known[name] {
			b.refuse("arguments."+name, "%s has no parameter %q: it has %s", s.Function.Name, name, b.names())
		}
	}
	b.checkBody()
	b.reply = b.newReply(r)
	return b
}

func (b *binding) refuse(field, format string, args ...any) {
	b.wrong = append(b.wrong, api.FieldError{Location: field, Message: fmt.Sprintf(format, args...)})
}

// refused is what is wrong, for a person who makes the route.
func (b *binding) refused(route string) []api.FieldError {
	c := check{at: route}
	for _, w := range b.wrong {
		c.refuse(w.Location, "%s", w.Message)
	}
	return c.errors
}

// parameters are those that the function has; of a command, those that the route
// gives it.
func (b *binding) parameters(r *api.Route) (all []param) {
	switch {
	case b.Kind == api.Command:
		for i := range r.Arguments {
			if _, err := strconv.ParseUint(i, 10, 16); err != nil {
				return nil // which is refused as unknown
			}
		}
		for i := range len(r.Arguments) {
			all = append(all, param{name: strconv.Itoa(i + 1), form: form{core: textForm}})
		}
	case b.Type != nil:
		for _, p := range b.Type.Params {
			all = append(all, param{name: p.Name, form: form{Type: p.Type}})
		}
	default:
		for i, t := range b.Function.Params {
			all = append(all, param{name: strconv.Itoa(i + 1), form: form{core: t}})
		}
	}
	return all
}

func (b *binding) names() string {
	if b.Kind == api.Command {
		return "arguments by number, from 1 without gaps"
	}
	var names []string
	for _, p := range b.params {
		names = append(names, p.name)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// takesFields reports whether the route itself takes fields of the body.
func (b *binding) takesFields(r *api.Route) bool {
	for _, said := range r.Arguments {
		if s, _ := parseSource(said); s.place == inBody && s.name != "" {
			return true
		}
	}
	return false
}

// bodyless reports whether the requests of a route have no body.
func bodyless(r *api.Route) bool {
	with := func(m string) bool { return m == http.MethodPost || m == http.MethodPut || m == http.MethodPatch }
	return len(r.Methods) > 0 && !slices.ContainsFunc(r.Methods, with)
}

// defaultSource is where a parameter comes from if the route does not say.
func defaultSource(name string, wildcards []string, bodyless bool) source {
	if wild := strings.ReplaceAll(name, "-", "_"); slices.Contains(wildcards, wild) {
		return source{inPath, wild}
	}
	if bodyless {
		return source{inQuery, name}
	}
	return source{inBody, name}
}

// checkBody refuses to take the body as two things at once.
func (b *binding) checkBody() {
	whole := 0
	for _, p := range b.params {
		if p.from.body() && p.from.name == "" {
			whole++
		}
	}
	if whole > 1 || whole == 1 && len(b.fields) > 0 {
		b.refuse("arguments", "more than one parameter takes the body: take fields of it, body.NAME")
	}
}

// unfit says why a parameter cannot come from where it is said to, or "".
func (p *param) unfit() string {
	switch {
	case p.from.place == inRaw && !p.form.isText() && !p.form.isBytes():
		return fmt.Sprintf("the body's bytes are no %s, but a string or a list<u8>", p.form)
	case p.from.body():
		return ""
	case p.form.list() && p.from.place != inQuery:
		return fmt.Sprintf("a %s comes from the query, where a parameter can be repeated, or from the body", p.form)
	case !p.form.fromText():
		return fmt.Sprintf("a %s cannot be written in a %s: take it from the body", p.form, p.from.place)
	}
	return ""
}

func (f form) isText() bool {
	return f.Type == nil && f.core == textForm || f.Type != nil && f.Kind == wit.String
}

func (f form) isBytes() bool {
	return f.Type != nil && f.Kind == wit.List && f.Elem.Kind == wit.U8
}

// list reports whether it is a list that is written as several texts.
func (f form) list() bool { return f.Type != nil && f.Kind == wit.List && !f.isBytes() }

// absent reports whether no text at all is one of its values.
func (f form) absent() bool {
	return f.list() || f.Type != nil && (f.Kind == wit.Option || f.Kind == wit.Flags)
}

// fromText reports whether its values can be written as text: one, or several if
// it is a list or flags; or none, if it is an option.
func (f form) fromText() bool {
	t := f.Type
	if t == nil {
		return true
	}
	if t.Kind == wit.Option || f.list() {
		t = t.Elem
	}
	return isScalar(t)
}

// isScalar reports whether a value of the type is one text, or flags several.
func isScalar(t *wit.Type) bool {
	switch t.Kind {
	case wit.Variant:
		return !slices.ContainsFunc(t.Fields, func(f wit.Field) bool { return f.Type != nil })
	case wit.List:
		return form{Type: t}.isBytes()
	case wit.Record, wit.Tuple, wit.Option, wit.Result, wit.Own, wit.Borrow:
		return false
	}
	return true
}
