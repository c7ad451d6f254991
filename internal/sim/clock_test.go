package sim

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

// TestAWaitIsLateByNoMoreThanTheWallClockWentBack has a worker wait out of memory, and
// an invocation be due, while the wall clock is set. Set forward both come early by
// that, for the clock says so; set back they come late by that, and not later, nor are
// they lost. A worker that stays in memory does not mind.
func TestAWaitIsLateByNoMoreThanTheWallClockWentBack(t *testing.T) {
	const nap, slack = 100 * time.Second, 2 * time.Second
	for _, jump := range []time.Duration{0, -time.Hour, -10 * time.Hour, time.Minute, time.Hour} {
		for name, suspendAfter := range map[string]time.Duration{"out of memory": time.Second, "in memory": day} {
			t.Run(fmt.Sprintf("%v, %s", jump, name), func(t *testing.T) {
				e := &prefixes{
					t: t, guests: Guests{component: guests.Wasm(t, "components/keeper")},
					bounds: bounds{instances: 2, running: 2, residents: 10, queue: 10, idleAfter: day, suspendAfter: suspendAfter, imageAfter: -1},
				}
				took := map[string]time.Duration{}
				e.on(memory.New(), func(ctx context.Context, m *machine, store storage.Store) error {
					n := &node{}
					if err := n.open(m, store, e.guests, e.bounds, entropy); err != nil {
						return err
					}
					began, due := m.sim.Monotonic(), m.sim.Now().Add(nap)
					_, napErr := n.workers.Invoke(ctx, keeping1, api.Call{Function: "nap", Args: fmt.Appendf(nil, "[%d]", nap.Milliseconds()), Key: "nap", Async: true})
					later := keeping1
					later.Name = "later"
					_, dueErr := n.workers.Invoke(ctx, later, api.Call{Function: "get", Args: []byte("[]"), Key: "due", Due: due})
					err := errors.Join(napErr, dueErr, m.sim.Sleep(ctx, 10*time.Second))
					m.sim.JumpWall(jump)
					for key, w := range map[string]string{"nap": keeping1.Name, "due": later.Name} {
						of := keeping1
						of.Name = w
						task := m.sim.Go(key, func() {
							v, waitErr := n.workers.Invocation(ctx, of, key, true)
							if waitErr != nil || v.State != api.StateFinished {
								t.Errorf("%s ends as %s %+v, %v", key, v.State, v.Failure, waitErr)
							}
							took[key] = m.sim.Monotonic() - began
						})
						defer task.Wait()
					}
					_ = m.sim.Sleep(ctx, nap+max(0, -jump)+time.Minute)
					return errors.Join(err, n.close(ctx))
				})
				want := map[string]time.Duration{"nap": max(nap-jump, 10*time.Second), "due": max(nap-jump, 10*time.Second)}
				if suspendAfter == day {
					want["nap"] = nap
				}
				for key, w := range want {
					if got := took[key]; got < w || got > w+slack {
						t.Errorf("%s was there after %v, want %v", key, got, w)
					}
				}
			})
		}
	}
}
