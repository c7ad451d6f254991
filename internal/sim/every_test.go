package sim

import (
	"fmt"
	"testing"

	"github.com/waterbear-run/waterbear/internal/oplog"
)

// everyEffect is the world of one program that has every kind of effect.
func everyEffect(t *testing.T, backing Backing, seed uint64) *World {
	t.Helper()
	return New(host(), programs(t)[:1], Options{Seed: seed, Backing: backing})
}

func TestEveryPrefixOfAnOplogLeadsToTheSameEnd(t *testing.T) {
	w := everyEffect(t, Memory(), 1)
	w.Calm = true
	if _, err := w.Run(); err != nil {
		t.Fatal(err)
	}
	for length, last := oplog.Index(1), oplog.Index(2); length < last; length++ {
		again, err := w.Again(func(l oplog.Index) oplog.Index {
			last = l
			return length
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := again.Run()
		if err != nil {
			t.Fatalf("from entry %d: %v", length, err)
		}
		compare(t, fmt.Sprintf("from entry %d", length), got)
		if t.Failed() {
			return
		}
	}
}

// atEvery runs a world for each k from 0 whose first process has the fault that
// set gives it for k, until one has none.
func atEvery(t *testing.T, backing func(seed uint64) Backing, set func(p *plan, k int)) {
	t.Helper()
	for k := 0; ; k++ {
		w := everyEffect(t, backing(uint64(k)), uint64(k))
		w.script = func(p *plan) {
			if w.life == 1 {
				set(p, k)
			}
		}
		got, err := w.Run()
		if err != nil {
			t.Fatalf("fault at %d: %v", k, err)
		}
		compare(t, fmt.Sprintf("fault at %d", k), got)
		if w.Crashes() == 0 {
			t.Logf("%d places", k)
			return
		}
		if t.Failed() {
			return
		}
	}
}

func TestPowerFailureAtEveryChangeOfTheDiskIsSurvived(t *testing.T) {
	atEvery(t, Local, func(p *plan, k int) { p.powerOff = k })
}

func TestKillAtEveryChangeOfTheDiskIsSurvived(t *testing.T) {
	atEvery(t, Local, func(p *plan, k int) { p.kill = k })
}

func TestCrashBeforeEveryStepIsSurvived(t *testing.T) {
	atEvery(t, func(uint64) Backing { return Memory() }, func(p *plan, k int) { p.crash = uint64(k + 1) })
}
