package crash

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// variant is the module with a custom section of its own: other bytes, which do
// the same.
func variant(module []byte, mark string) []byte {
	content := append([]byte{byte(len("mark"))}, "mark"+mark...)
	return append(append(slices.Clone(module), 0, byte(len(content))), content...)
}

func TestAKilledDeploymentIsThereWholeOrNotAtAll(t *testing.T) {
	random := randomOf(t, 200)
	s := startServer(t)
	c := s.client()
	module := guests.Wasm(t, "counter")
	first := deploy(t, c, module)
	usual := lasts(func() { deploy(t, c, variant(module, "-")) })
	latest, done := first.Number+1, 0
	for i := range share(6) {
		next := variant(module, fmt.Sprint(i))
		var deployed api.Deployed
		var err error
		s.killWhile(random, 2*usual, func() { deployed, err = c.Deploy(t.Context(), "counter", next, nil) })
		there := revisions(t, c)
		if n := uint64(len(there)); n != latest && n != latest+1 || err == nil && n != latest+1 {
			t.Fatalf("there are %d revisions, and there were %d; the client was told %+v, %v (seed %d)", n, latest, deployed, err, *seed)
		}
		isThere := uint64(len(there)) == latest+1
		if isThere {
			done++
		}
		again := deploy(t, c, next)
		latest++
		sum := sha256.Sum256(next)
		if again.New == isThere || again.Number != latest || again.Hash != hex.EncodeToString(sum[:]) {
			t.Errorf("deployed again it is %+v, want revision %d, new: %v (seed %d)", again, latest, !isThere, *seed)
		}
		runs(t, c, fmt.Sprintf("w%d", i), latest)
	}
	t.Logf("%d of %d killed deployments were there; one takes %v", done, share(6), usual.Round(time.Millisecond))
}

