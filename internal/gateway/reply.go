package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/wit"
)

// reply is how results become answers.
type reply struct {
	result  form // what an answer of success has; of a result type, its ok
	none    bool // it has nothing
	tried   bool // the function returns a result<T, E>
	failure *wit.Type
	status  int
	errors  map[string]int
	content string // of a result that is sent as it is
}

// otherError stands for all cases of an error that a route does not name.
const otherError = "*"

func (b *binding) newReply(r *api.Route) reply {
	p := reply{status: r.Status, errors: r.Errors, content: r.Content}
	switch {
	case b.Kind == api.Command:
		p.result = form{core: "i32"}
	case b.Type == nil:
		if p.none = len(b.Function.Results) != 1; !p.none {
			p.result = form{core: b.Function.Results[0]}
		}
	case b.Type.Result == nil:
		p.none = true
	case b.Type.Result.Kind == wit.Result:
		p.tried, p.none, p.failure = true, b.Type.Result.Elem == nil, b.Type.Result.Err
		p.result = form{Type: b.Type.Result.Elem}
	default:
		p.result = form{Type: b.Type.Result}
	}
	switch {
	case r.Content != "" && !p.isPlain():
		b.refuse("content", "the result is no string and no list<u8>, so it is sent as JSON: leave out content")
	case len(r.Errors) > 0 && !p.tried:
		b.refuse("errors", "the function returns no result<T, E>, so it has no errors")
	}
	for name := range r.Errors {
		if p.tried && name != otherError && !hasCase(p.failure, name) {
			b.refuse("errors."+name, "the error has no such case")
		}
	}
	return p
}

func (p *reply) isPlain() bool { return !p.none && (p.result.isText() || p.result.isBytes()) }

// hasCase reports whether t is an enum or a variant with a case of that name.
func hasCase(t *wit.Type, name string) bool {
	if t == nil || t.Kind != wit.Enum && t.Kind != wit.Variant {
		return false
	}
	for _, f := range t.Fields {
		if f.Name == name {
			return true
		}
	}
	return false
}

// answer is a status with what it has to say.
type answer struct {
	status int
	media  string
	body   []byte
}

// answer makes one of the results of an invocation, which are an array of JSON in
// its canonical form (docs/VALUES.md).
func (p *reply) answer(results json.RawMessage) (answer, error) {
	value, ok := only(results)
	if !ok { // a core module may return several values
		return p.success(results)
	}
	if len(value) == 0 {
		return p.nothing(), nil
	}
	if p.tried {
		if failure, ok := member(value, "error"); ok {
			return p.failed(failure), nil
		}
		if value, ok = member(value, "ok"); !ok {
			return answer{}, errors.New("the result is neither ok nor an error")
		}
		if p.none {
			return p.nothing(), nil
		}
	}
	return p.success(value)
}

func (p *reply) nothing() answer { return answer{status: or(p.status, http.StatusNoContent)} }

func (p *reply) success(value json.RawMessage) (answer, error) {
	a := answer{status: or(p.status, http.StatusOK), media: mediaJSON, body: value}
	if p.content == "" {
		return a, nil
	}
	a.media = p.content
	if value[0] != '"' {
		var numbers []int
		if err := json.Unmarshal(value, &numbers); err != nil {
			return a, err
		}
		a.body = make([]byte, len(numbers))
		for i, n := range numbers {
			a.body[i] = byte(n)
		}
		return a, nil
	}
	var text string
	err := json.Unmarshal(value, &text)
	a.body = []byte(text)
	return a, err
}

// failed is the answer of an error that the function returns.
func (p *reply) failed(failure json.RawMessage) answer {
	a := answer{status: http.StatusUnprocessableEntity, media: mediaJSON, body: failure}
	if p.failure == nil {
		a.media, a.body = "", nil
	}
	status, ok := p.errors[caseOf(failure)]
	if !ok {
		status, ok = p.errors[otherError]
	}
	if ok {
		a.status = status
	}
	return a
}

// caseOf is the case of a variant or an enum, or "".
func caseOf(value json.RawMessage) string {
	var name string
	if len(value) > 0 && value[0] == '"' {
		_ = json.Unmarshal(value, &name)
		return name
	}
	if len(value) > 1 && value[0] == '{' {
		if end := bytes.IndexByte(value[2:], '"'); end >= 0 {
			return string(value[2 : 2+end])
		}
	}
	return ""
}

// only is the one value of an array, or nothing if there is none.
func only(array json.RawMessage) (json.RawMessage, bool) {
	var all []json.RawMessage
	if err := json.Unmarshal(array, &all); err != nil || len(all) > 1 {
		return nil, false
	}
	if len(all) == 0 {
		return nil, true
	}
	return all[0], true
}

// member is the value of an object of one member that has this name.
func member(object json.RawMessage, name string) (json.RawMessage, bool) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(object, &fields); err != nil {
		return nil, false
	}
	v, ok := fields[name]
	return v, ok
}

// or is v, or other if v is the zero value.
func or[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}
