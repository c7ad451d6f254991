package blobstore

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/once"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// mark is what the cell of chunks has that belong together.
type mark struct {
	dead  bool       // they are being removed, and nobody can read or add any
	since oplog.Time // when a sweep found that no object has them; 0: none has
	by    string     // the worker that has begun them, and adds to them
}

const markFormat = 1

func (m mark) append(b []byte) []byte {
	b = append(b, markFormat, 0)
	if m.dead {
		b[len(b)-1] = 1
	}
	return append(binary.AppendUvarint(b, uint64(m.since)), m.by...)
}

func decodeMark(b []byte) (m mark, err error) {
	d := newDecoder(b)
	format := d.Uint()
	m = mark{d.Bool(), oplog.Time(d.Uint()), string(d.rest())}
	if format != markFormat || !d.Whole() {
		return mark{}, errDamaged
	}
	return m, nil
}

// mark reads a mark. Without one its version is 0.
func (s *Store) mark(ctx context.Context, cell string) (m mark, version uint64, err error) {
	b, version, err := s.cells.Get(ctx, cell)
	if errors.Is(err, storage.ErrNotFound) {
		return mark{}, 0, nil
	}
	if err == nil {
		m, err = decodeMark(b)
	}
	if err != nil {
		err = fmt.Errorf("read %s: %w", cell, err)
	}
	return m, version, err
}

// touch keeps chunks from being swept for a while, and says whether they are there,
// and who has begun them.
func (s *Store) touch(ctx context.Context, component string, i ID) (by string, there bool, err error) {
	return s.touched(ctx, component, i, "")
}

// touched is touch, for a worker that begins them now if they are not there.
func (s *Store) touched(ctx context.Context, component string, i ID, begins string) (by string, there bool, err error) {
	cell := writingCell(component, i)
	for {
		m, version, err := s.mark(ctx, cell)
		switch {
		case err != nil:
			return "", false, err
		case m.dead || version == 0 && begins == "":
			return "", false, nil
		case version != 0 && m.since == 0:
			return m.by, true, nil
		case version == 0:
			m.by = begins
		}
		m.since = 0
		put := s.cells.Keep
		if version == 0 {
			put = s.cells.Put
		}
		if _, err = put(ctx, cell, version, m.append(nil)); !errors.Is(err, storage.ErrConflict) {
			return m.by, err == nil, err
		}
	}
}

// Forget forgets all that a component has kept.
func (s *Store) Forget(ctx context.Context, component string) error {
	return s.removeAll(ctx, componentPrefix(component))
}

func (s *Store) removeAll(ctx context.Context, prefix string) error {
	for cell, err := range s.cells.List(ctx, prefix, "") {
		if err == nil {
			err = once.Remove(ctx, s.cells, cell)
		}
		if err != nil {
			return fmt.Errorf("remove what is kept below %s: %w", prefix, err)
		}
	}
	return nil
}

