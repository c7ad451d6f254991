package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/component"
	decode "github.com/waterbear-run/waterbear/internal/component/binary"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/host/ambient"
	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/internal/host/wasip2"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/wit"
)

// still is a world in which nothing happens, for components that want one.
type still struct{ now uint64 }

func (s *still) tick() uint64               { s.now++; return s.now }
func (s *still) Realtime() (uint64, error)  { return s.tick(), nil }
func (s *still) Monotonic() (uint64, error) { return s.tick(), nil }
func (s *still) Touch() error               { return nil }
func (s *still) Fill(p []byte) error        { clear(p); return nil }
func (s *still) Read(int) ([]byte, error)   { return nil, nil }
func (s *still) Write(int, []byte) error    { return nil }

func (s *still) Wait(deadline uint64, _ bool) (ambient.Readiness, error) {
	return ambient.Readiness{Now: deadline, EOF: true}, nil
}

// library is a component without any worker around it.
type library struct {
	program *component.Program
	typed   map[string]*wit.Func
}

// kits are the components that are measured; those that `make kit` builds are
// skipped where they are not.
func kits() []guests.Kit {
	all := append(slices.Clone(guests.Kits), guests.LargeKits...)
	return slices.DeleteFunc(all, func(k guests.Kit) bool { return k.Hosted || k.Name == "c-utf16" || k.Name == "typescript" })
}

// eachKit runs a benchmark for each of them.
func eachKit(b *testing.B, run func(b *testing.B, k guests.Kit)) {
	for _, k := range kits() {
		b.Run("kit="+k.Name, func(b *testing.B) { run(b, k) })
	}
}

func newLibrary(b *testing.B, source []byte) *library {
	b.Helper()
	e, err := wasm.New(context.Background(), wasm.Config{CacheDir: b.TempDir()})
	must(b, err)
	b.Cleanup(func() { must(b, e.Close()) })
	decoded, err := decode.Decode(source)
	must(b, err)
	l := &library{typed: map[string]*wit.Func{}}
	l.program, err = component.Compile(context.Background(), e, decoded, wasip2.Interfaces(), nil)
	must(b, err)
	b.Cleanup(func() { must(b, l.program.Close()) })
	for _, f := range l.program.Exports() {
		l.typed[f.Name] = f.Type
	}
	return l
}

func (l *library) config(b *testing.B) component.Config {
	b.Helper()
	world := &still{}
	s, err := wasip2.New(wasi.Config{
		FS: filesystem.New(filesystem.Config{Now: world.tick}), Clocks: world, Random: world, Stdio: world,
	})
	must(b, err)
	return component.Config{State: s, MaxMemory: 256 << 20}
}

// arguments reads the arguments of a function.
func (l *library) arguments(b *testing.B, function string, args json.RawMessage) []wit.Value {
	b.Helper()
	values, err := wit.ArgsFromJSON(l.typed[function], args)
	must(b, err)
	return values
}

func callComponent(b *testing.B, in *component.Instance, function string, args []wit.Value) {
	if _, err := in.Call(context.Background(), function, args); err != nil {
		b.Fatal(function, err)
	}
}

// BenchmarkComponentStart has a budget: a worker of a JavaScript component of
// 12 MB has its instance within 1 ms of computing, whatever it costs to
// instantiate it. It gives what a call costs in an instance that is made for it
// and run from the beginning, in one that is made and given a state, and in one
// that is used again; and of the last what its parts take.
func BenchmarkComponentStart(b *testing.B) {
	eachKit(b, func(b *testing.B, k guests.Kit) {
		l := newLibrary(b, k.Component(b))
		config := l.config(b)
		add := l.arguments(b, "add", json.RawMessage("[1]"))
		b.Run("from=instantiate", func(b *testing.B) {
			p := newPhases(b)
			for b.Loop() {
				p.begin()
				in, err := l.program.Instantiate(context.Background(), config)
				must(b, err)
				p.end("start")
				callComponent(b, in, "add", add)
				p.end("call")
				must(b, in.Close())
				p.end("evict")
			}
			p.report(time.Millisecond)
		})
		b.Run("from=blank", func(b *testing.B) {
			w := l.worker(b, config, add)
			p := newPhases(b)
			for b.Loop() {
				p.begin()
				in, err := l.program.Blank(context.Background(), config)
				must(b, err)
				w.restore(b, in)
				p.end("start")
				callComponent(b, in, "add", add)
				p.end("call")
				must(b, in.Close())
				p.end("evict")
			}
			p.report(time.Millisecond)
		})
		b.Run("from=reset", func(b *testing.B) { l.worker(b, config, add).rounds(b, config, add) })
	})
}

// keptComponent is a component worker outside of any instance.
type keptComponent struct {
	modules []*wasm.Module
	states  []*wasm.Saved
	handles []byte
	program *component.Program
}

