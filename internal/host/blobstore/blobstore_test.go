package blobstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/once"
)

func TestWhatIsKeptIsFound(t *testing.T) {
	w := newWorld(t)
	program := func(c *Containers) error {
		must(t, c.Create("a/b"))
		wants(t, c.Create("a/b"), "already")
		for _, size := range []int{0, 1, MaxTail, MaxTail + 1, ChunkSize - 1, ChunkSize, ChunkSize + 1, 3*ChunkSize + MaxTail, 3*ChunkSize + MaxTail + 1} {
			content, name := fill(size, 1), fmt.Sprint(size)
			must(t, putObject(c, "a/b", name, content))
			checkObject(t, c, "a/b", name, content)
			if s, err := c.Object("a/b", name); !s.Exists || s.Size != uint64(size) || !s.Created.Equal(w.now) || err != nil {
				t.Errorf("an object of %d bytes is %+v %v", size, s, err)
			}
			for start := range seq(0, 1, size/2, size-1, size) {
				for end := range seq(start, start+1, size/2+1, size-1, size, 2*size) {
					if start < 0 || end < start || start > size {
						continue
					}
					got, err := getPart(c, "a/b", name, uint64(start), uint64(end))
					if want := content[start:min(end+1, size)]; err != nil || !bytes.Equal(got, want) {
						t.Errorf("bytes %d to %d of %d are %s, %v; want %s", start, end, size, sum(got), err, sum(want))
					}
				}
			}
			must(t, c.Delete("a/b", name))
			must(t, c.Delete("a/b", name))
		}
		if s, err := c.Container("a/b"); !s.Exists || !s.Created.Equal(time.Unix(1000, 0)) || err != nil {
			t.Errorf("the container is %+v %v", s, err)
		}
		if s, err := c.Container("nothing"); s.Exists || err != nil {
			t.Errorf("a container that is not there is %+v %v", s, err)
		}
		must(t, putObject(c, "a/b", "x/1", []byte("one")))
		must(t, putObject(c, "a/b", "x/1", []byte("two")))
		checkObject(t, c, "a/b", "x/1", []byte("two"))
		return nil
	}
	must(t, w.as("alice", program))
	w.now = w.now.Add(time.Hour)
	w.cells.before = 1 // nothing is written by the replay
	if err := w.as("alice", func(c *Containers) error {
		w.now = time.Unix(1000, 0)
		return program(c)
	}); err != nil || w.cells.before != 1 {
		t.Errorf("the replay ended with %v", err)
	}
	w.cells.before = 0
	must(t, w.as("bob", func(c *Containers) error {
		checkObject(t, c, "a/b", "x/1", []byte("two"))
		return nil
	}))
}

func TestNamesAreListedInPages(t *testing.T) {
	w := newWorld(t)
	must(t, w.as("alice", func(c *Containers) error {
		must(t, c.Create("a"))
		must(t, c.Create("a/"))
		for _, name := range []string{"z", "b/1", "é", "b", "b/2"} {
			must(t, putObject(c, "a", name, nil))
		}
		must(t, putObject(c, "a/", "other", nil))
		must(t, c.Delete("a", "b"))
		if got, err := names(c, "a"); fmt.Sprint(got, err) != "[b/1 b/2 z é] <nil>" {
			t.Errorf("the names are %v %v", got, err)
		}
		n, last, more, err := c.Skip("a", "", 2)
		if fmt.Sprintf("%d %s %v %v", n, last, more, err) != "2 b/2 true <nil>" {
			t.Errorf("two skipped: %d %q %v %v", n, last, more, err)
		}
		n, last, more, err = c.Skip("a", last, whole)
		if fmt.Sprintf("%d %s %v %v", n, last, more, err) != "2 é false <nil>" {
			t.Errorf("the rest skipped: %d %q %v %v", n, last, more, err)
		}
		n, last, more, err = c.Skip("a", last, 1)
		if fmt.Sprintf("%d %s %v %v", n, last, more, err) != "0 é false <nil>" {
			t.Errorf("nothing skipped: %d %q %v %v", n, last, more, err)
		}
		if list, more, err := c.Names("a", "", 0); len(list) != 0 || !more || err != nil {
			t.Errorf("no names: %v %v %v", list, more, err)
		}
		_, _, err = c.Names("nothing", "", 1)
		wants(t, err, "no container")
		return nil
	}))
}

