package local

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/waterbear-run/waterbear/internal/storage"
)

// How much more than housekeeping would leave may gather in memory before an
// append does the work itself.
const appendPatience = 4

// maxTables is how many tables there are at most before they are merged even if
// nobody keeps house; maxClosing is how large a merge may be that Close does
// when there are fewer.
const (
	maxTables  = 16
	maxClosing = 4 << 20
)

// Housekeep writes the index if there is much to write or nothing else to do,
// or merges its tables, or gives back the space of a log file most of which
// does not count any more.
func (s *Store) Housekeep(ctx context.Context) (more bool, err error) {
	if err := s.calls.begin(ctx); err != nil {
		return false, err
	}
	defer s.calls.leave()
	if s.readOnly {
		return false, nil
	}
	s.housekeeping.Lock()
	defer s.housekeeping.Unlock()
	x := s.index.Load()
	switch file, worth := x.wasteful(s.options.FileBytes); {
	case s.indexIsDue():
		err = s.freezeAndFlush()
	case x.mergeable() > 1:
		err = x.merge(ctx, x.mergeable())
	case worth:
		err = s.compact(ctx, file)
	default:
		return false, nil
	}
	return err == nil, s.spoiled(known(err))
}

// indexIsDue says whether to write the index: when it has become large, or when
// nothing was appended since the last time.
func (s *Store) indexIsDue() bool {
	x := s.index.Load()
	x.mu.RLock()
	at, written, weight, frozen := x.position, x.written.Position, x.active.weight(), x.frozen != nil
	x.mu.RUnlock()
	idle := at == s.idleAt
	s.idleAt = at
	s.turn.Lock()
	bytes := s.indexWriting.sinceBytes
	s.turn.Unlock()
	return frozen || at != written && (idle || weight >= s.options.FlushWeight || bytes >= s.options.FlushBytes)
}

// flushIfHeavy writes the index if its owner does not keep house. The caller
// has the turn. What was appended is durable already, so an error only means
// that it is tried again, and less often.
func (s *Store) flushIfHeavy() {
	x, w := s.index.Load(), &s.indexWriting
	x.mu.RLock()
	weight := x.active.weight()
	x.mu.RUnlock()
	patience := appendPatience << min(w.failures, 8)
	if weight < patience*s.options.FlushWeight && w.sinceBytes < int64(patience)*s.options.FlushBytes {
		return
	}
	if !s.housekeeping.TryLock() {
		return // It is being done.
	}
	defer s.housekeeping.Unlock()
	if err := s.flushWithTurn(); err != nil {
		w.failures++
		return
	}
	w.failures = 0
}

// freezeAndFlush writes the index up to now. The caller keeps house.
func (s *Store) freezeAndFlush() error {
	s.turn.Lock()
	frozen := s.index.Load().freeze()
	s.indexWriting.sinceBytes = 0
	s.turn.Unlock()
	if !frozen {
		return nil
	}
	return s.index.Load().flush()
}

// flushWithTurn does the same when the caller has the turn too.
func (s *Store) flushWithTurn() error {
	x := s.index.Load()
	if !x.freeze() {
		return nil
	}
	s.indexWriting.sinceBytes = 0
	if err := x.flush(); err != nil {
		return err
	}
	return s.mergeIfMany(0)
}

// mergeIfMany merges tables if there are many or they are small.
func (s *Store) mergeIfMany(small int64) error {
	x := s.index.Load()
	n := x.mergeable()
	x.mu.RLock()
	tables := x.tables.tables
	x.mu.RUnlock()
	size := int64(0)
	for _, t := range tables[:n] {
		size += t.Size()
	}
	if n < 2 || len(tables) <= maxTables && size > small {
		return nil
	}
	return x.merge(context.Background(), n)
}

// flushIndex writes all of the index.
func (s *Store) flushIndex() error {
	s.housekeeping.Lock()
	defer s.housekeeping.Unlock()
	// What an earlier attempt froze is written first.
	for range 2 {
		if err := s.freezeAndFlush(); err != nil {
			return s.spoiled(err)
		}
	}
	return s.spoiled(s.mergeIfMany(maxClosing))
}

// writeIndex writes and merges the index while the log is being read.
func (s *Store) writeIndex(ctx context.Context) error {
	if err := s.flushWithTurn(); err != nil {
		return err
	}
	x := s.index.Load()
	if n := x.mergeable(); n > 1 {
		return x.merge(ctx, n)
	}
	return nil
}

// spoiled prepares for an index that turns out to be damaged: the next Open
// makes it anew.
func (s *Store) spoiled(err error) error {
	if !damagedIndex(err) {
		return err
	}
	if !s.readOnly {
		err = errors.Join(err, s.disk.Remove(path.Join(s.indexDir(), manifestName)))
	}
	return fmt.Errorf("%w; nothing is lost: open the store again to have it made anew", err)
}

func (s *Store) refuse() error {
	return fmt.Errorf("%s is %w", s.dir, storage.ErrReadOnly)
}
