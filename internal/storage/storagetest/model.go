package storagetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// checkModel does random things to a store and to a simple picture of it, and
// compares: also after the store was closed or lost power.
func checkModel(t *testing.T, s Subject) {
	rapid.Check(t, func(r *rapid.T) {
		m := &model{
			t: r, store: s.Open(t),
			epochs: map[id.Shard]id.Epoch{}, heads: map[id.Shard]uint64{},
			logs: map[id.Worker]*modelLog{}, cells: map[string]modelCell{}, blobs: map[storage.Hash][]byte{},
			deleted: map[storage.Hash][]byte{},
		}
		defer func() { _ = m.store.Close() }()
		actions := map[string]func(*rapid.T){
			"":          func(*rapid.T) { m.compare() },
			"acquire":   m.acquire,
			"append":    m.append,
			"append2":   m.append,
			"append3":   m.append,
			"again":     m.appendAgain,
			"truncate":  m.truncate,
			"delete":    m.delete,
			"put cell":  m.putCell,
			"del cell":  m.deleteCell,
			"put blob":  m.putBlob,
			"del blob":  m.deleteBlob,
			"reopen":    func(*rapid.T) { m.store = s.Reopen(t, m.store) },
			"housekeep": func(*rapid.T) { m.housekeep() },
		}
		if s.Crash != nil {
			actions["crash"] = func(*rapid.T) { m.store = s.Crash(t, m.store) }
		}
		r.Repeat(actions)
	})
}

type modelLog struct {
	shard  id.Shard
	chunks []storage.Chunk
	below  uint64
	last   uint64
}

type modelCell struct {
	value   string
	version uint64
}

type model struct {
	t      *rapid.T
	store  storage.Store
	epochs map[id.Shard]id.Epoch
	heads  map[id.Shard]uint64
	logs   map[id.Worker]*modelLog
	cells  map[string]modelCell
	blobs  map[storage.Hash][]byte
	// deleted blobs may come back by a crash
	deleted map[storage.Hash][]byte
	// the last segment of some shard, to append it again
	last      []storage.Chunk
	lastShard id.Shard
}

func (m *model) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) worker(r *rapid.T) id.Worker {
	return id.Worker{Component: "c", Name: rapid.SampledFrom([]string{"a", "b", "b-1", "c", "d"}).Draw(r, "worker")}
}

// shardOf gives the worker's shard; they never change it here.
func shardOf(w id.Worker) id.Shard { return id.Shard(w.Name[0] % 2) }

func (m *model) acquire(r *rapid.T) {
	shard := id.Shard(rapid.Uint32Range(0, 1).Draw(r, "shard"))
	epoch := m.epochs[shard] + id.Epoch(rapid.IntRange(0, 2).Draw(r, "by"))
	head, err := m.store.Logs().Acquire(ctx, shard, epoch)
	m.must(err)
	if head != m.heads[shard] {
		r.Fatalf("head of shard %d is %d, want %d", shard, head, m.heads[shard])
	}
	m.epochs[shard] = epoch
}

func (m *model) owned(shard id.Shard) id.Epoch {
	if m.epochs[shard] == 0 {
		m.epochs[shard] = 1
		_, err := m.store.Logs().Acquire(ctx, shard, 1)
		m.must(err)
	}
	return m.epochs[shard]
}

func (m *model) append(r *rapid.T) {
	first := m.worker(r)
	shard := shardOf(first)
	epoch := m.owned(shard)
	var segment []storage.Chunk
	next := map[id.Worker]uint64{}
	for i := range rapid.IntRange(1, 4).Draw(r, "chunks") {
		w := first
		if i > 0 {
			if w = m.worker(r); shardOf(w) != shard {
				continue
			}
		}
		log := m.logs[w]
		if next[w] == 0 {
			next[w] = 1
			if log != nil {
				next[w] = log.last + 1
			}
		}
		count := rapid.Uint32Range(1, 4).Draw(r, "count")
		size := rapid.SampledFrom([]int{0, 1, 10, 100, 3000}).Draw(r, "size")
		content := bytes.Repeat(fmt.Appendf(nil, "%s %d;", w, next[w]), size/5+1)[:size]
		segment = append(segment, storage.Chunk{Worker: w, First: next[w], Count: count, Bytes: content})
		next[w] += uint64(count)
	}
	m.must(m.store.Logs().Append(ctx, shard, epoch, m.heads[shard], segment))
	m.heads[shard]++
	m.last, m.lastShard = segment, shard
	for _, c := range segment {
		log := m.logs[c.Worker]
		if log == nil {
			log = &modelLog{shard: shard, below: 1}
			m.logs[c.Worker] = log
		}
		log.chunks = append(log.chunks, c)
		log.last = c.Last()
	}
}

func (m *model) appendAgain(r *rapid.T) {
	if m.last == nil {
		r.Skip()
	}
	// The owner of now is another one if the shard was acquired in between.
	err := m.store.Logs().Append(ctx, m.lastShard, m.epochs[m.lastShard], m.heads[m.lastShard]-1, m.last)
	if err != nil && !errors.Is(err, storage.ErrFenced) {
		r.Fatal(err)
	}
}

func (m *model) truncate(r *rapid.T) {
	w := m.worker(r)
	below := rapid.Uint64Range(0, 40).Draw(r, "below")
	m.must(m.store.Logs().Truncate(ctx, shardOf(w), m.owned(shardOf(w)), w, below))
	if log := m.logs[w]; log != nil {
		log.below = max(log.below, min(below, log.last+1))
		log.chunks = slices.DeleteFunc(log.chunks, func(c storage.Chunk) bool { return c.Last() < log.below })
	}
}

