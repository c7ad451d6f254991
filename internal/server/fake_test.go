package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing/iotest"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

// node is a Platform in memory: components are the bytes they were deployed
// with, and every worker has the functions that call describes. Nothing of it
// depends on the clock but the times it shows.
type node struct {
	mu         sync.Mutex
	changed    chan struct{} // closed and replaced at every change
	components map[string]*component
	workers    map[string]*instance // component/name
	tokens     map[string]heldToken // by secret
	routes     map[string]api.Route
	ready      error
	stats      api.Stats
	deploying  chan struct{} // if it is set, deployments wait for it
	damaged    uint64        // the index of an entry that cannot be read
}

type component struct {
	api.Component
	revisions []api.Revision // the newest first
	noValue   bool
	noObject  bool
}

type instance struct {
	api.WorkerDetail
	asked       string // what it was created with
	sum         int64
	invocations map[string]*api.Invocation
	logs        []api.LogChunk
	files       map[string]string
	promise     api.Promise
	settler     string // the key that settled it
	resolved    bool
}

type heldToken struct {
	api.Token
	secret string
}

func newNode() *node {
	return &node{
		changed: make(chan struct{}), components: map[string]*component{},
		workers: map[string]*instance{}, tokens: map[string]heldToken{}, routes: map[string]api.Route{},
	}
}

var epoch = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// change runs f alone and wakes all who wait for a change.
func (n *node) change(f func() error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	err := f()
	close(n.changed)
	n.changed = make(chan struct{})
	return err
}

