package worker

import (
	"context"
	"errors"
	"strings"

	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/platform"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// regions is what a run knows of how its program was taken back.
type regions struct {
	life *oplog.Life // as it was read, with what was recorded of this since
	left *oplog.Jump // how the region is repeated that the last process has left, or nil
}

// controlImport begins the name of the interface without which no program has
// regions or goes back.
const controlImport = "waterbear:durable/control@"

// controls reports whether a program can go back.
func controls(p *catalog.Compiled) bool {
	if p.Component != nil {
		for _, name := range p.Component.Imports() {
			if strings.HasPrefix(name, controlImport) {
				return true
			}
		}
		return false
	}
	for _, i := range p.Module.Imports() {
		if strings.HasPrefix(i.Module, controlImport) {
			return true
		}
	}
	return false
}

// recall reads how the program was taken back, if it can have been, and finds out
// whether a region has to be repeated.
func (r *run) recall(ctx context.Context, status *oplog.Status) (err error) {
	r.life = oplog.NewLife(r.launch.Worker)
	if status == nil || !controls(r.program) {
		return nil
	}
	if r.life, err = oplog.ReadLife(ctx, r.rt.Store.Logs(), r.launch.Worker); err != nil {
		return err
	}
	if region := r.life.Region; region != 0 && !r.life.Calm {
		r.left = leftIn(region, oplog.At(r.rt.Sched.Now()))
	}
	return nil
}

// leftIn repeats a region that was left in the middle.
func leftIn(region oplog.Index, now oplog.Time) *oplog.Jump {
	return &oplog.Jump{
		At: now, From: region + 1, Region: region, Code: oplog.JumpCrash,
		Reason: "it was left in the middle of an atomic region", Stack: []string{},
	}
}

// skip are the spans that replay up to last leaves out.
func (r *run) skip(last oplog.Index) []oplog.Span {
	life := *r.life
	life.Undone = append([]oplog.Span(nil), life.Undone...)
	if r.left != nil {
		life.TakeBack(oplog.Span{From: r.left.From, To: last})
	}
	return life.Undone
}

// repeatRegion records that a region is repeated.
func (r *run) repeatRegion(ctx context.Context) error {
	if r.left == nil {
		return nil
	}
	err := r.jump(ctx, r.left)
	r.left = nil
	return err
}

func (r *run) jump(ctx context.Context, j *oplog.Jump) error {
	index, err := r.writer.Append(ctx, j)
	if err == nil {
		r.life.Apply(oplog.Entry{Index: index, Body: j})
	}
	return err
}

// goesBack reports whether err takes the program back.
func goesBack(ctx context.Context, err error) (*durable.BackError, bool) {
	var back *durable.BackError
	return back, errors.As(err, &back) && ctx.Err() == nil
}

// goBack records that the program is taken back, and goes on from there.
func (r *run) goBack(ctx context.Context, b *durable.BackError, create *oplog.Create, outcome *Outcome) error {
	r.input.rewind()
	err := r.jump(ctx, goneBack(b, oplog.At(r.rt.Sched.Now())))
	if err == nil {
		err = r.writer.Commit(ctx)
	}
	if err != nil {
		return err
	}
	r.open(ctx, r.writer.Last())
	p, err := r.build(ctx, create)
	if err != nil {
		return err
	}
	defer p.close()
	return r.main(ctx, p, outcome)
}

// goneBack is how a program goes back.
func goneBack(b *durable.BackError, now oplog.Time) *oplog.Jump {
	j := &oplog.Jump{At: now, From: b.From, Region: b.Region, Code: oplog.JumpAsked, Reason: "the program went back", Stack: []string{}}
	if b.Effect {
		j.Code, j.Reason, j.Outcome = oplog.JumpEffect, "an effect has its outcome", b.Outcome
	}
	return j
}

// Effect implements platform.Control.
func (r *run) Effect(waypoint oplog.Index) platform.EffectState { return effectAt(r.life, waypoint) }

// effectAt is how far the effect that begins at a waypoint is.
func effectAt(life *oplog.Life, waypoint oplog.Index) platform.EffectState {
	if j := life.Effect; j != nil && j.From == waypoint+1 {
		return platform.EffectState{Done: true, Outcome: j.Outcome}
	}
	return platform.EffectState{Times: life.Jumps[waypoint+1]}
}

// Entries implements platform.Control.
func (r *run) Entries(ctx context.Context, from, to oplog.Index, kinds []string) (platform.Page, error) {
	return readPage(ctx, r.rt.Store.Logs(), r.launch.Worker, r.writer, from, to, kinds)
}

// Retry implements platform.Control: a program that is run is not tried again.
func (r *run) Retry() platform.RetryPolicy {
	return platform.RetryPolicy{Attempts: 1, Initial: platform.MinPause, Max: platform.MinPause, Factor: 1}
}

// Jumps implements platform.Control.
func (r *run) Jumps() uint64 { return r.life.JumpsInAll() }

// Repeats implements platform.Control.
func (r *run) Repeats(waypoint oplog.Index) uint64 { return r.life.Jumps[waypoint+1] }
