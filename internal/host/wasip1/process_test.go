package wasip1_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/internal/host/wasip1"
)

func TestArgumentsAndEnvironmentAreHandedOver(t *testing.T) {
	g := newGuest(t, guestConfig{args: []string{"prog", "", "a b"}, env: []string{"K=V"}})
	for _, c := range []struct {
		get, sizes string
		want       []string
	}{{"args_get", "args_sizes_get", []string{"prog", "", "a b"}}, {"environ_get", "environ_sizes_get", []string{"K=V"}}} {
		count, size := g.room(4), g.room(4)
		g.ok(c.sizes, count, size)
		pointers, bytes := g.room(4*int(g.u32(count))), g.room(int(g.u32(size)))
		g.ok(c.get, pointers, bytes)
		var got []string
		for i := range uint64(g.u32(count)) {
			at := uint64(g.u32(pointers + 4*i))
			s, _, _ := strings.Cut(string(g.in.Memory()[at:]), "\x00")
			got = append(got, s)
		}
		if !slices.Equal(got, c.want) || int(g.u32(size)) != len(strings.Join(c.want, "\x00"))+1 {
			t.Errorf("%s: got %q of %d bytes, want %q", c.get, got, g.u32(size), c.want)
		}
	}
}

func TestWhatNoProgramCanBeGivenIsRefused(t *testing.T) {
	files := filesystem.New(filesystem.Config{Now: func() uint64 { return 1 }})
	file, err := files.Open(filesystem.Root, "f", filesystem.OpenOptions{Create: true})
	must(t, err)
	for what, c := range map[string]wasi.Config{
		"a zero byte in an argument":    {Args: []string{"a\x00b"}},
		"a zero byte in a variable":     {Env: []string{"A=\x00"}},
		"a megabyte of arguments":       {Args: []string{strings.Repeat("a", 1<<20)}},
		"a file for a directory":        {Preopens: []wasi.Preopen{{Name: "/", Dir: file}}},
		"a directory that is not there": {Preopens: []wasi.Preopen{{Name: "/", Dir: 99}}},
		"a name no program can read":    {Preopens: []wasi.Preopen{{Name: "a\x00", Dir: filesystem.Root}}},
		"more directories than files":   {Preopens: []wasi.Preopen{{Name: "/", Dir: filesystem.Root}}, MaxFiles: 3},
		"no room for the streams":       {MaxFiles: 2},
	} {
		c.FS = files
		if _, err := wasip1.New(c); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

func TestModuleHasThe46FunctionsOfTheSpecification(t *testing.T) {
	names := map[string]bool{}
	for _, f := range wasip1.Module().Funcs {
		names[f.Name] = true
	}
	if len(names) != 46 {
		t.Errorf("got %d functions, want 46", len(names))
	}
}

func TestProgramEndsWithItsCode(t *testing.T) {
	g := newGuest(t, guestConfig{})
	for function, codes := range map[string]map[uint64]uint32{
		"proc_exit":  {0: 0, 3: 3, 1<<32 - 1: 1<<32 - 1},
		"proc_raise": {6: 134, 9: 137, 15: 143, 30: 158},
	} {
		for param, want := range codes {
			_, err := g.try(function, param)
			var exit *wasi.ExitError
			if !errors.As(err, &exit) || exit.Code != want {
				t.Errorf("%s(%d): got %v, want code %d", function, param, err, want)
			}
		}
	}
	for signal, want := range map[uint64]errno{0: success, 16: success, 17: success, 22: success, 27: success, 18: notsup, 21: notsup, 31: inval, 255: inval} {
		g.wants(want, "proc_raise", signal)
	}
	g.ok("sched_yield")
}

func TestClocks(t *testing.T) {
	g := newGuest(t, guestConfig{})
	to := g.room(8)
	g.ok("clock_time_get", 0, 1, to)
	if got := g.u64(to); got < 1e18 {
		t.Errorf("wall clock: got %d", got)
	}
	g.ok("clock_time_get", 1, 1, to)
	first := g.u64(to)
	g.ok("clock_time_get", 1, 1, to)
	if second := g.u64(to); second <= first || second > 1e9 {
		t.Errorf("monotonic clock: got %d after %d", second, first)
	}
	for clock, want := range map[uint64]errno{0: success, 1: success, 2: notsup, 3: notsup, 4: inval, 1<<32 - 1: inval} {
		g.wants(want, "clock_res_get", clock, to)
		g.wants(want, "clock_time_get", clock, 0, to)
	}
	g.wants(fault, "clock_time_get", 0, 0, 1<<18-7)
}

func TestSocketsAreRefused(t *testing.T) {
	g := newGuest(t, guestConfig{})
	for function, rest := range map[string][]uint64{
		"sock_accept": {0, 0}, "sock_recv": {0, 0, 0, 0, 0}, "sock_send": {0, 0, 0, 0}, "sock_shutdown": {0},
	} {
		g.wants(notsock, function, append([]uint64{root}, rest...)...)
		g.wants(badf, function, append([]uint64{77}, rest...)...)
	}
}

func TestHostErrorsEndTheCallAsTheyAre(t *testing.T) {
	g := newGuest(t, guestConfig{})
	g.create("f")
	at, n := g.path("f")
	iovs, count := g.iovs([2]uint64{at, n})
	to := g.room(64)
	g.fail = errors.New("the oplog is full")
	sub := g.put(subscribe(clockSub{id: 1, timeout: 5}))
	for function, params := range map[string][]uint64{
		"clock_time_get":        {0, 0, to},
		"random_get":            {to, 8},
		"fd_write":              {1, iovs, count, to},
		"fd_read":               {0, iovs, count, to},
		"poll_oneoff":           {sub, to, 1, to + 32},
		"path_create_directory": {root, at, n},
	} {
		if _, err := g.try(function, params...); err != g.fail {
			t.Errorf("%s: got error %v, want %v", function, err, g.fail)
		}
	}
}

func TestInputIsReadAsItComes(t *testing.T) {
	g := newGuest(t, guestConfig{})
	g.stdin = [][]byte{[]byte("one\n"), []byte("a longer line\n")}
	g.reads(0, 100, "one\n")
	a, b := g.room(3), g.room(8)
	iovs, n := g.iovs([2]uint64{a, 3}, [2]uint64{b, 8})
	to := g.room(4)
	g.ok("fd_read", 0, iovs, n, to)
	if g.u32(to) != 11 || string(g.bytes(a, 3))+string(g.bytes(b, 8)) != "a longer li" {
		t.Errorf("scattered: got %d bytes, %q, %q", g.u32(to), g.bytes(a, 3), g.bytes(b, 8))
	}
	g.reads(0, 0, "")
	g.reads(0, 100, "ne\n")
	g.reads(0, 100, "")
	// Without blocking, what is not there yet is another error than the end.
	g.ok("fd_fdstat_set_flags", 0, 4)
	if _, e := g.read(0, 10); e != again {
		t.Errorf("no input yet: got %v", e)
	}
	g.closed = true
	g.reads(0, 10, "")
	if e := g.write(0, "x"); e != badf {
		t.Errorf("write to the input: got %v", e)
	}
}

func TestOutputOfSmallPartsIsOneWriting(t *testing.T) {
	g := newGuest(t, guestConfig{pages: 8})
	hello, world := g.put([]byte("hello ")), g.put([]byte("world\n"))
	iovs, n := g.iovs([2]uint64{hello, 6}, [2]uint64{world, 6})
	to := g.room(4)
	g.ok("fd_write", 1, iovs, n, to)
	g.ok("fd_write", 2, iovs, n, to)
	if string(g.stdout) != "hello world\n" || string(g.stderr) != "hello world\n" || g.writes != 2 || g.u32(to) != 12 {
		t.Errorf("got %q, %q in %d writings", g.stdout, g.stderr, g.writes)
	}
	// Parts that are large are not copied, and come in order.
	g.stdout, g.writes = nil, 0
	large := g.put([]byte(strings.Repeat("x", 100000)))
	iovs, n = g.iovs([2]uint64{hello, 6}, [2]uint64{large, 100000}, [2]uint64{world, 6}, [2]uint64{large, 60000}, [2]uint64{large, 10000})
	g.ok("fd_write", 1, iovs, n, to)
	want := "hello " + strings.Repeat("x", 100000) + "world\n" + strings.Repeat("x", 70000)
	if string(g.stdout) != want || g.writes != 4 {
		t.Errorf("got %d bytes in %d writings, want %d in 4", len(g.stdout), g.writes, len(want))
	}
	if _, e := g.read(1, 10); e != badf {
		t.Errorf("read from the output: got %v", e)
	}
	g.wants(spipe, "fd_seek", 1, 0, 1, g.room(8))
	g.wants(inval, "fd_sync", 1)
}

func TestStreamsLookLikeATerminalIfTheyAre(t *testing.T) {
	g := newGuest(t, guestConfig{terminal: [3]bool{false, true, false}})
	for fd, want := range []byte{0, 2, 0} {
		stat := g.room(64)
		g.ok("fd_fdstat_get", uint64(fd), stat)
		if got := g.bytes(stat, 1)[0]; got != want {
			t.Errorf("stream %d: got type %d, want %d", fd, got, want)
		}
		g.ok("fd_filestat_get", uint64(fd), stat)
		if got := g.bytes(stat, 64)[16]; got != want {
			t.Errorf("stream %d: got type %d, want %d", fd, got, want)
		}
	}
}
