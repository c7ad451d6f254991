package binary_test

import (
	"strings"
	"testing"
)

func TestAComponentIsDescribedInWIT(t *testing.T) {
	handle := func(resource int) []byte { return declType(borrow(resource)) }
	blobs := instanceType(
		declExport("blob", sub), declType(record(field("name", tString), field("size", tU64))), declExport("meta", eq(1)),
		declType(own(0)), declType(fn([][]byte{param("meta", 2)}, 3)), declExport("[constructor]blob", ofFunc(4)),
		handle(0), declType(fn([][]byte{param("self", 5)}, 2)), declExport("[method]blob.meta", ofFunc(6)),
		declExport("stat", eq(2)),
	)
	// It uses both types of the other interface, one under another name.
	store := instanceType(
		declAlias(outer(sType, 1, 1)), declExport("blob", eq(0)), declAlias(outer(sType, 1, 2)), declExport("about", eq(2)),
		handle(1), declType(cat(0x6a, 1, 3, 1, tString)), declType(fn([][]byte{param("b", 4)}, 5)), declExport("put", ofFunc(6)),
	)
	c := mustDecode(t, "described", component(
		types(blobs), imports(imported("a:b/blobs@1.0.0", ofInstance(0))),
		aliases(exportOf(sType, 0, "blob"), exportOf(sType, 0, "meta")),
		types(store), imports(imported("a:c/store", ofInstance(3)), cat(2, "other", vec(cat(0, "a:c/store")), ofInstance(3))),
		imports(imported("meta", eq(2))), types(instanceType(declType(enum(cat("on"), cat("off"))), declExport("switch", eq(0)))),
		imports(imported("own-words", ofInstance(5))), types(fn([][]byte{param("m", 4)}), resource), imports(imported("log", ofFunc(6))),
		exports(exported("a:c/store", sInstance, 1), exported("again", sFunc, 0), exported("thing", sType, 7)),
	))
	d, err := c.WIT()
	if err != nil {
		t.Fatal(err)
	}
	want := `package root:component;

world root {
  import a:b/blobs@1.0.0;
  import a:c/store;
  import other: a:c/store;
  import own-words: interface {
    enum switch {
      on,
      off,
    }
  }
  use a:b/blobs@1.0.0.{meta};

  resource thing;

  import log: func(m: meta);

  export a:c/store;
  export again: func(m: meta);
}

package a:b@1.0.0 {
  interface blobs {
    resource blob {
      constructor(meta: meta);
      meta: func() -> meta;
    }

    record meta {
      name: string,
      size: u64,
    }

    type stat = meta;
  }
}

package a:c {
  interface store {
    use a:b/blobs@1.0.0.{blob, meta as about};

    put: func(b: borrow<blob>) -> result<about, string>;
  }
}
`
	if got := d.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWITHasNoWordsForAllComponents(t *testing.T) {
	for name, c := range map[string]struct {
		source []byte
		rule   string
	}{
		"component": {component(nested(), exports(exported("a", sComponent, 0))), "export a: its sort is component, which WIT has no word for"},
		"module":    {component(module(), exports(cat(0, "a", 0, 0x11, 0, 0))), "export a: its sort is module, which WIT has no word for"},
		"instance":  {component(instances(bundle(), bundle(cat(0, "a", sInstance, 0))), exports(exported("b", sInstance, 1))), "export b: it exports a, whose sort is instance, which an interface cannot"},
		"name":      {named("url=<a>"), "it is named by where it comes from"},
		"long name": {named(strings.Repeat("a", 300) + ":b/c"), "import aaa"},
	} {
		d, err := mustDecode(t, name, c.source).WIT()
		if err == nil || !strings.Contains(err.Error(), c.rule) {
			t.Errorf("%s: got %v, %v, want %q", name, d, err, c.rule)
		}
	}
}
