package wit_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/waterbear-run/waterbear/wit"
)

// parse reads one file.
func parse(text string) (*wit.Document, error) {
	return wit.Parser{}.Parse([]wit.Source{{Name: "a.wit", Text: text}})
}

// reprint reads what has been printed and prints it again.
func reprint(t *testing.T, text string) string {
	t.Helper()
	d, err := wit.Parser{AllFeatures: true}.Parse([]wit.Source{{Name: "printed", Text: text}})
	if err != nil {
		t.Fatalf("what is printed cannot be read: %v\n%s", err, text)
	}
	return d.String()
}

func TestAPackageOfManyFilesIsReadAndPrinted(t *testing.T) {
	d, err := wit.Parser{}.Load(os.DirFS("testdata"), "shop")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/shop.printed.wit")
	if err != nil {
		t.Fatal(err)
	}
	if got := d.String(); got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if again := reprint(t, string(want)); again != string(want) {
		t.Errorf("what is printed is read as\n%s\nwant\n%s", again, want)
	}
}

func TestWhatIsReadIsOneGraph(t *testing.T) {
	d, err := wit.Parser{}.Load(os.DirFS("testdata"), "shop")
	if err != nil {
		t.Fatal(err)
	}
	stock, cart := d.Interface(id(t, "acme:shop/stock@1.2.0")), d.Interface(id(t, "acme:shop/cart@1.2.0"))
	shop := d.World(id(t, "acme:shop/shop@1.2.0"))
	list := stock.Type("list").Resource
	for name, got := range map[string]*wit.Resource{
		"the use":         cart.Type("list").Resource,
		"the alias":       stock.Type("other").Resource,
		"the owned":       stock.Type("owned").Type.Resource,
		"the parameter":   cart.Func(wit.FuncName{Name: "check"}).Type.Params[0].Type.Resource,
		"the constructor": stock.Func(wit.FuncName{Kind: wit.Constructor, Resource: "list"}).Type.Result.Elem.Resource,
		"self":            stock.Func(wit.FuncName{Kind: wit.Method, Resource: "list", Name: "next"}).Type.Params[0].Type.Resource,
	} {
		if got != list {
			t.Errorf("the resource of %s is %v, not %v", name, got, list)
		}
	}
	if handle := stock.Type("owned"); handle.Resource != nil || handle.Type.Kind != wit.Own {
		t.Errorf("a handle is %+v", handle)
	}
	item := cart.Func(wit.FuncName{Name: "add-item"}).Type.Params[0].Type
	if item != cart.Type("item").Type || item.Name != "item" || item.Fields[3].Type.Kind != wit.Option {
		t.Errorf("a parameter is %+v", item)
	}
	exports := map[string]*wit.Extern{}
	for _, e := range shop.Exports {
		exports[e.ExternName()] = e
	}
	if price := exports["admin"].Interface.Type("price"); price.Type.Kind != wit.U64 || price.Type.Name != "price" ||
		price.Of != (wit.TypeRef{Interface: cart.ID, Name: "money"}) {
		t.Errorf("a used type is %+v", price)
	}
	if exports["acme:shop/cart@1.2.0"].Interface != cart {
		t.Error("an export is another interface")
	}
}

