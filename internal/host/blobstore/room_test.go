package blobstore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// noRoom is part of why a write is refused that its component has no room for.
const noRoom = "limits.shared"

func TestWhatAComponentSharesIsBounded(t *testing.T) {
	w := newWorld(t)
	program := func(c *Containers) error {
		if !c.Session.Replaying() {
			w.limit = 0
		}
		must(t, c.Create("a"))
		must(t, putObject(c, "a", "x", fill(1000, 1)))
		if !c.Session.Replaying() {
			w.limit = uint64(w.held())
		}
		wants(t, c.Create("b"), noRoom)
		wants(t, putObject(c, "a", "x", fill(1001, 2)), noRoom)
		wants(t, putObject(c, "a", "y", nil), noRoom)
		wants(t, c.Copy("a", "x", "a", "y"), noRoom)
		wants(t, c.Move("a", "x", "a", "y"), noRoom)
		var v Writing
		wants(t, c.Write(&v, fill(ChunkSize, 3)), noRoom)
		checkObject(t, c, "a", "x", fill(1000, 1))
		must(t, putObject(c, "a", "x", fill(1000, 4)))
		checkObject(t, c, "a", "x", fill(1000, 4))
		must(t, c.Delete("a", "x"))
		must(t, c.Delete("a", "x"))
		must(t, putObject(c, "a", "x", fill(990, 5)))
		must(t, c.Clear("a"))
		must(t, c.Remove("a"))
		return nil
	}
	must(t, w.as("alice", program))
	before := w.held()
	if before > int(w.limit) {
		t.Errorf("%d bytes are held, of %d", before, w.limit)
	}
	w.limit = 1 << 20
	must(t, w.as("alice", program)) // the replay, whatever the limit is by now
	if n := w.held(); n != before {
		t.Errorf("a replay has changed what there is: %d bytes, and %d", before, n)
	}
}

// TestWhatWasDeletedMakesRoom fills a component with what has chunks, which somebody
// may be reading when it is deleted.
func TestWhatWasDeletedMakesRoom(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.limit = 4*ChunkSize + 20_000
	content := fill(3*ChunkSize, 1)
	write := func(worker, name string) (err error) {
		must(t, w.as(worker, func(c *Containers) error { err = putObject(c, "a", name, content); return nil }))
		return err
	}
	relieved := func(later time.Duration) {
		w.now = w.now.Add(later)
		must(t, w.store.Relieve(ctx))
	}
	must(t, w.as("alice", func(c *Containers) error { return errors.Join(c.Create("a"), putObject(c, "a", "x", content)) }))
	var part Reading
	must(t, w.as("reader", func(c *Containers) (err error) { part, err = c.Open("a", "x", 0, whole); return err }))
	must(t, w.as("carol", func(c *Containers) error { return c.Delete("a", "x") }))
	relieved(0) // and it is seen that nobody has the content any more
	relieved(KeepCrowded - time.Second)
	wants(t, write("b1", "y"), noRoom)
	must(t, w.as("reader2", func(c *Containers) error { _, err := c.Read(&part, 100); return err }))
	relieved(2 * time.Second) // it was read lately
	wants(t, write("b2", "y"), noRoom)
	relieved(KeepCrowded + time.Second)
	must(t, write("b3", "y"))
	must(t, w.as("bob", func(c *Containers) error { checkObject(t, c, "a", "y", content); return nil }))
	must(t, w.as("reader3", func(c *Containers) error {
		_, err := c.Read(&part, 100)
		wants(t, err, "not there any more")
		return nil
	}))
	w.held()
	// Who has enough room keeps what was deleted for longer.
	w.limit = 100 * ChunkSize
	must(t, w.as("dave", func(c *Containers) error { return c.Clear("a") }))
	relieved(0)
	relieved(KeepCrowded + time.Second)
	if n := w.held(); n < 3*ChunkSize {
		t.Errorf("%d bytes are held", n)
	}
	w.limit = 5 * ChunkSize
	relieved(KeepCrowded + time.Second)
	relieved(KeepCrowded + time.Second)
	if n := w.held(); n > 1000 {
		t.Errorf("%d bytes are held when nothing is there", n)
	}
	// What is small in a container goes with it.
	must(t, w.as("erin", func(c *Containers) error {
		must(t, c.Create("small"))
		for i := 0; ; i++ {
			if err := putObject(c, "small", fmt.Sprint(i), fill(MaxTail-1, 9)); err != nil {
				wants(t, err, noRoom)
				break
			}
		}
		return c.Remove("small")
	}))
	relieved(0)
	if n := w.held(); n > 1500 {
		t.Errorf("%d bytes are held when nothing is there", n)
	}
}

