package binary

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// lebOf is an unsigned LEB128 number.
func lebOf(n int) []byte {
	var b []byte
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// claim is n items of which each has these bytes.
func claim(n int, item string) []byte { return append(lebOf(n), bytes.Repeat([]byte(item), n)...) }

// sections is a component of sections that are numbers and contents by turns.
func sections(parts ...any) []byte {
	b := []byte("\x00asm\x0d\x00\x01\x00")
	for i := 0; i < len(parts); i += 2 {
		content, ok := parts[i+1].([]byte)
		if !ok {
			content = []byte(parts[i+1].(string))
		}
		b = append(append(append(b, byte(parts[i].(int))), lebOf(len(content))...), content...)
	}
	return b
}

// wantLimit checks that source is refused because of a limit.
func wantLimit(t *testing.T, name string, source []byte, rule string) {
	t.Helper()
	_, err := Decode(source)
	var e *Error
	if !errors.As(err, &e) || e.Feature != nil || !strings.Contains(e.Rule, rule) {
		t.Errorf("%s: got %v, want %q", name, err, rule)
	}
}

func mustFit(t *testing.T, name string, source []byte) {
	t.Helper()
	if _, err := Decode(source); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// TestCountsAreBounded claims one more of everything than there may be in one
// place.
func TestCountsAreBounded(t *testing.T) {
	over := func(n int) string { return string(lebOf(n + 1)) }
	for name, c := range map[string]struct {
		section int
		content string
		limit   int
	}{
		"types":          {sectionType, over(maxTypes), maxTypes},
		"core types":     {sectionCoreType, over(maxTypes), maxTypes},
		"imports":        {sectionImport, over(maxExterns), maxExterns},
		"exports":        {sectionExport, over(maxExterns), maxExterns},
		"aliases":        {sectionAlias, over(maxItems), maxItems},
		"canons":         {sectionCanon, over(maxFuncs), maxFuncs},
		"instances":      {sectionInstance, over(maxInstances), maxInstances},
		"core instances": {sectionCoreInstance, over(maxInstances), maxInstances},
		"arguments":      {sectionInstance, "\x01\x00\x00" + over(maxArgs), maxArgs},
		"core arguments": {sectionCoreInstance, "\x01\x00\x00" + over(maxArgs), maxArgs},
		"bundle":         {sectionInstance, "\x01\x01" + over(maxArgs), maxArgs},
		"core bundle":    {sectionCoreInstance, "\x01\x01" + over(maxArgs), maxArgs},
		"options":        {sectionCanon, "\x01\x00\x00\x00" + over(maxOptions), maxOptions},
		"declarations":   {sectionType, "\x01\x42" + over(maxDecls), maxDecls},
		"module decls":   {sectionCoreType, "\x01\x50" + over(maxCoreDecls), maxCoreDecls},
		"fields":         {sectionType, "\x01\x72" + over(maxFields), maxFields},
		"cases":          {sectionType, "\x01\x71" + over(maxFields), maxFields},
		"labels":         {sectionType, "\x01\x6d" + over(maxFields), maxFields},
		"parameters":     {sectionType, "\x01\x40" + over(maxParams), maxParams},
		"core params":    {sectionCoreType, "\x01\x60" + over(maxParams), maxParams},
		"name":           {sectionImport, "\x01\x00" + over(maxNameBytes), maxNameBytes},
		"name options":   {sectionImport, "\x01\x02\x01a" + over(maxOptions), maxOptions},
		"memory":         {sectionCoreType, "\x01\x50\x01\x00\x00\x00\x02\x00" + over(maxPages), maxPages},
		"table":          {sectionCoreType, "\x01\x50\x01\x00\x00\x00\x01\x70\x00" + over(maxTableItems), maxTableItems},
	} {
		// What is claimed is not there, but for a little, so a count that is within
		// the limit is another error.
		wantLimit(t, name, sections(c.section, c.content+strings.Repeat("\x00", 32)), fmt.Sprint(c.limit))
	}
	wantLimit(t, "bytes", make([]byte, maxBytes+1), fmt.Sprintf("limit of %d", maxBytes))
}

func TestFlagsAreBounded(t *testing.T) {
	labels := func(n int) []byte {
		b := append([]byte{1, codeFlags}, lebOf(n)...)
		for i := range n {
			b = append(b, fmt.Sprintf("\x03a%02d", i)...)
		}
		return sections(sectionType, b)
	}
	mustFit(t, "flags", labels(maxFlags))
	wantLimit(t, "flags", labels(maxFlags+1), "cannot have more than 32 flags")
}

// TestIndexSpacesAreBounded fills each index space by several sections.
func TestIndexSpacesAreBounded(t *testing.T) {
	const half = 600_000
	modules := func(n int) []byte {
		b := sections()
		for range n {
			b = append(b, "\x01\x08\x00asm\x01\x00\x00\x00"...)
		}
		return b
	}
	components := func(n int) []byte {
		b := sections()
		for range n {
			b = append(b, "\x04\x08\x00asm\x0d\x00\x01\x00"...)
		}
		return b
	}
	mustFit(t, "modules", modules(maxModules))
	wantLimit(t, "modules", modules(maxModules+1), "1001 modules")
	mustFit(t, "components", components(maxComponents))
	wantLimit(t, "components", components(maxComponents+1), "1001 components")
	bundles := claim(maxInstances/2, "\x01\x00")
	mustFit(t, "instances", sections(sectionInstance, bundles, sectionCoreInstance, bundles))
	wantLimit(t, "instances", sections(sectionInstance, bundles, sectionCoreInstance, bundles, sectionInstance, "\x01\x01\x00"), "1001 instances")
	wantLimit(t, "types", sections(sectionType, claim(half, "\x7f"), sectionCoreType, claim(half, "\x60\x00\x00")), "1000001 types")
	drops := claim(half, "\x03\x00")
	resource := "\x01\x3f\x7f\x00"
	wantLimit(t, "functions", sections(sectionType, resource, sectionCanon, drops, sectionCanon, drops), "1000001 function items")
	memory := "\x00asm\x01\x00\x00\x00\x05\x03\x01\x00\x01\x07\x05\x01\x01m\x02\x00"
	aliases := claim(half, "\x00\x02\x01\x00\x01m")
	wantLimit(t, "memories", sections(sectionCoreModule, memory, sectionCoreInstance, "\x01\x00\x00\x00", sectionAlias, aliases, sectionAlias, aliases), "1000001 memory items")
}

func TestNestingIsBounded(t *testing.T) {
	deep := func(n int) []byte {
		b := sections()
		for range n - 1 {
			b = sections(sectionComponent, b)
		}
		return b
	}
	mustFit(t, "components", deep(maxNesting))
	wantLimit(t, "components", deep(maxNesting+1), "nesting is too deep")

	inTypes := func(n int) []byte {
		b := []byte{codeInstanceType, 0}
		for range n - 1 {
			b = append([]byte{codeComponentType, 1, declType}, b...)
		}
		return sections(sectionType, append([]byte{1}, b...))
	}
	mustFit(t, "types", inTypes(maxNesting-1))
	wantLimit(t, "types", inTypes(maxNesting), "nesting is too deep")

	values := func(n int) []byte {
		b := lebOf(n)
		b = append(b, codeList, 0x7d)
		for i := range n - 1 {
			// An index is a signed number: above 63 it has two bytes.
			b = append(b, codeList, byte(i)|0x80, 0)
		}
		return sections(sectionType, b)
	}
	mustFit(t, "values", values(maxTypeDepth-1))
	wantLimit(t, "values", values(maxTypeDepth), "type nesting is too deep")

	// Instance types that refer to each other without lying in each other.
	chain := func(n int) []byte {
		b := append(lebOf(n), codeInstanceType, 0)
		for i := range n - 1 {
			b = append(b, codeInstanceType, 2, declAlias, 3, 2, 1)
			b = append(b, lebOf(i)...)
			b = append(b, declExport, 0, 1, 'a', 5, 0)
		}
		return sections(sectionType, b)
	}
	mustFit(t, "chain", chain(maxNesting))
	wantLimit(t, "chain", chain(maxNesting+1), "type nesting is too deep")
}

func TestTypeSizesAreBounded(t *testing.T) {
	// Each type has two of the one before it.
	doubled := func(n int) []byte {
		b := append(lebOf(n), codeTuple, 1, 0x7d)
		for i := range n - 1 {
			b = append(b, codeTuple, 2, byte(i), byte(i))
		}
		return sections(sectionType, b)
	}
	mustFit(t, "value", doubled(18))
	wantLimit(t, "value", doubled(20), "effective type size exceeds the limit of 1000000")
	// A function of two that are within it.
	half := doubled(18)
	wantLimit(t, "function", append(half, sections(sectionType, "\x01\x40\x04\x01a\x11\x01b\x11\x01c\x11\x01d\x11\x01\x00")[8:]...), "effective type size")
	wantLimit(t, "imports", append(half, sections(sectionImport, "\x04\x00\x01a\x03\x00\x11\x00\x01b\x03\x00\x11\x00\x01c\x03\x00\x11\x00\x01d\x03\x00\x11")[8:]...), "effective type size")
}

// TestWorkIsBounded has many small instantiations replace a resource type in one
// large type.
func TestWorkIsBounded(t *testing.T) {
	const fields, times = 2000, 400
	record := append([]byte{1, codeRecord}, lebOf(fields)...)
	for i := range fields {
		record = append(record, fmt.Sprintf("\x05a%04d\x02", i)...)
	}
	inner := sections(
		sectionType, "\x01\x3f\x7f\x00", sectionExport, "\x01\x00\x01r\x03\x00\x00",
		sectionType, "\x01\x69\x01", sectionType, record, sectionExport, "\x01\x00\x01t\x03\x03\x00",
	)
	instances := claim(times, "\x00\x00\x00")
	mustFit(t, "few", sections(sectionComponent, inner, sectionInstance, claim(2, "\x00\x00\x00")))
	wantLimit(t, "many", sections(sectionComponent, inner, sectionInstance, instances), "type checking takes more than")
	// Exporting a large type often is as much work.
	exports := lebOf(times)
	for i := range times {
		exports = append(exports, fmt.Sprintf("\x00\x04t%03d\x03\x03\x00", i)...)
	}
	wantLimit(t, "exports", append(inner, sections(sectionExport, exports)[8:]...), "type checking takes more than")
}

func TestErrorsRepeatLittleOfLongNames(t *testing.T) {
	long := strings.Repeat("a", 50_000)
	name := string(lebOf(len(long)+1)) + long + "B"
	_, err := Decode(sections(sectionType, "\x01\x42\x00", sectionImport, "\x01\x00"+name+"\x05\x00"))
	if err == nil || len(err.Error()) > 1000 || !strings.Contains(err.Error(), "aaa…") {
		t.Errorf("got %v", err)
	}
}
