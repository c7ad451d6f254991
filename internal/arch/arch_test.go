package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

func TestPackagesImportWhatTheTableSays(t *testing.T) {
	got := map[string]map[string]string{} // package, package, one file
	for _, f := range parse(t) {
		if f.test {
			continue
		}
		if got[f.dir] == nil {
			got[f.dir] = map[string]string{}
		}
		for _, i := range f.imports {
			if dir, ok := ours(i); ok {
				got[f.dir][dir] = f.path
			}
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(got)) {
		allowed, ok := imports[dir]
		if !ok {
			t.Errorf("package %s is not in the table of imports", dir)
			continue
		}
		for _, imported := range slices.Sorted(maps.Keys(got[dir])) {
			if !slices.Contains(allowed, imported) {
				t.Errorf("%s imports %s, which the table of imports does not allow", got[dir][imported], imported)
			}
		}
		for _, imported := range allowed {
			if got[dir][imported] == "" {
				t.Errorf("the table of imports lets %s import %s, but it does not", dir, imported)
			}
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(imports)) {
		if got[dir] == nil {
			t.Errorf("package %s is in the table of imports, but does not exist", dir)
		}
	}
}

// TestTableOfTheDocumentIsTheTableOfTheCode compares the fenced block that
// begins with "```imports".
func TestTableOfTheDocumentIsTheTableOfTheCode(t *testing.T) {
	const document = "docs/ARCHITECTURE.md"
	content, err := os.ReadFile(filepath.Join(root, document))
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(content), "```imports\n")
	if !ok {
		t.Fatalf("%s has no block of imports", document)
	}
	block, _, _ = strings.Cut(block, "```")
	if want := table(); block != want {
		t.Errorf("the block of imports in %s differs from internal/arch/rules_test.go; it should be\n%s", document, want)
	}
}

// table is how the document shows imports: bottom up, and common parents of the
// imported packages written once.
func table() string {
	var b strings.Builder
	depth := map[string]int{}
	var deep func(dir string) int
	deep = func(dir string) int {
		if depth[dir] == 0 {
			depth[dir] = 1
			for _, below := range imports[dir] {
				depth[dir] = max(depth[dir], deep(below)+1)
			}
		}
		return depth[dir]
	}
	dirs := slices.SortedFunc(maps.Keys(imports), func(x, y string) int {
		if d := deep(x) - deep(y); d != 0 {
			return d
		}
		return strings.Compare(x, y)
	})
	for _, dir := range dirs {
		fmt.Fprintf(&b, "%-21s←", short(dir))
		for _, below := range imports[dir] {
			b.WriteString(" " + short(below))
		}
		if len(imports[dir]) == 0 {
			b.WriteString(" nothing of ours")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// short is how the document names a package.
func short(dir string) string {
	if dir == "." {
		return "waterbear"
	}
	return strings.TrimPrefix(dir, "internal/")
}

func TestRestrictedImportsStayWhereTheyBelong(t *testing.T) {
	needed := map[string]bool{}
	for _, f := range parse(t) {
		for _, i := range f.imports {
			if _, own := ours(i); own {
				continue
			}
			pattern, allowed, ok := find(restricted, i)
			switch {
			case !ok && standard(i):
			case !ok:
				t.Errorf("%s imports %s, a module that the rules do not know", f.path, i)
			case slices.Contains(allowed, f.dir):
				needed[pattern+" "+f.dir] = needed[pattern+" "+f.dir] || !f.test
			case f.test:
				if _, allowed, ok := find(restrictedInTests, i); ok && !slices.Contains(allowed, f.dir) {
					t.Errorf("%s imports %s, which tests of this package may not", f.path, i)
				}
			default:
				t.Errorf("%s imports %s; allowed in: %s", f.path, i, strings.Join(allowed, ", "))
			}
		}
		for _, spec := range f.syntax.Imports {
			if spec.Name != nil && spec.Name.Name == "." {
				t.Errorf("%s imports %s into its own names", f.path, spec.Path.Value)
			}
		}
	}
	for pattern, allowed := range restricted {
		for _, dir := range allowed {
			if !needed[pattern+" "+dir] {
				t.Errorf("the rules let %s import %s, but it does not", dir, pattern)
			}
		}
	}
}

func TestRestrictedNamesStayWhereTheyBelong(t *testing.T) {
	needed := map[string]bool{}
	for _, f := range parse(t) {
		if f.test {
			continue
		}
		f.used(func(name string, at token.Position) {
			for _, rule := range uses {
				if !slices.Contains(rule.names, name) {
					continue
				}
				needed[rule.reason+f.dir] = true
				if !slices.Contains(rule.users, f.dir) {
					t.Errorf("%s:%d uses %s: %s", f.path, at.Line, name, rule.reason)
				}
			}
		})
	}
	for _, rule := range uses {
		for _, dir := range rule.users {
			if !needed[rule.reason+dir] {
				t.Errorf("the rules let %s use one of %v, but it does not", dir, rule.names)
			}
		}
	}
}

func TestOnlySchedulersAndShellsStartGoroutines(t *testing.T) {
	for _, f := range parse(t) {
		if f.test || slices.Contains(goStatements, f.dir) {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s:%d starts a goroutine: use sched.Scheduler", f.path, f.fset.Position(g.Pos()).Line)
			}
			return true
		})
	}
}

func TestThereAreNoInitFunctions(t *testing.T) {
	for _, f := range parse(t) {
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s:%d declares init: wire with plain calls", f.path, f.fset.Position(fn.Pos()).Line)
			}
		}
	}
}

