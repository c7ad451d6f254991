package filesystem

import "iter"

// The cookies of the two entries that every directory has. Those of others
// follow.
const (
	cookieSelf   = 1
	cookieParent = 2
)

// entry is what a name in a directory stands for.
type entry struct {
	inode  Inode
	kind   Kind
	cookie uint64 // its place in the directory, for as long as it has the name
}

// insert adds a name to dir. The caller has charged it.
func (f *FS) insert(dir *node, name string, n *node) {
	dir.cookie++
	dir.entries.set(f.owner, name, entry{n.inode, n.kind, dir.cookie})
	dir.order.set(f.owner, dir.cookie, name)
	f.adopt(dir, n)
	f.touch(dir)
}

// adopt makes n, if it is a directory, one of dir's.
func (f *FS) adopt(dir, n *node) {
	if n.kind == Directory {
		n.parent = dir.inode
		dir.subdirs++
	}
}

// remove takes a name from dir.
func (f *FS) remove(dir *node, name string) {
	e, _ := dir.entries.get(name)
	dir.entries.delete(f.owner, name)
	dir.order.delete(f.owner, e.cookie)
	if e.kind == Directory {
		dir.subdirs--
	}
	f.touch(dir)
}

// replace makes a name that dir has stand for n. It keeps its place.
func (f *FS) replace(dir *node, name string, n *node) {
	e, _ := dir.entries.get(name)
	if e.kind == Directory {
		dir.subdirs--
	}
	dir.entries.set(f.owner, name, entry{n.inode, n.kind, e.cookie})
	f.adopt(dir, n)
	f.touch(dir)
}

// Entry is one name in a directory.
type Entry struct {
	Name  string
	Inode Inode
	Kind  Kind
	// Cookie is where to go on reading behind this entry. It stays valid
	// whatever happens to the directory: each name that is there all the time
	// is read once.
	Cookie uint64
}

// ReadDir yields the entries behind cookie; 0 is before the first. They begin
// with "." and "..". The directory must not change while they are yielded.
func (f *FS) ReadDir(i Inode, cookie uint64) (iter.Seq[Entry], error) {
	n, err := f.node(i)
	if err != nil {
		return nil, err
	}
	if n.kind != Directory {
		return nil, ErrNotDirectory
	}
	return func(yield func(Entry) bool) {
		if cookie < cookieSelf && !yield(Entry{".", n.inode, Directory, cookieSelf}) {
			return
		}
		if cookie < cookieParent && !yield(Entry{"..", n.parent, Directory, cookieParent}) {
			return
		}
		if cookie >= n.cookie {
			return
		}
		for at, name := range n.order.from(cookie + 1) {
			e, _ := n.entries.get(name)
			if !yield(Entry{name, e.inode, e.kind, at}) {
				return
			}
		}
	}, nil
}

// depth is how many directories are above n.
func (f *FS) depth(n *node) int {
	d := 0
	for n.inode != Root && n.links > 0 {
		n, _ = f.nodes.get(n.parent)
		d++
	}
	return d
}

// height is how many levels of directories are in n, itself included.
func (f *FS) height(n *node) int {
	h := 0
	if n.subdirs > 0 {
		for _, e := range n.entries.all() {
			if e.kind == Directory {
				kid, _ := f.nodes.get(e.inode)
				h = max(h, f.height(kid))
			}
		}
	}
	return h + 1
}

// within says whether n is dir or somewhere below it.
func (f *FS) within(n, dir *node) bool {
	for n.inode != dir.inode {
		if n.inode == Root || n.links == 0 {
			return false
		}
		n, _ = f.nodes.get(n.parent)
	}
	return true
}
