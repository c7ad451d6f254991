package wit_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/wit"
	"github.com/waterbear-run/waterbear/wit/wittest"
)

// valuesDoc is docs/VALUES.md: the declarations of types and the rows of its
// tables, by their heads.
type valuesDoc struct {
	types  string
	tables map[string][][]string
}

var code = regexp.MustCompile("`([^`]+)`")

func readValuesDoc(t *testing.T) valuesDoc {
	t.Helper()
	text, err := os.ReadFile("../docs/VALUES.md")
	if err != nil {
		t.Fatal(err)
	}
	d := valuesDoc{tables: map[string][][]string{}}
	_, rest, _ := strings.Cut(string(text), "```wit\n")
	d.types, _, _ = strings.Cut(rest, "```")
	head := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case !strings.HasPrefix(line, "|"):
			head = ""
		case head == "":
			head = line
		case !strings.HasPrefix(line, "|---"):
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			d.tables[head] = append(d.tables[head], cells)
		}
	}
	return d
}

// function is one with those parameters.
func (d valuesDoc) function(t *testing.T, params string) *wit.Func {
	t.Helper()
	parsed, err := parse("package a:b; interface i {" + d.types + " f: func(" + params + "); }")
	if err != nil {
		t.Fatalf("%s: %v", params, err)
	}
	return parsed.Packages[0].Interfaces[0].Func(wit.FuncName{Name: "f"}).Type
}

// codes are the texts in a cell.
func codes(cell string) (all []string) {
	for _, match := range code.FindAllStringSubmatch(cell, -1) {
		all = append(all, match[1])
	}
	return all
}

func TestTheDocumentOfValuesIsRight(t *testing.T) {
	d := readValuesDoc(t)
	rows := d.tables["| type | JSON | WAVE | JSON also | WAVE also |"]
	if len(rows) < 30 {
		t.Fatalf("the table has %d rows", len(rows))
	}
	kinds := map[wit.Kind]bool{}
	for _, row := range rows {
		of := d.function(t, "x: "+codes(row[0])[0]).Params[0].Type
		kinds[of.Kind] = true
		inJSON, inWAVE := codes(row[1])[0], codes(row[2])[0]
		v, err := wit.FromJSON(of, json.RawMessage(inJSON))
		if err != nil {
			t.Errorf("%s as %s: %v", inJSON, row[0], err)
			continue
		}
		if got, err := wit.AppendJSON(nil, of, v); err != nil || string(got) != inJSON {
			t.Errorf("%s: JSON is %s, %v, not %s", row[0], got, err, inJSON)
		}
		if got, err := wit.AppendWAVE(nil, of, v); err != nil || string(got) != inWAVE {
			t.Errorf("%s: WAVE is %s, %v, not %s", row[0], got, err, inWAVE)
		}
		for _, text := range codes(row[3]) {
			if got, err := wit.FromJSON(of, json.RawMessage(text)); err != nil || !wittest.Equal(got, v) {
				t.Errorf("%s: %s is read as %v, %v, not %v", row[0], text, got, err, v)
			}
		}
		for _, text := range append(codes(row[4]), inWAVE) {
			if got, err := wit.FromWAVE(of, text); err != nil || !wittest.Equal(got, v) {
				t.Errorf("%s: %s is read as %v, %v, not %v", row[0], text, got, err, v)
			}
		}
	}
	for _, kind := range []wit.Kind{
		wit.Bool, wit.U8, wit.S64, wit.U64, wit.F32, wit.F64, wit.Char, wit.String, wit.List, wit.Record,
		wit.Tuple, wit.Variant, wit.Enum, wit.Option, wit.Result, wit.Flags,
	} {
		if !kinds[kind] {
			t.Errorf("the table has no %s", kind)
		}
	}
	for head, read := range map[string]func(*wit.Func, string) ([]wit.Value, error){
		"| parameters | JSON | what is said |": func(f *wit.Func, args string) ([]wit.Value, error) {
			return wit.ArgsFromJSON(f, json.RawMessage(args))
		},
		"| parameters | WAVE | what is said |": wit.ArgsFromWAVE,
	} {
		if len(d.tables[head]) < 5 {
			t.Errorf("the table %s has %d rows", head, len(d.tables[head]))
		}
		for _, row := range d.tables[head] {
			got, err := read(d.function(t, codes(row[0])[0]), codes(row[1])[0])
			if err == nil || err.Error() != row[2] {
				t.Errorf("%s: got %v, %v, want %s", row[1], got, err, row[2])
			}
		}
	}
}
