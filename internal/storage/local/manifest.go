package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/waterbear-run/waterbear/internal/storage/local/table"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

const (
	manifestName = "CURRENT"
	tableSuffix  = ".table"
)

// manifest says which tables make up the index and how far they cover the log.
// It is one line of JSON and one with the line's checksum.
type manifest struct {
	Version  int           `json:"version"`
	Next     uint64        `json:"next"`     // number of the next table
	Tables   []uint64      `json:"tables"`   // newest first
	Position position      `json:"position"` // what is before it is in the tables
	Files    []fileSummary `json:"files"`
	Lost     []lostRange   `json:"lost,omitempty"`
	// Anew says that it was written before the whole log was read into it: the
	// rest has to be read in the same way.
	Anew bool `json:"anew,omitempty"`
}

// fileSummary is what the index knows of a log file.
type fileSummary struct {
	Number      uint64 `json:"number"`
	Salt        uint64 `json:"salt"`
	FirstSeq    uint64 `json:"firstSeq"`
	Previous    uint64 `json:"previous"`
	PreviousEnd int64  `json:"previousEnd"`
	End         int64  `json:"end"`
	Live        int64  `json:"live"`
	Tombs       int64  `json:"tombs"`
	Damaged     bool   `json:"damaged,omitempty"`
}

// summary describes the log files. The caller holds the lock.
func (x *index) summary() []fileSummary {
	var all []fileSummary
	for _, n := range slices.Sorted(maps.Keys(x.files)) {
		f := x.files[n]
		all = append(all, fileSummary{
			Number: n, Salt: f.salt, FirstSeq: f.firstSeq, Previous: f.previous, PreviousEnd: f.previousEnd,
			End: f.end, Live: f.live, Tombs: f.tombs, Damaged: f.damaged,
		})
	}
	return all
}

func (m *manifest) encode() ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(b, "\n%08x\n", crc32.Checksum(b, crcTable)), nil
}

func decodeManifest(b []byte) (m manifest, err error) {
	line, sum, _ := strings.Cut(string(b), "\n")
	want, err := strconv.ParseUint(strings.TrimSuffix(sum, "\n"), 16, 32)
	if err != nil || uint32(want) != checksum([]byte(line)) {
		return m, fmt.Errorf("%w: its list of tables fails its checksum", table.ErrCorrupt)
	}
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		return m, fmt.Errorf("%w: %w", table.ErrCorrupt, err)
	}
	if m.Version != Version {
		return m, fmt.Errorf("%w: it has format %d", table.ErrCorrupt, m.Version)
	}
	return m, nil
}

// load opens the index that the disk has. An error that damagedIndex knows, or
// a missing file, means that it has to be made anew.
func (x *index) load() error {
	b, err := readFile(x.disk, path.Join(x.dir, manifestName))
	if err != nil {
		return err
	}
	m, err := decodeManifest(b)
	if err != nil {
		return err
	}
	var tables []*numberedTable
	for _, n := range m.Tables {
		t, err := x.openTable(n)
		if err != nil {
			for _, t := range tables {
				_ = t.Close() // opened for reading
			}
			return err
		}
		tables = append(tables, t)
	}
	x.tables = newVersion(tables)
	x.anew, x.next, x.position, x.lost, x.written = m.Anew, m.Next, m.Position, m.Lost, m
	for _, f := range m.Files {
		x.files[f.Number] = &logFile{
			fileHeader: fileHeader{number: f.Number, salt: f.Salt, firstSeq: f.FirstSeq, previous: f.Previous, previousEnd: f.PreviousEnd},
			end:        f.End, live: f.Live, tombs: f.Tombs, damaged: f.Damaged,
		}
	}
	return x.loadShards()
}

func (x *index) loadShards() error {
	keys, err := x.keys(string(keyShard), "", 1<<31)
	if err != nil {
		return err
	}
	for _, key := range keys {
		value, _, err := x.tables.get([]byte(key))
		if err != nil {
			return err
		}
		s, err := decodeShard(value)
		if err != nil {
			return err
		}
		x.shards[shardOf(key)] = s
	}
	return nil
}

func (x *index) openTable(number uint64) (*numberedTable, error) {
	f, err := x.disk.Open(x.tableName(number))
	if err != nil {
		return nil, err
	}
	t, err := table.Open(f)
	if err != nil {
		return nil, err
	}
	return &numberedTable{Table: t, number: number}, nil
}

func (x *index) tableName(number uint64) string {
	return path.Join(x.dir, fmt.Sprintf("%010d%s", number, tableSuffix))
}

// install makes tables the index's, on the disk and then here. frozen says that
// they have what was frozen.
func (x *index) install(tables []*numberedTable, m manifest, frozen bool) error {
	m.Version, m.Tables = Version, nil
	for _, t := range tables {
		m.Tables = append(m.Tables, t.number)
	}
	b, err := m.encode()
	if err != nil {
		return err
	}
	// The tables' names are durable before the list of them.
	if err := x.disk.SyncDir(x.dir); err != nil {
		return err
	}
	if err := replaceFile(x.disk, path.Join(x.dir, manifestName), b); err != nil {
		return err
	}
	x.mu.Lock()
	old := x.tables
	x.tables, x.written = newVersion(tables), m
	if frozen {
		x.frozen = nil
	}
	x.mu.Unlock()
	for _, t := range old.tables {
		if !slices.Contains(m.Tables, t.number) {
			// What cannot be removed now is removed at the next open.
			_ = x.disk.Remove(x.tableName(t.number))
		}
	}
	old.release()
	return nil
}

// sweep removes what crashed writes left behind.
func (x *index) sweep() error {
	names, err := x.disk.List(x.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		number, err := strconv.ParseUint(strings.TrimSuffix(name, tableSuffix), 10, 64)
		if name == manifestName || err == nil && slices.Contains(x.written.Tables, number) {
			continue
		}
		if err := x.disk.Remove(path.Join(x.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// readFile reads a small file whole.
func readFile(disk vfs.FS, name string) ([]byte, error) {
	f, err := disk.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b := make([]byte, size)
	n, err := readFull(f, b, 0)
	return b[:n], errors.Join(err, f.Close())
}

// replaceFile writes a file durably, so that there always is the old or the new
// one.
func replaceFile(disk vfs.FS, name string, content []byte) error {
	next := name + ".new"
	f, err := disk.Create(next)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = disk.Rename(next, name)
	}
	if err != nil {
		return errors.Join(err, disk.Remove(next))
	}
	return disk.SyncDir(path.Dir(name))
}
