package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/wit"
)

// asked is what of a request becomes arguments.
type asked struct {
	request *http.Request
	query   url.Values
	media   string // of the body, without parameters
	body    []byte
	// fields and elements are the body taken apart, once somebody wants a field.
	fields   map[string]json.RawMessage
	elements []json.RawMessage
	form     url.Values // instead, if it is a form
	apart    bool
}

const (
	mediaJSON = "application/json"
	mediaForm = "application/x-www-form-urlencoded"
)

// newAsked looks at all of a request but its body.
func newAsked(r *http.Request) (*asked, *api.Problem) {
	a := &asked{request: r}
	if r.URL.RawQuery != "" {
		var err error
		if a.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
			return nil, wrongAt("query", "it cannot be decoded")
		}
	}
	a.media = mediaJSON
	if given := r.Header.Get("Content-Type"); given != "" {
		media, _, err := mime.ParseMediaType(given)
		if err != nil {
			return nil, wrongAt("header.Content-Type", "it is no media type")
		}
		a.media = media
	}
	return a, nil
}

func (a *asked) isJSON() bool { return a.media == mediaJSON || strings.HasSuffix(a.media, "+json") }

// wrongAt is the problem of one wrong place in a request.
func wrongAt(location, format string, args ...any) *api.Problem {
	message := clip(fmt.Sprintf(format, args...))
	p := api.NewProblem(api.CodeInvalid, location+": "+message)
	p.Errors = []api.FieldError{{Location: location, Message: message}}
	return p
}

// maxMessage bounds what a problem quotes of a client.
const maxMessage = 300

func clip(s string) string {
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return s
}

// arguments are what the function is called with, as a JSON array, and each of
// them.
func (b *binding) arguments(a *asked) (array []byte, each []json.RawMessage, p *api.Problem) {
	array = append(array, '[')
	for i := range b.params {
		if i > 0 {
			array = append(array, ',')
		}
		v, p := b.params[i].value(a, b.fields)
		if p != nil {
			return nil, nil, p
		}
		array = append(array, v...)
		each = append(each, v)
	}
	return append(array, ']'), each, nil
}

// value is the parameter's value as valid JSON; whether it is one of its type the
// platform looks.
func (p *param) value(a *asked, fields []string) (json.RawMessage, *api.Problem) {
	switch p.from.place {
	case inPath:
		return p.text(a.request.PathValue(p.from.name))
	case inQuery:
		return p.text(a.query[p.from.name]...)
	case inHeader:
		return p.text(a.request.Header[p.from.name]...)
	case inRaw:
		return p.bytes(a.body)
	}
	if p.from.name == "" {
		return p.whole(a)
	}
	if problem := a.takeApart(fields); problem != nil {
		return nil, problem
	}
	if a.form != nil {
		return p.text(a.form[p.from.name]...)
	}
	v, ok := a.field(p.from.name)
	switch {
	case ok:
		return v, nil
	case p.optional():
		return json.RawMessage("null"), nil
	}
	return nil, p.missing()
}

// optional reports whether the parameter can be left out.
func (p *param) optional() bool { return p.form.Type != nil && p.form.Kind == wit.Option }

func (p *param) missing() *api.Problem {
	return wrongAt(p.from.String(), "it is missing: give a %s", p.form)
}

// text is the value that texts stand for, of which there can be none.
func (p *param) text(texts ...string) (json.RawMessage, *api.Problem) {
	for _, s := range texts {
		if !utf8.ValidString(s) {
			return nil, wrongAt(p.from.String(), "it is not valid UTF-8")
		}
	}
	t := p.form.Type
	if t != nil && (p.form.list() || t.Kind == wit.Flags) {
		out := []byte{'['}
		for i, s := range texts {
			if i > 0 {
				out = append(out, ',')
			}
			elem := t.Elem
			if t.Kind == wit.Flags {
				elem = &wit.Type{Kind: wit.Enum}
			}
			out = append(out, scalar(form{Type: elem}, s)...)
		}
		return append(out, ']'), nil
	}
	switch len(texts) {
	case 0:
		if p.optional() {
			return json.RawMessage("null"), nil
		}
		return nil, p.missing()
	case 1:
	default:
		return nil, wrongAt(p.from.String(), "it is there %d times: give it once", len(texts))
	}
	f := p.form
	switch {
	case !p.form.fromText(): // a field of a form that has to be a record, or such
		return nil, wrongAt(p.from.String(), "a %s cannot be written in a form: send JSON", p.form)
	case p.optional() && t.Elem.Kind == wit.Flags:
		return json.RawMessage("[" + string(quoted(texts[0])) + "]"), nil
	case p.optional():
		f.Type = t.Elem
	}
	return scalar(f, texts[0]), nil
}

// scalar is a text as the JSON of a value that is one. What is none becomes a
// string, of which it is said later why it is none.
func scalar(f form, text string) json.RawMessage {
	number := f.Type == nil && f.core != textForm
	if f.Type != nil {
		switch f.Kind {
		case wit.Bool:
			if text == "true" || text == "false" {
				return json.RawMessage(text)
			}
		case wit.S8, wit.U8, wit.S16, wit.U16, wit.S32, wit.U32, wit.S64, wit.U64, wit.F32, wit.F64:
			number = true
		}
	}
	if number && text != "" && (text[0] == '-' || '0' <= text[0] && text[0] <= '9') && json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return quoted(text)
}

