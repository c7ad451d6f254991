package catalog_test

import (
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

func TestDeployingMakesRevisionsThatOutliveTheProcess(t *testing.T) {
	w := newWorld(t, 1)
	kit := guests.Wasm(t, "kit")
	var first, second api.Deployed
	w.process(func(c *catalog.Catalog) {
		first = w.deploy(c, "shop", kit)
		second = w.deploy(c, "shop", variant(1))
	})
	sum := sha256.Sum256(kit)
	if r := first.Revision; !first.New || r.Component != "shop" || r.Number != 1 || r.Hash != hex.EncodeToString(sum[:]) ||
		r.Size != int64(len(kit)) || r.Created.IsZero() || r.Kind != api.Library {
		t.Errorf("the first revision is %+v", r)
	}
	if !second.New || second.Number != 2 {
		t.Errorf("the second is %+v", second)
	}
	w.process(func(c *catalog.Catalog) {
		all, err := c.Revisions(ctx, "shop")
		if want := []api.Revision{second.Revision, first.Revision}; err != nil || !reflect.DeepEqual(all, want) {
			t.Errorf("got %+v, %v, want %+v", all, err, want)
		}
		for number, want := range map[uint64]api.Revision{0: second.Revision, 1: first.Revision, 2: second.Revision} {
			if r, err := c.Revision(ctx, "shop", number); err != nil || !reflect.DeepEqual(r, want) {
				t.Errorf("revision %d: got %+v, %v", number, r, err)
			}
		}
		k, err := c.Component(ctx, "shop")
		if err != nil || k.Name != "shop" || !k.Created.Equal(first.Created) || !reflect.DeepEqual(k.Latest, second.Revision) {
			t.Errorf("the component is %+v, %v", k, err)
		}
		if latest, ok := c.Latest("shop"); !ok || !reflect.DeepEqual(latest, second.Revision) {
			t.Errorf("the latest is %+v, %t", latest, ok)
		}
	})
}

func TestTheNewestBytesAgainAreNoNewRevision(t *testing.T) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) {
		w.deploy(c, "shop", variant(1))
		if d := w.deploy(c, "shop", variant(1)); d.New || d.Number != 1 {
			t.Errorf("the same bytes are %+v", d)
		}
		w.deploy(c, "shop", variant(2))
		if d := w.deploy(c, "shop", variant(1)); !d.New || d.Number != 3 {
			t.Errorf("going back is %+v, want revision 3", d)
		}
	})
	w.process(func(c *catalog.Catalog) {
		if d := w.deploy(c, "shop", variant(1)); d.New || d.Number != 3 {
			t.Errorf("the same bytes after a restart are %+v", d)
		}
	})
}

func TestAModuleIsDescribedByWhatCanBeInvoked(t *testing.T) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) {
		d := w.deploy(c, "lib", library(
			function{"_initialize", "", ""}, function{"add", i32 + f32, i64 + f64}, function{"cabi_realloc", i32, i32},
			function{"__wasm_call_ctors", "", ""}, function{"vector", v128, ""}, function{"memory", "", externref},
		))
		want := []api.Function{
			{Name: "add", Params: []string{"i32", "f32"}, Results: []string{"i64", "f64"}},
			{Name: "vector", Params: []string{"v128"}, Results: []string{}},
			{Name: "memory", Params: []string{}, Results: []string{"externref"}},
		}
		if d.Kind != api.Library || !reflect.DeepEqual(d.Exports, want) || d.Imports == nil || len(d.Imports) > 0 {
			t.Errorf("got %+v, want exports %+v", d, want)
		}
		d = w.deploy(c, "prog", guests.Wasm(t, "primes"))
		want = []api.Function{{Name: "run", Params: []string{"string..."}, Results: []string{"i32"}}}
		if d.Kind != api.Command || !reflect.DeepEqual(d.Exports, want) || !slices.Contains(d.Imports, "wasi_snapshot_preview1.fd_write") {
			t.Errorf("got %+v", d)
		}
	})
}

