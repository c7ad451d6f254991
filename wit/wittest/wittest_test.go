package wittest_test

import (
	"testing"

	"github.com/waterbear-run/waterbear/wit"
	"github.com/waterbear-run/waterbear/wit/wittest"
)

func TestWhatIsMadeUpIsOfItsType(t *testing.T) {
	const examples = 50
	for kind := wit.Bool; kind <= wit.Flags; kind++ {
		for seed := range examples {
			of := wittest.TypesOf(kind).Example(seed)
			if of.Kind != kind {
				t.Fatalf("%s has the kind %s, not %s", of, of.Kind, kind)
			}
			v := wittest.Values(of).Example(seed)
			if err := wit.Check(of, v); err != nil {
				t.Errorf("%v as %s: %v", v, of, err)
			}
			if !wittest.Equal(v, v) {
				t.Errorf("%v is not equal to itself", v)
			}
		}
	}
}

func TestEqualTellsValuesApart(t *testing.T) {
	all := []wit.Value{
		true, int8(1), uint8(1), float32(0), float64(0), "a", wit.Rune('a'), nil,
		[]byte{1},
		[]byte{1, 2},
		[]wit.Value{uint8(1)},
		[]wit.Value{uint8(2)},
		[]wit.Value{},
		wit.Case{},
		wit.Case{Index: 1},
		wit.Case{Payload: uint8(1)},
		wit.Case{Payload: uint8(2)},
	}
	for i, a := range all {
		for j, b := range all {
			if got := wittest.Equal(a, b); got != (i == j) {
				t.Errorf("%v and %v: got %t", a, b, got)
			}
		}
	}
}
