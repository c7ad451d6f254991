package storagetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"sync"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// ErrInjected is the error that a Faulty store gives.
var ErrInjected = errors.New("injected fault")

// Fault is what becomes of a call to a Faulty store.
type Fault uint8

// The faults.
const (
	None   Fault = iota
	Before       // it fails and does nothing
	After        // it does what it is asked for and fails
)

// Faulty gives a store whose calls fail as plan says: it is asked with the
// call's name, such as "Append", before each. Reads know only Before.
func Faulty(store storage.Store, plan func(call string) Fault) storage.Store {
	return &faulty{store: store, plan: plan}
}

// Alternate is a plan that goes through faults again and again.
func Alternate(faults ...Fault) func(string) Fault {
	var mu sync.Mutex
	n := -1
	return func(string) Fault {
		mu.Lock()
		defer mu.Unlock()
		n++
		return faults[n%len(faults)]
	}
}

type faulty struct {
	store storage.Store
	plan  func(string) Fault
}

func (f *faulty) Logs() storage.Logs   { return faultyLogs{f, f.store.Logs()} }
func (f *faulty) Blobs() storage.Blobs { return faultyBlobs{f, f.store.Blobs()} }
func (f *faulty) Cells() storage.Cells { return faultyCells{f, f.store.Cells()} }
func (f *faulty) Close() error         { return f.store.Close() }

func (f *faulty) do(call string, act func() error) error {
	fault := f.plan(call)
	if fault == Before {
		return ErrInjected
	}
	if err := act(); err != nil || fault == None {
		return err
	}
	return ErrInjected
}

func faultySeq[T any](f *faulty, call string, seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if f.plan(call) != None {
			var none T
			yield(none, ErrInjected)
			return
		}
		seq(yield)
	}
}

type faultyLogs struct {
	*faulty
	logs storage.Logs
}

func (f faultyLogs) Acquire(ctx context.Context, shard id.Shard, epoch id.Epoch) (head uint64, err error) {
	err = f.do("Acquire", func() error {
		head, err = f.logs.Acquire(ctx, shard, epoch)
		return err
	})
	return head, err
}

func (f faultyLogs) Epoch(ctx context.Context, shard id.Shard) (epoch id.Epoch, err error) {
	err = f.do("Epoch", func() error {
		epoch, err = f.logs.Epoch(ctx, shard)
		return err
	})
	return epoch, err
}

func (f faultyLogs) Append(ctx context.Context, shard id.Shard, epoch id.Epoch, head uint64, segment []storage.Chunk) error {
	return f.do("Append", func() error { return f.logs.Append(ctx, shard, epoch, head, segment) })
}

func (f faultyLogs) Read(ctx context.Context, w id.Worker, from, to uint64) iter.Seq2[storage.Chunk, error] {
	return faultySeq(f.faulty, "Read", f.logs.Read(ctx, w, from, to))
}

func (f faultyLogs) Bounds(ctx context.Context, w id.Worker) (first, last uint64, err error) {
	err = f.do("Bounds", func() error {
		first, last, err = f.logs.Bounds(ctx, w)
		return err
	})
	return first, last, err
}

func (f faultyLogs) Truncate(ctx context.Context, shard id.Shard, epoch id.Epoch, w id.Worker, below uint64) error {
	return f.do("Truncate", func() error { return f.logs.Truncate(ctx, shard, epoch, w, below) })
}

func (f faultyLogs) Delete(ctx context.Context, shard id.Shard, epoch id.Epoch, w id.Worker) error {
	return f.do("Delete", func() error { return f.logs.Delete(ctx, shard, epoch, w) })
}

func (f faultyLogs) Workers(ctx context.Context, after id.Worker) iter.Seq2[id.Worker, error] {
	return faultySeq(f.faulty, "Workers", f.logs.Workers(ctx, after))
}

type faultyBlobs struct {
	*faulty
	blobs storage.Blobs
}

func (f faultyBlobs) Put(ctx context.Context, r io.Reader) (h storage.Hash, size int64, err error) {
	err = f.do("PutBlob", func() error {
		h, size, err = f.blobs.Put(ctx, r)
		return err
	})
	return h, size, err
}

