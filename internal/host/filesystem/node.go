package filesystem

// node is an inode.
type node struct {
	owner   *owner
	inode   Inode
	kind    Kind
	links   uint32 // names; of a directory 1 until it is removed
	opens   uint32 // Retain without Release
	changed bool   // content or target differs from the origin's
	absent  bool   // content is still where origin says, and not here
	pinned  bool   // an imported directory: neither moved nor removed
	origin  *Origin

	atime, mtime, ctime uint64

	// Of a file.
	size   uint64
	chunks tree[uint64, *chunk]

	// Of a directory.
	parent  Inode
	entries tree[string, entry]
	order   tree[uint64, string] // by cookie
	cookie  uint64               // of the newest entry
	subdirs int

	target string // of a symbolic link
}

// Origin is where an imported inode comes from.
type Origin struct {
	Tree uint64 // as the importer numbers its trees
	Path string // in it, as Imported has it
}

// newNode adds an inode that has no name yet.
func (f *FS) newNode(k Kind) *node {
	now := f.config.Now()
	n := &node{owner: f.owner, inode: f.next, kind: k, atime: now, mtime: now, ctime: now}
	if k == Directory {
		n.cookie = cookieParent
	}
	f.nodes.set(f.owner, n.inode, n)
	f.next++
	return n
}

// node finds an inode to look at.
func (f *FS) node(i Inode) (*node, error) {
	n, ok := f.nodes.get(i)
	if !ok {
		return nil, ErrStale
	}
	return n, nil
}

// own is n as f may change it.
func (f *FS) own(n *node) *node {
	if n.owner == f.owner {
		return n
	}
	mine := *n
	mine.owner = f.owner
	f.nodes.set(f.owner, n.inode, &mine)
	return &mine
}

// at finds an inode to change.
func (f *FS) at(i Inode) (*node, error) {
	n, err := f.node(i)
	if err != nil {
		return nil, err
	}
	return f.own(n), nil
}

// file finds a file to look at.
func (f *FS) file(i Inode) (*node, error) {
	n, err := f.node(i)
	if err != nil {
		return nil, err
	}
	return n, onlyFile(n)
}

func onlyFile(n *node) error {
	switch n.kind {
	case File:
		return nil
	case Directory:
		return ErrIsDirectory
	}
	return ErrInvalid
}

// touch marks a change of content.
func (f *FS) touch(n *node) {
	n.mtime = f.config.Now()
	n.ctime = n.mtime
}

// Retain keeps an inode alive although it may lose its names, until Release.
func (f *FS) Retain(i Inode) error {
	n, err := f.at(i)
	if err != nil {
		return err
	}
	n.opens++
	return nil
}

// Release undoes one Retain.
func (f *FS) Release(i Inode) error {
	n, err := f.at(i)
	if err != nil {
		return err
	}
	if n.opens == 0 {
		return ErrInvalid
	}
	n.opens--
	f.reap(n)
	return nil
}

// Sweep drops the inodes that have no name and that nobody retains. A decoded
// file system has those that were open when it was encoded.
func (f *FS) Sweep() {
	var lost []*node
	for _, n := range f.nodes.all() {
		if n.links == 0 && n.opens == 0 {
			lost = append(lost, n)
		}
	}
	for _, n := range lost {
		f.reap(n)
	}
}

// unlink takes one name from n, which is f's own. While n is open the name
// stays charged.
func (f *FS) unlink(n *node) {
	n.links--
	n.ctime = f.config.Now()
	if n.links > 0 {
		f.refundName()
		return
	}
	if n.kind == Directory {
		n.parent = n.inode
	}
	f.reap(n)
}

// reap drops n if nothing leads to it any more.
func (f *FS) reap(n *node) {
	if n.links > 0 || n.opens > 0 {
		return
	}
	for _, c := range n.chunks.all() {
		f.bytes -= blocks(c.size)
	}
	f.bytes -= blocks(len(n.target))
	f.refundName()
	f.nodes.delete(f.owner, n.inode)
}

// Stat is what is known of an inode.
type Stat struct {
	Inode               Inode
	Kind                Kind
	Links               uint64
	Size                uint64
	Atime, Mtime, Ctime uint64 // nanoseconds since 1970
}

// Stat says what an inode is.
func (f *FS) Stat(i Inode) (Stat, error) {
	n, err := f.node(i)
	if err != nil {
		return Stat{}, err
	}
	s := Stat{Inode: n.inode, Kind: n.kind, Links: uint64(n.links), Size: n.size, Atime: n.atime, Mtime: n.mtime, Ctime: n.ctime}
	switch n.kind {
	case Directory:
		if n.links > 0 {
			s.Links = 2 + uint64(n.subdirs)
		}
	case Symlink:
		s.Size = uint64(len(n.target))
	}
	return s, nil
}

// SetTimes sets the times that are not nil. Reading does not change Atime: it
// would make every reader a writer.
func (f *FS) SetTimes(i Inode, atime, mtime *uint64) error {
	n, err := f.at(i)
	if err != nil {
		return err
	}
	if atime != nil {
		n.atime = *atime
	}
	if mtime != nil {
		n.mtime = *mtime
	}
	n.ctime = f.config.Now()
	return nil
}

// Now is the time that a change made now has.
func (f *FS) Now() uint64 { return f.config.Now() }
