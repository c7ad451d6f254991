package local

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage/local/table"
)

// overlay is the part of the index that is not in tables yet.
type overlay struct {
	workers map[id.Worker]*workerEntry
	items   map[string]item // by key: cells and blobs
	shards  map[id.Shard]shardState
	chunks  int // how many it holds

	// sorted are the keys of workers and items, made when they are listed.
	sorted []string
}

// workerEntry is what an overlay knows of a worker: the whole state, and the
// chunks that came since the last table, by first index. The slice is shared
// with readers: it is appended to or replaced, never changed in place.
type workerEntry struct {
	workerState
	chunks []chunk
}

func newOverlay() *overlay {
	return &overlay{workers: map[id.Worker]*workerEntry{}, items: map[string]item{}, shards: map[id.Shard]shardState{}}
}

// weight is what the overlay counts for when it is decided whether to write it.
func (o *overlay) weight() int { return o.chunks + 2*(len(o.workers)+len(o.items)) }

// insert adds c to the entry, in place of a chunk that begins with the same
// index.
func (o *overlay) insert(e *workerEntry, c chunk) {
	n := len(e.chunks)
	if n == 0 || e.chunks[n-1].first < c.first {
		e.chunks = append(e.chunks, c)
		o.chunks++
		return
	}
	i := sort.Search(n, func(i int) bool { return e.chunks[i].first >= c.first })
	if e.chunks[i].first == c.first {
		e.chunks = slices.Clone(e.chunks)
		e.chunks[i] = c
		return
	}
	e.chunks = slices.Insert(slices.Clone(e.chunks), i, c)
	o.chunks++
}

// prune drops the chunks that the state does not hold any more.
func (o *overlay) prune(e *workerEntry) {
	kept := make([]chunk, 0, len(e.chunks))
	for i := range e.chunks {
		if e.holds(&e.chunks[i]) {
			kept = append(kept, e.chunks[i])
		}
	}
	o.chunks -= len(e.chunks) - len(kept)
	e.chunks = kept
}

// keys gives the first of the keys of workers and items that begin with prefix
// and come after after. The caller holds the index's lock for writing, as the
// order is remembered.
func (o *overlay) keys(prefix, after string, limit int) []string {
	if n := len(o.workers) + len(o.items); len(o.sorted) != n { // none is ever removed
		o.sorted = make([]string, 0, n)
		for w := range o.workers {
			o.sorted = append(o.sorted, string(workerKey(w)))
		}
		o.sorted = slices.AppendSeq(o.sorted, maps.Keys(o.items))
		slices.Sort(o.sorted)
	}
	i := sort.SearchStrings(o.sorted, max(prefix, after))
	if i < len(o.sorted) && o.sorted[i] == after {
		i++
	}
	var found []string
	for ; i < len(o.sorted) && len(found) < limit && strings.HasPrefix(o.sorted[i], prefix); i++ {
		found = append(found, o.sorted[i])
	}
	return found
}

// write adds all of the overlay, which does not change any more, to w.
func (o *overlay) write(w *table.Writer) error {
	// The order of the keys' first bytes: blobs, cells, shards, workers, chunks.
	var value []byte
	for _, key := range slices.Sorted(maps.Keys(o.items)) {
		i := o.items[key]
		value = i.encode(value[:0])
		if err := w.Add([]byte(key), value); err != nil {
			return err
		}
	}
	for _, shard := range slices.Sorted(maps.Keys(o.shards)) {
		s := o.shards[shard]
		value = s.encode(value[:0])
		if err := w.Add(shardKey(shard), value); err != nil {
			return err
		}
	}
	workers := slices.SortedFunc(maps.Keys(o.workers), compareWorkers)
	for _, worker := range workers {
		value = o.workers[worker].encode(value[:0])
		if err := w.Add(workerKey(worker), value); err != nil {
			return err
		}
	}
	for _, worker := range workers {
		prefix := chunkPrefix(worker)
		for _, c := range o.workers[worker].chunks {
			value = c.encode(value[:0])
			if err := w.Add(chunkKey(prefix, c.first), value); err != nil {
				return err
			}
		}
	}
	return nil
}

// compareWorkers is the order of the workers' keys.
func compareWorkers(a, b id.Worker) int {
	return cmp.Or(cmp.Compare(a.Component, b.Component), cmp.Compare(a.Name, b.Name))
}
