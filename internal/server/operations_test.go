package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/server"
)

// sample is one good request for an operation.
type sample struct {
	path   string
	body   string
	media  string            // of the body; "": application/json
	others map[string]string // bodies of other types, by type
	status int
	// kinds are the scopes of which each one is enough; nil: no token is needed.
	kinds []string
	key   string // an idempotency key
	// whole says that a scope for one component is not enough.
	whole bool
	// before is a request that has to come first.
	before string
}

const (
	shop  = "/v1/components/shop"
	alice = "/v1/workers/shop/alice"
)

// route is one that says all that there is to say.
const route = `{"name":"r","host":"shop.example.com","methods":["POST"],"path":"/x/{who}","component":"shop","worker":"path.who","existing":true,"ephemeral":true,` +
	`"function":"add","arguments":{"n":"body.n"},"key":"required","async":false,"status":201,"errors":{"*":400},"content":"text/plain",` +
	`"limits":{"body":1,"concurrency":2,"timeout":"1s"},"cors":{"origins":["*"],"headers":["X-A"],"expose":["X-B"],"credentials":false,"maxAge":"1m"}}`

// samples has one for every operation.
var samples = map[string]sample{
	"list-components":   {path: "/v1/components", status: 200, kinds: []string{"deploy", "invoke", "read"}},
	"get-component":     {path: shop, status: 200, kinds: []string{"deploy", "invoke", "read"}},
	"deploy":            {path: shop, body: module + "2", media: "application/wasm", status: 201, kinds: []string{"deploy"}},
	"delete-component":  {path: shop, status: 204, kinds: []string{"deploy"}, before: "DELETE " + alice},
	"list-revisions":    {path: shop + "/revisions", status: 200, kinds: []string{"deploy", "invoke", "read"}},
	"get-wit":           {path: shop + "/revisions/1/wit", status: 200, kinds: []string{"deploy", "invoke", "read"}},
	"configure":         {path: shop + "/settings", body: `{"limits":{"memory":65536,"cpuTime":"1s"}}`, status: 200, kinds: []string{"deploy"}},
	"list-buckets":      {path: shop + "/buckets?limit=5", status: 200, kinds: []string{"invoke", "read"}},
	"list-keys":         {path: shop + "/buckets/keys?bucket=b&cursor=c&limit=5", status: 200, kinds: []string{"invoke", "read"}},
	"get-value":         {path: shop + "/buckets/value?bucket=b&key=x", status: 200, kinds: []string{"invoke", "read"}},
	"delete-value":      {path: shop + "/buckets/value?bucket=b&key=x", status: 204, kinds: []string{"deploy"}},
	"list-containers":   {path: shop + "/containers", status: 200, kinds: []string{"invoke", "read"}},
	"delete-container":  {path: shop + "/containers?container=box", status: 204, kinds: []string{"deploy"}},
	"list-objects":      {path: shop + "/containers/objects?container=box&limit=1000", status: 200, kinds: []string{"invoke", "read"}},
	"get-object":        {path: shop + "/containers/object?container=box&name=x", status: 200, kinds: []string{"invoke", "read"}},
	"delete-object":     {path: shop + "/containers/object?container=box&name=x", status: 204, kinds: []string{"deploy"}},
	"list-workers":      {path: "/v1/workers?component=shop&status=Idle&name=al*&limit=5&createdAfter=2020-01-01T00:00:00Z", status: 200, kinds: []string{"invoke", "read"}},
	"create-worker":     {path: "/v1/workers/shop/bob", body: `{"args":["a"],"env":["K=V"],"settings":{"retry":{"attempts":3,"initial":"1s"}}}`, status: 201, kinds: []string{"invoke"}},
	"get-worker":        {path: alice, status: 200, kinds: []string{"invoke", "read"}},
	"delete-worker":     {path: alice, status: 204, kinds: []string{"deploy"}},
	"fork-worker":       {path: alice + "/fork", body: `{"name":"twin"}`, status: 201, kinds: []string{"invoke"}},
	"interrupt-worker":  {path: alice + "/interrupt", body: `{"reason":"lunch"}`, status: 204, kinds: []string{"invoke"}},
	"resume-worker":     {path: alice + "/resume", status: 204, kinds: []string{"invoke"}},
	"retry-worker":      {path: alice + "/retry", status: 204, kinds: []string{"invoke"}},
	"invoke":            {path: alice + "/invoke/add?timeout=10s", body: `[3]`, others: map[string]string{"text/wave": "(3)", "text/wave; charset=utf-8": " ( 3,\n) "}, status: 200, kinds: []string{"invoke"}},
	"get-invocation":    {path: alice + "/invocations/i-2?wait=true&timeout=5s", status: 200, kinds: []string{"invoke", "read"}, before: "POST " + alice + "/invoke/add"},
	"cancel-invocation": {path: alice + "/invocations/i-2", status: 200, kinds: []string{"invoke"}, before: "POST " + alice + "/invoke/forever?async=true"},
	"answer-get":        {path: alice + "/http/a?b=c", status: 200, kinds: []string{"invoke"}},
	"answer-post":       {path: alice + "/http/a?b=c", body: "hello", status: 200, kinds: []string{"invoke"}},
	"answer-put":        {path: alice + "/http/a?b=c", body: "hello", media: "image/x", status: 200, kinds: []string{"invoke"}},
	"answer-patch":      {path: alice + "/http/", status: 200, kinds: []string{"invoke"}},
	"answer-delete":     {path: alice + "/http/a/b", status: 200, kinds: []string{"invoke"}},
	"answer-options":    {path: alice + "/http/a", status: 200, kinds: []string{"invoke"}},
	"list-promises":     {path: alice + "/promises", status: 200, kinds: []string{"invoke", "read"}},
	"get-promise":       {path: alice + "/promises/p", status: 200, kinds: []string{"invoke", "read"}},
	"complete-promise":  {path: alice + "/promises/p/complete", body: "yes", media: "application/octet-stream", key: "k", others: map[string]string{"application/json": `"yes"`}, status: 200, kinds: []string{"invoke"}},
	"fail-promise":      {path: alice + "/promises/p/fail", body: `{"message":"no"}`, status: 200, kinds: []string{"invoke"}},
	"webhook":           {path: "/v1/webhooks/hook", body: "a=b", media: "*/*", status: 200},
	"get-logs":          {path: alice + "/logs?from=1&to=100&stream=stdout", status: 200, kinds: []string{"invoke", "read"}},
	"get-oplog":         {path: alice + "/oplog?from=1&to=100&search=x", status: 200, kinds: []string{"invoke", "read"}},
	"list-calls":        {path: "/v1/calls?component=shop&worker=alice&state=held&reads=true&limit=5", status: 200, kinds: []string{"invoke", "read"}},
	"get-call":          {path: alice + "/calls/7", status: 200, kinds: []string{"invoke", "read"}},
	"get-call-stack":    {path: alice + "/calls/7/stack", status: 200, kinds: []string{"invoke", "read"}},
	"resolve-call":      {path: alice + "/calls/7/resolve", body: `{"how":"done","response":{"status":200,"body":"ok"}}`, status: 204, kinds: []string{"invoke"}},
	"list-files":        {path: alice + "/files", status: 200, kinds: []string{"invoke", "read"}},
	"get-file":          {path: alice + "/files/hello.txt", status: 200, kinds: []string{"invoke", "read"}},
	"export-worker":     {path: alice + "/export", status: 200, kinds: []string{"invoke", "read"}},
	"list-routes":       {path: "/v1/routes", status: 200, kinds: []string{"deploy", "read"}, whole: true},
	"get-route":         {path: "/v1/routes/r", status: 200, kinds: []string{"deploy", "read"}, whole: true, before: "PUT /v1/routes/r"},
	"set-route":         {path: "/v1/routes/r", body: route, status: 200, kinds: []string{"deploy"}, whole: true},
	"delete-route":      {path: "/v1/routes/r", status: 204, kinds: []string{"deploy"}, whole: true, before: "PUT /v1/routes/r"},
	"apply-routes":      {path: "/v1/routes?dryRun=true", body: `{"routes":[` + route + `]}`, status: 200, kinds: []string{"deploy"}, whole: true},
	"routes-openapi":    {path: "/v1/openapi?host=shop.example.com", status: 200, kinds: []string{"deploy", "read"}, whole: true},
	"list-tokens":       {path: "/v1/tokens", status: 200, kinds: []string{}},
	"create-token":      {path: "/v1/tokens", body: `{"name":"ci","scopes":["deploy:shop"]}`, status: 201, kinds: []string{}},
	"delete-token":      {path: "/v1/tokens/old", status: 204, kinds: []string{}, before: "POST /v1/tokens"},
	"health":            {path: "/healthz", status: 200},
	"ready":             {path: "/readyz", status: 200},
	"metrics":           {path: "/metrics", status: 200, kinds: []string{"read"}, whole: true},
	"openapi-json":      {path: "/openapi.json", status: 200},
	"openapi-yaml":      {path: "/openapi.yaml", status: 200},
	"index":             {path: "/", status: 200},
}

