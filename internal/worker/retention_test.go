package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// keeping lets workers be imaged all the time and their oplogs be truncated at
// every occasion.
func keeping(keep api.Retention) func(*worker.Config) {
	return func(c *worker.Config) {
		wholeImages(c)
		c.CutAfter = 1
		c.Defaults.Retention = keep
	}
}

// told is all that people can be told of some invocations, by key.
type told map[string]string

// ask asks for all of them again.
func (p *platform) ask(w id.Worker, all told) told {
	p.t.Helper()
	again := told{}
	for key := range all {
		v, err := p.Invocation(p.t.Context(), w, key, false)
		if err != nil {
			again[key] = string(code(err))
			continue
		}
		again[key] = text(p.t, v)
	}
	return again
}

func text(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return string(b)
}

// work invokes functions of all sorts under keys, some of which end otherwise
// than with a result, and gives what was told of each.
func (p *platform) work(w id.Worker, from, to int) told {
	p.t.Helper()
	all := told{}
	for i := from; i < to; i++ {
		c := api.Call{Key: fmt.Sprint("k", i), Function: "inc", Args: json.RawMessage("[1]")}
		switch i % 5 {
		case 1:
			c.Function, c.Args = "print", json.RawMessage("[2]")
		case 2:
			c.Function, c.Args = "fail", nil
		case 3:
			c.Function, c.Args = "file_inc", json.RawMessage("[3]")
		case 4:
			c.Key = "" // one is made
		}
		v, err := p.Invoke(p.t.Context(), w, c)
		must(p.t, err)
		if !v.State.Done() {
			p.t.Fatalf("%s is %s", v.Key, v.State)
		}
		all[v.Key] = text(p.t, v)
	}
	return all
}

// truncated waits until a worker's oplog begins behind entry least.
func (p *platform) truncated(w id.Worker, least uint64) (first uint64) {
	p.t.Helper()
	p.eventually(fmt.Sprintf("the oplog of %s is truncated below %d", w, least), func() bool {
		d, err := p.Worker(p.t.Context(), w)
		must(p.t, err)
		if strings.Contains(d.Mode, "stands still") {
			p.t.Fatal(d.Mode)
		}
		first = d.First
		return first > least
	})
	return first
}

// printed is what a worker has printed, and what of it is not kept.
func (p *platform) printed(w id.Worker) (chunks []string, gone uint64) {
	p.t.Helper()
	first := func() uint64 {
		first, _, err := p.store.Logs().Bounds(p.t.Context(), w)
		must(p.t, err)
		return first
	}
	add := func(e oplog.Entry) {
		if log, ok := e.Body.(*oplog.Log); ok {
			chunks = append(chunks, fmt.Sprintf("%d %d %s %s", e.Index, e.At, log.Stream, log.Bytes))
		}
	}
	for from := uint64(0); from != first(); { // again if it is truncated meanwhile
		from, chunks, gone = first(), nil, 0
		for e, err := range p.Output(p.t.Context(), w, 1, from-1) {
			if oplog.IsTruncated(err) {
				gone++
				continue
			}
			must(p.t, err)
			add(e)
		}
		for e, err := range oplog.Read(p.t.Context(), p.store.Logs(), w, from, 0) {
			must(p.t, err)
			add(e)
		}
	}
	return chunks, gone
}

// used are the blobs that entries of a worker need, as a sweep finds them.
func (p *platform) used(w id.Worker) map[storage.Hash]bool {
	p.t.Helper()
	rt, used := worker.Runtime{Store: p.store}, map[storage.Hash]bool{}
	for e, err := range oplog.Read(context.Background(), p.store.Logs(), w, 1, 0) {
		must(p.t, err)
		blobs, err := rt.Blobs(context.Background(), e.Body)
		if errors.Is(err, storage.ErrNotFound) {
			continue // it has just been deleted
		}
		must(p.t, err)
		for _, h := range blobs {
			used[h] = true
		}
	}
	return used
}

func (p *platform) blobs() map[storage.Hash]bool {
	p.t.Helper()
	all := map[storage.Hash]bool{}
	for h, err := range p.store.Blobs().List(context.Background()) {
		must(p.t, err)
		all[h] = true
	}
	return all
}

