package wasip1_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/wasip1"
)

// unobserved lists the functions that Config.Observed does not hear of.
func unobserved(t *testing.T) (names []string) {
	t.Helper()
	heard := ""
	g := newGuest(t, guestConfig{observed: func(function string) { heard = function }})
	for _, f := range wasip1.Module().Funcs {
		heard = ""
		_, _ = g.try(f.Name, make([]uint64, len(f.Params))...)
		if heard != "" && heard != f.Name {
			t.Errorf("%s is heard of as %s", f.Name, heard)
		}
		if heard == "" {
			names = append(names, f.Name)
		}
	}
	return names
}

func TestCallsThatTellOfTheWorldAreObserved(t *testing.T) {
	want := []string{
		"proc_exit", "clock_res_get", "fd_advise", "fd_close", "fd_datasync", "fd_fdstat_get", "fd_fdstat_set_flags",
		"fd_fdstat_set_rights", "fd_prestat_dir_name", "fd_prestat_get", "fd_renumber", "fd_seek", "fd_sync", "fd_tell",
		"proc_raise", "sched_yield", "sock_accept", "sock_recv", "sock_send", "sock_shutdown",
	}
	if got := unobserved(t); !slices.Equal(got, want) {
		t.Errorf("not observed are %q,\nwant %q", got, want)
	}
}

// TestCallsThatAreNotObservedAreTheSameInEveryWorld makes the same calls in two
// worlds that have nothing in common but the directory that they show.
func TestCallsThatAreNotObservedAreTheSameInEveryWorld(t *testing.T) {
	functions := map[string]int{}
	names := unobserved(t)
	for _, f := range wasip1.Module().Funcs {
		if slices.Contains(names, f.Name) {
			functions[f.Name] = len(f.Params)
		}
	}
	succeeded := 0
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 3))
		one := newGuest(t, guestConfig{})
		other := newGuest(t, guestConfig{
			args: []string{"a", "b"}, env: []string{"c=d"}, limits: filesystem.Limits{Bytes: 1 << 20}, maxFiles: 4,
		})
		other.now, other.closed, other.stdin, other.noise = 1e9, true, [][]byte{[]byte("input")}, 5
		for _, name := range []string{"a", "b/c"} {
			_, err := other.fs.MkdirAll(filesystem.Root, name)
			must(t, err)
		}
		// Each word is a number, a place in memory, and if it is 97 a path.
		for at := uint64(0); at < 2000; at += 4 {
			word := []uint32{97, uint32(random.IntN(8)), uint32(64 + 8*random.IntN(100))}[random.IntN(3)]
			binary.LittleEndian.PutUint32(one.bytes(at, 4), word)
			binary.LittleEndian.PutUint32(other.bytes(at, 4), word)
		}
		for range 500 {
			name := names[random.IntN(len(names))]
			params := make([]uint64, functions[name])
			for i := range params {
				switch random.IntN(8) {
				case 0, 1, 2, 3:
					params[i] = random.Uint64N(6)
				case 4, 5:
					params[i] = 64 + 8*random.Uint64N(100)
				case 6:
					params[i] = memorySize - random.Uint64N(40)
				case 7:
					params[i] = random.Uint64()
				}
			}
			e, err := one.try(name, params...)
			otherE, otherErr := other.try(name, params...)
			if e != otherE || (err == nil) != (otherErr == nil) || err != nil && err.Error() != otherErr.Error() {
				t.Fatalf("seed %d: %s%v: %v, %v in one world and %v, %v in the other", seed, name, params, e, err, otherE, otherErr)
			}
			if e == success && err == nil {
				succeeded++
			}
		}
		if !bytes.Equal(one.in.Memory(), other.in.Memory()) {
			t.Errorf("seed %d: the memories differ", seed)
		}
		if a, b := one.sys.AppendOpen(nil), other.sys.AppendOpen(nil); !bytes.Equal(a, b) {
			t.Errorf("seed %d: the descriptors differ:\n%x\n%x", seed, a, b)
		}
		if one.touched+one.writes+len(one.waits) > 0 {
			t.Errorf("seed %d: a clock was touched %d times, written %d times, waited %d times", seed, one.touched, one.writes, len(one.waits))
		}
	}
	if succeeded < 1000 {
		t.Errorf("only %d calls succeeded", succeeded)
	}
}