func TestUnstablePartsAreReadIfTheirFeatureIs(t *testing.T) {
	for _, p := range []wit.Parser{{Features: []string{"alpha", "beta"}}, {AllFeatures: true}} {
		d, err := p.Load(os.DirFS("testdata"), "shop")
		if err != nil {
			t.Fatal(err)
		}
		stock := d.Interface(id(t, "acme:shop/stock@1.2.0"))
		if f := stock.Func(wit.FuncName{Name: "count"}); f == nil || f.Gate.Unstable != "beta" {
			t.Errorf("%+v: count is %v", p, f)
		}
		text := d.String()
		if again := reprint(t, text); again != text || strings.Count(text, "@unstable(feature = beta)") != 4 {
			t.Errorf("%+v: what is printed is read as\n%s\nwant\n%s", p, again, text)
		}
	}
	const text = `package a:b; @unstable(feature = x) interface i { type t = u8; f: func(); } world w { @unstable(feature = x) import i; }`
	d, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := d.String(), "package a:b;\n\nworld w {\n}\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWorldsAreCompletedAndIncludesAreResolved(t *testing.T) {
	for text, want := range map[string]string{
		`world w { import c; } interface a { type t = u8; } interface b { use a.{t}; } interface c { use b.{t}; use a.{t as u}; }`:          `import a; import b; import c;`,
		`world w { export b; } interface a { resource r; } interface b { use a.{r}; }`:                                                      `import a; export b;`,
		`world w { export b; export a; } interface a { resource r; } interface b { use a.{r}; }`:                                            `export b; export a;`,
		`world w { import x: interface { use a.{r}; } } interface a { resource r; }`:                                                        `import a; import x: interface { use a.{r}; }`,
		`world w { export x: interface { use a.{r}; } } interface a { resource r; }`:                                                        `import a; export x: interface { use a.{r}; }`,
		`world w { use a.{r}; include v; } interface a { resource r; } world v { import a; export a; }`:                                     `import a; use a.{r}; export a;`,
		`world w { include v with { a as b, b as a } } world v { type a = u8; type b = list<a>; import f: func(x: a, y: b); }`:              `type b = u8; type a = list<b>; import f: func(x: b, y: a);`,
		`world w { include v with { r as s, } } world v { include u with { q as r }; } world u { resource q { f: func(a: q); } }`:           `resource s { f: func(a: s); }`,
		`world w { include v with { f as g } } world v { import f: func(); export f: func(); }`:                                             `import g: func(); export g: func();`,
		`world w { include v; include v; import i; } world v { import i; export i; } interface i {}`:                                        `import i; export i;`,
		`world w { import x: i; import y: a:b/i; export x: i; } interface i { use a.{t}; } interface a { type t = u8; }`:                    `import a; import x: i; import y: i; export x: i;`,
		`world w { @unstable(feature = x) import i; include v; } world v { import i; } interface i {}`:                                      `import i;`,
		`use i as j; world w { import j; } interface i {}`:                                                                                  `import i;`,
		`world w { include v; } world v { @unstable(feature = x) type t = u8; @unstable(feature = x) import f: func(); import f: func(); }`: `import f: func();`,
	} {
		d, err := parse("package a:b; " + text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		w := d.World(wit.ID{Package: d.Packages[0].Name, Name: "w"})
		for _, p := range d.Packages {
			p.Interfaces, p.Worlds = nil, nil
		}
		d.Packages[0].Worlds = []*wit.World{w}
		_, got, _ := strings.Cut(strings.Join(strings.Fields(d.String()), " "), "world w { ")
		if got = strings.TrimSuffix(got, " }"); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", text, got, want)
		}
	}
}