func TestContainersAreEmptiedAtOnce(t *testing.T) {
	w := newWorld(t)
	must(t, w.as("alice", func(c *Containers) error {
		must(t, c.Create("a"))
		must(t, putObject(c, "a", "x", []byte("one")))
		must(t, c.Clear("a"))
		if s, err := c.Object("a", "x"); s.Exists || err != nil {
			t.Errorf("an object of a container that was cleared is %+v %v", s, err)
		}
		if list, err := names(c, "a"); len(list) != 0 || err != nil {
			t.Errorf("it has %v %v", list, err)
		}
		must(t, putObject(c, "a", "x", []byte("two")))
		must(t, c.Remove("a"))
		wants(t, putObject(c, "a", "x", nil), "no container")
		wants(t, c.Remove("a"), "no container")
		wants(t, c.Clear("a"), "no container")
		_, err := c.Object("a", "x")
		wants(t, err, "no container")
		_, err = getPart(c, "a", "x", 0, 1)
		wants(t, err, "no container")
		must(t, c.Create("a"))
		_, err = getPart(c, "a", "x", 0, 1)
		wants(t, err, `no object "x" of container "a"`)
		return nil
	}))
}

func TestObjectsAreCopiedAndMoved(t *testing.T) {
	w := newWorld(t)
	large := fill(ChunkSize+10, 3)
	must(t, w.as("alice", func(c *Containers) error {
		must(t, c.Create("a"))
		must(t, c.Create("b"))
		must(t, putObject(c, "a", "x", large))
		must(t, putObject(c, "b", "y", []byte("old")))
		must(t, c.Copy("a", "x", "b", "y"))
		checkObject(t, c, "b", "y", large)
		checkObject(t, c, "a", "x", large)
		must(t, c.Move("b", "y", "a", "z"))
		checkObject(t, c, "a", "z", large)
		if s, err := c.Object("b", "y"); s.Exists || err != nil {
			t.Errorf("what was moved is %+v %v", s, err)
		}
		must(t, c.Move("a", "z", "a", "z"))
		must(t, c.Copy("a", "z", "a", "z"))
		checkObject(t, c, "a", "z", large)
		wants(t, c.Copy("a", "nothing", "a", "n"), "no object")
		wants(t, c.Move("a", "nothing", "a", "nothing"), "no object")
		wants(t, c.Move("n", "x", "a", "n"), `no container "n"`)
		wants(t, c.Move("a", "x", "n", "n"), `no container "n"`)
		wants(t, c.Copy("a", "", "a", "n"), "name of an object")
		checkObject(t, c, "a", "x", large)
		return nil
	}))
	if n := w.cellsBelow("/d/"); n != 1 {
		t.Errorf("the copies have %d chunks, want one for all", n)
	}
}

func TestWhatIsReadStaysAsItWas(t *testing.T) {
	w := newWorld(t)
	old := fill(2*ChunkSize+5, 1)
	var r Reading
	must(t, w.as("alice", func(c *Containers) (err error) {
		must(t, c.Create("a"))
		must(t, putObject(c, "a", "x", old))
		if r, err = c.Open("a", "x", 0, whole); err != nil {
			return err
		}
		must(t, putObject(c, "a", "x", []byte("new")))
		return c.Remove("a")
	}))
	read := func(name string) ([]byte, error) {
		var got []byte
		part := r
		err := w.as(name, func(c *Containers) error {
			for {
				p, err := c.Read(&part, 1<<20)
				if got = append(got, p...); err != nil || len(p) == 0 {
					return err
				}
			}
		})
		return got, err
	}
	sweep := func(after time.Duration) {
		w.now = w.now.Add(after)
		must(t, w.store.Sweep(context.Background()))
	}
	sweep(time.Second)
	sweep(Keep)
	// Reading it keeps it from then on.
	if got, err := read("bob"); !bytes.Equal(got, old) || err != nil {
		t.Errorf("what was replaced is %s, %v", sum(got), err)
	}
	sweep(time.Second)
	sweep(Keep)
	if got, err := read("carol"); !bytes.Equal(got, old) || err != nil {
		t.Errorf("later it is %s, %v", sum(got), err)
	}
	sweep(time.Second)
	sweep(Keep + time.Second)
	_, err := read("dave")
	wants(t, err, "not there any more")
	if n := w.cellsBelow("/d/"); n != 0 {
		t.Errorf("there are %d chunks left", n)
	}
}