// prepare does what has to come before a sample.
func (c *client) prepare(s sample) {
	c.t.Helper()
	if s.before == "" {
		return
	}
	admin := c.with("admin")
	method, path, _ := strings.Cut(s.before, " ")
	body := ""
	switch {
	case path == "/v1/routes/r":
		body = route
	case path == "/v1/tokens":
		body = `{"name":"old","scopes":["read"]}`
	case strings.Contains(path, "/invoke/"):
		body = "[1]"
	}
	if r := admin.do(method, path, body); r.StatusCode >= 300 {
		c.t.Fatalf("%s: got %d %s", s.before, r.StatusCode, r.body)
	}
}

func (c *client) sample(method string, s sample) reply {
	c.t.Helper()
	headers := []string{}
	if s.media != "" {
		headers = append(headers, "Content-Type: "+s.media)
	}
	if s.key != "" {
		headers = append(headers, "Idempotency-Key: "+s.key)
	}
	return c.do(method, s.path, s.body, headers...)
}

// eachOperation runs a test for every operation of the OpenAPI document, with its
// sample.
func eachOperation(t *testing.T, test func(t *testing.T, method string, op *huma.Operation, s sample)) {
	s, err := server.New(server.Config{Platform: newNode()})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for path, item := range s.Document().Paths {
		for method, op := range map[string]*huma.Operation{
			http.MethodGet: item.Get, http.MethodPut: item.Put, http.MethodPost: item.Post, http.MethodDelete: item.Delete,
			http.MethodPatch: item.Patch, http.MethodOptions: item.Options,
		} {
			if op == nil {
				continue
			}
			id := op.OperationID
			seen[id] = true
			one, ok := samples[id]
			if !ok {
				t.Errorf("%s %s: there is no sample of %s", method, path, id)
				continue
			}
			t.Run(id, func(t *testing.T) { test(t, method, op, one) })
		}
	}
	declared := server.Operations()
	if len(seen) != len(declared) || len(seen) != len(samples) {
		slices.Sort(declared)
		t.Errorf("the document has the operations %v, declared are %v, and there are %d samples", slices.Sorted(maps.Keys(seen)), declared, len(samples))
	}
}