// listed is a list of all workers, but for what the keeper may just be changing.
func (p *platform) listed() string {
	p.t.Helper()
	page, err := p.List(p.t.Context(), api.WorkerFilter{}, nil, "", 10)
	must(p.t, err)
	for i := range page.Items {
		page.Items[i].Changed, page.Items[i].Entries = time.Time{}, 0
	}
	return text(p.t, page)
}

// tidy waits until the store has no more blobs than the worker needs, beside
// others.
func (p *platform) tidy(w id.Worker, others map[storage.Hash]bool) {
	p.t.Helper()
	p.restart()
	if _, err := p.Worker(p.t.Context(), w); err != nil { // lets the keeper look after it
		p.t.Fatal(err)
	}
	var over []storage.Hash
	defer func() {
		if len(over) > 0 {
			p.t.Errorf("nobody needs the blobs %v", over)
		}
	}()
	p.eventually("all blobs are needed", func() bool {
		needed := p.used(w)
		over = nil
		for h := range p.blobs() {
			if !needed[h] && !others[h] {
				over = append(over, h)
			}
		}
		return len(over) == 0
	})
}

func TestAnOplogIsTruncatedAndTellsAllTheSame(t *testing.T) {
	p := newPlatform(t, keeping(api.Retention{Oplog: api.KeepInvocations(5)}))
	deployed := p.blobs()
	p.create(shop, api.NewWorker{Args: []string{"x"}, Env: []string{"A=b"}, Files: map[string]string{"/data/words.txt": "aGk="}})
	var chunks []string
	all := told{}
	first := uint64(1)
	for round := range 4 {
		maps.Copy(all, p.work(shop, 25*round, 25*round+25))
		first = p.truncated(shop, first)
		if got := p.ask(shop, all); !maps.Equal(got, all) {
			t.Errorf("round %d: got %v, want %v", round, got, all)
		}
		now, gone := p.printed(shop)
		if gone > 0 || len(now) < len(chunks) || !slices.Equal(now[:len(chunks)], chunks) {
			t.Errorf("round %d: got %q, of which %d parts are gone; it was %q", round, now, gone, chunks)
		}
		chunks = now
		listed := p.listed()
		p.restart()
		if again := p.listed(); again != listed {
			t.Errorf("round %d: the list was %s and is %s", round, listed, again)
		}
		if got := p.ask(shop, all); !maps.Equal(got, all) {
			t.Errorf("round %d, restarted: got %v, want %v", round, got, all)
		}
	}
	if d, err := p.Worker(t.Context(), shop); err != nil || d.First < first || d.Archived == nil || d.Archived.Results < 50 || d.Archived.Output < 10 {
		t.Errorf("got %+v %+v, %v", d, d.Archived, err)
	}
	p.want(shop, "[41]", "inc", 1)
	files, err := p.Files(t.Context(), shop)
	must(t, err)
	if _, err := files.Open("data/words.txt"); err != nil {
		t.Error(err)
	}
	archived := 0
	for v, err := range p.Archived(t.Context(), shop) {
		must(t, err)
		if all[v.Key] != text(t, v) {
			t.Errorf("archived: got %s, want %s", text(t, v), all[v.Key])
		}
		archived++
	}
	if archived < 50 {
		t.Errorf("%d invocations are in archives", archived)
	}
	p.tidy(shop, deployed)
	must(t, p.Delete(t.Context(), shop))
	if left := p.blobs(); len(left) > len(deployed)+2 { // initial files are shared
		t.Errorf("%d blobs are left, there were %d", len(left), len(deployed))
	}
	p.want(shop, "[1]", "inc", 1)
}