func (m *model) delete(r *rapid.T) {
	w := m.worker(r)
	m.must(m.store.Logs().Delete(ctx, shardOf(w), m.owned(shardOf(w)), w))
	delete(m.logs, w)
}

func (m *model) cellKey(r *rapid.T) string {
	return rapid.SampledFrom([]string{"x", "y", "y/1"}).Draw(r, "key")
}

func (m *model) putCell(r *rapid.T) {
	key := m.cellKey(r)
	value := rapid.SampledFrom([]string{"", "1", "2", string(bytes.Repeat([]byte("long"), 500))}).Draw(r, "value")
	version, err := m.store.Cells().Put(ctx, key, m.cells[key].version, []byte(value))
	m.must(err)
	if version <= m.cells[key].version {
		r.Fatalf("cell %s went from version %d to %d", key, m.cells[key].version, version)
	}
	m.cells[key] = modelCell{value, version}
}

func (m *model) deleteCell(r *rapid.T) {
	key := m.cellKey(r)
	m.must(m.store.Cells().Delete(ctx, key, m.cells[key].version))
	delete(m.cells, key)
}

func (m *model) putBlob(r *rapid.T) {
	size := rapid.SampledFrom([]int{0, 5, 500, 70_000}).Draw(r, "size")
	content := bytes.Repeat([]byte{byte(rapid.IntRange(0, 2).Draw(r, "content"))}, size)
	h, _, err := m.store.Blobs().Put(ctx, bytes.NewReader(content))
	m.must(err)
	m.blobs[h] = content
}

func (m *model) deleteBlob(r *rapid.T) {
	if len(m.blobs) == 0 {
		r.Skip()
	}
	hashes := slices.SortedFunc(maps.Keys(m.blobs), func(a, b storage.Hash) int { return bytes.Compare(a[:], b[:]) })
	h := rapid.SampledFrom(hashes).Draw(r, "blob")
	m.must(m.store.Blobs().Delete(ctx, h))
	m.deleted[h] = m.blobs[h]
	delete(m.blobs, h)
}

func (m *model) housekeep() {
	h, ok := m.store.(storage.Housekeeper)
	for more := ok; more; {
		var err error
		more, err = h.Housekeep(ctx)
		m.must(err)
	}
}

func (m *model) compare() {
	m.compareLogs()
	for _, key := range []string{"x", "y", "y/1"} {
		value, version, err := m.store.Cells().Get(ctx, key)
		want, there := m.cells[key]
		if there != (err == nil) || string(value) != want.value || version != want.version {
			m.t.Fatalf("cell %s holds %.20q in version %d (%v), want %.20q in version %d", key, value, version, err, want.value, want.version)
		}
		size, version, err := m.store.Cells().Size(ctx, key)
		if there != (err == nil) || !there && !errors.Is(err, storage.ErrNotFound) || size != len(want.value) || version != want.version {
			m.t.Fatalf("cell %s has %d bytes in version %d (%v), want %d in version %d", key, size, version, err, len(want.value), want.version)
		}
	}
	n := 0
	for h, err := range m.store.Blobs().List(ctx) {
		m.must(err)
		want, ok := m.blobs[h]
		if ok {
			n++
		} else {
			want, ok = m.deleted[h]
		}
		r, err := m.store.Blobs().Get(ctx, h)
		m.must(err)
		content, err := io.ReadAll(r)
		m.must(err)
		m.must(r.Close())
		if !ok || !bytes.Equal(content, want) {
			m.t.Fatalf("blob %s: known %v, %d bytes, want %d", h, ok, len(content), len(want))
		}
	}
	if n != len(m.blobs) {
		m.t.Fatalf("%d blobs, want %d", n, len(m.blobs))
	}
}

func (m *model) compareLogs() {
	var want []id.Worker
	for _, name := range []string{"a", "b", "b-1", "c", "d"} {
		w := id.Worker{Component: "c", Name: name}
		log := m.logs[w]
		if log == nil {
			log = &modelLog{below: 1}
		}
		if len(log.chunks) > 0 {
			want = append(want, w)
		}
		first, last, err := m.store.Logs().Bounds(ctx, w)
		m.must(err)
		if wantFirst := log.first(); first > wantFirst || last != log.last || len(log.chunks) == 0 && first != wantFirst {
			m.t.Fatalf("%s goes from %d to %d, want %d to %d", w, first, last, wantFirst, log.last)
		}
		var got []storage.Chunk
		for c, err := range m.store.Logs().Read(ctx, w, log.below, 0) {
			m.must(err)
			c.Bytes = bytes.Clone(c.Bytes)
			got = append(got, c)
		}
		equal := func(a, b storage.Chunk) bool {
			return a.Worker == b.Worker && a.First == b.First && a.Count == b.Count && bytes.Equal(a.Bytes, b.Bytes)
		}
		if !slices.EqualFunc(got, log.chunks, equal) {
			m.t.Fatalf("%s reads %v, want %v", w, got, log.chunks)
		}
	}
	var got []id.Worker
	for w, err := range m.store.Logs().Workers(ctx, id.Worker{}) {
		m.must(err)
		got = append(got, w)
	}
	if !slices.Equal(got, want) {
		m.t.Fatalf("workers %v, want %v", got, want)
	}
}

func (l *modelLog) first() uint64 {
	if len(l.chunks) > 0 {
		return l.chunks[0].First
	}
	return l.below
}
