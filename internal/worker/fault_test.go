package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// tricky is a store whose appends and reads of logs do what a test says.
type tricky struct {
	storage.Store
	*tricks
}

type tricks struct {
	mu     sync.Mutex
	append func() error          // before an append
	read   func(id.Worker) error // before reading a log
	get    func([]byte) error    // before giving a blob
}

func (s tricky) Logs() storage.Logs { return trickyLogs{s.Store.Logs(), s.tricks} }

type trickyLogs struct {
	storage.Logs
	*tricks
}

func (l trickyLogs) Append(ctx context.Context, shard id.Shard, epoch id.Epoch, head uint64, segment []storage.Chunk) error {
	l.mu.Lock()
	trick := l.append
	l.mu.Unlock()
	if trick != nil {
		if err := trick(); err != nil {
			return err
		}
	}
	return l.Logs.Append(ctx, shard, epoch, head, segment)
}

func (l trickyLogs) Read(ctx context.Context, w id.Worker, from, to uint64) iter.Seq2[storage.Chunk, error] {
	l.mu.Lock()
	trick := l.read
	l.mu.Unlock()
	if trick != nil {
		if err := trick(w); err != nil {
			return func(yield func(storage.Chunk, error) bool) { yield(storage.Chunk{}, err) }
		}
	}
	return l.Logs.Read(ctx, w, from, to)
}

func (s tricky) Blobs() storage.Blobs { return trickyBlobs{s.Store.Blobs(), s.tricks} }

type trickyBlobs struct {
	storage.Blobs
	*tricks
}

func (b trickyBlobs) Get(ctx context.Context, h storage.Hash) (io.ReadCloser, error) {
	b.mu.Lock()
	trick := b.get
	b.mu.Unlock()
	r, err := b.Blobs.Get(ctx, h)
	if trick == nil || err != nil {
		return r, err
	}
	content, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close(), trick(content)); err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}

func (s *tricks) setGet(get func(content []byte) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.get = get
}

func (s *tricks) set(append func() error, read func(id.Worker) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.append, s.read = append, read
}

func newTrickyPlatform(t *testing.T, s setup) (*platform, *tricks) {
	t.Helper()
	store, tricks := memory.New(), &tricks{}
	s.open = func() storage.Store { return tricky{store.Reopen(), tricks} }
	p := s.platform(t)
	t.Cleanup(func() { tricks.set(nil, nil) })
	return p, tricks
}

func TestADamagedOplogConcernsItsWorkerAlone(t *testing.T) {
	p, tricks := newTrickyPlatform(t, setup{})
	bad, good := named("bad"), named("good")
	for _, w := range []id.Worker{bad, good} {
		p.want(w, "[1]", "inc", 1)
		p.async(w, "naps", "nap", 500)
	}
	p.close()
	tricks.set(nil, func(w id.Worker) error {
		if w == bad {
			return &storage.CorruptError{Worker: w, From: 2, To: 3, Where: "a test", Cause: errors.New("flipped")}
		}
		return nil
	})
	p.open()
	if v, err := p.Invocation(t.Context(), good, "naps", true); err != nil || v.State != api.StateFinished {
		t.Errorf("the neighbour: %+v, %v", v, err)
	}
	p.want(good, "[2]", "inc", 1)
	d, err := p.Worker(t.Context(), bad)
	must(t, err)
	if d.Status != api.Failed || !strings.Contains(d.Reason, "kit/bad") || !strings.Contains(d.Reason, "entries 2 to 3") {
		t.Errorf("got %s: %s", d.Status, d.Reason)
	}
	page, err := p.List(t.Context(), api.WorkerFilter{Status: api.Failed}, nil, "", 10)
	must(t, err)
	if len(page.Items) != 1 || page.Items[0].Name != "bad" {
		t.Errorf("got %+v", page.Items)
	}
	var corrupt *storage.CorruptError
	if _, err := p.invoke(bad, "inc", 1); !errors.As(err, &corrupt) {
		t.Errorf("got %v", err)
	}
	must(t, p.Delete(t.Context(), bad))
	tricks.set(nil, nil)
	p.want(bad, "[1]", "inc", 1)
	p.restart()
	p.want(bad, "[2]", "inc", 1)
}

func TestWhatCannotBeReadForAWhileIsTriedAgain(t *testing.T) {
	p, tricks := newTrickyPlatform(t, setup{})
	p.want(shop, "[1]", "inc", 1)
	p.async(shop, "a", "nap", 1200)
	p.becomes(shop, api.Suspended)
	p.async(shop, "b", "inc", 1)
	tries := 0
	tricks.set(nil, func(w id.Worker) error {
		if w != shop || tries == 3 {
			return nil
		}
		tries++
		return errors.New("the cable is loose")
	})
	p.ends(shop, "b", api.StateFinished, "[2]")
	if tries != 3 {
		t.Errorf("it was tried %d times", tries)
	}
}

