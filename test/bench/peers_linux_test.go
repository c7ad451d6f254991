package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/wit"
)

// operation is something that is done with a kit's component; those of
// peers-components are the same.
type operation struct {
	name     string
	function string
	args     []wit.Value
	bytes    int // that are lowered and lifted
	times    int // how often at once
}

func person(i int) wit.Value {
	email := wit.Case{}
	if i%2 == 0 {
		email = wit.Case{Index: 1, Payload: "ann@example.org"}
	}
	return []wit.Value{fmt.Sprintf("person %d", i), uint8(i), email, []wit.Value{"admin", "x"}}
}

func operations() []operation {
	const large = 1 << 20
	numbers, people := make([]wit.Value, large/4), make([]wit.Value, 1000)
	for i := range numbers {
		numbers[i] = int32(0)
	}
	for i := range people {
		people[i] = person(i)
	}
	const values = "waterbear:kit/values#"
	return []operation{
		{"empty", "total", nil, 0, 20_000},
		{"record", values + "birthday", []wit.Value{person(0)}, 0, 5_000},
		{"text of 10", values + "repeat", []wit.Value{"0123456789", uint32(1)}, 0, 10_000},
		{"text of 1 MiB", values + "repeat", []wit.Value{strings.Repeat("x", large), uint32(1)}, 2 * large, 50},
		{"bytes of 1 MiB", values + "reverse", []wit.Value{make([]byte, large)}, 2 * large, 5},
		{"numbers of 1 MiB", values + "sum", []wit.Value{numbers}, large, 20},
		{"1000 records", values + "sort", []wit.Value{people}, 0, 10},
	}
}

// measure gives what doing it so often computes.
func (o *operation) measure(b *testing.B, in *component.Instance) time.Duration {
	began := processTime(b)
	for range o.times {
		callComponent(b, in, o.function, o.args)
	}
	return processTime(b) - began
}

// kitsOfPeers are the kits that setup.sh prepares.
var kitsOfPeers = []guests.Kit{guests.Kits[0], guests.Kits[3]}

// BenchmarkComponent is what calls of a component compute that is not a worker's,
// with what their values are lowered and lifted for.
func BenchmarkComponent(b *testing.B) {
	for _, k := range kitsOfPeers {
		l := newLibrary(b, k.Component(b))
		for _, o := range operations() {
			b.Run(fmt.Sprintf("kit=%s/operation=%s", k.Name, o.name), func(b *testing.B) {
				in, err := l.program.Instantiate(context.Background(), l.config(b))
				must(b, err)
				defer in.Close()
				b.ReportAllocs()
				b.SetBytes(int64(o.bytes))
				began := processTime(b)
				for b.Loop() {
					callComponent(b, in, o.function, o.args)
				}
				b.ReportMetric(float64((processTime(b)-began).Nanoseconds())/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// peer is another engine, in a process of its own.
type peer struct {
	in  io.WriteCloser
	out *bufio.Scanner
}

// startPeer starts one, or gives nil if it was not installed.
func startPeer(b *testing.B, program string, args ...string) *peer {
	b.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = "peers-components"
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(b, err)
	out, err := cmd.StdoutPipe()
	must(b, err)
	must(b, cmd.Start())
	p := &peer{in, bufio.NewScanner(out)}
	b.Cleanup(func() {
		must(b, in.Close())
		must(b, cmd.Wait())
	})
	if !p.out.Scan() || p.out.Text() != "ready" {
		b.Fatalf("%s says %q", program, p.out.Text())
	}
	return p
}

func (p *peer) measure(b *testing.B, operation string, times int) time.Duration {
	text, err := json.Marshal(map[string]any{"operation": operation, "times": times})
	must(b, err)
	_, err = p.in.Write(append(text, '\n'))
	must(b, err)
	if !p.out.Scan() {
		b.Fatalf("the peer has ended: %v", p.out.Err())
	}
	ns, err := strconv.ParseFloat(p.out.Text(), 64)
	must(b, err)
	return time.Duration(ns)
}

// BenchmarkComponentPeers does the same with the same component here, with
// wasmtime through its C interface, and with what jco makes of the component for
// Node.js, each in turns, and gives the median of the computing of one, of the
// whole process. "floor" is what the calls from Python cost that lead to wasmtime.
func BenchmarkComponentPeers(b *testing.B) {
	if _, err := os.Stat(filepath.Join("peers-components", "build", "rust", "component.wasm")); err != nil {
		b.Skip("the peers are installed by test/bench/peers-components/setup.sh")
	}
	for _, k := range kitsOfPeers {
		l := newLibrary(b, k.Component(b))
		python, err := filepath.Abs(filepath.Join("peers-components", "build", "python", "bin", "python"))
		must(b, err)
		wasmtime := startPeer(b, python, "wasmtime_peer.py", k.Name)
		jco := startPeer(b, "node", "jco.mjs", k.Name)
		in, err := l.program.Instantiate(context.Background(), l.config(b))
		must(b, err)
		b.Cleanup(func() { must(b, in.Close()) })
		for _, o := range operations() {
			b.Run(fmt.Sprintf("kit=%s/operation=%s", k.Name, o.name), func(b *testing.B) {
				turns(b, o.times, []string{"waterbear", "wasmtime", "jco", "floor"}, []func() time.Duration{
					func() time.Duration { return o.measure(b, in) },
					func() time.Duration { return wasmtime.measure(b, o.name, o.times) },
					func() time.Duration { return jco.measure(b, o.name, o.times) },
					func() time.Duration { return wasmtime.measure(b, "floor", o.times) },
				})
			})
		}
		b.Run(fmt.Sprintf("kit=%s/operation=instantiate", k.Name), func(b *testing.B) {
			const times = 20
			turns(b, times, []string{"waterbear", "wasmtime", "jco"}, []func() time.Duration{
				func() time.Duration { return l.instantiate(b, times) },
				func() time.Duration { return wasmtime.measure(b, "instantiate", times) },
				func() time.Duration { return jco.measure(b, "instantiate", times) },
			})
		})
	}
}

func (l *library) instantiate(b *testing.B, times int) time.Duration {
	began := processTime(b)
	for range times {
		in, err := l.program.Instantiate(context.Background(), l.config(b))
		must(b, err)
		must(b, in.Close())
	}
	return processTime(b) - began
}

// turns measures each in turn, and reports the median and how far the quarters of
// the measurements around it reach.
func turns(b *testing.B, times int, names []string, measure []func() time.Duration) {
	all := make([][]time.Duration, len(names))
	for _, m := range measure { // what happens once
		m()
	}
	for range b.N {
		for i, m := range measure {
			all[i] = append(all[i], m())
		}
	}
	for i, name := range names {
		slices.Sort(all[i])
		at := func(part int) float64 {
			return float64(all[i][part*(len(all[i])-1)/4].Nanoseconds()) / 1e3 / float64(times)
		}
		b.ReportMetric(at(2), name+"-µs")
		b.ReportMetric(100*(at(3)-at(1))/at(2), name+"-noise-%")
	}
	b.ReportMetric(0, "ns/op") // says nothing
}
