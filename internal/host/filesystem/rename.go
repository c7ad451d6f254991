package filesystem

// Rename gives what path leads to the name newPath, in place of what has it:
// a directory replaces an empty directory, anything else anything else. Two
// names of one file stay as they are.
func (f *FS) Rename(base Inode, path string, newBase Inode, newPath string) error {
	from, err := f.walk(base, path, never)
	if err != nil {
		return err
	}
	to, err := f.walk(newBase, newPath, never)
	if err != nil {
		return err
	}
	if err := f.renamable(from, to); err != nil {
		return err
	}
	if to.inode == from.inode {
		return nil
	}
	n, err := f.at(from.inode)
	if err != nil {
		return err
	}
	f.remove(f.own(from.dir), from.name)
	dir, err := f.at(to.dir.inode)
	if err != nil {
		return err
	}
	if to.inode == 0 {
		f.insert(dir, to.name, n)
	} else {
		old, err := f.at(to.inode)
		if err != nil {
			return err
		}
		f.replace(dir, to.name, n)
		f.unlink(old)
	}
	n.ctime = f.config.Now()
	return nil
}

// renamable says why from cannot become to.
func (f *FS) renamable(from, to spot) error {
	switch {
	case !from.ordinary() || !to.ordinary():
		return ErrBusy
	case from.inode == 0:
		return ErrNotExist
	case from.kind != Directory && (from.slash || to.slash):
		return ErrNotDirectory
	case to.dir.links == 0:
		return ErrNotExist
	}
	if from.kind == Directory {
		n, err := f.node(from.inode)
		if err != nil {
			return err
		}
		if n.pinned {
			return ErrBusy
		}
		if err := f.movable(n, from.dir, to.dir); err != nil {
			return err
		}
	}
	return f.replaceable(from, to)
}

// movable says why directory n cannot move from one directory to another.
func (f *FS) movable(n, from, to *node) error {
	if f.within(to, n) {
		return ErrInvalid
	}
	// Only a move downwards can make a tree too deep, and only then is looking
	// at all of it worth while.
	above := f.depth(to)
	if above > f.depth(from) && above+f.height(n) > MaxDepth {
		return ErrNameTooLong
	}
	return nil
}

// replaceable says why what to stands for cannot give way to from.
func (f *FS) replaceable(from, to spot) error {
	if to.inode == 0 || to.inode == from.inode {
		return nil
	}
	old, err := f.node(to.inode)
	if err != nil {
		return err
	}
	switch {
	case f.within(from.dir, old):
		return ErrNotEmpty
	case from.kind == Directory && to.kind != Directory:
		return ErrNotDirectory
	case from.kind != Directory && to.kind == Directory:
		return ErrIsDirectory
	case old.entries.size > 0:
		return ErrNotEmpty
	case old.pinned:
		return ErrBusy
	}
	return nil
}
