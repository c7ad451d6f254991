package filesystem

import (
	"strings"
	"unicode/utf8"
)

// following says what is done with a symbolic link that a path ends in.
type following int

const (
	never    following = iota // the name itself is meant: creating, removing, renaming
	slashed                   // followed if a slash comes behind
	creating                  // followed, but a slash behind is refused: no file can be made there
	always
)

// spot is where a path leads: a name of a directory, taken or free.
type spot struct {
	dir   *node
	name  string // or "." or ".."
	inode Inode  // 0: free
	kind  Kind
	slash bool // a slash came behind
}

// ordinary says whether the name can be given and taken.
func (s spot) ordinary() bool { return s.name != "." && s.name != ".." }

// checkPath refuses what no path can be.
func checkPath(path string) error {
	switch {
	case path == "":
		return ErrNotExist
	case len(path) > MaxPath:
		return ErrNameTooLong
	case strings.IndexByte(path, 0) >= 0:
		return ErrInvalid
	case !utf8.ValidString(path):
		return ErrEncoding
	}
	return nil
}

// step takes the first name off a path and says whether slashes came behind.
func step(path string) (name, rest string, slash bool) {
	name, rest, slash = strings.Cut(path, "/")
	return name, strings.TrimLeft(rest, "/"), slash
}

// walk resolves path below base. Its work is bounded: MaxSymlinks paths of
// MaxPath bytes.
func (f *FS) walk(base Inode, path string, follow following) (spot, error) {
	if err := checkPath(path); err != nil {
		return spot{}, err
	}
	dir, err := f.node(base)
	if err != nil {
		return spot{}, err
	}
	if dir.kind != Directory {
		return spot{}, ErrNotDirectory
	}
	for followed := 0; ; {
		if path[0] == '/' {
			return spot{}, ErrEscape
		}
		name, rest, slash := step(path)
		last := rest == ""
		s, err := f.lookup(base, dir, name)
		if err != nil {
			return spot{}, err
		}
		s.slash = slash
		switch {
		case last && slash && follow == creating && s.ordinary():
			return spot{}, ErrIsDirectory
		case s.kind == Symlink && (!last || follow >= creating || follow == slashed && slash):
			if followed++; followed > MaxSymlinks {
				return spot{}, ErrLoop
			}
			link, _ := f.nodes.get(s.inode)
			path = link.target
			if slash {
				path += "/" + rest
			}
			continue
		case last:
			return s, nil
		case s.inode == 0:
			return spot{}, ErrNotExist
		case s.kind != Directory:
			return spot{}, ErrNotDirectory
		}
		dir, _ = f.nodes.get(s.inode)
		path = rest
	}
}

// lookup finds one name in dir, which is base or below it.
func (f *FS) lookup(base Inode, dir *node, name string) (spot, error) {
	switch {
	case name == ".":
		return spot{dir: dir, name: name, inode: dir.inode, kind: Directory}, nil
	case name == "..":
		if dir.inode == base {
			return spot{}, ErrEscape
		}
		return spot{dir: dir, name: name, inode: dir.parent, kind: Directory}, nil
	case len(name) > MaxName:
		return spot{}, ErrNameTooLong
	}
	e, _ := dir.entries.get(name)
	return spot{dir: dir, name: name, inode: e.inode, kind: e.kind}, nil
}

// existing resolves a path that must lead to something.
func (f *FS) existing(base Inode, path string, follow following) (spot, error) {
	s, err := f.walk(base, path, follow)
	switch {
	case err != nil:
		return s, err
	case s.inode == 0:
		return s, ErrNotExist
	case s.slash && s.kind != Directory:
		return s, ErrNotDirectory
	}
	return s, nil
}

// vacant resolves a path to a name that is to be made. A directory that was
// removed takes no new names.
func (f *FS) vacant(base Inode, path string) (spot, error) {
	s, err := f.walk(base, path, never)
	switch {
	case err != nil:
		return s, err
	case s.inode != 0:
		return s, ErrExist
	case s.dir.links == 0:
		return s, ErrNotExist
	}
	return s, nil
}

// Lookup finds what path leads to. With follow, a symbolic link at its end is
// followed; one with a slash behind always is.
func (f *FS) Lookup(base Inode, path string, follow bool) (Inode, error) {
	mode := slashed
	if follow {
		mode = always
	}
	s, err := f.existing(base, path, mode)
	return s.inode, err
}
