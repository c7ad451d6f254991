// A program that does what it is told with promises: each argument is a step,
// and it writes what comes of it. A promise is called by its number here.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"
)

var refusals = []string{"unsupported", "unknown", "settled", "too-many", "too-large", "invalid"}

var made []string

func main() {
	for _, step := range os.Args[1:] {
		name, argument, _ := strings.Cut(step, " ")
		first, rest, _ := strings.Cut(argument, " ")
		var r [4]uint32
		to := unsafe.Pointer(&r)
		switch name {
		case "create":
			create(argument, to)
			if r[0] == 0 {
				made = append(made, text(r[1], r[2]))
				fmt.Printf("made %s\n", made[len(made)-1])
				continue
			}
		case "create-many":
			n, _ := strconv.Atoi(argument)
			done := 0
			for ; done < n && r[0] == 0; done++ {
				create("many", to)
				if r[0] == 0 {
					made = append(made, text(r[1], r[2]))
				}
			}
			fmt.Printf("made %d of %d\n", done, n)
			if r[0] == 0 {
				continue
			}
		case "url":
			p := promise(first)
			webhookURL(p, to)
			if r[0] == 0 {
				fmt.Printf("url %s\n", text(r[1], r[2]))
				continue
			}
		case "wait":
			p := promise(first)
			fmt.Println("waiting")
			wait(p, to)
			if r[0] == 0 {
				fmt.Printf("wait %s %q\n", []string{"completed", "failed"}[r[1]], text(r[2], r[3]))
				continue
			}
		case "any":
			list := []uint32{}
			for _, p := range made {
				list = append(list, uint32(uintptr(unsafe.Pointer(unsafe.StringData(p)))), uint32(len(p)))
			}
			timeout, limited := uint64(0), uint32(0)
			if first != "" {
				seconds, _ := strconv.ParseFloat(first, 64)
				timeout, limited = uint64(seconds*1e9), 1
			}
			fmt.Println("waiting")
			waitAny(unsafe.Pointer(unsafe.SliceData(list)), uint32(len(made)), limited, timeout, to)
			if r[0] == 0 {
				if r[1] == 0 {
					fmt.Println("any none")
				} else {
					fmt.Printf("any %d\n", r[2])
				}
				continue
			}
		case "poll":
			p := promise(first)
			var r [5]uint32
			poll(p, unsafe.Pointer(&r))
			if r[0] == 0 {
				if r[1] == 0 {
					fmt.Println("poll nothing")
				} else {
					fmt.Printf("poll %s %q\n", []string{"completed", "failed"}[r[2]], text(r[3], r[4]))
				}
				continue
			}
			fmt.Printf("poll refused: %s\n", refusals[byte(r[1])])
			continue
		case "withdraw", "complete", "fail":
			p := promise(first)
			var refused uint32
			var result [2]byte
			switch name {
			case "withdraw":
				withdraw(p, unsafe.Pointer(&result))
			case "complete":
				complete(p, rest, unsafe.Pointer(&result))
			default:
				fail(p, rest, unsafe.Pointer(&result))
			}
			if refused = uint32(result[0]); refused == 0 {
				fmt.Println(name)
				continue
			}
			r[1] = uint32(result[1])
		case "large":
			n, _ := strconv.Atoi(rest)
			value, p := strings.Repeat("x", n), promise(first)
			var result [2]byte
			complete(p, value, unsafe.Pointer(&result))
			if result[0] == 0 {
				fmt.Println(name)
				continue
			}
			r[1] = uint32(result[1])
		case "trap-before":
			if n, _ := strconv.Atoi(argument); attempt() < uint64(n) {
				current(unsafe.Pointer(uintptr(1))) // a trap; a panic would exit
			}
			continue
		default:
			panic("no step is called " + name)
		}
		fmt.Printf("%s refused: %s\n", name, refusals[byte(r[1])])
	}
}

// promise is the one with this number, or name.
func promise(which string) string {
	if n, err := strconv.Atoi(which); err == nil {
		return made[n]
	}
	return which
}

func attempt() uint64 {
	var i struct {
		texts             [4]uint32
		revision, created uint64
		invocation        [2]uint32
		attempt           uint64
	}
	current(unsafe.Pointer(&i))
	return i.attempt
}

// text takes a string that the host has given.
func text(begin, length uint32) string {
	s := string(allocations[begin][:length])
	delete(allocations, begin)
	return s
}

// allocations are what the host has been given.
var allocations = map[uint32][]byte{}

//go:wasmexport cabi_realloc
func realloc(old, _, align, size uint32) uint32 {
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
func current(result unsafe.Pointer)

//go:wasmimport waterbear:durable/promises@0.1.0 create
func create(label string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/promises@0.1.0 webhook-url
func webhookURL(name string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/promises@0.1.0 wait
func wait(name string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/promises@0.1.0 wait-any
func waitAny(names unsafe.Pointer, count uint32, limited uint32, timeout uint64, result unsafe.Pointer)

//go:wasmimport waterbear:durable/promises@0.1.0 poll
func poll(name string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/promises@0.1.0 withdraw
func withdraw(name string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/promises@0.1.0 complete
func complete(name string, value string, result unsafe.Pointer)

//go:wasmimport waterbear:durable/promises@0.1.0 fail
func fail(name string, message string, result unsafe.Pointer)