func deploy(t *testing.T, c *client.Client, module []byte) api.Deployed {
	t.Helper()
	d, err := c.Deploy(t.Context(), "counter", module, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// revisions lists the revisions of the counter, and demands that none is
// missing.
func revisions(t *testing.T, c *client.Client) []api.Revision {
	t.Helper()
	all, err := c.Revisions(t.Context(), "counter")
	if err != nil {
		t.Fatalf("list the revisions after a kill: %v (seed %d)", err, *seed)
	}
	for i, r := range all {
		if r.Number != uint64(len(all)-i) {
			t.Errorf("the revisions are %+v (seed %d)", all, *seed)
		}
	}
	return all
}

// runs demands that a new worker uses the revision, and works.
func runs(t *testing.T, c *client.Client, worker string, revision uint64) {
	t.Helper()
	if got := add(t, c, worker, 3); got != 3 {
		t.Errorf("a new worker begins at %d (seed %d)", got-3, *seed)
	}
	w, err := c.Worker(t.Context(), "counter", worker)
	if err != nil || w.Revision != revision {
		t.Errorf("the new worker has revision %d, %v; want %d (seed %d)", w.Revision, err, revision, *seed)
	}
}

// add adds to the counter of a worker, which works, and gives the total.
func add(t *testing.T, c *client.Client, worker string, n int64) int64 {
	t.Helper()
	inv, err := c.Invoke(t.Context(), "counter", worker, api.Call{Function: "add", Args: json.RawMessage(fmt.Sprintf("[%d]", n))})
	total, ok := (&operation{answer: inv}).result()
	if err != nil || !ok {
		t.Fatalf("add to %s: %+v, %v (seed %d)", worker, inv, err, *seed)
	}
	return total
}

// isCode reports whether the server has refused with a code.
func isCode(err error, code api.Code) bool {
	p, ok := errors.AsType[*api.Problem](err)
	return ok && p.Code == code
}

func TestAKilledCreationMadeTheWorkerWholeOrNotAtAll(t *testing.T) {
	random := randomOf(t, 300)
	s := startServer(t)
	c := s.client()
	deploy(t, c, guests.Wasm(t, "counter"))
	made := 0
	for i := range share(6) {
		wish, files := wished(random, i)
		usual := lasts(func() { create(t, c, fmt.Sprintf("usual%d", i), wish) })
		name := fmt.Sprintf("w%d", i)
		var err error
		s.killWhile(random, 2*usual, func() { _, err = c.CreateWorker(t.Context(), "counter", name, wish) })
		_, looked := c.Worker(t.Context(), "counter", name)
		if looked != nil && (err == nil || !isCode(looked, api.CodeNoWorker)) {
			t.Fatalf("the client was told %v, and then there is no such worker: %v (seed %d)", err, looked, *seed)
		}
		if looked == nil {
			made++
			whole(t, c, name, wish, files)
		}
		create(t, c, name, wish)
		whole(t, c, name, wish, files)
		if got := add(t, c, name, 2); got != 2 {
			t.Errorf("the new worker begins at %d (seed %d)", got-2, *seed)
		}
	}
	t.Logf("%d of %d workers were there after the kill", made, share(6))
}

// wished makes what a worker is to be created with, and the files of it.
func wished(random *rand.Rand, i int) (api.NewWorker, map[string][]byte) {
	files := map[string][]byte{"/a": noise(random, 200_000), "/dir/b": noise(random, 10), "/dir/empty": {}}
	wish := api.NewWorker{Args: []string{"a", "b"}, Env: []string{fmt.Sprintf("KEY=%d", i)}, Files: map[string]string{}}
	for path, content := range files {
		wish.Files[path] = base64.StdEncoding.EncodeToString(content)
	}
	return wish, files
}

func create(t *testing.T, c *client.Client, name string, wish api.NewWorker) {
	t.Helper()
	if _, err := c.CreateWorker(t.Context(), "counter", name, wish); err != nil {
		t.Fatalf("create %s: %v (seed %d)", name, err, *seed)
	}
}

// lasts measures how long something takes.
func lasts(act func()) time.Duration {
	began := time.Now()
	act()
	return time.Since(began)
}

// whole demands that a worker has all it was created with.
func whole(t *testing.T, c *client.Client, name string, wish api.NewWorker, files map[string][]byte) {
	t.Helper()
	w, err := c.Worker(t.Context(), "counter", name)
	if err != nil || !slices.Equal(w.Args, wish.Args) || !slices.Equal(w.Env, wish.Env) {
		t.Fatalf("the worker is %+v, %v (seed %d)", w, err, *seed)
	}
	listed, err := c.Files(t.Context(), "counter", name)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]byte{}
	for _, f := range listed {
		if f.Kind != "file" {
			continue
		}
		r, err := c.File(t.Context(), "counter", name, f.Path)
		if err != nil {
			t.Fatal(err)
		}
		if got[f.Path], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
	}
	if !maps.EqualFunc(got, files, bytes.Equal) {
		t.Errorf("the worker's files are not those it was created with: %v (seed %d)", slices.Sorted(maps.Keys(got)), *seed)
	}
}

func noise(random *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

func TestAKilledDeletionLeftTheWorkerWholeOrNothingOfIt(t *testing.T) {
	random := randomOf(t, 400)
	s := startServer(t)
	c := s.client()
	deploy(t, c, guests.Wasm(t, "counter"))
	gone := 0
	for i := range share(6) {
		name := fmt.Sprintf("w%d", i)
		const calls = 20
		for range calls {
			add(t, c, name, 1)
		}
		// One that waits, too: it must not come back after the deletion.
		later := api.Call{Function: "add", Args: json.RawMessage("[100]"), Key: "later", Due: time.Now().Add(time.Hour)}
		if _, err := c.Invoke(t.Context(), "counter", name, later); err != nil {
			t.Fatal(err)
		}
		add(t, c, "usual", 1)
		usual := lasts(func() { remove(t, c, "usual") })
		var err error
		s.killWhile(random, 2*usual, func() { err = c.DeleteWorker(t.Context(), "counter", name) })
		_, looked := c.Worker(t.Context(), "counter", name)
		switch {
		case looked == nil && err == nil:
			t.Fatalf("the client was told that %s is deleted, and it is there (seed %d)", name, *seed)
		case looked == nil:
			if got := add(t, c, name, 1); got != calls+1 {
				t.Errorf("it was not deleted, and its total is %d, want %d (seed %d)", got, calls+1, *seed)
			}
			remove(t, c, name)
		case isCode(looked, api.CodeNoWorker):
			gone++
		default:
			t.Fatalf("look at a worker whose deletion was cut off: %v (seed %d)", looked, *seed)
		}
		afresh(t, c, name)
	}
	t.Logf("%d of %d workers were gone after the kill", gone, share(6))
	deleteComponent(t, c, s, random)
}

func remove(t *testing.T, c *client.Client, name string) {
	t.Helper()
	if err := c.DeleteWorker(t.Context(), "counter", name); err != nil {
		t.Fatalf("delete %s: %v (seed %d)", name, err, *seed)
	}
}

// afresh demands that a worker of the name of a deleted one has nothing of it.
func afresh(t *testing.T, c *client.Client, name string) {
	t.Helper()
	if got := add(t, c, name, 1); got != 1 {
		t.Errorf("a worker named like a deleted one begins at %d (seed %d)", got-1, *seed)
	}
	if _, err := c.Invocation(t.Context(), "counter", name, "later"); !isCode(err, api.CodeNoInvocation) {
		t.Errorf("an invocation of a deleted worker: %v, want %s (seed %d)", err, api.CodeNoInvocation, *seed)
	}
	var printed strings.Builder
	for chunk, err := range c.Logs(t.Context(), "counter", name, api.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		printed.WriteString(chunk.Text)
	}
	if printed.String() != "added 1: 1\n" {
		t.Errorf("its log is %q (seed %d)", printed.String(), *seed)
	}
}

// deleteComponent deletes all workers and then, while the server is killed, the
// component.
func deleteComponent(t *testing.T, c *client.Client, s *server, random *rand.Rand) {
	t.Helper()
	for w, err := range c.Workers(t.Context(), api.WorkerFilter{Component: "counter"}) {
		if err != nil {
			t.Fatal(err)
		}
		remove(t, c, w.Name)
	}
	var err error
	s.killWhile(random, time.Millisecond, func() { err = c.DeleteComponent(context.WithoutCancel(t.Context()), "counter") })
	_, looked := c.Component(t.Context(), "counter")
	if looked == nil && err == nil || looked != nil && !isCode(looked, api.CodeNoComponent) {
		t.Errorf("the client was told %v of the deletion, and then %v of the component (seed %d)", err, looked, *seed)
	}
	if d := deploy(t, c, guests.Wasm(t, "counter")); looked != nil && !d.New {
		t.Errorf("deployed after its deletion it is %+v (seed %d)", d, *seed)
	}
	runs(t, c, "anew", revisions(t, c)[0].Number)
}