// TestAFileThatCannotBeReadForAWhileIsTheHostsTrouble, and no failure of an attempt: there
// are more tries than attempts, and a copy has one alone.
func TestAFileThatCannotBeReadForAWhileIsTheHostsTrouble(t *testing.T) {
	p, tricks := newTrickyPlatform(t, setup{change: wholeImages})
	p.deploy("callers", guests.Wasm(t, "components/callers"))
	a, big := caller("a"), strings.Repeat("x", 40_000)
	p.steps(a, "write /big "+big)
	p.want(a, "[0]", "add", 0)
	p.restart()
	var left atomic.Int64
	tricks.setGet(func(content []byte) error {
		if len(content) >= len(big) && len(content) < len(big)+100 && left.Add(-1) >= 0 {
			return errors.New("the cable is loose")
		}
		return nil
	})
	tried := func() {
		if n := left.Load(); n >= 0 {
			t.Errorf("%d tries were left", n)
		}
	}
	left.Store(5)
	equal(t, "its file", p.steps(a, "add 1", "read /big"), []string{"1", big})
	tried()
	p.async(a, "k", "steps", []string{"fork b", "as b sleep 300", "as b read /big"})
	p.result(a, "k")
	p.close()
	left.Store(5)
	p.open()
	equal(t, "the copy's file", p.result(caller("b"), "k")[2:], []string{big})
	tried()
}

