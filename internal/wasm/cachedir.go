package wasm

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// maxCacheBytes bounds a cache directory. The entries written first go first.
const maxCacheBytes = 2 << 30

// privateDir is a directory of one engine, locked while the engine lives, so
// that another can tell that its owner was killed and remove it.
type privateDir struct {
	path string
	lock *os.File
}

// code is the part of the directory that is wazero's.
func (p *privateDir) code() string { return filepath.Join(p.path, "code") }

// newPrivateDir makes a directory for one engine under the cache, and removes
// those whose engines are gone.
func newPrivateDir(cache string) (*privateDir, error) {
	all := filepath.Join(cache, "engines")
	if err := os.MkdirAll(all, 0o700); err != nil {
		return nil, err
	}
	// A directory that was just made and is not locked yet must not look
	// abandoned.
	setup, err := lock(filepath.Join(cache, "lock"), unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer setup.Close()
	removeAbandoned(all)
	path, err := os.MkdirTemp(all, "")
	if err != nil {
		return nil, err
	}
	held, err := lock(filepath.Join(path, "lock"), unix.LOCK_EX)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	return &privateDir{path: path, lock: held}, nil
}

// lock opens and locks a file; closing it, or dying, unlocks it.
func lock(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), how); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func removeAbandoned(all string) {
	engines, err := os.ReadDir(all)
	if err != nil {
		return
	}
	for _, e := range engines {
		path := filepath.Join(all, e.Name())
		held, err := lock(filepath.Join(path, "lock"), unix.LOCK_EX|unix.LOCK_NB)
		if err != nil {
			continue
		}
		_ = os.RemoveAll(path)
		_ = held.Close()
	}
}

// put writes the code that wazero is to find.
func (p *privateDir) put(file string, code []byte) error {
	path := filepath.Join(p.code(), file)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, code, 0o600)
}

// take reads the one file that wazero has written.
func (p *privateDir) take() (file string, code []byte, err error) {
	var files []string
	err = p.walk(func(path string) { files = append(files, path) })
	if err != nil {
		return "", nil, err
	}
	if len(files) != 1 {
		return "", nil, errors.New("the compiler wrote no code, or more than one file")
	}
	if file, err = filepath.Rel(p.code(), files[0]); err != nil {
		return "", nil, err
	}
	code, err = os.ReadFile(files[0])
	return file, code, err
}

// clear removes what wazero has read or written, but not its directories.
func (p *privateDir) clear() {
	_ = p.walk(func(path string) { _ = os.Remove(path) })
}

func (p *privateDir) walk(visit func(path string)) error {
	return filepath.WalkDir(p.code(), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			visit(path)
		}
		return err
	})
}

// publish makes data appear at path, whole. It is not flushed: a file that a
// power failure cuts short has the wrong checksum.
func (p *privateDir) publish(data []byte, path string) error {
	draft := filepath.Join(p.path, "draft")
	if err := os.WriteFile(draft, data, 0o600); err != nil {
		_ = os.Remove(draft)
		return err
	}
	return os.Rename(draft, path)
}

// remove gives the directory back.
func (p *privateDir) remove() {
	_ = os.RemoveAll(p.path)
	_ = p.lock.Close()
}

// evict removes the oldest entries of a directory until it holds no more than
// limit bytes, but never the entry to keep.
func evict(entries, keep string, limit int64) {
	list, err := os.ReadDir(entries)
	if err != nil {
		return
	}
	var files []fs.FileInfo
	total := int64(0)
	for _, e := range list {
		if info, err := e.Info(); err == nil {
			files = append(files, info)
			total += info.Size()
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, f := range files {
		if total <= limit {
			return
		}
		if f.Name() != keep && os.Remove(filepath.Join(entries, f.Name())) == nil {
			total -= f.Size()
		}
	}
}