func TestWhatIsNotFinishedIsNeverSeenAndGoes(t *testing.T) {
	w := newWorld(t)
	var slow Writing
	begins := func(c *Containers) error {
		slow = Writing{}
		must(t, c.Create("a"))
		must(t, putObject(c, "a", "x", []byte("old")))
		must(t, c.Write(&slow, fill(ChunkSize+1, 0)))
		checkObject(t, c, "a", "x", []byte("old"))
		return nil
	}
	must(t, w.as("alice", begins))
	must(t, w.store.Sweep(context.Background()))
	w.now = w.now.Add(Keep)
	must(t, w.store.Sweep(context.Background()))
	must(t, w.as("alice", func(c *Containers) error { // it is still there, as it is written to now and then
		must(t, begins(c))
		must(t, c.Write(&slow, fill(ChunkSize, 0)))
		return nil
	}))
	w.now = w.now.Add(time.Second)
	must(t, w.store.Sweep(context.Background()))
	w.now = w.now.Add(Keep + time.Second)
	must(t, w.store.Sweep(context.Background()))
	must(t, w.as("carol", func(c *Containers) error {
		wants(t, c.Finish(&slow, "a", "x"), "not there any more")
		checkObject(t, c, "a", "x", []byte("old"))
		return nil
	}))
	if n := w.cellsBelow("/d/") + w.cellsBelow("/u/"); n != 0 {
		t.Errorf("there are %d cells left of it", n)
	}
}

// What a process has stored and not recorded may be other bytes than those that the
// next one writes.
func TestAChunkThatNobodyKnowsOfIsReplaced(t *testing.T) {
	for _, behind := range []int{1, 2, 3} {
		w := newWorld(t)
		must(t, w.as("zoe", func(c *Containers) error { return c.Create("a") }))
		w.cells.behind = behind
		_ = w.as("alice", func(c *Containers) error { return putObject(c, "a", "x", fill(2*ChunkSize, 1)) })
		w.cells.behind = 0
		want := fill(2*ChunkSize+7, 9)
		if behind == 3 { // its chunks were recorded with the intent
			want = fill(2*ChunkSize, 1)
		}
		must(t, w.as("alice", func(c *Containers) error { return putObject(c, "a", "x", want) }))
		must(t, w.as("zoe2", func(c *Containers) error { checkObject(t, c, "a", "x", want); return nil }))
	}
}

// A worker that was another one, whose value was open, goes on with values of its
// own: the other goes on with that.
func TestTwoWorkersDoNotWriteOneValue(t *testing.T) {
	w := newWorld(t)
	var v Writing
	begins := func(c *Containers) error {
		v = Writing{}
		must(t, c.Create("a"))
		return c.Write(&v, fill(ChunkSize+1, 1))
	}
	must(t, w.as("alice", begins))
	other := Writing{v.ID, v.Chunks, slices.Clone(v.Rest)}
	must(t, w.as("bob", func(c *Containers) error {
		wants(t, c.Write(&other, fill(ChunkSize, 2)), "begun by the worker alice")
		return nil
	}))
	must(t, w.as("alicia", func(c *Containers) error { // what has no more chunks is whole
		must(t, c.Finish(&Writing{v.ID, v.Chunks, slices.Clone(v.Rest)}, "a", "theirs"))
		return nil
	}))
	hers := append(fill(ChunkSize+1, 1), fill(ChunkSize, 3)...)
	must(t, w.as("alice", func(c *Containers) error {
		must(t, begins(c))
		return errors.Join(c.Write(&v, hers[ChunkSize+1:]), c.Finish(&v, "a", "hers"))
	}))
	must(t, w.as("eve", func(c *Containers) error {
		checkObject(t, c, "a", "theirs", fill(ChunkSize+1, 1))
		checkObject(t, c, "a", "hers", hers)
		return nil
	}))
}