func (f faultyBlobs) PutAll(ctx context.Context, contents iter.Seq[io.Reader]) (stored []storage.Blob, err error) {
	err = f.do("PutAllBlobs", func() error {
		stored, err = f.blobs.PutAll(ctx, contents)
		return err
	})
	return stored, err
}

func (f faultyBlobs) Get(ctx context.Context, h storage.Hash) (r io.ReadCloser, err error) {
	err = f.do("GetBlob", func() error {
		r, err = f.blobs.Get(ctx, h)
		return err
	})
	if err != nil && r != nil {
		_ = r.Close()
		r = nil
	}
	return r, err
}

func (f faultyBlobs) Delete(ctx context.Context, h storage.Hash) error {
	return f.do("DeleteBlob", func() error { return f.blobs.Delete(ctx, h) })
}

func (f faultyBlobs) List(ctx context.Context) iter.Seq2[storage.Hash, error] {
	return faultySeq(f.faulty, "ListBlobs", f.blobs.List(ctx))
}

type faultyCells struct {
	*faulty
	cells storage.Cells
}

func (f faultyCells) Get(ctx context.Context, key string) (value []byte, version uint64, err error) {
	err = f.do("GetCell", func() error {
		value, version, err = f.cells.Get(ctx, key)
		return err
	})
	return value, version, err
}

func (f faultyCells) Size(ctx context.Context, key string) (n int, version uint64, err error) {
	err = f.do("SizeCell", func() error {
		n, version, err = f.cells.Size(ctx, key)
		return err
	})
	return n, version, err
}

func (f faultyCells) Put(ctx context.Context, key string, expected uint64, value []byte) (version uint64, err error) {
	err = f.do("PutCell", func() error {
		version, err = f.cells.Put(ctx, key, expected, value)
		return err
	})
	return version, err
}

func (f faultyCells) Delete(ctx context.Context, key string, expected uint64) error {
	return f.do("DeleteCell", func() error { return f.cells.Delete(ctx, key, expected) })
}

func (f faultyCells) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return faultySeq(f.faulty, "ListCells", f.cells.List(ctx, prefix, after))
}

// Retrying gives a store that repeats what fails with ErrInjected, as the
// contract allows: with it the suite runs over a Faulty store.
func Retrying(store storage.Store) storage.Store { return &retrying{store} }

type retrying struct{ storage.Store }

func (r *retrying) Logs() storage.Logs   { return retryingLogs{r.Store.Logs()} }
func (r *retrying) Blobs() storage.Blobs { return retryingBlobs{r.Store.Blobs()} }
func (r *retrying) Cells() storage.Cells { return retryingCells{r.Store.Cells()} }

func retry(act func() error) error {
	for {
		if err := act(); !errors.Is(err, ErrInjected) {
			return err
		}
	}
}

func retrySeq[T any](seq func() iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			again := false
			for v, err := range seq() {
				if errors.Is(err, ErrInjected) {
					again = true
					break
				}
				if !yield(v, err) {
					return
				}
			}
			if !again {
				return
			}
		}
	}
}

type retryingLogs struct{ storage.Logs }

func (r retryingLogs) Acquire(ctx context.Context, shard id.Shard, epoch id.Epoch) (head uint64, err error) {
	err = retry(func() error { head, err = r.Logs.Acquire(ctx, shard, epoch); return err })
	return head, err
}

func (r retryingLogs) Epoch(ctx context.Context, shard id.Shard) (epoch id.Epoch, err error) {
	err = retry(func() error { epoch, err = r.Logs.Epoch(ctx, shard); return err })
	return epoch, err
}

func (r retryingLogs) Append(ctx context.Context, shard id.Shard, epoch id.Epoch, head uint64, segment []storage.Chunk) error {
	return retry(func() error { return r.Logs.Append(ctx, shard, epoch, head, segment) })
}

func (r retryingLogs) Read(ctx context.Context, w id.Worker, from, to uint64) iter.Seq2[storage.Chunk, error] {
	return retrySeq(func() iter.Seq2[storage.Chunk, error] { return r.Logs.Read(ctx, w, from, to) })
}

