package keyvalue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// held checks that what is counted is what there is, and gives it.
func (w *world) held() (bytes int) {
	w.t.Helper()
	w.each(func(cell string) bool {
		value, _, err := w.disk.Cells().Get(context.Background(), cell)
		must(w.t, err)
		bytes += len(cell) + len(value)
		return true
	})
	if got, _, err := w.store.cells.Held(context.Background(), "shop"); int(got) != bytes || err != nil {
		w.t.Errorf("%d bytes are held, %v; want %d", got, err, bytes)
	}
	return bytes
}

// refused checks that a write was refused for want of room.
func refused(t testing.TB, err error) {
	t.Helper()
	if e := (*Error)(nil); !errors.As(err, &e) || !strings.Contains(e.Reason, "limits.shared") {
		t.Errorf("got %v, want that there is no room", err)
	}
}

func TestWhatAComponentSharesIsBounded(t *testing.T) {
	w := newWorld(t)
	program := func(b *Buckets) error {
		must(t, b.Set("b", "k", make([]byte, 100)))
		if !b.Session.Replaying() {
			w.limit = uint64(w.held())
		}
		since, err := b.Version("b", "k")
		must(t, err)
		refused(t, b.Set("b", "k", make([]byte, 101)))
		refused(t, b.Set("b", "other", nil))
		_, err = b.Increment("b", "n", 1)
		refused(t, err)
		_, err = b.Swap("b", "k", since, make([]byte, 101))
		refused(t, err)
		if v, there, err := b.Get("b", "k"); len(v) != 100 || !there || err != nil {
			t.Errorf("what was there is %d bytes, %v %v", len(v), there, err)
		}
		must(t, b.Delete("b", "nothing"))
		must(t, b.Set("b", "k", make([]byte, 99)))
		must(t, b.Delete("b", "k"))
		return b.Set("b", "k", make([]byte, 100))
	}
	must(t, w.as("alice", program))
	if n := w.held(); n > int(w.limit)+10 {
		t.Errorf("%d bytes are held, of %d", n, w.limit)
	}
	before := w.held()
	w.limit = 1 << 20
	must(t, w.as("alice", program)) // the replay, whatever the limit is by now
	if n := w.held(); n != before {
		t.Errorf("a replay has changed what there is: %d bytes, and %d", before, n)
	}
}

// A process ends before or behind each write of a component that has little room;
// what its worker is told then is what it would have been told.
func TestARefusalIsTheSameWhereverAProcessEnds(t *testing.T) {
	script := func(b *Buckets) (told string, err error) {
		for i, n := range []int{100, 200, 100, 0, 150, 300} {
			if n == 0 {
				err = b.Delete("b", "0")
			} else {
				err = b.Set("b", fmt.Sprint(i), make([]byte, n))
			}
			if e := (*Error)(nil); errors.As(err, &e) {
				told, err = told+"refused ", nil
			} else if err != nil {
				return "", err
			} else {
				told += "done "
			}
		}
		return told, nil
	}
	const want = "done done refused done done refused "
	for k := 1; ; k++ {
		died := false
		for _, behind := range []bool{false, true} {
			w := newWorld(t)
			w.limit = 500
			if w.cells.before = k; behind {
				w.cells.before, w.cells.behind = 0, k
			}
			told := ""
			run := func(b *Buckets) (err error) { told, err = script(b); return err }
			err := w.as("alice", run)
			w.cells.before, w.cells.behind = 0, 0
			if errors.Is(err, errDied) {
				died = true
				w.held()
				w.open()
				err = w.as("alice", run)
			}
			must(t, err)
			if told != want || w.held() > 500 {
				t.Errorf("write %d, behind %v: told %q, want %q; %d bytes are held", k, behind, told, want, w.held())
			}
		}
		if !died {
			return
		}
	}
}

func TestAProgramThatWritesForEverStaysBounded(t *testing.T) {
	w := newWorld(t)
	w.limit = 20_000
	must(t, w.as("mallory", func(b *Buckets) error {
		for i := range 2000 {
			key := fmt.Sprint("k", i)
			_, err := b.Increment("b", key, 1)
			if err == nil && i%3 == 0 {
				err = b.Delete("b", key)
			}
			must(t, b.Delete("nowhere", key))
			if e := (*Error)(nil); err != nil && !errors.As(err, &e) {
				return err
			}
		}
		return nil
	}))
	if n := w.held(); n > 20_000 || n < 19_800 {
		t.Errorf("%d bytes are held", n)
	}
}
