package worker_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
)

// touring has a component that uses the crate guest/rust.
func touring(t *testing.T) (*platform, id.Worker) {
	p := newPlatform(t, nil)
	p.deploy("crate", guests.Wasm(t, "components/crate"))
	return p, id.Worker{Component: "crate", Name: "alice"}
}

func TestTheCrateForRustDoesWhatItSays(t *testing.T) {
	p, w := touring(t)
	v, err := p.invoke(w, "tour")
	must(t, err)
	var got [][]string
	must(t, json.Unmarshal(v.Result, &got))
	want := []string{
		"crate/alice revision 1 attempt 1",
		"created before now true",
		"keys differ true",
		"config Ok(None) Ok([])",
		"gone back 2",
		"atomic 5 0",
		"policy true",
		"idempotence false true",
		"perform [0, 9]",
		"forget [0, 8]",
		"history 1 Create 0",
		"wait yes",
		"failed no",
		"wait for Ok(false)",
		"wait any Ok(Some(1))",
		"poll Ok(false)",
		"withdraw Ok(()) true",
		"named true",
		"unknown true",
		`invoke "[4]"`,
		`started [6] Some("[6]")`,
		"scheduled None true",
		"spawn true false",
		"list 3",
		"status Idle",
		`fork Side::Original("crate/twin")`,
		"no function true",
		`quote "a \"b\" \\ \u000a é"`,
	}
	if len(got) != 1 || !slices.Equal(got[0], want) {
		t.Errorf("got %q (%+v), want %q", got, v.Failure, want)
	}
	// It remembers what it was told.
	p.restart()
	p.want(w, "[4]", "double", 2)
}

// TestATransactionUndoesWhatWasDoneInReverse also lets an undoing panic: it is
// repeated alone.
func TestATransactionUndoesWhatWasDoneInReverse(t *testing.T) {
	for _, panics := range []int{0, 1, 2} {
		p, w := touring(t)
		p.async(w, "k", "undone", panics)
		p.ends(w, "k", api.StateFinished, `[["two","one","three","kept four"]]`)
		p.restart()
		p.want(w, "[4]", "double", 2)
	}
}
