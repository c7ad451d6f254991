package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// tree is a worker that forks itself again and again, and is copied by hand, by one
// client who knows what all of them must have come to.
type tree struct {
	t      *testing.T
	s      *server
	c      *client.Client
	name   string
	random *rand.Rand
	counts map[string]int64 // of each worker there is
	added  int64            // to the worker that all of them call
}

// TestWorkersOfAServerThatIsKilledForkOnce lets workers fork themselves, and copies
// others, by the client and by the command, while the server is killed.
func TestWorkersOfAServerThatIsKilledForkOnce(t *testing.T) {
	random := randomOf(t, 1300)
	s := startServer(t, restless...)
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	c := s.client()
	if _, err := c.Deploy(ctx, "callers", guests.Wasm(t, "components/callers"), nil); err != nil {
		t.Fatal(err)
	}
	over, stop := context.WithCancel(ctx)
	defer stop()
	trees := []*tree{}
	var busy sync.WaitGroup
	for i := range 4 {
		name := fmt.Sprint("t", i)
		tr := &tree{t: t, s: s, c: s.client(), name: name, random: rand.New(rand.NewPCG(*seed, uint64(1301+i))), counts: map[string]int64{name: 0}}
		trees = append(trees, tr)
		busy.Go(func() { tr.grow(ctx, over) })
	}
	n := share(2)
	s.restart(n, 400, random)
	stop()
	busy.Wait()
	if t.Failed() {
		t.FailNow()
	}
	copies := 0
	total := int64(0)
	names := []string{"all"}
	for _, tr := range trees {
		copies += len(tr.counts) - 1
		total += tr.added
		for name, count := range tr.counts {
			names = append(names, name)
			if got := tr.has(ctx, name); got != fmt.Sprint(count) {
				t.Errorf("%s has %s, want %d (seed %d)", name, got, count, *seed)
			}
		}
	}
	if got := trees[0].has(ctx, "all"); got != fmt.Sprint(total) {
		t.Errorf("all of them have added %s, want %d (seed %d)", got, total, *seed)
	}
	var there []string
	for w, err := range c.Workers(ctx, api.WorkerFilter{Component: "callers"}) {
		if err != nil {
			t.Fatal(err)
		}
		there = append(there, w.Name)
	}
	slices.Sort(names)
	slices.Sort(there)
	if !slices.Equal(there, names) {
		t.Errorf("there are the workers %q, want %q (seed %d)", there, names, *seed)
	}
	if copies < 4 {
		t.Errorf("%d copies were made: that shows too little (seed %d)", copies, *seed)
	}
	t.Logf("%d kills, %d copies", n, copies)
}

// grow makes copies until over is done, at least one of each kind.
func (tr *tree) grow(ctx, over context.Context) {
	for i := 0; (i < 2 || over.Err() == nil) && !tr.t.Failed(); i++ {
		names := []string{}
		for name := range tr.counts {
			names = append(names, name)
		}
		slices.Sort(names)
		name, copied := names[tr.random.IntN(len(names))], fmt.Sprintf("%s-%d", tr.name, i)
		var err error
		if i%2 == 0 {
			err = tr.fork(ctx, name, copied, i)
		} else {
			err = tr.copy(ctx, name, copied)
		}
		if err != nil {
			tr.t.Errorf("%s is to become %s: %v (seed %d)", name, copied, err, *seed)
		}
	}
}

// fork lets a worker fork itself in the middle of what it does.
func (tr *tree) fork(ctx context.Context, name, copied string, i int) error {
	before, mine, theirs := int64(1+tr.random.IntN(9)), int64(1+tr.random.IntN(9)), int64(1+tr.random.IntN(9))
	script := []string{
		fmt.Sprint("add ", before), "invoke callers/all add [1]", "write /x " + copied, "promise", fmt.Sprint("sleep ", tr.random.IntN(60)),
		"fork " + copied, fmt.Sprint("sleep ", tr.random.IntN(60)),
		fmt.Sprintf("as %s add %d", name, mine), fmt.Sprintf("as %s add %d", copied, theirs), "invoke callers/all add [1]",
		"as " + copied + " write /x other", "as " + copied + " complete yes", "as " + name + " wait", "read /x", "add 0",
	}
	args, err := json.Marshal([]any{script})
	if err != nil {
		return err
	}
	key := fmt.Sprint("k", i)
	if _, err := tr.c.Invoke(ctx, "callers", name, api.Call{Function: "steps", Args: args, Key: key, Async: true}); err != nil {
		return err
	}
	had := tr.counts[name] + before
	tr.counts[name], tr.counts[copied] = had+mine, had+theirs
	tr.added += 3
	for _, end := range [][]string{
		{name, "original of callers/" + copied, "", "yes", copied, fmt.Sprint(had + mine)},
		{copied, "forked as callers/" + copied, "completed", "", "other", fmt.Sprint(had + theirs)},
	} {
		who, want := end[0], end[1:]
		v, err := tr.c.Await(ctx, "callers", who, key)
		var out [1][]string
		if err == nil {
			err = json.Unmarshal(v.Result, &out)
		}
		if err != nil {
			return fmt.Errorf("%s ends with %s %s %+v: %w", who, v.State, v.Result, v.Failure, err)
		}
		if got := append([]string{out[0][5]}, out[0][len(script)-4:]...); !slices.Equal(got, want) {
			return fmt.Errorf("%s was told %q, want %q", who, got, want)
		}
	}
	return nil
}

// copy has a worker copied that is at rest, until it is known that the copy is there.
func (tr *tree) copy(ctx context.Context, name, copied string) error {
	for {
		err := tr.byHand(ctx, name, copied)
		v, looked := tr.c.Worker(ctx, "callers", copied)
		for looked != nil && !isCode(looked, api.CodeNoWorker) && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond) // the server is started again
			v, looked = tr.c.Worker(ctx, "callers", copied)
		}
		switch {
		case looked == nil && v.Origin == "callers/"+name:
			tr.counts[copied] = tr.counts[name]
			return nil
		case err == nil || looked == nil:
			return fmt.Errorf("the client was told %v, and who looks %+v, %w", err, v, looked)
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// byHand asks once, by the client or by the command.
func (tr *tree) byHand(ctx context.Context, name, copied string) error {
	if tr.random.IntN(2) == 0 {
		_, err := tr.c.Fork(ctx, "callers", name, copied)
		return err
	}
	at := tr.s.at.Load()
	if at == nil {
		return errors.New("the server does not run")
	}
	out, err := exec.CommandContext(ctx, waterbear, "worker", "fork", "--server", "http://"+*at, "callers/"+name, copied).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// has is what a worker has counted.
func (tr *tree) has(ctx context.Context, name string) string {
	v, err := tr.c.Invoke(ctx, "callers", name, api.Call{Function: "add", Args: json.RawMessage("[0]")})
	if err != nil {
		tr.t.Errorf("%s does not say what it has: %v (seed %d)", name, err, *seed)
	}
	return strings.Trim(string(v.Result), "[]")
}
