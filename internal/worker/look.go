package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// Files gives a worker's files as they are now; those of one that is in an
// invocation as far as that is recorded. A worker without an instance is
// replayed for that, beside whatever else it does.
func (ws *Workers) Files(ctx context.Context, w id.Worker) (fs.ReadLinkFS, error) {
	r, err := ws.openExisting(ctx, w)
	if err != nil {
		return nil, err
	}
	defer ws.release(r)
	r.mu.Lock()
	if r.machine.phase == ready && r.body != nil && !r.driving {
		defer r.mu.Unlock()
		return r.body.files.Clone().View(), nil
	}
	r.mu.Unlock()
	if err := r.commit(ctx); err != nil {
		return nil, err
	}
	return ws.replayFiles(ctx, w, r.writer.Committed())
}

// replayFiles runs a worker's oplog up to last, writing nothing, for its files.
func (ws *Workers) replayFiles(ctx context.Context, w id.Worker, last oplog.Index) (files fs.ReadLinkFS, err error) {
	err = ws.replayed(ctx, w, func() (at *imaged, err error) {
		life, at, _, err := ws.readLife(ctx, w, 0)
		if err != nil {
			return nil, err
		}
		if life.Create.Ephemeral {
			at, last = nil, 1 // it begins anew each time
		}
		b, err := ws.rebuild(ctx, life, at, last, nil)
		if err == nil {
			defer b.close()
			files = b.files.View()
		}
		return at, err
	})
	if err != nil {
		return nil, fmt.Errorf("replay %s for its files: %w", w, err)
	}
	return files, nil
}

// Stack gives the functions of a worker's program that were being called when it
// made the call whose intent is entry index, innermost first: the program is run
// again up to there, beside whatever else the worker does, and writing nothing.
func (ws *Workers) Stack(ctx context.Context, w id.Worker, index oplog.Index) ([]string, error) {
	r, err := ws.openExisting(ctx, w)
	if err != nil {
		return nil, err
	}
	defer ws.release(r)
	if err := r.commit(ctx); err != nil {
		return nil, err
	}
	var end *wasm.Traced
	err = ws.replayed(ctx, w, func() (at *imaged, err error) {
		// As the worker was before the entry: what was undone later was not then.
		life, at, _, err := ws.readLifeTo(ctx, w, index, index-1)
		if err != nil {
			return nil, err
		}
		end = &wasm.Traced{Err: durable.ErrEndOfLog}
		b, err := ws.rebuild(ctx, life, at, index-1, end)
		if err == nil {
			b.close()
		}
		return at, err
	})
	if err != nil {
		return nil, fmt.Errorf("replay %s up to entry %d: %w", w, index, err)
	}
	return end.Stack, nil
}

// replayed replays a worker while it has room to. The image that replay has begun at
// may have gone meanwhile, for something newer: then it begins anew.
func (ws *Workers) replayed(ctx context.Context, w id.Worker, replay func() (*imaged, error)) error {
	if err := ws.slots.acquire(ctx, nil); err != nil {
		return err
	}
	defer ws.slots.release()
	for {
		at, err := replay()
		if err == nil || at == nil || ctx.Err() != nil || !unusable(err) && !oplog.IsTruncated(err) {
			return err
		}
		if _, newest, findErr := oplog.FindImage(ctx, ws.Store.Logs(), w, 0); findErr != nil || newest == at.index {
			return errors.Join(err, findErr)
		}
	}
}

// rebuild makes a worker's state as of entry last, beside the worker itself and
// writing nothing: from an image, or from its beginning if at is nil. end, if it is
// not nil, is durable.ErrEndOfLog as the program meets it. The caller closes it.
func (ws *Workers) rebuild(ctx context.Context, life *oplog.Life, at *imaged, last oplog.Index, end error) (*body, error) {
	w := life.Worker
	program, err := ws.Catalog.Acquire(ctx, w.Component, life.Create.Revision)
	if err != nil {
		return nil, fmt.Errorf("load the program: %w", err)
	}
	p := &replay{
		r:     &resident{ws: ws, worker: w, machine: machine{life: life}, imaging: imaging{image: at}},
		calls: map[oplog.Index]call{}, entries: last,
	}
	b, err := p.r.newBody(ctx, bodyConfig{
		program: program, create: &life.Create, meter: newMeter(ws.Sched, api.Limits{}),
		session: durable.Config{
			Worker: w, Skip: life.Undone, AtEnd: end, Passed: p.pass, Cursor: oplog.NewCursor(ws.Store.Logs(), w, 2, last),
		},
	}, p)
	if err != nil {
		p.r.forgetSaved()
		program.Release()
		return nil, err
	}
	b.own.Workers = peers{p.r, b}
	p.r.body, b.owns = b, p.r.saved
	if err := p.look(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// look replays to the end of the oplog.
func (p *replay) look(ctx context.Context) error {
	b := p.r.body
	for {
		started, index, err := b.session.Begin()
		if err == nil && started != nil {
			b.begin()
			var result []byte
			var c call
			if c, err = p.accepted(ctx, started.Accepted, index); err == nil {
				result, err = b.perform(c)
			}
			if err == nil {
				_, err = b.session.Finish(result)
			}
			delete(p.calls, started.Accepted)
		}
		switch {
		case errors.Is(err, durable.ErrEndOfLog):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && b.session.Replaying():
			return err
		case err != nil, started == nil:
			return nil // an attempt that is about to be recorded as failed
		}
	}
}
