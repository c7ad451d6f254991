package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// tour is a launch of a component that does whatever Rust's standard library can
// do, over a directory in which it leaves files.
func tour(t *testing.T, dir string, args ...string) Launch {
	t.Helper()
	l := script(t)
	l.Program, l.Args = guests.Wasm(t, "components/tour"), append([]string{"tour"}, args...)
	l.Env, l.Dirs = []string{"A=1"}, []oplog.Dir{{Host: dir, Guest: "/"}}
	return l
}

func TestEveryInterruptionOfAComponentLeadsToTheSameEnd(t *testing.T) {
	run := func(interrupt int) (out string, files map[string]string) {
		w := newWorld(t)
		w.stdin = "some input\nand more\n"
		dir := directory(t, map[string]string{"before": "of the host"})
		l := tour(t, dir, "50", "7")
		n := 0
		w.seen = func(_ context.Context, stop context.CancelCauseFunc, _ []byte) error {
			if n++; n == interrupt {
				stop(errStop)
			}
			return nil
		}
		o, err := w.run(l)
		if errors.Is(err, errStop) {
			if files := w.files(); interrupt > 12 && files["tour/three"] == "" {
				t.Errorf("interrupted at output %d: its files are %v", interrupt, files)
			}
			o, err = w.run(l)
			if err == nil && o.Replayed == 0 {
				t.Errorf("interrupted at output %d: it began anew", interrupt)
			}
		}
		if err != nil || o.Exited == nil || o.Exited.Code != 1 || w.err.String() != "tour: done\n" {
			t.Fatalf("interrupted at output %d: %+v, %v; %s", interrupt, o, err, w.err.String())
		}
		if n < interrupt {
			t.Fatalf("it printed %d times", n)
		}
		return w.out.String(), w.files()
	}
	wantOut, wantFiles := run(0)
	for _, want := range []string{`arguments: ["50", "7"]`, `environment: [("A", "1")]`, "input: 20 bytes", "never goes back: true"} {
		if !strings.Contains(wantOut, want) {
			t.Fatalf("got %q, want it to have %q", wantOut, want)
		}
	}
	if wantFiles["tour/three"] != "first LINE\n" {
		t.Fatalf("got files %q", wantFiles)
	}
	for i := 1; i <= 18; i++ {
		if out, files := run(i); out != wantOut || fmt.Sprint(files) != fmt.Sprint(wantFiles) {
			t.Errorf("interrupted at output %d: got %q and %v, want %q and %v", i, out, files, wantOut, wantFiles)
		}
	}
}

// TestAComponentOfAModuleRunsLikeIt compares commands that are modules behind an
// adapter with the modules. Exit codes of WASI 0.2 are 0 and 1.
func TestAComponentOfAModuleRunsLikeIt(t *testing.T) {
	for name, args := range map[string][]string{"countdown": {"25", "8", "3"}, "ledger": {"20", "300"}} {
		var outs []string
		var codes []uint64
		for _, program := range []string{name, "components/" + name} {
			w := newWorld(t)
			l := script(t)
			l.Program, l.Args = guests.Wasm(t, program), append([]string{name}, args...)
			o := w.ends(l)
			outs, codes = append(outs, w.out.String()), append(codes, min(o.Exited.Code, 1))
		}
		if outs[0] != outs[1] || codes[0] != codes[1] || outs[0] == "" {
			t.Errorf("%s: got %d %q, want %d %q", name, codes[1], outs[1], codes[0], outs[0])
		}
	}
}

func TestAComponentThatFailsExitsWithCodeOne(t *testing.T) {
	w := newWorld(t)
	o := w.ends(tour(t, directory(t, map[string]string{"tour/file": ""})))
	if o.Exited == nil || o.Exited.Code != 1 || !strings.Contains(w.err.String(), "AlreadyExists") {
		t.Errorf("got %+v, %q", o, w.err.String())
	}
}

func TestATrapEndsAComponent(t *testing.T) {
	w := newWorld(t)
	l := tour(t, directory(t, nil))
	l.Program = []byte(trapping)
	o := w.ends(l)
	if o.Error == nil || o.Exited != nil || o.Error.Reason != "unreachable executed" {
		t.Fatalf("got %+v", o.Error)
	}
	if again := w.ends(l); !again.Finished || again.Error == nil || again.Error.Reason != o.Error.Reason {
		t.Errorf("run again: %+v", again)
	}
}

func TestComponentsThatCannotRunAreRefusedAndLeaveNoWorker(t *testing.T) {
	for name, c := range map[string]struct {
		program []byte
		memory  uint64
		want    string
	}{
		"a library":    {guests.Wasm(t, "kit/c"), 1 << 30, "it exports no wasi:cli/run: it is a library"},
		"of a host":    {guests.Wasm(t, "kit/c-hosted"), 1 << 30, "waterbear:kit/host"},
		"half":         {guests.Wasm(t, "components/tour")[:1000], 1 << 30, "this program cannot be run: "},
		"large memory": {guests.Wasm(t, "components/tour"), 64 << 10, "memory"},
	} {
		w := newWorld(t)
		l := tour(t, directory(t, nil))
		l.Program, l.Memory = c.program, c.memory
		_, err := w.run(l)
		if !errors.Is(err, ErrProgram) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want it to say %q", name, err, c.want)
		}
		if _, err := oplog.ReadStatus(t.Context(), w.store.Logs(), alice); !errors.Is(err, oplog.ErrNoWorker) {
			t.Errorf("%s: a worker was created: %v", name, err)
		}
	}
}

func TestOtherComponentIsRefused(t *testing.T) {
	w := newWorld(t)
	l := tour(t, directory(t, nil))
	w.ends(l)
	l.Program = guests.Wasm(t, "components/ledger")
	_, err := w.run(l)
	var mismatch *MismatchError
	if !errors.As(err, &mismatch) || mismatch.What != "program" {
		t.Errorf("got %v", err)
	}
}

// trapping is the smallest command that is a component:
//
//	(component
//	  (core module (func (export "run") (result i32) unreachable))
//	  (core instance (instantiate 0))
//	  (type (result))
//	  (type (func (result 0)))
//	  (alias core export 0 "run" (core func))
//	  (func (type 1) (canon lift (core func 0)))
//	  (instance (export "run" (func 0)))
//	  (export "wasi:cli/run@0.2.0" (instance 0)))
const trapping = "\x00asm\x0d\x00\x01\x00" +
	"\x01\x23" + "\x00asm\x01\x00\x00\x00" + "\x01\x05\x01\x60\x00\x01\x7f" + "\x03\x02\x01\x00" + "\x07\x07\x01\x03run\x00\x00" + "\x0a\x05\x01\x03\x00\x00\x0b" +
	"\x02\x04\x01\x00\x00\x00" +
	"\x07\x08\x02\x6a\x00\x00\x40\x00\x00\x00" +
	"\x06\x09\x01\x00\x00\x01\x00\x03run" +
	"\x08\x06\x01\x00\x00\x00\x00\x01" +
	"\x05\x0a\x01\x01\x01\x00\x03run\x01\x00" +
	"\x0b\x18\x01\x00\x12wasi:cli/run@0.2.0\x05\x00\x00"
