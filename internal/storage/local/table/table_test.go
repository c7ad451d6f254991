package table_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/internal/storage/local/table"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

func must(t rapid.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func build(t rapid.TB, disk *vfs.Memory, name string, pairs map[string]string) *table.Table {
	t.Helper()
	f, err := disk.Create(name)
	must(t, err)
	w := table.NewWriter(f)
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		must(t, w.Add([]byte(key), []byte(pairs[key])))
	}
	must(t, w.Finish())
	opened, err := table.Open(f)
	must(t, err)
	return opened
}

func numbered(n, step int) map[string]string {
	pairs := map[string]string{}
	for i := range n {
		pairs[fmt.Sprintf("key/%06d", i*step)] = fmt.Sprintf("value %d", i)
	}
	return pairs
}

func TestATableGivesBackItsPairsInOrder(t *testing.T) {
	for _, n := range []int{0, 1, 2, 1000, 50_000} {
		pairs := numbered(n, 2)
		tab := build(t, vfs.NewMemory(1), "t", pairs)
		for _, i := range []int{0, 1, n / 2, n - 1} {
			key := fmt.Sprintf("key/%06d", i*2)
			value, ok, err := tab.Get([]byte(key))
			must(t, err)
			if want, there := pairs[key]; ok != there || string(value) != want {
				t.Errorf("%s of %d pairs is %q, %v, want %q", key, n, value, ok, want)
			}
			if _, ok, _ := tab.Get(fmt.Appendf(nil, "key/%06d", i*2+1)); ok {
				t.Errorf("a key that is not there was found")
			}
		}
		c, i := tab.Cursor(), 0
		for ok := c.Seek(nil); ok; ok = c.Next() {
			if want := fmt.Sprintf("key/%06d", i*2); string(c.Key()) != want {
				t.Fatalf("pair %d is %s, want %s", i, c.Key(), want)
			}
			i++
		}
		must(t, c.Err())
		if i != n {
			t.Errorf("%d pairs, want %d", i, n)
		}
	}
}

func TestSeeksFindTheNeighbours(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		keys := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune("abc")), 0, 6, -1), 0, 60).Draw(r, "keys")
		fat := rapid.SampledFrom([]int{1, 3000}).Draw(r, "bytes of a value")
		pairs := map[string]string{}
		for _, k := range keys {
			pairs[k] = string(bytes.Repeat([]byte("v"), fat))
		}
		tab := build(r, vfs.NewMemory(1), "t", pairs)
		sorted := slices.Sorted(maps.Keys(pairs))
		c := tab.Cursor()
		for range 5 {
			key := rapid.StringOfN(rapid.RuneFrom([]rune("abcd")), 0, 6, -1).Draw(r, "key")
			i, found := slices.BinarySearch(sorted, key)
			if ok := c.Seek([]byte(key)); ok != (i < len(sorted)) || ok && string(c.Key()) != sorted[i] {
				r.Fatalf("Seek(%q): %v at %q, want %d in %q", key, ok, c.Key(), i, sorted)
			}
			if !found {
				i--
			}
			ok := c.SeekBefore([]byte(key))
			if ok != (i >= 0) || ok && string(c.Key()) != sorted[i] {
				r.Fatalf("SeekBefore(%q): %v at %q, want %d in %q", key, ok, c.Key(), i, sorted)
			}
			for ; ok; i++ {
				if string(c.Key()) != sorted[i] {
					r.Fatalf("going on from %q: %q, want %q", key, c.Key(), sorted[i])
				}
				ok = c.Next()
			}
			must(r, c.Err())
		}
	})
}

func TestMergingPrefersTheFirstSource(t *testing.T) {
	disk := vfs.NewMemory(1)
	sets := []map[string]string{
		{"a": "0", "c": "0"},
		{"a": "1", "b": "1", "c": "1", "e": "1"},
		numbered(3000, 1),
		{"b": "3", "d": "3"},
	}
	want := map[string]string{}
	var sources []table.Source
	for i, pairs := range sets {
		for k, v := range pairs {
			if _, there := want[k]; !there {
				want[k] = v
			}
		}
		c := build(t, disk, fmt.Sprint(i), pairs).Cursor()
		c.Seek(nil)
		sources = append(sources, c)
	}
	var last []byte
	must(t, table.Merge(sources, func(key, value []byte) error {
		if bytes.Compare(key, last) <= 0 || want[string(key)] != string(value) {
			t.Errorf("%q, %q after %q", key, value, last)
		}
		delete(want, string(key))
		last = bytes.Clone(key)
		return nil
	}))
	if len(want) > 0 {
		t.Errorf("left out: %v", want)
	}
}

func TestEveryFlippedBitIsFoundOrHarmless(t *testing.T) {
	disk := vfs.NewMemory(1)
	pairs := numbered(600, 1)
	size := build(t, disk, "t", pairs).Size()
	for at := range size {
		disk.Flip("t", at, 1<<(at%8))
		check(t, disk, pairs, at)
		disk.Flip("t", at, 1<<(at%8))
	}
}

func check(t *testing.T, disk *vfs.Memory, pairs map[string]string, at int64) {
	f, err := disk.Open("t")
	must(t, err)
	tab, err := table.Open(f)
	if err != nil {
		if !errors.Is(err, table.ErrCorrupt) {
			t.Fatalf("byte %d: %v", at, err)
		}
		return
	}
	c, n := tab.Cursor(), 0
	for ok := c.Seek(nil); ok; ok = c.Next() {
		n++
		if pairs[string(c.Key())] != string(c.Value()) {
			t.Fatalf("byte %d: %q is %q", at, c.Key(), c.Value())
		}
	}
	if err := c.Err(); err == nil && n != len(pairs) || err != nil && !errors.Is(err, table.ErrCorrupt) {
		t.Fatalf("byte %d: %d pairs, %v", at, n, err)
	}
}

func FuzzOpen(f *testing.F) {
	disk := vfs.NewMemory(1)
	for _, n := range []int{0, 1, 2000} {
		tab := build(f, disk, "t", numbered(n, 1))
		file, err := disk.Open("t")
		must(f, err)
		b := make([]byte, tab.Size())
		_, err = file.ReadAt(b, 0)
		must(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		disk := vfs.NewMemory(1)
		file, err := disk.Create("t")
		must(t, err)
		_, err = file.WriteAt(b, 0)
		must(t, err)
		tab, err := table.Open(file)
		if err != nil {
			return
		}
		c := tab.Cursor()
		for ok := c.Seek([]byte("key")); ok; ok = c.Next() {
		}
		c.SeekBefore([]byte("key/000100"))
	})
}
