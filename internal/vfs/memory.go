package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
)

const (
	pageSize = 4096 // what a disk without space counts in, and a sync writes
	// SectorSize is what Memory writes as a whole or not at all when the
	// power fails.
	SectorSize = 512
)

// Memory is a disk in memory, for tests and simulation. It remembers what has
// been synced: Crash gives the disk that a power failure would leave behind.
// It is deterministic: the same calls give the same disk.
type Memory struct {
	mu       sync.Mutex
	root     *node
	locked   map[string]bool
	capacity int64 // 0: no bound
	used     int64
	random   uint64
	fault    func(Op) error
	ops      int
	off      bool // the power is off
}

var _ FS = (*Memory)(nil)

// NewMemory makes an empty disk whose unpredictable numbers come from seed.
func NewMemory(seed uint64) *Memory {
	return &Memory{root: newDir(), locked: map[string]bool{}, random: seed}
}

// node is a file or, if entries is set, a directory.
type node struct {
	entries map[string]*node
	synced  map[string]*node // the entries that a power failure leaves

	live    []byte
	durable []byte
	dirty   map[int64]bool // pages written since the last sync
	resized bool
}

func newDir() *node  { return &node{entries: map[string]*node{}, synced: map[string]*node{}} }
func newFile() *node { return &node{dirty: map[int64]bool{}} }

func notExist(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// find gives the directory that has or would have name, and its last element.
func (m *Memory) find(op, name string) (dir *node, base string, err error) {
	parts := strings.Split(strings.Trim(path.Clean("/"+name), "/"), "/")
	dir = m.root
	for _, p := range parts[:len(parts)-1] {
		dir = dir.entries[p]
		if dir == nil || dir.entries == nil {
			return nil, "", notExist(op, name)
		}
	}
	return dir, parts[len(parts)-1], nil
}

func (m *Memory) dir(op, name string) (*node, error) {
	dir, base, err := m.find(op, name)
	if err != nil || base == "" {
		return dir, err
	}
	n := dir.entries[base]
	if n == nil {
		return nil, notExist(op, name)
	}
	if n.entries == nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: errors.New("not a directory")}
	}
	return n, nil
}

func (m *Memory) file(op, name string) (*node, error) {
	dir, base, err := m.find(op, name)
	if err != nil {
		return nil, err
	}
	n := dir.entries[base]
	if n == nil {
		return nil, notExist(op, name)
	}
	if n.entries != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: errors.New("is a directory")}
	}
	return n, nil
}

// Open opens a file for reading.
func (m *Memory) Open(name string) (File, error) { return m.open(OpOpen, name, false) }

// OpenWrite opens a file for reading and writing.
func (m *Memory) OpenWrite(name string) (File, error) { return m.open(OpOpen, name, true) }

func (m *Memory) open(kind OpKind, name string, write bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(Op{Kind: kind, Name: name}); err != nil {
		return nil, err
	}
	n, err := m.file("open", name)
	if err != nil {
		return nil, err
	}
	return &memoryFile{disk: m, node: n, name: name, write: write}, nil
}

// Create makes an empty file.
func (m *Memory) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.find("create", name)
	if err != nil {
		return nil, err
	}
	n := newFile()
	err = m.change(Op{Kind: OpCreate, Name: name}, func() error {
		if old := dir.entries[base]; old != nil {
			if old.entries != nil {
				return &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
			}
			m.used -= pages(len(old.live))
		}
		dir.entries[base] = n
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &memoryFile{disk: m, node: n, name: name, write: true}, nil
}

// Remove removes a file or an empty directory.
func (m *Memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.find("remove", name)
	if err != nil {
		return err
	}
	n := dir.entries[base]
	if n == nil {
		return notExist("remove", name)
	}
	if len(n.entries) > 0 {
		return &fs.PathError{Op: "remove", Path: name, Err: errors.New("directory not empty")}
	}
	return m.change(Op{Kind: OpRemove, Name: name}, func() error {
		delete(dir.entries, base)
		m.used -= pages(len(n.live))
		return nil
	})
}

// Rename gives a file another name.
func (m *Memory) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.file("rename", from)
	if err != nil {
		return err
	}
	fromDir, fromBase, _ := m.find("rename", from)
	toDir, toBase, err := m.find("rename", to)
	if err != nil {
		return err
	}
	return m.change(Op{Kind: OpRename, Name: from}, func() error {
		if old := toDir.entries[toBase]; old != nil && old != n {
			m.used -= pages(len(old.live))
		}
		delete(fromDir.entries, fromBase)
		toDir.entries[toBase] = n
		return nil
	})
}

// MkdirAll makes a directory and those above it.
func (m *Memory) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.root
	for p := range strings.SplitSeq(strings.Trim(path.Clean("/"+dir), "/"), "/") {
		if p == "" {
			break
		}
		next := at.entries[p]
		if next == nil {
			next = newDir()
			if err := m.change(Op{Kind: OpMkdir, Name: dir}, func() error { at.entries[p] = next; return nil }); err != nil {
				return err
			}
			if err := m.change(Op{Kind: OpSyncDir, Name: dir}, func() error { at.synced[p] = next; return nil }); err != nil {
				delete(at.entries, p)
				return err
			}
		}
		if next.entries == nil {
			return fmt.Errorf("%s is not a directory", dir)
		}
		at = next
	}
	return nil
}

// List gives the names in a directory, sorted.
func (m *Memory) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(Op{Kind: OpList, Name: dir}); err != nil {
		return nil, err
	}
	n, err := m.dir("list", dir)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(n.entries)), nil
}

// Stat gives a file's size.
func (m *Memory) Stat(name string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(Op{Kind: OpStat, Name: name}); err != nil {
		return 0, err
	}
	dir, base, err := m.find("stat", name)
	if err != nil {
		return 0, err
	}
	n := dir.entries[base]
	if n == nil {
		return 0, notExist("stat", name)
	}
	return int64(len(n.live)), nil
}

// SyncDir makes the entries of a directory durable.
func (m *Memory) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.dir("sync", dir)
	if err != nil {
		return err
	}
	return m.change(Op{Kind: OpSyncDir, Name: dir}, func() error {
		n.synced = maps.Clone(n.entries)
		return nil
	})
}

// Lock takes a lock. A crash clone has none taken.
func (m *Memory) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.find("lock", name)
	if err != nil {
		return nil, err
	}
	if m.locked[name] {
		return nil, &LockedError{Name: name}
	}
	if dir.entries[base] == nil {
		err := m.change(Op{Kind: OpCreate, Name: name}, func() error { dir.entries[base] = newFile(); return nil })
		if err != nil {
			return nil, err
		}
	}
	m.locked[name] = true
	return &memoryLock{disk: m, name: name}, nil
}

// Locked reports whether the lock is taken.
func (m *Memory) Locked(name string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.locked[name], nil
}

type memoryLock struct {
	disk *Memory
	name string
	once sync.Once
}

func (l *memoryLock) Close() error {
	l.once.Do(func() {
		l.disk.mu.Lock()
		defer l.disk.mu.Unlock()
		delete(l.disk.locked, l.name)
	})
	return nil
}

// Unpredictable gives the next number of the sequence that the seed began.
func (m *Memory) Unpredictable() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	// SplitMix64 (Steele, Lea and Flood 2014).
	m.random += 0x9e3779b97f4a7c15
	z := m.random
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func pages(size int) int64 { return (int64(size) + pageSize - 1) / pageSize * pageSize }
