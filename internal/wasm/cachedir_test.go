package wasm

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestOldestCacheEntriesGoFirst(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"c", "a", "d", "b"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, 100), 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Unix(int64(1000+i), 0)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		limit int64
		want  []string
	}{{400, []string{"a", "b", "c", "d"}}, {399, []string{"a", "b", "d"}}, {250, []string{"b", "d"}}, {0, []string{"d"}}} {
		evict(dir, "d", c.limit)
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range list {
			got = append(got, e.Name())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("within %d bytes: got %v, want %v", c.limit, got, c.want)
		}
	}
}

func TestProgressNeverFallsAndNeverClaimsToBeDone(t *testing.T) {
	last := 0.0
	for passed := 0.0; passed < 100; passed += 0.01 {
		now := fraction(passed)
		if now < last || now >= 1 {
			t.Fatalf("after %v of the expected time: %v, and before that %v", passed, now, last)
		}
		last = now
	}
	if last < 0.99 {
		t.Errorf("long after the expected time: %v", last)
	}
}
