package sim

import (
	"context"
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// Again calls on a calm machine, in the order of the oplogs, what was finished
// in this world: the results must be the same. What observed the clock is
// replaced by what that did to the worker.
func (w *Platform) Again() error {
	m := newMachine(w.host, Options{Seed: w.Seed, Calm: true, Backing: Memory(), Trace: w.Trace})
	err := m.run(func(*plan) (bool, error) {
		ctx := context.Background()
		store, err := m.Backing.open(ctx)
		if err != nil {
			return false, err
		}
		var seed []byte // of the next worker
		n := &node{}
		err = n.open(&m, store, w.guests, w.bounds, func(p []byte) error {
			copy(p, seed)
			return nil
		})
		for _, name := range w.workers {
			d := w.dossiers[name]
			if err != nil || d.fleeting || d.last.create == nil || d.last.create.Ephemeral {
				continue // an ephemeral worker draws other numbers at other entries
			}
			seed = d.last.create.Seed[:]
			err = d.last.repeat(ctx, &m, n, name)
		}
		return true, errors.Join(err, n.close(ctx), store.Close())
	})
	if err != nil {
		return fmt.Errorf("what clients did, again and calmly: %w", err)
	}
	return nil
}

// repeat calls what was finished.
func (a *audit) repeat(ctx context.Context, m *machine, n *node, w id.Worker) error {
	for _, index := range a.finished {
		call := a.accepted[index]
		want := a.ends[index].Body.(*oplog.InvocationFinished).Result
		again := api.Call{Function: call.Function, Args: []byte(call.Args)}
		switch out, _ := integers(want); call.Function {
		case "now": // it has added the lowest bit to the counter
			again = api.Call{Function: "inc", Args: fmt.Appendf(nil, "[%d]", first(out)&1)}
			want = nil
		case "ask", "insist": // it has added the answer
			again = api.Call{Function: "inc", Args: fmt.Appendf(nil, "[%d]", max(first(out), 0))}
			want = nil
		case "flaky":
			again = api.Call{Function: "get"}
		case "nap":
			continue
		}
		var v api.Invocation
		err := m.insist(func() (err error) {
			v, err = n.workers.Invoke(ctx, w, again)
			return err
		})
		if err == nil && (v.State != api.StateFinished || want != nil && string(v.Result) != string(want)) {
			err = fmt.Errorf("it is %s", told(v))
		}
		if err != nil {
			return fmt.Errorf("%s: %s%s gave %s in entry %d: %w", w, again.Function, again.Args, want, index, err)
		}
	}
	return nil
}
