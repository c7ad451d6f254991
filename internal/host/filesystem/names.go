package filesystem

// OpenOptions say what Open makes of a path.
type OpenOptions struct {
	Create    bool // make a file if there is nothing
	Exclusive bool // with Create: only make
	Truncate  bool
	Directory bool // only a directory will do
	Follow    bool // a symbolic link at the path's end
	Content   bool // a file's content is going to be read or written
	Write     bool // only something that can be written will do
}

// Open finds or makes what path leads to and retains it: the caller releases
// it when done.
func (f *FS) Open(base Inode, path string, o OpenOptions) (Inode, error) {
	mode := slashed
	switch {
	case o.Create && o.Follow && !o.Exclusive:
		mode = creating
	case o.Create:
		mode = never
	case o.Follow:
		mode = always
	}
	s, err := f.walk(base, path, mode)
	if err != nil {
		return 0, err
	}
	if o.Create && s.slash && s.ordinary() {
		return 0, ErrIsDirectory
	}
	if s.inode == 0 {
		if !o.Create {
			return 0, ErrNotExist
		}
		return f.create(s, o)
	}
	if err := o.suits(s); err != nil {
		return 0, err
	}
	if s.kind == File {
		if o.Truncate {
			err = f.Truncate(s.inode, 0)
		} else if o.Content {
			err = f.Fetch(s.inode)
		}
	}
	if err != nil {
		return 0, err
	}
	return s.inode, f.Retain(s.inode)
}

// suits says why what is there cannot be opened like this.
func (o OpenOptions) suits(s spot) error {
	switch {
	case o.Create && o.Exclusive:
		return ErrExist
	case o.Directory && s.kind != Directory:
		return ErrNotDirectory
	case s.kind == Symlink:
		return ErrLoop
	case s.kind == Directory && (o.Create || o.Truncate || o.Write):
		return ErrIsDirectory
	case s.slash && s.kind != Directory:
		return ErrNotDirectory
	}
	return nil
}

// create makes a file at a free spot.
func (f *FS) create(s spot, o OpenOptions) (Inode, error) {
	switch {
	case o.Directory:
		return 0, ErrInvalid
	case s.dir.links == 0:
		return 0, ErrNotExist
	}
	if err := f.chargeName(); err != nil {
		return 0, err
	}
	n := f.newNode(File)
	n.links, n.opens = 1, 1
	f.insert(f.own(s.dir), s.name, n)
	return n.inode, nil
}

// Mkdir makes an empty directory.
func (f *FS) Mkdir(base Inode, path string) error {
	s, err := f.vacant(base, path)
	if err != nil {
		return err
	}
	_, err = f.mkdir(s.dir, s.name)
	return err
}

func (f *FS) mkdir(dir *node, name string) (*node, error) {
	if f.depth(dir)+1 > MaxDepth {
		return nil, ErrNameTooLong
	}
	if err := f.chargeName(); err != nil {
		return nil, err
	}
	n := f.newNode(Directory)
	n.links = 1
	f.insert(f.own(dir), name, n)
	return n, nil
}

// Rmdir removes an empty directory.
func (f *FS) Rmdir(base Inode, path string) error {
	s, err := f.walk(base, path, never)
	switch {
	case err != nil:
		return err
	case s.inode == 0:
		return ErrNotExist
	case s.name == ".":
		return ErrInvalid
	case s.name == "..":
		return ErrNotEmpty
	case s.kind != Directory:
		return ErrNotDirectory
	}
	n, err := f.at(s.inode)
	switch {
	case err != nil:
		return err
	case n.entries.size > 0:
		return ErrNotEmpty
	case n.pinned:
		return ErrBusy
	}
	f.remove(f.own(s.dir), s.name)
	f.unlink(n)
	return nil
}

// Unlink removes a name that is not a directory's.
func (f *FS) Unlink(base Inode, path string) error {
	s, err := f.walk(base, path, never)
	switch {
	case err != nil:
		return err
	case s.inode == 0:
		return ErrNotExist
	case s.kind == Directory:
		return ErrIsDirectory
	case s.slash:
		return ErrNotDirectory
	}
	n, err := f.at(s.inode)
	if err != nil {
		return err
	}
	f.remove(f.own(s.dir), s.name)
	f.unlink(n)
	return nil
}

// Link gives what path leads to, which must not be a directory, another name.
func (f *FS) Link(base Inode, path string, follow bool, newBase Inode, newPath string) error {
	inode, err := f.Lookup(base, path, follow)
	if err != nil {
		return err
	}
	s, err := f.vacant(newBase, newPath)
	if err != nil {
		return err
	}
	if s.slash {
		return ErrNotExist
	}
	n, err := f.at(inode)
	switch {
	case err != nil:
		return err
	case n.kind == Directory:
		return ErrPermission
	case n.links >= MaxLinks:
		return ErrTooManyLinks
	}
	if err := f.chargeName(); err != nil {
		return err
	}
	n.links++
	f.insert(f.own(s.dir), s.name, n)
	n.ctime = f.config.Now()
	return nil
}

// Symlink makes a symbolic link. An absolute target is refused: it could only
// lead out.
func (f *FS) Symlink(target string, base Inode, path string) error {
	if err := checkPath(target); err != nil {
		return err
	}
	if target[0] == '/' {
		return ErrPermission
	}
	s, err := f.vacant(base, path)
	if err != nil {
		return err
	}
	if s.slash {
		return ErrNotExist
	}
	_, err = f.symlink(s.dir, s.name, target)
	return err
}

func (f *FS) symlink(dir *node, name, target string) (*node, error) {
	if err := f.chargeName(); err != nil {
		return nil, err
	}
	if err := f.charge(blocks(len(target))); err != nil {
		f.refundName()
		return nil, err
	}
	n := f.newNode(Symlink)
	n.links, n.target = 1, target
	f.insert(f.own(dir), name, n)
	return n, nil
}

// Readlink is the target of a symbolic link.
func (f *FS) Readlink(base Inode, path string) (string, error) {
	s, err := f.existing(base, path, slashed)
	if err != nil {
		return "", err
	}
	if s.kind != Symlink {
		return "", ErrInvalid
	}
	n, err := f.node(s.inode)
	if err != nil {
		return "", err
	}
	return n.target, nil
}
