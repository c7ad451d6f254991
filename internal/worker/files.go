package worker

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/hostdir"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// packs keeps the content of a worker's files as blobs.
type packs struct {
	ctx   context.Context
	blobs storage.Blobs
}

// Put implements filesystem.Packs.
func (p packs) Put(content []byte) (filesystem.Sum, error) {
	h, _, err := p.blobs.Put(p.ctx, bytes.NewReader(content))
	return filesystem.Sum(h), err
}

// Get implements filesystem.Packs.
func (p packs) Get(s filesystem.Sum) ([]byte, error) {
	return readBlob(p.ctx, p.blobs, storage.Hash(s))
}

func readBlob(ctx context.Context, blobs storage.Blobs, h storage.Hash) ([]byte, error) {
	r, err := blobs.Get(ctx, h)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(r)
	return content, errors.Join(err, r.Close())
}

// mounted is a host directory in the worker's file system.
type mounted struct {
	*hostdir.Shown
	inode   filesystem.Inode
	listing []filesystem.Imported // as it was when the worker was created
}

// mountPoint is where a directory that programs know as guest is in the
// worker's file system.
func mountPoint(guest string) string { return path.Clean("/" + guest) }

// mount imports the worker's directories. Each is a preopen, in the order they
// were given, and last the root, unless one of them is that.
func (p *process) mount(ctx context.Context, blobs storage.Blobs, dirs []oplog.Dir) ([]wasi.Preopen, error) {
	points := make([]string, len(dirs))
	for i, d := range dirs {
		points[i] = mountPoint(d.Guest)
		if slices.Contains(points[:i], points[i]) {
			return nil, fmt.Errorf("show directory %s as %s: another one is shown there", d.Host, d.Guest)
		}
	}
	for _, i := range outermost(points) {
		nodes, err := hostdir.Listing(ctx, blobs, dirs[i].Tree)
		if err != nil {
			return nil, err
		}
		if err := p.importTree(i, points, nodes); err != nil {
			return nil, fmt.Errorf("show directory %s as %s: %w", dirs[i].Host, dirs[i].Guest, err)
		}
	}
	var preopens []wasi.Preopen
	for i, d := range dirs {
		preopens = append(preopens, wasi.Preopen{Name: d.Guest, Dir: p.mounts[i].inode})
	}
	if !slices.Contains(points, "/") {
		// Programs take it for granted that they can have temporary files.
		if _, err := p.files.MkdirAll(filesystem.Root, "/tmp"); err != nil {
			return nil, fmt.Errorf("make the directory for temporary files: %w", err)
		}
		preopens = append(preopens, wasi.Preopen{Name: "/", Dir: filesystem.Root})
	}
	return preopens, nil
}

// outermost orders mount points so that none comes before one it is below.
func outermost(points []string) []int {
	order := make([]int, len(points))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(depth(points[a]), depth(points[b])) })
	return order
}

func depth(point string) int {
	if point == "/" {
		return 0
	}
	return strings.Count(point, "/")
}

// importTree shows the directory of number i at its point. What it has itself
// at the points of others is hidden by them.
func (p *process) importTree(i int, points []string, nodes []hostdir.Node) error {
	m := &p.mounts[i]
	for _, n := range nodes {
		if len(points) > 1 && hidden(path.Join(points[i], n.Path), points[i], points) {
			continue
		}
		m.listing = append(m.listing, filesystem.Imported{
			Path: n.Path, Kind: filesystem.Kind(n.Kind), Size: n.Size, Mtime: uint64(max(n.Mtime, 0)), Target: n.Target,
		})
	}
	var err error
	if m.inode, err = p.files.MkdirAll(filesystem.Root, points[i]); err != nil {
		return err
	}
	return p.files.Import(m.inode, uint64(i), m.listing)
}

// hidden reports whether at, in the directory shown at point, is in one that is
// shown below it.
func hidden(at, point string, points []string) bool {
	for _, other := range points {
		if len(other) > len(point) && (at == other || strings.HasPrefix(at, other+"/")) {
			return true
		}
	}
	return false
}

