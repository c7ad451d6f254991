package local

import (
	"hash/crc64"

	"github.com/waterbear-run/waterbear/internal/id"
)

// What a record does depends on its stamp and not on where it is, so that the
// index comes out the same whether records moved or not, and in whatever order
// files are read.

// plan is what is known before a frame is applied.
type plan struct {
	workers map[id.Worker]workerState // those that active does not have
	items   map[string]item           // what cells and blobs were
	gone    []gone
	// last is the last entry that a deletion leaves, since it came later.
	last map[id.Worker]uint64
}

// gone is a record that counts no more.
type gone struct {
	file uint64
	cost int64
}

// prepare looks up, without a lock, what the records change. The index may not
// be frozen or changed by others before it is told to apply them.
func (x *index) prepare(records []record) (p plan, err error) {
	for i := range records {
		if err := x.prepareRecord(&p, &records[i]); err != nil {
			return p, err
		}
	}
	return p, nil
}

// apply makes what a frame of file says known, all at once.
func (x *index) apply(p plan, file uint64, records []record, at position) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range records {
		x.change(&p, file, &records[i])
	}
	for _, g := range p.gone {
		x.count(g.file, -g.cost)
	}
	x.position = at
	if f := x.files[at.File]; f != nil {
		f.end = at.Offset
	}
}

// prepareRecord looks up what r changes.
func (x *index) prepareRecord(p *plan, r *record) error {
	switch r.kind {
	case kindChunk, kindTruncate, kindDelete:
		if err := x.prepareWorker(p, r.worker); err != nil {
			return err
		}
		return x.prepareGone(p, r)
	case kindCell, kindCellDelete:
		return x.prepareItem(p, cellKey(r.key))
	case kindBlob, kindBlobDelete:
		return x.prepareItem(p, blobKey(r.hash))
	}
	return nil
}

func (x *index) prepareWorker(p *plan, w id.Worker) error {
	x.mu.RLock()
	there := x.active.workers[w] != nil
	x.mu.RUnlock()
	if _, known := p.workers[w]; there || known {
		return nil
	}
	s, err := x.worker(w)
	if err != nil {
		return err
	}
	if p.workers == nil {
		p.workers = map[id.Worker]workerState{}
	}
	p.workers[w] = s
	return nil
}

func (x *index) prepareItem(p *plan, key string) error {
	i, ok, err := x.item(key)
	if ok {
		if p.items == nil {
			p.items = map[string]item{}
		}
		p.items[key] = i
	}
	return err
}

// prepareGone finds the chunks that r puts an end to.
func (x *index) prepareGone(p *plan, r *record) error {
	from, to := uint64(1), ^uint64(0)
	switch {
	case r.kind == kindTruncate && r.first > 1:
		to = r.first - 1
	case r.kind == kindChunk && r.moved:
		from, to = r.first, r.first
	case r.kind != kindDelete:
		return nil
	}
	reader, err := x.readAll(r.worker, from)
	if err != nil {
		return err
	}
	defer reader.close()
	for i := from; i <= to; {
		c, ok, next, err := reader.at(i)
		if err != nil {
			return err
		}
		if !ok && next == 0 {
			break
		}
		if !ok {
			i = next
			continue
		}
		if r.ends(&c, reader.workerState) {
			p.gone = append(p.gone, gone{c.file, c.cost()})
		}
		i = c.last() + 1
	}
	if r.kind == kindDelete && x.anew {
		return x.prepareLast(p, r)
	}
	return nil
}

// prepareLast finds the last entry that a deletion leaves. Chunks from before
// and after it may lie over each other.
func (x *index) prepareLast(p *plan, r *record) error {
	reader, err := x.readAll(r.worker, 1)
	if err != nil {
		return err
	}
	defer reader.close()
	last := uint64(0)
	for _, l := range reader.lanes {
		for l.ok {
			if l.chunk.stamp > r.stamp {
				last = max(last, l.chunk.last())
			}
			if err := l.next(); err != nil {
				return err
			}
		}
	}
	if p.last == nil {
		p.last = map[id.Worker]uint64{}
	}
	p.last[r.worker] = last
	return nil
}

