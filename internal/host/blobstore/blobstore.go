// Package blobstore is the containers of programs, recorded: objects by names, of
// up to MaxSize bytes, that all workers of a component share and that outlive them.
// What a program reads is recorded as it has seen it; what it writes takes effect
// once, and as a whole. It hides in how many cells an object lies, and when its
// bytes are forgotten.
package blobstore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/once"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// Limits: of the names of a container and of an object and of an object itself, in
// bytes, and of the names that one call gives or takes.
const (
	MaxContainer = 64
	MaxObject    = 256
	MaxSize      = 1 << 30
	MaxNames     = 1000
)

// ChunkSize is how many bytes of an object lie together, and how many of one that
// is being written are in memory at most. MaxTail is how many lie with the object
// itself, behind the last whole chunk.
const (
	ChunkSize = 256 << 10
	MaxTail   = 64 << 10
)

// Keep is how long bytes stay that no object has: those of an object that was
// replaced or deleted, which somebody may be reading, and those that are being
// written.
const Keep = 24 * time.Hour

// KeepCrowded is how long they stay instead if their component has more than half of
// what it may have in its buckets and containers.
const KeepCrowded = 10 * time.Minute

// ID names the content of a container, or the chunks of an object. There is one for
// each time that either is made.
type ID [16]byte

// String gives the id in hex.
func (i ID) String() string { return hex.EncodeToString(i[:]) }

// Store has the containers of all components. It is for any number of tasks.
type Store struct {
	cells   *once.Cells
	now     func() time.Time
	entropy func([]byte) error
}

// NewStore makes the store that cells have; entropy fills with random bytes.
func NewStore(cells *once.Cells, now func() time.Time, entropy func([]byte) error) *Store {
	return &Store{cells, now, entropy}
}

func (s *Store) newID() (i ID, err error) { return i, s.entropy(i[:]) }

func (s *Store) at() oplog.Time { return oplog.At(s.now()) }

// The cells of a component.
func componentPrefix(component string) string { return once.Containers + component + "/" }

func containerCell(component, container string) string {
	return componentPrefix(component) + "c/" + container
}

func objectPrefix(component string, of ID) string {
	return componentPrefix(component) + "o/" + of.String() + "/"
}

func writingCell(component string, i ID) string {
	return componentPrefix(component) + "u/" + i.String()
}

func chunkPrefix(component string, i ID) string {
	return componentPrefix(component) + "d/" + i.String() + "/"
}

func chunkCell(component string, i ID, n uint64) string {
	return fmt.Sprintf("%s%08x", chunkPrefix(component, i), n)
}

// Config is what an instance's containers are made of.
type Config struct {
	Session *durable.Session
	Store   *Store // nil: there are none
	Worker  id.Worker
	// Life tells the worker from others that had or will have its name.
	Life string
	// Pace, if set, waits until so many bytes can be recorded.
	Pace func(ctx context.Context, bytes int) error
	// Forgets says that calls are not recorded: nothing is known of writes that
	// were under way when the process ended.
	Forgets bool
}

// Containers are those of one instance. They are for one task at a time.
type Containers struct {
	Config
	last struct { // the chunk that was read last, while there is more of it to read
		id    ID
		n     uint64
		bytes []byte
	}
}

// Error is why something cannot be done. The program may go on.
type Error struct {
	Reason  string
	missing error // ErrNoContainer, ErrNoObject or nil
}

// What is not there.
var (
	ErrNoContainer = errors.New("there is no such container")
	ErrNoObject    = errors.New("there is no such object")
)

// Error gives the reason.
func (e *Error) Error() string { return e.Reason }

// Unwrap gives what is not there.
func (e *Error) Unwrap() error { return e.missing }

func failf(format string, args ...any) error { return &Error{Reason: fmt.Sprintf(format, args...)} }

// place is where an object is; without an object, a container.
type place struct{ container, object string }

func (p place) String() string {
	if p.object == "" {
		return fmt.Sprintf("container %q", p.container)
	}
	return fmt.Sprintf("%q of container %q", p.object, p.container)
}

