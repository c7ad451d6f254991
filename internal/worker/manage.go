package worker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// openExisting is open for a worker that has to be there.
func (ws *Workers) openExisting(ctx context.Context, w id.Worker) (*resident, error) {
	r, err := ws.open(ctx, w)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	exists := r.exists()
	r.mu.Unlock()
	if !exists {
		ws.release(r)
		return nil, noWorker(w)
	}
	return r, nil
}

func noWorker(w id.Worker) *api.Problem {
	return api.NewProblem(api.CodeNoWorker, fmt.Sprintf("there is no worker %s; `waterbear worker list` shows those there are", w))
}

// Create makes a worker. If it exists and was created alike, created is false.
func (ws *Workers) Create(ctx context.Context, w id.Worker, n api.NewWorker) (created bool, err error) {
	r, err := ws.open(ctx, w)
	if err != nil {
		return false, err
	}
	defer ws.release(r)
	if created, err = ws.create(ctx, r, n); err != nil {
		return false, err
	}
	if err := r.writer.CommitSoon(ctx); err != nil {
		return false, Unavailable(err)
	}
	return created, nil
}

// create records that the worker exists, if it does not yet. It is not durable
// before the writer's next commit.
func (ws *Workers) create(ctx context.Context, r *resident, n api.NewWorker) (created bool, err error) {
	if err := ws.beginCreating(ctx, r.worker.Component); err != nil {
		return false, api.NewProblem(api.CodeTimeout, r.worker.String()+" is not created, as its component is being deleted; send the request again")
	}
	defer ws.endCreating(r.worker.Component)
	r.mu.Lock()
	at := oplog.At(ws.Sched.Now())
	if r.exists() {
		at = r.machine.life.Create.At // so that the same files make the same manifest
	}
	r.mu.Unlock()
	entry, revision, err := ws.first(ctx, r.worker, n, at)
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.exists():
		return false, r.alike(entry, n)
	case r.machine.over != nil:
		return false, r.ended()
	}
	if err := ws.Committer.Stalled(); err != nil {
		return false, Unavailable(err)
	}
	if _, err := r.record(entry); err != nil {
		return false, Unavailable(err)
	}
	r.adopt(revision)
	return true, nil
}

// first is the entry that makes a worker, and what it is made of.
func (ws *Workers) first(ctx context.Context, w id.Worker, n api.NewWorker, at oplog.Time) (*oplog.Create, *api.Revision, error) {
	number := n.Revision
	if number == 0 {
		latest, ok := ws.Catalog.Latest(w.Component)
		if !ok {
			return nil, nil, noComponent(w.Component)
		}
		number = latest.Number
	}
	revision, err := ws.Catalog.Revision(ctx, w.Component, number)
	if err != nil {
		return nil, nil, err
	}
	if err := checkNew(n); err != nil {
		return nil, nil, err
	}
	own, err := encodeSettings(n.Settings)
	if err != nil {
		return nil, nil, err
	}
	limits := ws.settings(&n.Settings, ws.Catalog.Settings(w.Component)).Limits
	c := &oplog.Create{
		At: at, Epoch: ws.Committer.Epoch(), Args: n.Args, Env: n.Env,
		Memory: limits.Memory, Storage: limits.Storage, Files: limits.Files,
		Revision: number, Ephemeral: n.Ephemeral, Settings: own,
	}
	if c.Program, err = parseHash(revision.Hash); err != nil {
		return nil, nil, err
	}
	if err := ws.Entropy(c.Seed[:]); err != nil {
		return nil, nil, fmt.Errorf("draw a seed: %w", err)
	}
	if len(n.Files) > 0 {
		if c.Initial, err = ws.keepFiles(ctx, n.Files, limits.Storage, at); err != nil {
			return nil, nil, err
		}
	}
	return c, &revision, nil
}

func noComponent(name string) *api.Problem {
	return api.NewProblem(api.CodeNoComponent, fmt.Sprintf("there is no component %q; deploy it first: waterbear deploy FILE.wasm --name %s", name, name))
}

func parseHash(hex string) (h storage.Hash, err error) {
	return h, h.UnmarshalText([]byte(hex))
}

// Bounds of what a worker is created with.
const (
	maxVectorBytes = 256 << 10
	maxNewFiles    = 10_000
)

func checkNew(n api.NewWorker) error {
	size := 0
	for _, s := range slices.Concat(n.Args, n.Env) {
		if strings.IndexByte(s, 0) >= 0 {
			return api.NewProblem(api.CodeInvalid, fmt.Sprintf("%q has a zero byte, which arguments and variables cannot have", s))
		}
		size += len(s) + 1
	}
	for _, s := range n.Env {
		if i := strings.IndexByte(s, '='); i <= 0 {
			return api.NewProblem(api.CodeInvalid, fmt.Sprintf("environment %q: write KEY=VALUE", s))
		}
	}
	if size > maxVectorBytes {
		return api.NewProblem(api.CodeTooLarge, fmt.Sprintf("arguments and environment have %d bytes, more than %d", size, maxVectorBytes))
	}
	if len(n.Files) > maxNewFiles {
		return api.NewProblem(api.CodeTooLarge, fmt.Sprintf("the worker would begin with %d files, more than %d; let its program fetch them, or put them into one", len(n.Files), maxNewFiles))
	}
	return nil
}

