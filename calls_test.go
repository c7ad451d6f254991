package waterbear_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// TestWhatAnInvocationWaitsForIsCanceledIfAskedFor lets a wait for b, and b for c.
func TestWhatAnInvocationWaitsForIsCanceledIfAskedFor(t *testing.T) {
	for _, awaited := range []bool{false, true} {
		node := openPlatform(t, t.TempDir())
		c, stop := serve(t, node)
		ctx := t.Context()
		if _, err := c.Deploy(ctx, "callers", guests.Wasm(t, "components/callers"), nil); err != nil {
			t.Fatal(err)
		}
		const script = `[["invoke callers/b steps [[\"invoke\\u0020callers/c\\u0020nap\\u0020[3600000]\"]]"]]`
		if _, err := c.Invoke(ctx, "callers", "a", api.Call{Function: "steps", Args: json.RawMessage(script), Key: "k", Async: true}); err != nil {
			t.Fatal(err)
		}
		napping := func() bool {
			w, err := c.Worker(ctx, "callers", "c")
			return err == nil && w.Queue == 1
		}
		for end := time.Now().Add(20 * time.Second); !napping(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("c does not nap")
			}
		}
		cancel := c.Cancel
		if awaited {
			cancel = c.CancelAwaited
		}
		if v, err := cancel(ctx, "callers", "a", "k"); err != nil || v.State.Done() && v.State == api.StateFinished {
			t.Fatalf("%+v, %v", v, err)
		}
		for _, name := range []string{"b", "c"} {
			w, err := c.Worker(ctx, "callers", name)
			if err != nil || (w.Queue == 0) != awaited {
				t.Errorf("canceled with what it waits for: %t: %s has %d in its queue, %v", awaited, name, w.Queue, err)
			}
		}
		stop()
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	}
}
