package wasip2

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

func TestClocksTellTheTime(t *testing.T) {
	r := newRig(t, wasi.Config{})
	r.equal(r.call("wasi:clocks/monotonic-clock#now"), uint64(102))
	r.equal(r.call("wasi:clocks/monotonic-clock#resolution"), uint64(1))
	r.equal(r.call("wasi:clocks/wall-clock#now"), []wit.Value{uint64(1e9), uint32(103)})
	r.equal(r.call("wasi:clocks/wall-clock#resolution"), []wit.Value{uint64(0), uint32(1)})
	at := []wit.Value{uint64(5), uint32(6)}
	r.equal(r.call("wasi:clocks/timezone#display", at), []wit.Value{int32(0), "UTC", false})
	r.equal(r.call("wasi:clocks/timezone#utc-offset", at), int32(0))
}

func TestRandomNumbersAreDrawnFromTheStream(t *testing.T) {
	r := newRig(t, wasi.Config{})
	r.equal(r.call("wasi:random/random#get-random-bytes", uint64(3)), []byte{1, 2, 3})
	r.equal(r.call("wasi:random/insecure#get-insecure-random-bytes", uint64(0)), []byte{})
	r.equal(r.call("wasi:random/random#get-random-u64"), uint64(0x0b0a090807060504))
	r.equal(r.call("wasi:random/insecure#get-insecure-random-u64"), uint64(0x131211100f0e0d0c))
	r.equal(r.call("wasi:random/insecure-seed#insecure-seed"), []wit.Value{uint64(0x1b1a191817161514), uint64(0x232221201f1e1d1c)})
	for _, name := range []string{"wasi:random/random#get-random-bytes", "wasi:random/insecure#get-insecure-random-bytes"} {
		r.equal(len(r.call(name, uint64(maxRandom)).([]byte)), maxRandom)
		r.traps("random bytes", name, uint64(maxRandom+1))
		r.traps("random bytes", name, uint64(math.MaxUint64))
	}
}

func TestProgramIsToldOfItsSurroundings(t *testing.T) {
	r := newRig(t, wasi.Config{
		Args: []string{"prog", "", "ä"}, Env: []string{"A=1", "B=x=y", "C", "=D"}, Directory: "/work", Terminal: [3]bool{true, false, true},
	})
	r.equal(r.call("wasi:cli/environment#get-arguments"), []wit.Value{"prog", "", "ä"})
	r.equal(r.call("wasi:cli/environment#get-environment"), []wit.Value{
		[]wit.Value{"A", "1"}, []wit.Value{"B", "x=y"}, []wit.Value{"C", ""}, []wit.Value{"", "D"},
	})
	r.equal(r.call("wasi:cli/environment#initial-cwd"), some("/work"))
	in := r.call("wasi:cli/terminal-stdin#get-terminal-stdin").(wit.Case)
	r.equal(r.call("wasi:cli/terminal-stdout#get-terminal-stdout"), none)
	out := r.call("wasi:cli/terminal-stderr#get-terminal-stderr").(wit.Case)
	r.drop(in.Payload, out.Payload)
	r.empty()

	r = newRig(t, wasi.Config{})
	r.equal(r.call("wasi:cli/environment#get-arguments"), []wit.Value{})
	r.equal(r.call("wasi:cli/environment#get-environment"), []wit.Value{})
	r.equal(r.call("wasi:cli/environment#initial-cwd"), none)
}

func TestProgramsExitByAnError(t *testing.T) {
	r := newRig(t, wasi.Config{})
	for _, c := range []struct {
		name string
		arg  wit.Value
		want uint32
	}{
		{"wasi:cli/exit#exit", ok(nil), 0},
		{"wasi:cli/exit#exit", failed(nil), 1},
		{"wasi:cli/exit#exit-with-code", uint8(0), 0},
		{"wasi:cli/exit#exit-with-code", uint8(255), 255},
	} {
		_, err := r.try(c.name, c.arg)
		var exit *wasi.ExitError
		if !errors.As(err, &exit) || exit.Code != c.want {
			t.Errorf("%s(%v): got %v, want code %d", c.name, c.arg, err, c.want)
		}
	}
}

func TestWhatNoProgramCanBeGivenIsRefused(t *testing.T) {
	files := filesystem.New(filesystem.Config{Now: func() uint64 { return 1 }})
	file, err := files.Open(filesystem.Root, "file", filesystem.OpenOptions{Create: true})
	must(t, err)
	long := strings.Repeat("x", wasi.MaxVector)
	for what, c := range map[string]wasi.Config{
		"an argument that is not UTF-8":      {Args: []string{"\xff"}},
		"an argument with a zero byte":       {Args: []string{"a\x00"}},
		"too long arguments":                 {Args: []string{long}},
		"a variable that is not UTF-8":       {Env: []string{"a=\xff"}},
		"too long an environment":            {Env: []string{"a", long[2:]}},
		"a directory name that is not UTF-8": {Directory: "\xff"},
		"a file for a directory":             {Preopens: []wasi.Preopen{{Name: "/", Dir: file}}},
		"a directory that is not there":      {Preopens: []wasi.Preopen{{Name: "/", Dir: 99}}},
		"a preopen's name that is not UTF-8": {Preopens: []wasi.Preopen{{Name: "\xff", Dir: filesystem.Root}}},
		"a preopen's name that is no name":   {Preopens: []wasi.Preopen{{Name: "a\x00", Dir: filesystem.Root}}},
		"more directories than can be kept":  {Preopens: make([]wasi.Preopen, maxPreopens+1)},
		"a state that is none":               {Open: []byte{}},
	} {
		c.FS = files
		for i := range c.Preopens {
			if c.Preopens[i].Dir == 0 {
				c.Preopens[i].Dir = filesystem.Root
			}
		}
		if _, err := New(c); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}