// worker gives one that has been called before.
func (l *library) worker(b *testing.B, config component.Config, add []wit.Value) *keptComponent {
	in, err := l.program.Instantiate(context.Background(), config)
	must(b, err)
	callComponent(b, in, "add", add)
	w := &keptComponent{modules: l.program.Modules(), program: l.program}
	for i, core := range in.Cores() {
		s := w.modules[i].NewSaved()
		must(b, core.Save(s))
		b.Cleanup(func() { must(b, s.Close()) })
		w.states = append(w.states, s)
	}
	w.handles, err = in.AppendHandles(nil)
	must(b, err)
	must(b, in.Close())
	return w
}

func (w *keptComponent) restore(b *testing.B, in *component.Instance) {
	for i, core := range in.Cores() {
		must(b, core.Restore(w.states[i]))
	}
	must(b, in.ReadHandles(w.handles))
}

// rounds lets the worker take an instance that was used before, make a call,
// be captured, and leave, over and over.
func (w *keptComponent) rounds(b *testing.B, config component.Config, add []wit.Value) {
	in, err := w.program.Blank(context.Background(), config)
	must(b, err)
	defer in.Close()
	p := newPhases(b)
	pages, written, rounds := 0, 0, 0
	for b.Loop() {
		p.begin()
		must(b, in.Reset(config))
		w.restore(b, in)
		p.end("start")
		callComponent(b, in, "add", add)
		p.end("call")
		changes := make([]*wasm.Change, len(w.states))
		for i, core := range in.Cores() {
			changes[i] = capture(b, core, w.states[i])
		}
		p.end("capture")
		for i, c := range changes {
			must(b, w.states[i].Apply(c))
			pages, written = pages+c.Pages, written+encodedBytes(c)
		}
		rounds++
		p.end("apply")
		must(b, in.Reset(component.Config{MaxMemory: config.MaxMemory}))
		for i, core := range in.Cores() {
			fresh := w.modules[i].NewSaved()
			must(b, core.Restore(fresh))
			must(b, fresh.Close())
		}
		p.end("evict")
	}
	p.report(time.Millisecond)
	b.ReportMetric(float64(pages)/float64(rounds), "pages")
	b.ReportMetric(float64(written)/float64(rounds), "change-bytes")
}

// BenchmarkReturn invokes a few workers of a component one after the other, with
// room for one instance, so that each comes back for each call, and once more
// with room for all. It gives the computing for each invocation.
func BenchmarkReturn(b *testing.B) {
	eachKit(b, func(b *testing.B, k guests.Kit) {
		dir, source, sum := b.TempDir(), k.Component(b), 0
		for _, room := range []int{1, returning} {
			b.Run(fmt.Sprintf("room=%d", room), func(b *testing.B) {
				p := newEmbedded(b, dir, waterbear.PlatformOptions{MaxInstances: room}, map[string][]byte{"kit": source})
				round := func() {
					sum++
					p.round(b, "kit", "add", returning, sum)
				}
				for range 3 {
					round()
				}
				before, began := p.Stats(), processTime(b)
				for b.Loop() {
					round()
				}
				spent, calls := processTime(b)-began, float64(b.N*returning)
				b.ReportMetric(float64(spent.Microseconds())/calls, "cpu-µs/call")
				b.ReportMetric(float64(p.Stats().Evictions-before.Evictions)/calls, "evictions/call")
			})
		}
	})
}

// BenchmarkComponentInvoke invokes a worker of a component and one of a core
// module, both in C and in their instances all the time, in turns, and gives the
// computing for an invocation.
func BenchmarkComponentInvoke(b *testing.B) {
	p := newEmbedded(b, b.TempDir(), waterbear.PlatformOptions{}, map[string][]byte{
		"core": guests.Wasm(b, "kit"), "component": guests.Wasm(b, "kit/c"),
	})
	const times = 500
	invoke := func(program, function string) func() time.Duration {
		return func() time.Duration {
			began := processTime(b)
			for range times {
				p.invoke(b, program, "a", function, 1)
			}
			return processTime(b) - began
		}
	}
	turns(b, times, []string{"component", "core"}, []func() time.Duration{invoke("component", "add"), invoke("core", "inc")})
}

// returning is how many workers come back in turns.
const returning = 8

// round has each of so many workers add 1, and wants the sum.
func (e embedded) round(b *testing.B, program, function string, workers, want int) {
	b.Helper()
	for n := range workers {
		v, err := e.Invoke(b.Context(), program, fmt.Sprint("w", n), api.Call{Function: function, Args: json.RawMessage("[1]")})
		if err != nil || string(v.Result) != fmt.Sprintf("[%d]", want) {
			b.Fatalf("got %s, %v, %v, want [%d]", v.Result, v.Failure, err, want)
		}
	}
}
