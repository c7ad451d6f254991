package waterbear_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
)

// deployBlobs deploys the program that does what it is told with its containers.
func deployBlobs(t *testing.T, node *waterbear.Node, component string) {
	t.Helper()
	module, err := os.ReadFile("internal/guests/testdata/components/blobs.wasm")
	if err == nil {
		_, err = node.Platform().Deploy(t.Context(), component, module, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// pairs checks that each step, with a container, comes to what is behind it.
func pairs(t *testing.T, node *waterbear.Node, component, worker, container string, list ...string) {
	t.Helper()
	var script, want []string
	for i := 0; i < len(list); i += 2 {
		script, want = append(script, list[i]), append(want, list[i+1])
	}
	if got := steps(t, node, component, worker, container, script...); !slices.Equal(got, want) {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}

func TestContainersByEveryFunctionOfTheDraft(t *testing.T) {
	dir := t.TempDir()
	node := openPlatform(t, dir)
	deployBlobs(t, node, "shop")
	check := func(worker, container string, list ...string) {
		t.Helper()
		pairs(t, node, "shop", worker, container, list...)
	}
	check("alice", "photos",
		"exists", "false", "info", `there is no container "photos"`, "put a x", `there is no container "photos"`,
		"create", "photos", "create", `there is a container "photos" already`, "exists", "true", "info", "photos true",
		"put a hello", "ok", "get a", "hello", "size a", "a of photos: 5 true", "has a", "true", "has b", "false",
		"size b", `there is no object "b" of container "photos"`, "get b", `there is no object "b" of container "photos"`,
		"part a 1 3", "ell", "part a 0 0", "h", "part a 4 99", "o", "part a 5 5", "", "part a 6 7", `"a" of container "photos" has 5 bytes, and a part of it is to begin at 6`,
		"part a 3 2", "a part of an object begins at 3 and ends before that, at 2",
		"late a again", "ok", "get a", "again", "nowhere", "ok",
		"twice b c", `true false Err("the value belongs to \"b\" of container \"photos\" already")`, "has b", "false",
		"put b/1 one", "ok", "put b/2 two", "ok", "put c ", "ok", "get c", "", "list 10", "a,b/1,b/2,c true", "list 4", "a,b/1,b/2,c true", "list 0", " false",
		"names", "ok", "read 1", "a false", "skip 2", "2 false", "read 18446744073709551615", "c true", "read 1", " true", "skip 1", "0 true",
		"copy a d", "ok", "get d", "again", "move d e", "ok", "has d", "false", "get e", "again", "copy nothing x", `there is no object "nothing" of container "photos"`,
		"copy a elsewhere:a", `there is no container "elsewhere"`,
		"delete e", "ok", "delete e", "ok", "delete-many b/1 b/2 nothing", "ok", "delete-too-many 1001", "one call can have 1000 names", "list 10", "a,c true",
	)
	check("bob", "other", "create", "other", "copy photos:a mine", "ok", "get mine", "again", "move mine photos:mine", "ok", "list 1", " true")
	// What is open stays open when the node is opened again.
	check("alice", "photos",
		"begin slow", "ok", "more abc", "ok", "has slow", "false", "put part 0123456789", "ok", "open part 2 7", "ok", "next 2", "23", "names", "ok", "read 1", "a false")
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	node = openPlatform(t, dir)
	check("bob", "photos", "get mine", "again", "put part other", "ok")
	check("alice", "photos", "next 99", "4567", "more def", "ok", "end", "ok", "get slow", "abcdef", "read 9", "c,mine,part,slow true")
	check("alice", "photos", "begin dropped", "ok", "more x", "ok", "drop", "ok", "has dropped", "false")
	// Other components have other containers.
	deployBlobs(t, node, "else")
	pairs(t, node, "else", "alice", "photos", "exists", "false")
	check("bob", "photos", "clear", "ok", "list 1", " true", "info", "photos true", "delete-container", "ok", "delete-container", `there is no container "photos"`)
	check("alice", "photos", "exists", "false")
	// They go with their component.
	for _, worker := range []string{"alice", "bob"} {
		if err := node.Platform().DeleteWorker(t.Context(), "shop", worker); err != nil {
			t.Fatal(err)
		}
	}
	if err := node.Platform().DeleteComponent(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	deployBlobs(t, node, "shop")
	check("alice", "other", "exists", "false")
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLargeObjectsStream(t *testing.T) {
	dir := t.TempDir()
	node := openPlatform(t, dir)
	deployBlobs(t, node, "shop")
	rate := func(component string, bytes uint64) {
		t.Helper()
		if _, err := node.Platform().Configure(t.Context(), component, api.Settings{Limits: api.Limits{OplogRate: bytes}}); err != nil {
			t.Fatal(err)
		}
	}
	rate("shop", 1<<40)
	// What is written and read faster than may be recorded waits.
	deployBlobs(t, node, "slow")
	rate("slow", 256<<10)
	pairs(t, node, "slow", "alice", "films", "create", "films", "fill a 1572864", "ok", "check a", "1572864 of 1572864")
	const size = 50<<20 + 12345
	n := strconv.Itoa(size)
	pairs(t, node, "shop", "alice", "films", "create", "films",
		"fill long "+n, "ok", "size long", "long of films: "+n+" true", "check long", n+" of "+n,
		"get long", "the value has "+n+" bytes, and one call gives at most 16777216: consume it by its stream",
		"splice long copy", n, "check copy", n+" of "+n, "delete long", "ok",
		"fill some 16777216", "ok", "get some", "16777216 bytes "+sumOfPattern(0, 16<<20), "part some 262143 786433", "524291 bytes "+sumOfPattern(262143, 786434))
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	node = openPlatform(t, dir)
	pairs(t, node, "shop", "bob", "films", "check copy", n+" of "+n, "list 9", "copy,some true")
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
}

// sumOfPattern is what the program makes of the bytes that it fills objects with.
func sumOfPattern(from, to uint64) string {
	sum := uint32(0)
	for i := from; i < to; i++ {
		sum = sum*31 + uint32(uint8(i*7+i>>16))
	}
	return fmt.Sprintf("%08x", sum)
}

// What a program leaves unfinished, forgets, or does too early, harms neither what
// there is nor others.
func TestProgramsThatAskForTooMuchAreRefused(t *testing.T) {
	node := openPlatform(t, t.TempDir())
	defer node.Close()
	deployBlobs(t, node, "shop")
	long := strings.Repeat("x", 257)
	pairs(t, node, "shop", "alice", "box", "create", "box", "put a old", "ok",
		"put "+long+" x", "the name of an object is UTF-8 of 1 to 256 bytes, and no zero among them",
		"copy a "+long, "the name of an object is UTF-8 of 1 to 256 bytes, and no zero among them",
		"copy a :b", "the name of a container is UTF-8 of 1 to 64 bytes, and no zero among them",
		"has ", "the name of an object is UTF-8 of 1 to 256 bytes, and no zero among them",
		"part a 18446744073709551615 18446744073709551615", `"a" of container "box" has 3 bytes, and a part of it is to begin at 18446744073709551615`)
	pairs(t, node, "shop", "alice", strings.Repeat("x", 65), "create", "the name of a container is UTF-8 of 1 to 64 bytes, and no zero among them")
	// 100 values of 200,000 bytes are more than the host holds for a program.
	got := steps(t, node, "shop", "carol", "box", "leave 100 200000", "has left", "get a")
	if !strings.Contains(got[0], "hold more than 16777216 bytes") || got[1] != "false" || got[2] != "old" {
		t.Errorf("too many values that are not finished: %q", got)
	}
	// A value that is finished while its stream is there is the program's fault.
	args, err := json.Marshal([]any{"box", []string{"put a new", "early b"}})
	if err != nil {
		t.Fatal(err)
	}
	v, err := node.Platform().Invoke(t.Context(), "shop", "bob", api.Call{Function: "steps", Args: args})
	if err != nil || v.Failure == nil || !strings.Contains(v.Failure.Reason, "resources that are made from it are there") {
		t.Errorf("got %+v %v", v, err)
	}
	pairs(t, node, "shop", "bob", "box", "has b", "false", "get a", "new")
}
