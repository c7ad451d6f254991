package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/waterbear-run/waterbear/internal/host/hostdir"
)

// MaxNodes is how many files and directories one shown directory may have.
const MaxNodes = 1 << 20

// Directories are the machine's. They implement hostdir.Host.
type Directories struct{}

// List implements hostdir.Host.
func (Directories) List(ctx context.Context, root string) ([]hostdir.Node, error) {
	if info, err := os.Stat(root); err != nil {
		return nil, fmt.Errorf("show directory %s: %w", root, reason(err))
	} else if !info.IsDir() {
		return nil, fmt.Errorf("show directory %s: it is a file; name the directory that holds it", root)
	}
	var nodes []hostdir.Node
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		if name != "." && (errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist)) {
			return nil // a directory that cannot be read is shown empty, one that went is not shown
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if len(nodes) == MaxNodes {
			return fmt.Errorf("it has more than %d files and directories: show a smaller one", MaxNodes)
		}
		node, ok, err := node(root, name, entry)
		if err != nil {
			return err
		}
		if ok {
			nodes = append(nodes, node)
		} else if entry.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list directory %s: %w", root, err)
	}
	return nodes, nil
}

// node describes one path. It is not ok for what is not shown, or is gone.
func node(root, name string, entry fs.DirEntry) (n hostdir.Node, ok bool, err error) {
	if !utf8.ValidString(name) {
		return n, false, nil // programs know no other names
	}
	info, err := entry.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return n, false, nil
	}
	if err != nil {
		return n, false, err
	}
	n = hostdir.Node{Path: name, Mtime: info.ModTime().UnixNano()}
	switch info.Mode().Type() {
	case 0:
		n.Kind, n.Size = hostdir.File, uint64(info.Size())
	case fs.ModeDir:
		n.Kind = hostdir.Directory
	case fs.ModeSymlink:
		n.Kind = hostdir.Symlink
		if n.Target, err = os.Readlink(filepath.Join(root, filepath.FromSlash(name))); err != nil {
			return n, false, err
		}
	default:
		return n, false, nil
	}
	return n, true, nil
}

// Open implements hostdir.Host.
func (Directories) Open(root, name string) (io.ReadCloser, error) {
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	f, err := dir.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		return nil, errors.Join(err, fmt.Errorf("%s is no longer a file", name))
	}
	return f, nil
}

// Apply implements hostdir.Host.
func (Directories) Apply(ctx context.Context, root string, changes []hostdir.Change) error {
	dir, err := os.OpenRoot(root)
	if err != nil {
		return fmt.Errorf("write back to %s: %w", root, reason(err))
	}
	defer dir.Close()
	touched := map[string]bool{}
	for _, change := range changes {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := applyOne(dir, change); err != nil {
			return fmt.Errorf("write back %s to %s: %w", change.Path, root, reason(err))
		}
		touched[path.Dir(change.Path)] = true
	}
	for name := range touched {
		if err := syncDir(dir, name); err != nil {
			return fmt.Errorf("write back to %s: %w", root, reason(err))
		}
	}
	return nil
}

func applyOne(dir *os.Root, change hostdir.Change) error {
	name := filepath.FromSlash(change.Path)
	switch {
	case change.Remove:
		return dir.RemoveAll(name)
	case change.Kind == hostdir.Directory:
		if info, err := dir.Lstat(name); err == nil && info.IsDir() {
			return nil
		}
		return dir.MkdirAll(name, 0o777)
	case change.Kind == hostdir.Symlink:
		temporary := beside(name)
		_ = dir.Remove(temporary)
		if err := dir.Symlink(change.Target, temporary); err != nil {
			return err
		}
		return dir.Rename(temporary, name)
	case change.Content == nil:
		mtime := time.Unix(0, change.Mtime)
		return dir.Chtimes(name, mtime, mtime)
	}
	return replace(dir, name, change)
}

// replace writes a file beside the one it replaces, and takes its place only
// when all of it is on the disk. A file that is there keeps its permissions.
func replace(dir *os.Root, name string, change hostdir.Change) error {
	mode := fs.FileMode(0o666)
	old, err := dir.Lstat(name)
	exists := err == nil && old.Mode().IsRegular()
	content, err := change.Content()
	if err != nil {
		return err
	}
	defer content.Close()
	temporary := beside(name)
	_ = dir.Remove(temporary)
	f, err := dir.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err == nil && exists {
		err = f.Chmod(old.Mode().Perm())
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		mtime := time.Unix(0, change.Mtime)
		err = dir.Chtimes(temporary, mtime, mtime)
	}
	if err == nil {
		err = dir.Rename(temporary, name)
	}
	if err != nil {
		_ = dir.Remove(temporary)
	}
	return err
}

// beside names the temporary file for name: the same at every try, so that a
// crash leaves at most one behind and the next try removes it.
func beside(name string) string {
	return filepath.Join(filepath.Dir(name), ".waterbear-"+shorten(filepath.Base(name)))
}

// shorten keeps a temporary file's name within what file systems allow.
func shorten(name string) string {
	const limit = 200
	return name[:min(len(name), limit)]
}

func syncDir(dir *os.Root, name string) error {
	d, err := dir.Open(filepath.FromSlash(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// reason takes the operation and the path off an error that names them again.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
