// A program that asks the platform about itself: as a command each argument is a
// step; as a library the steps are functions.
package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

func main() {
	for _, step := range os.Args[1:] {
		name, argument, _ := strings.Cut(step, " ")
		steps[name](argument)
	}
}

// places are waypoints by their names.
var places = map[string]uint64{}

var steps = map[string]func(argument string){
	"current":  func(string) { current() },
	"key":      func(string) { key() },
	"say":      func(text string) { fmt.Println(text) },
	"trap":     func(string) { panic("on purpose") },
	"waypoint": func(name string) { places[name] = waypoint() },
	"begin":    func(name string) { places[name] = beginAtomic() },
	"end":      func(string) { endAtomic() },
	"exit":     func(string) { os.Exit(3) },
	"read": func(string) {
		b := make([]byte, 4)
		n, _ := io.ReadFull(os.Stdin, b)
		fmt.Printf("read %q\n", b[:n])
	},
	"sleep": func(argument string) {
		d, _ := time.ParseDuration(argument)
		time.Sleep(d)
	},
	"back-until": func(argument string) {
		times, place, _ := strings.Cut(argument, " ")
		if n, _ := strconv.ParseUint(times, 10, 64); repeats(places[place]) < n {
			goBack(places[place])
			panic("it is still here")
		}
	},
}

//go:wasmexport current
func current() {
	identity := identify()
	fmt.Printf("%s/%s revision %d since %t, invocation %s, attempt %d\n",
		identity.component, identity.name, identity.revision, identity.created > 0, identity.invocation, identity.attempt)
}

type identity struct {
	component, name   text
	revision, created uint64
	invocation        text
	attempt           uint64
}

func identify() (i identity) {
	contextCurrent(unsafe.Pointer(&i))
	return i
}

//go:wasmexport key
func key() {
	var k text
	contextKey(unsafe.Pointer(&k))
	fmt.Printf("key %s\n", k)
}

//go:wasmexport keys
func keys() {
	key()
	key()
	trapBefore(2)
}

func trapBefore(attempt uint64) {
	if identify().attempt < attempt {
		panic("too early")
	}
}

// hostile passes a pointer that leads nowhere, or allocates nowhere.
//
//go:wasmexport hostile
func hostile(pointer uint32) {
	contextKey(unsafe.Pointer(uintptr(pointer)))
}

//go:wasmexport hostile-realloc
func hostileRealloc(pointer uint32) {
	begin = pointer
	key()
}

// text is a string that the host has given.
type text struct {
	begin  uint32
	length uint32
}

// String copies it and lets the host's allocation go.
func (t text) String() string {
	s := string(allocations[t.begin][:t.length])
	delete(allocations, t.begin)
	return s
}

// begin is where hostileRealloc wants everything to be.
var begin uint32

// allocations are what the host has been given.
var allocations = map[uint32][]byte{}

//go:wasmexport cabi_realloc
func realloc(old, _, align, size uint32) uint32 {
	if begin != 0 {
		return begin
	}
	b := make([]byte, size+align)
	begin := uint32(uintptr(unsafe.Pointer(&b[0])))
	skip := -begin & (align - 1)
	b, begin = b[skip:][:size:size], begin+skip
	copy(b, allocations[old])
	delete(allocations, old)
	allocations[begin] = b
	return begin
}

//go:wasmimport waterbear:durable/context@0.1.0 current
func contextCurrent(result unsafe.Pointer)

//go:wasmimport waterbear:durable/context@0.1.0 idempotency-key
func contextKey(result unsafe.Pointer)

//go:wasmimport waterbear:durable/control@0.1.0 begin-atomic
func beginAtomic() uint64

//go:wasmimport waterbear:durable/control@0.1.0 end-atomic
func endAtomic()

//go:wasmimport waterbear:durable/control@0.1.0 waypoint
func waypoint() uint64

//go:wasmimport waterbear:durable/control@0.1.0 go-back
func goBack(to uint64)

//go:wasmimport waterbear:durable/control@0.1.0 repeats
func repeats(of uint64) uint64
