package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// diskBytes is the size of the disk that is filled.
const diskBytes = 48 << 20

// smallDisk mounts a file system of its own, or skips the test.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", diskBytes)); err != nil {
		t.Skipf("a disk that can be filled needs a mount of its own, and this process may not make one: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount the disk: %v", err)
		}
	})
	return dir
}

// fill takes all the space there is.
func fill(t *testing.T, ballast string) {
	t.Helper()
	f, err := os.OpenFile(ballast, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

func TestAServerOutlivesAFullDisk(t *testing.T) {
	disk := smallDisk(t)
	s := startServerIn(t, filepath.Join(disk, "state"))
	c := s.client()
	deploy(t, c, guests.Wasm(t, "counter"))
	const before = 100
	for range before {
		add(t, c, "alice", 1)
	}
	add(t, c, "bob", 1)
	ballast := filepath.Join(disk, "ballast")
	fill(t, ballast)

	// What is allocated ahead is used up first. Whoever finds no more is left
	// waiting, for the server cannot say what becomes of it; those who come
	// later are refused.
	keys, left := 0, 0
	key := func() string { keys++; return fmt.Sprintf("k%d", keys) }
	for refused := false; !refused; {
		err := s.once(key())
		switch {
		case err == nil:
		case isCode(err, api.CodeDiskFull):
			refused = true
		case errors.Is(err, context.DeadlineExceeded) && left < maxLeft:
			left++
		default:
			t.Fatalf("on a full disk: %v; want %s", err, api.CodeDiskFull)
		}
	}
	t.Logf("%d invocations until the disk was full, %d left waiting", keys-1-left, left)
	if err := c.Ready(t.Context()); !isCode(err, api.CodeDiskFull) {
		t.Errorf("ready with a full disk: %v", err)
	}
	readsGoOn(t, c)

	// Those who wait for space get their answer when there is some, and each
	// key takes effect once.
	var waiting sync.WaitGroup
	for range maxLeft {
		key()
	}
	for i := range keys {
		waiting.Go(func() {
			call := api.Call{Function: "add", Args: json.RawMessage("[1]"), Key: fmt.Sprintf("k%d", i+1)}
			if _, err := c.Invoke(t.Context(), "counter", "alice", call); err != nil {
				t.Errorf("invoke across a full disk: %v", err)
			}
		})
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	waiting.Wait()
	want := before + int64(keys)
	if got := add(t, c, "alice", 0); got != want {
		t.Errorf("after the disk was full the total is %d, want %d", got, want)
	}
	s.kill()
	s.start()
	if got := add(t, c, "alice", 0); got != want {
		t.Errorf("after a kill the total is %d, want %d", got, want)
	}
}

// maxLeft bounds the calls that a full disk leaves waiting, and fullWait how
// long each of them is given.
const (
	maxLeft  = 3
	fullWait = 2 * time.Second
)

// once adds 1, and gives up as soon as the server refuses it or is too late.
func (s *server) once(key string) error {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), fullWait)
	defer cancel()
	ctx, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	c := s.clientThat(func(cause error, _ time.Duration) { refuse(cause) })
	defer c.Close()
	_, err := c.Invoke(ctx, "counter", "alice", api.Call{Function: "add", Args: json.RawMessage("[1]"), Key: key})
	return err
}

// readsGoOn demands that what is durable can be seen.
func readsGoOn(t *testing.T, c *client.Client) {
	t.Helper()
	if _, err := c.Worker(t.Context(), "counter", "bob"); err != nil {
		t.Errorf("look at a worker on a full disk: %v", err)
	}
	if _, err := c.Component(t.Context(), "counter"); err != nil {
		t.Errorf("look at a component on a full disk: %v", err)
	}
	for chunk, err := range c.Logs(t.Context(), "counter", "bob", api.Range{}) {
		if err != nil || chunk.Text != "added 1: 1\n" {
			t.Errorf("read the log on a full disk: %q, %v", chunk.Text, err)
		}
	}
}