func TestNamesSayWhatThingsAre(t *testing.T) {
	refuse := func(at, kind, name string) {
		for _, word := range words(name) {
			if slices.Contains(forbiddenWords, word) {
				t.Errorf("%s: the %s is named %s; %q does not say what it is", at, kind, name, word)
			}
		}
	}
	for _, f := range parse(t) {
		refuse(f.path, "package", f.syntax.Name.Name)
		refuse(f.path, "directory", path.Base(f.dir))
		for _, d := range f.syntax.Decls {
			types, ok := d.(*ast.GenDecl)
			if !ok || types.Tok != token.TYPE {
				continue
			}
			for _, spec := range types.Specs {
				if name := spec.(*ast.TypeSpec).Name; name.IsExported() {
					refuse(fmt.Sprintf("%s:%d", f.path, f.fset.Position(name.Pos()).Line), "type", name.Name)
				}
			}
		}
	}
}

// words splits a Go name into its words, in lower case.
func words(name string) []string {
	var split []string
	start := 0
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) && unicode.IsLower(rune(name[i-1])) {
			split = append(split, name[start:i])
			start = i
		}
	}
	split = append(split, name[start:])
	for i, word := range split {
		split[i] = strings.ToLower(word)
	}
	return split
}

func TestFilesAreShort(t *testing.T) {
	for _, f := range parse(t) {
		if !f.test && f.lines >= maxLines {
			t.Errorf("%s has %d lines, the bound is %d: one file per concept", f.path, f.lines, maxLines)
		}
	}
}

func TestPackagesBeginWithWhatTheyAreFor(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range parse(t) {
		if !f.test {
			documented[f.dir] = documented[f.dir] || f.syntax.Doc != nil
		}
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package %s has no package comment", dir)
		}
	}
}

func TestNothingIsLeftToDo(t *testing.T) {
	// Put together, so that this file does not contain the words.
	mark := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
	walk(t, func(name string) {
		switch path.Ext(name) {
		case ".go", ".md", ".sh", ".c", ".h", ".ts", ".rs", ".lua", ".py", ".mod", ".txt", ".txtar":
		default:
			if name != "Makefile" && path.Dir(name) != ".ci" {
				return
			}
		}
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(content), "\n") {
			if mark.MatchString(line) {
				t.Errorf("%s:%d says %q: do it, or write down elsewhere that it is open", name, i+1, strings.TrimSpace(line))
			}
		}
	})
}
