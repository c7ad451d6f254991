package oplog

import (
	"context"

	"github.com/waterbear-run/waterbear/internal/sched"
)

// Follower waits for what becomes durable of one worker's oplog. It is woken by
// flushes that have some of it alone, so there may be very many.
type Follower struct {
	w     *Writer
	moved sched.Condition // of all who follow w
}

// followed is who follows a writer.
type followed struct {
	moved sched.Condition
	users int
}

// Follow begins to follow. The caller closes the follower.
func (w *Writer) Follow() *Follower {
	c := w.c
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.followed[w]
	if f == nil {
		f = &followed{moved: c.sched.NewCondition()}
		c.followed[w] = f
		w.moved.Store(&f.moved)
	}
	f.users++
	return &Follower{w, f.moved}
}

// Close ends following. It is called once.
func (f *Follower) Close() {
	c := f.w.c
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.followed[f.w]
	if k.users--; k.users == 0 {
		delete(c.followed, f.w)
		f.w.moved.Store(nil)
	}
}

// Beyond returns when an entry behind index is durable, or so is true, which is
// looked at after each flush and each Poke. It asks for no commit.
func (f *Follower) Beyond(ctx context.Context, index Index, so func() bool) error {
	w := f.w
	done := func() bool { return w.committed.Load() > index || so() || w.c.failure() != nil }
	if err := f.moved.Wait(ctx, done); err != nil {
		return err
	}
	if w.committed.Load() > index || so() {
		return nil
	}
	return w.c.failure()
}

// Poke lets all followers look again.
func (w *Writer) Poke() {
	if moved := w.moved.Load(); moved != nil {
		(*moved).Wake()
	}
}
