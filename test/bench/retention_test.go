package bench

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// BenchmarkRetention is what others notice of one worker's retention: how long
// invocations of quiet workers take while a busy one does all it can, with all
// of its past kept and with little of it; and the disk that all that takes. The
// two take turns.
func BenchmarkRetention(b *testing.B) {
	kept := api.KeepInvocations(1000)
	nodes := map[string]*retained{
		"everything": newRetained(b, api.Retention{}),
		"1000":       newRetained(b, api.Retention{Oplog: kept, Results: kept, Logs: kept}),
	}
	b.ResetTimer()
	for range b.N {
		for _, keep := range []string{"everything", "1000"} {
			nodes[keep].turn(b)
		}
	}
	for keep, n := range nodes {
		n.quiet.report(b, keep+"-")
		b.ReportMetric(float64(n.busy.Load()), keep+"-busy")
		b.ReportMetric(float64(n.node.Platform().Stats().Truncated), keep+"-truncated")
		if err := n.node.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(used(b, n.dir))/(1<<20), keep+"-MiB")
	}
}

// retained is a node with a busy worker and quiet ones.
type retained struct {
	dir   string
	node  *waterbear.Node
	quiet sample
	busy  atomic.Uint64 // invocations
}

func newRetained(b *testing.B, keep api.Retention) *retained {
	b.Helper()
	n := &retained{dir: b.TempDir()}
	var err error
	n.node, err = waterbear.Open(b.Context(), waterbear.Options{Dir: n.dir, Platform: &waterbear.PlatformOptions{Defaults: api.Settings{Retention: keep}}})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := n.node.Platform().Deploy(b.Context(), "counter", guests.Wasm(b, "counter"), nil); err != nil {
		b.Fatal(err)
	}
	return n
}

func (n *retained) add(b *testing.B, worker string) error {
	v, err := n.node.Platform().Invoke(b.Context(), "counter", worker, api.Call{Function: "add", Args: json.RawMessage("[1]")})
	if err == nil && v.State != api.StateFinished {
		err = fmt.Errorf("it is %s", v.State)
	}
	return err
}

// turn measures the quiet workers for a while.
func (n *retained) turn(b *testing.B) {
	b.Helper()
	const crowd, quiet = 16, 2
	var over atomic.Bool
	var wait sync.WaitGroup
	for range crowd {
		wait.Go(func() {
			for !over.Load() {
				if err := n.add(b, "busy"); err != nil {
					b.Error(err)
					return
				}
				n.busy.Add(1)
			}
		})
	}
	n.quiet.add(drive(b, quiet, 5*slice, func(i int) error { return n.add(b, fmt.Sprint("quiet", i)) }))
	over.Store(true)
	wait.Wait()
}

// used is how many bytes the files in a directory take.
func used(b *testing.B, dir string) (bytes int64) {
	b.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		stat, err := d.Info()
		if err == nil {
			bytes += stat.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return bytes
}