// keepFiles makes the file system that a worker begins with.
func (ws *Workers) keepFiles(ctx context.Context, files map[string]string, limit uint64, at oplog.Time) (storage.Hash, error) {
	now := uint64(max(at, 0))
	fs := filesystem.New(filesystem.Config{
		Now: func() uint64 { return now }, Packs: packs{ctx, ws.Store.Blobs()}, Limits: filesystem.Limits{Bytes: limit},
	})
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := addFile(fs, name, files[name]); err != nil {
			return storage.Hash{}, api.NewProblem(api.CodeInvalid, fmt.Sprintf("initial file %q: %v", name, err))
		}
	}
	manifest, err := fs.Encode()
	if err != nil {
		return storage.Hash{}, err
	}
	h, _, err := ws.Store.Blobs().Put(ctx, bytes.NewReader(manifest))
	return h, err
}

func addFile(fs *filesystem.FS, name, content string) error {
	if !path.IsAbs(name) || path.Clean(name) != name || name == "/" {
		return errors.New("it is not a clean absolute path, such as /data/words.txt")
	}
	raw, err := base64.StdEncoding.DecodeString(content)
	if err != nil {
		return fmt.Errorf("its content is no base64: %w", err)
	}
	if _, err := fs.MkdirAll(filesystem.Root, path.Dir(name)); err != nil {
		return err
	}
	file, err := fs.Open(filesystem.Root, strings.TrimPrefix(name, "/"), filesystem.OpenOptions{Create: true})
	if err != nil {
		return err
	}
	if _, err := fs.WriteAt(file, raw, 0); err != nil {
		return err
	}
	return fs.Release(file)
}

// alike refuses to take the worker there is for one that was to be made
// otherwise. It is called with r.mu held.
func (r *resident) alike(want *oplog.Create, n api.NewWorker) error {
	had := &r.machine.life.Create
	what := ""
	switch {
	case n.Revision != 0 && want.Revision != had.Revision:
		what = "revision"
	case !slices.Equal(want.Args, had.Args):
		what = "arguments"
	case !slices.Equal(want.Env, had.Env):
		what = "environment"
	case want.Ephemeral != had.Ephemeral:
		what = "durability"
	case want.Initial != had.Initial:
		what = "initial files"
	case !bytes.Equal(want.Settings, had.Settings):
		what = "settings"
	default:
		return nil
	}
	return api.NewProblem(api.CodeWorkerExists, fmt.Sprintf("%s exists, and was created with other %s; use another name, or delete it first", r.worker, what))
}

// noSettings are those of every worker that has none of its own, plainSettings how
// its first entry has them.
var (
	noSettings       api.Settings
	plainSettings, _ = json.Marshal(noSettings) // of numbers and texts alone
)

// encodeSettings refuses settings that nobody could keep to.
func encodeSettings(s api.Settings) ([]byte, error) {
	if reflect.ValueOf(s).IsZero() {
		return plainSettings, nil
	}
	if err := catalog.CheckSettings("body.settings", s); err != nil {
		return nil, err
	}
	if s.Limits.Shared != 0 {
		return nil, api.NewProblem(api.CodeInvalid, "body.settings.limits.shared is of all workers of a component together, and a worker has none of its own; set it for the component")
	}
	return json.Marshal(s)
}

// ownSettings reads the settings that a worker was created with.
func ownSettings(text []byte) *api.Settings {
	if len(text) == 0 || bytes.Equal(text, plainSettings) {
		return &noSettings
	}
	var s api.Settings
	if json.Unmarshal(text, &s) != nil {
		return &noSettings
	}
	return &s
}

// settings are what holds for a worker: its own, else its component's, else the
// node's. Either may be nil.
func (ws *Workers) settings(own, component *api.Settings) (s api.Settings) {
	for _, part := range []*api.Settings{own, component, &ws.Defaults} {
		if part != nil {
			s = Merge(s, *part)
		}
	}
	return s
}

