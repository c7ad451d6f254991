package wasip1_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/wasip1"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

const (
	memorySize = 4 << 16 // of a guest that asks for no other
	all1       = 1<<32 - 1
)

// pointers says which parameters of a function point into memory, and with
// what others the call would succeed.
var pointers = map[string]struct {
	params []uint64
	at     []int
}{
	"args_get":                {[]uint64{64, 64}, []int{0, 1}},
	"args_sizes_get":          {[]uint64{64, 64}, []int{0, 1}},
	"environ_get":             {[]uint64{64, 64}, []int{0, 1}},
	"environ_sizes_get":       {[]uint64{64, 64}, []int{0, 1}},
	"clock_res_get":           {[]uint64{0, 64}, []int{1}},
	"clock_time_get":          {[]uint64{0, 0, 64}, []int{2}},
	"fd_fdstat_get":           {[]uint64{4, 64}, []int{1}},
	"fd_filestat_get":         {[]uint64{4, 64}, []int{1}},
	"fd_pread":                {[]uint64{4, 64, 1, 0, 72}, []int{1, 4}},
	"fd_pwrite":               {[]uint64{4, 64, 1, 0, 72}, []int{1, 4}},
	"fd_read":                 {[]uint64{4, 64, 1, 72}, []int{1, 3}},
	"fd_write":                {[]uint64{4, 64, 1, 72}, []int{1, 3}},
	"fd_readdir":              {[]uint64{root, 64, 8, 0, 72}, []int{1, 4}},
	"fd_prestat_get":          {[]uint64{root, 64}, []int{1}},
	"fd_prestat_dir_name":     {[]uint64{root, 64, 1}, []int{1}},
	"fd_seek":                 {[]uint64{4, 0, 0, 64}, []int{3}},
	"fd_tell":                 {[]uint64{4, 64}, []int{1}},
	"path_create_directory":   {[]uint64{root, 64, 1}, []int{1}},
	"path_filestat_get":       {[]uint64{root, 0, 64, 1, 72}, []int{2, 4}},
	"path_filestat_set_times": {[]uint64{root, 0, 64, 1, 0, 0, 0}, []int{2}},
	"path_link":               {[]uint64{root, 0, 64, 1, root, 64, 1}, []int{2, 5}},
	"path_open":               {[]uint64{root, 0, 64, 1, 0, 0, 0, 0, 72}, []int{2, 8}},
	"path_readlink":           {[]uint64{root, 64, 1, 72, 8, 80}, []int{1, 3, 5}},
	"path_remove_directory":   {[]uint64{root, 64, 1}, []int{1}},
	"path_rename":             {[]uint64{root, 64, 1, root, 64, 1}, []int{1, 4}},
	"path_symlink":            {[]uint64{64, 1, root, 64, 1}, []int{0, 3}},
	"path_unlink_file":        {[]uint64{root, 64, 1}, []int{1}},
	"poll_oneoff":             {[]uint64{64, 128, 1, 160}, []int{0, 1, 3}},
	"random_get":              {[]uint64{64, 8}, []int{0}},
}

func TestPointersOutOfMemoryAreFaultsAndChangeNothing(t *testing.T) {
	g := newGuest(t, guestConfig{args: []string{"a"}, env: []string{"b"}})
	g.create("f")
	for function, p := range pointers {
		for _, i := range p.at {
			for _, bad := range []uint64{memorySize, memorySize + 1, 1 << 31, all1, all1 - 3} {
				clear(g.bytes(0, 4096))
				g.in.Memory()[64] = 'f'
				params := slices.Clone(p.params)
				params[i] = bad
				before := g.state()
				if got := g.call(function, params...); got != fault {
					t.Errorf("%s%v: got %v, want %v", function, params, got, fault)
				}
				if after := g.state(); after != before {
					t.Errorf("%s%v changed something: got\n%s\nwant\n%s", function, params, after, before)
				}
			}
		}
	}
}

// state is all that a failed call must leave as it is.
func (g *guest) state() string {
	manifest, err := g.fs.Encode()
	if err != nil {
		g.t.Fatal(err)
	}
	var fds []int
	for fd := range 10 {
		if e, _ := g.try("fd_fdstat_get", uint64(fd), 200000); e == success {
			fds = append(fds, fd)
		}
	}
	return fmt.Sprintf("%x %v %q", manifest, fds, g.stdout)
}

