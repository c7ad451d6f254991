package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/waterbear-run/waterbear/api"
)

// OpenAPI describes the routes to functions that are for a host, or all of them
// if that is "", as an OpenAPI 3.1 document. What two hosts have under the same
// path and method it has of the first route by name: a document is about one
// host. Handlers are not in it, for they have no types.
func (g *Gateway) OpenAPI(ctx context.Context, host string) (json.RawMessage, error) {
	d := &document{paths: map[string]schema{}, templates: map[string][]string{}, schemas: newSchemas()}
	entries := slices.Clone(g.table.Load().entries)
	if host != "" { // what is for this host alone precedes what is for every host
		slices.SortStableFunc(entries, func(a, b *entry) int { return len(b.route.Host) - len(a.route.Host) })
	}
	for _, e := range entries {
		r := &e.route
		if r.Function == "" || host != "" && r.Host != "" && r.Host != host {
			continue
		}
		s, err := g.invoker.Signature(ctx, r.Component, r.Function)
		if err != nil {
			continue // it cannot be served either
		}
		d.add(e, newBinding(r, s))
	}
	d.schemas.named[problemName] = problemSchema()
	return json.Marshal(schema{
		"openapi": "3.1.0",
		"info":    schema{"title": "Routes", "version": "1", "description": "Errors of the routes themselves are problems (RFC 9457), whose code is stable."},
		"paths":   d.paths, "components": schema{"schemas": d.schemas.named},
	})
}

// problemName is that of the schema of problems. No type of WIT can have it: its
// words are in lower case or in upper case.
const problemName = "Problem"

// document is one that is being made.
type document struct {
	paths map[string]schema
	// templates are the paths by what they are without the names of wildcards, and
	// these names: two paths that differ in them alone are the same in OpenAPI.
	templates map[string][]string
	*schemas
}

func problemSchema() schema {
	text := schema{"type": "string"}
	return schema{"type": "object", "required": []string{"status", "code", "title", "detail"}, "properties": schema{
		"status": schema{"type": "integer"}, "code": text, "title": text, "detail": text, "retryAfter": schema{"type": "integer"},
		"errors": schema{"type": "array", "items": schema{"type": "object", "properties": schema{"location": text, "message": text}}},
	}}
}

// add describes a route.
func (d *document) add(e *entry, b *binding) {
	r := &e.route
	at, renamed := d.path(r.Path)
	if d.paths[at] == nil {
		d.paths[at] = schema{}
	}
	many := len(methodsOf(r)) > 1
	for _, m := range methodsOf(r) {
		method := strings.ToLower(m)
		if d.paths[at][method] != nil {
			continue
		}
		op := schema{
			"operationId": r.Name, "tags": []string{r.Component}, "summary": b.Function.Name,
			"responses": d.responses(r, b),
		}
		if many {
			op["operationId"] = r.Name + "-" + method
		}
		if r.Host != "" {
			op["servers"] = []schema{{"url": "//" + r.Host}}
		}
		if parameters := d.parameters(e, b, m, renamed); len(parameters) > 0 {
			op["parameters"] = parameters
		}
		if body := d.body(b); body != nil {
			op["requestBody"] = body
		}
		d.paths[at][method] = op
	}
}

// path is a route's path as the document has it, and how its wildcards are called
// there.
func (d *document) path(of string) (at string, renamed map[string]string) {
	names, _ := pathWildcards(of)
	bare := strings.ReplaceAll(of, "...}", "}")
	for _, name := range names {
		bare = strings.Replace(bare, "{"+name+"}", "{}", 1)
	}
	if d.templates[bare] == nil {
		d.templates[bare] = names
	}
	at, renamed = bare, map[string]string{}
	for i, name := range d.templates[bare] {
		at = strings.Replace(at, "{}", "{"+name+"}", 1)
		renamed[names[i]] = name
	}
	return at, renamed
}

// parameters are those of the path, the query and the header.
func (d *document) parameters(e *entry, b *binding, method string, renamed map[string]string) (all []schema) {
	seen := map[source]bool{}
	add := func(from source, required bool, s schema, about string) {
		if seen[from] || from.body() {
			return
		}
		seen[from] = true
		p := schema{"name": from.name, "in": string(from.place), "required": required, "schema": s}
		if from.place == inPath {
			p["name"] = renamed[from.name]
		}
		if about != "" {
			p["description"] = about
		}
		all = append(all, p)
	}
	for i := range b.params {
		p := &b.params[i]
		add(p.from, !p.form.absent() || p.from.place == inPath, d.text(p.form), "")
	}
	if from := e.worker.from; from.place != "" {
		add(from, true, schema{"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[A-Za-z0-9][A-Za-z0-9._:@-]*$"}, "Whom the request is for")
	}
	wildcards, _ := pathWildcards(e.route.Path)
	for _, name := range wildcards { // which nothing takes
		add(source{inPath, name}, true, schema{"type": "string"}, "")
	}
	if e.key.field != "" && method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions {
		add(source{inHeader, e.key.field}, e.key.required, schema{"type": "string", "minLength": 1, "maxLength": maxClientKey, "pattern": "^[!-~]+$"},
			"The same key is the same request, and gets the same answer")
	}
	return all
}