// step is a write, and what there is behind it, as texts show it.
type step struct {
	name  string
	write func(c *Containers) error
}

// show tells all that there is.
func show(t testing.TB, c *Containers) string {
	var all []string
	for _, container := range []string{"a", "b"} {
		s, err := c.Container(container)
		must(t, err)
		if !s.Exists {
			continue
		}
		list, err := names(c, container)
		must(t, err)
		all = append(all, container+":")
		for _, name := range list {
			p, err := getPart(c, container, name, 0, whole)
			must(t, err)
			all = append(all, fmt.Sprintf("%s=%s", name, sum(p)))
		}
	}
	return strings.Join(all, " ")
}

// A process ends before or behind each cell that a write changes; another worker
// does something or not, and then its worker goes on in another process. There is
// what there would be if the write had been made once, before what the other did or
// after it: before it, if the other could see it.
func TestEachWriteTakesEffectOnce(t *testing.T) {
	steps := []step{
		{"create", func(c *Containers) error { return c.Create("b") }},
		{"remove", func(c *Containers) error { return c.Remove("a") }},
		{"clear", func(c *Containers) error { return c.Clear("a") }},
		{"put", func(c *Containers) error { return putObject(c, "a", "x", []byte("mine")) }},
		{"put much", func(c *Containers) error { return putObject(c, "a", "x", fill(ChunkSize+MaxTail+5, 7)) }},
		{"put new", func(c *Containers) error { return putObject(c, "a", "z", []byte("mine")) }},
		{"delete", func(c *Containers) error { return c.Delete("a", "x") }},
		{"copy", func(c *Containers) error { return c.Copy("a", "x", "a", "y") }},
		{"move", func(c *Containers) error { return c.Move("a", "x", "a", "y") }},
	}
	others := []step{
		{"nothing", func(*Containers) error { return nil }},
		{"put x", func(c *Containers) error { return putObject(c, "a", "x", []byte("others")) }},
		{"put y", func(c *Containers) error { return putObject(c, "a", "y", []byte("others")) }},
		{"delete x", func(c *Containers) error { return c.Delete("a", "x") }},
		{"clear", func(c *Containers) error { return c.Clear("a") }},
		{"anew", func(c *Containers) error {
			return errors.Join(c.Remove("a"), c.Create("a"), putObject(c, "a", "x", []byte("anew")))
		}},
		{"create b", func(c *Containers) error { return c.Create("b") }},
	}
	begin := func(c *Containers) error {
		return errors.Join(c.Create("a"), putObject(c, "a", "x", []byte("old x")), putObject(c, "a", "y", []byte("old y")))
	}
	// forgiving are programs that go on after an error that they see.
	forgiving := func(f func(c *Containers) error) func(c *Containers) error {
		return func(c *Containers) error {
			err := f(c)
			if e := (*Error)(nil); errors.As(err, &e) && !errors.Is(err, errDied) {
				return nil
			}
			return err
		}
	}
	// then gives what there is if these are done in turn.
	then := func(programs ...func(c *Containers) error) (text string) {
		w := newWorld(t)
		must(t, w.as("zoe", begin))
		for i, p := range programs {
			must(t, w.as(fmt.Sprint("w", i), forgiving(p)))
		}
		must(t, w.as("eve", func(c *Containers) error { text = show(t, c); return nil }))
		return text
	}
	died := 0
	unmade := then()
	for _, s := range steps {
		made := then(s.write)
		for _, other := range others {
			want := []string{then(s.write, other.write), then(other.write, s.write)}
			for k := 1; ; k++ {
				all := 0
				for _, behind := range []bool{false, true} {
					got, seen := onceAt(t, begin, forgiving(s.write), forgiving(other.write), k, behind)
					if got == "" {
						continue
					}
					all++
					allowed := want
					if seen == made && made != unmade {
						allowed = want[:1]
					}
					if !slices.Contains(allowed, got) {
						t.Errorf("%s, beside it %s, died at write %d: there is %s, want one of %q", s.name, other.name, k, got, allowed)
					}
				}
				if all == 0 {
					break
				}
				died += all
			}
		}
	}
	if died < len(steps)*len(others) {
		t.Errorf("processes died %d times", died)
	}
}