func TestLengthsBeyondMemoryAreFaults(t *testing.T) {
	g := newGuest(t, guestConfig{})
	g.create("f")
	for function, at := range map[string]int{
		"fd_readdir": 2, "path_create_directory": 2, "path_open": 3, "path_rename": 5, "path_readlink": 4,
		"random_get": 1, "poll_oneoff": 2, "fd_read": 2, "fd_write": 2, "fd_pread": 2, "fd_pwrite": 2, "path_symlink": 1,
	} {
		for _, n := range []uint64{memorySize, 1 << 29, 1<<29 + 1, 1 << 31, all1} {
			clear(g.bytes(0, 4096))
			g.in.Memory()[64] = 'f'
			params := slices.Clone(pointers[function].params)
			params[at] = n
			g.wants(fault, function, params...)
		}
	}
}

func TestScatteredBuffersAreTakenAsFarAsTheyGo(t *testing.T) {
	g := newGuest(t, guestConfig{pages: 32})
	fd := g.create("f")
	done := g.room(8)
	x := g.put([]byte("x"))
	vectors := map[string]struct {
		buffers [][2]uint64
		want    errno
		bytes   uint32
	}{
		"a buffer out of memory":            {[][2]uint64{{all1, 1}}, fault, 0},
		"the second out of memory":          {[][2]uint64{{x, 1}, {all1, 8}}, success, 1},
		"no bytes out of memory":            {[][2]uint64{{all1, 0}}, fault, 0},
		"no bytes at the end of memory":     {[][2]uint64{{32 << 16, 0}, {x, 1}}, success, 1},
		"4 GiB":                             {[][2]uint64{{0, all1}}, fault, 0},
		"none":                              {nil, success, 0},
		"the same again and again":          {slices.Repeat([][2]uint64{{x, 1}}, 1000), success, 1000},
		"more than a call takes":            {slices.Repeat([][2]uint64{{x, 1}}, 5000), success, 1024},
		"overlapping with its own vector":   {[][2]uint64{{done - 64, 1 << 20}}, success, 1 << 20},
		"more bytes than a call transfers":  {slices.Repeat([][2]uint64{{0, 2 << 20}}, 1000), success, 256 << 20},
		"buffers without bytes, at the end": {slices.Repeat([][2]uint64{{x, 0}}, 3), success, 0},
	}
	for name, v := range vectors {
		free := g.free
		iovs, n := g.iovs(v.buffers...)
		g.put32(done, 0)
		if e := g.call("fd_pwrite", fd, iovs, n, 0, done); e != v.want || g.u32(done) != v.bytes {
			t.Errorf("%s: wrote %d bytes, %v, want %d, %v", name, g.u32(done), e, v.bytes, v.want)
		}
		// Reading may overwrite the vector itself: whatever it then says is fine.
		g.call("fd_pread", fd, iovs, n, 0, done)
		g.free = free
	}
}

func (g *guest) put32(at uint64, v uint32) { binary.LittleEndian.PutUint32(g.in.Memory()[at:], v) }

// A file of a tebibyte is read in bounded calls.
func TestNoCallTakesLongOrMuchMemoryOfTheHost(t *testing.T) {
	g := newGuest(t, guestConfig{pages: 1 << 10}) // 64 MiB
	fd := g.create("f")
	g.ok("fd_filestat_set_size", fd, 1<<40)
	memory := uint64(len(g.in.Memory()))
	vector := g.room(8 * 5000)
	for i := range uint64(5000) {
		g.put32(vector+8*i, uint32(memory/2))
		g.put32(vector+8*i+4, uint32(memory/2))
	}
	subs := memory / 2
	for at := subs; at+48 <= memory; at += 48 {
		copy(g.in.Memory()[at:], subscribe(fileSub{1, 1, true}))
	}
	count := memory / 2 / 48
	for function, params := range map[string][]uint64{
		"fd_read":                 {fd, vector, 5000, 64},
		"fd_pread":                {fd, vector, 5000, 1 << 30, 64},
		"fd_write":                {1, vector, 3, 64},
		"random_get":              {memory / 2, memory / 2},
		"poll_oneoff":             {subs, 100000, count, 64},
		"fd_readdir":              {root, memory / 2, memory / 2, 0, 64},
		"fd_allocate":             {fd, 1 << 39, 1 << 39},
		"fd_filestat_set_size":    {fd, 3},
		"path_symlink":            {memory / 2, memory / 2, root, 64, 1},
		"fd_prestat_dir_name":     {root, memory / 2, memory / 2},
		"path_open":               {root, 0, memory / 2, memory / 2, 0, 0, 0, 0, 64},
		"fd_pwrite":               {fd, 0, 1 << 20, 1 << 63, 64},
		"fd_filestat_set_times":   {fd, 1<<64 - 1, 1<<64 - 1, 1},
		"path_filestat_get":       {root, 1, 0, all1, 64},
		"fd_advise":               {fd, 1<<64 - 1, 1<<64 - 1, 5},
		"fd_renumber":             {all1, all1},
		"environ_get":             {all1, all1},
		"sock_recv":               {fd, all1, all1, all1, all1, all1},
		"path_filestat_set_times": {root, all1, 64, 1, 0, 0, all1},
		"clock_time_get":          {all1, 1<<64 - 1, all1},
		"path_remove_directory":   {all1, 0, all1},
		"fd_fdstat_set_rights":    {all1, 0, 0},
		"fd_fdstat_set_flags":     {fd, all1},
		"proc_raise":              {1000 & 0xe0},
		"fd_datasync":             {all1},
		"fd_close":                {all1},
		"fd_tell":                 {all1, all1},
		"sock_accept":             {all1, all1, all1},
		"path_unlink_file":        {all1, all1, all1},
		"path_create_directory":   {root, 0, 0},
		"args_sizes_get":          {all1, 0},
		"fd_prestat_get":          {all1, all1},
		"path_link":               {root, all1, 64, 1, root, 64, 1},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		g.call(function, params...)
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if took > 5*time.Second {
			t.Errorf("%s took %v", function, took)
		}
		// Writing to the test's own stdout keeps what is written.
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 && function != "fd_write" {
			t.Errorf("%s allocated %d bytes", function, grown)
		}
	}
}

