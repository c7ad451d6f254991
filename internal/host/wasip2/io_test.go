package wasip2

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/waterbear-run/waterbear/internal/host/ambient"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

const (
	read           = "[method]input-stream.read"
	blockingRead   = "[method]input-stream.blocking-read"
	skip           = "[method]input-stream.skip"
	checkWriteName = "[method]output-stream.check-write"
	writeName      = "[method]output-stream.write"
	writeFlush     = "[method]output-stream.blocking-write-and-flush"
	inSubscribe    = "[method]input-stream.subscribe"
	outSubscribe   = "[method]output-stream.subscribe"
	splice         = "[method]output-stream.splice"
	ready          = "[method]pollable.ready"
	block          = "[method]pollable.block"
	pollName       = "wasi:io/poll#poll"

	getStdinName  = "wasi:cli/stdin#get-stdin"
	getStdoutName = "wasi:cli/stdout#get-stdout"
	getStderrName = "wasi:cli/stderr#get-stderr"
	subDuration   = "wasi:clocks/monotonic-clock#subscribe-duration"
	subInstant    = "wasi:clocks/monotonic-clock#subscribe-instant"
)

func TestOutputIsWrittenWhereItBelongs(t *testing.T) {
	r := newRig(t, wasi.Config{})
	out, err := r.call(getStdoutName), r.call(getStderrName)
	r.equal(r.ok(checkWriteName, out), uint64(maxTransfer))
	r.ok(writeName, out, []byte("one "))
	r.ok(writeName, out, []byte{})
	r.ok("[method]output-stream.write-zeroes", out, uint64(2))
	r.ok("[method]output-stream.flush", out)
	r.ok(writeFlush, err, bytes.Repeat([]byte("e"), maxBlockingWrite))
	r.ok("[method]output-stream.blocking-write-zeroes-and-flush", err, uint64(3))
	r.ok("[method]output-stream.blocking-flush", err)
	r.equal(string(r.stdout), "one \x00\x00")
	r.equal(string(r.stderr), string(bytes.Repeat([]byte("e"), maxBlockingWrite))+"\x00\x00\x00")
	r.equal(r.writes, 4) // nothing is recorded for nothing
	r.drop(out, err)
	r.empty()
}

func TestWritingMoreThanPermittedTraps(t *testing.T) {
	for name, args := range map[string]func(out wit.Value) []wit.Value{
		writeName:                            func(out wit.Value) []wit.Value { return []wit.Value{out, make([]byte, 11)} },
		"[method]output-stream.write-zeroes": func(out wit.Value) []wit.Value { return []wit.Value{out, uint64(11)} },
	} {
		r := newRig(t, wasi.Config{})
		out := r.call(getStdoutName)
		r.traps("check-write has permitted 0", name, args(out)...)
		r.ok(checkWriteName, out)
		r.ok(writeName, out, make([]byte, maxTransfer-10))
		r.traps("check-write has permitted 10", name, args(out)...)
		r.ok(writeName, out, make([]byte, 10))
	}
	r := newRig(t, wasi.Config{})
	out := r.call(getStdoutName)
	r.ok(checkWriteName, out)
	r.traps("write", "[method]output-stream.write-zeroes", out, uint64(math.MaxUint64))
	r.traps("4096 can be", writeFlush, out, make([]byte, maxBlockingWrite+1))
	r.traps("4096 can be", "[method]output-stream.blocking-write-zeroes-and-flush", out, uint64(math.MaxUint64))
	r.equal(r.writes, 0)
}

func TestInputIsReadOnceAndEnds(t *testing.T) {
	r := newRig(t, wasi.Config{})
	in := r.call(getStdinName)
	r.equal(r.ok(read, in, uint64(10)), []byte{}) // none is there, and it does not wait
	r.equal(r.waits, []uint64{0})
	r.stdin = [][]byte{[]byte("hello"), []byte("world")}
	r.equal(r.ok(read, in, uint64(0)), []byte{})
	r.equal(r.ok(read, in, uint64(2)), []byte("he"))
	r.equal(r.ok(blockingRead, in, uint64(math.MaxUint64)), []byte("llo"))
	r.equal(r.ok(skip, in, uint64(4)), uint64(4))
	r.equal(r.ok("[method]input-stream.blocking-skip", in, uint64(4)), uint64(1))
	r.closed = true
	r.fails("closed", read, in, uint64(1))
	for _, name := range []string{read, blockingRead, skip} {
		r.waits = nil
		r.fails("closed", name, in, uint64(1))
		r.fails("closed", name, in, uint64(0))
		r.equal(r.waits, []uint64(nil)) // it is known
	}
	r.drop(in)
	r.empty()
}

