package wasm

import (
	"context"
	"testing"
	"unsafe"
)

// throwsAfterRecursion is the module
//
//	(tag $t)
//	(func $dig (param i32)
//	  (if (local.get 0) (then (call $dig (i32.sub (local.get 0) (i32.const 1))))))
//	(func (export "run") (param $first i32) (param $rounds i32)
//	  (call $dig (local.get $first))
//	  (loop $again
//	    (block $caught
//	      (try_table (catch_all $caught)
//	        (call $dig (local.get $rounds))
//	        (throw $t)))
//	    (br_if $again (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1))))))
const throwsAfterRecursion = "\x00asm\x01\x00\x00\x00" +
	"\x01\x0d\x03\x60\x00\x00\x60\x01\x7f\x00\x60\x02\x7f\x7f\x00" +
	"\x03\x03\x02\x01\x02" + "\x0d\x03\x01\x00\x00" + "\x07\x07\x01\x03run\x00\x01" +
	"\x0a\x32\x02" +
	"\x0e\x00\x20\x00\x04\x40\x20\x00\x41\x01\x6b\x10\x00\x0b\x0b" +
	"\x21\x00\x20\x00\x10\x00\x03\x40\x02\x40\x1f\x40\x01\x02\x00" +
	"\x20\x01\x10\x00\x08\x00\x0b\x0b\x20\x01\x41\x01\x6b\x22\x01\x0d\x00\x0b\x0b"

func TestStackThatAnExceptionReturnsToHasTheRoomItHad(t *testing.T) {
	ctx := context.Background()
	e, err := New(ctx, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	m, err := e.Compile(ctx, []byte(throwsAfterRecursion), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, first := range []uint64{0, 100, 177, 1000, 4321, 10_000} {
		var rooms []uintptr
		var in *Instance
		in, err = m.Instantiate(ctx, InstanceConfig{OnYield: func() {
			g, c := &e.gauge, in.function.stack
			stack := g.stackOf(c)
			room := *(*uintptr)(unsafe.Add(c, g.top)) - uintptr(unsafe.Pointer(&stack[0]))
			if room != uintptr(len(stack)) || cap(stack)-len(stack) > 16 {
				t.Errorf("%d levels: the room is %d of %d bytes, the length %d", first, room, cap(stack), len(stack))
			}
			rooms = append(rooms, room)
		}})
		if err != nil {
			t.Fatal(err)
		}
		const rounds = 1000 // of less and less recursion
		if err := in.Call(ctx, "run", []uint64{first, rounds}); err != nil {
			t.Errorf("%d levels: %v", first, err)
		}
		same := 0
		for _, r := range rooms {
			if r == rooms[0] {
				same++
			} else if r < rooms[0] {
				t.Errorf("%d levels: the room went from %d to %d", first, rooms[0], r)
			}
		}
		if same < rounds {
			t.Errorf("%d levels: %d of %d yields saw a room of %d, want at least %d", first, same, len(rooms), rooms[0], rounds)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	}
}
