package waterbear

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"github.com/waterbear-run/waterbear/api"
)

// redaction takes secrets out of what is shown. The zero value takes out nothing.
type redaction struct{ secrets *strings.Replacer }

// redaction gives that of a component, whose programs may have printed and sent
// what they were given.
func (p *Platform) redaction(ctx context.Context, component string) (redaction, error) {
	if p.vault == nil {
		return redaction{}, nil
	}
	secrets, err := p.vault.Redactor(ctx, component)
	return redaction{secrets}, err
}

func (r redaction) text(s string) string {
	if r.secrets == nil {
		return s
	}
	return r.secrets.Replace(s)
}

// bytes is for what is not UTF-8.
func (r redaction) bytes(b []byte) []byte {
	if r.secrets == nil {
		return b
	}
	return []byte(r.secrets.Replace(string(b)))
}

// json goes through the strings of a JSON text: a secret may look like part of
// anything else there.
func (r redaction) json(text json.RawMessage) (json.RawMessage, error) {
	if r.secrets == nil || len(text) == 0 {
		return text, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return json.Marshal(r.value(v))
}

func (r redaction) value(v any) any {
	switch v := v.(type) {
	case string:
		return r.text(v)
	case []any:
		for i := range v {
			v[i] = r.value(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = r.value(v[k])
		}
	}
	return v
}

// redactFailure takes secrets out of why an invocation failed. Its result is what its
// caller asked for, and is left as it is.
func (p *Platform) redactFailure(ctx context.Context, component string, v *api.Invocation) error {
	if v.Failure == nil || p.vault == nil {
		return nil
	}
	r, err := p.redaction(ctx, component)
	if err != nil {
		return err
	}
	f := *v.Failure
	f.Reason, f.Stderr = r.text(f.Reason), r.text(f.Stderr)
	v.Failure = &f
	return nil
}

// redactPromises takes secrets out of what is shown of promises. Their worker gets
// what they were settled with as it is.
func (p *Platform) redactPromises(ctx context.Context, component string, list []api.Promise) error {
	if len(list) == 0 {
		return nil
	}
	r, err := p.redaction(ctx, component)
	if err != nil {
		return err
	}
	for i := range list {
		v := &list[i]
		v.Label, v.Failure, v.Base64 = r.text(v.Label), r.text(v.Failure), r.bytes(v.Base64)
		if v.Value != nil {
			text := r.text(*v.Value)
			v.Value = &text
		}
	}
	return nil
}

// redactPromise is redactPromises of one, as it was read with err.
func (p *Platform) redactPromise(ctx context.Context, component string, v api.Promise, err error) (api.Promise, error) {
	list := []api.Promise{v}
	if wrong := p.redactPromises(ctx, component, list); wrong != nil {
		return api.Promise{}, wrong
	}
	return list[0], err
}

// redactCalls takes secrets out of what is shown of external calls.
func (p *Platform) redactCalls(ctx context.Context, component string, list []api.ExternalCall) error {
	if len(list) == 0 {
		return nil
	}
	r, err := p.redaction(ctx, component)
	if err != nil {
		return err
	}
	for i := range list {
		v := &list[i]
		v.Request, v.Response = r.text(v.Request), r.text(v.Response)
		for _, lines := range [][]string{v.RequestDetail, v.ResponseDetail} {
			for j := range lines {
				lines[j] = r.text(lines[j])
			}
		}
		for j := range v.Repeats {
			v.Repeats[j].Reason = r.text(v.Repeats[j].Reason)
		}
	}
	return nil
}
