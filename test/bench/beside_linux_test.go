package bench

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// beside is what other workers do while commits are measured.
type beside struct {
	name     string
	function string
	images   api.Images
}

// Each of the busy workers has 16 MiB. A call of churn changes a byte in each
// page, which makes a delta; one of fill changes all of it, which makes an image.
var besides = []beside{
	{"nothing", "", api.Images{}},
	{"churn", "churn", api.Images{After: -1}},
	{"deltas", "churn", api.Images{After: api.Duration(time.Millisecond)}},
	{"fill", "fill", api.Images{After: -1}},
	{"images", "fill", api.Images{After: api.Duration(time.Millisecond)}},
}

// busy is how many workers do it, and quiet how many commit.
const busy, quiet = 2, 8

// BenchmarkBeside is how long durable invocations of small workers take while
// others compute, and while the state of these is saved after each of their
// calls: saving is not to delay anybody else's commits noticeably. All of it is
// measured in turns.
func BenchmarkBeside(b *testing.B) {
	p := newEmbedded(b, b.TempDir(), waterbear.PlatformOptions{}, map[string][]byte{
		"kit": guests.Wasm(b, "kit"), "busy": goCounter(b),
	})
	for _, s := range besides[1:] {
		for i := range busy {
			name := fmt.Sprint(s.name, i)
			_, _, err := p.CreateWorker(b.Context(), "busy", name, api.NewWorker{Settings: api.Settings{Images: s.images}})
			must(b, err)
			p.invoke(b, "busy", name, "grow", 16<<4)
		}
	}
	all := make([]sample, len(besides))
	calls, saved := make([]int64, len(besides)), make([]uint64, len(besides))
	b.ResetTimer()
	for range b.N {
		for i, s := range besides {
			before := p.Stats()
			took, n := p.beside(b, s)
			all[i].add(took)
			after := p.Stats()
			calls[i] += n
			saved[i] += after.Deltas + after.Images - before.Deltas - before.Images
		}
	}
	for i, s := range besides {
		all[i].quantiles(b, s.name+"-")
		if s.function != "" {
			b.ReportMetric(float64(calls[i])/all[i].total.Seconds(), s.name+"-calls/s")
			b.ReportMetric(float64(saved[i])/all[i].total.Seconds(), s.name+"-saved/s")
		}
	}
}

func (e embedded) invoke(b *testing.B, program, worker, function string, argument int) {
	v, err := e.Invoke(b.Context(), program, worker, api.Call{Function: function, Args: json.RawMessage(fmt.Sprintf("[%d]", argument))})
	if err != nil || v.State != api.StateFinished {
		b.Errorf("%s: %+v, %+v, %v", function, v, v.Failure, err)
	}
}

// beside measures the quiet workers while the busy ones do what s says, and
// counts the calls of these.
func (e embedded) beside(b *testing.B, s beside) (sample, int64) {
	var stop atomic.Bool
	var calls atomic.Int64
	var group sync.WaitGroup
	for i := range busy {
		group.Go(func() {
			for s.function != "" && !stop.Load() && !b.Failed() {
				e.invoke(b, "busy", fmt.Sprint(s.name, i), s.function, 1)
				calls.Add(1)
			}
		})
	}
	took := drive(b, quiet, slice, func(i int) error {
		_, err := e.Invoke(b.Context(), "kit", fmt.Sprint("w", i), api.Call{Function: "inc", Args: json.RawMessage("[1]")})
		return err
	})
	stop.Store(true)
	group.Wait()
	if b.Failed() {
		b.FailNow()
	}
	return took, calls.Load()
}

// embedded is a platform in this process.
type embedded struct{ *waterbear.Platform }

// newEmbedded opens one, and deploys what it does not have yet.
func newEmbedded(b *testing.B, dir string, options waterbear.PlatformOptions, programs map[string][]byte) embedded {
	b.Helper()
	node, err := waterbear.Open(b.Context(), waterbear.Options{Dir: dir, Platform: &options})
	must(b, err)
	b.Cleanup(func() { must(b, node.Close()) })
	for name, program := range programs {
		_, err := node.Platform().Deploy(b.Context(), name, program, nil)
		must(b, err)
	}
	return embedded{node.Platform()}
}
