package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/waterbear-run/waterbear/internal/guests"
)

// TestGoProgramSurvivesToo is for a guest with a runtime of its own: goroutines,
// timers, a garbage collector. It takes longer to load than the others to run.
func TestGoProgramSurvivesToo(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and compiles a Go program")
	}
	program := []Program{{
		Name: "pipeline", Module: guests.Go(t, "examples/pipeline"),
		Args: []string{"pipeline", "-jobs", "6", "-rounds", "20"}, Input: "some words to hash, and some more words\n",
	}}
	want, err := New(host(), program, Options{Calm: true, Backing: Memory()}).Run()
	if err != nil {
		t.Fatal(err)
	}
	if exit := want["pipeline"].Exit; exit != "exit code 0" {
		t.Fatalf("undisturbed it ends with %s\n%s", exit, want["pipeline"].Stderr)
	}
	for _, seed := range []uint64{1, 2, 3, rand.Uint64()} {
		got, err := New(host(), program, Options{Seed: seed, Backing: Local(seed)}).Run()
		if err != nil {
			t.Fatal(err)
		}
		if g, w := got["pipeline"], want["pipeline"]; g.Exit != w.Exit || g.Stdout != w.Stdout || !maps.Equal(g.Files, w.Files) {
			t.Errorf("%s\nundisturbed: %+v", fmt.Sprintf("seed %#x: %+v", seed, g), w)
		}
	}
}
