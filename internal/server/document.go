package server

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waterbear-run/waterbear/api"
)

// document gives the OpenAPI document in its two forms. Making it takes longer
// than starting should, so it is made when somebody asks.
type document struct{ json, yaml func() ([]byte, error) }

func newDocument(o *huma.OpenAPI) document {
	return document{json: sync.OnceValues(o.MarshalJSON), yaml: sync.OnceValues(o.YAML)}
}

// register makes the document and the router of all operations.
func (s *Server) register() {
	useProblems()
	config := huma.DefaultConfig("Waterbear", orElse(s.config.Version, "unknown"))
	config.Info.Description = "Durable WebAssembly workers. Every error is a Problem, whose code is stable:\n\n" + codesTable()
	// There is no page of documentation, which would load scripts from elsewhere,
	// and answers have no $schema.
	config.DocsPath, config.SchemasPath, config.OpenAPIPath, config.CreateHooks = "", "", "", nil
	config.RejectUnknownQueryParameters = true
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "Without tokens the server is reachable from its own machine only."},
	}
	config.Components.Schemas.RegisterTypeAlias(reflect.TypeFor[problem](), reflect.TypeFor[api.Problem]())
	s.api = huma.NewAPI(config, router{s})
	s.handlers = map[string]handler{}
	s.addComponents()
	s.addWorkers()
	s.addInvocations()
	s.addAnswers()
	s.addPromises()
	s.addShared()
	s.addEntries()
	s.addCalls()
	s.addFiles()
	s.addRoutes()
	s.addTokens()
	s.addNode()
	code := s.api.OpenAPI().Components.Schemas.SchemaFromRef(problemRef).Properties["code"]
	for _, c := range api.Codes() {
		code.Enum = append(code.Enum, string(c))
	}
	s.document = newDocument(s.api.OpenAPI())
}

const problemRef = "#/components/schemas/Problem"

func codesTable() string {
	var b strings.Builder
	b.WriteString("| code | status | meaning |\n|---|---|---|\n")
	for _, c := range api.Codes() {
		p := api.NewProblem(c, "")
		fmt.Fprintf(&b, "| %s | %d | %s |\n", c, p.Status, p.Title)
	}
	return b.String()
}

// describe is the operation as huma takes it, with all its problems.
func (s *Server) describe(id string) huma.Operation {
	o, ok := operations[id]
	if !ok {
		panic("server: there is no operation " + id)
	}
	op := huma.Operation{
		OperationID: id, Method: o.method, Path: o.path, Summary: o.summary, Description: o.about,
		Tags:          []string{tagOf(o.path)},
		DefaultStatus: o.success,
		MaxBodyBytes:  -1, BodyReadTimeout: -1, // the body is read before, within our limits
		Responses: map[string]*huma.Response{},
	}
	if o.media != nil {
		op.DefaultStatus = http.StatusOK
	}
	for media, holds := range o.bodies {
		if op.RequestBody == nil {
			op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{}}
		}
		op.RequestBody.Content[media] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Description: holds}}
	}
	if o.needs.of != anybody {
		op.Security = []map[string][]string{{"token": {}}}
		op.Description = strings.TrimSpace(op.Description + "\n\nA token must let its bearer " + o.needs.String() + ".")
	}
	schema := &huma.Schema{Ref: problemRef}
	for _, code := range o.allCodes() {
		p := api.NewProblem(code, "")
		status := strconv.Itoa(p.Status)
		r := op.Responses[status]
		if r == nil {
			r = &huma.Response{Content: map[string]*huma.MediaType{problemType: {Schema: schema}}, Headers: map[string]*huma.Param{}}
			op.Responses[status] = r
			r.Description = p.Title + ": " + string(code)
		} else {
			r.Description += "; " + p.Title + ": " + string(code)
		}
		if p.RetryAfter > 0 {
			r.Headers["Retry-After"] = &huma.Param{Description: "Seconds after which it may work", Schema: &huma.Schema{Type: huma.TypeInteger}}
		}
		if p.Status == http.StatusUnauthorized {
			r.Headers["WWW-Authenticate"] = &huma.Param{Schema: &huma.Schema{Type: huma.TypeString}}
		}
	}
	return op
}

// tagOf groups operations by the noun behind /v1.
func tagOf(path string) string {
	below, ok := strings.CutPrefix(path, "/v1/")
	if !ok {
		return "node"
	}
	if strings.Contains(below, "/invo") {
		return "invocations"
	}
	tag, _, _ := strings.Cut(below, "/")
	return tag
}

// allCodes are the codes of an operation, with those of all operations like it.
func (o operation) allCodes() []api.Code {
	codes := append([]api.Code{api.CodeForbidden}, o.codes...)
	if o.probe {
		return codes
	}
	codes = append(codes, api.CodeInvalid, api.CodeOverloaded, api.CodeStopping, api.CodeTimeout, api.CodeInternal)
	if o.needs.of != anybody {
		codes = append(codes, api.CodeUnauthorized)
	}
	if o.method != http.MethodGet {
		codes = append(codes, api.CodeMediaType)
	}
	if o.body != "" {
		codes = append(codes, api.CodeTooLarge)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// complete adds to the document what huma cannot know of an operation: further
// statuses and types of content.
func complete(op huma.Operation) {
	o := operations[op.OperationID]
	ok := op.Responses["200"]
	for media, holds := range o.media {
		if ok.Content == nil {
			ok.Content = map[string]*huma.MediaType{}
		}
		schema := &huma.Schema{Type: huma.TypeString, Description: holds}
		if media == mediaBytes || media == mediaTar {
			schema.Format = "binary"
		}
		ok.Content[media] = &huma.MediaType{Schema: schema}
	}
	for status, meaning := range o.also {
		r := &huma.Response{Description: meaning, Content: map[string]*huma.MediaType{mediaJSON: ok.Content[mediaJSON]}}
		if status == http.StatusAccepted {
			r.Headers = map[string]*huma.Param{"Location": {Description: "Path of the invocation", Schema: &huma.Schema{Type: huma.TypeString}}}
		}
		op.Responses[strconv.Itoa(status)] = r
	}
}
