package gateway_test

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/gateway"
	"github.com/waterbear-run/waterbear/wit"
	"github.com/waterbear-run/waterbear/wit/wittest"
)

var update = flag.Bool("update", false, "rewrite golden files")

func described(t *testing.T) *site {
	return newSite(
		t, gateway.Options{OpenAPI: "/openapi.json"},
		api.Route{Name: "place", Component: "shop", Function: "place", Path: "/carts/{cart}/items", Worker: "path.cart", Key: "required"},
		api.Route{Name: "drop", Component: "shop", Function: "place", Methods: []string{"DELETE"}, Path: "/carts/{c}/items", Worker: "path.c", Arguments: args("cart", "path.c")},
		api.Route{Name: "many", Component: "shop", Function: "many", Methods: []string{"GET"}, Path: "/many", Worker: "header.X-Who"},
		api.Route{Name: "put", Component: "shop", Function: "put", Methods: []string{"POST", "PUT"}, Path: "/items", Worker: "request", Status: 201},
		api.Route{Name: "buy", Component: "shop", Function: "buy", Path: "/buy/{rest...}", Worker: "name.w", Arguments: args("sku", "path.rest"), Errors: map[string]int{"sold-out": 410, "*": 400}},
		api.Route{Name: "page", Component: "shop", Function: "echo", Methods: []string{"GET"}, Path: "/", Worker: "name.w", Content: "text/html"},
		api.Route{Name: "raw", Component: "shop", Function: "bytes", Path: "/raw", Worker: "name.w", Arguments: args("b", "raw"), Content: "image/png"},
		api.Route{Name: "later", Component: "shop", Function: "say", Path: "/later", Worker: "name.w", Async: true},
		api.Route{Name: "check", Component: "shop", Function: "check", Path: "/check", Worker: "name.w", Arguments: args("ok", "body.ok")},
		api.Route{Name: "mul", Component: "core", Function: "mul", Path: "/mul", Worker: "name.w"},
		api.Route{Name: "host", Host: "h.example", Component: "shop", Function: "fail", Path: "/check", Worker: "name.w"},
	)
}

// TestRoutesAreDescribed has the document of testdata/openapi.json, which
// openapi-spec-validator finds nothing wrong with.
func TestRoutesAreDescribed(t *testing.T) {
	s := described(t)
	text, err := s.gateway.OpenAPI(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	pretty, err := json.MarshalIndent(tree, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "openapi.json")
	if *update {
		if err := os.WriteFile(golden, append(pretty, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(pretty) + "\n"; got != string(want) {
		t.Errorf("got another document than %s; run with -update and look at the difference:\n%s", golden, got)
	}
	answer := s.do("GET /openapi.json", "")
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "application/openapi+json" || strings.Contains(answer.body, "h.example") {
		t.Errorf("got %d %s", answer.StatusCode, answer.body)
	}
	if answer := s.do("GET /openapi.json", "", "Host: h.example:80"); !strings.Contains(answer.body, `"//h.example"`) {
		t.Errorf("the document of a host does not have its routes: %s", answer.body)
	}
}

// TestAnswersAreAsTheyAreDescribed holds answers against the schemas, by a
// validator of JSON Schema that others wrote.
func TestAnswersAreAsTheyAreDescribed(t *testing.T) {
	s := described(t)
	text, err := s.gateway.OpenAPI(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("openapi.json", document); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		request, body string
		headers       []string
		at            string // the answer's schema
	}{
		{"PUT /items", `{"sku":"x","qty":2}`, nil, "/paths/~1items/put/responses/201/content/application~1json/schema"},
		{"POST /buy/x", "", nil, "/paths/~1buy~1%7Brest%7D/post/responses/200/content/application~1json/schema"},
		{"POST /buy/gone", "", nil, "/paths/~1buy~1%7Brest%7D/post/responses/410/content/application~1json/schema"},
		{"POST /buy/lots", "", nil, "/paths/~1buy~1%7Brest%7D/post/responses/400/content/application~1json/schema"},
		{"POST /mul", "[1,2]", nil, "/paths/~1mul/post/responses/200/content/application~1json/schema"},
		{"GET /many?c=red&big=1&ok=true&ch=x&f=1&s=small", "", []string{"X-Who: w"}, "/paths/~1many/get/responses/200/content/application~1json/schema"},
		{"GET /many", "", nil, "/paths/~1many/get/responses/default/content/application~1problem+json/schema"},
	} {
		schema, err := compiler.Compile("openapi.json#" + c.at)
		if err != nil {
			t.Errorf("%s: %v", c.at, err)
			continue
		}
		answer := s.do(c.request, c.body, c.headers...)
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(answer.body))
		if err == nil {
			err = schema.Validate(v)
		}
		if err != nil {
			t.Errorf("%s: %s: %v", c.request, answer.body, err)
		}
	}
}

// TestTheJSONOfEveryValueFitsTheSchemaOfItsType makes types and values up.
func TestTheJSONOfEveryValueFitsTheSchemaOfItsType(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := wittest.Types().Draw(t, "type")
		value := wittest.Values(typ).Draw(t, "value")
		text, err := wit.AppendJSON(nil, typ, value)
		if err != nil {
			t.Fatal(err)
		}
		described, err := json.Marshal(gateway.SchemaOf(typ))
		if err != nil {
			t.Fatal(err)
		}
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(described)))
		if err != nil {
			t.Fatal(err)
		}
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource("type.json", document); err != nil {
			t.Fatal(err)
		}
		schema, err := compiler.Compile("type.json")
		if err != nil {
			t.Fatalf("%s: %v", described, err)
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); err != nil {
			t.Fatalf("%s does not fit %s: %v", text, described, err)
		}
	})
}

func TestTheGreatestFloatsFitTheirSchema(t *testing.T) {
	for typ, value := range map[*wit.Type]wit.Value{{Kind: wit.F32}: float32(-math.MaxFloat32), {Kind: wit.F64}: math.MaxFloat64} {
		text, err := wit.AppendJSON(nil, typ, value)
		if err != nil {
			t.Fatal(err)
		}
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource("type.json", decoded(t, gateway.SchemaOf(typ))); err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
		if err == nil {
			err = compiler.MustCompile("type.json").Validate(v)
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// decoded is a schema as it is read from JSON.
func decoded(t *testing.T, s map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return v.(map[string]any)
}

func TestASchemaThatWouldBeEndlessIsAnything(t *testing.T) {
	typ := &wit.Type{Kind: wit.U8}
	for range 30 { // 2^30, written out
		typ = &wit.Type{Kind: wit.Tuple, Fields: []wit.Field{{Type: typ}, {Type: typ}}}
	}
	text, err := json.Marshal(gateway.SchemaOf(typ))
	if err != nil || len(text) > 10<<20 {
		t.Errorf("got %d bytes, %v", len(text), err)
	}
}