// documented fails the test unless the operation's document has the answer's
// status with its type of content, and the content fits its schema.
func documented(t *testing.T, c *client, op *huma.Operation, r reply) {
	t.Helper()
	answer := op.Responses[strconv.Itoa(r.StatusCode)]
	if answer == nil {
		t.Errorf("%s %s answered %d, which is not documented: %s", r.Request.Method, r.Request.URL, r.StatusCode, r.body)
		return
	}
	if r.StatusCode == http.StatusNoContent {
		if len(r.body) > 0 {
			t.Errorf("got 204 with the body %q", r.body)
		}
		return
	}
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	content := answer.Content[media]
	if answer.Content["*/*"] != nil {
		return // it is a worker's
	}
	if content == nil {
		t.Errorf("%s %s: the type %q of status %d is not documented", r.Request.Method, r.Request.URL, media, r.StatusCode)
		return
	}
	if !strings.HasSuffix(media, "/json") && !strings.HasSuffix(media, "problem+json") {
		return
	}
	var v any
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatalf("decode %s: %v", r.body, err)
	}
	result := &huma.ValidateResult{}
	huma.Validate(c.server.Document().Components.Schemas, content.Schema, huma.NewPathBuffer([]byte("body"), 0), huma.ModeReadFromServer, v, result)
	for _, err := range result.Errors {
		t.Errorf("%s %s answered what does not fit its schema: %v in %s", r.Request.Method, r.Request.URL, err, r.body)
	}
}

