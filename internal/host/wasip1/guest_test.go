package wasip1_test

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/host/ambient"
	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/internal/host/wasip1"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// guest is a module that has a memory and exports each function of the host as
// it is: tests call them as a program would, with any parameters.
type guest struct {
	*world
	t    testing.TB
	in   *wasm.Instance
	free uint32 // where the next put goes
}

// world is what the guest runs in: all of it made up, so that runs are equal.
type world struct {
	fs             *filesystem.FS
	sys            *wasip1.System
	now            uint64
	touched        int
	waits          []uint64 // deadlines
	stdin          [][]byte // what is there at once; then the end
	closed         bool     // no more input comes
	stdout, stderr []byte
	writes         int
	noise          byte  // makes other random bytes
	fail           error // of the host
}

func (w *world) tick() uint64              { w.now++; return w.now }
func (w *world) Realtime() (uint64, error) { return 1e18 + w.tick(), w.fail }
func (w *world) Monotonic() (uint64, error) {
	return w.tick(), w.fail
}
func (w *world) Touch() error { w.touched++; return w.fail }

func (w *world) Wait(deadline uint64, stdin bool) (ambient.Readiness, error) {
	w.waits = append(w.waits, deadline)
	if stdin && (len(w.stdin) > 0 || w.closed) {
		r := ambient.Readiness{Now: w.tick(), Stdin: true, EOF: len(w.stdin) == 0}
		if !r.EOF {
			r.Bytes = uint64(len(w.stdin[0]))
		}
		return r, w.fail
	}
	if deadline == ambient.Forever && w.fail == nil {
		return ambient.Readiness{}, errForever
	}
	w.now = max(w.now+1, deadline)
	return ambient.Readiness{Now: w.now}, w.fail
}

var errForever = errors.New("this wait would never end")

func (w *world) Fill(p []byte) error {
	for i := range p {
		p[i] = byte(i*7+1) ^ w.noise
	}
	return w.fail
}

func (w *world) Read(limit int) ([]byte, error) {
	if len(w.stdin) == 0 {
		return nil, w.fail
	}
	p := w.stdin[0]
	if len(p) > limit {
		w.stdin[0] = p[limit:]
		return p[:limit], w.fail
	}
	w.stdin = w.stdin[1:]
	return p, w.fail
}

func (w *world) Write(stream int, p []byte) error {
	w.writes++
	if stream == 1 {
		w.stdout = append(w.stdout, p...)
	} else {
		w.stderr = append(w.stderr, p...)
	}
	return w.fail
}

const root = 3 // the descriptor of "/"

type guestConfig struct {
	args, env []string
	limits    filesystem.Limits
	maxFiles  int
	pages     uint32
	terminal  [3]bool
	observed  func(function string)
}

func newGuest(t testing.TB, c guestConfig) *guest {
	t.Helper()
	w := &world{now: 100}
	w.fs = filesystem.New(filesystem.Config{Now: w.tick, Limits: c.limits, Packs: discard{}})
	var err error
	w.sys, err = wasip1.New(wasi.Config{
		Args: c.args, Env: c.env, FS: w.fs, Clocks: w, Random: w, Stdio: w, MaxFiles: c.maxFiles, Terminal: c.terminal, Observed: c.observed,
		Preopens: []wasi.Preopen{{Name: "/", Dir: filesystem.Root}},
	})
	must(t, err)
	if c.pages == 0 {
		c.pages = 4
	}
	r := newRunner(t)
	m := r.compile(t, forwarder(c.pages))
	in, err := m.Instantiate(context.Background(), wasm.InstanceConfig{Hosts: []*wasm.Host{r.host}, State: w.sys})
	must(t, err)
	t.Cleanup(func() { must(t, in.Close()) })
	return &guest{world: w, t: t, in: in, free: 64}
}

// discard is for file systems whose manifest alone is of interest.
type discard struct{}

func (discard) Put(p []byte) (filesystem.Sum, error) { return filesystem.Sum{byte(len(p))}, nil }
func (discard) Get(filesystem.Sum) ([]byte, error)   { return nil, errors.New("nothing is kept") }

