package filesystem

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"
)

// Imported is one path of a tree that comes from elsewhere.
type Imported struct {
	Path   string // slash-separated, relative, clean; "." is the tree itself
	Kind   Kind
	Size   uint64 // of a file
	Mtime  uint64 // nanoseconds since 1970
	Target string // of a symbolic link
}

// MkdirAll makes the directories of path that are missing and returns the
// last. It follows no symbolic links.
func (f *FS) MkdirAll(base Inode, p string) (Inode, error) {
	if err := checkPath(p); err != nil {
		return 0, err
	}
	for name := range strings.SplitSeq(p, "/") {
		if name == "" || name == "." {
			continue
		}
		s, err := f.walk(base, name, never)
		switch {
		case err != nil:
			return 0, err
		case s.inode == 0:
			n, err := f.mkdir(s.dir, name)
			if err != nil {
				return 0, err
			}
			base = n.inode
		case s.kind != Directory:
			return 0, ErrNotDirectory
		default:
			base = s.inode
		}
	}
	return base, nil
}

// Import fills dir, which is empty, with a tree, parents before children. A
// file's content is loaded when it is first needed. The directory itself can
// then no longer be moved or removed.
func (f *FS) Import(dir Inode, tree uint64, list []Imported) error {
	top, err := f.at(dir)
	if err != nil {
		return err
	}
	if top.kind != Directory || top.pinned || top.entries.size > 0 {
		return fmt.Errorf("import tree %d: %w", tree, ErrNotEmpty)
	}
	top.pinned, top.origin = true, &Origin{tree, "."}
	dirs := map[string]Inode{".": dir}
	for _, im := range list {
		if err := f.importOne(dirs, tree, im); err != nil {
			return fmt.Errorf("import %q: %w", im.Path, err)
		}
	}
	for _, im := range list {
		if im.Kind == Directory {
			n, err := f.at(dirs[im.Path])
			if err != nil {
				return err
			}
			n.setTimes(im.Mtime)
		}
	}
	return nil
}

// setTimes makes n as old as what it comes from.
func (n *node) setTimes(t uint64) { n.atime, n.mtime, n.ctime = t, t, t }

func (f *FS) importOne(dirs map[string]Inode, tree uint64, im Imported) error {
	if im.Path == "." && im.Kind == Directory {
		return nil
	}
	name := path.Base(im.Path)
	if err := checkName(name); err != nil {
		return err
	}
	parent, ok := dirs[path.Dir(im.Path)]
	if !ok || !fs.ValidPath(im.Path) {
		return ErrInvalid
	}
	dir, err := f.at(parent)
	if err != nil {
		return err
	}
	if _, taken := dir.entries.get(name); taken {
		return ErrExist
	}
	n, err := f.importNode(dir, name, im)
	if err != nil {
		return err
	}
	n.origin = &Origin{tree, im.Path}
	n.setTimes(im.Mtime)
	if im.Kind == Directory {
		dirs[im.Path] = n.inode
	}
	return nil
}

func (f *FS) importNode(dir *node, name string, im Imported) (*node, error) {
	switch im.Kind {
	case File:
		if im.Size > MaxFileSize {
			return nil, ErrTooBig
		}
		if err := f.chargeName(); err != nil {
			return nil, err
		}
		n := f.newNode(File)
		n.links, n.size, n.absent = 1, im.Size, true
		f.insert(dir, name, n)
		return n, nil
	case Directory:
		return f.mkdir(dir, name)
	case Symlink:
		if err := checkPath(im.Target); err != nil {
			return nil, err
		}
		return f.symlink(dir, name, im.Target)
	}
	return nil, ErrInvalid
}

// checkName refuses what no name in a directory can be.
func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00"):
		return ErrInvalid
	case len(name) > MaxName:
		return ErrNameTooLong
	case !utf8.ValidString(name):
		return ErrEncoding
	}
	return nil
}
