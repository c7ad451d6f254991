package filesystem

import (
	"cmp"
	"iter"
	"slices"
)

// owner tells what one file system may change in place from what it shares
// with its clones: everything carries the owner that made it.
type owner struct{ _ byte } // not of size 0, or all would have one address

// fanout is how many keys a branch of a tree holds at most.
const fanout = 32

// tree is an ordered map that is copied in O(1): a copy shares all branches,
// and a change copies those it goes through unless they are the owner's. The
// zero tree is empty. Branches that deletions leave thin are not merged, only
// empty ones go: depth is bounded by the insertions, size by the keys.
type tree[K cmp.Ordered, V any] struct {
	root *branch[K, V]
	size int
}

// branch is a leaf with values or an inner branch with kids; kids[i] holds the
// keys from keys[i-1] up to but without keys[i].
type branch[K cmp.Ordered, V any] struct {
	owner *owner
	keys  []K
	vals  []V
	kids  []*branch[K, V]
}

func (t *tree[K, V]) get(key K) (v V, ok bool) {
	b := t.root
	if b == nil {
		return v, false
	}
	for b.kids != nil {
		b = b.kids[b.kid(key)]
	}
	if i, found := slices.BinarySearch(b.keys, key); found {
		return b.vals[i], true
	}
	return v, false
}

// kid is which of an inner branch's kids may hold key.
func (b *branch[K, V]) kid(key K) int {
	i, found := slices.BinarySearch(b.keys, key)
	if found {
		i++
	}
	return i
}

// own is b, or a copy that o may change.
func (b *branch[K, V]) own(o *owner) *branch[K, V] {
	if b.owner == o {
		return b
	}
	return &branch[K, V]{owner: o, keys: slices.Clone(b.keys), vals: slices.Clone(b.vals), kids: slices.Clone(b.kids)}
}

func (t *tree[K, V]) set(o *owner, key K, v V) {
	if t.root == nil {
		t.root = &branch[K, V]{owner: o}
	}
	t.root = t.root.own(o)
	added, middle, right := t.root.set(o, key, v)
	if added {
		t.size++
	}
	if right != nil {
		t.root = &branch[K, V]{owner: o, keys: []K{middle}, kids: []*branch[K, V]{t.root, right}}
	}
}

// set changes b, which is o's. If b becomes too large its upper half, from
// middle on, becomes right.
func (b *branch[K, V]) set(o *owner, key K, v V) (added bool, middle K, right *branch[K, V]) {
	if b.kids == nil {
		i, found := slices.BinarySearch(b.keys, key)
		if found {
			b.vals[i] = v
			return false, middle, nil
		}
		b.keys, b.vals = slices.Insert(b.keys, i, key), slices.Insert(b.vals, i, v)
		if len(b.keys) <= fanout {
			return true, middle, nil
		}
		middle, right = b.splitLeaf(o, i)
		return true, middle, right
	}
	i := b.kid(key)
	b.kids[i] = b.kids[i].own(o)
	added, separator, next := b.kids[i].set(o, key, v)
	if next == nil {
		return added, middle, nil
	}
	b.keys, b.kids = slices.Insert(b.keys, i, separator), slices.Insert(b.kids, i+1, next)
	if len(b.keys) > fanout {
		half := len(b.keys) / 2
		middle = b.keys[half]
		right = &branch[K, V]{owner: o, keys: slices.Clone(b.keys[half+1:]), kids: slices.Clone(b.kids[half+1:])}
		b.keys, b.kids = cut(b.keys, half), cut(b.kids, half+1)
	}
	return added, middle, right
}

// splitLeaf splits after an insertion at i: behind all others, as counters
// insert, the full leaf stays full.
func (b *branch[K, V]) splitLeaf(o *owner, i int) (K, *branch[K, V]) {
	half := len(b.keys) / 2
	if i == len(b.keys)-1 {
		half = i
	}
	right := &branch[K, V]{owner: o, keys: slices.Clone(b.keys[half:]), vals: slices.Clone(b.vals[half:])}
	b.keys, b.vals = cut(b.keys, half), cut(b.vals, half)
	return right.keys[0], right
}

// cut shortens s and lets go of what was behind.
func cut[E any](s []E, n int) []E {
	clear(s[n:])
	return s[:n]
}

// delete removes key if it is there.
func (t *tree[K, V]) delete(o *owner, key K) {
	if _, ok := t.get(key); !ok {
		return
	}
	t.size--
	t.root = t.root.own(o)
	t.root.delete(o, key)
	for t.root != nil && len(t.root.kids) <= 1 && len(t.root.vals) == 0 {
		if t.root.kids == nil {
			t.root = nil
		} else {
			t.root = t.root.kids[0]
		}
	}
}

// delete removes key, which is there, from b, which is o's.
func (b *branch[K, V]) delete(o *owner, key K) {
	if b.kids == nil {
		i, _ := slices.BinarySearch(b.keys, key)
		b.keys, b.vals = slices.Delete(b.keys, i, i+1), slices.Delete(b.vals, i, i+1)
		return
	}
	i := b.kid(key)
	kid := b.kids[i].own(o)
	b.kids[i] = kid
	kid.delete(o, key)
	if len(kid.vals) > 0 || len(kid.kids) > 0 {
		return
	}
	b.kids = slices.Delete(b.kids, i, i+1)
	if len(b.keys) > 0 {
		i = max(i-1, 0)
		b.keys = slices.Delete(b.keys, i, i+1)
	}
}

// from yields the keys from key on, in order. The tree must not change
// meanwhile.
func (t *tree[K, V]) from(key K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if t.root != nil {
			t.root.from(key, yield)
		}
	}
}

// all yields every key in order.
func (t *tree[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if t.root != nil {
			t.root.from(t.root.first(), yield)
		}
	}
}

func (b *branch[K, V]) first() K {
	for b.kids != nil {
		b = b.kids[0]
	}
	return b.keys[0]
}

func (b *branch[K, V]) from(key K, yield func(K, V) bool) bool {
	if b.kids == nil {
		i, _ := slices.BinarySearch(b.keys, key)
		for ; i < len(b.keys); i++ {
			if !yield(b.keys[i], b.vals[i]) {
				return false
			}
		}
		return true
	}
	for i := b.kid(key); i < len(b.kids); i++ {
		if !b.kids[i].from(key, yield) {
			return false
		}
	}
	return true
}

// last is the greatest key.
func (t *tree[K, V]) last() (key K, v V, ok bool) {
	b := t.root
	if b == nil {
		return key, v, false
	}
	for b.kids != nil {
		b = b.kids[len(b.kids)-1]
	}
	return b.keys[len(b.keys)-1], b.vals[len(b.vals)-1], true
}