// forwarder assembles the guest's module.
func forwarder(pages uint32) []byte {
	uleb := func(v int) []byte { return binary.AppendUvarint(nil, uint64(v)) }
	counted := func(n int, body []byte) []byte { return append(uleb(n), body...) }
	name := func(s string) []byte { return counted(len(s), []byte(s)) }
	section := func(id byte, n int, body []byte) []byte {
		body = counted(n, body)
		return append(append([]byte{id}, uleb(len(body))...), body...)
	}
	var types, imports, funcs, exports, code []byte
	list := wasip1.Module().Funcs
	for i, f := range list {
		types = append(types, 0x60)
		for _, side := range [][]wasm.ValueType{f.Params, f.Results} {
			types = append(types, uleb(len(side))...)
			for _, v := range side {
				types = append(types, byte(v))
			}
		}
		imports = slices.Concat(imports, name("wasi_snapshot_preview1"), name(f.Name), []byte{0}, uleb(i))
		funcs = append(funcs, uleb(i)...)
		exports = slices.Concat(exports, name(f.Name), []byte{0}, uleb(len(list)+i))
		body := []byte{0}
		for p := range f.Params {
			body = append(append(body, 0x20), uleb(p)...)
		}
		body = append(append(append(body, 0x10), uleb(i)...), 0x0b)
		code = append(append(code, uleb(len(body))...), body...)
	}
	exports = slices.Concat(exports, name("memory"), []byte{2, 0})
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, len(list), types), section(2, len(list), imports), section(3, len(list), funcs),
		section(5, 1, slices.Concat([]byte{0}, uleb(int(pages)))),
		section(7, len(list)+1, exports), section(10, len(list), code))
}

// try calls a function: its error number, or how the call ended.
func (g *guest) try(function string, params ...uint64) (errno, error) {
	stack := make([]uint64, max(len(params), 1))
	copy(stack, params)
	err := g.in.Call(context.Background(), function, stack)
	return errno(stack[0]), err
}

func (g *guest) call(function string, params ...uint64) errno {
	g.t.Helper()
	e, err := g.try(function, params...)
	if err != nil {
		g.t.Fatalf("%s%v ended the program: %v", function, params, err)
	}
	return e
}

// ok calls a function that must succeed.
func (g *guest) ok(function string, params ...uint64) {
	g.t.Helper()
	g.wants(success, function, params...)
}

func (g *guest) wants(want errno, function string, params ...uint64) {
	g.t.Helper()
	if got := g.call(function, params...); got != want {
		g.t.Errorf("%s%v: got %v, want %v", function, params, got, want)
	}
}

// put places bytes in memory, at a multiple of 8.
func (g *guest) put(b []byte) uint64 {
	at := (g.free + 7) &^ 7
	g.free = at + uint32(len(b))
	if int(g.free) > len(g.in.Memory()) {
		g.t.Fatal("the guest's memory is too small for this test")
	}
	copy(g.in.Memory()[at:], b)
	return uint64(at)
}

func (g *guest) room(n int) uint64             { return g.put(make([]byte, n)) }
func (g *guest) bytes(at uint64, n int) []byte { return g.in.Memory()[at : at+uint64(n)] }
func (g *guest) u32(at uint64) uint32          { return binary.LittleEndian.Uint32(g.in.Memory()[at:]) }

func (g *guest) u64(at uint64) uint64 { return binary.LittleEndian.Uint64(g.in.Memory()[at:]) }

// path places a path: the two parameters that it takes.
func (g *guest) path(s string) (at, n uint64) { return g.put([]byte(s)), uint64(len(s)) }

// iovs places a vector of buffers: the two parameters that it takes.
func (g *guest) iovs(buffers ...[2]uint64) (at, n uint64) {
	var b []byte
	for _, v := range buffers {
		b = binary.LittleEndian.AppendUint32(b, uint32(v[0]))
		b = binary.LittleEndian.AppendUint32(b, uint32(v[1]))
	}
	return g.put(b), uint64(len(buffers))
}

const everything = 1<<30 - 1 // all rights

// Rights, by their bits.
const (
	fdRead    = 1 << 1
	fdSeek    = 1 << 2
	fdWrite   = 1 << 6
	pathOpen  = 1 << 13
	fdReaddir = 1 << 14
)

const (
	oCreate    = 1
	oDirectory = 2
	oExclusive = 4
	oTruncate  = 8
	follow     = 1
)

type how struct {
	dir, lookup, flags, base, inheriting, fdflags uint64
}

func (g *guest) tryOpen(path string, h how) (fd uint64, e errno) {
	g.t.Helper()
	at, n := g.path(path)
	to := g.room(4)
	if h.dir == 0 {
		h.dir = root
	}
	e = g.call("path_open", h.dir, h.lookup, at, n, h.flags, h.base, h.inheriting, h.fdflags, to)
	return uint64(g.u32(to)), e
}