// TestARefusalIsTheSameWhereverAProcessEnds lets a process end before and behind each
// write of a component that has little room.
func TestARefusalIsTheSameWhereverAProcessEnds(t *testing.T) {
	script := func(c *Containers) (told string, err error) {
		for _, step := range []func() error{
			func() error { return c.Create("a") },
			func() error { return putObject(c, "a", "x", fill(2*ChunkSize, 1)) },
			func() error { return putObject(c, "a", "y", fill(3*ChunkSize, 2)) },
			func() error { return c.Copy("a", "x", "a", "z") },
			func() error { return putObject(c, "a", "tail", fill(50_000, 3)) },
			func() error { return c.Copy("a", "tail", "a", "tail2") },
			func() error { return c.Delete("a", "tail") },
			func() error { return c.Move("a", "z", "a", "tail2") },
			func() error { return putObject(c, "a", "tail", fill(40_000, 4)) },
		} {
			err := step()
			if e := (*Error)(nil); errors.As(err, &e) {
				told += "refused "
			} else if err != nil {
				return "", err
			} else {
				told += "done "
			}
		}
		return told, nil
	}
	const want = "done done refused done done refused done done done "
	const limit = 4*ChunkSize + 90_000 // also if a process leaves a chunk that nobody has
	for k := 1; ; k++ {
		died := false
		for _, behind := range []bool{false, true} {
			w := newWorld(t)
			w.limit = limit
			if w.cells.before = k; behind {
				w.cells.before, w.cells.behind = 0, k
			}
			told := ""
			run := func(c *Containers) (err error) { told, err = script(c); return err }
			err := w.as("alice", run)
			w.cells.before, w.cells.behind = 0, 0
			if errors.Is(err, errDied) {
				died = true
				w.held()
				w.open()
				err = w.as("alice", run)
			}
			must(t, err)
			if n := w.held(); told != want || n > limit {
				t.Errorf("write %d, behind %v: told %q, want %q; %d bytes are held", k, behind, told, want, n)
			}
		}
		if !died {
			return
		}
	}
}

func TestAProgramThatWritesForEverStaysBounded(t *testing.T) {
	w := newWorld(t)
	w.limit = 5 * ChunkSize
	most := 0
	must(t, w.as("mallory", func(c *Containers) error {
		for i := range 200 {
			name := fmt.Sprint(i)
			var v Writing
			for _, err := range []error{
				c.Create(name), c.Write(&v, fill(ChunkSize, byte(i))), putObject(c, name, "x", fill(i*300, 1)), putObject(c, "0", name, fill(ChunkSize+i, 1)),
				c.Copy("0", name, "0", "copy"+name), c.Clear(name), c.Delete("0", name), c.Remove(name),
			} {
				if e := (*Error)(nil); err != nil && !errors.As(err, &e) {
					return err
				}
			}
			most = max(most, w.held())
		}
		return nil
	}))
	if most > 5*ChunkSize || most < 4*ChunkSize {
		t.Errorf("there were %d bytes at most", most)
	}
	must(t, w.store.Forget(context.Background(), "shop"))
	if n := w.held(); n != 0 {
		t.Errorf("a component that is forgotten has %d bytes", n)
	}
}