// await waits until ready says so.
func (n *node) await(ctx context.Context, ready func() bool) error {
	for {
		n.mu.Lock()
		done, changed := ready(), n.changed
		n.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func noComponent(name string) error {
	return api.NewProblem(api.CodeNoComponent, "there is no component "+name)
}

func (n *node) Deploy(ctx context.Context, name string, module []byte, progress func(api.Progress)) (api.Deployed, error) {
	if progress != nil {
		progress(api.Progress{Stage: "compiling", Done: 0.5})
	}
	if n.deploying != nil {
		select {
		case <-n.deploying:
		case <-ctx.Done():
			return api.Deployed{}, ctx.Err()
		}
	}
	if string(module) == "panic" {
		panic("a module made the compiler panic")
	}
	if !bytes.HasPrefix(module, []byte("\x00asm")) {
		return api.Deployed{}, api.NewProblem(api.CodeBadProgram, "it is no WebAssembly module")
	}
	sum := sha256.Sum256(module)
	hash := hex.EncodeToString(sum[:])
	var d api.Deployed
	err := n.change(func() error {
		c := n.components[name]
		if c == nil {
			c = &component{Component: api.Component{Name: name, Created: epoch}}
			n.components[name] = c
		}
		if len(c.revisions) > 0 && c.Latest.Hash == hash {
			d = api.Deployed{Revision: c.Latest}
			return nil
		}
		c.Latest = api.Revision{
			Component: name, Number: uint64(len(c.revisions) + 1), Hash: hash, Size: int64(len(module)), Created: epoch, Kind: api.Library,
			Exports: []api.Function{{Name: "add", Params: []string{"i64"}, Results: []string{"i64"}}}, Imports: []string{},
		}
		c.revisions = slices.Insert(c.revisions, 0, c.Latest)
		d = api.Deployed{Revision: c.Latest, New: true}
		return nil
	})
	return d, err
}

func (n *node) Components(context.Context) (list []api.Component, _ error) {
	err := n.change(func() error {
		for _, name := range slices.Sorted(maps.Keys(n.components)) {
			list = append(list, n.components[name].Component)
		}
		return nil
	})
	return list, err
}

func (n *node) component(name string, f func(c *component) error) error {
	return n.change(func() error {
		c := n.components[name]
		if c == nil {
			return noComponent(name)
		}
		return f(c)
	})
}

func (n *node) Component(_ context.Context, name string) (got api.Component, err error) {
	err = n.component(name, func(c *component) error { got = c.Component; return nil })
	return got, err
}

func (n *node) Revisions(_ context.Context, name string) (list []api.Revision, err error) {
	err = n.component(name, func(c *component) error { list = slices.Clone(c.revisions); return nil })
	return list, err
}

func (n *node) WIT(_ context.Context, name string, number uint64) (text string, err error) {
	err = n.component(name, func(c *component) error {
		if number > c.Latest.Number {
			return api.NewProblem(api.CodeNoRevision, "there is no such revision")
		}
		text = fmt.Sprintf("package root:component; // %s@%d\n", name, number)
		return nil
	})
	return text, err
}

func (n *node) Configure(_ context.Context, name string, s api.Settings) (got api.Component, err error) {
	err = n.component(name, func(c *component) error { c.Settings = s; got = c.Component; return nil })
	return got, err
}

func (n *node) DeleteComponent(_ context.Context, name string) error {
	return n.component(name, func(*component) error {
		for _, w := range n.workers {
			if w.Component == name {
				return api.NewProblem(api.CodeComponentInUse, "it has workers")
			}
		}
		delete(n.components, name)
		return nil
	})
}

// create is called within change.
func (n *node) create(of, name string, asked api.NewWorker) (w *instance, isNew bool, err error) {
	c := n.components[of]
	if c == nil {
		return nil, false, noComponent(of)
	}
	if asked.Revision > uint64(len(c.revisions)) {
		return nil, false, api.NewProblem(api.CodeNoRevision, "there is no such revision")
	}
	b, _ := json.Marshal(asked)
	if w := n.workers[of+"/"+name]; w != nil {
		if w.asked != string(b) {
			return nil, false, api.NewProblem(api.CodeWorkerExists, "it was created otherwise")
		}
		return w, false, nil
	}
	w = &instance{asked: string(b), invocations: map[string]*api.Invocation{}, files: map[string]string{"/hello.txt": "hello"}}
	w.Component, w.Name, w.Status, w.Created, w.Changed = of, name, api.Idle, epoch, epoch
	w.promise = api.Promise{Promise: of + "/" + name + "/p", Label: "a test", State: api.PromisePending, Created: epoch}
	w.Revision = orLatest(asked.Revision, c)
	w.Args, w.Env, w.Pending, w.Entries = asked.Args, asked.Env, []api.Invocation{}, 1
	n.workers[of+"/"+name] = w
	return w, true, nil
}

func orLatest(revision uint64, c *component) uint64 {
	if revision == 0 {
		return c.Latest.Number
	}
	return revision
}

func (n *node) CreateWorker(_ context.Context, of, name string, asked api.NewWorker) (d api.WorkerDetail, isNew bool, err error) {
	err = n.change(func() error {
		w, made, err := n.create(of, name, asked)
		if err == nil {
			d, isNew = w.WorkerDetail, made
		}
		return err
	})
	return d, isNew, err
}

func (n *node) worker(of, name string, f func(w *instance) error) error {
	return n.component(of, func(*component) error {
		w := n.workers[of+"/"+name]
		if w == nil {
			return api.NewProblem(api.CodeNoWorker, "there is no worker "+of+"/"+name)
		}
		return f(w)
	})
}

func (n *node) Worker(_ context.Context, of, name string) (d api.WorkerDetail, err error) {
	err = n.worker(of, name, func(w *instance) error { d = w.WorkerDetail; return nil })
	return d, err
}

func (n *node) Workers(_ context.Context, f api.WorkerFilter, cursor string, limit int) (p api.Page[api.Worker], err error) {
	err = n.change(func() error {
		for _, id := range slices.Sorted(maps.Keys(n.workers)) {
			w := n.workers[id].Worker
			matched, err := path.Match(orStar(f.Name), w.Name)
			if err != nil {
				return api.NewProblem(api.CodeInvalid, "the name is no glob")
			}
			if id <= cursor || !matched || f.Component != "" && w.Component != f.Component ||
				f.Status != "" && w.Status != f.Status || f.Revision != 0 && w.Revision != f.Revision {
				continue
			}
			if len(p.Items) == limit {
				last := p.Items[limit-1]
				p.Next = last.Component + "/" + last.Name
				return nil
			}
			p.Items = append(p.Items, w)
		}
		return nil
	})
	return p, err
}

func orStar(glob string) string {
	if glob == "" {
		return "*"
	}
	return glob
}

func (n *node) DeleteWorker(_ context.Context, of, name string) error {
	return n.worker(of, name, func(*instance) error { delete(n.workers, of+"/"+name); return nil })
}

func (n *node) Fork(_ context.Context, of, name, copied string) (d api.WorkerDetail, err error) {
	err = n.worker(of, name, func(w *instance) error {
		if copied == "" {
			return api.NewProblem(api.CodeInvalid, "the copy has no name")
		}
		c := *w
		c.Name = copied
		n.workers[of+"/"+copied], d = &c, c.WorkerDetail
		return nil
	})
	return d, err
}

func (n *node) Interrupt(_ context.Context, of, name, reason string) error {
	return n.worker(of, name, func(w *instance) error { w.Status, w.Reason = api.Interrupted, reason; return nil })
}

func (n *node) Resume(_ context.Context, of, name string) error {
	return n.worker(of, name, func(w *instance) error { w.Status, w.Reason = api.Idle, ""; return nil })
}

func (n *node) Retry(ctx context.Context, of, name string) error { return n.Resume(ctx, of, name) }

// Promises are one of each worker, which is called p. Its webhook is "hook".
func (n *node) Promises(_ context.Context, of, name string) (list []api.Promise, err error) {
	err = n.worker(of, name, func(w *instance) error { list = []api.Promise{w.promise}; return nil })
	return list, err
}

func (n *node) Promise(_ context.Context, of, name, promise string) (p api.Promise, err error) {
	err = n.worker(of, name, func(w *instance) error {
		if p = w.promise; promise != "p" {
			return api.NewProblem(api.CodeNoPromise, "no promise "+promise)
		}
		return nil
	})
	return p, err
}

func (n *node) SettlePromise(_ context.Context, of, name, promise string, s api.Settlement) (p api.Promise, err error) {
	err = n.worker(of, name, func(w *instance) error {
		p := &w.promise
		switch {
		case promise != "p":
			return api.NewProblem(api.CodeNoPromise, "no promise "+promise)
		case p.State != api.PromisePending && (s.Key == "" || s.Key != w.settler):
			return api.NewProblem(api.CodePromiseSettled, "settled by "+p.By)
		}
		text := string(s.Value)
		p.State, p.By, p.Settled, p.Value, w.settler = api.PromiseCompleted, s.By, &epoch, &text, s.Key
		if s.Failed {
			p.State, p.Value, p.Failure = api.PromiseFailed, nil, text
		}
		return nil
	})
	if err == nil {
		p, err = n.Promise(context.Background(), of, name, promise)
	}
	return p, err
}

func (n *node) Webhook(hook string) (of, name, promise string, ok bool) {
	return "shop", "alice", "p", hook == "hook"
}

// Invoke knows the functions add, which adds its argument to the worker's sum,
// print, which writes its argument to stdout, trap, which fails, panic, which
// panics, and forever, which ends when it is canceled.
func (n *node) Invoke(ctx context.Context, of, name string, call api.Call) (api.Invocation, error) {
	if call.Function == "panic" {
		panic("an invocation made the platform panic")
	}
	if call.Function == "error" {
		return api.Invocation{}, fmt.Errorf("the secret inside of the platform broke")
	}
	switch {
	case call.WAVE != "":
		list := strings.TrimSuffix(strings.TrimSpace(strings.Trim(strings.TrimSpace(call.WAVE), "()")), ",")
		call.Args = json.RawMessage("[" + list + "]")
	case call.Args == nil:
		call.Args = json.RawMessage("[]")
	}
	var i *api.Invocation
	err := n.change(func() error {
		w := n.workers[of+"/"+name]
		if w == nil {
			var err error
			if w, _, err = n.create(of, name, api.NewWorker{}); err != nil {
				return err
			}
		}
		w.Entries++
		key := call.Key
		if key == "" {
			key = "i-" + strconv.FormatUint(w.Entries, 10)
		}
		if i = w.invocations[key]; i != nil {
			if i.Function != call.Function || string(i.Args) != string(call.Args) {
				return api.NewProblem(api.CodeKeyReused, "the key was used for another call")
			}
			return nil
		}
		i = &api.Invocation{
			Worker: of + "/" + name, Key: key, Function: call.Function, Args: call.Args, State: api.StateStarted, Index: w.Entries, Accepted: epoch,
		}
		if !call.Due.IsZero() {
			i.State, i.Due = api.StateScheduled, &call.Due
		} else if err := w.perform(i); err != nil {
			return err
		}
		w.invocations[key] = i
		return nil
	})
	if err != nil {
		return api.Invocation{}, err
	}
	if call.Async || !call.Due.IsZero() {
		n.mu.Lock()
		defer n.mu.Unlock()
		return *i, nil
	}
	return n.wait(ctx, i)
}

// perform runs a function at once, unless it does not end.
func (w *instance) perform(i *api.Invocation) error {
	switch i.Function {
	case "add":
		var args []int64
		if err := json.Unmarshal(i.Args, &args); err != nil || len(args) != 1 {
			return api.NewProblem(api.CodeBadArguments, "add takes one i64")
		}
		w.sum += args[0]
		i.State, i.Result = api.StateFinished, json.RawMessage(fmt.Sprintf("[%d]", w.sum))
	case "print":
		var args []string
		if err := json.Unmarshal(i.Args, &args); err != nil || len(args) != 1 {
			return api.NewProblem(api.CodeBadArguments, "print takes one string")
		}
		w.Entries++
		w.logs = append(w.logs, api.LogChunk{Index: w.Entries, At: epoch, Stream: "stdout", Text: args[0]})
		i.State, i.Result = api.StateFinished, json.RawMessage("[]")
	case "trap":
		i.State, i.Failure = api.StateFailed, &api.Failure{Code: api.FailedTrap, Reason: "unreachable", Stack: []string{"trap"}}
	case "forever":
	default:
		return api.NewProblem(api.CodeNoFunction, "there is no such function")
	}
	return nil
}

// wait waits until i is done.
func (n *node) wait(ctx context.Context, i *api.Invocation) (api.Invocation, error) {
	err := n.await(ctx, func() bool { return i.State.Done() })
	n.mu.Lock()
	defer n.mu.Unlock()
	now := *i
	if err != nil {
		p := api.NewProblem(api.CodeTimeout, "the invocation goes on")
		p.Invocation = &now
		return api.Invocation{}, p
	}
	return now, nil
}

func (n *node) invocation(of, name, key string, f func(i *api.Invocation) error) error {
	return n.worker(of, name, func(w *instance) error {
		i := w.invocations[key]
		if i == nil {
			return api.NewProblem(api.CodeNoInvocation, "there is no invocation "+key)
		}
		return f(i)
	})
}

func (n *node) Invocation(ctx context.Context, of, name, key string, wait bool) (got api.Invocation, err error) {
	var found *api.Invocation
	err = n.invocation(of, name, key, func(i *api.Invocation) error { found, got = i, *i; return nil })
	if err != nil || !wait {
		return got, err
	}
	return n.wait(ctx, found)
}

func (n *node) Cancel(_ context.Context, of, name, key string) (got api.Invocation, err error) {
	err = n.invocation(of, name, key, func(i *api.Invocation) error {
		if i.State.Done() {
			return api.NewProblem(api.CodeNotCancelable, "it is done")
		}
		i.State = api.StateCanceled
		got = *i
		return nil
	})
	return got, err
}

// Exchange answers with what it was asked, or as the path says.
func (n *node) Exchange(ctx context.Context, of, name, key string, r *http.Request, _ time.Duration) (*http.Response, error) {
	if err := n.worker(of, name, func(*instance) error { return nil }); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	fmt.Fprintf(w, "%s %s %s %q %q", r.Method, r.URL.EscapedPath(), r.URL.RawQuery, key, body)
	w.Header().Set("X-Authorization", r.Header.Get("Authorization"))
	return w.Result(), nil
}

func (n *node) Logs(ctx context.Context, of, name string, r api.Range) iter.Seq2[api.LogChunk, error] {
	return func(yield func(api.LogChunk, error) bool) {
		for next := r.From; ; {
			var chunk *api.LogChunk
			find := func() error {
				return n.worker(of, name, func(w *instance) error {
					for _, c := range w.logs {
						if c.Index >= next && (r.To == 0 || c.Index <= r.To) {
							chunk = &c
							return nil
						}
					}
					return nil
				})
			}
			if err := find(); err != nil {
				yield(api.LogChunk{}, err)
				return
			}
			if chunk == nil {
				if !r.Follow {
					return
				}
				err := n.await(ctx, func() bool {
					w := n.workers[of+"/"+name]
					return w == nil || len(w.logs) > 0 && w.logs[len(w.logs)-1].Index >= next
				})
				if err != nil {
					yield(api.LogChunk{}, err)
					return
				}
				continue
			}
			next = chunk.Index + 1
			var err error
			if chunk.Index == n.damaged {
				*chunk, err = api.LogChunk{}, api.NewProblem(api.CodeDamaged, fmt.Sprintf("entry %d fails its checksum", n.damaged))
			}
			if !yield(*chunk, err) {
				return
			}
		}
	}
}

// Oplog has an entry for each log chunk.
func (n *node) Oplog(ctx context.Context, of, name string, r api.Range) iter.Seq2[api.Entry, error] {
	return func(yield func(api.Entry, error) bool) {
		for c, err := range n.Logs(ctx, of, name, r) {
			e := api.Entry{Index: c.Index, At: c.At, Kind: "Log", Text: c.Text, Body: json.RawMessage("{}")}
			if err == nil && !strings.Contains(strings.ToLower(e.Text), strings.ToLower(r.Search)) {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// externalCall is the one call that each worker has; it is held until somebody
// resolves it.
func externalCall(of, name string, w *instance) api.ExternalCall {
	v := api.ExternalCall{Worker: of + "/" + name, Index: 7, Function: "http.send", State: api.CallHeld, Request: "GET https://a.example/", Attempts: 1, Began: epoch}
	if w.resolved {
		v.State, v.Resolved = api.CallFailed, &api.CallResolution{At: epoch, How: api.ResolveFail}
	}
	return v
}

func (n *node) Calls(_ context.Context, f api.CallFilter, cursor string, limit int) (p api.CallPage, err error) {
	err = n.change(func() error {
		for _, key := range slices.Sorted(maps.Keys(n.workers)) {
			of, name, _ := strings.Cut(key, "/")
			switch {
			case key <= cursor, f.Component != "" && of != f.Component, f.Worker != "" && name != f.Worker:
				continue
			case len(p.Items) == limit:
				p.Next = p.Items[limit-1].Worker
				return nil
			}
			if v := externalCall(of, name, n.workers[key]); f.State == "" || f.State == v.State {
				p.Items = append(p.Items, v)
			}
		}
		return nil
	})
	return p, err
}

func (n *node) Call(_ context.Context, of, name string, index uint64) (v api.ExternalCall, err error) {
	err = n.worker(of, name, func(w *instance) error {
		if index != 7 {
			return api.NewProblem(api.CodeNoCall, "there is no such call")
		}
		v = externalCall(of, name, w)
		return nil
	})
	return v, err
}

func (n *node) CallStack(ctx context.Context, of, name string, index uint64) (api.CallStack, error) {
	_, err := n.Call(ctx, of, name, index)
	return api.CallStack{Functions: []string{"send", "main"}}, err
}

func (n *node) ResolveCall(ctx context.Context, of, name string, index uint64, _ api.Resolve) error {
	v, err := n.Call(ctx, of, name, index)
	if err != nil {
		return err
	}
	return n.worker(of, name, func(w *instance) error {
		if v.State != api.CallHeld {
			return api.NewProblem(api.CodeNotHeld, "it is not held")
		}
		w.resolved = true
		return nil
	})
}

// What is shared is one bucket, "b", and one container, "box", of each component that
// is there: a value and an object, both called x, until they are deleted.
func (n *node) sharing(of string, do func(c *component) error) error {
	return n.change(func() error {
		c := n.components[of]
		if c == nil {
			return noComponent(of)
		}
		return do(c)
	})
}

func (n *node) Buckets(_ context.Context, of, cursor string, limit int) (p api.Page[api.Bucket], err error) {
	err = n.sharing(of, func(*component) error {
		p.Items = []api.Bucket{{Name: fmt.Sprint("b", cursor, limit)}}
		return nil
	})
	return p, err
}

func (n *node) Keys(_ context.Context, of, bucket, cursor string, limit int) (p api.Page[api.Value], err error) {
	err = n.sharing(of, func(*component) error {
		p = api.Page[api.Value]{Items: []api.Value{{Key: fmt.Sprint(bucket, cursor, limit), Size: 3, Written: epoch}}, Next: "next"}
		return nil
	})
	return p, err
}

func (n *node) Value(_ context.Context, of, bucket, key string) (v []byte, err error) {
	err = n.sharing(of, func(c *component) error {
		if bucket+key != "bx" || c.noValue {
			return api.NewProblem(api.CodeNoKey, "there is no key "+key)
		}
		v = []byte("one")
		return nil
	})
	return v, err
}

func (n *node) DeleteValue(ctx context.Context, of, bucket, key string) error {
	if _, err := n.Value(ctx, of, bucket, key); err != nil {
		return err
	}
	return n.sharing(of, func(c *component) error { c.noValue = true; return nil })
}

func (n *node) Containers(_ context.Context, of, cursor string, limit int) (p api.Page[api.Container], err error) {
	err = n.sharing(of, func(*component) error {
		p.Items = []api.Container{{Name: fmt.Sprint("box", cursor, limit), Created: epoch}}
		return nil
	})
	return p, err
}

func (n *node) DeleteContainer(_ context.Context, of, container string) error {
	return n.sharing(of, func(*component) error { return isBox(container) })
}

func isBox(container string) error {
	if container != "box" {
		return api.NewProblem(api.CodeNoContainer, "there is no container "+container)
	}
	return nil
}

func (n *node) Objects(_ context.Context, of, container, cursor string, limit int) (p api.Page[api.Object], err error) {
	err = n.sharing(of, func(*component) error {
		p.Items = []api.Object{{Name: fmt.Sprint("x", cursor, limit), Size: 3, Created: epoch}}
		return isBox(container)
	})
	return p, err
}

func (n *node) Object(_ context.Context, of, container, name string) (o api.Object, r io.Reader, err error) {
	err = n.sharing(of, func(c *component) error {
		if err := isBox(container); err != nil {
			return err
		}
		o, r = api.Object{Name: name, Size: 3, Created: epoch}, strings.NewReader("two")
		switch {
		case name == "broken":
			o.Size, r = 1<<20, io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<18)), iotest.ErrReader(errors.New("the disk broke")))
		case name != "x" || c.noObject:
			return api.NewProblem(api.CodeNoObject, "there is no object "+name)
		}
		return nil
	})
	return o, r, err
}

func (n *node) DeleteObject(ctx context.Context, of, container, name string) error {
	if _, _, err := n.Object(ctx, of, container, name); err != nil {
		return err
	}
	return n.sharing(of, func(c *component) error { c.noObject = true; return nil })
}

func (n *node) Files(_ context.Context, of, name string) (list []api.File, err error) {
	err = n.worker(of, name, func(w *instance) error {
		for _, p := range slices.Sorted(maps.Keys(w.files)) {
			list = append(list, api.File{Path: p, Kind: "file", Size: int64(len(w.files[p])), Modified: epoch})
		}
		return nil
	})
	return list, err
}

func (n *node) File(_ context.Context, of, name, path string) (f api.File, r io.ReadCloser, err error) {
	err = n.worker(of, name, func(w *instance) error {
		content, ok := w.files[path]
		if !ok {
			return api.NewProblem(api.CodeNoFile, "there is no file "+path)
		}
		f = api.File{Path: path, Kind: "file", Size: int64(len(content)), Modified: epoch}
		r = io.NopCloser(strings.NewReader(content))
		return nil
	})
	return f, r, err
}

func (n *node) Export(_ context.Context, of, name string, to io.Writer) error {
	if err := n.worker(of, name, func(*instance) error { return nil }); err != nil {
		return err
	}
	if name == "broken" {
		_, _ = to.Write(make([]byte, 1<<16))
		return fmt.Errorf("the disk broke")
	}
	_, err := to.Write(make([]byte, 1024))
	return err
}

func (n *node) Routes(context.Context) (list []api.Route, err error) {
	err = n.change(func() error {
		for _, name := range slices.Sorted(maps.Keys(n.routes)) {
			list = append(list, n.routes[name])
		}
		return nil
	})
	return list, err
}

func (n *node) Route(_ context.Context, name string) (r api.Route, err error) {
	err = n.change(func() error {
		var ok bool
		if r, ok = n.routes[name]; !ok {
			return api.NewProblem(api.CodeUnknownRoute, "there is no route "+name)
		}
		return nil
	})
	return r, err
}

func (n *node) SetRoute(_ context.Context, r api.Route) (c api.RouteChanges, err error) {
	err = n.change(func() error {
		for _, had := range n.routes {
			if had.Name != r.Name && had.Path == r.Path {
				return api.NewProblem(api.CodeRouteConflict, "they overlap")
			}
		}
		n.routes[r.Name] = r
		c = api.RouteChanges{Applied: true, Changes: []api.RouteChange{{Name: r.Name, Change: api.RouteAdded, After: &r}}}
		return nil
	})
	return c, err
}

func (n *node) DeleteRoute(_ context.Context, name string) error {
	return n.change(func() error {
		if _, ok := n.routes[name]; !ok {
			return api.NewProblem(api.CodeUnknownRoute, "there is no route "+name)
		}
		delete(n.routes, name)
		return nil
	})
}

func (n *node) ApplyRoutes(_ context.Context, all api.Routes, dry bool) (c api.RouteChanges, err error) {
	err = n.change(func() error {
		c.Applied = !dry
		if !dry {
			n.routes = map[string]api.Route{}
			for _, r := range all.Routes {
				n.routes[r.Name] = r
			}
		}
		return nil
	})
	return c, err
}

func (n *node) RoutesOpenAPI(_ context.Context, host string) (json.RawMessage, error) {
	return json.RawMessage(`{"openapi":"3.1.0","info":{"title":"` + host + `","version":"1"}}`), nil
}

func (n *node) CreateToken(_ context.Context, t api.NewToken) (made api.CreatedToken, err error) {
	err = n.change(func() error {
		secret := "secret-of-" + t.Name
		made = api.CreatedToken{Token: api.Token{Name: t.Name, Scopes: t.Scopes, Created: epoch, Expires: t.Expires}, Secret: secret}
		n.tokens[secret] = heldToken{made.Token, secret}
		return nil
	})
	return made, err
}

func (n *node) Tokens(context.Context) (list []api.Token, err error) {
	err = n.change(func() error {
		for _, secret := range slices.Sorted(maps.Keys(n.tokens)) {
			list = append(list, n.tokens[secret].Token)
		}
		return nil
	})
	return list, err
}

func (n *node) DeleteToken(_ context.Context, name string) error {
	return n.change(func() error {
		if _, ok := n.tokens["secret-of-"+name]; !ok {
			return api.NewProblem(api.CodeNoToken, "there is no token "+name)
		}
		delete(n.tokens, "secret-of-"+name)
		return nil
	})
}

func (n *node) Authenticate(_ context.Context, secret string) (api.Token, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t, ok := n.tokens[secret]
	if !ok {
		return api.Token{}, api.NewProblem(api.CodeUnauthorized, "the token is not known")
	}
	return t.Token, nil
}

func (n *node) Ready() error { return n.ready }

func (n *node) Stats() api.Stats { return n.stats }
