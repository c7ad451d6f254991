package binary_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/component/binary"
)

// named imports an instance under a name.
func named(name string) []byte {
	return component(types(instanceType()), imports(imported(name, ofInstance(0))))
}

func TestNamesOfImports(t *testing.T) {
	hash := "integrity=<sha256-b2+/A== sha512-aaa?x>"
	for _, name := range []string{
		"a", "a-b-c", "a1-2-3", "A", "A-B-C", "A1-2-3", "a11-w0rds", "A11-4CR0NYMS", "m1x3d-4CR0NYMS",
		"a:b/c", "wasi:http/types", "a-b:c-d/e-F", "a:b/c@1.2.3", "a:b/c@0.0.0", "a:b/c@1.2.3-rc.1.0a+build.007",
		"a:b/c@18446744073709551615.0.0", "a:b/c@1.0.0--", "a:b/c@1.0.0-0a.00b",
		"unlocked-dep=<a:b>", "unlocked-dep=<a:b/c>", "unlocked-dep=<a:b@*>", "unlocked-dep=<a:b@{>=1.2.3}>",
		"unlocked-dep=<a:b@{<1.2.3}>", "unlocked-dep=<a:b@{>=1.2.3 <2.0.0}>",
		"locked-dep=<a:b>", "locked-dep=<a:b@1.2.3>", "locked-dep=<a:b@1.2.3>," + hash,
		"url=<>", "url=<https://a.b/c?d>", "url=<a>," + hash, hash,
	} {
		mustDecode(t, name, named(name))
	}
	for name, rule := range map[string]string{
		"":                                    "`` is not in kebab case",
		"1-2-3":                               "`1-2-3` is not in kebab case",
		"a-":                                  "`a-` is not in kebab case",
		"a--b":                                "`a--b` is not in kebab case",
		"aB":                                  "`aB` is not in kebab case",
		"a_b":                                 "`a_b` is not in kebab case",
		"é":                                   "`é` is not in kebab case",
		"[method]a":                           "failed to find `.` character",
		"[method]a.B-c1D":                     "`B-c1D` is not in kebab case",
		"[static].a":                          "`` is not in kebab case",
		"[constructor]a.b":                    "`a.b` is not in kebab case",
		"a:b":                                 "expected `/` after package name",
		":b/c":                                "`` is not in kebab case",
		"a:b/":                                "`` is not in kebab case",
		"A:b/c":                               "character `A` is not lowercase in package name/namespace",
		"a:bB/c":                              "`bB` is not in kebab case",
		"a:b-B/c":                             "character `B` is not lowercase",
		"a:b/c@":                              "empty string",
		"a:b/c@1":                             "unexpected end of input while parsing minor version number",
		"a:b/c@1.2":                           "unexpected end of input while parsing patch version number",
		"a:b/c@1.2.x":                         "unexpected character 'x' while parsing patch version number",
		"a:b/c@1.2x.3":                        "unexpected character 'x' after minor version number",
		"a:b/c@1.2.3.4":                       "unexpected character '.' after patch version number",
		"a:b/c@01.2.3":                        "invalid leading zero",
		"a:b/c@99999999999999999999.0.0":      "invalid leading zero or value of major version number",
		"a:b/c@1.2.3-01":                      "invalid leading zero",
		"a:b/c@1.2.3-":                        "empty identifier segment",
		"a:b/c@1.2.3+a..b":                    "empty identifier segment",
		"a:b/c@1.2.3-a_b":                     "unexpected character '_'",
		"unlocked-dep=":                       "expected `<`",
		"unlocked-dep=<a:b":                   "expected `>`",
		"unlocked-dep=<a:b@{=1}>":             "expected `>=` or `<` at start of version range",
		"unlocked-dep=<a:b@{>=1.0.0 >2.0.0}>": "expected `<` at start of version range upper bounds",
		"unlocked-dep=<a:b@1.0.0>":            "expected `{`",
		"unlocked-dep=<a:b@{>=1.0.0}x>":       "trailing characters found: `x`",
		"unlocked-dep=<a:b@{>=1.0.0>":         "failed to find `}`",
		"locked-dep=<a>":                      "expected `:`",
		"locked-dep=<a:b>,x":                  "expected `integrity=<`",
		"locked-dep=<a:b>x":                   "trailing characters found: `x`",
		"url=<a<b>":                           "url cannot contain `<`",
		"url=<a":                              "failed to find `>`",
		"integrity=<>":                        "integrity hash cannot be empty",
		"integrity=<md5-abc>":                 "unrecognized hash algorithm",
		"integrity=<sha256>":                  "expected `-` after hash algorithm",
		"integrity=<sha256-=>":                "not valid base64",
		"integrity=<sha256-a===>":             "not valid base64",
		"integrity=<sha256-a_b>":              "not valid base64",
		"other=<a>":                           "is not in kebab case",
	} {
		_, err := binary.Decode(named(name))
		if err == nil || !strings.Contains(err.Error(), rule) || !strings.Contains(err.Error(), "is not a valid extern name") {
			t.Errorf("%q: got %v, want %q", name, err, rule)
		}
	}
}