// body is what requests have to have, nil if that is none.
func (d *document) body(b *binding) schema {
	values, texts := fieldsSchema{properties: schema{}}, fieldsSchema{properties: schema{}}
	form := true
	for i := range b.params {
		p := &b.params[i]
		switch {
		case p.from.place == inRaw:
			return schema{"required": true, "content": schema{"*/*": schema{}}}
		case p.from.place != inBody:
		case p.from.name == "":
			content := schema{mediaJSON: schema{"schema": d.of(p.form)}}
			if p.form.isText() {
				content["text/plain"] = schema{"schema": schema{"type": "string"}}
			}
			if p.form.isBytes() {
				content["application/octet-stream"] = schema{}
			}
			return schema{"required": !p.optional(), "content": content}
		default:
			values.add(p.from.name, d.of(p.form), !p.optional())
			if form = form && (p.form.fromText() || p.form.list()); form {
				texts.add(p.from.name, d.text(p.form), !p.form.absent())
			}
		}
	}
	if len(values.properties) == 0 {
		return nil
	}
	content := schema{mediaJSON: values.schema()}
	if form {
		content[mediaForm] = texts.schema()
	}
	return schema{"required": len(values.required) > 0, "content": content}
}

// fieldsSchema describes the fields of a body.
type fieldsSchema struct {
	properties schema
	required   []string
}

func (f *fieldsSchema) add(name string, s schema, required bool) {
	f.properties[name] = s
	if required {
		f.required = append(f.required, name)
	}
}

func (f *fieldsSchema) schema() schema {
	object := schema{"type": "object", "properties": f.properties, "additionalProperties": false}
	if len(f.required) > 0 {
		object["required"] = f.required
	}
	return schema{"schema": object}
}

// responses are the function's, by status, and problems.
func (d *document) responses(r *api.Route, b *binding) schema {
	all := schema{"default": schema{
		"description": "What is wrong with the request, or why there is no answer",
		"content":     schema{problemType: schema{"schema": schema{"$ref": "#/components/schemas/" + problemName}}},
	}}
	if r.Async {
		all["202"] = schema{"description": "It is accepted, and takes place whatever happens"}
		return all
	}
	p := &b.reply
	switch {
	case p.none && b.Type == nil && len(b.Function.Results) > 1:
		all[strconv.Itoa(or(p.status, http.StatusOK))] = schema{"description": "The results", "content": schema{mediaJSON: schema{"schema": schema{"type": "array"}}}}
	case p.none:
		all[strconv.Itoa(or(p.status, http.StatusNoContent))] = schema{"description": "It is done"}
	case p.content != "":
		all[strconv.Itoa(or(p.status, http.StatusOK))] = schema{"description": "The result", "content": schema{p.content: schema{}}}
	default:
		all[strconv.Itoa(or(p.status, http.StatusOK))] = schema{"description": "The result", "content": schema{mediaJSON: schema{"schema": d.of(p.result)}}}
	}
	if !p.tried {
		return all
	}
	failure := schema{"description": "The function's own error"}
	if p.failure != nil {
		failure["content"] = schema{
			mediaJSON:   schema{"schema": d.typed(p.failure)},
			problemType: schema{"schema": schema{"$ref": "#/components/schemas/" + problemName}},
		}
	}
	if _, ok := p.errors[otherError]; !ok {
		all[strconv.Itoa(http.StatusUnprocessableEntity)] = failure
	}
	for _, status := range p.errors {
		all[strconv.Itoa(status)] = failure
	}
	return all
}

// document answers with the routes of the host that the request is for.
func (p *public) document(x *exchange, r *http.Request) {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	text, err := p.gateway.OpenAPI(r.Context(), host)
	if err != nil {
		p.Log.Error("the document of the routes cannot be made", "request", x.id, "error", err)
		x.problem(p.internal(x))
		return
	}
	x.Header().Set("X-Content-Type-Options", "nosniff")
	x.send(answer{http.StatusOK, "application/openapi+json", bytes.TrimSpace(text)})
}
