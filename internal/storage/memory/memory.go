// Package memory is a storage.Store in memory, for tests and simulation. It is
// deterministic: no goroutines, no clock, no randomness, and everything is
// listed in order.
package memory

import (
	"context"
	"sync"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// Store keeps everything in memory.
type Store struct {
	*contents

	mu     sync.Mutex
	closed bool
}

var _ storage.Store = (*Store)(nil)

// contents is what a process that ends leaves behind.
type contents struct {
	mu     sync.Mutex
	shards map[id.Shard]*shard
	logs   map[id.Worker]*workerLog
	blobs  map[storage.Hash][]byte
	cells  map[string]cell
	// version is the last one given to a cell, so that none comes twice.
	version uint64
}

// New makes an empty store.
func New() *Store {
	return &Store{contents: &contents{
		shards: map[id.Shard]*shard{}, logs: map[id.Worker]*workerLog{},
		blobs: map[storage.Hash][]byte{}, cells: map[string]cell{},
	}}
}

// Reopen gives what the next process sees: the same contents, open.
func (s *Store) Reopen() *Store { return &Store{contents: s.contents} }

// Logs gives the logs.
func (s *Store) Logs() storage.Logs { return logs{s} }

// Blobs gives the blobs.
func (s *Store) Blobs() storage.Blobs { return blobs{s} }

// Cells gives the cells.
func (s *Store) Cells() storage.Cells { return cells{s} }

// Close ends the store; Reopen gives its contents again.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// use runs f on the contents, unless the store is closed or ctx is done.
func (s *Store) use(ctx context.Context, f func(*contents) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return storage.ErrClosed
	}
	s.contents.mu.Lock()
	defer s.contents.mu.Unlock()
	return f(s.contents)
}
