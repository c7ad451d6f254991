package wit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Limits of the WIT text that is read together.
const (
	// MaxSource bounds it, in bytes.
	MaxSource = 4 << 20
	// maxFiles bounds how many files it is in.
	maxFiles = 10_000
)

// Parser reads packages of WIT (WIT.md).
type Parser struct {
	// Features are the names of those whose unstable parts are read. What is part
	// of others is left out.
	Features []string
	// AllFeatures is for reading all unstable parts.
	AllFeatures bool
}

// Parse reads the package that the files of root are, and those that it depends
// on: each of deps is the files of one. Packages in blocks may be in any file.
// All names are resolved; what the worlds of the document import is complete.
// An error in the text is a *ParseError.
func (p Parser) Parse(root []Source, deps ...[]Source) (*Document, error) {
	groups := append([][]Source{root}, deps...)
	total, files := 0, 0
	for _, group := range groups {
		files += len(group)
		for _, s := range group {
			total += len(s.Text)
		}
	}
	if total > MaxSource || files > maxFiles {
		return nil, fmt.Errorf("there are %d bytes of WIT in %d files, and %d in %d are the most: remove packages that are not needed", total, files, MaxSource, maxFiles)
	}
	r := newResolver(p)
	for i, group := range groups {
		if err := r.addGroup(i, group); err != nil {
			return nil, err
		}
	}
	return r.document()
}

// Load reads the package at name in fsys, as tools for WIT find it (WIT.md,
// "Filesystem structure"): a file, or a directory whose *.wit files are the
// package; what it depends on is in its directory deps, a package in each file
// and each directory.
func (p Parser) Load(fsys fs.FS, name string) (*Document, error) {
	l := loader{fsys: fsys}
	root, err := l.group(name)
	if err != nil {
		return nil, err
	}
	if len(root) == 0 {
		return nil, fmt.Errorf("read WIT of %s: there are no .wit files in it", name)
	}
	var deps [][]Source
	dir := path.Join(name, "deps")
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !l.isFile(name) {
		return nil, err
	}
	for _, e := range entries {
		if !e.IsDir() && !isWIT(e) {
			continue
		}
		group, err := l.group(path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if len(group) > 0 {
			deps = append(deps, group)
		}
	}
	return p.Parse(root, deps...)
}

// loader reads files up to the bounds.
type loader struct {
	fsys  fs.FS
	bytes int
	files int
}

func (l *loader) isFile(name string) bool {
	stat, err := fs.Stat(l.fsys, name)
	return err == nil && !stat.IsDir()
}

func isWIT(e fs.DirEntry) bool { return strings.HasSuffix(e.Name(), ".wit") }

// group reads a file, or the WIT files of a directory.
func (l *loader) group(name string) ([]Source, error) {
	if l.isFile(name) {
		s, err := l.source(name)
		return []Source{s}, err
	}
	entries, err := fs.ReadDir(l.fsys, name)
	if err != nil {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.IsDir() || !isWIT(e) })
	var group []Source
	for _, e := range entries {
		s, err := l.source(path.Join(name, e.Name()))
		if err != nil {
			return nil, err
		}
		group = append(group, s)
	}
	return group, nil
}

func (l *loader) source(name string) (Source, error) {
	if l.files++; l.files > maxFiles {
		return Source{}, fmt.Errorf("there are more than %d files of WIT: remove packages that are not needed", maxFiles)
	}
	f, err := l.fsys.Open(name)
	if err != nil {
		return Source{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, int64(MaxSource-l.bytes)+1))
	if err != nil {
		return Source{}, err
	}
	if l.bytes += len(text); l.bytes > MaxSource {
		return Source{}, fmt.Errorf("there are more than %d bytes of WIT, with %s: remove packages that are not needed", MaxSource, name)
	}
	return Source{Name: name, Text: string(text)}, nil
}