func TestAForgottenKeyIsFree(t *testing.T) {
	p := newPlatform(t, keeping(api.Retention{Oplog: api.KeepInvocations(3), Results: api.KeepInvocations(10), Logs: api.KeepInvocations(1)}))
	p.async(shop, "late", "get")
	_, err := p.Invoke(t.Context(), shop, api.Call{Function: "get", Key: "scheduled", Due: time.Now().Add(time.Hour)})
	must(t, err)
	all := p.work(shop, 0, 100)
	p.truncated(shop, 200)
	p.restart()
	expired, unknown, known := 0, 0, 0
	p.eventually("all but about ten are forgotten", func() bool {
		expired, unknown, known = 0, 0, 0
		for key, now := range p.ask(shop, all) {
			switch {
			case now == all[key]:
				known++
			case now == string(api.CodeExpired):
				expired++
			case now == string(api.CodeNoInvocation) && !strings.HasPrefix(key, worker.KeyPrefix):
				unknown++
			default:
				t.Fatalf("%s: got %s, want %s", key, now, all[key])
			}
		}
		return known <= 40
	})
	if known < 10 || unknown < 40 || expired < 10 {
		t.Errorf("%d are known, %d are forgotten, and %d of those without a key", known, unknown, expired)
	}
	_, gone := p.printed(shop)
	if gone != 1 {
		t.Errorf("output that is not kept is reported %d times", gone)
	}
	// The key of the first one is free.
	v, err := p.Invoke(t.Context(), shop, api.Call{Function: "get", Key: "k0"})
	must(t, err)
	if v.State != api.StateFinished || string(v.Result) != "[40]" {
		t.Errorf("got %+v", v)
	}
	// And that of one which is known is not.
	for i := 99; i > 95; i-- {
		if _, err := p.Invoke(t.Context(), shop, api.Call{Function: "get", Key: fmt.Sprint("k", i)}); code(err) != api.CodeKeyReused && i%5 != 4 {
			t.Errorf("k%d: got %v", i, err)
		}
	}
	// What has not ended is not forgotten.
	if v, err = p.Invocation(t.Context(), shop, "scheduled", false); err != nil || v.State != api.StateScheduled || v.Function != "get" {
		t.Errorf("got %+v, %v", v, err)
	}
	if v, err = p.Cancel(t.Context(), shop, "scheduled"); err != nil || v.State != api.StateCanceled {
		t.Errorf("got %+v, %v", v, err)
	}
	p.restart()
	if v, err = p.Invocation(t.Context(), shop, "scheduled", true); err != nil || v.State != api.StateCanceled || v.Function != "get" {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestAnEphemeralWorkersOplogIsTruncated(t *testing.T) {
	p := newPlatform(t, keeping(api.Retention{Oplog: api.KeepInvocations(3)}))
	deployed := p.blobs()
	p.create(shop, api.NewWorker{Ephemeral: true})
	all := told{}
	for i := range 100 {
		c := api.Call{Key: fmt.Sprint("k", i), Function: []string{"inc", "print", "fail"}[i%3], Args: json.RawMessage("[1]")}
		if c.Function == "fail" {
			c.Args = nil
		}
		v, err := p.Invoke(t.Context(), shop, c)
		must(t, err)
		all[v.Key] = text(t, v)
	}
	p.truncated(shop, 200)
	for range 2 {
		if got := p.ask(shop, all); !maps.Equal(got, all) {
			t.Errorf("got %v, want %v", got, all)
		}
		if _, err := p.Files(t.Context(), shop); err != nil {
			t.Error(err)
		}
		p.want(shop, "[1]", "inc", 1)
		p.restart()
	}
	if s := p.Stats(); s.Replayed > 0 {
		t.Errorf("%d entries were replayed", s.Replayed)
	}
	must(t, p.Delete(t.Context(), shop))
	if left := p.blobs(); len(left) > len(deployed) {
		t.Errorf("%d blobs are left, there were %d", len(left), len(deployed))
	}
}

func TestAWorkerThatOnlyFailsIsTruncatedToo(t *testing.T) {
	for _, ephemeral := range []bool{false, true} {
		p := newPlatform(t, keeping(api.Retention{Oplog: api.KeepInvocations(3)}))
		p.create(shop, api.NewWorker{Ephemeral: ephemeral})
		p.want(shop, "[3]", "inc", 3)
		p.want(shop, "[4]", "file_inc", 4)
		for range 100 {
			v, err := p.invoke(shop, "fail")
			must(t, err)
			if v.State != api.StateFailed {
				t.Fatalf("got %+v", v)
			}
		}
		p.truncated(shop, 150)
		p.restart()
		want := "[5]"
		if ephemeral {
			want = "[2]"
		}
		p.want(shop, want, "inc", 2)
		p.truncated(shop, 150)
	}
}

// spoiledStores give several blobs otherwise than they were put.
type spoiledAll struct {
	storage.Store
	spoil map[storage.Hash]func([]byte) io.Reader
}

func (s spoiledAll) Blobs() storage.Blobs {
	blobs := s.Store.Blobs()
	for h, read := range s.spoil {
		blobs = spoiledBlobs{blobs, &spoiled{h, read}}
	}
	return blobs
}

func TestRecoveryOfATruncatedWorkerHasAnImageToSpare(t *testing.T) {
	headDamaged := func(content []byte) io.Reader {
		content[40] ^= 1
		return bytes.NewReader(content)
	}
	memoryDamaged := func(content []byte) io.Reader { return bytes.NewReader(content[:len(content)-100]) }
	for _, c := range []struct {
		name          string
		newest, other func([]byte) io.Reader
	}{
		{"the newest one's head", headDamaged, nil},
		{"the newest one's memory", memoryDamaged, nil},
		{"both heads", headDamaged, headDamaged},
		{"both memories", memoryDamaged, memoryDamaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := map[storage.Hash]func([]byte) io.Reader{}
			p := newPlatform(t, func(config *worker.Config) {
				keeping(api.Retention{Oplog: api.KeepInvocations(5)})(config)
				config.Store = spoiledAll{config.Store, bad}
			})
			all := p.work(shop, 0, 30)
			_, err := p.invoke(shop, "nap", 1)
			must(t, err)
			p.truncated(shop, 20)
			p.close()
			var images []*oplog.Image
			for _, e := range entriesOf[*oplog.Image](p, shop) {
				if blob, err := p.store.Blobs().Get(t.Context(), e.Blob); err == nil {
					must(t, blob.Close())
					images = append(images, e)
				}
			}
			if len(images) != 2 {
				t.Fatalf("%d images are kept", len(images))
			}
			bad[images[1].Blob] = c.newest
			if c.other != nil {
				bad[images[0].Blob] = c.other
			}
			p.open()
			if c.other != nil {
				v, err := p.Invoke(t.Context(), shop, api.Call{Function: "inc", Args: json.RawMessage("[1]"), Key: "lost"})
				if err == nil {
					t.Errorf("got %+v", v)
				}
				d, err := p.Worker(t.Context(), shop)
				must(t, err)
				if d.Status != api.Failed || !strings.Contains(d.Reason, "truncated") || !strings.Contains(d.Reason, "image") {
					t.Errorf("got %s: %s", d.Status, d.Reason)
				}
				must(t, p.Delete(t.Context(), shop))
				p.want(shop, "[1]", "inc", 1)
				return
			}
			p.want(shop, "[13]", "inc", 1)
			p.want(shop, "[19]", "file_inc", 1)
			if got := p.ask(shop, all); !maps.Equal(got, all) {
				t.Errorf("got %v, want %v", got, all)
			}
			p.work(shop, 30, 60)
			p.truncated(shop, 100)
			p.restart()
			p.want(shop, "[26]", "inc", 1)
			if got := p.ask(shop, all); !maps.Equal(got, all) {
				t.Errorf("got %v, want %v", got, all)
			}
		})
	}
}

func TestRetentionWithoutImagesSaysWhyNothingGoes(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) {
		keeping(api.Retention{Oplog: api.KeepInvocations(1)})(c)
		c.ImageAfter = -1
	})
	p.work(shop, 0, 20)
	d, err := p.Worker(t.Context(), shop)
	must(t, err)
	if d.First != 1 || !strings.Contains(d.Mode, "retention does not truncate the oplog, as images.after takes no image") {
		t.Errorf("the oplog begins with entry %d: %s", d.First, d.Mode)
	}
}
