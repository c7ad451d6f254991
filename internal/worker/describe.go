package worker

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/agenda"
	"github.com/waterbear-run/waterbear/internal/host/promise"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// replayMode says how workers recover that have no image.
const replayMode = "replay: recovery runs the program again from its start, and takes what it observed from the oplog"

// mode says how the worker recovers, and why not otherwise. It is called with
// r.mu held.
func (r *resident) mode() string {
	mode := replayMode
	switch {
	case r.machine.ephemeral:
		mode = "ephemeral: each invocation has an instance of its own, and begins anew after a crash"
	case r.image != nil || len(r.machine.life.Deltas) > 0:
		mode = "image: recovery begins at the newest saved state, and replays what is behind it"
	}
	if len(r.unimageable) > 0 {
		mode += "; nothing can be saved any more: " + strings.Join(r.unimageable, ", ")
	}
	if r.imageNote != "" {
		mode += "; " + r.imageNote
	}
	switch {
	case r.why != "":
		mode += "; retention stands still: " + r.why
	case r.settings().Retention.Oplog.Limited() && r.imageAfter() < 0:
		mode += "; retention does not truncate the oplog, as images.after takes no image"
	case r.settings().Retention.Oplog.Limited() && len(r.unimageable) > 0:
		mode += "; retention does not truncate the oplog any more"
	}
	return mode
}

// shownImage is the worker's image for people. It is called with r.mu held.
func (r *resident) shownImage() *api.Image {
	if r.image == nil {
		return nil
	}
	return &api.Image{
		Index: r.image.index, Covers: r.image.Covers, Taken: r.image.At.Time(), Size: r.image.Size,
	}
}

// shownSaved is from where the worker is recovered, for people. It is called
// with r.mu held.
func (r *resident) shownSaved() *api.Saved {
	if r.machine.ephemeral {
		return nil
	}
	s := &api.Saved{Index: r.image.entry(), LastPages: uint64(r.dirty.pages), LastBytes: uint64(r.dirty.bytes)}
	for _, d := range r.machine.life.DeltasBehind(s.Index) {
		s.Deltas++
		s.Bytes += d.Bytes
		s.Index = d.Index
	}
	s.Behind = r.writer.Last() - max(s.Index, 1)
	s.ReplayCost = api.Duration(r.computed + time.Duration(s.Behind)*recordedCost)
	return s
}

// maxPendingShown is how many pending invocations the detail of a worker lists.
const maxPendingShown = 100