// TestWhatIsWrongWithWITIsSaidWithItsPlace has an error in each line, at the
// column of the first ^, which is not part of the text.
func TestWhatIsWrongWithWITIsSaidWithItsPlace(t *testing.T) {
	long := strings.Repeat("a", 300)
	for text, want := range map[string]string{
		"^interface i {}":            "no file says which package this is: begin with package namespace:name;",
		"^":                          "no file says which package this is",
		"package a:^func;":           "func is a keyword, and the name of a package is expected: write %func to use it as a name",
		"package a^;":                "here is ;, and : is expected",
		"package a:b^/c;":            "nested namespaces and packages are not supported",
		"package a:b@^1.2;":          `"1.2" is no version: write three numbers`,
		"package a:b@^;":             `"" is no version`,
		"package ^A:b;":              `"A" has upper-case letters`,
		"package a:b^":               "here is the end of the file, and ; is expected",
		"package a:b; ^package c:d;": "a file declares its package once, at its beginning: put what follows into a block, package c:d { ... }",
		"package a:b; package c:d { ^package e:f {} }":                           "a package cannot be declared inside another: put it behind the block of c:d",
		"package a:b; package ^a:b {}":                                           "package a:b is declared already, at a.wit:1: remove one of them",
		"package a:b; package c:d {} package ^c:d {}":                            "package c:d is declared already",
		"package a:b; package c:d ^interface":                                    "here is the keyword interface, and { is expected",
		"package a:b; ^func":                                                     "here is the keyword func, and package, use, interface or world is expected",
		"package a:b; interface i {} interface ^I {}":                            "I is declared already, at a.wit:1: remove one of them, or give it a name that differs in more than its case",
		"package a:b; interface i {} world ^i {}":                                "i is declared already",
		"package a:b; use c:d/e; package c:d { interface e {} } interface ^e {}": "e is declared already",
		"package a:b; use ^c:d/e; package c:d {}":                                "package c:d has no interface or world e",
		"package a:b; use ^c:d/e@1.0.0; package c:d@1.1.0 { }":                   "there is no package c:d@1.0.0: write a version that is here, c:d@1.1.0, or add it to the directory deps",
		"package a:b; use ^c:d/e;":                                               "there is no package c:d: add it to the directory deps",
		"package a:b; use ^i;":                                                   "package a:b has no interface or world i",
		"package a:b; use i; use i as j; use j as ^J;  interface x {}":           "J is declared already",
		"package a:b; interface i {} use i^.{x};":                                "types can be used only inside an interface or a world",
		"package a:b; ^@since(version = 1.0.0) use i;":                           "a use outside of interfaces and worlds cannot be gated",
		"package a:b; use a:b^;":                                                 "here is ;, and a slash and the name of an interface, as in namespace:package/interface is expected",
		"package a:b; use a:b/c^/d;":                                             "nested packages are not supported",
		"package a:b; use a:b^:c/d;":                                             "nested namespaces are not supported",
		"package a:b; use ^a:B/c;":                                               `"B" has upper-case letters`,
		// Gates.
		"package a:b; interface i { @since(version = 1.0.0) ^f: func(); }":                                         "f has a gate with a version, so its package has to have one: write package a:b@version",
		"package a:b@1.0.0; @since(version = 1.0.1) interface ^i {}":                                               "i is part of its package since version 1.0.1, and the package has version 1.0.0",
		"package a:b@1.0.0; world ^w { @since(version = 2.0.0) include v; } world v {}":                            "w is part of its package since version 2.0.0",
		"package a:b@1.0.0; world w { @since(version = 2.0.0) ^import i; } interface i {}":                         "i is part of its package since version 2.0.0",
		"package a:b@1.0.0; ^@deprecated(version = 1.0.0) interface i {}":                                          "@deprecated stands beside @since or @unstable only",
		"package a:b@1.0.0; ^@unstable(feature = x) @since(version = 1.0.0) world w {}":                            "what is @since a version is not @unstable",
		"package a:b@1.0.0; @unstable(feature = x) ^@unstable(feature = y) world w {}":                             "@unstable is here twice",
		"package a:b; ^@stable world w {}":                                                                         "there is no @stable: there are @since, @unstable and @deprecated",
		"package a:b; ^@external-id(\"x\") world w {}":                                                             "@external-id is not supported",
		"package a:b; @unstable ^world w {}":                                                                       "here is the keyword world, and ( is expected",
		"package a:b; @unstable(^version = 1.0.0) world w {}":                                                      "here is the name version, and feature = ... is expected",
		"package a:b; @since(version = ^x) world w {}":                                                             `"x" is no version`,
		"package a:b; @since(version ^1.0.0) world w {}":                                                           "here is 1, and = is expected",
		"package a:b; interface i { @unstable(feature = x) type t = u8; f: func(a: ^t); }":                         "t is part of the unstable feature x, which is not read: enable it, or gate this with @unstable(feature = x) as well",
		"package a:b; @unstable(feature = x) interface i {} world w { import ^i; }":                                "interface i is part of the unstable feature x",
		"package a:b; interface i { @unstable(feature = x) use j.{t}; type u = ^t; } interface j { type t = u8; }": "t is part of the unstable feature x",
		"package a:b; interface i { use j.{^t}; } interface j { @unstable(feature = x) type t = u8; }":             "t is part of the unstable feature x",
		// Names and text.
		"package a:b; interface ^my_iface {}":     "names have hyphens in the place of underscores: write my-...",
		"package a:b; interface ^aB {}":           `"aB" mixes upper and lower case in one word`,
		"package a:b; interface ^a--b {}":         `"a--b" is no name`,
		"package a:b; interface ^% {}":            `"" is no name`,
		"package a:b; interface ^1a {}":           "here is 1a, and the name of an interface is expected",
		"package a:b; interface ^" + long + " {}": "is longer than 256 bytes",
		"package a:b; ^#":                         "the character '#' has no place here",
		"package a:b; interface ^é {}":            "the character 'é' has no place here",
		"package a:b; // é\n  ^é":                 "the character 'é' has no place here",
		"package a:b; ^/* /* */":                  "this comment has no end: close it with */",
		"package a:b; // ^\x00":                   "the text has the control character U+0000",
		"package a:b; // ^\u202e":                 "the text has the character U+202E, which changes the direction of writing",
		"package a:b; // ^\u0149":                 "the text has the character U+0149, which Unicode discourages",
		"package a:b; // ^\xff":                   "the text is not valid UTF-8 here",
		"package a:b; ^\"x\"":                     "strings have no place here",
		// Types.
		"package a:b; interface i { type t = ^x; }":                                     "there is no type x here: declare it, or use it from the interface that does",
		"package a:b; interface i { f: func(); type t = ^f; }":                          "f is no type",
		"package a:b; interface i { type t = u8; type ^T = u8; }":                       "T is declared already",
		"package a:b; interface i { type t = u; type u = list<^t>; }":                   "the type t consists of itself: types cannot be recursive",
		"package a:b; interface i { record r { a: u8, ^A: u8 } }":                       "A is declared already",
		"package a:b; interface i { record ^r {} }":                                     "the record r is empty: it has at least one field, case or label",
		"package a:b; interface i { type t = ^tuple<>; }":                               "this tuple is empty",
		"package a:b; interface i { type t = list<u8^, 4>; }":                           "lists of a fixed length are not supported",
		"package a:b; interface i { type t = result<_^>; }":                             "a result without a type for ok has one for the error: write result<_, type>, or result",
		"package a:b; interface i { type t = ^stream<u8>; }":                            "the types future, stream, map are not supported: they came with WASI 0.3",
		"package a:b; interface i { type t = ^error-context; }":                         "error contexts are not supported",
		"package a:b; interface i { f: ^async func(); }":                                "async functions are not supported",
		"package a:b; interface i { type t = ^record; }":                                "record is a keyword, and a type is expected: declare records, variants, enums and flags by name",
		"package a:b; interface i { f: func() -> ^(a: u8); }":                           "a function has one result: write tuple<...> or a record for several",
		"package a:b; interface i { type t = ^; }":                                      "here is ;, and a type is expected",
		"package a:b; interface i { record r { a: u8 ^b: u8 } }":                        "here is the name b, and a comma or } is expected",
		"package a:b; interface i { f: func(a: u8, ^A: u8); }":                          "A is declared already",
		"package a:b; interface i { f: func(^u8); }":                                    "u8 is a keyword, and the name of a parameter is expected",
		"package a:b; interface i { f^() }":                                             "here is (, and : is expected",
		"package a:b; interface i { f: func() ^}":                                       "here is }, and ; is expected",
		"package a:b; interface i { ^import j; }":                                       "import is a keyword, and a function, a type, use or } is expected",
		"package a:b; interface i { use j^; }":                                          "here is ;, and a dot and the types to use, as in types.{a, b} is expected",
		"package a:b; interface i { use j.{^t}; } interface j {}":                       "a:b/j has no type t",
		"package a:b; interface i { use j.{^f}; } interface j { f: func(); }":           "f is no type of a:b/j: only types can be used",
		"package a:b; interface i { use ^w.{t}; } world w { type t = u8; }":             "a:b/w is a world, and an interface is expected: worlds can only be included",
		"package a:b; interface i { use j.{t}; } interface j { use ^i.{t}; }":           "interface i depends on itself: break the circle",
		"package a:b; interface i { use j.{t, t as ^T}; } interface j { type t = u8; }": "T is declared already",
		// Resources.
		"package a:b; interface i { resource r { f: func(); ^F: static func(); } }":                   "[static]r.F is declared already",
		"package a:b; interface i { resource r { ^r: func(); } }":                                     "[method]r.r is declared already",
		"package a:b; interface i { resource r { constructor(); ^constructor(); } }":                  "[constructor]r is declared already",
		"package a:b; interface i { resource r { constructor() -> ^r; } }":                            "a constructor of r returns nothing or result<r, ...>",
		"package a:b; interface i { resource s; resource r { constructor() -> ^result<s>; } }":        "a constructor of r returns nothing or result<r, ...>",
		"package a:b; interface i { resource r { constructor() -> ^result<_, u8>; } }":                "a constructor of r returns nothing or result<r, ...>",
		"package a:b; interface i { resource r { f: func(^self: u8); } }":                             "a method has the parameter self without saying so",
		"package a:b; interface i { resource r { ^type t = u8; } }":                                   "type is a keyword, and a function, constructor or } is expected",
		"package a:b; interface i { type t = u8; f: func(x: borrow<^t>); }":                           "t is no resource, and only resources have handles: write t alone",
		"package a:b; interface i { resource r; type t = own<r>; f: func(x: own<^t>); }":              "t is no resource",
		"package a:b; interface i { resource r; type t = list<borrow<r>>; f: func() -> ^option<t>; }": "the result of f has a borrowed handle",
		// Worlds.
		"package a:b; world w { import f: func(); import ^f: func(); }":                                                                    "f is declared already",
		"package a:b; world w { import f: func(); type ^f = u8; }":                                                                         "f is declared already",
		"package a:b; world w { export f: func(); export ^F: interface {} }":                                                               "F is declared already",
		"package a:b; world w { import i; ^import i; } interface i {}":                                                                     "a:b/i is here already, at a.wit:1: remove one of them",
		"package a:b; world w { export i; ^export i; } interface i {}":                                                                     "a:b/i is here already",
		"package a:b; world w { import ^v; } world v {}":                                                                                   "a:b/v is a world, and an interface is expected: worlds can only be included",
		"package a:b; world w { import x: ^w; }":                                                                                           "a:b/w is a world",
		"package a:b; world w { import ^x; }":                                                                                              "package a:b has no interface or world x",
		"package a:b; world w { ^f: func(); }":                                                                                             "here is the name f, and import, export, include, use, a type or } is expected",
		"package a:b; world w { include ^i; } interface i {}":                                                                              "a:b/i is an interface, and a world is expected: import or export it",
		"package a:b; world w { include v; } world v { include ^w; }":                                                                      "world w depends on itself",
		"package a:b; world w { import f: func(); include ^v; } world v { import f: func(); }":                                             "this include brings f, which is declared already, at a.wit:1: give it another name, with { f as another-name }",
		"package a:b; world w { include v with { ^x as y } } world v { import i; } interface i {}":                                         "x is no plain name of world v",
		"package a:b; world w { include v with { ^i as y } } world v { import i; } interface i {}":                                         "i is no plain name of world v",
		"package a:b; world w { include v with { f as g, ^f as h } } world v { import f: func(); }":                                        "f is given a new name already",
		"package a:b; world w { include v with { f ^} } world v { import f: func(); }":                                                     "here is }, and as is expected",
		"package a:b; world w { ^export c; export a; } interface a { type t = u8; } interface b { use a.{t}; } interface c { use b.{t}; }": "the export a:b/c uses types of a:b/b, which is not exported and itself uses types of an interface that is: export a:b/b as well",
	} {
		at := strings.Index(text, "^")
		text = text[:at] + text[at+1:]
		line, before := 1, text[:at]
		if nl := strings.LastIndexByte(before, '\n'); nl >= 0 {
			line, before = 2, before[nl+1:]
		}
		d, err := parse(text)
		var e *wit.ParseError
		if !errors.As(err, &e) {
			t.Errorf("%s: got %v, %v, want %s", text, d, err, want)
			continue
		}
		if !strings.HasPrefix(e.Reason, want) && !strings.Contains(e.Reason, want) || e.Line != line || e.Column != len([]rune(before))+1 || e.File != "a.wit" {
			t.Errorf("%s:\ngot  %v\nwant %d:%d: %s", text, err, line, len([]rune(before))+1, want)
		}
	}
}