func TestNamesAreStronglyUnique(t *testing.T) {
	two := func(a, b string) []byte {
		return component(types(instanceType()), imports(imported(a, ofInstance(0)), imported(b, ofInstance(0))))
	}
	mustDecode(t, "kinds", component(
		imports(imported("foo", sub)),
		types(own(0), fn(noParams, 1), borrow(0), fn([][]byte{param("self", 3)}), instanceType()),
		imports(imported("[constructor]foo", ofFunc(2)), imported("[method]foo.bar", ofFunc(4)), imported("[static]foo.baz", ofFunc(4)),
			imported("foo-bar", ofFunc(4)), imported("foo:bar/baz", ofInstance(5)))))
	mustDecode(t, "versions", two("a:b/c@1.0.0-a", "a:b/c@1.0.0-A"))
	for _, pair := range [][2]string{{"foo", "foo"}, {"foo", "FOO"}, {"foo-BAR", "FOO-bar"}, {"foo:bar/baz", "foo:bar/BAZ"}, {"url=<a>", "url=<a>"}} {
		checkRules(t, map[string]broken{pair[1]: {two(pair[0], pair[1]), "conflicts with previous name `" + pair[0] + "`"}})
	}
	// An import and an export may have the same name.
	mustDecode(t, "both", component(types(instanceType()), imports(imported("a", ofInstance(0))), exports(exported("a", sInstance, 0))))
}

func TestAttributesOfNames(t *testing.T) {
	attributed := func(name string, item []byte, attributes ...[]byte) []byte {
		return component(types(instanceType(), noFn), imports(cat(2, name, vec(attributes...), item)))
	}
	c := mustDecode(t, "both", attributed("a", ofInstance(0), cat(0, "a:b/c@1.0.0"), cat(2, "☃︎")))
	if got := c.Imports[0].Implements; got != "a:b/c@1.0.0" {
		t.Errorf("it implements %q", got)
	}
	mustDecode(t, "id of a function", attributed("a", ofFunc(1), cat(2, "")))
	checkRules(t, map[string]broken{
		"function":     {attributed("a", ofFunc(1), cat(0, "a:b/c")), "only instances can have an `implements`"},
		"interface":    {attributed("d:e/f", ofInstance(0), cat(0, "a:b/c")), "name `d:e/f` is not valid with `implements`"},
		"no interface": {attributed("a", ofInstance(0), cat(0, "b")), "name `b` must be an interface"},
		"no name":      {attributed("a", ofInstance(0), cat(0, "")), "`` is not a valid name"},
	})
	checkRules(t, map[string]broken{
		"dependency": {component(instances(bundle()), exports(exported("url=<a>", sInstance, 0))), "name `url=<a>` is not a valid export name"},
	})
}

