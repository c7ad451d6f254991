package wasip2

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/wit"
)

// exportedByPrograms are the interfaces that the host calls.
var exportedByPrograms = map[string]bool{"wasi:cli/run": true, "wasi:http/incoming-handler": true}

// TestDeclarationsAreThoseOfTheWIT compares all that is declared here with the
// official text: WATERBEAR_WASI_WIT is a directory that has, for each version, a
// directory of packages, each a directory of .wit files. Our own version must be
// the same, function by function; what older ones have must be in it.
func TestDeclarationsAreThoseOfTheWIT(t *testing.T) {
	dir := os.Getenv("WATERBEAR_WASI_WIT")
	if dir == "" {
		t.Skip("WATERBEAR_WASI_WIT names no directory")
	}
	versions, err := os.ReadDir(dir)
	must(t, err)
	for _, v := range versions {
		t.Run(v.Name(), func(t *testing.T) { compareWIT(t, readWIT(t, filepath.Join(dir, v.Name()))) })
	}
}

func readWIT(t *testing.T, dir string) *wit.Document {
	t.Helper()
	packages, err := os.ReadDir(dir)
	must(t, err)
	var groups [][]wit.Source
	for _, p := range packages {
		files, err := filepath.Glob(filepath.Join(dir, p.Name(), "*.wit"))
		must(t, err)
		var group []wit.Source
		for _, f := range files {
			text, err := os.ReadFile(f)
			must(t, err)
			group = append(group, wit.Source{Name: f, Text: string(text)})
		}
		groups = append(groups, group)
	}
	doc, err := wit.Parser{AllFeatures: true}.Parse(groups[0], groups[1:]...)
	must(t, err)
	return doc
}

func compareWIT(t *testing.T, doc *wit.Document) {
	declared := map[string]interfaceOf{}
	for _, i := range interfaces() {
		if i.version == "" { // no draft
			declared[i.name] = i
		}
	}
	functions := 0
	exact := doc.Packages[0].Name.Version == version
	for _, p := range doc.Packages {
		for _, theirs := range p.Interfaces {
			name := p.Name.Namespace + ":" + p.Name.Name + "/" + theirs.ID.Name
			if exportedByPrograms[name] {
				continue
			}
			ours, found := declared[name]
			if !found {
				t.Errorf("%s is missing", name)
				continue
			}
			delete(declared, name)
			functions += compareInterface(t, ours, theirs, exact)
		}
	}
	for name := range declared {
		if exact {
			t.Errorf("%s is not in the WIT", name)
		}
	}
	t.Logf("%d functions", functions)
}

func compareInterface(t *testing.T, ours interfaceOf, theirs *wit.Interface, exact bool) (functions int) {
	mine := map[string]*wit.Func{}
	for _, f := range ours.functions {
		if mine[f.name] != nil {
			t.Errorf("%s: %s is declared twice", ours.name, f.name)
		}
		mine[f.name] = f.typ
	}
	for _, f := range theirs.Funcs {
		name := f.Name.String()
		if mine[name] == nil {
			t.Errorf("%s: %s is missing", ours.name, name)
			continue
		}
		if got, want := showFunc(mine[name]), showFunc(f.Type); got != want {
			t.Errorf("%s: %s is\n%s, and not\n%s", ours.name, name, got, want)
		}
		delete(mine, name)
		functions++
	}
	resources := map[string]bool{}
	for _, r := range ours.resources {
		resources[r.Name] = true
	}
	for _, d := range theirs.Types {
		if d.Resource != nil && d.Of == (wit.TypeRef{}) {
			if !resources[d.Name] {
				t.Errorf("%s: resource %s is missing", ours.name, d.Name)
			}
			delete(resources, d.Name)
		}
	}
	if !exact {
		return functions
	}
	for name := range mine {
		t.Errorf("%s: %s is not in the WIT", ours.name, name)
	}
	for name := range resources {
		t.Errorf("%s: resource %s is not in the WIT", ours.name, name)
	}
	return functions
}

// showFunc spells a type out: all that makes it the same as another.
func showFunc(f *wit.Func) string {
	var b strings.Builder
	for _, p := range f.Params {
		fmt.Fprintf(&b, "%s: %s, ", p.Name, showType(p.Type))
	}
	if f.Result != nil {
		b.WriteString("-> " + showType(f.Result))
	}
	return b.String()
}

func showType(t *wit.Type) string {
	if t == nil {
		return "_"
	}
	switch t.Kind {
	case wit.List, wit.Option:
		return fmt.Sprintf("%s<%s>", t.Kind, showType(t.Elem))
	case wit.Result:
		return fmt.Sprintf("result<%s, %s>", showType(t.Elem), showType(t.Err))
	case wit.Own, wit.Borrow:
		return fmt.Sprintf("%s<%s>", t.Kind, t.Resource.Name)
	}
	var text strings.Builder
	text.WriteString(t.Kind.String())
	for _, f := range t.Fields {
		fmt.Fprintf(&text, " (%s %s)", f.Name, showType(f.Type))
	}
	return text.String()
}

func must(t rapid.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
