package arch

import (
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"
)

func TestUsesAreFoundUnderAnyName(t *testing.T) {
	const source = `package p

import (
	clock "time"
	"sync"
)

var now = clock.Now

type group struct{ sync.WaitGroup }

func f(time group, g struct{ Now int }) {
	sync := g
	_ = sync.Now
	_ = clock.After(0)
}
`
	fset := token.NewFileSet()
	syntax, err := parser.ParseFile(fset, "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := &file{syntax: syntax, fset: fset}
	for _, i := range syntax.Imports {
		imported, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		f.imports = append(f.imports, imported)
	}
	var got []string
	f.used(func(name string, _ token.Position) { got = append(got, name) })
	if want := []string{"time.Now", "sync.WaitGroup", "time.After"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPatternsStandForAllBelow(t *testing.T) {
	for _, c := range []struct {
		pattern, imported string
		want              bool
	}{
		{"os", "os", true},
		{"os", "os/exec", false},
		{"net/...", "net", true},
		{"net/...", "net/http", true},
		{"net/...", "network", false},
	} {
		if got := matches(c.pattern, c.imported); got != c.want {
			t.Errorf("matches(%q, %q) = %v", c.pattern, c.imported, got)
		}
	}
}

func TestNamesAreSplitIntoWords(t *testing.T) {
	for name, want := range map[string][]string{
		"FileInfo":    {"file", "info"},
		"info":        {"info"},
		"OplogEntry":  {"oplog", "entry"},
		"Information": {"information"},
	} {
		if got := words(name); !slices.Equal(got, want) {
			t.Errorf("words(%q) = %q, want %q", name, got, want)
		}
	}
}
