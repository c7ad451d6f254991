package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// root is the repository, from this package's directory.
const root = "../.."

// module is the path that imports of our own begin with.
const module = "github.com/waterbear-run/waterbear"

// file is a parsed Go file.
type file struct {
	path    string // from root, with slashes
	dir     string // the package's directory, "." for the root package
	test    bool
	syntax  *ast.File
	fset    *token.FileSet
	lines   int
	imports []string
}

// parse reads every Go file of the repository, whatever its build constraints.
// It does not ask the go command, whose answer the test cache would not know
// to have changed.
func parse(t *testing.T) []*file {
	t.Helper()
	var files []*file
	walk(t, func(name string) {
		if !strings.HasSuffix(name, ".go") || slices.ContainsFunc(otherPrograms, func(d string) bool { return within(name, d) }) {
			return
		}
		fset := token.NewFileSet()
		syntax, err := parser.ParseFile(fset, filepath.Join(root, name), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		f := &file{
			path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"),
			syntax: syntax, fset: fset, lines: fset.File(syntax.FileStart).LineCount(),
		}
		for _, i := range syntax.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			f.imports = append(f.imports, imported)
		}
		files = append(files, f)
	})
	return files
}

// walk calls visit for every file that belongs to the repository.
func walk(t *testing.T, visit func(name string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() {
			switch d.Name() {
			case ".git", ".waterbear", "build", "node_modules", "target", "testdata", "vendor":
				return fs.SkipDir
			}
			if slices.Contains(foreign, name) {
				return fs.SkipDir
			}
			// A module of its own is no part of this one.
			if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil && name != "." {
				return fs.SkipDir
			}
			return nil
		}
		visit(name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ours gives the directory of a package of ours.
func ours(imported string) (dir string, ok bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

// within reports whether p is d or below it.
func within(p, d string) bool { return p == d || strings.HasPrefix(p, d+"/") }

// matches reports whether pattern, which may end in /..., stands for imported.
func matches(pattern, imported string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return within(imported, prefix)
	}
	return pattern == imported
}

// find gives the pattern of rules that stands for imported.
func find(rules map[string][]string, imported string) (pattern string, allowed []string, ok bool) {
	if allowed, ok := rules[imported]; ok {
		return imported, allowed, true // more than what stands for all below something
	}
	for pattern, allowed := range rules {
		if matches(pattern, imported) {
			return pattern, allowed, true
		}
	}
	return "", nil, false
}

// standard reports whether imported is of the standard library, whose paths
// have no dot in their first element.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// used gives the names of other packages that f uses, as import path, dot,
// name, with the place of each.
func (f *file) used(visit func(name string, at token.Position)) {
	paths := map[string]string{} // by the name that this file has for the package
	for i, spec := range f.syntax.Imports {
		name := path.Base(f.imports[i])
		if spec.Name != nil {
			name = spec.Name.Name
		}
		paths[name] = f.imports[i]
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		// A package is the only thing of that name that the file itself does
		// not declare.
		if x, ok := selector.X.(*ast.Ident); ok && x.Obj == nil && paths[x.Name] != "" {
			visit(paths[x.Name]+"."+selector.Sel.Name, f.fset.Position(selector.Pos()))
		}
		return true
	})
}