func TestFilesOfAPackageAreFound(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	fsys := fstest.MapFS{
		"wit/b.wit":              file("interface b { use c:d/x.{t}; use e:f/y@1.0.0.{t as u}; }"),
		"wit/a.wit":              file("package a:b;"),
		"wit/notes.txt":          file("#"),
		"wit/more/x.wit":         file("#"),
		"wit/deps/c.wit":         file("package c:d; interface x { type t = u8; } package g:h { interface z {} }"),
		"wit/deps/README":        file("#"),
		"wit/deps/e/1.wit":       file("package e:f@1.0.0;"),
		"wit/deps/e/2.wit":       file("interface y { type t = u16; }"),
		"wit/deps/e/deps/no.wit": file("#"),
		"wit/deps/empty/x":       file("#"),
		"wit/deps/same.wit":      file("package i:j; /* the same */ package g:h { interface z { } }"),
		"other/a.wit":            file("package a:b; interface i {}"),
		"empty/x":                file(""),
		"bad/a.wit":              file("package a:b;"),
		"bad/b.wit":              file("package a:c;"),
		"bad2/a.wit":             file("package a:b; "),
		"bad2/deps/b.wit":        file("interface i {}"),
		"bad3/a.wit":             file("package a:b;"),
		"bad3/deps/a.wit":        file("package a:c; package g:h { interface z {} }"),
		"bad3/deps/b.wit":        file("package a:d; package g:h { interface y {} }"),
	}
	d, err := wit.Parser{}.Load(fsys, "wit")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range d.Packages {
		names = append(names, p.Name.String())
	}
	if got, want := strings.Join(names, " "), "a:b c:d g:h e:f@1.0.0 i:j"; got != want {
		t.Errorf("got the packages %s, want %s", got, want)
	}
	if d, err := (wit.Parser{}).Load(fsys, "other/a.wit"); err != nil || len(d.Packages[0].Interfaces) != 1 {
		t.Errorf("a file: got %v, %v", d, err)
	}
	for name, want := range map[string]string{
		"wit/b.wit": "wit/b.wit:1:1: no file says which package this is",
		"absent":    "file does not exist",
		"empty":     "read WIT of empty: there are no .wit files in it",
		"bad":       "bad/b.wit:1:9: the package is a:c here, and a:b at bad/a.wit:1: files that are read together are of one package",
		"bad2":      "bad2/deps/b.wit:1:1: no file says which package this is",
		"bad3":      "bad3/deps/b.wit:1:22: package g:h is declared already, at bad3/deps/a.wit:1: remove one of them",
	} {
		if d, err := (wit.Parser{}).Load(fsys, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v, want %s", name, d, err, want)
		}
	}
	if _, err := (wit.Parser{}).Load(brokenFS{fsys}, "wit"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("unreadable files: got %v", err)
	}
	if _, err := (wit.Parser{}).Parse(nil); err == nil {
		t.Error("no files at all are read")
	}
}

