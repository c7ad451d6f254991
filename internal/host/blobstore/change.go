package blobstore

import (
	"context"
	"errors"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/once"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// box is a container that there is. Its objects lie below the id of its content,
// so that it is emptied by giving it another.
type box struct {
	created oplog.Time
	id      ID
}

// object is an object that there is.
type object struct {
	created oplog.Time
	content
}

// content is the bytes of an object: those of whole chunks, or of all, in chunks,
// and the tail behind them.
type content struct {
	id   ID // of the chunks, if there are any
	size uint64
	tail []byte
}

// chunked is how many bytes are in chunks.
func (c *content) chunked() uint64 { return c.size - uint64(len(c.tail)) }

// box finds a container. If it is there the record says so.
func (s *Store) box(ctx context.Context, component, name string) (b box, r once.Record, err error) {
	r, _, err = once.Read(ctx, s.cells, containerCell(component, name))
	if err == nil && r.Exists {
		b, err = decodeBox(r.Value)
	}
	return b, r, err
}

// object finds an object, as box does.
func (s *Store) object(ctx context.Context, cell string) (o object, r once.Record, err error) {
	r, _, err = once.Read(ctx, s.cells, cell)
	if err == nil && r.Exists {
		o, err = decodeObject(r.Value)
	}
	return o, r, err
}

// Create makes a container that is not there.
func (c *Containers) Create(container string) error {
	return c.write(change{place: place{container: container}, action: creating}, nil)
}

// Remove deletes a container with all that is in it.
func (c *Containers) Remove(container string) error {
	return c.write(change{place: place{container: container}, action: removing}, nil)
}

// Clear deletes all that is in a container.
func (c *Containers) Clear(container string) error {
	return c.write(change{place: place{container: container}, action: clearing}, nil)
}

// Delete deletes an object, if it is there.
func (c *Containers) Delete(container, name string) error {
	return c.write(change{place: place{container, name}, action: deleting}, nil)
}

// Copy gives an object the content of another one. Move deletes that then, unless
// somebody has replaced it meanwhile.
func (c *Containers) Copy(container, name, toContainer, toName string) error {
	return c.write(change{place: place{toContainer, toName}, action: copying, from: place{container, name}}, nil)
}

// Move is Copy, and then Delete.
func (c *Containers) Move(container, name, toContainer, toName string) error {
	return c.write(change{place: place{toContainer, toName}, action: moving, from: place{container, name}}, nil)
}

// write makes a change, once. Of what is written tail is what the change has the
// hash of.
func (c *Containers) write(w change, tail []byte) (err error) {
	ofObject := w.action > lastOfContainer
	if err := c.check(w.place, ofObject); err != nil {
		return err
	}
	if w.seen, err = c.look(w.place); err != nil {
		return err
	}
	switch {
	case w.action == creating && w.seen.box:
		return exists(w.container)
	case w.action != creating && !w.seen.box:
		return noContainer(w.container)
	}
	if w.action == copying || w.action == moving {
		if err := c.check(w.from, true); err != nil {
			return err
		}
		if w.source, err = c.look(w.from); err != nil {
			return err
		}
		if !w.source.box {
			return noContainer(w.from.container)
		}
	}
	started, err := durable.Start(c.Session, &write, w)
	if err != nil {
		return err
	}
	inDoubt := c.Session.Replaying() // the intent is of a process before
	o, err := durable.Finish(c.Session, &write, started, func(ctx context.Context) (outcome, error) {
		if err := c.charge(ctx, len(tail)); err != nil {
			return outcome{}, err
		}
		a := attempt{store: c.Store, component: c.Worker.Component, change: w, by: c.writer(started), inDoubt: inDoubt}
		a.content.tail = tail
		if ofObject {
			return refusal(a.ofObject(ctx))
		}
		return refusal(a.ofContainer(ctx))
	})
	if err == nil && o.failure != "" {
		err = &Error{Reason: o.failure}
	}
	return err
}

// refusal makes what comes of a write of it that there is no room for it.
func refusal(o outcome, err error) (outcome, error) {
	if reason, full := once.AsFull(err); full {
		return outcome{reason}, nil
	}
	return o, err
}

func exists(container string) error { return failf("there is a container %q already", container) }

// look sees how often a container or an object was written to, for what is in doubt
// later.
func (c *Containers) look(p place) (seen, error) {
	return durable.Run(c.Session, &look, p, func(ctx context.Context, p place) (v seen, err error) {
		b, r, err := c.Store.box(ctx, c.Worker.Component, p.container)
		v = seen{r.Exists, b.id, r.Writes}
		if err == nil && v.box && p.object != "" {
			r, _, err = once.Read(ctx, c.Store.cells, objectPrefix(c.Worker.Component, b.id)+p.object)
			v.writes = r.Writes
		}
		return v, err
	})
}

// attempt is a change that is being made.
type attempt struct {
	store     *Store
	component string
	change
	by      once.Writer
	inDoubt bool // it may have been made already
}

// ofContainer makes the change of a container.
func (a *attempt) ofContainer(ctx context.Context) (o outcome, err error) {
	fresh, err := a.store.newID()
	if err != nil {
		return o, err
	}
	var damage error
	err = once.Change(ctx, a.store.cells, containerCell(a.component, a.container), func(r *once.Record) bool {
		if a.inDoubt {
			// Of one that is forgotten it makes no difference: others came behind it.
			if _, fate := r.Recall(a.by, a.seen.writes); fate != once.NotMade {
				return false
			}
		}
		o = outcome{}
		var b box
		switch {
		case a.action == creating && r.Exists:
			o.failure = exists(a.container).Error()
			return false
		case a.action == creating:
			b.created = a.store.at()
		case !r.Exists:
			o.failure = noContainer(a.container).Error()
			return false
		case a.action == clearing:
			if b, damage = decodeBox(r.Value); damage != nil {
				return false
			}
		}
		b.id = fresh
		if r.Exists = a.action != removing; r.Exists {
			r.Value = b.append(nil)
		} else {
			r.Value = nil
		}
		r.Note(a.by, a.store.at(), 0)
		return true
	})
	return o, errors.Join(err, damage)
}

// ofObject makes the change of an object.
func (a *attempt) ofObject(ctx context.Context) (o outcome, err error) {
	b, r, err := a.store.box(ctx, a.component, a.container)
	switch {
	case err != nil:
		return o, err
	case a.inDoubt && (!r.Exists || b.id != a.seen.id):
		// The container was emptied since the program looked: the change was before
		// that, made or not.
		return o, a.vacate(ctx, a.source.writes)
	case !r.Exists:
		return outcome{failure: noContainer(a.container).Error()}, nil
	}
	content, writes, why, err := a.contents(ctx)
	if err != nil {
		return o, err
	}
	if a.action == moving && a.from == a.place {
		return outcome{why}, nil
	}
	err = once.Change(ctx, a.store.cells, objectPrefix(a.component, b.id)+a.object, func(r *once.Record) bool {
		if a.inDoubt {
			known := false
			if o, known = a.recall(r, &writes); known {
				return false
			}
		}
		switch o = (outcome{why}); {
		case why != "":
			return false
		case a.action == deleting && !r.Exists:
			return false
		case a.action == deleting:
			r.Exists, r.Value = false, nil
		default:
			r.Exists, r.Value = true, (&object{a.store.at(), content}).append(nil)
		}
		r.Note(a.by, a.store.at(), int64(writes))
		return true
	})
	if err != nil || o.failure != "" {
		return o, err
	}
	return o, a.vacate(ctx, writes)
}

// recall finds out whether the change, which is in doubt, was made; if so, and it
// has moved an object, writes is how often that had been written to.
func (a *attempt) recall(r *once.Record, writes *uint64) (o outcome, known bool) {
	result, fate := r.Recall(a.by, a.seen.writes)
	switch {
	case fate == once.NotMade:
		return o, false
	case fate == once.Made:
		*writes = uint64(result)
	case a.action == moving:
		o.failure = "this is in doubt: so many others have written since that it cannot be told whether it was done"
	}
	return o, true
}

// contents gives what the object is to have, and, if that is another object's, how
// often that one was written to; or why it cannot have it.
func (a *attempt) contents(ctx context.Context) (c content, writes uint64, why string, err error) {
	switch a.action {
	case deleting:
		return c, 0, "", nil
	case copying, moving:
		o, r, err := a.store.object(ctx, objectPrefix(a.component, a.source.id)+a.from.object)
		if err != nil {
			return c, 0, "", err
		}
		if b, _, err := a.store.box(ctx, a.component, a.from.container); err != nil || b.id != a.source.id || !r.Exists {
			return c, 0, noObject(a.from).Error(), err
		}
		c, writes = o.content, r.Writes
	default:
		c = a.content
	}
	if c.chunked() > 0 {
		var there bool
		if _, there, err = a.store.touch(ctx, a.component, c.id); !there {
			why = lost
		}
	}
	return c, writes, why, err
}

// vacate deletes what was moved, unless it has been written to since.
func (a *attempt) vacate(ctx context.Context, writes uint64) error {
	if a.action != moving || a.from == a.place {
		return nil
	}
	return once.Change(ctx, a.store.cells, objectPrefix(a.component, a.source.id)+a.from.object, func(r *once.Record) bool {
		if !r.Exists || r.Writes != writes {
			return false
		}
		r.Exists, r.Value = false, nil
		r.Note(a.by, a.store.at(), 0)
		return true
	})
}