func TestEveryOperationIsDocumentedAndAnswersAsItSays(t *testing.T) {
	eachOperation(t, func(t *testing.T, method string, op *huma.Operation, s sample) {
		if op.Summary == "" || len(op.Tags) == 0 || (s.kinds != nil) != (len(op.Security) > 0) {
			t.Errorf("summary %q, tags %v, security %v", op.Summary, op.Tags, op.Security)
		}
		for _, p := range op.Parameters {
			if p.Description == "" && p.Schema.Enum == nil {
				t.Errorf("parameter %s says nothing", p.Name)
			}
		}
		for status, r := range op.Responses {
			if r.Description == "" {
				t.Errorf("response %s says nothing", status)
			}
		}
		c := start(t, nil)
		c.prepare(s)
		r := c.sample(method, s)
		if r.StatusCode != s.status {
			t.Fatalf("got %d %s, want %d", r.StatusCode, r.body, s.status)
		}
		documented(t, c, op, r)
		if op.RequestBody == nil {
			return
		}
		for media := range op.RequestBody.Content {
			if s.others[media] == "" && media != orJSON(s.media) {
				t.Errorf("there is no sample with a body of type %s", media)
			}
		}
		for media, body := range s.others {
			if bare, _, _ := strings.Cut(media, ";"); op.RequestBody.Content[bare] == nil {
				t.Errorf("a body of type %s is not documented", bare)
			}
			if again := c.do(method, s.path, body, "Content-Type: "+media, "Idempotency-Key: "+orKey(s.key)); again.StatusCode != s.status {
				t.Errorf("with a body of type %s: got %d %s", media, again.StatusCode, again.body)
			}
		}
	})
}

func TestEveryOperationRefusesWhatMakesNoSense(t *testing.T) {
	eachOperation(t, func(t *testing.T, method string, op *huma.Operation, s sample) {
		c := start(t, func(c *server.Config) { c.MaxBody, c.MaxModule = 1000, 1000 })
		refuse := func(code api.Code, path, body string, headers ...string) {
			t.Helper()
			r := c.do(method, path, body, headers...)
			refused(t, r, code)
			documented(t, c, op, r)
		}
		if strings.Contains(s.path, "/shop") {
			for _, bad := range []string{"-shop", "a%2Fb", "%00", "sh%20op", strings.Repeat("x", 129), "%2E%2E"} {
				refuse(api.CodeInvalid, strings.Replace(s.path, "/shop", "/"+bad, 1), "")
			}
		}
		if strings.Contains(s.path, "/alice") {
			refuse(api.CodeInvalid, strings.Replace(s.path, "/alice", "/al%0Aice", 1), "")
			if op.OperationID != "create-worker" && op.OperationID != "invoke" && op.OperationID != "interrupt-worker" && op.OperationID != "fail-promise" && op.OperationID != "resolve-call" {
				refuse(api.CodeNoWorker, strings.Replace(s.path, "/alice", "/nobody", 1), "")
			}
		}
		if len(op.Security) > 0 && op.OperationID != "metrics" && !strings.HasPrefix(op.OperationID, "answer-") {
			path, _, _ := strings.Cut(s.path, "?")
			refuse(api.CodeInvalid, path+"?nonsense=1", s.body, "Content-Type: "+orJSON(s.media))
		}
		if op.RequestBody == nil {
			return
		}
		if s.media != "*/*" { // whose URL is a secret
			refuse(api.CodeMediaType, s.path, "a=b", "Content-Type: application/x-www-form-urlencoded")
			refuse(api.CodeMediaType, s.path, "[1]", "Content-Type: text/plain")
		}
		over := 1001
		if op.OperationID == "create-worker" {
			over = server.MaxFiles + 1
		}
		refuse(api.CodeTooLarge, s.path, strings.Repeat(" ", over), "Content-Type: "+orJSON(s.media))
		if s.media == "" {
			for _, bad := range []string{"{", "7", `"x"`, `{"nonsense":1}`, "[1] [2]", "nul"} {
				refuse(api.CodeInvalid, s.path, bad)
			}
		}
	})
}

func orKey(key string) string {
	if key == "" {
		return "another"
	}
	return key
}

func orJSON(media string) string {
	if media == "" {
		return "application/json"
	}
	return media
}

