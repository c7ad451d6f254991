package wit_test

import (
	"slices"
	"testing"

	"github.com/waterbear-run/waterbear/wit"
)

func id(t *testing.T, text string) wit.ID {
	t.Helper()
	parsed, err := wit.ParseID(text)
	if err != nil {
		t.Fatal(err)
	}
	if parsed.String() != text {
		t.Fatalf("%s is read as %s", text, parsed)
	}
	return parsed
}

func named(name string, t *wit.Type) *wit.TypeDecl {
	t.Name = name
	return &wit.TypeDecl{Name: name, Type: t}
}

func function(name string, result *wit.Type, params ...wit.Param) *wit.FuncDecl {
	n, err := wit.ParseFuncName(name)
	if err != nil {
		panic(err)
	}
	return &wit.FuncDecl{Name: n, Type: &wit.Func{Params: params, Result: result}}
}

// component is a document as the reader of a component builds it.
func component(t *testing.T) *wit.Document {
	streams := id(t, "wasi:io/streams@0.2.0")
	blob := &wit.Resource{Name: "blob"}
	owned := named("blob", &wit.Type{Kind: wit.Own, Resource: blob})
	owned.Resource = blob
	borrowed := &wit.Type{Kind: wit.Borrow, Resource: blob}
	u32, text := &wit.Type{Kind: wit.U32}, &wit.Type{Kind: wit.String}
	bytes := &wit.Type{Kind: wit.List, Elem: &wit.Type{Kind: wit.U8}}
	problem := named("problem", &wit.Type{Kind: wit.Variant, Fields: []wit.Field{{Name: "closed"}, {Name: "other", Type: text}}})
	mode := named("mode", &wit.Type{Kind: wit.Flags, Fields: []wit.Field{{Name: "read"}, {Name: "write"}}})
	handle := named("handle", &wit.Type{Kind: wit.Own, Resource: blob})
	io := &wit.Interface{
		ID:    streams,
		Types: []*wit.TypeDecl{owned, problem, mode, handle},
		Funcs: []*wit.FuncDecl{
			function("open", &wit.Type{Kind: wit.Result, Elem: owned.Type, Err: problem.Type},
				wit.Param{Name: "name", Type: text}, wit.Param{Name: "mode", Type: mode.Type}),
			function("[constructor]blob", &wit.Type{Kind: wit.Own, Resource: blob}, wit.Param{Name: "init", Type: bytes}),
			function("[method]blob.read", bytes, wit.Param{Name: "self", Type: borrowed}, wit.Param{Name: "n", Type: u32}),
			function("[static]blob.merge", owned.Type, wit.Param{Name: "lhs", Type: borrowed}),
			function("keep", nil, wit.Param{Name: "from", Type: handle.Type}),
		},
	}

	used := named("file", &wit.Type{Kind: wit.Own, Resource: blob})
	used.Resource, used.Of = blob, wit.TypeRef{Interface: streams, Name: "blob"}
	item := named("item", &wit.Type{Kind: wit.Record, Fields: []wit.Field{{Name: "sku", Type: text}, {Name: "list", Type: &wit.Type{
		Kind: wit.Tuple, Fields: []wit.Field{{Type: u32}, {Type: &wit.Type{Kind: wit.Option, Elem: used.Type}}},
	}}}})
	same := named("thing", &wit.Type{Kind: wit.Record, Fields: item.Type.Fields})
	same.Of = wit.TypeRef{Name: "item"}
	cart := &wit.Interface{
		Types: []*wit.TypeDecl{item, used, same},
		Funcs: []*wit.FuncDecl{
			function("add-item", &wit.Type{Kind: wit.Result}, wit.Param{Name: "item", Type: same.Type}),
			function("look", &wit.Type{Kind: wit.Result, Err: text}, wit.Param{Name: "file", Type: borrowed}),
		},
	}

	counter := &wit.Resource{Name: "counter"}
	declared := named("counter", &wit.Type{Kind: wit.Own, Resource: counter})
	declared.Resource = counter
	log := &wit.Interface{Funcs: []*wit.FuncDecl{function("log", nil, wit.Param{Name: "msg", Type: text})}}
	root := id(t, "root:component/root")
	d := &wit.Document{Packages: []*wit.Package{
		{Name: root.Package, Worlds: []*wit.World{{
			ID:    root,
			Types: []*wit.TypeDecl{declared},
			Imports: []*wit.Extern{
				{Interface: io},
				{Func: function("[method]counter.add", u32, wit.Param{Name: "self", Type: &wit.Type{Kind: wit.Borrow, Resource: counter}})},
				{Func: function("now", &wit.Type{Kind: wit.U64})},
				{Name: "log", Interface: log},
				{Name: "spare", Interface: io},
			},
			Exports: []*wit.Extern{{Func: function("run", nil)}, {Name: "cart", Interface: cart}},
		}}},
	}}
	// It is imported and exported, in parts that overlap.
	d.Add(&wit.Interface{ID: streams, Types: io.Types[:2], Funcs: io.Funcs[:3]})
	d.Add(&wit.Interface{ID: streams, Types: io.Types[1:], Funcs: io.Funcs[2:]})
	return d
}