// TestLaterFeaturesAreRefusedByName checks that what came after WASI 0.2, or what
// the engine lacks, is told from what is wrong.
func TestLaterFeaturesAreRefusedByName(t *testing.T) {
	for name, c := range map[string]struct {
		source  []byte
		feature string
	}{
		"old version":      {[]byte("\x00asm\x0c\x00\x01\x00"), "the binary format of a preview before WASI 0.2"},
		"oldest version":   {[]byte("\x00asm\x0a\x00\x01\x00"), "the binary format of a preview before WASI 0.2"},
		"async function":   {component(types(cat(0x43, 0, 1, 0))), "asynchronous functions"},
		"stream":           {component(types(cat(0x66, 0))), "asynchronous functions, streams or futures"},
		"future":           {component(types(cat(0x65, 0))), "asynchronous functions, streams or futures"},
		"async option":     {component(canons(lift(0, [][]byte{{6}}, 0))), "asynchronous functions"},
		"callback":         {component(canons(lift(0, [][]byte{cat(7, 0)}, 0))), "asynchronous functions"},
		"waitable set":     {component(canons([]byte{0x1f})), "asynchronous functions"},
		"task return":      {component(canons(cat(9, 1, 0, 0))), "asynchronous functions"},
		"thread":           {component(canons([]byte{0x26})), "threads of the component model"},
		"shared thread":    {component(canons(cat(0x40, 0, 0))), "threads of the component model"},
		"error context":    {component(types(cat(0x70, 0x64))), "error contexts"},
		"its type":         {component(types([]byte{0x64})), "error contexts"},
		"its functions":    {component(canons([]byte{0x1e})), "error contexts"},
		"fixed list":       {component(types(cat(0x67, tU8, 3))), "lists of a fixed length"},
		"map":              {component(types(cat(0x63, tString, tU8))), "maps"},
		"value":            {component(section(12, cat(0))), "values and start functions"},
		"start":            {component(section(9, cat(0, 0, 0))), "values and start functions"},
		"value import":     {component(imports(cat(0, "a", 2, 1, tU8))), "values and start functions"},
		"core type":        {component(canons(lift(0, [][]byte{cat(8, 0)}, 0))), "the canonical ABI of garbage collection"},
		"gc":               {component(canons(lift(0, [][]byte{{9}}, 0))), "the canonical ABI of garbage collection"},
		"version suffix":   {component(types(instanceType()), imports(cat(2, "a:b/c@1", 1, 1, ".0.0", ofInstance(0)))), "canonical interface names"},
		"nested names":     {named("a:b:c/d"), "nested namespaces in names"},
		"nested packages":  {named("a:b/c/d"), "nested namespaces in names"},
		"i64 resource":     {component(types(cat(0x3f, tI64, 0))), "64-bit memories"},
		"struct":           {component(coreTypes(cat(0x5f, 0))), "garbage collection"},
		"sub type":         {component(coreTypes(cat(0, 0x50, 1, 0, 0x60, 0, 0))), "garbage collection"},
		"typed reference":  {component(coreTypes(coreFn([]int{0x64, 0x70}, nil))), "garbage collection or typed function references"},
		"anyref":           {component(coreTypes(coreFn([]int{0x6e}, nil))), "garbage collection"},
		"continuation":     {component(coreTypes(cat(0x5d, 0))), "stack switching"},
		"contref":          {component(coreTypes(coreFn([]int{0x68}, nil))), "stack switching"},
		"shared memory":    {component(module(section(5, vec(cat(3, 1, 1))))), "shared memory"},
		"shared global":    {component(module(section(2, vec(cat("", "", 3, tI32, 2))))), "shared memory"},
		"64-bit memory":    {component(module(section(5, vec(cat(4, 1))))), "64-bit memories"},
		"page size":        {component(module(section(5, vec(cat(8, 1, 0))))), "custom page sizes"},
		"table of values":  {component(module(section(4, vec(cat(0x40, 0, 0x70, 0, 1, []byte{0xd0, 0x70, 0x0b}))))), "garbage collection or typed function references"},
		"core type import": {component(module(section(2, vec(cat("", "", 0x10, 0))))), "imports of core types"},
		"constant":         {component(module(section(6, vec([]byte{0x70, 0, 0xfb, 0x1c, 0x0b})))), "garbage collection"},
	} {
		_, err := binary.Decode(c.source)
		var e *binary.Error
		if !errors.As(err, &e) || e.Feature == nil || !strings.Contains(err.Error(), c.feature) {
			t.Errorf("%s: got %v, want the feature %q", name, err, c.feature)
			continue
		}
		if e.Feature.Advice == "" || !strings.HasSuffix(err.Error(), e.Feature.Advice) {
			t.Errorf("%s: %v gives no advice", name, err)
		}
	}
}
