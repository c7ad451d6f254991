package filesystem

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
)

// Difference says how a path differs from what was imported.
type Difference byte

// The differences. What was renamed is deleted at one path and created at
// another.
const (
	Deleted  Difference = iota + 1 // with all that was below it
	Created                        // was not there, or was of another kind
	Modified                       // another content or target
	Touched                        // another modification time alone
)

// String names the difference.
func (d Difference) String() string {
	switch d {
	case Deleted:
		return "deleted"
	case Created:
		return "created"
	case Modified:
		return "modified"
	case Touched:
		return "touched"
	}
	return fmt.Sprintf("Difference(%d)", byte(d))
}

// Change is one difference between a directory and what was imported to it.
type Change struct {
	Difference
	Imported       // as it is now; of what is deleted, as it was
	Inode    Inode // to read content from
	// Lost is why the content cannot be had, if it cannot: the file was moved
	// here unread, and can no longer be read where it came from. That place is
	// then not among the deleted.
	Lost Error
}

// Changes compares dir with the tree that was imported to it. What is deleted
// comes first, then the rest, parents before children. All content that it
// speaks of and that is not lost is here afterwards. Times of directories are not compared, nor is
// what other trees were imported below.
func (f *FS) Changes(dir Inode, tree uint64, base []Imported) ([]Change, error) {
	c := &comparison{
		f: f, tree: tree, was: make(map[string]Imported, len(base)),
		kept: make(map[string]bool, len(base)), spared: make(map[Origin]bool),
	}
	for _, im := range base {
		c.was[im.Path] = im
	}
	n, err := f.node(dir)
	if err != nil {
		return nil, err
	}
	if err := c.directory(n, ""); err != nil {
		return nil, err
	}
	return append(c.deleted(base), c.found...), nil
}

// comparison is a walk through what is there now.
type comparison struct {
	f      *FS
	tree   uint64
	was    map[string]Imported
	kept   map[string]bool // still there, and of the same kind
	spared map[Origin]bool // the only places of content that cannot be had
	found  []Change
}

func (c *comparison) directory(dir *node, prefix string) error {
	for name, e := range dir.entries.all() {
		n, err := c.f.node(e.inode)
		if err != nil {
			return err
		}
		at := prefix + name
		if n.pinned {
			c.kept[at] = true
			continue
		}
		if err := c.entry(n, at); err != nil {
			return err
		}
		if n.kind == Directory {
			if err := c.directory(n, at+"/"); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *comparison) entry(n *node, at string) error {
	was, existed := c.was[at]
	existed = existed && was.Kind == n.kind
	c.kept[at] = existed
	d := Created
	if existed {
		d = c.difference(n, was)
	}
	if d == 0 {
		return nil
	}
	var lost Error
	if n.absent && d != Touched {
		// What comes from another place must be here before that place changes.
		err := c.f.Fetch(n.inode)
		if err != nil && !errors.As(err, &lost) {
			return fmt.Errorf("fetch %s: %w", at, err)
		}
		if lost != "" {
			c.spared[*n.origin] = true
		}
		n, _ = c.f.nodes.get(n.inode)
	}
	c.found = append(c.found, Change{d, Imported{at, n.kind, n.size, n.mtime, n.target}, n.inode, lost})
	return nil
}

func (c *comparison) difference(n *node, was Imported) Difference {
	switch {
	case n.kind == Directory:
		return 0
	case n.kind == Symlink:
		if n.target != was.Target {
			return Modified
		}
		return 0
	case n.changed || n.origin == nil || *n.origin != Origin{c.tree, was.Path}:
		return Modified
	case n.mtime != was.Mtime:
		return Touched
	}
	return 0
}

// deleted is what is no longer there, the topmost of each lost directory alone.
func (c *comparison) deleted(base []Imported) []Change {
	var gone []Change
	for _, im := range base {
		above := path.Dir(im.Path)
		if im.Path == "." || c.kept[im.Path] || above != "." && !c.kept[above] || c.spared[Origin{c.tree, im.Path}] {
			continue
		}
		gone = append(gone, Change{Difference: Deleted, Imported: im})
	}
	slices.SortFunc(gone, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	return gone
}