// check says why there can be no such place.
func (c *Containers) check(p place, object bool) error {
	switch {
	case c.Store == nil:
		return failf("there are no containers here: they are for workers of a server")
	case !isName(p.container, MaxContainer):
		return failf("the name of a container is UTF-8 of 1 to %d bytes, and no zero among them", MaxContainer)
	case object && !isName(p.object, MaxObject):
		return failf("the name of an object is UTF-8 of 1 to %d bytes, and no zero among them", MaxObject)
	}
	return nil
}

func isName(s string, most int) bool {
	return s != "" && len(s) <= most && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// Stat is what there is to know of a container, or of an object.
type Stat struct {
	Exists  bool
	Created time.Time
	Size    uint64 // of an object
}

// Container finds out about a container.
func (c *Containers) Container(name string) (Stat, error) {
	p := place{container: name}
	if err := c.check(p, false); err != nil {
		return Stat{}, err
	}
	f, err := c.stat(p)
	return f.public(f.box), err
}

// Object finds out about an object of a container that there is.
func (c *Containers) Object(container, name string) (Stat, error) {
	p := place{container, name}
	if err := c.check(p, true); err != nil {
		return Stat{}, err
	}
	f, err := c.stat(p)
	if err == nil && !f.box {
		err = noContainer(container)
	}
	return f.public(f.exists), err
}

func (c *Containers) stat(p place) (found, error) {
	return durable.Run(c.Session, &stat, p, func(ctx context.Context, p place) (f found, err error) {
		b, r, err := c.Store.box(ctx, c.Worker.Component, p.container)
		if f.box = r.Exists; err != nil || !f.box {
			return f, err
		}
		if f.created = b.created; p.object == "" {
			return f, nil
		}
		o, r, err := c.Store.object(ctx, objectPrefix(c.Worker.Component, b.id)+p.object)
		f.exists, f.created, f.size = r.Exists, o.created, o.size
		return f, err
	})
}

func noContainer(name string) error {
	return &Error{fmt.Sprintf("there is no container %q", name), ErrNoContainer}
}

func noObject(p place) error { return &Error{fmt.Sprintf("there is no object %s", p), ErrNoObject} }

// Names gives names of objects of a container in their order, those behind one: up
// to limit and MaxNames, and whether there are more.
func (c *Containers) Names(container, behind string, limit uint64) ([]string, bool, error) {
	l, err := c.page(&list, listing{place{container, behind}, min(limit, MaxNames)})
	return l.names, l.more, err
}

// Skip passes over names as Names gives them, as many as limit: it gives how many
// there were, the last of them, and whether there are more.
func (c *Containers) Skip(container, behind string, limit uint64) (n uint64, last string, more bool, err error) {
	l, err := c.page(&skip, listing{place{container, behind}, limit})
	if last = behind; len(l.names) > 0 {
		last = l.names[0]
	}
	return l.count, last, l.more, err
}

func (c *Containers) page(f *durable.Func[listing, listed], req listing) (listed, error) {
	if err := c.check(place{container: req.container}, false); err != nil {
		return listed{}, err
	}
	l, err := durable.Run(c.Session, f, req, func(ctx context.Context, req listing) (listed, error) {
		return c.Store.list(ctx, c.Worker.Component, req, f == &list)
	})
	if err == nil && !l.box {
		err = noContainer(req.container)
	}
	return l, err
}

// list goes through names, and gives them all or the last alone.
func (s *Store) list(ctx context.Context, component string, req listing, all bool) (l listed, err error) {
	b, r, err := s.box(ctx, component, req.container)
	if l.box = r.Exists; err != nil || !l.box {
		return l, err
	}
	prefix := objectPrefix(component, b.id)
	for cell, err := range once.Existing(ctx, s.cells, prefix, prefix+req.object) {
		if err != nil {
			return l, err
		}
		if l.more = l.count == req.limit; l.more {
			break
		}
		name := strings.TrimPrefix(cell, prefix)
		if l.count++; all || len(l.names) == 0 {
			l.names = append(l.names, name)
		} else {
			l.names[0] = name
		}
	}
	return l, nil
}

// writer names a write of this worker.
func (c *Containers) writer(index oplog.Index) once.Writer {
	if c.Forgets {
		return once.Writer{}
	}
	return once.Writer{Worker: c.Worker.Name + c.Life, Index: index}
}
