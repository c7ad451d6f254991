package waterbear

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// small is a program that compiles quickly.
func small(t *testing.T) []byte {
	t.Helper()
	return guests.Wasm(t, "hostile")
}

func blobs(t *testing.T, n *Node) (all []storage.Hash) {
	t.Helper()
	for h, err := range n.store.Blobs().List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	return all
}

// shared is a directory of the host.
func shared(t *testing.T, content string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDeleteFreesWhatNoOtherWorkerNeeds(t *testing.T) {
	n := open(t, stateDir(t))
	dir := shared(t, "of the host")
	for _, name := range []string{"a", "b"} {
		c := script(t, name, "read /data/f", "write /own "+name, "write /both same")
		c.Dirs = []Dir{{Host: dir, Guest: "/data"}}
		run(t, n, c)
	}
	both := len(blobs(t, n))
	if err := n.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if one := len(blobs(t, n)); one >= both || one == 0 {
		t.Errorf("%d blobs of both workers, %d of one", both, one)
	}
	if _, err := n.Worker(t.Context(), "a"); !errors.Is(err, ErrNoWorker) {
		t.Errorf("it is still there: %v", err)
	}
	files, err := n.Files(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"own": "b", "both": "same", "data/f": "of the host"} {
		if got, err := fs.ReadFile(files, name); string(got) != want {
			t.Errorf("%s of the other worker: %q, %v, want %q", name, got, err, want)
		}
	}
	if err := n.Delete(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if left := blobs(t, n); len(left) != 0 {
		t.Errorf("%d blobs are left when no worker is", len(left))
	}
	if err := n.Delete(t.Context(), "b"); !errors.Is(err, ErrNoWorker) {
		t.Errorf("deleted again: %v, want ErrNoWorker", err)
	}
}

func TestDeleteWhileAnotherWorkerRunsTakesNothingFromIt(t *testing.T) {
	n := open(t, stateDir(t))
	run(t, n, script(t, "a", "write /f mine"))
	c := script(t, "b", "read /data/f", "print one", "cat", "read /data/f")
	c.Dirs = []Dir{{Host: shared(t, "content"), Guest: "/data"}}
	r := begin(t, n, c)
	r.shows("one")
	if err := n.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	r.interrupt()
	if exit, out := run(t, n, c); exit.Code != 0 || out != "content\n" {
		t.Errorf("got %+v and %q", exit, out)
	}
}

// sweeping lets a test act between the look at what is needed and the
// deletion of the rest.
type sweeping struct {
	storage.Store
	list func()
}

func (s sweeping) Blobs() storage.Blobs { return sweepingBlobs{s.Store.Blobs(), s.list} }

type sweepingBlobs struct {
	storage.Blobs
	list func()
}

func (b sweepingBlobs) List(ctx context.Context) iter.Seq2[storage.Hash, error] {
	b.list()
	return b.Blobs.List(ctx)
}

func TestRunThatBeginsDuringADeleteWaitsAndLosesNothing(t *testing.T) {
	n := open(t, stateDir(t))
	run(t, n, script(t, "a", "print one"))
	b := id.Worker{Component: runComponent, Name: "b"}
	c := Command{Name: b.Name, Program: small(t), Args: []string{"hostile", "exit", "0"}, Dirs: []Dir{{Host: shared(t, "x"), Guest: "/"}}}
	ended := make(chan error, 1)
	store := n.store
	n.store = sweeping{store, func() {
		impatient, stop := context.WithCancel(t.Context())
		stop()
		if err := n.claim(impatient, b); !errors.Is(err, context.Canceled) {
			t.Errorf("a worker is claimed while blobs are swept away: %v", err)
		}
		go func() {
			_, err := n.Run(t.Context(), c)
			ended <- err
		}()
	}}
	if err := n.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for entry, err := range oplog.Read(t.Context(), store.Logs(), b, 1, 0) {
		if err != nil {
			t.Fatal(err)
		}
		needed, err := n.runtime.Blobs(t.Context(), entry.Body)
		if err != nil {
			t.Error(err)
		}
		for _, h := range needed {
			if r, err := store.Blobs().Get(t.Context(), h); err != nil {
				t.Errorf("entry %d needs a blob that is gone: %v", entry.Index, err)
			} else {
				_ = r.Close()
			}
		}
	}
}

// damage flips a bit of text wherever a log file has it.
func damage(t *testing.T, dir, text string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "log", "*"))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for at := bytes.Index(content, []byte(text)); at >= 0; at = bytes.Index(content, []byte(text)) {
			content[at] ^= 1
			found = true
		}
		if err := os.WriteFile(file, content, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if !found {
		t.Fatalf("no log file has %q", text)
	}
}

func TestDamageConcernsOneWorkerAlone(t *testing.T) {
	dir := stateDir(t)
	n := open(t, dir)
	// What is committed together is damaged together, and the intent of a sleep
	// is a commit of its own.
	broken, sound := script(t, "broken", "print first", "cat", "print hurt", "sleep 10ms", "print last"), script(t, "sound", "print well", "cat", "print done")
	r := begin(t, n, broken)
	r.shows("first")
	r.interrupt()
	s := begin(t, n, sound)
	s.shows("well")
	s.interrupt()
	run(t, n, broken)
	mustClose(t, n)
	damage(t, dir, "hurt \n")

	n = open(t, dir)
	_, err := n.Run(t.Context(), broken)
	var corrupt *storage.CorruptError
	if !errors.As(err, &corrupt) || corrupt.Worker.Name != "broken" || !strings.Contains(err.Error(), "corrupt oplog of run/broken, entries ") {
		t.Errorf("Run: got %v, want the worker and its entries", err)
	}
	w, err := n.Worker(t.Context(), "broken")
	if err != nil || !strings.Contains(w.Reason, "corrupt oplog of run/broken") || w.Entries == 0 {
		t.Errorf("Worker: got %+v, %v", w, err)
	}
	var readable strings.Builder
	damages := 0
	for chunk, err := range n.Logs(t.Context(), "broken", ReadOptions{Follow: true}) {
		if err != nil {
			damages++
		}
		readable.Write(chunk.Bytes)
	}
	if damages == 0 || !strings.Contains(readable.String(), "first") || !strings.Contains(readable.String(), "last") {
		t.Errorf("Logs: %d errors and %q, want what is around the damage", damages, readable.String())
	}
	workers, err := n.Workers(t.Context())
	if err != nil || len(workers) != 2 || workers[1].Status != Interrupted {
		t.Errorf("Workers: got %+v, %v", workers, err)
	}
	if exit, out := run(t, n, sound); exit.Code != 0 || out != "done \n" {
		t.Errorf("the other worker: %+v and %q", exit, out)
	}
	if err := n.Delete(t.Context(), "broken"); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if exit, out := run(t, n, broken); exit.Code != 0 || !strings.HasPrefix(out, "first") {
		t.Errorf("a new worker of that name: %+v and %q", exit, out)
	}
}

func TestDeletingBesideADamagedWorkerKeepsAllThatItMayNeed(t *testing.T) {
	dir := stateDir(t)
	n := open(t, dir)
	run(t, n, script(t, "broken", "print hurt", "write /f content"))
	run(t, n, script(t, "other", "write /g content"))
	mustClose(t, n)
	damage(t, dir, "hurt \n")
	n = open(t, dir)
	before := len(blobs(t, n))
	if err := n.Delete(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	if after := len(blobs(t, n)); after != before {
		t.Errorf("%d of %d blobs are left", after, before)
	}
	if err := n.Delete(t.Context(), "broken"); err != nil {
		t.Fatal(err)
	}
	if left := len(blobs(t, n)); left != 0 {
		t.Errorf("%d blobs are left when no worker is", left)
	}
}

func TestDamagedWorkerCanBeRunAfresh(t *testing.T) {
	dir := stateDir(t)
	n := open(t, dir)
	c := script(t, "broken", "print hurt")
	run(t, n, c)
	mustClose(t, n)
	damage(t, dir, "hurt \n")
	c.Fresh = true
	if exit, out := run(t, open(t, dir), c); exit.Finished || out != "hurt \n" {
		t.Errorf("got %+v and %q", exit, out)
	}
}

func TestWorkerWhoseFilesAreLostKeepsNobodyFromDeleting(t *testing.T) {
	n := open(t, stateDir(t))
	run(t, n, script(t, "a", "write /f a"))
	run(t, n, script(t, "b", "write /f b"))
	s, err := n.status(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.store.Blobs().Delete(t.Context(), s.Exited.Files); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Files(t.Context(), "b"); !errors.Is(err, storage.ErrNotFound) || !strings.Contains(err.Error(), "files of run/b") {
		t.Errorf("Files: got %v", err)
	}
	for _, name := range []string{"a", "b"} {
		if err := n.Delete(t.Context(), name); err != nil {
			t.Errorf("Delete of %s: %v", name, err)
		}
	}
	if left := len(blobs(t, n)); left != 0 {
		t.Errorf("%d blobs are left when no worker is", left)
	}
}
