package worker

import (
	"context"
	"testing"

	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

func TestInstancesThatNobodyUsesAreSmall(t *testing.T) {
	newWorld(t).process(func(rt *Runtime) {
		programs, err := catalog.Open(context.Background(), catalog.Config{
			Sched: rt.Sched, Cells: rt.Store.Cells(), Blobs: rt.Store.Blobs(), Engine: engine, Hosts: hosts,
		})
		must(t, err)
		_, err = programs.Deploy(context.Background(), "kit", guests.Wasm(t, "kit"), nil)
		must(t, err)
		s := &shells{}
		for _, c := range []struct {
			bytes uint64
			kept  int
		}{{maxShellBytes / 2, 1}, {maxShellBytes / 2, 2}, {1, 2}, {maxShellBytes, 1}, {maxShellBytes + 1, 0}, {1, 1}} {
			program, err := programs.Acquire(context.Background(), "kit", 1)
			must(t, err)
			in, err := program.Module().Instantiate(context.Background(), wasm.InstanceConfig{Hosts: hosts})
			must(t, err)
			s.put(shell{&guest{module: in}, program, c.bytes})
			if len(s.all) != c.kept {
				t.Errorf("after one of %d bytes there are %d, want %d", c.bytes, len(s.all), c.kept)
			}
		}
		s.close()
		must(t, programs.Close()) // refused while a program is in use
	})
}