const componentText = `package root:component;

world root {
  import wasi:io/streams@0.2.0;
  import log: interface {
    log: func(msg: string);
  }
  import spare: wasi:io/streams@0.2.0;

  resource counter {
    add: func() -> u32;
  }

  import now: func() -> u64;

  export cart: interface {
    use wasi:io/streams@0.2.0.{blob as file};

    record item {
      sku: string,
      %list: tuple<u32, option<file>>,
    }

    type thing = item;

    add-item: func(item: thing) -> result;

    look: func(file: borrow<file>) -> result<_, string>;
  }
  export run: func();
}

package wasi:io@0.2.0 {
  interface streams {
    resource blob {
      constructor(init: list<u8>);
      read: func(n: u32) -> list<u8>;
      merge: static func(lhs: borrow<blob>) -> blob;
    }

    variant problem {
      closed,
      other(string),
    }

    flags mode {
      read,
      write,
    }

    type handle = own<blob>;

    open: func(name: string, mode: mode) -> result<blob, problem>;

    keep: func(%from: handle);
  }
}
`

func TestAComponentIsPrintedAsItsWorldAndThePackagesThatItUses(t *testing.T) {
	if got := component(t).String(); got != componentText {
		t.Errorf("got\n%s\nwant\n%s", got, componentText)
	}
}

func TestWhatIsInADocumentIsFoundByItsName(t *testing.T) {
	d := component(t)
	streams, root := id(t, "wasi:io/streams@0.2.0"), id(t, "root:component/root")
	i, w := d.Interface(streams), d.World(root)
	if i == nil || w == nil || d.Package(root.Package) != d.Packages[0] {
		t.Fatalf("got %v, %v", i, w)
	}
	method := wit.FuncName{Kind: wit.Method, Resource: "blob", Name: "read"}
	if f := i.Func(method); f == nil || f.Name != method {
		t.Errorf("%s: got %v", method, f)
	}
	if got := i.Type("mode"); got == nil || got.Type.Kind != wit.Flags {
		t.Errorf("mode: got %v", got)
	}
	if got := w.Type("counter"); got == nil || got.Resource == nil {
		t.Errorf("counter: got %v", got)
	}
	absent := id(t, "wasi:io/streams@0.2.1")
	if d.Interface(absent) != nil || d.World(absent) != nil || d.World(streams) != nil || d.Interface(root) != nil ||
		i.Func(wit.FuncName{Name: "read"}) != nil || i.Type("counter") != nil || w.Type("mode") != nil {
		t.Error("something was found that is not there")
	}
	var names []string
	for _, e := range append(w.Imports, w.Exports...) {
		names = append(names, e.ExternName())
	}
	want := []string{"wasi:io/streams@0.2.0", "[method]counter.add", "now", "log", "spare", "run", "cart"}
	if !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

func TestWhatWITCannotSayIsPrintedForPeople(t *testing.T) {
	file := &wit.Resource{Name: "file"}
	self := wit.Param{Name: "self", Type: &wit.Type{Kind: wit.Borrow, Resource: file}}
	unnamed := tuple(
		&wit.Type{Kind: wit.Record, Fields: []wit.Field{{Name: "type", Type: aU8}}},
		&wit.Type{Kind: wit.Variant, Fields: []wit.Field{{Name: "a", Type: aU8}, {Name: "b"}}},
		&wit.Type{Kind: wit.Enum, Fields: []wit.Field{{Name: "a"}, {Name: "b"}}},
	)
	d := &wit.Document{Packages: []*wit.Package{{
		Name: wit.PackageName{Namespace: "root", Name: "component"},
		Worlds: []*wit.World{{
			ID:      id(t, "root:component/root"),
			Exports: []*wit.Extern{{Func: function("[method]file.read", unnamed, self)}},
		}},
	}}}
	const want = `package root:component;

world root {
  export %[method]file.read: func(self: borrow<file>) -> tuple<record { %type: u8 }, variant { a(u8), b }, enum { a, b }>;
}
`
	if got := d.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
