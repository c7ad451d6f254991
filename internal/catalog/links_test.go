package catalog

import (
	"testing"

	"github.com/waterbear-run/waterbear/api"
)

func TestAnImportIsSatisfiedByACompatibleVersion(t *testing.T) {
	exports := []api.Function{{Name: "shop:pricing/api@1.2.0#price"}, {Name: "shop:pricing/api@0.3.1#price"}, {Name: "shop:pricing/other#price"}, {Name: "price"}}
	for name, want := range map[string]string{
		"shop:pricing/api@1.0.0#price":   "shop:pricing/api@1.2.0#price",
		"shop:pricing/api@1.9.9#price":   "shop:pricing/api@1.2.0#price",
		"shop:pricing/api@0.3.0#price":   "shop:pricing/api@0.3.1#price",
		"shop:pricing/other#price":       "shop:pricing/other#price",
		"shop:pricing/api@2.0.0#price":   "",
		"shop:pricing/api@0.4.0#price":   "",
		"shop:pricing/api#price":         "",
		"shop:pricing/other@1.0.0#price": "",
		"shop:pricing/api@1.0.0#sell":    "",
	} {
		if got, ok := Exported(exports, name); got != want || ok != (want != "") {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestALinkLeadsToAWorker(t *testing.T) {
	for link, want := range map[string]string{
		"pricing": "pricing/alice", "pricing/{name}": "pricing/alice", "pricing/eu-{name}": "pricing/eu-alice", "pricing/one": "pricing/one",
		"": "", "/x": "", "pricing/": "", "pricing/a b": "", "a/b/c": "", "{name}/x": "",
	} {
		got, err := ParseLink(link, "alice")
		if want == "" && err == nil || want != "" && got.String() != want {
			t.Errorf("%q: got %s, %v, want %q", link, got, err, want)
		}
	}
}
