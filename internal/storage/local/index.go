package local

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage/local/table"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

// position is how far the log was read into the index.
type position struct {
	File   uint64 `json:"file"`
	Offset int64  `json:"offset"`
	Seq    uint64 `json:"seq"` // of the last frame before it
}

// index knows where everything in the log is. It is an overlay in memory over
// tables on the disk, newest first; what says the same key again in a newer one
// counts. All of it can be made anew from the log.
//
// Changes are made by one caller at a time, the one that has the store's turn;
// reads go on beside it and hold no lock while they read tables.
type index struct {
	disk vfs.FS
	dir  string
	anew bool // it is being made from the whole log

	mu       sync.RWMutex
	active   *overlay
	frozen   *overlay // being written as a table, or nil
	tables   *version
	position position // of active
	shards   map[id.Shard]shardState
	files    map[uint64]*logFile
	lost     []lostRange
	next     uint64   // number of the next table
	written  manifest // what the disk has
	frozenAt manifest // what it will have with frozen in a table
}

// logFile is what is known of a log file.
type logFile struct {
	fileHeader
	end   int64 // where its frames end
	live  int64 // cost of the records in it that count
	tombs int64 // cost of its records that say something is gone
	// damaged files are kept: nobody knows what they said.
	damaged bool
}

// lostRange is a part of the log whose frames cannot be read.
type lostRange struct {
	File uint64 `json:"file"`
	From int64  `json:"from"`
	To   int64  `json:"to"`
}

// numberedTable is a table of the index and the number in its file's name.
type numberedTable struct {
	*table.Table
	number uint64
	users  atomic.Int32 // versions that have it
}

// version is a set of tables that is being used. It keeps their files open.
type version struct {
	tables []*numberedTable // newest first
	users  atomic.Int32
}

func newVersion(tables []*numberedTable) *version {
	v := &version{tables: tables}
	v.users.Store(1)
	for _, t := range tables {
		t.users.Add(1)
	}
	return v
}

func (v *version) release() {
	if v.users.Add(-1) > 0 {
		return
	}
	for _, t := range v.tables {
		if t.users.Add(-1) == 0 {
			_ = t.Close() // opened for reading
		}
	}
}

func newIndex(disk vfs.FS, dir string) *index {
	return &index{
		disk: disk, dir: dir, anew: true,
		active: newOverlay(), tables: newVersion(nil),
		shards: map[id.Shard]shardState{}, files: map[uint64]*logFile{}, next: 1,
	}
}

// close closes the tables once nobody reads them.
func (x *index) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.tables.release()
	x.tables = newVersion(nil)
}

// use gives the tables; the caller releases them. It holds the lock.
func (x *index) use() *version {
	x.tables.users.Add(1)
	return x.tables
}

// worker gives what is known of w, or the state of one without entries.
func (x *index) worker(w id.Worker) (workerState, error) {
	x.mu.RLock()
	e := x.active.workers[w]
	if e == nil && x.frozen != nil {
		e = x.frozen.workers[w]
	}
	if e != nil {
		s := e.workerState
		x.mu.RUnlock()
		return s, nil
	}
	v := x.use()
	x.mu.RUnlock()
	defer v.release()
	return v.worker(w)
}

// worker gives what the tables know of w.
func (v *version) worker(w id.Worker) (workerState, error) {
	value, ok, err := v.get(workerKey(w))
	if err != nil || !ok {
		return workerState{below: 1}, err
	}
	return decodeWorker(value)
}

// item gives where a cell or a blob is. One that is deleted is given as such.
func (x *index) item(key string) (i item, ok bool, err error) {
	x.mu.RLock()
	i, ok = x.active.items[key]
	if !ok && x.frozen != nil {
		i, ok = x.frozen.items[key]
	}
	if ok {
		x.mu.RUnlock()
		return i, true, nil
	}
	v := x.use()
	x.mu.RUnlock()
	defer v.release()
	value, ok, err := v.get([]byte(key))
	if err != nil || !ok {
		return item{}, false, err
	}
	i, err = decodeItem(value)
	return i, err == nil, err
}

func (v *version) get(key []byte) (value []byte, ok bool, err error) {
	for _, t := range v.tables {
		value, ok, err = t.Get(key)
		if ok || err != nil {
			return value, ok, err
		}
	}
	return nil, false, nil
}

// keys gives up to limit keys that begin with prefix and come after after, of
// workers, cells or blobs; what they say may be that there is nothing.
func (x *index) keys(prefix, after string, limit int) ([]string, error) {
	x.mu.Lock()
	sets := [][]string{x.active.keys(prefix, after, limit)}
	if x.frozen != nil {
		sets = append(sets, x.frozen.keys(prefix, after, limit))
	}
	v := x.use()
	x.mu.Unlock()
	defer v.release()
	for _, t := range v.tables {
		found, err := tableKeys(t.Table, prefix, after, limit)
		if err != nil {
			return nil, err
		}
		sets = append(sets, found)
	}
	all := slices.Concat(sets...)
	slices.Sort(all)
	all = slices.Compact(all)
	// The first limit of all of them are among the first limit of each.
	return all[:min(len(all), limit)], nil
}