func TestSymbolicLinksThatLoopAreErrorsEverywhere(t *testing.T) {
	g := newGuest(t, guestConfig{})
	a, aN := g.path("a")
	b, bN := g.path("b")
	g.ok("path_symlink", a, aN, root, b, bN)
	g.ok("path_symlink", b, bN, root, a, aN)
	in, inN := g.path("a/x")
	buffer := g.room(64)
	g.wants(loop, "path_create_directory", root, in, inN)
	g.wants(loop, "path_unlink_file", root, in, inN)
	g.wants(loop, "path_remove_directory", root, in, inN)
	g.wants(loop, "path_rename", root, in, inN, root, b, bN)
	g.wants(loop, "path_link", root, follow, a, aN, root, in, inN)
	g.wants(loop, "path_filestat_get", root, follow, a, aN, buffer)
	g.wants(loop, "path_readlink", root, in, inN, buffer, 64, buffer)
	g.wants(loop, "path_symlink", a, aN, root, in, inN)
	g.ok("path_filestat_get", root, 0, a, aN, buffer)
}

// numbers are what programs might pass that mean harm, or well.
var numbers = []uint64{
	0, 1, 2, 3, 4, 5, 6, 7, 8, 15, 24, 31, 48, 64, 72, 100, 128, 200, 1000, 1024, 65536, memorySize - 8, memorySize - 1,
	memorySize, 1 << 20, 1<<30 - 1, 1 << 31, all1 - 7, all1, 1 << 40, 1<<63 - 1, 1 << 63, 1<<64 - 1,
}

// play makes calls as seed and script have them, and returns all that came of
// them.
func play(t testing.TB, script []byte) string {
	g := newGuest(t, guestConfig{
		args: []string{"prog", "arg"}, env: []string{"A=b"}, maxFiles: 12,
		limits: filesystem.Limits{Bytes: 1 << 20, Names: 40},
	})
	g.stdin = [][]byte{[]byte("some"), []byte("input")}
	g.closed = true
	functions := wasip1.Module().Funcs
	var trace strings.Builder
	next := func() byte {
		if len(script) == 0 {
			return 0
		}
		b := script[0]
		script = script[1:]
		return b
	}
	for i := 0; len(script) > 0 && i < 200; i++ {
		if i%20 == 0 {
			furnish(g)
		}
		f := functions[int(next())%len(functions)]
		params := make([]uint64, len(f.Params))
		for k, kind := range f.Params {
			choice := next()
			params[k] = numbers[int(choice)%len(numbers)]
			if choice >= 128 { // a small number, as descriptors, flags and paths are
				params[k] = uint64(choice-128) % 16
				if choice >= 192 {
					params[k] = uint64(choice-192) * 8
				}
			}
			if kind == wasm.I32 {
				params[k] &= all1
			}
		}
		e, err := g.try(f.Name, params...)
		fmt.Fprintf(&trace, "%s%v %v %v\n", f.Name, params, e, err)
	}
	manifest, err := g.fs.Encode()
	must(t, err)
	again, err := filesystem.Decode(manifest, filesystem.Config{Now: g.tick, Packs: discard{}})
	if err != nil {
		t.Fatalf("the file system has lost its invariants: %v\nafter\n%s", err, trace.String())
	}
	if got, want := again.Usage(), g.fs.Usage(); got != want {
		t.Fatalf("the quotas have lost count: got %+v, used %+v\nafter\n%s", want, got, trace.String())
	}
	fmt.Fprintf(&trace, "%x\n%q\n%q\n%x", manifest, g.stdout, g.stderr, g.in.Memory())
	return trace.String()
}