// Sweep removes what was deleted, and can neither be read nor be in doubt any more.
// Others go on meanwhile. Damage keeps what its component has, and nothing of others.
func (s *Store) Sweep(ctx context.Context) (damage error) {
	for component, err := range once.Below(ctx, s.cells, once.Containers, "") {
		if err != nil {
			return err
		}
		damage = errors.Join(damage, s.swept(ctx, component, Keep))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return damage
}

// Relieve is Sweep of the components that are crowded, which lose sooner what no
// object has.
func (s *Store) Relieve(ctx context.Context) (damage error) {
	for _, component := range s.cells.Crowded() {
		damage = errors.Join(damage, s.swept(ctx, component, KeepCrowded))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return damage
}

// swept is sweep, whose error says of what.
func (s *Store) swept(ctx context.Context, component string, keep time.Duration) error {
	if err := s.sweep(ctx, component, keep); err != nil {
		return fmt.Errorf("sweep the containers of %s: %w", component, err)
	}
	return nil
}

// sweep takes away a component's objects whose containers are gone, and chunks that
// no object has had for a while. The marks are read before the objects: who gives
// chunks to an object meanwhile changes theirs, if it speaks of removing them.
func (s *Store) sweep(ctx context.Context, component string, keep time.Duration) error {
	marks, err := s.marks(ctx, component)
	if err != nil {
		return err
	}
	// These first, for they are of containers that there are or were.
	var contents []string
	for content, err := range once.Below(ctx, s.cells, componentPrefix(component)+"o/", "") {
		if err != nil {
			return err
		}
		contents = append(contents, content)
	}
	boxes, err := s.boxes(ctx, component)
	if err != nil {
		return err
	}
	used := map[ID]bool{}
	for _, content := range contents {
		prefix := componentPrefix(component) + "o/" + content + "/"
		if boxes[content] {
			err = s.use(ctx, prefix, used)
		} else {
			err = s.removeAll(ctx, prefix)
		}
		if err != nil {
			return err
		}
	}
	for i, m := range marks {
		if err := s.settle(ctx, component, i, m, used[i], keep); err != nil {
			return err
		}
	}
	return nil
}

// marked is a mark that was read.
type marked struct {
	mark
	version uint64
}

func (s *Store) marks(ctx context.Context, component string) (map[ID]marked, error) {
	prefix := componentPrefix(component) + "u/"
	marks := map[ID]marked{}
	for cell, err := range s.cells.List(ctx, prefix, "") {
		if err != nil {
			return nil, err
		}
		var i ID
		if n, err := hex.Decode(i[:], []byte(strings.TrimPrefix(cell, prefix))); err != nil || n != len(i) {
			return nil, fmt.Errorf("read %s: %w", cell, errDamaged)
		}
		m, version, err := s.mark(ctx, cell)
		if err != nil {
			return nil, err
		}
		if version != 0 {
			marks[i] = marked{m, version}
		}
	}
	return marks, nil
}

// boxes are the contents that containers have. It buries containers that were deleted
// long ago.
func (s *Store) boxes(ctx context.Context, component string) (map[string]bool, error) {
	boxes := map[string]bool{}
	for cell, err := range s.cells.List(ctx, componentPrefix(component)+"c/", "") {
		if err != nil {
			return nil, err
		}
		r, version, err := once.Read(ctx, s.cells, cell)
		if err != nil {
			return nil, err
		}
		if r.Exists {
			b, err := decodeBox(r.Value)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", cell, err)
			}
			boxes[b.id.String()] = true
		}
		if err := once.Bury(ctx, s.cells, cell, &r, version, s.now()); err != nil {
			return nil, err
		}
	}
	return boxes, nil
}

// use finds out which chunks the objects below a prefix have. It buries objects that
// were deleted long ago.
func (s *Store) use(ctx context.Context, prefix string, used map[ID]bool) error {
	for cell, err := range s.cells.List(ctx, prefix, "") {
		if err != nil {
			return err
		}
		r, version, err := once.Read(ctx, s.cells, cell)
		if err != nil {
			return err
		}
		if r.Exists {
			o, err := decodeObject(r.Value)
			if err != nil {
				return fmt.Errorf("read %s: %w", cell, err)
			}
			used[o.id] = true
		}
		if err := once.Bury(ctx, s.cells, cell, &r, version, s.now()); err != nil {
			return err
		}
	}
	return nil
}

// settle marks chunks that no object has, removes them if they have been marked for
// long enough, and takes the mark away from those that one has.
func (s *Store) settle(ctx context.Context, component string, i ID, m marked, used bool, keep time.Duration) (err error) {
	cell := writingCell(component, i)
	next := mark{by: m.by}
	switch {
	case m.dead:
		return s.bury(ctx, component, i, m.version)
	case used && m.since == 0:
		return nil
	case used:
	case m.since == 0:
		next.since = s.at()
	case s.now().Sub(m.since.Time()) <= keep:
		return nil
	default:
		next.dead = true
	}
	version, err := s.cells.Keep(ctx, cell, m.version, next.append(nil))
	switch {
	case errors.Is(err, storage.ErrConflict):
		return nil // somebody has just used them
	case err != nil || !next.dead:
		return err
	}
	return s.bury(ctx, component, i, version)
}

// bury removes chunks that are dead, and then that they were.
func (s *Store) bury(ctx context.Context, component string, i ID, version uint64) error {
	if err := s.removeAll(ctx, chunkPrefix(component, i)); err != nil {
		return err
	}
	err := s.cells.Delete(ctx, writingCell(component, i), version)
	if errors.Is(err, storage.ErrConflict) || errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}