func TestAProgramThatCannotRunIsRefusedWithTheReason(t *testing.T) {
	w := newWorld(t, 1)
	component := []byte("\x00asm\x0d\x00\x01\x00")
	var many []function
	for i := range catalog.MaxDescription / 1000 {
		many = append(many, function{strings.Repeat("x", 1000) + string(rune('a'+i%26)) + string(rune('a'+i/26)), "", ""})
	}
	w.process(func(c *catalog.Catalog) {
		for _, m := range []struct {
			what   string
			module []byte
			want   string
		}{
			{"no module", []byte("hello"), "malformed module"},
			{"a component without exports", component, "it exports neither wasi:cli/run"},
			{"an unknown module", guests.Wasm(t, "odd/unknown-import"), "it needs functions that are not offered: env.frobnicate"},
			{"an unknown function", guests.Wasm(t, "odd/unknown-wasi"), "not offered: wasi_snapshot_preview1.fd_frobnicate"},
			{"a function of another type", guests.Wasm(t, "odd/wrong-import"), "wasi_snapshot_preview1.fd_write as (i64) -> (i64), which is (i32 i32 i32 i32) -> (i32) here"},
			{"an imported memory", guests.Wasm(t, "odd/imported-memory"), "it imports a memory"},
			{"a start with an argument", guests.Wasm(t, "odd/start-takes-argument"), `its "_start" takes or returns values`},
			{"an initialization with a result", library(function{"_initialize", "", i32}, function{"f", "", ""}), `its "_initialize" takes or returns values`},
			{"nothing", library(), "it exports no function that could be invoked"},
			{"nothing that can be invoked", library(function{"f", v128, ""}, function{"_initialize", "", ""}), "it exports no function that could be invoked"},
			{"too much to describe", library(many...), "bytes, more than 524288: export only what is invoked"},
		} {
			d, err := c.Deploy(ctx, "shop", m.module, nil)
			if codeOf(err) != api.CodeBadProgram || !strings.Contains(err.Error(), m.want) || !strings.HasPrefix(err.Error(), "deploy shop: ") {
				t.Errorf("%s: got %+v, %v, want %q", m.what, d, err, m.want)
			}
		}
	})
	if cells, blobs := w.cells(), w.blobs(); len(cells)+len(blobs) > 0 {
		t.Errorf("the store has %v and %v", cells, blobs)
	}
}

func TestNamesThatCannotBeAComponentAreRefused(t *testing.T) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) {
		for _, name := range []string{"", "run", "waterbear", "a/b", "-x", strings.Repeat("a", id.MaxName+1)} {
			if _, err := c.Deploy(ctx, name, variant(1), nil); codeOf(err) != api.CodeInvalid {
				t.Errorf("%q: got %v", name, err)
			}
		}
		w.deploy(c, strings.Repeat("a", id.MaxName), variant(1))
	})
}

func TestDeployingTellsHowFarItIs(t *testing.T) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) {
		var last api.Progress
		if _, err := c.Deploy(ctx, "shop", variant(99), func(p api.Progress) { last = p }); err != nil {
			t.Error(err)
		}
		if (last != api.Progress{Stage: "compiling", Done: 1}) {
			t.Errorf("the last progress is %+v", last)
		}
	})
}

func TestWhatIsNotThereIsSaidSo(t *testing.T) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) {
		w.deploy(c, "shop", variant(1))
		errs := map[string]error{}
		_, errs["component"] = c.Component(ctx, "none")
		_, errs["revisions"] = c.Revisions(ctx, "none")
		_, errs["revision"] = c.Revision(ctx, "none", 1)
		_, errs["configure"] = c.Configure(ctx, "none", api.Settings{})
		errs["delete"] = c.Delete(ctx, "none")
		_, errs["acquire"] = c.Acquire(ctx, "none", 0)
		for what, err := range errs {
			if codeOf(err) != api.CodeNoComponent {
				t.Errorf("%s: got %v", what, err)
			}
		}
		_, err := c.Revision(ctx, "shop", 2)
		_, acquireErr := c.Acquire(ctx, "shop", 2)
		if codeOf(err) != api.CodeNoRevision || codeOf(acquireErr) != api.CodeNoRevision {
			t.Errorf("a revision too far: got %v and %v", err, acquireErr)
		}
		if _, ok := c.Latest("none"); ok {
			t.Error("what is not there has a latest revision")
		}
	})
}