func TestSpliceMovesWhatIsThere(t *testing.T) {
	r := newRig(t, wasi.Config{})
	in, out := r.call(getStdinName), r.call(getStdoutName)
	r.equal(r.ok(splice, out, in, uint64(5)), uint64(0))
	r.stdin = [][]byte{[]byte("hello"), []byte("world")}
	r.equal(r.ok(splice, out, in, uint64(0)), uint64(0))
	r.equal(r.ok(splice, out, in, uint64(3)), uint64(3))
	r.equal(r.ok("[method]output-stream.blocking-splice", out, in, uint64(math.MaxUint64)), uint64(2))
	r.equal(r.ok(splice, out, in, uint64(9)), uint64(5))
	r.closed = true
	r.fails("closed", splice, out, in, uint64(1))
	r.equal(string(r.stdout), "helloworld")
}

func TestPollablesTellWhatHasCome(t *testing.T) {
	const forever = ambient.Forever
	for name, c := range map[string]struct {
		prep  func(r *rig) []wit.Value
		want  []wit.Value
		waits []uint64
		reads int
	}{
		"an instant that has passed is waited for until the clock is known": {
			func(r *rig) []wit.Value { return []wit.Value{r.call(subInstant, uint64(50))} },
			[]wit.Value{uint32(0)},
			[]uint64{50},
			0,
		},
		"the first of two instants": {
			func(r *rig) []wit.Value {
				return []wit.Value{r.call(subInstant, uint64(900)), r.call(subInstant, uint64(500))}
			},
			[]wit.Value{uint32(1)},
			[]uint64{500},
			0,
		},
		"a duration begins when it is made": {
			func(r *rig) []wit.Value { return []wit.Value{r.call(subDuration, uint64(1000))} },
			[]wit.Value{uint32(0)},
			[]uint64{1102},
			1,
		},
		"no duration reads no clock": {
			func(r *rig) []wit.Value { return []wit.Value{r.call(subDuration, uint64(0))} },
			[]wit.Value{uint32(0)},
			nil, 0,
		},
		"one event twice": {
			func(r *rig) []wit.Value {
				p := r.call(subInstant, uint64(500))
				return []wit.Value{p, r.call(subInstant, uint64(forever)), p}
			},
			[]wit.Value{uint32(0), uint32(2)},
			[]uint64{500},
			0,
		},
		"output is always ready, and a timer beside it looked at": {
			func(r *rig) []wit.Value {
				return []wit.Value{
					r.call(subInstant, uint64(900)), r.call(outSubscribe, r.call(getStdoutName)), r.call(subInstant, uint64(5)),
				}
			},
			[]wit.Value{uint32(1), uint32(2)},
			nil, 1,
		},
		"input comes before a timer": {
			func(r *rig) []wit.Value {
				r.stdin = [][]byte{{1}}
				return []wit.Value{r.call(subInstant, uint64(900)), r.call(inSubscribe, r.call(getStdinName))}
			},
			[]wit.Value{uint32(1)},
			[]uint64{900},
			0,
		},
		"a timer comes before input": {
			func(r *rig) []wit.Value {
				return []wit.Value{r.call(inSubscribe, r.call(getStdinName)), r.call(subInstant, uint64(900))}
			},
			[]wit.Value{uint32(1)},
			[]uint64{900},
			0,
		},
		"input beside what is ready is looked for": {
			func(r *rig) []wit.Value {
				return []wit.Value{r.call(inSubscribe, r.call(getStdinName)), r.call(outSubscribe, r.call(getStderrName))}
			},
			[]wit.Value{uint32(1)},
			[]uint64{0},
			0,
		},
		"the end of input is ready without looking": {
			func(r *rig) []wit.Value {
				in := r.call(getStdinName)
				r.closed = true
				r.fails("closed", blockingRead, in, uint64(1))
				return []wit.Value{r.call(inSubscribe, in)}
			},
			[]wit.Value{uint32(0)},
			nil, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, wasi.Config{})
			list := c.prep(r)
			if got := r.call(pollName, list).([]wit.Value); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if !slices.Equal(r.waits, c.waits) || r.reads != c.reads {
				t.Errorf("waited for %d and read the clock %d times, want %d and %d", r.waits, r.reads, c.waits, c.reads)
			}
		})
	}
}

