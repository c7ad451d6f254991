package bench

import (
	coding "encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/waterbear-run/waterbear/internal/wasm"
)

// threadTime is how long the thread has computed.
func threadTime(b *testing.B) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// phases adds up what the parts of a round compute.
type phases struct {
	b     *testing.B
	names []string
	spent map[string]time.Duration
	last  time.Duration
}

func newPhases(b *testing.B) *phases {
	runtime.LockOSThread()
	b.Cleanup(runtime.UnlockOSThread)
	return &phases{b: b, spent: map[string]time.Duration{}, last: threadTime(b)}
}

// begin forgets what was computed since the last phase.
func (p *phases) begin() { p.last = threadTime(p.b) }

func (p *phases) end(name string) {
	now := threadTime(p.b)
	if !slices.Contains(p.names, name) {
		p.names = append(p.names, name)
	}
	p.spent[name] += now - p.last
	p.last = now
}

// report gives each phase in microseconds, and their sum as a part of a budget.
func (p *phases) report(budget time.Duration) {
	total := time.Duration(0)
	for _, name := range p.names {
		total += p.spent[name]
		p.b.ReportMetric(float64(p.spent[name].Nanoseconds())/1e3/float64(p.b.N), name+"-µs")
	}
	p.b.ReportMetric(float64(total.Nanoseconds())/1e3/float64(p.b.N), "cpu-µs")
	p.b.ReportMetric(float64(total)/float64(p.b.N)/float64(budget), "of-budget")
}

// encodedBytes is how long a change is when it is written down compactly.
func encodedBytes(c *wasm.Change) int {
	var out []byte
	at := uint64(0)
	for _, r := range c.Runs {
		out = coding.AppendUvarint(out, r.Offset-at)
		out = coding.AppendUvarint(out, uint64(len(r.Bytes)))
		out = append(out, r.Bytes...)
		at = r.Offset + uint64(len(r.Bytes))
	}
	return len(out)
}

func capture(b *testing.B, in *wasm.Instance, s *wasm.Saved) *wasm.Change {
	c, err := in.Capture(s)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// initialized gives an instance that has begun.
func (s *shell) initialized(b *testing.B) *wasm.Instance {
	in := s.instance(b)
	b.Cleanup(func() { must(b, in.Close()) })
	callGuest(b, in, "_initialize", 0)
	return in
}

// begun is the state of a guest that has begun.
func (s *shell) begun(b *testing.B, in *wasm.Instance) *wasm.Saved {
	saved := s.module.NewSaved()
	b.Cleanup(func() { must(b, saved.Close()) })
	must(b, in.Save(saved))
	return saved
}

// populated is the state of a guest that has so much memory with something in
// each page.
func (s *shell) populated(b *testing.B, in *wasm.Instance, megabytes int) *wasm.Saved {
	begin := len(in.Memory())
	callGuest(b, in, "grow", uint64(megabytes)<<4)
	if s.name == "go" {
		callGuest(b, in, "populate", 0)
	} else if memory := in.Memory(); len(memory) > begin {
		for at := begin; at < len(memory); at += wasm.PageSize {
			memory[at] = byte(at>>12) | 1
		}
	}
	return s.begun(b, in)
}

// round is a worker that is given an instance for one call: mapped, called,
// captured, applied, evicted.
func (s *shell) round(b *testing.B, in *wasm.Instance, saved *wasm.Saved, function string) {
	budget := 200 * time.Microsecond
	if s.name == "go" {
		budget = time.Millisecond
	}
	must(b, in.Recycle(s.config))
	pages, written, rounds := 0, 0, 0
	p := newPhases(b)
	for b.Loop() {
		p.begin()
		must(b, in.Restore(saved))
		p.end("map")
		callGuest(b, in, function, 1)
		p.end("call")
		c := capture(b, in, saved)
		p.end("capture")
		must(b, saved.Apply(c))
		p.end("apply")
		must(b, in.Recycle(s.config))
		p.end("evict")
		pages, written, rounds = pages+c.Pages, written+encodedBytes(c), rounds+1
	}
	p.report(budget)
	b.ReportMetric(float64(pages)/float64(rounds), "pages")
	b.ReportMetric(float64(written)/float64(rounds), "change-bytes")
	b.ReportMetric(float64(saved.Pages()), "saved-pages")
}

// BenchmarkSaved is what a worker costs that is evicted after each call, by how
// much memory it has.
func BenchmarkSaved(b *testing.B) {
	shells(b, func(b *testing.B, s *shell) {
		for _, size := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("MiB=%d", size), func(b *testing.B) {
				in := s.initialized(b)
				s.round(b, in, s.populated(b, in, size), "inc")
			})
		}
	})
}

// BenchmarkBegun is the same for a worker that has only begun, by what its calls
// do.
func BenchmarkBegun(b *testing.B) {
	shells(b, func(b *testing.B, s *shell) {
		for _, function := range []string{"inc", "work"} {
			if s.name != "go" && function == "work" {
				continue
			}
			b.Run("call="+function, func(b *testing.B) {
				in := s.initialized(b)
				s.round(b, in, s.begun(b, in), function)
			})
		}
	})
}

// BenchmarkResident is what a worker costs that stays in its instance: called,
// captured, applied.
func BenchmarkResident(b *testing.B) {
	shells(b, func(b *testing.B, s *shell) {
		for _, size := range []int{0, 16, 256} {
			b.Run(fmt.Sprintf("MiB=%d", size), func(b *testing.B) {
				in := s.initialized(b)
				s.stay(b, in, s.populated(b, in, size), "inc")
			})
		}
		if s.name == "go" {
			b.Run("call=work", func(b *testing.B) {
				in := s.initialized(b)
				s.stay(b, in, s.begun(b, in), "work")
			})
		}
	})
}

// stay is a worker that keeps its instance.
func (s *shell) stay(b *testing.B, in *wasm.Instance, saved *wasm.Saved, function string) {
	for range 3 { // what happens once
		callGuest(b, in, function, 1)
		must(b, saved.Apply(capture(b, in, saved)))
	}
	pages, written, rounds := 0, 0, 0
	p := newPhases(b)
	for b.Loop() {
		p.begin()
		callGuest(b, in, function, 1)
		p.end("call")
		c := capture(b, in, saved)
		p.end("capture")
		must(b, saved.Apply(c))
		p.end("apply")
		pages, written, rounds = pages+c.Pages, written+encodedBytes(c), rounds+1
	}
	p.report(200 * time.Microsecond)
	b.ReportMetric(float64(pages)/float64(rounds), "pages")
	b.ReportMetric(float64(written)/float64(rounds), "change-bytes")
}
