package filesystem

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestTreeIsAnOrderedMapWhoseCopiesAreIndependent(t *testing.T) {
	type copied struct {
		tree  tree[int, int]
		owner *owner
		model map[int]int
	}
	rapid.Check(t, func(t *rapid.T) {
		all := []*copied{{owner: new(owner), model: map[int]int{}}}
		pick := func(t *rapid.T) *copied { return all[rapid.IntRange(0, len(all)-1).Draw(t, "copy")] }
		key := rapid.IntRange(0, 300)
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				c, from, n := pick(t), key.Draw(t, "key"), rapid.IntRange(1, 100).Draw(t, "count")
				for k := from; k < from+n; k++ {
					c.tree.set(c.owner, k, n)
					c.model[k] = n
				}
			},
			"delete": func(t *rapid.T) {
				c, from, n := pick(t), key.Draw(t, "key"), rapid.IntRange(1, 100).Draw(t, "count")
				for k := from; k < from+n; k++ {
					c.tree.delete(c.owner, k)
					delete(c.model, k)
				}
			},
			"copy": func(t *rapid.T) {
				if len(all) == 4 {
					t.Skip("enough copies")
				}
				c := pick(t)
				c.owner = new(owner)
				all = append(all, &copied{c.tree, new(owner), maps.Clone(c.model)})
			},
			"": func(t *rapid.T) {
				for _, c := range all {
					keys := slices.Sorted(maps.Keys(c.model))
					var got []int
					for k, v := range c.tree.all() {
						if got = append(got, k); v != c.model[k] {
							t.Fatalf("key %d: got %d, want %d", k, v, c.model[k])
						}
					}
					if !slices.Equal(got, keys) || c.tree.size != len(keys) {
						t.Fatalf("got %d keys %v, want %v", c.tree.size, got, keys)
					}
					from := key.Draw(t, "from")
					rest, _ := slices.BinarySearch(keys, from)
					got = nil
					for k := range c.tree.from(from) {
						got = append(got, k)
					}
					if !slices.Equal(got, keys[rest:]) {
						t.Fatalf("from %d: got %v, want %v", from, got, keys[rest:])
					}
					last, _, ok := c.tree.last()
					if ok != (len(keys) > 0) || ok && last != keys[len(keys)-1] {
						t.Fatalf("last: got %d, %v", last, ok)
					}
					if _, ok := c.tree.get(from); ok != slices.Contains(keys, from) {
						t.Fatalf("get %d: got %v", from, ok)
					}
				}
			},
		})
	})
}