func TestSettingsHoldUntilTheyAreSetAgain(t *testing.T) {
	w := newWorld(t, 1)
	want := api.Settings{Limits: api.Limits{Memory: 1 << 20, CPUTime: 5e9}, Retry: api.Retry{Attempts: 3, Factor: 1.5}}
	w.process(func(c *catalog.Catalog) {
		w.deploy(c, "shop", variant(1))
		p, err := c.Acquire(ctx, "shop", 0)
		if err != nil {
			t.Error(err)
			return
		}
		k, err := c.Configure(ctx, "shop", want)
		if err != nil || !reflect.DeepEqual(k.Settings, want) || k.Latest.Number != 1 {
			t.Errorf("got %+v, %v", k, err)
		}
		if err := p.Release(); err != nil {
			t.Error(err)
		}
		w.deploy(c, "shop", variant(2))
	})
	w.process(func(c *catalog.Catalog) {
		if got := *c.Settings("shop"); !reflect.DeepEqual(got, want) {
			t.Errorf("after a restart: got %+v, want %+v", got, want)
		}
		if _, err := c.Configure(ctx, "shop", api.Settings{Limits: api.Limits{Memory: 1}}); codeOf(err) != api.CodeInvalid {
			t.Errorf("got %v", err)
		}
		if got := *c.Settings("shop"); !reflect.DeepEqual(got, want) {
			t.Errorf("after a refusal: got %+v, want %+v", got, want)
		}
	})
}

func TestADeletedComponentIsGoneWithAllItsCells(t *testing.T) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) {
		w.deploy(c, "shop", variant(1))
		w.deploy(c, "shop", variant(2))
		w.deploy(c, "shop-2", variant(3))
		if err := c.Delete(ctx, "shop"); err != nil {
			t.Error(err)
		}
		if _, err := c.Component(ctx, "shop"); codeOf(err) != api.CodeNoComponent {
			t.Errorf("got %v", err)
		}
	})
	if got, want := w.cells(), []string{"component/shop-2", "revision/shop-2/0000000001"}; !slices.Equal(got, want) {
		t.Errorf("the store has %v, want %v", got, want)
	}
	w.process(func(c *catalog.Catalog) {
		if all, err := c.Components(ctx); err != nil || len(all) != 1 || all[0].Name != "shop-2" {
			t.Errorf("got %+v, %v", all, err)
		}
		if d := w.deploy(c, "shop", variant(1)); !d.New || d.Number != 1 {
			t.Errorf("deployed again it is %+v", d)
		}
	})
}

func TestModulesOfAllRevisionsAreInUseAndNoOthers(t *testing.T) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) {
		w.deploy(c, "gone", variant(0))
		w.deploy(c, "shop", variant(1))
		w.deploy(c, "shop", variant(2))
		used := map[storage.Hash]bool{sha256.Sum256(variant(1)): true, sha256.Sum256(variant(2)): true, sha256.Sum256(variant(3)): true}
		if _, err := c.Hashes(ctx); err != nil {
			t.Error(err)
		}
		if err := c.Delete(ctx, "gone"); err != nil {
			t.Error(err)
		}
		w.deploy(c, "gone", variant(3))
		got, err := c.Hashes(ctx)
		if err != nil || !reflect.DeepEqual(got, used) {
			t.Errorf("got %v, %v, want %v", got, err, used)
		}
	})
}