func (g *guest) open(path string, h how) uint64 {
	g.t.Helper()
	fd, e := g.tryOpen(path, h)
	if e != success {
		g.t.Fatalf("open %q %+v: %v", path, h, e)
	}
	return fd
}

// create opens a new file to read and write it.
func (g *guest) create(path string) uint64 {
	g.t.Helper()
	return g.open(path, how{flags: oCreate, base: everything})
}

func (g *guest) write(fd uint64, s string) errno {
	g.t.Helper()
	iovs, n := g.iovs([2]uint64{g.put([]byte(s)), uint64(len(s))})
	to := g.room(4)
	e := g.call("fd_write", fd, iovs, n, to)
	if e == success && g.u32(to) != uint32(len(s)) {
		g.t.Errorf("wrote %d bytes of %d", g.u32(to), len(s))
	}
	return e
}

func (g *guest) read(fd uint64, n int) (string, errno) {
	g.t.Helper()
	buffer := g.room(n)
	iovs, count := g.iovs([2]uint64{buffer, uint64(n)})
	to := g.room(4)
	e := g.call("fd_read", fd, iovs, count, to)
	return string(g.bytes(buffer, int(g.u32(to)))), e
}

// reads checks what reading gives.
func (g *guest) reads(fd uint64, n int, want string) {
	g.t.Helper()
	if got, e := g.read(fd, n); e != success || got != want {
		g.t.Errorf("read %d bytes: got %q, %v, want %q", n, got, e, want)
	}
}

// rights of an open descriptor.
func (g *guest) rights(fd uint64) (base, inheriting uint64) {
	g.t.Helper()
	to := g.room(24)
	g.ok("fd_fdstat_get", fd, to)
	return g.u64(to + 8), g.u64(to + 16)
}

// onPath calls a function that takes a descriptor and a path.
func (g *guest) onPath(function, path string) errno {
	g.t.Helper()
	at, n := g.path(path)
	return g.call(function, root, at, n)
}

// names reads a directory with a buffer of size bytes at a time, as libraries
// do: an entry that is cut off is read again.
func (g *guest) names(fd uint64, size int) (list []string) {
	g.t.Helper()
	buffer, used := g.room(size), g.room(4)
	for cookie := uint64(0); ; {
		g.ok("fd_readdir", fd, buffer, uint64(size), cookie, used)
		b := g.bytes(buffer, int(g.u32(used)))
		full := len(b) == size
		got := 0
		for len(b) >= 24 {
			n := 24 + int(binary.LittleEndian.Uint32(b[16:]))
			if n > len(b) {
				break
			}
			list = append(list, string(b[24:n]))
			cookie = binary.LittleEndian.Uint64(b)
			b = b[n:]
			got++
		}
		if !full {
			return list
		}
		if got == 0 {
			g.t.Fatalf("a buffer of %d bytes gives no entry", size)
		}
	}
}

// errno prints as the specification names it.
type errno uint32

const (
	success     errno = 0
	acces       errno = 2
	again       errno = 6
	badf        errno = 8
	busy        errno = 10
	dquot       errno = 19
	exist       errno = 20
	fault       errno = 21
	fbig        errno = 22
	ilseq       errno = 25
	inval       errno = 28
	errIO       errno = 29
	isdir       errno = 31
	loop        errno = 32
	mfile       errno = 33
	mlink       errno = 34
	nametoolong errno = 37
	noent       errno = 44
	nospc       errno = 51
	notdir      errno = 54
	notempty    errno = 55
	notsock     errno = 57
	notsup      errno = 58
	perm        errno = 63
	spipe       errno = 70
	notcapable  errno = 76
)

func (e errno) String() string {
	names := map[errno]string{
		success: "success", acces: "acces", again: "again", badf: "badf", busy: "busy", dquot: "dquot", exist: "exist",
		fault: "fault", fbig: "fbig", ilseq: "ilseq", inval: "inval", errIO: "io", isdir: "isdir", loop: "loop",
		mfile: "mfile", mlink: "mlink", nametoolong: "nametoolong", noent: "noent", nospc: "nospc", notdir: "notdir",
		notempty: "notempty", notsock: "notsock", notsup: "notsup", perm: "perm", spipe: "spipe", notcapable: "notcapable",
	}
	if s, ok := names[e]; ok {
		return s
	}
	return "errno " + strings.TrimSpace(string(rune('0'+e/10))+string(rune('0'+e%10)))
}