func TestAFullDiskRefusesAndLosesNothing(t *testing.T) {
	p, tricks := newTrickyPlatform(t, setup{options: []oplog.Option{oplog.Retry}})
	p.want(shop, "[1]", "inc", 1)
	p.want(named("idle"), "[1]", "inc", 1)
	tricks.set(func() error { return storage.ErrFull }, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := p.Invoke(ctx, shop, api.Call{Function: "inc", Args: []byte("[1]"), Key: "before"})
	p.refused(err, api.CodeTimeout) // the first to find out waits
	for range 3 {
		_, err = p.invoke(shop, "inc", 100)
		p.refused(err, api.CodeDiskFull)
		_, err = p.invoke(named("new"), "inc", 1)
		p.refused(err, api.CodeDiskFull)
		_, err = p.Create(t.Context(), named("new"), api.NewWorker{})
		p.refused(err, api.CodeDiskFull)
	}
	p.refused(p.Delete(t.Context(), shop), api.CodeDiskFull)
	must(t, p.Delete(t.Context(), named("idle")))
	if _, err := p.List(t.Context(), api.WorkerFilter{}, nil, "", 10); err != nil {
		t.Error(err)
	}
	tricks.set(nil, nil)
	p.ends(shop, "before", api.StateFinished, "[2]")
	p.want(shop, "[3]", "inc", 1)
	p.restart()
	p.want(shop, "[3]", "get")
}

func TestANodeOnAFullDiskStops(t *testing.T) {
	p, tricks := newTrickyPlatform(t, setup{
		options: []oplog.Option{oplog.Retry}, change: func(c *worker.Config) { c.ImageAfter = 0 },
	})
	p.want(shop, "[1]", "inc", 1)
	tricks.set(func() error { return storage.ErrFull }, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for i := range 3 {
		_, err := p.Invoke(ctx, named(fmt.Sprint("w", i)), api.Call{Function: "nap", Args: []byte("[20]")})
		if err == nil {
			t.Error("an answer that is not durable")
		}
	}
	_, err := p.Invoke(ctx, shop, api.Call{Function: "inc", Args: []byte("[1]")})
	if err == nil {
		t.Error("an answer that is not durable")
	}
	p.Workers.Close(ctx)
	p.agenda.Close()
	if err := p.committer.Close(); !errors.Is(err, storage.ErrFull) {
		t.Errorf("got %v", err)
	}
	must(t, p.catalog.Close())
	tricks.set(nil, nil)
	p.open()
	p.want(shop, "[2]", "inc", 1)
}

// TestANodeWhoseImageWaitsForAFullDiskStops stops it while the task that evicts
// waits for an image to be durable.
func TestANodeWhoseImageWaitsForAFullDiskStops(t *testing.T) {
	p, tricks := newTrickyPlatform(t, setup{
		options: []oplog.Option{oplog.Retry},
		change: func(c *worker.Config) {
			c.IdleAfter, c.ImageAfter, c.Defaults.Images.Size = 40*time.Millisecond, time.Hour, 1
		},
	})
	images := func() uint64 { return p.Stats().Images }
	// call waits until the state behind the n-th call of a worker is saved.
	call := func(w id.Worker, n int, then func() error) {
		saved := images() + p.Stats().Deltas
		p.want(w, "[0]", "fill", 3000+n)
		p.want(w, fmt.Sprintf("[%d]", 2000+n), "inc", 1)
		tricks.set(then, nil)
		p.eventually("its state is saved", func() bool { return images()+p.Stats().Deltas > saved })
	}
	begin := func(w id.Worker) {
		_, err := p.invoke(w, "steps", 2000) // dear enough to be saved
		must(t, err)
		p.eventually("it has left", func() bool { return p.Stats().Instances == 0 })
	}
	begin(named("first"))
	calls := 0 // until there is a second image
	for images() < 2 {
		calls++
		call(named("first"), calls, nil)
	}
	begin(shop)
	for n := range calls - 1 {
		call(shop, n+1, nil)
	}
	if call(shop, calls, func() error { return storage.ErrFull }); images() != 4 {
		t.Fatalf("%d images instead of 4", images())
	}
	now, cancel := context.WithCancel(t.Context())
	cancel()
	closed := make(chan struct{})
	go func() {
		p.Workers.Close(now)
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Error("it goes on to wait for the disk")
		tricks.set(nil, nil)
		<-closed
	}
	p.agenda.Close()
	if err := p.committer.Close(); !t.Failed() && !errors.Is(err, storage.ErrFull) {
		t.Errorf("got %v", err)
	}
	must(t, p.catalog.Close())
	tricks.set(nil, nil)
	p.open()
	p.want(shop, fmt.Sprintf("[%d]", 2000+calls), "get")
}

func TestNoAnswerIsGivenBeforeItIsDurable(t *testing.T) {
	p, tricks := newTrickyPlatform(t, setup{})
	p.want(shop, "[1]", "inc", 1)
	release, reached := make(chan struct{}), make(chan struct{}, 100)
	free := sync.OnceFunc(func() { close(release) })
	t.Cleanup(free)
	tricks.set(func() error {
		reached <- struct{}{}
		<-release
		return nil
	}, nil)
	answers := make(chan string, 3)
	ask := func(what string, call func() error) {
		go func() { // a client
			if err := call(); err != nil {
				what = err.Error()
			}
			answers <- what
		}()
	}
	ask("result", func() error { _, err := p.invoke(shop, "inc", 1); return err })
	ask("accepted", func() error {
		_, err := p.Invoke(context.Background(), shop, api.Call{Function: "inc", Args: []byte("[1]"), Key: "k", Async: true})
		return err
	})
	ask("created", func() error { _, err := p.Create(context.Background(), named("new"), api.NewWorker{}); return err })
	<-reached
	p.eventually("all has happened, in memory", func() bool {
		page, err := p.List(t.Context(), api.WorkerFilter{Name: "[an]*"}, nil, "", 10)
		return err == nil && len(page.Items) > 0 && page.Items[0].Status == api.Idle && page.Items[0].Entries > 8
	})
	select {
	case what := <-answers:
		t.Errorf("%s, before anything is durable", what)
	default:
	}
	free()
	for range 3 {
		<-answers
	}
}

func TestADiskThatIsLostEndsAllThatWaits(t *testing.T) {
	p, tricks := newTrickyPlatform(t, setup{})
	p.want(shop, "[1]", "inc", 1)
	p.async(named("naps"), "a", "nap", 100_000)
	tricks.set(func() error { return errors.New("the disk is gone") }, nil)
	for i := range 3 {
		_, err := p.Invoke(t.Context(), shop, api.Call{Function: "inc", Args: []byte("[1]"), Key: fmt.Sprint("k", i)})
		if c := code(err); c != api.CodeOverloaded && c != api.CodeStopping {
			t.Fatalf("got %v", err)
		}
	}
	p.Workers.Close(t.Context())
	p.agenda.Close()
	if err := p.committer.Close(); err == nil {
		t.Error("nobody was told")
	}
	must(t, p.catalog.Close())
	tricks.set(nil, nil)
	p.open()
	p.want(shop, "[2]", "inc", 1)
}

func TestAWorkerThatIsDueIsFoundAfterEveryCrash(t *testing.T) {
	// The agenda and the oplogs are in the same segments, of which any number
	// may be missing at the end.
	p, tricks := newTrickyPlatform(t, setup{})
	var left atomic.Int64
	tricks.set(func() error {
		if left.Add(-1) < 0 {
			return errors.New("the process has ended")
		}
		return nil
	}, nil)
	for n := range 12 {
		w := named(fmt.Sprint("w", n))
		left.Store(1000)
		p.create(w, api.NewWorker{})
		left.Store(int64(n))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, accepted := p.Invoke(ctx, w, api.Call{Function: "inc", Args: []byte("[1]"), Key: "a", Async: true})
		for i := range 4 {
			_, _ = p.Invoke(ctx, w, api.Call{Function: "inc", Args: []byte("[1]"), Key: fmt.Sprint("b", i)})
		}
		_, _ = p.Invoke(ctx, w, api.Call{Function: "get", Key: "later", Due: time.Now().Add(time.Hour)})
		cancel()
		left.Store(0)
		p.Workers.Close(ctx)
		p.agenda.Close()
		_ = p.committer.Close()
		must(t, p.catalog.Close())
		left.Store(1000)
		p.open()
		if accepted == nil {
			// Nobody asks for it, and it comes to its end.
			p.eventually("what was accepted is done", func() bool {
				page, err := p.List(t.Context(), api.WorkerFilter{Name: w.Name}, nil, "", 1)
				must(t, err)
				return page.Items[0].Status == api.Idle
			})
			p.ends(w, "a", api.StateFinished, "[1]")
		}
	}
}
