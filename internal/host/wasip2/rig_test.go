package wasip2

import (
	"errors"
	"reflect"
	"strings"
	"sync"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/internal/host/ambient"
	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/wit"
)

// world is what a program runs in: all of it made up, so that runs are equal.
type world struct {
	now            uint64
	reads          int // of the monotonic clock
	touched        int
	waits          []uint64 // deadlines
	stdin          [][]byte // what is there at once; then the end
	closed         bool     // no more input comes
	stdout, stderr []byte
	writes         int
	drawn          int
	fail           error // of the host
}

func (w *world) tick() uint64              { w.now++; return w.now }
func (w *world) Realtime() (uint64, error) { return 1e18 + w.tick(), w.fail }

func (w *world) Monotonic() (uint64, error) {
	w.reads++
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
		w.drawn++
		p[i] = byte(w.drawn)
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
	if stream == stdout {
		w.stdout = append(w.stdout, p...)
	} else {
		w.stderr = append(w.stderr, p...)
	}
	return w.fail
}

// rig is a system and the world that it shows.
type rig struct {
	*world
	t   rapid.TB
	fs  *filesystem.FS
	sys *System
}

// errBroken is a failure of the host.
var errBroken = errors.New("the machine is on fire")

func newRig(t rapid.TB, c wasi.Config) *rig {
	t.Helper()
	r := &rig{world: &world{now: 100}, t: t}
	if c.FS == nil {
		c.FS = filesystem.New(filesystem.Config{Now: r.tick, Packs: discard{}})
	}
	if c.Preopens == nil {
		c.Preopens = []wasi.Preopen{{Name: "/", Dir: filesystem.Root}}
	}
	r.fs = c.FS
	c.Clocks, c.Random, c.Stdio = r.world, r.world, r.world
	var err error
	r.sys, err = New(c)
	must(t, err)
	return r
}

// discard is for file systems whose content is not kept.
type discard struct{}

func (discard) Put(p []byte) (filesystem.Sum, error) { return filesystem.Sum{byte(len(p))}, nil }
func (discard) Get(filesystem.Sum) ([]byte, error)   { return nil, errors.New("nothing is kept") }

// declared are all functions: methods by themselves, others behind their
// interface and a #.
var declared = sync.OnceValue(func() map[string]function {
	all := map[string]function{}
	for _, i := range interfaces() {
		for _, f := range i.functions {
			name := f.name
			if !strings.HasPrefix(name, "[") {
				name = i.name + "#" + name
			}
			all[name] = f
		}
	}
	return all
})

// try calls a function and checks that what goes in and what comes out is of the
// types that are declared.
func (r *rig) try(name string, args ...wit.Value) (wit.Value, error) {
	r.t.Helper()
	f, found := declared()[name]
	if !found {
		r.t.Fatalf("there is no function %s", name)
	}
	if len(args) != len(f.typ.Params) {
		r.t.Fatalf("%s: takes %d arguments, got %d", name, len(f.typ.Params), len(args))
	}
	for i, p := range f.typ.Params {
		if err := wit.Check(p.Type, args[i]); err != nil {
			r.t.Fatalf("%s: %s: %v", name, p.Name, err)
		}
	}
	v, err := f.call(r.sys, args)
	if err != nil {
		return nil, err
	}
	switch {
	case f.typ.Result == nil:
		if v != nil {
			r.t.Fatalf("%s: got %v, and it has no result", name, v)
		}
	default:
		if err := wit.Check(f.typ.Result, v); err != nil {
			r.t.Fatalf("%s: result: %v", name, err)
		}
	}
	return v, nil
}

// call calls a function that gives a plain value.
func (r *rig) call(name string, args ...wit.Value) wit.Value {
	r.t.Helper()
	v, err := r.try(name, args...)
	if err != nil {
		r.t.Fatalf("%s: %v", name, err)
	}
	return v
}

// ok calls a function that gives a result, which must be no error.
func (r *rig) ok(name string, args ...wit.Value) wit.Value {
	r.t.Helper()
	c := r.call(name, args...).(wit.Case)
	if c.Index != 0 {
		r.t.Fatalf("%s: got the error %s", name, r.show(name, c.Payload))
	}
	return c.Payload
}