// quoted is valid UTF-8 as a JSON string.
func quoted(text string) json.RawMessage {
	b, err := json.Marshal(text)
	if err != nil {
		panic("gateway: a string has no JSON: " + err.Error())
	}
	return b
}

// bytes is the body as it is.
func (p *param) bytes(body []byte) (json.RawMessage, *api.Problem) {
	if p.form.isBytes() {
		return quoted(base64.StdEncoding.EncodeToString(body)), nil
	}
	if !utf8.Valid(body) {
		return nil, wrongAt("body", "it is not valid UTF-8")
	}
	return quoted(string(body)), nil
}

// whole is the body as a value.
func (p *param) whole(a *asked) (json.RawMessage, *api.Problem) {
	switch {
	case len(a.body) == 0 && p.optional():
		return json.RawMessage("null"), nil
	case p.form.isBytes() && !a.isJSON(), p.form.isText() && strings.HasPrefix(a.media, "text/"):
		return p.bytes(a.body)
	case !a.isJSON():
		return nil, api.NewProblem(api.CodeMediaType, clip(fmt.Sprintf("the body is %q: send %s", a.media, mediaJSON)))
	case len(a.body) == 0:
		return nil, wrongAt("body", "it is empty: send a %s as JSON", p.form)
	case !json.Valid(a.body):
		return nil, wrongAt("body", "it is not valid JSON")
	}
	return a.body, nil
}

// takeApart reads the fields of a body of which there can be these.
func (a *asked) takeApart(fields []string) *api.Problem {
	if a.apart {
		return nil
	}
	a.apart = true
	if a.media == mediaForm {
		form, err := url.ParseQuery(string(a.body))
		if err != nil {
			return wrongAt("body", "it is no form that can be decoded")
		}
		a.form = form
		return unknownFields(slices.Sorted(maps.Keys(form)), fields)
	}
	if !a.isJSON() {
		return api.NewProblem(api.CodeMediaType, clip(fmt.Sprintf("the body is %q: send %s or %s", a.media, mediaJSON, mediaForm)))
	}
	body := bytes.TrimLeft(a.body, " \t\r\n")
	switch {
	case len(body) == 0:
		return nil
	case !json.Valid(body):
		return wrongAt("body", "it is not valid JSON")
	case body[0] == '[':
		if err := json.Unmarshal(body, &a.elements); err != nil {
			return wrongAt("body", "it is not valid JSON")
		}
		if len(a.elements) > len(fields) {
			return wrongAt("body", "it has %d elements, and there are %d parameters", len(a.elements), len(fields))
		}
		return nil
	case body[0] != '{':
		return wrongAt("body", "it is no object: send one with %s", strings.Join(fields, ", "))
	}
	return a.readFields(body, fields)
}

// readFields reads an object, in which nothing may be named twice: whatever else
// reads the request may take the other of the two.
func (a *asked) readFields(body []byte, fields []string) *api.Problem {
	a.fields = map[string]json.RawMessage{}
	d := json.NewDecoder(bytes.NewReader(body))
	_, err := d.Token() // the bracket
	for err == nil && d.More() {
		var name json.Token
		if name, err = d.Token(); err != nil {
			break
		}
		key, _ := name.(string)
		if _, twice := a.fields[key]; twice {
			return wrongAt("body", "the field %q is there twice", key)
		}
		if !slices.Contains(fields, key) {
			return unknownFields([]string{key}, fields)
		}
		var v json.RawMessage
		if err = d.Decode(&v); err == nil {
			a.fields[key] = v
		}
	}
	if err != nil && err != io.EOF {
		return wrongAt("body", "it is not valid JSON")
	}
	return nil
}

func unknownFields(got, fields []string) *api.Problem {
	for _, name := range got {
		if !slices.Contains(fields, name) {
			return wrongAt("body", "there is no field %q: there are %s", name, strings.Join(fields, ", "))
		}
	}
	return nil
}

// field is one of a body's fields; the arguments of a core module have numbers,
// and may stand in an array.
func (a *asked) field(name string) (json.RawMessage, bool) {
	if a.elements != nil {
		var n int
		if _, err := fmt.Sscanf(name, "%d", &n); err == nil && n >= 1 && n <= len(a.elements) {
			return a.elements[n-1], true
		}
		return nil, false
	}
	v, ok := a.fields[name]
	return v, ok
}

// blame says which argument does not fit its type, after the platform has refused
// them.
func (b *binding) blame(each []json.RawMessage, otherwise *api.Problem) *api.Problem {
	for i, p := range b.params {
		if i >= len(each) {
			break
		}
		var err error
		switch {
		case p.form.Type != nil:
			_, err = wit.FromJSON(p.form.Type, each[i])
		case p.form.core == textForm:
			_, err = wit.Strings(json.RawMessage("[" + string(each[i]) + "]"))
		default:
			_, err = wit.LowerCore([]string{p.form.core}, json.RawMessage("["+string(each[i])+"]"), nil)
			err = cutPrefix(err, "argument 1 ("+p.form.core+"): ")
		}
		if err != nil {
			problem := wrongAt(p.from.String(), "%v", err)
			problem.Status, problem.Code, problem.Title = otherwise.Status, otherwise.Code, otherwise.Title
			return problem
		}
	}
	return api.NewProblem(otherwise.Code, "the arguments do not fit the function")
}

// cutPrefix leaves away what only repeats where the error is.
func cutPrefix(err error, prefix string) error {
	if err == nil {
		return nil
	}
	text, _ := strings.CutPrefix(err.Error(), prefix)
	return fmt.Errorf("%s", text)
}
