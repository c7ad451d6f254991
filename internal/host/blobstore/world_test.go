package blobstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/once"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

// world is a store, and workers of one component that come and go.
type world struct {
	t     testing.TB
	disk  *memory.Store
	cells *dying
	store *Store
	now   time.Time
	limit uint64 // of what the component shares
	drawn uint64

	component, life string // of the workers that as lets run
}

// dying are cells whose user's process may end before or behind a write.
type dying struct {
	storage.Cells
	before, behind int // that many writes from now; 0: never
	during         func()
}

var errDied = errors.New("the process has ended")

func (c *dying) do(write func() error) error {
	if c.before > 0 {
		if c.before--; c.before == 0 {
			return errDied
		}
	}
	if during := c.during; during != nil {
		c.during = nil
		during()
	}
	err := write()
	if c.behind > 0 {
		if c.behind--; c.behind == 0 {
			return errDied
		}
	}
	return err
}

func (c *dying) Put(ctx context.Context, key string, expected uint64, value []byte) (version uint64, err error) {
	err = c.do(func() error { version, err = c.Cells.Put(ctx, key, expected, value); return err })
	return version, err
}

func (c *dying) Delete(ctx context.Context, key string, expected uint64) error {
	return c.do(func() error { return c.Cells.Delete(ctx, key, expected) })
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, disk: memory.New(), now: time.Unix(1000, 0), component: "shop"}
	w.cells = &dying{Cells: w.disk.Cells()}
	w.open()
	return w
}

// open is what a process does at its start.
func (w *world) open() {
	w.store = NewStore(once.NewCells(w.cells, sched.NewGoroutines(), func(string) uint64 { return w.limit }), func() time.Time { return w.now }, func(p []byte) error {
		w.drawn++
		binary.BigEndian.PutUint64(p, w.drawn)
		return nil
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// as lets a process of a worker run a program, and gives what that ended with.
// Whatever was recorded is durable, unless the process has died: then the entries
// behind the last commit are lost.
func (w *world) as(name string, program func(c *Containers) error) error {
	w.t.Helper()
	worker := id.Worker{Component: w.component, Name: name}
	_, last, err := w.disk.Logs().Bounds(context.Background(), worker)
	must(w.t, err)
	k, err := oplog.NewCommitter(context.Background(), sched.NewGoroutines(), w.disk.Logs(), 0)
	must(w.t, err)
	s := durable.NewSession(context.Background(), durable.Config{
		Worker: worker, Cursor: oplog.NewCursor(w.disk.Logs(), worker, 1, last), Writer: k.NewWriter(worker, last),
	})
	err = program(&Containers{Config: Config{Session: s, Store: w.store, Worker: worker, Life: w.life}})
	if !errors.Is(err, errDied) {
		must(w.t, s.Writer.Commit(context.Background()))
	}
	must(w.t, k.Close())
	return err
}

// putObject writes an object in pieces of 100,000 bytes.
func putObject(c *Containers, container, name string, content []byte) error {
	var w Writing
	for len(content) > 0 {
		n := min(len(content), 100_000)
		if err := c.Write(&w, content[:n]); err != nil {
			return err
		}
		content = content[n:]
	}
	return c.Finish(&w, container, name)
}

// getPart reads a part of an object.
func getPart(c *Containers, container, name string, start, end uint64) ([]byte, error) {
	r, err := c.Open(container, name, start, end)
	if err != nil {
		return nil, err
	}
	var all []byte
	for {
		p, err := c.Read(&r, 70_001)
		if err != nil || len(p) == 0 {
			return all, err
		}
		all = append(all, p...)
	}
}

// whole is a part that no object goes beyond.
const whole = ^uint64(0)

// fill is content of a length that differs everywhere.
func fill(n int, seed byte) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i>>16) + byte(i*7) + seed
	}
	return p
}

// cellsBelow counts cells whose keys have a text in them.
func (w *world) cellsBelow(part string) (n int) {
	for cell, err := range w.disk.Cells().List(context.Background(), "", "") {
		must(w.t, err)
		if strings.Contains(cell, part) {
			n++
		}
	}
	return n
}

// wants checks that err is one that the program sees.
func wants(t testing.TB, err error, part string) {
	t.Helper()
	if e := (*Error)(nil); !errors.As(err, &e) || !strings.Contains(e.Reason, part) {
		t.Errorf("got %v, want an error of the program with %q", err, part)
	}
}

func names(c *Containers, container string) (all []string, err error) {
	for behind := ""; ; {
		page, more, err := c.Names(container, behind, 2)
		if all = append(all, page...); err != nil || !more {
			return all, err
		}
		behind = page[len(page)-1]
	}
}

func seq(list ...int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, n := range list {
			if !yield(n) {
				return
			}
		}
	}
}

func checkObject(t testing.TB, c *Containers, container, name string, want []byte) {
	t.Helper()
	got, err := getPart(c, container, name, 0, whole)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s of %s has %s, %v; want %s", name, container, sum(got), err, sum(want))
	}
}

func sum(p []byte) string {
	if len(p) < 40 {
		return fmt.Sprintf("%q", p)
	}
	return fmt.Sprintf("%d bytes, %q…", len(p), p[:20])
}

// held checks that what is counted of the component is what there is, and gives it.
func (w *world) held() (bytes int) {
	w.t.Helper()
	for cell, err := range w.disk.Cells().List(context.Background(), componentPrefix(w.component), "") {
		must(w.t, err)
		value, _, err := w.disk.Cells().Get(context.Background(), cell)
		must(w.t, err)
		bytes += len(cell) + len(value)
	}
	if got, _, err := w.store.cells.Held(context.Background(), w.component); int(got) != bytes || err != nil {
		w.t.Errorf("%d bytes are held, %v; want %d", got, err, bytes)
	}
	return bytes
}
