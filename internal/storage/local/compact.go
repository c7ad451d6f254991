package local

import (
	"context"
	"path"
	"slices"

	"github.com/waterbear-run/waterbear/internal/id"
)

// moveBytes is about how much is moved in one frame: an append waits for no
// more than that.
const moveBytes = 256 << 10

// wasteful gives the file that is most worth compacting, if one is: at least
// half of it does not count any more. All of it is covered by the tables, so
// that whoever reads the log from there misses nothing when it is gone.
func (x *index) wasteful(fileBytes int64) (number uint64, worth bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	oldest := ^uint64(0)
	for n := range x.files {
		oldest = min(oldest, n)
	}
	most := int64(0)
	for n, f := range x.files {
		if n >= x.written.Position.File || f.damaged {
			continue
		}
		waste := f.end - f.live
		if n != oldest {
			// That something is gone has to be known as long as an older file
			// may have it.
			waste -= f.tombs
		}
		if waste > f.end/2 && (waste > most || waste == most && n < number) {
			number, worth, most = n, true, waste
		}
	}
	return number, worth
}

// compact moves what counts out of a file to the end of the log and removes
// the file. The moves are durable before that, and each record says when it was
// said first: so it does not matter where this is interrupted, or what is
// appended meanwhile. A file in which something is damaged that counts is kept.
func (s *Store) compact(ctx context.Context, number uint64) error {
	x := s.index.Load()
	x.mu.RLock()
	f := *x.files[number]
	x.mu.RUnlock()
	h, err := s.handles.get(number)
	if err != nil {
		return err
	}
	defer s.handles.put(h)
	m := moving{store: s, index: x, file: number, oldest: x.oldestBesides(number)}
	scan := newScanner(h, f.salt, firstFrame, f.end, f.firstSeq-1)
	for {
		from := scan.offset
		fr, _, err := scan.next()
		if err != nil {
			return err
		}
		if fr == nil || fr.start > from {
			if fr != nil || scan.offset < f.end {
				m.damaged = true
			}
			break
		}
		if err := m.frame(ctx, fr); err != nil {
			return err
		}
	}
	if err := m.flush(); err != nil {
		return err
	}
	if m.damaged {
		x.mu.Lock()
		x.files[number].damaged = true
		x.mu.Unlock()
		return nil
	}
	if err := s.moveShards(number); err != nil {
		return err
	}
	x.mu.Lock()
	delete(x.files, number)
	x.mu.Unlock()
	s.handles.drop(number)
	if err := s.disk.Remove(path.Join(s.logDir(), logName(number))); err != nil {
		return err
	}
	// If it came back after a later file was removed, so might what that one
	// said was gone.
	return s.disk.SyncDir(s.logDir())
}

// oldestBesides is the least sequence number that a frame in another file than
// number can have.
func (x *index) oldestBesides(number uint64) uint64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	oldest := ^uint64(0)
	for n, f := range x.files {
		if n != number {
			oldest = min(oldest, f.firstSeq)
		}
	}
	return oldest
}

// moving is what is moved out of a file.
type moving struct {
	store   *Store
	index   *index
	file    uint64
	oldest  uint64 // nothing in another file is older
	batch   []record
	size    int
	damaged bool
}

func (m *moving) frame(ctx context.Context, f *frame) error {
	for i := range f.records {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r := f.records[i]
		counts, err := m.counts(&r)
		if err != nil {
			return err
		}
		if !counts {
			continue
		}
		if f.damaged != nil && f.damaged[i] {
			m.damaged = true
			continue
		}
		r.moved = true
		if r.kind.hasBytes() {
			r.bytes = slices.Clone(f.content(i))
		}
		m.batch = append(m.batch, r)
		m.size += len(r.bytes) + recordCost
		if m.size >= moveBytes {
			if err := m.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *moving) flush() error {
	if len(m.batch) == 0 {
		return nil
	}
	m.store.turn.Lock()
	defer m.store.turn.Unlock()
	err := m.store.write(m.batch)
	m.batch, m.size = m.batch[:0], 0
	return err
}

// counts says whether r, where it is, says something that still holds.
func (m *moving) counts(r *record) (bool, error) {
	switch r.kind {
	case kindChunk:
		return m.chunkCounts(r)
	case kindTruncate:
		s, err := m.index.worker(r.worker)
		return s.truncateFile == m.file && s.truncated == r.stamp, err
	case kindDelete:
		s, err := m.index.worker(r.worker)
		return s.deleted == r.stamp && r.stamp >= m.oldest, err
	case kindCell, kindCellDelete:
		return m.itemCounts(r, cellKey(r.key))
	case kindBlob, kindBlobDelete:
		return m.itemCounts(r, blobKey(r.hash))
	}
	return false, nil // Shards are moved by their state.
}

func (m *moving) chunkCounts(r *record) (bool, error) {
	reader, err := m.index.read(r.worker, r.first)
	if err != nil {
		return false, err
	}
	defer reader.close()
	c, ok, _, err := reader.at(r.first)
	return ok && c.location == r.location(m.file), err
}

func (m *moving) itemCounts(r *record, key string) (bool, error) {
	i, ok, err := m.index.item(key)
	if err != nil || !ok {
		return false, err
	}
	if !r.kind.hasBytes() {
		return i.deleted && i.stamp == r.stamp && r.stamp >= m.oldest, nil
	}
	return !i.deleted && i.location == r.location(m.file), nil
}

// moveShards says again what the newest records of shards say that are in file
// number.
func (s *Store) moveShards(number uint64) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	x := s.index.Load()
	x.mu.RLock()
	var records []record
	for shard, state := range x.shards {
		if state.file <= number {
			records = append(records, shardRecord(shard, state))
		}
	}
	x.mu.RUnlock()
	if len(records) == 0 {
		return nil
	}
	slices.SortFunc(records, func(a, b record) int { return int(int64(a.shard) - int64(b.shard)) })
	return s.write(records)
}

func shardRecord(shard id.Shard, s shardState) record {
	return record{kind: kindShard, shard: shard, epoch: s.epoch, head: s.head, segmentEpoch: s.segmentEpoch, digest: s.digest}
}