// Merge fills the fields that s leaves open.
func Merge(s, otherwise api.Settings) api.Settings {
	l, o := &s.Limits, &otherwise.Limits
	l.Memory = cmp.Or(l.Memory, o.Memory)
	l.Storage = cmp.Or(l.Storage, o.Storage)
	l.Shared = cmp.Or(l.Shared, o.Shared)
	l.Files = cmp.Or(l.Files, o.Files)
	l.CPUTime = cmp.Or(l.CPUTime, o.CPUTime)
	l.LogRate = cmp.Or(l.LogRate, o.LogRate)
	l.OplogRate = cmp.Or(l.OplogRate, o.OplogRate)
	l.Queue = cmp.Or(l.Queue, o.Queue)
	r, p := &s.Retry, &otherwise.Retry
	r.Attempts = cmp.Or(r.Attempts, p.Attempts)
	r.Initial = cmp.Or(r.Initial, p.Initial)
	r.Max = cmp.Or(r.Max, p.Max)
	r.Factor = cmp.Or(r.Factor, p.Factor)
	r.Jitter = cmp.Or(r.Jitter, p.Jitter)
	i, d := &s.Images, &otherwise.Images
	i.After = cmp.Or(i.After, d.After)
	i.Size = cmp.Or(i.Size, d.Size)
	i.Age = cmp.Or(i.Age, d.Age)
	h, e := &s.HTTP, &otherwise.HTTP
	if len(h.Allow) == 0 {
		h.Allow = e.Allow
	}
	h.Keys = cmp.Or(h.Keys, e.Keys)
	h.InDoubt = cmp.Or(h.InDoubt, e.InDoubt)
	if len(h.InDoubtRules) == 0 {
		h.InDoubtRules = e.InDoubtRules
	}
	h.MaxResponse = cmp.Or(h.MaxResponse, e.MaxResponse)
	h.Proxy, h.Roots, h.Trust = cmp.Or(h.Proxy, e.Proxy), cmp.Or(h.Roots, e.Roots), cmp.Or(h.Trust, e.Trust)
	again, likewise := &h.Retries, &e.Retries
	again.Attempts = cmp.Or(again.Attempts, likewise.Attempts)
	again.Initial, again.Max = cmp.Or(again.Initial, likewise.Initial), cmp.Or(again.Max, likewise.Max)
	h.MaxRequest = cmp.Or(h.MaxRequest, e.MaxRequest)
	if len(s.Links) == 0 {
		s.Links = otherwise.Links
	}
	if len(s.Net.Allow) == 0 {
		s.Net.Allow = otherwise.Net.Allow
	}
	if len(s.Net.Listen) == 0 {
		s.Net.Listen = otherwise.Net.Listen
	}
	k, q := &s.Retention, &otherwise.Retention
	k.Oplog, k.Results, k.Logs = cmp.Or(k.Oplog, q.Oplog), cmp.Or(k.Results, q.Results), cmp.Or(k.Logs, q.Logs)
	return s
}

// Interrupt stops a worker until Resume. It returns when it stands still.
func (ws *Workers) Interrupt(ctx context.Context, w id.Worker, reason string) error {
	r, err := ws.openExisting(ctx, w)
	if err != nil {
		return err
	}
	defer ws.release(r)
	if reason == "" {
		reason = "by request"
	}
	r.mu.Lock()
	if r.machine.life.Exited != nil {
		r.mu.Unlock()
		return api.NewProblem(api.CodeWorkerExited, w.String()+" has ended: there is nothing to interrupt")
	}
	r.apply(interrupted{reason})
	r.mu.Unlock()
	if err := r.stands(ctx); err != nil {
		return err
	}
	return r.commit(ctx)
}

// stands waits until no job is under way.
func (r *resident) stands(ctx context.Context) error {
	err := r.changed.Wait(ctx, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return !r.driving
	})
	if err != nil {
		return api.NewProblem(api.CodeTimeout, r.worker.String()+" has not stopped yet, but will; look at it again")
	}
	return nil
}

func (r *resident) commit(ctx context.Context) error {
	err := r.writer.CommitSoon(ctx)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return api.NewProblem(api.CodeTimeout, "it is not durable yet; look again, or send the request again")
	}
	return Unavailable(err)
}

// Resume lets an interrupted worker go on, Retry one that has failed or is
// about to try again: it does so at once.
func (ws *Workers) Resume(ctx context.Context, w id.Worker) error {
	return ws.goOn(ctx, w, func(m *machine) string {
		if m.life.Interrupted == nil {
			return "it is not interrupted"
		}
		return ""
	})
}

// Retry is like Resume for a worker that has failed, or pauses before its next
// attempt.
func (ws *Workers) Retry(ctx context.Context, w id.Worker) error {
	return ws.goOn(ctx, w, func(m *machine) string {
		switch {
		case m.life.Interrupted != nil:
			return "it is interrupted: resume it"
		case m.life.Stuck == nil && m.life.Failed == nil && m.life.Back == nil && m.fault == nil:
			return "it has not failed"
		}
		return ""
	})
}

// goOn records that a person lets the worker go on, unless why not.
func (ws *Workers) goOn(ctx context.Context, w id.Worker, refuse func(*machine) string) error {
	r, err := ws.openExisting(ctx, w)
	if err != nil {
		return err
	}
	defer ws.release(r)
	r.mu.Lock()
	why, code := refuse(&r.machine), api.CodeWorkerBusy
	if r.machine.life.Exited != nil {
		why, code = "its program has ended; use another worker, or delete this one", api.CodeWorkerExited
	}
	if why == "" {
		r.remember(soon)
		r.apply(resumed{})
	}
	r.mu.Unlock()
	if why != "" {
		return api.NewProblem(code, fmt.Sprintf("%s cannot be let go on: %s", w, why))
	}
	return r.commit(ctx)
}
