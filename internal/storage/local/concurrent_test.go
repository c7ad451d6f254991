package local_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

func TestManyCallersAtOnceDoNotDisturbEachOther(t *testing.T) {
	disk := vfs.NewMemory(1)
	s := open(t, disk, "store", small)
	var wg sync.WaitGroup
	const rounds = 150
	for shard := range id.Shard(3) {
		_, err := s.Logs().Acquire(ctx, shard, 1)
		must(t, err)
		name := fmt.Sprint("w", shard)
		wg.Go(func() {
			for i := range uint64(rounds) {
				c := storage.Chunk{Worker: named(name), First: i + 1, Count: 1, Bytes: bytesOf(name, i+1, 200)}
				if err := s.Logs().Append(ctx, shard, 1, i, []storage.Chunk{c}); err != nil {
					t.Error(err)
					return
				}
				if i%40 == 39 {
					if err := s.Logs().Truncate(ctx, shard, 1, named(name), i-20); err != nil {
						t.Error(err)
					}
				}
			}
		})
		wg.Go(func() {
			for seen := uint64(0); seen < rounds; {
				at := uint64(0)
				for c, err := range s.Logs().Read(ctx, named(name), 0, 0) {
					if err != nil || !bytes.Equal(c.Bytes, bytesOf(name, c.First, 200)) || c.First <= at {
						t.Errorf("reading %s: entry %d after %d, %v", name, c.First, at, err)
						return
					}
					at = c.First
				}
				seen = at
			}
		})
	}
	done := make(chan struct{})
	var tidying sync.WaitGroup
	tidying.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if _, err := s.Housekeep(ctx); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	wg.Go(func() {
		version := uint64(0)
		for i := range rounds {
			var err error
			if version, err = s.Cells().Put(ctx, "cell", version, fmt.Append(nil, i)); err != nil {
				t.Error(err)
			}
			if _, _, err := s.Blobs().Put(ctx, bytes.NewReader(bytesOf("blob", uint64(i), 300*i))); err != nil {
				t.Error(err)
			}
			for _, err := range s.Logs().Workers(ctx, id.Worker{}) {
				if err != nil {
					t.Error(err)
				}
			}
		}
	})
	wg.Wait()
	close(done)
	tidying.Wait()
	removeIndexOf(t, s, disk, true)
}

func TestCloseWaitsForACallAndRefusesTheNext(t *testing.T) {
	s := open(t, vfs.NewMemory(1), "store", small)
	l := newLog(t, s)
	must(t, l.append("a", 10))
	must(t, l.append("a", 10))
	closed := make(chan error)
	for _, err := range s.Logs().Read(ctx, named("a"), 1, 0) {
		must(t, err)
		if l.head < 100 {
			l.head = 100
			go func() { closed <- s.Close() }()
		}
		select {
		case <-closed:
			t.Fatal("closed while it was being read")
		default:
		}
	}
	must(t, <-closed)
	if err := l.append("a", 10); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
