package waterbear_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// TestWhatProgramsShareIsSeenInPages looks at buckets and containers as whoever looks
// after a node does.
func TestWhatProgramsShareIsSeenInPages(t *testing.T) {
	node := openPlatform(t, t.TempDir())
	defer node.Close()
	deployKept(t, node, "shop")
	deployBlobs(t, node, "album")
	p, ctx := node.Platform(), t.Context()
	steps(t, node, "shop", "alice", "cart", "set-many a 1 b/c 22 d 333", "set e x", "delete e")
	steps(t, node, "shop", "alice", "", "set k v")
	steps(t, node, "shop", "alice", "more", "set k v")
	steps(t, node, "album", "alice", "photos", "create", "put a one", "put b/c ", "fill d 300000")
	steps(t, node, "album", "alice", "empty", "create")
	code := func(err error) api.Code {
		var problem *api.Problem
		if !errors.As(err, &problem) {
			t.Errorf("got %v, want a problem", err)
			return ""
		}
		return problem.Code
	}
	var got []string
	for cursor := "-"; cursor != ""; {
		page, err := p.Buckets(ctx, "shop", strings.TrimPrefix(cursor, "-"), 1)
		if err != nil || len(page.Items) != 1 {
			t.Fatalf("%+v %v", page, err)
		}
		got, cursor = append(got, page.Items[0].Name), page.Next
	}
	for cursor := "-"; cursor != ""; {
		page, err := p.Keys(ctx, "shop", "cart", strings.TrimPrefix(cursor, "-"), 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Items {
			got = append(got, fmt.Sprint(v.Key, "=", v.Size))
		}
		cursor = page.Next
	}
	for cursor := "-"; cursor != ""; {
		page, err := p.Containers(ctx, "album", strings.TrimPrefix(cursor, "-"), 1)
		if err != nil || len(page.Items) != 1 {
			t.Fatalf("%+v %v", page, err)
		}
		got, cursor = append(got, page.Items[0].Name), page.Next
	}
	for cursor := "-"; cursor != ""; {
		page, err := p.Objects(ctx, "album", "photos", strings.TrimPrefix(cursor, "-"), 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Items {
			got = append(got, fmt.Sprint(o.Name, "=", o.Size))
		}
		cursor = page.Next
	}
	if want := []string{"", "cart", "more", "a=1", "b/c=2", "d=3", "empty", "photos", "a=3", "b/c=0", "d=300000"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	o, content, err := p.Object(ctx, "album", "photos", "d")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(content); err != nil || uint64(len(b)) != o.Size || b[1] != 7 {
		t.Errorf("the object has %d bytes, %v", len(b), err)
	}
	if v, err := p.Value(ctx, "shop", "cart", "d"); string(v) != "333" || err != nil {
		t.Errorf("the value is %q %v", v, err)
	}
	// What is deleted is gone for programs.
	if err := errors.Join(p.DeleteValue(ctx, "shop", "cart", "d"), p.DeleteObject(ctx, "album", "photos", "d"), p.DeleteContainer(ctx, "album", "empty")); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(steps(t, node, "shop", "bob", "cart", "get d"), steps(t, node, "album", "bob", "photos", "has d"), steps(t, node, "album", "bob", "empty", "exists")); got != "[-] [false] [false]" {
		t.Errorf("a program sees %s", got)
	}
	_, keysErr := p.Keys(ctx, "shop", "cart", "nonsense!", 1)
	_, objectsErr := p.Objects(ctx, "album", "empty", "", 1)
	_, _, objectErr := p.Object(ctx, "album", "photos", "d")
	_, valueErr := p.Value(ctx, "shop", "cart", "d")
	_, bucketsErr := p.Buckets(ctx, "nothing", "", 1)
	for i, want := range []api.Code{api.CodeInvalid, api.CodeNoContainer, api.CodeNoObject, api.CodeNoKey, api.CodeNoComponent, api.CodeNoKey, api.CodeNoObject, api.CodeNoContainer} {
		errs := []error{keysErr, objectsErr, objectErr, valueErr, bucketsErr, p.DeleteValue(ctx, "shop", "cart", "d"), p.DeleteObject(ctx, "album", "photos", "d"), p.DeleteContainer(ctx, "album", "empty")}
		if got := code(errs[i]); got != want {
			t.Errorf("refusal %d is %s, want %s", i, got, want)
		}
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