// load gives the content of a file that came from the host.
func (p *process) load(o filesystem.Origin) (io.ReadCloser, error) {
	m := p.mounts[o.Tree]
	if p.over {
		return loadUnread(m.Host, m.Root, o.Path)
	}
	content, seen, err := m.Load(o.Path)
	if err == nil && seen != nil {
		err = visible(seen)
	}
	return content, err
}

// loadUnread gives what a program never read from where it still is.
func loadUnread(host hostdir.Host, root, path string) (io.ReadCloser, error) {
	content, err := host.Open(root, path)
	if err != nil {
		return nil, visible(err)
	}
	return content, nil
}

// visible is how a file system shows the host's error.
func visible(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return filesystem.ErrNotExist
	case errors.Is(err, fs.ErrPermission):
		return filesystem.ErrAccess
	}
	return filesystem.ErrIO
}

// settle writes the program's changes back to the host's directories and keeps
// all its files as they are, in a blob.
func (p *process) settle(ctx context.Context) (storage.Hash, error) {
	changes := make([][]filesystem.Change, len(p.mounts))
	for i, m := range p.mounts {
		var err error
		if changes[i], err = p.files.Changes(m.inode, uint64(i), m.listing); err != nil {
			return storage.Hash{}, fmt.Errorf("compare directory %s: %w", m.Root, err)
		}
	}
	manifest, err := p.files.Encode()
	if err != nil {
		return storage.Hash{}, err
	}
	// The hash of everything is also the hash of each directory's changes: it
	// differs when they do.
	sum := sha256.Sum256(manifest)
	for i, m := range p.mounts {
		if steps := p.steps(changes[i]); len(steps) > 0 {
			if err := m.Apply(steps, sum); err != nil {
				return storage.Hash{}, err
			}
		}
	}
	h, _, err := p.blobs.Put(ctx, bytes.NewReader(manifest))
	if err != nil {
		return h, fmt.Errorf("keep the program's files: %w", err)
	}
	return h, nil
}

// steps are what makes the host's directory what the worker's is.
func (p *process) steps(changes []filesystem.Change) []hostdir.Change {
	steps := make([]hostdir.Change, 0, len(changes))
	for _, c := range changes {
		if c.Lost != "" {
			continue // it stays where it was: nothing else has its content
		}
		step := hostdir.Change{
			Node: hostdir.Node{
				Path: c.Path, Kind: hostdir.Kind(c.Kind), Size: c.Size, Mtime: int64(min(c.Mtime, 1<<63-1)), Target: c.Target,
			},
			Remove: c.Difference == filesystem.Deleted,
		}
		if c.Kind == filesystem.File && c.Difference != filesystem.Touched {
			step.Content = func() (io.ReadCloser, error) { return p.files.NewReader(c.Inode), nil }
		}
		steps = append(steps, step)
	}
	return steps
}

// Files gives a worker's files: as the program left them, or, while it has not
// ended, as they are at the end of its oplog, for which it is replayed.
func (rt *Runtime) Files(ctx context.Context, s *oplog.Status) (fs.ReadLinkFS, error) {
	switch {
	case s.Exited != nil:
		return rt.savedFiles(ctx, s, s.Exited.Files)
	case s.Error != nil:
		return rt.savedFiles(ctx, s, s.Error.Files)
	}
	p, err := rt.replay(ctx, s)
	if err != nil {
		return nil, err
	}
	return p.files.View(), nil
}

func (rt *Runtime) savedFiles(ctx context.Context, s *oplog.Status, h storage.Hash) (fs.ReadLinkFS, error) {
	manifest, err := readBlob(ctx, rt.Store.Blobs(), h)
	if err != nil {
		return nil, fmt.Errorf("read the files of %s: %w", s.Worker, err)
	}
	files, err := filesystem.Decode(manifest, filesystem.Config{
		Now: func() uint64 { return uint64(s.Changed) },
		Load: func(o filesystem.Origin) (io.ReadCloser, error) {
			return loadUnread(rt.Directories, s.Create.Dirs[o.Tree].Host, o.Path)
		},
		Packs: packs{ctx, rt.Store.Blobs()},
	})
	if err != nil {
		return nil, fmt.Errorf("read the files of %s: %w", s.Worker, err)
	}
	return files.View(), nil
}