// ends says whether r puts an end to chunk c of a worker in state s.
func (r *record) ends(c *chunk, s workerState) bool {
	switch r.kind {
	case kindChunk:
		return c.first == r.first
	case kindTruncate:
		return r.stamp > s.deleted && c.last() < r.first && c.stamp < r.stamp
	}
	return c.stamp < r.stamp
}

// change applies r. The caller holds the lock.
func (x *index) change(p *plan, file uint64, r *record) {
	switch r.kind {
	case kindChunk, kindTruncate, kindDelete:
		e := x.active.workers[r.worker]
		if e == nil {
			e = &workerEntry{workerState: p.workers[r.worker]}
			x.active.workers[r.worker] = e
		}
		x.changeWorker(p, e, file, r)
	case kindCell, kindCellDelete:
		x.changeItem(p, cellKey(r.key), file, r)
	case kindBlob, kindBlobDelete:
		x.changeItem(p, blobKey(r.hash), file, r)
	case kindSegment, kindShard:
		x.changeShard(file, r)
	}
}

func (x *index) changeWorker(p *plan, e *workerEntry, file uint64, r *record) {
	switch r.kind {
	case kindChunk:
		c := chunk{location: r.location(file), first: r.first, count: r.count, stamp: r.stamp}
		if e.holds(&c) {
			x.active.insert(e, c)
			x.count(file, c.cost())
			e.last = max(e.last, c.last())
		}
	case kindTruncate:
		if r.stamp <= e.deleted || r.stamp < e.truncated {
			return
		}
		x.count(e.truncateFile, -recordCost)
		x.count(file, recordCost)
		e.truncated, e.truncateFile = r.stamp, file
		e.below = r.first
		e.last = max(e.last, e.below-1)
		x.active.prune(e)
	case kindDelete:
		x.countTomb(file)
		if r.stamp <= e.deleted {
			return
		}
		if e.truncated < r.stamp {
			x.count(e.truncateFile, -recordCost)
			e.truncated, e.truncateFile, e.below = 0, 0, 1
		}
		e.deleted = r.stamp
		x.active.prune(e)
		// What is left came later; the record has been moved behind it.
		e.last = max(e.below-1, p.last[r.worker])
		for i := range e.chunks {
			e.last = max(e.last, e.chunks[i].last())
		}
	}
}

func (x *index) changeItem(p *plan, key string, file uint64, r *record) {
	if r.kind == kindCellDelete || r.kind == kindBlobDelete {
		x.countTomb(file)
	}
	old, there := p.items[key]
	if there && r.stamp < old.stamp {
		return
	}
	if there && !old.deleted {
		x.count(old.file, -old.cost())
	}
	i := item{location: r.location(file), stamp: r.stamp}
	if i.deleted = !r.kind.hasBytes(); !i.deleted {
		x.count(file, i.cost())
	}
	x.active.items[key] = i
}

func (x *index) changeShard(file uint64, r *record) {
	s := x.shards[r.shard]
	s.epoch, s.file = max(s.epoch, r.epoch), max(s.file, file)
	head := r.head
	if r.kind == kindSegment {
		head++
	}
	if head > s.head {
		s.head, s.segmentEpoch, s.digest = head, r.segmentEpoch, r.digest
	}
	x.shards[r.shard] = s
	x.active.shards[r.shard] = s
}

func (r *record) location(file uint64) location {
	return location{file: file, offset: r.offset, length: r.length, crc: r.crc}
}

func (x *index) count(file uint64, cost int64) {
	if f := x.files[file]; f != nil {
		f.live += cost
	}
}

func (x *index) countTomb(file uint64) {
	if f := x.files[file]; f != nil {
		f.tombs += recordCost
	}
}

var digestTable = crc64.MakeTable(crc64.ECMA)

// digest tells segments at the same head apart. It covers everything, as the
// directory has the checksums of the bytes.
func digest(directory []byte) uint64 { return crc64.Checksum(directory, digestTable) }
