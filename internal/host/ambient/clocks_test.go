package ambient

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/internal/oplog"
)

const (
	second = uint64(time.Second)
	hour   = time.Hour
	year   = 365 * 24 * time.Hour
)

func TestMonotonicClockStartsAtOneSecond(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func(p *process) {
		if got := p.monotonic(); !near(got, second) {
			t.Errorf("got %v, want a second", time.Duration(got))
		}
	})
}

func TestMonotonicClockCountsTimeWhileTheWorkerIsDown(t *testing.T) {
	w := newWorld(t, 1)
	var before uint64
	w.run(func(p *process) { before = p.monotonic() })
	w.down(3 * hour)
	w.run(func(p *process) {
		if got := p.monotonic(); got != before {
			t.Errorf("replay gives %d, want the recorded %d", got, before)
		}
		if got, want := p.monotonic(), before+uint64(3*hour); !near(got, want) {
			t.Errorf("got %v, want %v", time.Duration(got), time.Duration(want))
		}
	})
}

func TestMonotonicClockIgnoresTheWallClockWhileTheProcessRuns(t *testing.T) {
	for _, jump := range []time.Duration{-50 * year, -hour, hour, 50 * year} {
		w := newWorld(t, 1)
		w.run(func(p *process) {
			before := p.monotonic()
			p.sim.JumpWall(jump)
			p.sleep(time.Minute)
			if got, want := p.monotonic(), before+uint64(time.Minute); !near(got, want) {
				t.Errorf("a jump of %v: got %v, want %v", jump, time.Duration(got), time.Duration(want))
			}
		})
	}
}

func TestMonotonicClockGoesOnFromItsLastReadingWhenTheWallClockWentBack(t *testing.T) {
	w := newWorld(t, 1)
	var before uint64
	w.run(func(p *process) {
		p.sleep(hour)
		before = p.monotonic()
	})
	w.sim.JumpWall(-10 * year)
	w.run(func(p *process) {
		p.monotonic()
		if got := p.monotonic(); !near(got, before) {
			t.Errorf("got %v, want to go on from %v", time.Duration(got), time.Duration(before))
		}
		p.sleep(time.Minute)
		if got, want := p.monotonic(), before+uint64(time.Minute); !near(got, want) {
			t.Errorf("a minute later: got %v, want %v", time.Duration(got), time.Duration(want))
		}
	})
}

// TestMonotonicClockNeverGoesBack runs a program that only reads the clock,
// through any life: crashes, downtime, and a wall clock set to any time.
func TestMonotonicClockNeverGoesBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, rapid.Uint64().Draw(rt, "seed"))
		durations := rapid.SampledFrom([]time.Duration{0, 1, time.Second, hour, year, 30 * year})
		var durable []uint64
		for range rapid.IntRange(1, 6).Draw(rt, "processes") {
			var readings []uint64
			committed := 0
			w.run(func(p *process) {
				for range durable {
					readings = append(readings, p.monotonic())
				}
				if !slices.Equal(readings, durable) {
					rt.Fatalf("replay gives %v, recorded are %v", readings, durable)
				}
				committed = len(durable)
				for range rapid.IntRange(0, 5).Draw(rt, "readings") {
					readings = append(readings, p.monotonic())
					switch rapid.IntRange(0, 4).Draw(rt, "then") {
					case 0:
						p.commit()
						committed = len(readings)
					case 1:
						p.sleep(durations.Draw(rt, "sleep"))
					case 2:
						p.sim.JumpWall(durations.Draw(rt, "jump") * time.Duration(rapid.SampledFrom([]int{-1, 1}).Draw(rt, "sign")))
					}
				}
				if rapid.Bool().Draw(rt, "crash") {
					p.crash()
				}
				committed = len(readings)
			})
			if !slices.IsSorted(readings) {
				rt.Fatalf("the clock went back: %v", readings)
			}
			durable = readings[:max(committed, int(w.last()))]
			w.down(durations.Draw(rt, "down"))
			w.sim.JumpWall(-durations.Draw(rt, "jump while down"))
		}
	})
}

func TestRealtimeIsTheHostsAndIsRecorded(t *testing.T) {
	w := newWorld(t, 1)
	var first uint64
	w.run(func(p *process) {
		first = p.realtime()
		if !near(first, w.created) {
			t.Errorf("got %d, want the host's %d", first, w.created)
		}
	})
	w.sim.JumpWall(-hour)
	w.run(func(p *process) {
		if got := p.realtime(); got != first {
			t.Errorf("replay gives %d, want %d", got, first)
		}
		if got := p.realtime(); !near(got, first-uint64(hour)) {
			t.Errorf("got %d, want the host's, an hour before %d", got, first)
		}
	})
}

func TestWallClockBefore1970ReadsAsItsBeginning(t *testing.T) {
	w := newWorld(t, 1)
	w.sim.JumpWall(-100 * year)
	w.run(func(p *process) {
		if got := p.realtime(); got != 0 {
			t.Errorf("got %d, want 0", got)
		}
		if got := p.monotonic(); !near(got, second) {
			t.Errorf("the monotonic clock shows %d, want a second", got)
		}
	})
}