func (r retryingLogs) Bounds(ctx context.Context, w id.Worker) (first, last uint64, err error) {
	err = retry(func() error { first, last, err = r.Logs.Bounds(ctx, w); return err })
	return first, last, err
}

func (r retryingLogs) Truncate(ctx context.Context, shard id.Shard, epoch id.Epoch, w id.Worker, below uint64) error {
	return retry(func() error { return r.Logs.Truncate(ctx, shard, epoch, w, below) })
}

func (r retryingLogs) Delete(ctx context.Context, shard id.Shard, epoch id.Epoch, w id.Worker) error {
	return retry(func() error { return r.Logs.Delete(ctx, shard, epoch, w) })
}

func (r retryingLogs) Workers(ctx context.Context, after id.Worker) iter.Seq2[id.Worker, error] {
	return retrySeq(func() iter.Seq2[id.Worker, error] { return r.Logs.Workers(ctx, after) })
}

type retryingBlobs struct{ storage.Blobs }

func (r retryingBlobs) Put(ctx context.Context, content io.Reader) (h storage.Hash, size int64, err error) {
	b, err := io.ReadAll(content)
	if err != nil {
		return h, 0, err
	}
	err = retry(func() error { h, size, err = r.Blobs.Put(ctx, bytes.NewReader(b)); return err })
	return h, size, err
}

func (r retryingBlobs) PutAll(ctx context.Context, contents iter.Seq[io.Reader]) (stored []storage.Blob, err error) {
	var all [][]byte
	for c := range contents {
		b, err := io.ReadAll(c)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	err = retry(func() error {
		stored, err = r.Blobs.PutAll(ctx, func(yield func(io.Reader) bool) {
			for _, b := range all {
				if !yield(bytes.NewReader(b)) {
					return
				}
			}
		})
		return err
	})
	return stored, err
}

func (r retryingBlobs) Get(ctx context.Context, h storage.Hash) (c io.ReadCloser, err error) {
	err = retry(func() error { c, err = r.Blobs.Get(ctx, h); return err })
	return c, err
}

func (r retryingBlobs) Delete(ctx context.Context, h storage.Hash) error {
	return retry(func() error { return r.Blobs.Delete(ctx, h) })
}

func (r retryingBlobs) List(ctx context.Context) iter.Seq2[storage.Hash, error] {
	return retrySeq(func() iter.Seq2[storage.Hash, error] { return r.Blobs.List(ctx) })
}

type retryingCells struct{ storage.Cells }

func (r retryingCells) Get(ctx context.Context, key string) (value []byte, version uint64, err error) {
	err = retry(func() error { value, version, err = r.Cells.Get(ctx, key); return err })
	return value, version, err
}

func (r retryingCells) Size(ctx context.Context, key string) (n int, version uint64, err error) {
	err = retry(func() error { n, version, err = r.Cells.Size(ctx, key); return err })
	return n, version, err
}

// Put repeats the change; a conflict after an unclear attempt is settled by
// looking.
func (r retryingCells) Put(ctx context.Context, key string, expected uint64, value []byte) (version uint64, err error) {
	attempts := 0
	err = retry(func() error {
		attempts++
		version, err = r.Cells.Put(ctx, key, expected, value)
		return err
	})
	if errors.Is(err, storage.ErrConflict) && attempts > 1 {
		found, v, getErr := r.Get(ctx, key)
		if getErr == nil && v > expected && bytes.Equal(found, value) {
			return v, nil
		}
	}
	return version, err
}

func (r retryingCells) Delete(ctx context.Context, key string, expected uint64) error {
	attempts := 0
	err := retry(func() error { attempts++; return r.Cells.Delete(ctx, key, expected) })
	if errors.Is(err, storage.ErrConflict) && attempts > 1 {
		if _, _, getErr := r.Get(ctx, key); errors.Is(getErr, storage.ErrNotFound) {
			return nil
		}
	}
	return err
}

func (r retryingCells) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return retrySeq(func() iter.Seq2[string, error] { return r.Cells.List(ctx, prefix, after) })
}
