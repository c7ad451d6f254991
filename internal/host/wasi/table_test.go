package wasi

import (
	"testing"

	"pgregory.net/rapid"
)

func TestTableGivesTheLowestFreeNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table Table[string]
		model := map[uint32]string{}
		for range rapid.IntRange(0, 300).Draw(t, "steps") {
			n := rapid.Uint32Range(0, 150).Draw(t, "number")
			v := rapid.String().Draw(t, "value")
			switch _, taken := model[n]; {
			case taken:
				table.Remove(n)
				delete(model, n)
			case n%5 == 0:
				table.Put(n, v)
				model[n] = v
			default:
				want := uint32(0)
				for model[want] != "" || hasKey(model, want) {
					want++
				}
				if got := table.Add(v); got != want {
					t.Fatalf("got number %d, want %d", got, want)
				}
				model[want] = v
			}
		}
		if table.Len() != len(model) {
			t.Fatalf("there are %d, want %d", table.Len(), len(model))
		}
		last := -1
		for n, v := range table.All() {
			if int(n) <= last || *v != model[n] || !hasKey(model, n) {
				t.Fatalf("%d after %d: got %q, want %q", n, last, *v, model[n])
			}
			last = int(n)
			delete(model, n)
		}
		if len(model) > 0 {
			t.Fatalf("%v were not yielded", model)
		}
		if table.Get(100_000) != nil {
			t.Fatal("what was never there is found")
		}
	})
}

func hasKey(m map[uint32]string, n uint32) bool {
	_, ok := m[n]
	return ok
}