// onceAt lets a process die at its k-th write, and tells what there is at the end, or
// nothing if it has not come to that, and what there was when it had died.
func onceAt(t *testing.T, begin, write, other func(c *Containers) error, k int, behind bool) (text, seen string) {
	w := newWorld(t)
	must(t, w.as("zoe", begin))
	if w.cells.before = k; behind {
		w.cells.before, w.cells.behind = 0, k
	}
	err := w.as("alice", write)
	w.cells.before, w.cells.behind = 0, 0
	if err == nil {
		return "", ""
	}
	if !errors.Is(err, errDied) {
		t.Fatal(err)
	}
	must(t, w.as("spy", func(c *Containers) error { seen = show(t, c); return nil }))
	must(t, w.as("other", other))
	must(t, w.as("alice", write))
	must(t, w.as("alice", write)) // a replay
	must(t, w.as("eve", func(c *Containers) error { text = show(t, c); return nil }))
	return text, seen
}

func TestAWriteThatNobodyRemembersIsNotRepeated(t *testing.T) {
	for _, behind := range []bool{false, true} {
		w := newWorld(t)
		must(t, w.as("zoe", func(c *Containers) error {
			return errors.Join(c.Create("a"), putObject(c, "a", "x", []byte("x")), putObject(c, "a", "y", []byte("y")))
		}))
		writes := map[string]func(c *Containers) error{
			"mover":  func(c *Containers) error { return c.Move("a", "x", "a", "n") },
			"writer": func(c *Containers) error { return putObject(c, "a", "n", []byte("mine")) },
		}
		for name, write := range writes {
			if w.cells.before = 1; behind {
				w.cells.before, w.cells.behind = 0, 1
			}
			if err := w.as(name, write); !errors.Is(err, errDied) {
				t.Fatal(err)
			}
		}
		for i := range once.MaxWriters + 2 {
			must(t, w.as(fmt.Sprint("other", i), func(c *Containers) error { return putObject(c, "a", "n", []byte("others")) }))
		}
		wants(t, w.as("mover", writes["mover"]), "in doubt")
		must(t, w.as("writer", writes["writer"]))
		must(t, w.as("eve", func(c *Containers) error { checkObject(t, c, "a", "n", []byte("others")); return nil }))
	}
}

func TestNamesPartsAndSizesAreBounded(t *testing.T) {
	w := newWorld(t)
	must(t, w.as("alice", func(c *Containers) error {
		for _, name := range []string{"", strings.Repeat("x", MaxContainer+1), "\xff", "a\x00"} {
			wants(t, c.Create(name), "name of a container")
			_, err := c.Container(name)
			wants(t, err, "name of a container")
		}
		must(t, c.Create(strings.Repeat("é", MaxContainer/2)))
		must(t, c.Create("a"))
		for _, name := range []string{"", strings.Repeat("x", MaxObject+1), "\xff", "a\x00"} {
			_, stat := c.Object("a", name)
			_, open := c.Open("a", name, 0, 1)
			for _, err := range []error{stat, open, c.Delete("a", name), c.Copy("a", "x", "a", name), c.Copy("a", name, "a", "x"), putObject(c, "a", name, nil)} {
				wants(t, err, "name of an object")
			}
		}
		must(t, putObject(c, "a", strings.Repeat("é", MaxObject/2), []byte("x")))
		must(t, putObject(c, "a", "x", []byte("12345")))
		_, err := c.Open("a", "x", 3, 2)
		wants(t, err, "ends before that")
		_, err = c.Open("a", "x", 6, 7)
		wants(t, err, "has 5 bytes")
		_, err = c.Open("a", "x", whole, whole)
		wants(t, err, "has 5 bytes")
		long := Writing{Chunks: MaxSize/ChunkSize - 1, Rest: make([]byte, ChunkSize-1)}
		wants(t, c.Write(&long, make([]byte, 2)), "at most 1073741824 bytes")
		return nil
	}))
	none := &Containers{}
	wants(t, none.Create("a"), "no containers here")
}

