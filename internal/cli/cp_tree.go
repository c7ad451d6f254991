package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// copier copies a tree that a guest made into a directory of ours. Everything
// goes through an os.Root, so that neither a link in the tree nor one that an
// earlier copy left behind leads out of it.
type copier struct {
	files  fs.FS
	root   *os.Root
	worker string
	at     string // of root, for messages
	done   copied
}

// problem names what could not be copied, and where to.
func (c *copier) problem(from, to string, err error) error {
	return fmt.Errorf("copy %s:/%s to %s: %w", c.worker, from, path.Join(c.at, to), cause(err))
}

func (c *copier) directory(from, to string) error {
	entries, err := fs.ReadDir(c.files, from)
	if err != nil {
		return c.problem(from, to, err)
	}
	if to != "." {
		err := c.root.Mkdir(to, 0o777)
		if errors.Is(err, fs.ErrExist) {
			// Lstat, for a link is replaced by nothing, and followed never.
			if stat, statErr := c.root.Lstat(to); statErr == nil && stat.IsDir() {
				err = nil
			}
		}
		if err != nil {
			return c.problem(from, to, err)
		}
		c.done.Directories++
	}
	for _, entry := range entries {
		source, dest := path.Join(from, entry.Name()), path.Join(to, entry.Name())
		stat, err := fs.Lstat(c.files, source)
		if err != nil {
			return c.problem(source, dest, err)
		}
		switch {
		case stat.IsDir():
			err = c.directory(source, dest)
		case stat.Mode()&fs.ModeSymlink != 0:
			err = c.link(source, dest)
		default:
			err = c.file(source, dest, stat)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// link makes the same link, in place of a file or link of that name.
func (c *copier) link(from, to string) error {
	target, err := fs.ReadLink(c.files, from)
	if err != nil {
		return c.problem(from, to, err)
	}
	if stat, err := c.root.Lstat(to); err == nil && !stat.IsDir() {
		if err := c.root.Remove(to); err != nil {
			return c.problem(from, to, err)
		}
	}
	if err := c.root.Symlink(target, to); err != nil {
		return c.problem(from, to, err)
	}
	c.done.Links++
	return nil
}

// file writes a copy beside its place and moves it there once it is whole, so
// that a link of that name is replaced rather than followed.
func (c *copier) file(from, to string, stat fs.FileInfo) error {
	if old, err := c.root.Lstat(to); err == nil && old.IsDir() {
		return c.problem(from, to, errors.New("there is a directory of that name"))
	}
	source, err := c.files.Open(from)
	if err != nil {
		return c.problem(from, to, err)
	}
	defer source.Close()
	part := path.Join(path.Dir(to), fmt.Sprintf(".waterbear-cp-%d", os.Getpid()))
	_ = c.root.Remove(part)
	mode := stat.Mode().Perm()
	if mode == 0 {
		mode = 0o666
	}
	dest, err := c.root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode|0o600)
	if err != nil {
		return c.problem(from, to, err)
	}
	n, err := io.Copy(dest, source)
	err = errors.Join(err, dest.Close())
	if err == nil {
		err = c.root.Rename(part, to)
	}
	if err != nil {
		_ = c.root.Remove(part)
		return c.problem(from, to, err)
	}
	c.done.Files++
	c.done.Bytes += n
	return nil
}
