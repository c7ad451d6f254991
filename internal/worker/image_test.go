package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// images are the Image entries of a worker, and how many blobs the store has.
func (p *platform) images(w id.Worker) (entries []*oplog.Image, blobs int) {
	p.t.Helper()
	entries = entriesOf[*oplog.Image](p, w)
	for _, err := range p.store.Blobs().List(context.Background()) {
		must(p.t, err)
		blobs++
	}
	return entries, blobs
}

// entriesOf gives the entries of a worker that are of one kind.
func entriesOf[B oplog.Body](p *platform, w id.Worker) (bodies []B) {
	p.t.Helper()
	for entry, err := range oplog.Read(context.Background(), p.store.Logs(), w, 1, 0) {
		must(p.t, err)
		if body, ok := entry.Body.(B); ok {
			bodies = append(bodies, body)
		}
	}
	return bodies
}

// wholeImages saves a worker after every invocation, as an image every few times.
func wholeImages(c *worker.Config) { c.ImageAfter, c.Defaults.Images.Size = 0, 1 }

// everything makes a worker use all the state there is, and gives what it says.
func (p *platform) everything(w id.Worker) string {
	p.t.Helper()
	var said strings.Builder
	for _, c := range []struct {
		function string
		args     []any
	}{{"inc", []any{3}}, {"file_inc", []any{4}}, {"put", []any{9}}, {"print", []any{2}}, {"grow", []any{1}}, {"get", nil}} {
		v, err := p.invoke(w, c.function, c.args...)
		must(p.t, err)
		said.WriteString(fmt.Sprintln(c.function, v.State, string(v.Result)))
	}
	return said.String()
}

func TestRecoveryBeginsAtTheNewestImage(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.ImageAfter = 0 })
	for range 20 {
		p.everything(shop)
	}
	before := p.everything(shop)
	p.restart()
	after := p.everything(shop)
	if s := p.Stats(); s.Recoveries != 1 || s.Replayed > 4 {
		t.Errorf("%d recoveries replayed %d entries, want one and next to none", s.Recoveries, s.Replayed)
	}
	plain := newPlatform(t, func(c *worker.Config) { c.ImageAfter = -1 })
	var want [2]string
	for i := range 22 {
		want[i%2] = plain.everything(shop)
	}
	if before != want[0] || after != want[1] {
		t.Errorf("with images:\n%s%swithout:\n%s%s", before, after, want[0], want[1])
	}
}

// verified lets every image be compared with a replay of all entries.
func verified(t *testing.T, c *worker.Config) {
	c.ImageAfter = 0
	c.Verify = func(w id.Worker, difference error) {
		if difference != nil {
			t.Errorf("the image of %s is not what replay comes to: %v", w, difference)
		}
	}
}

func TestImagesAndDeltasAreWhatReplayComesTo(t *testing.T) {
	for size := range uint64(2) {
		t.Run(fmt.Sprintf("image size %d", size), func(t *testing.T) { verifyAll(t, size) })
	}
}

func verifyAll(t *testing.T, size uint64) {
	p := newPlatform(t, func(c *worker.Config) {
		verified(t, c)
		c.Defaults.Images.Size = size
	})
	for range 3 {
		p.everything(shop)
		for _, c := range []struct {
			function string
			args     []any
		}{{"roll", nil}, {"now", nil}, {"nap", []any{1}}, {"fail", nil}, {"flaky", []any{1 << 40}}, {"steps", []any{20}}, {"fill", []any{100000}}} {
			_, err := p.invoke(shop, c.function, c.args...)
			must(t, err)
		}
		p.restart()
	}
	for name, args := range map[string][]any{"ledger": {"3", "50"}, "primes": {"2", "100"}, "countdown": {"3", "1", "0"}} {
		_, err := p.catalog.Deploy(t.Context(), name, guests.Wasm(t, name), nil)
		must(t, err)
		for range 3 {
			v, err := p.invoke(id.Worker{Component: name, Name: "a"}, "run", args...)
			must(t, err)
			if v.State != api.StateFinished {
				t.Errorf("%s: %+v", name, v.Failure)
			}
		}
	}
	if s := p.Stats(); s.Finished == 0 {
		t.Error("nothing was done")
	}
}

func TestOnlyTheNewestImageIsKept(t *testing.T) {
	p := newPlatform(t, wholeImages)
	for range 25 {
		p.everything(shop)
	}
	p.restart() // waits until what is old is deleted
	some, first := p.images(shop)
	for range 25 {
		p.everything(shop)
	}
	p.restart()
	entries, blobs := p.images(shop)
	if len(some) == 0 || len(entries) <= len(some) || blobs > first {
		t.Errorf("%d images left %d blobs, the first %d left %d", len(entries), blobs, len(some), first)
	}
	p.want(shop, "[153]", "inc", 3)
}

