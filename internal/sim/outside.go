package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/hostdir"
)

// typist is a standard input that gives a few bytes at a time, when it likes,
// until the process ends.
type typist struct {
	world   *World
	process context.Context
	left    string
}

func (t *typist) Read(p []byte) (int, error) {
	w := t.world
	err := w.sim.Sleep(t.process, time.Duration(w.random.IntN(int(time.Millisecond))))
	if err != nil || t.left == "" {
		return 0, io.EOF
	}
	n := copy(p, t.left[:1+w.random.IntN(min(len(t.left), 64))])
	t.left = t.left[n:]
	return n, nil
}

// isDirectory is what a directory has in place of content.
const isDirectory = "(directory)"

// directory is a directory of the host with files in it. It survives the
// process, and changes one file at a time.
type directory struct {
	world *World
	room  *room
	files map[string]string
}

// List implements hostdir.Host.
func (d *directory) List(context.Context, string) ([]hostdir.Node, error) {
	nodes := []hostdir.Node{{Path: ".", Kind: hostdir.Directory}}
	made := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		for i, c := range name {
			if c == '/' && !made[name[:i]] {
				made[name[:i]] = true
				nodes = append(nodes, hostdir.Node{Path: name[:i], Kind: hostdir.Directory})
			}
		}
		if d.files[name] == isDirectory {
			nodes = append(nodes, hostdir.Node{Path: name, Kind: hostdir.Directory})
			continue
		}
		nodes = append(nodes, hostdir.Node{Path: name, Kind: hostdir.File, Size: uint64(len(d.files[name]))})
	}
	return nodes, nil
}

// Open implements hostdir.Host.
func (d *directory) Open(_, name string) (io.ReadCloser, error) {
	content, ok := d.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return io.NopCloser(strings.NewReader(content)), nil
}

// Apply implements hostdir.Host. It is an effect on the outside, so it looks
// whether its intent is durable.
func (d *directory) Apply(ctx context.Context, _ string, changes []hostdir.Change) error {
	w := d.world
	err := w.judge(func() error { return d.room.history.performs(context.WithoutCancel(ctx)) })
	if err != nil {
		return err
	}
	for _, c := range changes {
		// The process may crash between any two changes.
		if err := w.sim.Sleep(ctx, time.Duration(w.random.IntN(int(time.Millisecond)))); err != nil {
			return err
		}
		if err := d.change(c); err != nil {
			return err
		}
	}
	return nil
}

func (d *directory) change(c hostdir.Change) error {
	d.world.note("%s: host changes %s, remove %t", d.room.program.Name, c.Path, c.Remove)
	if c.Remove {
		maps.DeleteFunc(d.files, func(name, _ string) bool {
			return name == c.Path || strings.HasPrefix(name, c.Path+"/")
		})
		return nil
	}
	switch c.Kind {
	case hostdir.Directory:
		d.files[c.Path] = isDirectory
		return nil
	case hostdir.Symlink:
		d.files[c.Path] = "-> " + c.Target
		return nil
	}
	if c.Content == nil { // its times alone have changed
		return nil
	}
	r, err := c.Content()
	if err != nil {
		return fmt.Errorf("write back %s: %w", c.Path, err)
	}
	content, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("write back %s: %w", c.Path, err)
	}
	d.files[c.Path] = string(content)
	return nil
}