// brokenFS cannot open files.
type brokenFS struct{ fstest.MapFS }

func (b brokenFS) Open(name string) (fs.File, error) {
	if filepath.Ext(name) == ".wit" {
		return nil, fs.ErrPermission
	}
	return b.MapFS.Open(name)
}

func (b brokenFS) Stat(name string) (fs.FileInfo, error) { return b.MapFS.Stat(name) }

// TestThereAreBoundsOnWIT reaches each.
func TestThereAreBoundsOnWIT(t *testing.T) {
	many := func(n int, line func(i int) string) string {
		var b strings.Builder
		b.WriteString("package a:b;\n")
		for i := range n {
			b.WriteString(line(i))
		}
		return b.String()
	}
	nested := func(n int) string {
		return "package a:b; interface i { type t = " + strings.Repeat("list<", n) + "u8" + strings.Repeat(">", n) + "; }"
	}
	chained := func(n int, backwards bool) string {
		return "package a:b; interface i {" + strings.TrimPrefix(many(n, func(i int) string {
			if backwards {
				i = n - 1 - i
			}
			if i == 0 {
				return "type t0 = u8;\n"
			}
			return fmt.Sprintf("type t%d = option<t%d>;\n", i, i-1)
		}), "package a:b;") + "}"
	}
	aliases := func(n int) string {
		return "package a:b; interface i { type t0 = u8;" + strings.TrimPrefix(many(n, func(i int) string {
			return fmt.Sprintf("type t%d = t%d;\n", n-i, n-i-1)
		}), "package a:b;") + "}"
	}
	interfaces := func(n int, backwards bool) string {
		return many(n, func(i int) string {
			if backwards {
				i = n - 1 - i
			}
			if i == 0 {
				return "interface i0 { type t = u8; }\n"
			}
			return fmt.Sprintf("interface i%d { use i%d.{t}; }\n", i, i-1)
		})
	}
	doubled := func(n int) string {
		return many(n, func(i int) string {
			return fmt.Sprintf("interface i%d { use i%d.{t as u}; type t = tuple<u, u>; }\n", i+1, i)
		}) + "interface i0 { type t = u8; }"
	}
	worlds := func(n int) string {
		return many(n, func(i int) string {
			return fmt.Sprintf("world w%d { include w%d; include w%d; }\n", i+1, i, i)
		}) + "world w0 { import i; } interface i {}"
	}
	var imports strings.Builder
	imports.WriteString(many(2000, func(i int) string {
		return fmt.Sprintf("interface i%d { type t = u8; }\n", i)
	}))
	imports.WriteString("interface all { ")
	for i := range 2000 {
		fmt.Fprintf(&imports, "use i%d.{};", i)
	}
	imports.WriteString(" }")
	for i := range 60 {
		fmt.Fprintf(&imports, "world w%d { import all; }\n", i)
	}
	functions := func(n int) string {
		return strings.TrimPrefix(many(n, func(i int) string { return fmt.Sprintf("import g%d:func();\n", i) }), "package a:b;") + "}"
	}
	var labels strings.Builder
	for i := range 33 {
		fmt.Fprintf(&labels, "l%d, ", i)
	}
	for _, test := range []struct{ name, within, beyond, want string }{
		{"types in types", nested(99), nested(100), "types are nested deeper than 100: give"},
		{"types in named ones", chained(100, false), chained(101, false), "types are nested deeper than 100 here"},
		{"types in named ones, backwards", chained(100, true), chained(101, true), "types are nested deeper than 100 here"},
		{"types in many named ones, backwards", nested(1), chained(20_000, true), "types are nested deeper than 100 here"},
		{"aliases", aliases(99), aliases(100), "types are nested deeper than 100 here"},
		{"many aliases", nested(1), aliases(20_000), "types are nested deeper than 100 here"},
		{"uses", interfaces(101, false), interfaces(102, false), "in a chain longer than 100"},
		{"uses, backwards", interfaces(101, true), interfaces(102, true), "in a chain longer than 100"},
		{"many uses, backwards", nested(1), interfaces(20_000, true), "in a chain longer than 100"},
		{"size of types", doubled(18), doubled(19), "this type consists of more than 1000000 others"},
		{"includes", worlds(14), worlds(16), "the worlds import, export and include more than 100000 things in all"},
		{"imports", nested(1), imports.String(), "the worlds import, export and include more than 100000 things in all"},
		{"functions", "package a:b; world w {" + functions(100_000), "package a:b; world w {" + functions(100_001), "the worlds import, export and include more than 100000 things in all"},
		{"flags", nested(1), "package a:b; interface i { flags f { " + labels.String() + "} }", "flags f has 33 labels, more than 32"},
		{"bytes", "package a:b;" + strings.Repeat(" ", wit.MaxSource-12), "package a:b;" + strings.Repeat(" ", wit.MaxSource-11), "there are 4194305 bytes of WIT in 1 files, and 4194304 in 10000 are the most"},
		{"comments", "package a:b;" + strings.Repeat("/*", 100_000) + strings.Repeat("*/", 100_000), "package a:b;" + strings.Repeat("/*", 100_000), "this comment has no end"},
	} {
		if _, err := parse(test.within); err != nil {
			t.Errorf("%s within the bound: %v", test.name, err)
		}
		if d, err := parse(test.beyond); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s beyond the bound: got %v, want %s", test.name, err, test.want)
		} else if d != nil {
			t.Errorf("%s: there are both a document and an error", test.name)
		}
	}
	fsys := fstest.MapFS{}
	for i := range 10_001 {
		fsys[fmt.Sprintf("wit/%d.wit", i)] = &fstest.MapFile{}
	}
	if _, err := (wit.Parser{}).Load(fsys, "wit"); err == nil || !strings.Contains(err.Error(), "there are more than 10000 files of WIT") {
		t.Errorf("files: got %v", err)
	}
	large := fstest.MapFS{"a.wit": {Data: make([]byte, wit.MaxSource/2)}, "deps/b.wit": {Data: make([]byte, wit.MaxSource/2+1)}}
	if _, err := (wit.Parser{}).Load(large, "."); err == nil || !strings.Contains(err.Error(), "there are more than 4194304 bytes of WIT, with deps/b.wit") {
		t.Errorf("bytes of files: got %v", err)
	}
}

