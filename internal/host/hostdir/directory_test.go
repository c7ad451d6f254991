package hostdir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

func TestContentIsThatOfTheFirstOpenWhateverBecomesOfTheFile(t *testing.T) {
	for name, later := range map[string]func(*machine){
		"unchanged": func(*machine) {},
		"changed":   func(m *machine) { m.files["a/b"] = "other" },
		"gone":      func(m *machine) { delete(m.files, "a/b") },
		"forbidden": func(m *machine) { m.refuse = fs.ErrPermission },
	} {
		w := newWorld(t)
		w.files["a/b"] = "content"
		d := w.begin()
		if got, err := w.load(d, "a/b"); got != "content" || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
		w.end(d)
		later(w.machine)
		if got, err := w.load(w.begin(), "a/b"); got != "content" || err != nil || w.opens != 1 {
			t.Errorf("%s: got %q, %v and %d opens, want the recorded content and no open", name, got, err, w.opens)
		}
	}
}

func TestEmptyAndLargeFilesAreLoaded(t *testing.T) {
	for _, size := range []int{0, 1, 1 << 20} {
		w := newWorld(t)
		w.files["f"] = strings.Repeat("x", size)
		d := w.begin()
		if got, err := w.load(d, "f"); len(got) != size || err != nil {
			t.Errorf("got %d bytes, %v, want %d", len(got), err, size)
		}
		w.end(d)
		if got, err := w.load(w.begin(), "f"); len(got) != size || err != nil {
			t.Errorf("replay gives %d bytes, %v, want %d", len(got), err, size)
		}
	}
}

func TestWhatKeptTheHostFromReadingIsRecorded(t *testing.T) {
	for name, c := range map[string]struct {
		trouble func(*machine)
		want    error
	}{
		"gone":           {func(m *machine) { delete(m.files, "f") }, fs.ErrNotExist},
		"forbidden":      {func(m *machine) { m.refuse = fs.ErrPermission }, fs.ErrPermission},
		"not a file":     {func(m *machine) { m.refuse = errors.New("f is no longer a file") }, errIO},
		"a broken disk":  {func(m *machine) { m.broken = errors.New("input/output error") }, errIO},
		"gone meanwhile": {func(m *machine) { m.broken = fs.ErrNotExist }, fs.ErrNotExist},
	} {
		w := newWorld(t)
		w.files["f"] = "content"
		c.trouble(w.machine)
		d := w.begin()
		if _, err := w.load(d, "f"); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		w.end(d)
		*w.machine = machine{files: map[string]string{"f": "it is well again"}}
		if got, err := w.load(w.begin(), "f"); !errors.Is(err, c.want) || w.opens != 0 {
			t.Errorf("%s: replay gives %q, %v, want %v", name, got, err, c.want)
		}
	}
}

func TestTroubleToKeepAContentEndsTheSessionAndIsNotSeen(t *testing.T) {
	w := newWorld(t)
	w.files["f"] = "content"
	d := w.begin()
	d.Blobs = full{w.store.Blobs()}
	_, seen, err := d.Load("f")
	if !errors.Is(err, storage.ErrFull) || seen != nil || !strings.Contains(err.Error(), "keep the content of f") {
		t.Errorf("got %v, %v, want the full disk as our error", seen, err)
	}
	w.end(d)
	if w.last() != 0 {
		t.Errorf("%d entries are recorded, want none", w.last())
	}
}

type full struct{ storage.Blobs }

func (full) Put(context.Context, io.Reader) (storage.Hash, int64, error) {
	return storage.Hash{}, 0, storage.ErrFull
}

func TestLostContentIsOurErrorAndNamesTheFile(t *testing.T) {
	w := newWorld(t)
	w.files["f"] = "content"
	d := w.begin()
	if _, err := w.load(d, "f"); err != nil {
		t.Fatal(err)
	}
	w.end(d)
	d = w.begin()
	d.Blobs = memory.New().Blobs()
	if _, seen, err := d.Load("f"); !errors.Is(err, storage.ErrNotFound) || seen != nil || !strings.Contains(err.Error(), "content of f") {
		t.Errorf("got %v, %v", seen, err)
	}
}

func TestAnotherFileThanRecordedDiverges(t *testing.T) {
	w := newWorld(t)
	w.files["f"], w.files["g"] = "content", "other"
	d := w.begin()
	if _, err := w.load(d, "f"); err != nil {
		t.Fatal(err)
	}
	w.end(d)
	for name, change := range map[string]func(*Shown) string{
		"another path":      func(*Shown) string { return "g" },
		"another directory": func(d *Shown) string { d.Number = 4; return "f" },
	} {
		d := w.begin()
		_, _, err := d.Load(change(d))
		var divergence *durable.DivergenceError
		if !errors.As(err, &divergence) || divergence.Index != 1 {
			t.Errorf("%s: got %v, want a divergence at entry 1", name, err)
		}
	}
}

var changes = []Change{{Node: Node{Path: "f", Kind: File, Size: 7}}, {Node: Node{Path: "g"}, Remove: true}}