func tableKeys(t *table.Table, prefix, after string, limit int) ([]string, error) {
	var found []string
	c := t.Cursor()
	for ok := c.Seek([]byte(max(prefix, after))); ok && len(found) < limit; ok = c.Next() {
		key := string(c.Key())
		if !strings.HasPrefix(key, prefix) {
			break
		}
		if key != after {
			found = append(found, key)
		}
	}
	return found, c.Err()
}

// reader goes through the chunks of one worker.
type reader struct {
	workerState
	lanes []*lane
	tabs  *version
}

// lane is the chunks that an overlay or a table has of the worker, in order.
type lane struct {
	chunks []chunk       // of an overlay
	cursor *table.Cursor // of a table
	prefix []byte

	chunk chunk
	ok    bool // it stands on chunk
}

// read begins to read the chunks of w from the one that holds entry from or the
// first entry that there is. The caller closes the reader.
func (x *index) read(w id.Worker, from uint64) (*reader, error) {
	r, err := x.snapshot(w)
	if err != nil || r.empty() {
		return r, err
	}
	return r.enter(w, max(from, r.below))
}

// readAll begins there even if the log begins later.
func (x *index) readAll(w id.Worker, from uint64) (*reader, error) {
	r, err := x.snapshot(w)
	if err != nil {
		return nil, err
	}
	return r.enter(w, from)
}

// snapshot takes all that there is of w at one moment: a state of one moment
// and chunks of another, truncated in between, would look like damage.
func (x *index) snapshot(w id.Worker) (*reader, error) {
	r := &reader{}
	x.mu.RLock()
	r.tabs = x.use()
	for _, o := range []*overlay{x.active, x.frozen} {
		if o == nil || o.workers[w] == nil {
			continue
		}
		if len(r.lanes) == 0 { // The newest state there is.
			r.workerState = o.workers[w].workerState
		}
		r.lanes = append(r.lanes, &lane{chunks: o.workers[w].chunks})
	}
	x.mu.RUnlock()
	if len(r.lanes) == 0 {
		var err error
		if r.workerState, err = r.tabs.worker(w); err != nil {
			r.close()
			return nil, err
		}
	}
	return r, nil
}

// enter stands on the first chunks that end at or behind entry from.
func (r *reader) enter(w id.Worker, from uint64) (*reader, error) {
	key := chunkPrefix(w)
	for _, t := range r.tabs.tables {
		r.lanes = append(r.lanes, &lane{cursor: t.Cursor(), prefix: key})
	}
	for _, l := range r.lanes {
		if err := l.enter(from, &r.workerState); err != nil {
			r.close()
			return nil, err
		}
	}
	return r, nil
}

func (r *reader) close() { r.tabs.release() }

// at gives the chunk that holds entry i. If there is none, it gives the index
// that the next one begins with, or 0. Calls go on with greater indexes.
func (r *reader) at(i uint64) (c chunk, ok bool, next uint64, err error) {
	for _, l := range r.lanes {
		for l.ok && (l.chunk.last() < i || !r.holds(&l.chunk)) {
			if err := l.next(); err != nil {
				return c, false, 0, err
			}
		}
		switch {
		case !l.ok:
		case l.chunk.first <= i:
			return l.chunk, true, 0, nil
		case next == 0 || l.chunk.first < next:
			next = l.chunk.first
		}
	}
	return c, false, next, nil
}

// enter stands on the first chunk that ends at or behind entry i, or before it.
func (l *lane) enter(i uint64, state *workerState) error {
	if l.cursor == nil {
		n, _ := slices.BinarySearchFunc(l.chunks, i, func(c chunk, i uint64) int {
			if c.last() < i {
				return -1
			}
			return 1
		})
		l.chunks = l.chunks[n:]
		return l.next()
	}
	for first := i; ; first = l.chunk.first - 1 {
		key := chunkKey(l.prefix, first)
		if !l.cursor.SeekBefore(key) || string(l.cursor.Key()) < string(l.prefix) {
			// There is none that begins at or before.
			if l.cursor.Err() == nil && l.cursor.Seek(key) {
				return l.decode()
			}
			l.ok = false
			return l.cursor.Err()
		}
		// A chunk that counts no more may lie over one that does, if both were
		// found when the index was made anew: then that begins before.
		if err := l.decode(); err != nil || state.holds(&l.chunk) || l.chunk.first == 0 {
			return err
		}
	}
}

func (l *lane) next() error {
	if l.cursor == nil {
		l.ok = len(l.chunks) > 0
		if l.ok {
			l.chunk, l.chunks = l.chunks[0], l.chunks[1:]
		}
		return nil
	}
	if l.ok = l.cursor.Next(); l.ok {
		return l.decode()
	}
	return l.cursor.Err()
}

// decode reads the chunk where the cursor stands, if it is one of the worker.
func (l *lane) decode() (err error) {
	key := l.cursor.Key()
	if l.ok = len(key) > len(l.prefix) && string(key[:len(l.prefix)]) == string(l.prefix); l.ok {
		l.chunk, err = decodeChunk(key[len(l.prefix):], l.cursor.Value())
	}
	return err
}

// damagedIndex says whether err is about the index itself, which can be made
// anew.
func damagedIndex(err error) bool { return errors.Is(err, table.ErrCorrupt) }