// fails calls a function that gives a result, which must be this error: the name
// of a case.
func (r *rig) fails(want, name string, args ...wit.Value) {
	r.t.Helper()
	if got := r.failure(name, args...); got != want {
		r.t.Errorf("%s: got %s, want the error %s", name, got, want)
	}
}

// failure is the error that a function gives, or that it gives none.
func (r *rig) failure(name string, args ...wit.Value) string {
	r.t.Helper()
	c := r.call(name, args...).(wit.Case)
	if c.Index == 0 {
		return "no error"
	}
	return r.show(name, c.Payload)
}

// show names the case of the error of a function's result.
func (r *rig) show(name string, v wit.Value) string {
	f := declared()[name]
	if f.typ.Result.Err == nil {
		return "nothing"
	}
	c := v.(wit.Case)
	label := f.typ.Result.Err.Fields[c.Index].Name
	if f.typ.Result.Err != streamErrorType || c.Index == streamClosed {
		return label
	}
	return label + ": " + r.call("[method]error.to-debug-string", c.Payload).(string)
}

// traps calls a function that must trap for a reason that has these words.
func (r *rig) traps(why, name string, args ...wit.Value) {
	r.t.Helper()
	_, err := r.try(name, args...)
	r.isTrap(why, name, err)
}

func (r *rig) isTrap(why, what string, err error) {
	r.t.Helper()
	var trap *wasm.Trap
	if !errors.As(err, &trap) || !strings.Contains(trap.Reason, why) {
		r.t.Errorf("%s: got %v, want a trap: %s", what, err, why)
	}
}

// drop drops a resource.
func (r *rig) drop(reps ...wit.Value) {
	r.t.Helper()
	for _, rep := range reps {
		if err := r.sys.drop(rep.(uint32)); err != nil {
			r.t.Fatalf("drop %v: %v", rep, err)
		}
	}
}

// keeps drops a resource that must not be dropped now.
func (r *rig) keeps(rep wit.Value) {
	r.t.Helper()
	r.isTrap("is dropped while", "drop", r.sys.drop(rep.(uint32)))
}

func (r *rig) equal(got, want any) {
	r.t.Helper()
	if !reflect.DeepEqual(got, want) {
		r.t.Errorf("got %v, want %v", got, want)
	}
}

// empty finds that nothing is left of what the program had.
func (r *rig) empty() {
	r.t.Helper()
	if n := r.sys.resources.Len(); n > 0 {
		r.t.Errorf("there are %d resources left", n)
	}
	if r.sys.held != 0 || r.sys.files != 0 {
		r.t.Errorf("%d bytes are held and %d files are open", r.sys.held, r.sys.files)
	}
}

// reopened is the same program after its image was taken and restored.
func (r *rig) reopened(c wasi.Config) *rig {
	r.t.Helper()
	state := r.sys.AppendState(nil)
	other := &rig{world: r.world, t: r.t, fs: r.fs.Clone()}
	c.FS, c.Clocks, c.Random, c.Stdio, c.Open = other.fs, r.world, r.world, r.world, state
	var err error
	if other.sys, err = New(c); err != nil {
		r.t.Fatalf("%x: %v", state, err)
	}
	if again := other.sys.AppendState(nil); string(again) != string(state) {
		r.t.Fatalf("the state is %x, and after it was restored %x", state, again)
	}
	for n, e := range r.sys.resources.All() {
		if got := other.sys.resources.Get(n); !sameData(reflect.ValueOf(got.resource), reflect.ValueOf(e.resource)) {
			r.t.Fatalf("resource %d is %+v, and after the state was restored %+v", n+1, e.resource, got.resource)
		}
	}
	if other.sys.held != r.sys.held || other.sys.files != r.sys.files {
		r.t.Fatalf("%d bytes are held and %d files are open, and after the state was restored %d and %d",
			r.sys.held, r.sys.files, other.sys.held, other.sys.files)
	}
	return other
}

// sameData tells whether two values are the same all the way down. An empty
// slice is the same as none.
func sameData(a, b reflect.Value) bool {
	if a.IsValid() != b.IsValid() || a.IsValid() && a.Type() != b.Type() {
		return false
	}
	switch a.Kind() {
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return sameData(a.Elem(), b.Elem())
	case reflect.Struct:
		for i := range a.NumField() {
			if !sameData(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Slice, reflect.Array:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !sameData(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	}
	return !a.IsValid() || a.Equal(b)
}