func TestChangesAreAppliedOnce(t *testing.T) {
	w := newWorld(t)
	d := w.begin()
	if err := d.Apply(changes, [32]byte{1}); err != nil {
		t.Fatal(err)
	}
	w.end(d)
	if err := w.begin().Apply(changes, [32]byte{1}); err != nil {
		t.Fatal(err)
	}
	if len(w.applied) != 1 || len(w.applied[0]) != 2 {
		t.Errorf("applied %v, want the two changes once", w.applied)
	}
}

func TestChangesAreAppliedAgainWhereACrashCameBeforeTheirOutcome(t *testing.T) {
	w := newWorld(t)
	if err := w.begin().Apply(changes, [32]byte{1}); err != nil {
		t.Fatal(err)
	} // not committed: the outcome is lost, the intent is not
	if w.last() != 1 {
		t.Fatalf("%d entries are durable, want the intent", w.last())
	}
	d := w.begin()
	if err := d.Apply(changes, [32]byte{1}); err != nil {
		t.Fatal(err)
	}
	w.end(d)
	if len(w.applied) != 2 {
		t.Errorf("applied %d times, want again", len(w.applied))
	}
	if err := w.begin().Apply(changes, [32]byte{1}); err != nil || len(w.applied) != 2 {
		t.Errorf("got %v and %d times, want it to be over", err, len(w.applied))
	}
}

func TestChangesThatTheHostRefusedAreAppliedAtTheNextRun(t *testing.T) {
	w := newWorld(t)
	w.fail = storage.ErrFull
	d := w.begin()
	if err := d.Apply(changes, [32]byte{1}); !errors.Is(err, storage.ErrFull) {
		t.Fatalf("got %v, want the host's error", err)
	}
	w.end(d)
	w.fail = nil
	d = w.begin()
	if err := d.Apply(changes, [32]byte{1}); err != nil || len(w.applied) != 2 {
		t.Errorf("got %v and %d attempts, want a second one", err, len(w.applied))
	}
}

func TestOtherChangesThanIntendedDiverge(t *testing.T) {
	for name, again := range map[string]func(*Shown) error{
		"other content":     func(d *Shown) error { return d.Apply(changes, [32]byte{2}) },
		"fewer":             func(d *Shown) error { return d.Apply(changes[:1], [32]byte{1}) },
		"another directory": func(d *Shown) error { d.Number = 4; return d.Apply(changes, [32]byte{1}) },
	} {
		w := newWorld(t)
		if err := w.begin().Apply(changes, [32]byte{1}); err != nil {
			t.Fatal(err)
		}
		err := again(w.begin())
		var divergence *durable.DivergenceError
		if !errors.As(err, &divergence) || len(w.applied) != 1 {
			t.Errorf("%s: got %v after %d attempts, want a divergence before the host is touched", name, err, len(w.applied))
		}
	}
}

func TestBlobOfARecordedContentIsFound(t *testing.T) {
	w := newWorld(t)
	w.files["f"] = "content"
	d := w.begin()
	_, _ = w.load(d, "f")
	_, _ = w.load(d, "missing")
	if err := d.Apply(changes, [32]byte{}); err != nil {
		t.Fatal(err)
	}
	w.end(d)
	found := 0
	for entry, err := range oplog.Read(context.Background(), w.store.Logs(), alice, 1, 0) {
		if err != nil {
			t.Fatal(err)
		}
		call, ok := entry.Body.(*oplog.HostCall)
		if !ok {
			continue
		}
		if h, ok := Content(call); ok {
			found++
			if r, err := w.store.Blobs().Get(context.Background(), h); err != nil {
				t.Error(err)
			} else if content, _ := io.ReadAll(r); string(content) != "content" {
				t.Errorf("the blob is %q", content)
			}
		}
	}
	if found != 1 {
		t.Errorf("found %d blobs, want that of the one file that was read", found)
	}
	if _, ok := Content(&oplog.HostCall{Func: 1, Response: make([]byte, 40)}); ok {
		t.Error("a call of another function refers to a blob")
	}
}

func TestRecordsReadAsPeopleWouldSayThem(t *testing.T) {
	hash := storage.Hash{0xab}
	for got, want := range map[string]string{
		load.ShowRequest(placeCodec.Append(nil, place{1, "a/b"})):                     `"a/b" of directory 1`,
		load.ShowResponse(load.Response.Append(nil, loaded{Hash: hash, Size: 7})):     fmt.Sprintf("7 bytes, blob %s", hash),
		load.ShowResponse(load.Response.Append(nil, loaded{Failure: gone})):           "file does not exist",
		load.ShowResponse(load.Response.Append(nil, loaded{Failure: forbidden})):      "permission denied",
		load.ShowResponse(load.Response.Append(nil, loaded{Failure: broken})):         "input/output error of the host",
		apply.ShowRequest(apply.Request.Append(nil, writing{Directory: 2, Steps: 5})): "5 changes of directory 2",
		load.ShowRequest(nil):                             " (the recorded value has the wrong length)",
		load.ShowResponse([]byte{9, 9}):                   "0909 (the recorded value has the wrong length)",
		apply.ShowRequest([]byte{1, 2, 3}):                "010203 (the recorded value has the wrong length)",
		load.ShowResponse(append(make([]byte, 33), 0xff)): "000000000000000000000000000000000000000000000000000000000000000000ff (the recorded value has the wrong length)",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