func TestEveryOperationNeedsExactlyTheScopesThatItSays(t *testing.T) {
	eachOperation(t, func(t *testing.T, method string, op *huma.Operation, s sample) {
		c := start(t, withTokens)
		r := c.sample(method, s)
		if s.kinds == nil {
			if r.StatusCode != s.status {
				t.Errorf("without a token: got %d %s, want %d", r.StatusCode, r.body, s.status)
			}
			return
		}
		refused(t, r, api.CodeUnauthorized)
		if r.Header.Get("WWW-Authenticate") == "" {
			t.Error("401 without WWW-Authenticate")
		}
		documented(t, c, op, r)
		for _, header := range []string{"Bearer", "Bearer ", "Bearer nonsense", "Basic c2VjcmV0", "secret-of-test", "Bearer " + strings.Repeat("x", 600)} {
			refused(t, c.do(method, s.path, "", "Authorization: "+header), api.CodeUnauthorized)
		}
		for _, kind := range []string{"admin", "deploy", "invoke", "read"} {
			enough := kind == "admin" || slices.Contains(s.kinds, kind)
			for _, scope := range []string{kind, kind + ":shop", kind + ":other"} {
				limited := strings.Contains(scope, ":")
				if kind == "admin" && limited {
					continue // there is no such scope
				}
				c.node.begin(t)
				c.prepare(s)
				r := c.with(api.Scope(scope)).sample(method, s)
				documented(t, c, op, r)
				switch {
				case enough && (!limited || strings.HasSuffix(scope, ":shop") && !s.whole):
					if r.StatusCode != s.status {
						t.Errorf("with %s: got %d %s, want %d", scope, r.StatusCode, r.body, s.status)
					}
				case enough && op.OperationID == "list-components": // shows others nothing
					if r.StatusCode != s.status || strings.Contains(string(r.body), "shop") {
						t.Errorf("with %s: got %d %s, want an empty list", scope, r.StatusCode, r.body)
					}
				default:
					refused(t, r, api.CodeForbidden)
				}
			}
		}
	})
}

// TestEveryCodeIsDocumented looks for each code in the operations that can answer
// with it, and in the table.
func TestEveryCodeIsDocumented(t *testing.T) {
	s, err := server.New(server.Config{Platform: newNode()})
	if err != nil {
		t.Fatal(err)
	}
	found := map[api.Code]bool{}
	eachOperation(t, func(_ *testing.T, _ string, op *huma.Operation, _ sample) {
		for status, r := range op.Responses {
			for _, code := range api.Codes() {
				if strconv.Itoa(api.NewProblem(code, "").Status) == status && strings.Contains(r.Description, ": "+string(code)) {
					found[code] = true
				}
			}
		}
	})
	enum := s.Document().Components.Schemas.Map()["Problem"].Properties["code"].Enum
	for _, code := range api.Codes() {
		if !found[code] {
			t.Errorf("no operation says that it answers %s", code)
		}
		if !strings.Contains(s.Document().Info.Description, "| "+string(code)+" |") || !slices.Contains(enum, any(string(code))) {
			t.Errorf("the document does not list %s", code)
		}
	}
}

func TestTheDocumentIsOpenAPI31InBothForms(t *testing.T) {
	c := start(t, nil)
	var v struct {
		OpenAPI string
		Info    struct{ Title, Version string }
		Paths   map[string]any
	}
	r := c.do("GET", "/openapi.json", "")
	if err := json.Unmarshal(r.body, &v); err != nil || !strings.HasPrefix(v.OpenAPI, "3.1.") || v.Info.Version != "test" {
		t.Errorf("got %+v, %v", v, err)
	}
	if _, ok := v.Paths["/v1/workers/{component}/{worker}/invoke/{function}"]; !ok {
		t.Error("invoke is not in the document")
	}
	for _, ref := range regexp.MustCompile(`"\$ref":"([^"]+)"`).FindAllStringSubmatch(string(r.body), -1) {
		if c.server.Document().Components.Schemas.SchemaFromRef(ref[1]) == nil {
			t.Errorf("there is no %s", ref[1])
		}
	}
	if r := c.do("GET", "/openapi.yaml", ""); !strings.Contains(string(r.body), "\nopenapi: 3.1.") {
		t.Errorf("got %.200s", r.body)
	}
}