// witEnv names a directory of packages, each a .wit file or a directory that
// Load reads, at any depth. What of it is for WASI 0.3 is skipped.
const witEnv = "WATERBEAR_WIT"

func TestPackagesOfOthersAreReadAsTheyArePrinted(t *testing.T) {
	dir := os.Getenv(witEnv)
	if dir == "" {
		t.Skip(witEnv + " names no directory with packages of WIT")
	}
	fsys, read := os.DirFS(dir), 0
	err := fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.Name() == "deps":
			return fs.SkipDir
		}
		files, err := fs.Glob(fsys, name+"/*.wit")
		if err != nil || e.IsDir() && len(files) == 0 || !e.IsDir() && filepath.Ext(name) != ".wit" {
			return err
		}
		t.Run(name, func(t *testing.T) {
			d, err := wit.Parser{AllFeatures: true}.Load(fsys, name)
			if err != nil {
				t.Skip(err)
			}
			read++
			text := d.String()
			if again := reprint(t, text); again != text {
				t.Errorf("got\n%s\nwant\n%s", again, text)
			}
		})
		return nil
	})
	t.Logf("%d packages, %v", read, err)
}

// FuzzWIT reads anything as WIT: what can be read is printed as text that is
// read the same.
func FuzzWIT(f *testing.F) {
	for _, name := range []string{"shop.printed.wit", "shop/cart.wit", "shop/world.wit", "shop/deps/clocks.wit"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(componentText)
	f.Add("package a:b; world w { include v with { a as b, b as a } } world v { type a = u8; type b = list<a>; import f: func(x: a, y: b); }")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parse(text)
		if err != nil {
			return
		}
		printed := d.String()
		if again := reprint(t, printed); again != printed {
			t.Errorf("%q is printed as\n%s\nand that is read as\n%s", text, printed, again)
		}
	})
}