func TestAComponentAndWhatWasDeletedLongAgoAreForgotten(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	large := fill(ChunkSize, 2)
	must(t, w.as("alice", func(c *Containers) error {
		return errors.Join(c.Create("a"), c.Create("gone"), putObject(c, "a", "kept", large), putObject(c, "a", "deleted", large),
			putObject(c, "gone", "x", large), c.Delete("a", "deleted"), c.Remove("gone"))
	}))
	sweep := func(after time.Duration, want int) {
		t.Helper()
		w.now = w.now.Add(after)
		must(t, w.store.Sweep(ctx))
		if n := w.cellsBelow("blobstore/"); n != want {
			t.Errorf("%d cells, want %d", n, want)
		}
	}
	// Two containers, three objects, and a mark and a chunk of each: less an object
	// that is in no container any more.
	sweep(time.Second, 2+2+6)
	sweep(Keep+time.Second, 2+2+2)
	sweep(once.Graveyard, 1+1+2)
	must(t, w.as("bob", func(c *Containers) error { checkObject(t, c, "a", "kept", large); return nil }))
	must(t, w.store.Forget(ctx, "sho"))
	sweep(0, 4)
	must(t, w.store.Forget(ctx, "shop"))
	sweep(0, 0)
}

func TestWhoLooksAfterTheNodeSeesWhatProgramsDo(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	large := fill(2*ChunkSize+MaxTail+9, 4)
	must(t, w.as("alice", func(c *Containers) error {
		return errors.Join(c.Create("a"), c.Create("b"), c.Create("c"), c.Remove("b"), putObject(c, "a", "large", large), putObject(c, "a", "x", []byte("one")), c.Delete("a", "y"))
	}))
	all := func(list iter.Seq2[Entry, error]) (text string) {
		for e, err := range list {
			if text += fmt.Sprint(" ", e.Name, ":", e.Size); err != nil {
				return err.Error()
			}
		}
		return text
	}
	for got, want := range map[string]string{
		all(w.store.Containers(ctx, "shop", "")):           " a:0 c:0",
		all(w.store.Containers(ctx, "shop", "a")):          " c:0",
		all(w.store.Objects(ctx, "shop", "a", "")):         fmt.Sprint(" large:", len(large), " x:3"),
		all(w.store.Objects(ctx, "shop", "a", "large")):    " x:3",
		all(w.store.Objects(ctx, "shop", "b", "")):         `there is no container "b"`,
		all(w.store.Containers(ctx, "other", "")) + "none": "none",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for name, want := range map[string][]byte{"large": large, "x": []byte("one")} {
		e, r, err := w.store.OpenObject(ctx, "shop", "a", name)
		must(t, err)
		got, err := io.ReadAll(iotest.HalfReader(r))
		if e.Name != name || e.Size != uint64(len(want)) || !e.Created.Equal(w.now) || !bytes.Equal(got, want) || err != nil {
			t.Errorf("%s is %+v, %s %v", name, e, sum(got), err)
		}
	}
	_, _, err := w.store.OpenObject(ctx, "shop", "a", "y")
	wants(t, err, "no object")
	_, _, err = w.store.OpenObject(ctx, "shop", "b", "y")
	wants(t, err, "no container")
	must(t, w.store.DeleteObject(ctx, "shop", "a", "x"))
	wants(t, w.store.DeleteObject(ctx, "shop", "a", "x"), "no object")
	must(t, w.store.RemoveContainer(ctx, "shop", "c"))
	wants(t, w.store.RemoveContainer(ctx, "shop", "c"), "no container")
	if got := all(w.store.Containers(ctx, "shop", "")) + all(w.store.Objects(ctx, "shop", "a", "")); got != fmt.Sprint(" a:0 large:", len(large)) {
		t.Errorf("there is %s", got)
	}
}

// Whoever gives chunks to an object while a sweep is about to remove them keeps them.
func TestASweepLeavesWhatIsTakenMeanwhile(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	var late Writing
	must(t, w.as("alice", func(c *Containers) error {
		must(t, c.Create("a"))
		return c.Write(&late, fill(ChunkSize, 1))
	}))
	must(t, w.store.Sweep(ctx))
	w.now = w.now.Add(Keep + time.Second)
	w.cells.during = func() {
		must(t, w.as("bob", func(c *Containers) error { return c.Finish(&late, "a", "x") }))
	}
	must(t, w.store.Sweep(ctx))
	if w.cells.during != nil {
		t.Fatal("the sweep was about to remove nothing")
	}
	must(t, w.store.Sweep(ctx))
	must(t, w.as("carol", func(c *Containers) error { checkObject(t, c, "a", "x", fill(ChunkSize, 1)); return nil }))
}

// A sweep may end anywhere, and the next one goes on.
func TestASweepThatEndsAnywhereHarmsNothing(t *testing.T) {
	for k := 1; ; k++ {
		w := newWorld(t)
		must(t, w.as("alice", func(c *Containers) error {
			return errors.Join(c.Create("a"), putObject(c, "a", "x", fill(3*ChunkSize, 1)), putObject(c, "a", "x", fill(2*ChunkSize, 2)), c.Create("b"), putObject(c, "b", "y", nil), c.Remove("b"))
		}))
		sweeps, done := 0, false
		w.cells.behind = k
		for ; !done && sweeps < 20; sweeps++ {
			w.now = w.now.Add(Keep + time.Second)
			if err := w.store.Sweep(context.Background()); err != nil && !errors.Is(err, errDied) {
				t.Fatal(err)
			}
			done = w.cellsBelow("/d/") == 2 && w.cellsBelow("/u/") == 1
		}
		if !done {
			t.Fatalf("died at write %d: there is still what is to go", k)
		}
		w.cells.behind = 0
		must(t, w.as("bob", func(c *Containers) error { checkObject(t, c, "a", "x", fill(2*ChunkSize, 2)); return nil }))
		if k > 20 {
			return
		}
	}
}

// What is damaged keeps the chunks of its component, for it may be what needs them.
func TestDamageKeepsWhatItsComponentHas(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	for _, component := range []string{"damaged", "shop"} {
		w.component = component
		must(t, w.as("alice", func(c *Containers) error {
			return errors.Join(c.Create("a"), putObject(c, "a", "x", fill(ChunkSize, 1)), putObject(c, "a", "y", fill(ChunkSize, 2)), c.Delete("a", "x"))
		}))
	}
	for cell, err := range w.disk.Cells().List(ctx, "blobstore/damaged/o/", "") {
		must(t, err)
		if strings.HasSuffix(cell, "/y") {
			_, version, err := w.disk.Cells().Get(ctx, cell)
			must(t, err)
			_, err = w.disk.Cells().Put(ctx, cell, version, []byte{0})
			must(t, err)
		}
	}
	for range 2 {
		w.now = w.now.Add(Keep + time.Second)
		if err := w.store.Sweep(ctx); err == nil || !strings.Contains(err.Error(), "of damaged") || strings.Contains(err.Error(), "of shop") {
			t.Errorf("the sweep ended with %v", err)
		}
	}
	if d, s := w.cellsBelow("damaged/d/"), w.cellsBelow("shop/d/"); d != 2 || s != 1 {
		t.Errorf("there are %d chunks of the damaged and %d of the other, want 2 and 1", d, s)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add((&object{1, content{ID{1}, 5, []byte("abc")}}).append(nil))
	f.Add(box{1, ID{2}}.append(nil))
	f.Add(change{place: place{"a", "b"}, action: moving, from: place{"c", "d"}}.append(nil))
	f.Add(opened{Reading: Reading{At: 1, End: 4, Tail: []byte("abc")}}.append(nil))
	f.Add(listed{box: true, count: 1, names: []string{"x"}}.append(nil))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = decodeObject(b)
		_, _ = decodeBox(b)
		_, _ = decodeMark(b)
		for _, d := range Funcs() {
			_, _ = d.ShowRequest(b), d.ShowResponse(b)
		}
	})
}