// spoiledStore gives one blob otherwise than it was put.
type spoiledStore struct {
	storage.Store
	spoil *spoiled
}

type spoiled struct {
	hash storage.Hash
	read func(content []byte) io.Reader
}

func (s spoiledStore) Blobs() storage.Blobs { return spoiledBlobs{s.Store.Blobs(), s.spoil} }

type spoiledBlobs struct {
	storage.Blobs
	spoil *spoiled
}

func (b spoiledBlobs) Get(ctx context.Context, h storage.Hash) (io.ReadCloser, error) {
	r, err := b.Blobs.Get(ctx, h)
	if err != nil || h != b.spoil.hash {
		return r, err
	}
	content, err := io.ReadAll(r)
	return io.NopCloser(b.spoil.read(content)), err
}

func TestAnImageThatCannotBeReadCostsTimeAlone(t *testing.T) {
	for name, read := range map[string]func(content []byte) io.Reader{
		"head damaged": func(content []byte) io.Reader {
			content[40] ^= 1
			return bytes.NewReader(content)
		},
		"memory damaged": func(content []byte) io.Reader {
			content[len(content)-1] ^= 1
			return io.MultiReader(bytes.NewReader(content), iotest.ErrReader(&storage.CorruptError{Where: "a blob", Cause: errors.New("checksum mismatch")}))
		},
		"too short": func(content []byte) io.Reader { return bytes.NewReader(content[:len(content)-100]) },
		"empty":     func([]byte) io.Reader { return bytes.NewReader(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			bad := &spoiled{read: read}
			p := newPlatform(t, func(c *worker.Config) {
				wholeImages(c)
				c.Store = spoiledStore{c.Store, bad}
			})
			p.everything(shop)
			_, err := p.invoke(shop, "fail")
			must(t, err)
			p.everything(shop)
			p.close()
			entries, _ := p.images(shop)
			bad.hash = entries[len(entries)-1].Blob
			p.open()
			p.want(shop, "[9]", "inc", 3)
			p.want(shop, "[12]", "file_inc", 4)
			if d, err := p.Worker(t.Context(), shop); err != nil || d.Status != api.Idle {
				t.Errorf("got %+v, %v", d, err)
			}
		})
	}
}

func TestAnImageThatIsNotThereIsTold(t *testing.T) {
	p := newPlatform(t, wholeImages)
	for range 30 {
		p.everything(shop)
	}
	p.close()
	images, _ := p.images(shop)
	newest := images[len(images)-1]
	must(t, p.store.Blobs().Delete(t.Context(), newest.Blob))
	p.open()
	d, err := p.Worker(t.Context(), shop)
	must(t, err)
	if !strings.Contains(d.Mode, "the image at entry ") || !strings.Contains(d.Mode, "cannot be used") {
		t.Errorf("%d images, the newest is gone, and the worker says %q", len(images), d.Mode)
	}
	p.want(shop, "[93]", "inc", 3)
}

func TestImagesAreTakenWhenReplayHasBecomeDear(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.ImageAfter = 5 * time.Millisecond })
	for range 5 {
		p.want(shop, "[0]", "get")
	}
	if n := len(entriesOf[*oplog.Delta](p, shop)); n > 0 {
		t.Errorf("%d deltas of a worker that has done nothing", n)
	}
	for i := range 5 {
		p.want(shop, fmt.Sprintf("[%d]", 30000*(i+1)), "steps", 30000)
	}
	p.close()
	if n := len(entriesOf[*oplog.Image](p, shop)); n == 0 {
		t.Error("no image was taken")
	}
	p.open()
	p.want(shop, "[150000]", "get")
}

func TestSleepingInvocationGoesOnBehindAnImage(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.ImageAfter, c.SuspendAfter = 0, 50*time.Millisecond })
	p.want(shop, "[3]", "inc", 3)
	v, err := p.Invoke(t.Context(), shop, api.Call{Function: "nap", Args: []byte("[300]"), Async: true})
	must(t, err)
	p.restart()
	v, err = p.Invocation(t.Context(), shop, v.Key, true)
	must(t, err)
	if v.State != api.StateFinished {
		t.Errorf("got %+v %+v", v, v.Failure)
	}
	p.want(shop, "[3]", "get")
}
