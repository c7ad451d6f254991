package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// mortal is a store that dies at one of its writes, before or behind it.
type mortal struct {
	storage.Store
	*life
}

type life struct {
	left   atomic.Int64 // writes until then
	behind bool
}

var errDead = errors.New("the process has ended")

// write performs a write, or does not, and dies.
func (l *life) write(perform func() error) error {
	left := l.left.Add(-1)
	if left == 0 && l.behind {
		_ = perform()
	}
	if left <= 0 {
		return errDead
	}
	return perform()
}

func (s mortal) Logs() storage.Logs   { return mortalLogs{s.Store.Logs(), s.life} }
func (s mortal) Blobs() storage.Blobs { return mortalBlobs{s.Store.Blobs(), s.life} }

type mortalLogs struct {
	storage.Logs
	*life
}

func (l mortalLogs) Append(ctx context.Context, shard id.Shard, epoch id.Epoch, head uint64, segment []storage.Chunk) error {
	return l.write(func() error { return l.Logs.Append(ctx, shard, epoch, head, segment) })
}

func (l mortalLogs) Truncate(ctx context.Context, shard id.Shard, epoch id.Epoch, w id.Worker, below uint64) error {
	return l.write(func() error { return l.Logs.Truncate(ctx, shard, epoch, w, below) })
}

func (l mortalLogs) Delete(ctx context.Context, shard id.Shard, epoch id.Epoch, w id.Worker) error {
	return l.write(func() error { return l.Logs.Delete(ctx, shard, epoch, w) })
}

type mortalBlobs struct {
	storage.Blobs
	*life
}

func (b mortalBlobs) Put(ctx context.Context, r io.Reader) (h storage.Hash, n int64, err error) {
	err = b.write(func() (err error) {
		h, n, err = b.Blobs.Put(ctx, r)
		return err
	})
	return h, n, err
}

func (b mortalBlobs) PutAll(ctx context.Context, contents iter.Seq[io.Reader]) (all []storage.Blob, err error) {
	err = b.write(func() (err error) {
		all, err = b.Blobs.PutAll(ctx, contents)
		return err
	})
	return all, err
}

func (b mortalBlobs) Delete(ctx context.Context, h storage.Hash) error {
	return b.write(func() error { return b.Blobs.Delete(ctx, h) })
}

// archives are the blobs of a store that are archives.
func (p *platform) archives() (all []storage.Hash) {
	p.t.Helper()
	for h := range p.blobs() {
		r, err := p.store.Blobs().Get(context.Background(), h)
		if errors.Is(err, storage.ErrNotFound) {
			continue // it has just been deleted
		}
		must(p.t, err)
		magic := make([]byte, 4)
		_, err = io.ReadFull(r, magic)
		must(p.t, errors.Join(err, r.Close()))
		if string(magic) == "WBAR" {
			all = append(all, h)
		}
	}
	return all
}

func TestNothingIsLostOrLeftWhereverRetentionEnds(t *testing.T) {
	const calls = 24
	step := 1
	if testing.Short() {
		step = 7
	}
	for _, behind := range []bool{false, true} {
		at := 1
		for done := false; !done; at += step {
			done = endAt(t, at, calls, behind)
			if t.Failed() {
				t.Fatalf("the process ended at write %d, behind it: %t", at, behind)
			}
		}
		if at < calls {
			t.Errorf("there were only %d writes", at)
		}
	}
}

// endAt lets a process end at one of its writes while it truncates a worker's
// oplog all the time, and then another go on. It reports whether it came to its
// end before.
func endAt(t *testing.T, at, calls int, behind bool) (done bool) {
	store, l := memory.New(), &life{behind: behind}
	l.left.Store(forever)
	keep := api.Retention{Oplog: api.KeepInvocations(2)}
	s := setup{change: func(c *worker.Config) { keeping(keep)(c) }, open: func() storage.Store { return mortal{store.Reopen(), l} }}
	p := s.platform(t)
	p.create(shop, api.NewWorker{})
	l.left.Store(int64(at))
	call := func(ctx context.Context, i int) (api.Invocation, error) {
		c := api.Call{Key: fmt.Sprint("k", i), Function: "inc", Args: json.RawMessage("[1]")}
		if i%4 == 3 {
			c.Function, c.Args = "print", json.RawMessage("[1]")
		}
		return p.Invoke(ctx, shop, c)
	}
	all := told{}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	for i := range calls {
		if v, err := call(ctx, i); err == nil {
			all[v.Key] = text(t, v)
		}
	}
	cancel()
	done = l.left.Load() > 0
	l.left.Store(min(l.left.Load(), 1))
	p.Workers.Close(ctx)
	p.agenda.Close()
	_ = p.committer.Close()
	must(t, p.catalog.Close())

	if l.left.Store(forever); at%2 == 0 {
		// Nothing more is truncated, so nothing is made anew as it was.
		keep.Oplog = api.KeepInvocations(forever)
	}
	p.open()
	if got := p.ask(shop, all); !maps.Equal(got, all) {
		t.Errorf("got %v, want %v", got, all)
	}
	for i := range calls {
		v, err := call(t.Context(), i)
		must(t, err)
		if was := all[v.Key]; was != "" && was != text(t, v) {
			t.Errorf("got %s, want %s", text(t, v), was)
		}
		all[v.Key] = text(t, v)
	}
	p.want(shop, fmt.Sprintf("[%d]", calls*3/4), "get")
	if chunks, gone := p.printed(shop); gone > 0 || len(chunks) < calls/2 {
		t.Errorf("%d parts of the output are gone, there is %q", gone, chunks)
	}
	p.eventually("no archive is there that nobody needs", func() bool {
		needed := p.used(shop)
		for _, h := range p.archives() {
			if !needed[h] {
				return false
			}
		}
		return true
	})
	p.close()
	return done
}

const forever = 1 << 40
