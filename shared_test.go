package waterbear_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
)

// TestAComponentHasNoMoreThanItMay lets a component fill what it may have, as
// programs, whoever looks after the node, and the next process see it.
func TestAComponentHasNoMoreThanItMay(t *testing.T) {
	dir := t.TempDir()
	node := openPlatform(t, dir)
	deployKept(t, node, "shop")
	deployBlobs(t, node, "album")
	shared := func(component string) api.Shared {
		t.Helper()
		c, err := node.Platform().Component(t.Context(), component)
		if err != nil || c.Shared == nil {
			t.Fatalf("%+v %v", c, err)
		}
		return *c.Shared
	}
	limit := func(component string, bytes uint64) {
		t.Helper()
		s := api.Settings{Limits: api.Limits{Shared: bytes, OplogRate: 1 << 40}}
		if _, err := node.Platform().Configure(t.Context(), component, s); err != nil {
			t.Fatal(err)
		}
	}
	if got := shared("shop"); got != (api.Shared{Limit: waterbear.DefaultShared}) {
		t.Errorf("an empty component has %+v", got)
	}
	steps(t, node, "shop", "alice", "cart", "fill k 1000", "set n 1")
	now := shared("shop")
	if now.Bytes < 1000 || now.Bytes > 1300 {
		t.Errorf("a value of 1000 bytes and one more are %d", now.Bytes)
	}
	limit("shop", now.Bytes+100)
	refusal := func(has, more uint64) string {
		return fmt.Sprintf("limit exceeded: limits.shared, at most %d bytes in all buckets and containers of shop together: there are %d, and this needs %d more; "+
			"delete something, or raise it: waterbear component settings --shared SIZE shop", now.Bytes+100, has, more)
	}
	script := []string{"fill k 1101", "get k", "fill k 900", "fill other 200", "delete k", "fill k 1090"}
	got := steps(t, node, "shop", "alice", "cart", script...)
	if want := fmt.Sprintf(`Error::Other(%q)`, refusal(now.Bytes, 101)); got[0] != want {
		t.Errorf("a byte too many is\n%s, want\n%s", got[0], want)
	}
	others := []string{got[1], got[2], got[4], got[5]}
	if !slices.Equal(others, []string{"1000 bytes", "set", "deleted", "set"}) || !strings.Contains(got[3], "limits.shared") {
		t.Errorf("the others are %q", got)
	}
	full := steps(t, node, "shop", "bob", "cart", "fill x 100", "set-many a 1 b 2", "add sum 1", "cas fresh", "swap 5", "keys")
	for i, step := range full[:3] {
		if !strings.Contains(step, "limits.shared") {
			t.Errorf("step %d is %s", i, step)
		}
	}
	if !strings.Contains(full[4], "limits.shared") || full[5] != "k,n None" {
		t.Errorf("the last are %q", full[3:])
	}
	// The other component has its own, which is counted in chunks too.
	limit("album", 1<<40)
	pairs(t, node, "album", "alice", "films", "create", "films", "fill a 1000000", "ok")
	limit("album", shared("album").Bytes+1000)
	if got := steps(t, node, "album", "alice", "films", "put c "+strings.Repeat("x", 1000)); !strings.Contains(got[0], "limits.shared") {
		t.Errorf("what is too long is %s", got[0])
	}
	pairs(t, node, "album", "bob", "films", "check a", "1000000 of 1000000", "delete a", "ok")
	before := []api.Shared{shared("shop"), shared("album")}
	for _, s := range before {
		if s.Bytes > s.Limit || s.Bytes < s.Limit/2 {
			t.Errorf("there are %+v", s)
		}
	}
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	node = openPlatform(t, dir)
	defer node.Close()
	if after := []api.Shared{shared("shop"), shared("album")}; !slices.Equal(after, before) {
		t.Errorf("there were %+v, and are %+v", before, after)
	}
	// No worker has a limit of its own.
	_, _, err := node.Platform().CreateWorker(t.Context(), "shop", "carol", api.NewWorker{Settings: api.Settings{Limits: api.Limits{Shared: 1 << 40}}})
	if err == nil || !strings.Contains(err.Error(), "limits.shared is of all workers of a component") {
		t.Errorf("a worker's own limit: %v", err)
	}
}
