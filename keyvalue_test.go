package waterbear_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
)

// deployKept deploys the program that does what it is told with its buckets.
func deployKept(t *testing.T, node *waterbear.Node, component string) {
	t.Helper()
	module, err := os.ReadFile("internal/guests/testdata/components/kept.wasm")
	if err == nil {
		_, err = node.Platform().Deploy(t.Context(), component, module, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// steps lets a worker do steps, and gives what came of each.
func steps(t *testing.T, node *waterbear.Node, component, worker, bucket string, script ...string) []string {
	t.Helper()
	args, err := json.Marshal([]any{bucket, script})
	if err != nil {
		t.Fatal(err)
	}
	v, err := node.Platform().Invoke(t.Context(), component, worker, api.Call{Function: "steps", Args: args})
	if err != nil || v.State != api.StateFinished {
		t.Fatalf("%+v %v", v, err)
	}
	var results [][]string
	if err := json.Unmarshal(v.Result, &results); err != nil {
		t.Fatal(err)
	}
	return results[0]
}

func TestBucketsByEveryFunctionOfTheDrafts(t *testing.T) {
	dir := t.TempDir()
	node := openPlatform(t, dir)
	deployKept(t, node, "shop")
	check := func(worker string, pairs ...string) {
		t.Helper()
		var script, want []string
		for i := 0; i < len(pairs); i += 2 {
			script, want = append(script, pairs[i]), append(want, pairs[i+1])
		}
		if got := steps(t, node, "shop", worker, "cart", script...); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check("alice",
		"get a", "-", "exists a", "false", "set a one", "set", "get a", "one", "exists a", "true",
		"add n 41", "41", "add n -1", "40", "add a 1", `Error::Other("the value is no number, so nothing can be added to it")`,
		"set-many x 1 y 2", "set", "get-many x nothing y", "x=1,-,y=2", "keys", "a,n,x,y None", "keys n", "x,y None",
		"delete-many x y nothing", "deleted", "delete a", "deleted", "keys", "n None",
		"fill large 524288", "set", "get large", "524288 bytes", "fill large 524289", `Error::Other("a value has at most 524288 bytes, and this has 524289")`,
		"first n 2", "42 n None", "cas n", "42",
	)
	check("bob", "get n", "42", "add n 1", "43")
	// Alice's compare-and-swap is open, and what it has seen is old by now.
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	node = openPlatform(t, dir)
	check("alice", "swap 50", "failed", "swap 50", "swapped", "get n", "50")
	check("bob", "get n", "50")
	// Other components have other buckets, and those of a name that is none are refused.
	deployKept(t, node, "other")
	if got := steps(t, node, "other", "alice", "cart", "get n", "keys"); got[0] != "-" || got[1] != " None" {
		t.Errorf("another component sees %q", got)
	}
	if got := steps(t, node, "shop", "bob", "a/b", "get n"); got[0] != "Error::NoSuchStore" {
		t.Errorf("a bucket with such a name is %q", got)
	}
	if got := steps(t, node, "shop", "bob", "", "get n", "set n 1", "get n"); fmt.Sprint(got) != "[- set 1]" {
		t.Errorf("the bucket without a name has %q", got)
	}
	// They go with their component.
	for _, worker := range []string{"alice", "bob"} {
		if err := node.Platform().DeleteWorker(t.Context(), "shop", worker); err != nil {
			t.Fatal(err)
		}
	}
	if err := node.Platform().DeleteComponent(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	deployKept(t, node, "shop")
	check("alice", "get n", "-", "keys", " None")
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestManyKeysAreListedInPages(t *testing.T) {
	node := openPlatform(t, t.TempDir())
	defer node.Close()
	deployKept(t, node, "shop")
	var script []string
	for i := range 25 {
		var words strings.Builder
		words.WriteString("set-many")
		for j := range 50 {
			words.WriteString(fmt.Sprintf(" k%04d x", 50*i+j))
		}
		script = append(script, words.String())
	}
	steps(t, node, "shop", "alice", "cart", script...)
	got := steps(t, node, "shop", "bob", "cart", "keys", "keys k0999", "add n 1", "first n 1")
	if page := strings.Split(got[0], ","); len(page) != 1000 || page[0] != "k0000" || !strings.HasSuffix(got[0], `k0999 Some("k0999")`) {
		t.Errorf("the first page has %d keys and ends with %q", len(page), got[0][len(got[0])-30:])
	}
	if page := strings.Split(got[1], ","); len(page) != 250 || !strings.HasSuffix(got[1], "k1249 None") {
		t.Errorf("the second page has %d keys", len(page))
	}
	// The first draft's cursor counts: this is behind one key.
	if page := strings.Split(got[3], ","); len(page) != 999 || !strings.HasPrefix(got[3], "2 k0001,") || !strings.HasSuffix(got[3], "k0999 Some(1000)") {
		t.Errorf("the first draft gives %d keys, %q…", len(page), got[3][:20])
	}
}

// Many workers add to one number while the node is closed and opened again.
func TestManyWorkersAddUpThroughRestarts(t *testing.T) {
	dir := t.TempDir()
	const workers, each, rounds = 6, 5, 4
	for round := range rounds {
		node := openPlatform(t, dir)
		if round == 0 {
			deployKept(t, node, "shop")
		}
		script := slices.Repeat([]string{"add n 1"}, each)
		args, err := json.Marshal([]any{"cart", script})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for i := range workers {
			all.Go(func() {
				call := api.Call{Function: "steps", Args: args, Key: fmt.Sprint("round ", round)}
				call.Key = strings.ReplaceAll(call.Key, " ", "-")
				call.Async = round < rounds-1
				if _, err := node.Platform().Invoke(t.Context(), "shop", fmt.Sprint("w", i), call); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if round == rounds-1 {
			if got := steps(t, node, "shop", "w0", "cart", "get n"); got[0] != fmt.Sprint(workers*each*rounds) {
				t.Errorf("the sum is %s, want %d", got[0], workers*each*rounds)
			}
		}
		if err := node.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