func TestWaitEndsAtItsDeadline(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func(p *process) {
		deadline := p.monotonic() + uint64(hour)
		r := p.wait(deadline, false)
		if !near(r.Now, deadline) || r.Stdin {
			t.Errorf("got %+v, want the deadline %d", r, deadline)
		}
		if got := p.monotonic(); !near(got, deadline) {
			t.Errorf("the clock shows %d behind the wait, want %d", got, deadline)
		}
	})
}

func TestWaitThatACrashInterruptsHasOnlyItsRestToGo(t *testing.T) {
	for name, c := range map[string]struct{ down, want time.Duration }{
		"down for a while":         {20 * time.Minute, 30 * time.Minute},
		"down until after the end": {5 * hour, 0},
	} {
		w := newWorld(t, 1)
		program := func(p *process) uint64 {
			deadline := p.monotonic() + uint64(hour)
			return p.wait(deadline, false).Now - deadline
		}
		w.run(func(p *process) {
			p.sim.Go("crash", func() {
				p.sleep(10 * time.Minute)
				p.sim.Crash()
			})
			program(p)
		})
		w.down(c.down)
		began := w.sim.Monotonic()
		var late uint64
		w.run(func(p *process) { late = program(p) })
		if took := w.sim.Monotonic() - began; (took - c.want).Abs() > time.Millisecond {
			t.Errorf("%s: waited for %v more, want %v", name, took, c.want)
		}
		if c.want > 0 && !near(late, 0) {
			t.Errorf("%s: it ended %v behind its deadline", name, time.Duration(late))
		}
	}
}

func TestLongWaitHasADurableIntentAndAShortOneHasNone(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func(p *process) {
		now := p.monotonic()
		p.wait(now+shortest, false)
		p.wait(0, false)
		p.wait(p.monotonic()+shortest+1, false)
		p.wait(0, true)
		p.wait(Forever, true) // input is at its end: it waits for nothing, but might have
	})
	var kinds []string
	for entry, err := range oplog.Read(t.Context(), w.store.Logs(), alice, 1, 0) {
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, oplog.Name(entry.Body))
	}
	want := []string{
		"HostCall", "HostCall", "HostCall", "HostCall",
		"HostCallStarted", "HostCallFinished", "HostCall", "HostCallStarted", "HostCallFinished",
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("got %v, want %v", kinds, want)
	}
}

func TestWaitThatHasBegunIsDurableBeforeItWaits(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func(p *process) {
		p.sim.Go("look", func() {
			p.sleep(time.Minute)
			if got := w.last(); got != 2 {
				t.Errorf("%d entries are durable during the wait, want the reading and the intent", got)
			}
		})
		p.wait(p.monotonic()+uint64(hour), false)
	})
}

func TestWaitEndsWithTheCauseOfItsContext(t *testing.T) {
	cause := errors.New("a person stops it")
	w := newWorld(t, 1)
	w.run(func(p *process) {
		p.sim.Go("stop", func() {
			p.sleep(time.Minute)
			p.stop(cause)
		})
		if _, err := p.clocks.Wait(Forever, false); !errors.Is(err, cause) {
			t.Errorf("got %v, want the cause", err)
		}
	})
}

func TestWaitForInputAndADeadlineEndsWithTheCauseOfItsContext(t *testing.T) {
	cause := errors.New("a person stops it")
	for _, deadline := range []uint64{uint64(hour), Forever} {
		w := newWorld(t, 1)
		w.run(func(p *process) {
			p.clocks.input = never{p.sim.NewCondition()}
			p.sim.Go("stop", func() {
				p.sleep(time.Minute)
				p.stop(cause)
			})
			if _, err := p.clocks.Wait(deadline, true); !errors.Is(err, cause) {
				t.Errorf("got %v, want the cause", err)
			}
		})
	}
}

func TestStampsGrowAndAreTheSameAtReplay(t *testing.T) {
	w := newWorld(t, 1)
	program := func(p *process) (stamps []uint64) {
		for i := range 4 {
			stamps = append(stamps, p.clocks.Stamp(), p.clocks.Stamp())
			if err := p.clocks.Touch(); err != nil {
				t.Error(err)
			}
			if p.sim.JumpWall(-hour); i == 1 {
				p.sim.JumpWall(3 * hour)
			}
		}
		return append(stamps, p.clocks.Stamp())
	}
	var first, again []uint64
	w.run(func(p *process) { first = program(p) })
	w.down(hour)
	w.run(func(p *process) { again = program(p) })
	if !slices.Equal(first, again) {
		t.Errorf("replay gives %v, want %v", again, first)
	}
	for i := range first[1:] {
		if first[i+1] <= first[i] {
			t.Errorf("stamp %d is %d, not behind %d", i+1, first[i+1], first[i])
		}
	}
	if first[0] != w.created {
		t.Errorf("the first stamp is %d, want the worker's creation %d", first[0], w.created)
	}
}

func TestStampIsOfNowBehindATouch(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func(p *process) {
		p.sleep(hour)
		if got := p.clocks.Stamp(); got != w.created {
			t.Errorf("got %d before anything was read, want %d", got, w.created)
		}
		if err := p.clocks.Touch(); err != nil {
			t.Fatal(err)
		}
		if got, want := p.clocks.Stamp(), w.created+uint64(hour); !near(got, want) {
			t.Errorf("got %d, want %d", got, want)
		}
	})
}