// furnish writes paths, vectors and subscriptions to where numbers point.
func furnish(g *guest) {
	m := g.in.Memory()
	copy(m[64:], "f\x00d\x00d/x\x00s\x00../f\x00./d/../d/\x00")
	copy(m[128:], subscribe(fileSub{1, 0, false}, clockSub{2, 1, 5, false}, fileSub{3, 4, true}))
	for i, v := range []uint32{64, 3, 128, 48, 1000, 5000, all1, 1, 0, memorySize} {
		g.put32(1000+4*uint64(i), v)
	}
}

func TestAnyCallsWithAnyParametersLeaveTheHostWhole(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 1))
		script := make([]byte, 1500)
		for i := range script {
			script[i] = byte(r.Uint32())
		}
		first := play(t, script)
		if seed%10 == 0 {
			if second := play(t, script); first != second {
				t.Fatalf("seed %d: the same calls gave\n%.3000s\nand\n%.3000s", seed, first, second)
			}
		}
	}
}

func FuzzCalls(f *testing.F) {
	f.Add([]byte{37, 131, 0, 208, 129, 129, 255, 255, 0, 14, 30, 132, 10})
	f.Add(bytes.Repeat([]byte{30, 131, 0, 200, 129, 129, 31, 31, 0, 205}, 30))
	f.Fuzz(func(t *testing.T, script []byte) { play(t, script) })
}

func TestBusyCallsAllocateNothing(t *testing.T) {
	g := newGuest(t, guestConfig{})
	fd := g.create("f")
	g.write(fd, strings.Repeat("x", 1000))
	hello := g.put([]byte("hello"))
	iovs, n := g.iovs([2]uint64{hello, 5})
	to := g.room(64)
	g.sysQuiet()
	stack := make([]uint64, 9)
	for function, params := range map[string][]uint64{
		"clock_time_get": {1, 0, to}, "random_get": {to, 16}, "fd_write": {1, iovs, n, to}, "fd_read": {fd, iovs, n, to},
		"fd_pread": {fd, iovs, n, 0, to}, "fd_pwrite": {fd, iovs, n, 0, to}, "fd_seek": {fd, 0, 0, to},
		"fd_filestat_get": {fd, to}, "fd_fdstat_get": {fd, to}, "sched_yield": {}, "fd_tell": {fd, to},
	} {
		call := func() {
			copy(stack, params)
			if err := g.in.Call(t.Context(), function, stack); err != nil || stack[0] != 0 {
				t.Fatalf("%s: %d, %v", function, stack[0], err)
			}
		}
		call()
		if got := testing.AllocsPerRun(100, call); got > 0 {
			t.Errorf("%s allocates %v times", function, got)
		}
	}
}

// sysQuiet makes room for output, so that keeping it is no allocation.
func (g *guest) sysQuiet() { g.stdout = make([]byte, 0, 1<<16) }

func BenchmarkCalls(b *testing.B) {
	g := newGuest(b, guestConfig{})
	fd := g.create("f")
	g.write(fd, strings.Repeat("x", 1000))
	buffer := g.room(64)
	iovs, n := g.iovs([2]uint64{buffer, 64})
	to := g.room(64)
	stack := make([]uint64, 9)
	for _, c := range []struct {
		function string
		params   []uint64
	}{
		{"sched_yield", nil},
		{"clock_time_get", []uint64{1, 0, to}},
		{"random_get", []uint64{to, 16}},
		{"fd_pread", []uint64{fd, iovs, n, 0, to}},
		{"fd_pwrite", []uint64{fd, iovs, n, 0, to}},
		{"path_filestat_get", []uint64{root, 0, g.put([]byte("f")), 1, to}},
	} {
		b.Run(c.function, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				copy(stack, c.params)
				if err := g.in.Call(b.Context(), c.function, stack); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