// Worker tells all of one worker.
func (ws *Workers) Worker(ctx context.Context, w id.Worker) (api.WorkerDetail, error) {
	r, err := ws.openExisting(ctx, w)
	var corrupt *storage.CorruptError
	if errors.As(err, &corrupt) {
		return api.WorkerDetail{Worker: ws.damaged(ctx, w, err), Mode: replayMode}, nil
	}
	if err != nil {
		return api.WorkerDetail{}, err
	}
	defer ws.release(r)
	if err := r.commit(ctx); err != nil && ws.Committer.Stalled() == nil {
		return api.WorkerDetail{}, err
	}
	v := api.WorkerDetail{Mode: replayMode}
	if v.Bytes, err = r.size(ctx); err != nil {
		return v, err
	}
	if v.First, _, err = ws.Store.Logs().Bounds(ctx, w); err != nil {
		return v, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	life := r.machine.life
	v.Worker = ws.view(&life.Status, r)
	if life.Fork != nil {
		v.Origin = life.Fork.Origin.String()
	}
	v.Settings = r.settings().Settings
	v.Settings.Images.After = api.Duration(r.imageAfter())
	v.Settings.Limits.Memory, v.Settings.Limits.Storage, v.Settings.Limits.Files = life.Create.Memory, life.Create.Storage, life.Create.Files
	v.Mode, v.Image, v.Saved, v.Archived = r.mode(), r.shownImage(), r.shownSaved(), r.shownArchived()
	if v.Resident = r.body != nil; v.Resident && !r.driving {
		v.Memory = r.body.memory()
	}
	v.Pending = []api.Invocation{}
	for _, p := range life.Queue[:min(len(life.Queue), maxPendingShown)] {
		v.Pending = append(v.Pending, r.describe(p))
	}
	for _, p := range life.Promises {
		if stateOf(p) == promise.Pending && len(v.Promises) < maxPendingShown {
			v.Promises = append(v.Promises, r.describePromise(p, false))
		}
	}
	return v, nil
}

// size is how many bytes the worker's oplog has. What was counted once is not
// counted again.
func (r *resident) size(ctx context.Context) (uint64, error) {
	r.mu.Lock()
	counted, bytes := r.counted, r.bytes
	r.mu.Unlock()
	for chunk, err := range r.ws.Store.Logs().Read(ctx, r.worker, counted+1, 0) {
		if err != nil {
			return bytes, err
		}
		if chunk.First > counted {
			bytes += uint64(len(chunk.Bytes))
			counted = chunk.Last()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if counted > r.counted {
		r.counted, r.bytes = counted, bytes
	}
	return bytes, nil
}

// damaged is what there is to tell of a worker whose oplog cannot be read.
func (ws *Workers) damaged(ctx context.Context, w id.Worker, err error) api.Worker {
	_, last, _ := ws.Store.Logs().Bounds(ctx, w)
	return api.Worker{Component: w.Component, Name: w.Name, Status: api.Failed, Reason: err.Error(), Args: []string{}, Env: []string{}, Entries: last}
}

// view makes what people see of a status; r, if the node has the worker in
// mind, is locked.
func (ws *Workers) view(s *oplog.Status, r *resident) api.Worker {
	c := &s.Create
	v := api.Worker{
		Component: s.Worker.Component, Name: s.Worker.Name, Revision: c.Revision, Ephemeral: c.Ephemeral,
		Created: c.At.Time(), Changed: s.Changed.Time(), Args: append([]string{}, c.Args...), Env: append([]string{}, c.Env...),
		Queue: s.Waiting, Entries: s.Last, Held: s.Held,
	}
	if r != nil && r.machine.phase == busy && s.Suspended != nil {
		here := *s
		here.Suspended = nil // it has come back
		s = &here
	}
	v.Status, v.Reason = statusOf(s)
	if r != nil && r.machine.phase == busy && s.Attempt != nil && (v.Status == api.Suspended || v.Status == api.Retrying) {
		v.Status, v.Reason = api.Running, inAttempt(s) // what it had waited for is over
	}
	switch v.Status {
	case api.Interrupted, api.Failed, api.Exited:
		return v
	}
	at := ws.wakes(s.Worker, r)
	if at == 0 || at == agenda.Never || s.Waiting == 0 && s.Attempt == nil {
		return v
	}
	wake := at.Time()
	v.Wake = &wake
	if v.Status == api.Running && s.Attempt == nil {
		v.Status, v.Reason = api.Idle, fmt.Sprintf("%d scheduled, the next at %s", s.Waiting, wake.Format(time.RFC3339))
	}
	if r != nil && r.machine.fault != nil {
		v.Status, v.Reason = api.Running, fmt.Sprintf("the host could not do its part: %v; it tries again at %s", r.machine.fault, wake.Format(time.RFC3339))
	}
	return v
}

// wakes is when a worker goes on by itself, 0 if it does so now or never.
func (ws *Workers) wakes(w id.Worker, r *resident) oplog.Time {
	if r == nil {
		if at, ok := ws.Agenda.Due(w); ok && at > soon {
			return at
		}
		return 0
	}
	now := oplog.At(ws.Sched.Now())
	if at := r.machine.wake(now); at > now {
		return at
	}
	return 0
}

// statusOf is the status that a worker's oplog tells, with its reason.
func statusOf(s *oplog.Status) (api.Status, string) {
	switch {
	case s.Exited != nil:
		return api.Exited, fmt.Sprintf("its program called exit with code %d", s.Exited.Code)
	case s.Stuck != nil:
		return api.Failed, s.Stuck.Reason
	case s.Interrupted != nil:
		return api.Interrupted, s.Interrupted.Reason
	case s.Failed != nil:
		return api.Retrying, fmt.Sprintf("attempt %d failed: %s; the next one begins at %s", s.Failed.Attempt, s.Failed.Reason, s.Failed.Retry.Time().Format(time.RFC3339))
	case s.Back != nil:
		return api.Retrying, fmt.Sprintf("an atomic region failed: %s; it is repeated at %s", s.Back.Reason, s.Back.Retry.Time().Format(time.RFC3339))
	case len(s.Held) > 0:
		return api.Suspended, fmt.Sprintf("it waits for a person to say what has become of %s: `waterbear calls --state held %s` shows it", oneOrMore(len(s.Held)), s.Worker)
	case s.Suspended != nil:
		return api.Suspended, waitsFor(s.Suspended)
	case s.Attempt != nil:
		return api.Running, inAttempt(s)
	case s.Waiting > 0:
		return api.Running, "about to begin an invocation"
	}
	return api.Idle, "nothing to do"
}

func inAttempt(s *oplog.Status) string {
	return fmt.Sprintf("in an invocation, attempt %d", s.Attempt.Attempt)
}

// waitsFor says what a suspended worker waits for.
func waitsFor(s *oplog.Suspended) string {
	text := "it waits"
	if s.For != "" {
		text += " for " + s.For
	}
	if s.For != "" && s.Until != 0 {
		text += ", or"
	}
	if s.Until != 0 {
		text += " until " + s.Until.Time().Format(time.RFC3339)
	}
	return text
}

func oneOrMore(calls int) string {
	if calls == 1 {
		return "a call in doubt"
	}
	return fmt.Sprintf("%d calls in doubt", calls)
}

// maxLooked is how many workers one page of a list looks at.
const maxLooked = 10_000

// List gives up to limit workers behind cursor that the filter chooses. Next is
// where to go on, "" at the end.
func (ws *Workers) List(ctx context.Context, f api.WorkerFilter, skip func(component string) bool, cursor string, limit int) (api.Page[api.Worker], error) {
	page := api.Page[api.Worker]{Items: []api.Worker{}}
	after := id.Worker{Component: f.Component}
	if cursor != "" {
		w, err := id.ParseWorker(cursor)
		if err != nil {
			return page, api.NewProblem(api.CodeInvalid, fmt.Sprintf("cursor %q: it is not one that a list has given", cursor))
		}
		after = w
	}
	if _, err := path.Match(f.Name, ""); err != nil {
		return page, api.NewProblem(api.CodeInvalid, fmt.Sprintf("name %q: it is no pattern: %v", f.Name, err))
	}
	looked := 0
	for w, err := range ws.Store.Logs().Workers(ctx, after) {
		if err != nil {
			return page, err
		}
		if f.Component != "" && w.Component != f.Component {
			if w.Component > f.Component {
				break
			}
			continue
		}
		if w == agenda.Worker || skip != nil && skip(w.Component) {
			continue
		}
		if looked++; looked > maxLooked || len(page.Items) == limit {
			page.Next = after.String()
			break
		}
		after = w
		if f.Name != "" {
			if ok, _ := path.Match(f.Name, w.Name); !ok {
				continue
			}
		}
		v, err := ws.glance(ctx, w)
		if err != nil {
			return page, err
		}
		if chosen(&f, &v) {
			page.Items = append(page.Items, v)
		}
	}
	return page, nil
}

// glance tells of a worker without reading its whole oplog.
func (ws *Workers) glance(ctx context.Context, w id.Worker) (api.Worker, error) {
	ws.mu.Lock()
	r := ws.residents[w]
	ws.mu.Unlock()
	if r != nil {
		r.mu.Lock()
		if r.loaded && r.damage == nil && r.exists() {
			defer r.mu.Unlock()
			return ws.view(&r.machine.life.Status, r), nil
		}
		r.mu.Unlock()
	}
	s, err := oplog.ReadStatus(ctx, ws.Store.Logs(), w)
	if oplog.IsTruncated(err) {
		var life *oplog.Life
		if life, _, _, err = ws.readLife(ctx, w, 0); err == nil {
			s = &life.Status
		}
	}
	var corrupt *storage.CorruptError
	if errors.As(err, &corrupt) {
		return ws.damaged(ctx, w, err), nil
	}
	if err != nil {
		return api.Worker{}, err
	}
	return ws.view(s, nil), nil
}

func chosen(f *api.WorkerFilter, v *api.Worker) bool {
	switch {
	case f.Revision != 0 && v.Revision != f.Revision,
		f.Status != "" && v.Status != f.Status,
		!f.CreatedAfter.IsZero() && !v.Created.After(f.CreatedAfter),
		!f.CreatedBefore.IsZero() && !v.Created.Before(f.CreatedBefore):
		return false
	}
	return f.Env == "" || slices.ContainsFunc(v.Env, func(s string) bool {
		return s == f.Env || !strings.Contains(f.Env, "=") && strings.HasPrefix(s, f.Env+"=")
	})
}