// replay runs a worker from its start to the end of its oplog, writing nothing.
func (rt *Runtime) replay(ctx context.Context, s *oplog.Status) (*process, error) {
	program, err := readBlob(ctx, rt.Store.Blobs(), s.Create.Program)
	if err != nil {
		return nil, fmt.Errorf("read the program of %s: %w", s.Worker, err)
	}
	compiled, err := rt.compile(ctx, program)
	if err != nil {
		return nil, err
	}
	defer compiled.Close()
	session := durable.NewSession(ctx, durable.Config{
		Worker: s.Worker, Cursor: oplog.NewCursor(rt.Store.Logs(), s.Worker, 2, s.Last),
	})
	p, err := rt.build(ctx, compiled, &s.Create, session, Launch{})
	if err != nil {
		return nil, err
	}
	defer p.close()
	_, err = p.main(ctx)
	p.over = true
	var trap *wasm.Trap
	if err == nil || errors.Is(err, durable.ErrEndOfLog) || errors.As(err, &trap) {
		return p, nil
	}
	return nil, err
}

// Blobs lists the blobs that an entry refers to, and those that these refer to.
func (rt *Runtime) Blobs(ctx context.Context, b oplog.Body) ([]storage.Hash, error) {
	switch b := b.(type) {
	case *oplog.Create:
		all := []storage.Hash{b.Program}
		for _, d := range b.Dirs {
			all = append(all, d.Tree)
		}
		if b.Initial == (storage.Hash{}) {
			return all, nil
		}
		initial, err := rt.filesBlobs(ctx, b.Initial)
		return append(all, initial...), err
	case *oplog.HostCall:
		if h, ok := hostdir.Content(b); ok {
			return []storage.Hash{h}, nil
		}
	case *oplog.Image:
		return rt.blobsFrom(ctx, b)
	case *oplog.Archived:
		return archivedBlobs(b), nil
	case *oplog.Delta:
		return deltaBlobs(b)
	case *oplog.Exited:
		return rt.filesBlobs(ctx, b.Files)
	case *oplog.Error:
		return rt.filesBlobs(ctx, b.Files)
	}
	return nil, nil
}

// blobsFrom lists the blobs of an image, and those that entries before refer to
// that may be truncated.
func (rt *Runtime) blobsFrom(ctx context.Context, e *oplog.Image) ([]storage.Hash, error) {
	all, err := rt.imageBlobs(ctx, e)
	if err != nil || len(all) == 0 {
		return all, err
	}
	life, err := rt.lifeOf(ctx, id.Worker{}, e)
	if err != nil {
		return nil, err
	}
	first, err := rt.Blobs(ctx, &life.Create)
	needed, _ := life.Retained.Blobs()
	return slices.Concat(all, first, needed), err
}

// archivedBlobs are the blobs that an entry adds to those of its worker.
func archivedBlobs(e *oplog.Archived) (all []storage.Hash) {
	if e.Open != (storage.Hash{}) {
		all = append(all, e.Open)
	}
	for _, a := range slices.Concat(e.Results.Added, e.Logs.Added) {
		all = append(all, a.Blob)
	}
	return all
}

func (rt *Runtime) filesBlobs(ctx context.Context, h storage.Hash) ([]storage.Hash, error) {
	manifest, err := readBlob(ctx, rt.Store.Blobs(), h)
	if err != nil {
		return nil, err
	}
	files, err := filesystem.Decode(manifest, filesystem.Config{Now: func() uint64 { return 0 }, Packs: packs{ctx, rt.Store.Blobs()}})
	if err != nil {
		return nil, err
	}
	all := []storage.Hash{h}
	for _, s := range files.References() {
		all = append(all, storage.Hash(s))
	}
	return all, nil
}