func TestOnePollableIsLookedAtOrWaitedFor(t *testing.T) {
	r := newRig(t, wasi.Config{})
	p := r.call(subInstant, uint64(500))
	r.equal(r.call(ready, p), false)
	r.call(block, p)
	r.equal(r.call(ready, p), true)
	never := r.call(subInstant, uint64(ambient.Forever))
	r.equal(r.call(ready, never), false)
	if _, err := r.try(block, never); !errors.Is(err, errForever) {
		t.Errorf("got %v", err)
	}
	in := r.call(getStdinName)
	input := r.call(inSubscribe, in)
	r.equal(r.call(ready, input), false)
	r.stdin = [][]byte{{1}}
	r.equal(r.call(ready, input), true)
	r.call(block, input)
	r.equal(r.call(ready, r.call(subDuration, uint64(math.MaxUint64))), false)
}

func TestPollRefusesWhatMakesNoSense(t *testing.T) {
	r := newRig(t, wasi.Config{})
	r.traps("empty list", pollName, []wit.Value{})
	p := r.call(subInstant, uint64(1))
	r.traps("can take", pollName, slices.Repeat([]wit.Value{p}, maxPollables+1))
	if got := r.call(pollName, slices.Repeat([]wit.Value{p}, maxPollables)).([]wit.Value); len(got) != maxPollables {
		t.Errorf("got %d of %d", len(got), maxPollables)
	}
}

func TestStreamOutlivesItsPollables(t *testing.T) {
	r := newRig(t, wasi.Config{})
	in, out := r.call(getStdinName), r.call(getStdoutName)
	p, q := r.call(inSubscribe, in), r.call(outSubscribe, out)
	r.keeps(in)
	r.keeps(out)
	r.drop(p, in, q, out)
	r.empty()
}

func TestFailuresOfTheHostEndTheCall(t *testing.T) {
	for name, args := range map[string]func(r *rig) []wit.Value{
		writeName: func(r *rig) []wit.Value {
			out := r.call(getStdoutName)
			r.ok(checkWriteName, out)
			return []wit.Value{out, []byte("x")}
		},
		writeFlush:   func(r *rig) []wit.Value { return []wit.Value{r.call(getStdoutName), []byte("x")} },
		read:         func(r *rig) []wit.Value { r.stdin = [][]byte{{1}}; return []wit.Value{r.call(getStdinName), uint64(1)} },
		blockingRead: func(r *rig) []wit.Value { return []wit.Value{r.call(getStdinName), uint64(1)} },
		splice: func(r *rig) []wit.Value {
			r.stdin = [][]byte{{1}}
			return []wit.Value{r.call(getStdoutName), r.call(getStdinName), uint64(1)}
		},
		ready:                               func(r *rig) []wit.Value { return []wit.Value{r.call(subInstant, uint64(500))} },
		block:                               func(r *rig) []wit.Value { return []wit.Value{r.call(subInstant, uint64(500))} },
		pollName:                            func(r *rig) []wit.Value { return []wit.Value{[]wit.Value{r.call(subInstant, uint64(500))}} },
		subDuration:                         func(*rig) []wit.Value { return []wit.Value{uint64(1)} },
		"wasi:clocks/monotonic-clock#now":   nil,
		"wasi:clocks/wall-clock#now":        nil,
		"wasi:random/random#get-random-u64": nil,
		"wasi:random/insecure-seed#insecure-seed":        nil,
		"wasi:random/insecure#get-insecure-random-bytes": func(*rig) []wit.Value { return []wit.Value{uint64(1)} },
		"[method]descriptor.create-directory-at":         func(r *rig) []wit.Value { return []wit.Value{r.root(), "d"} },
		"[method]descriptor.set-times":                   func(r *rig) []wit.Value { return []wit.Value{r.root(), label(timeNow), label(timeNow)} },
	} {
		r := newRig(t, wasi.Config{})
		var list []wit.Value
		if args != nil {
			list = args(r)
		}
		r.fail = errBroken
		if _, err := r.try(name, list...); !errors.Is(err, errBroken) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
