// A library in Go that changes much of its memory at each call.
package main

const (
	blocks = 16
	size   = 48 << 10
)

var (
	total int64
	calls int
	held  [blocks][]int64
)

// add adds to the total, and puts a block full of it in place of an old one.
//
//go:wasmexport add
func add(n int64) int64 {
	total += n
	block := make([]int64, size/8)
	for i := range block {
		block[i] = total + int64(i)
	}
	held[calls%blocks] = block
	calls++
	return total
}

// get gives the total, or -1 if a block is not what it was.
//
//go:wasmexport get
func get() int64 {
	for _, block := range held {
		for i := range block {
			if block[i] != block[0]+int64(i) {
				return -1
			}
		}
	}
	if calls > 0 && held[(calls-1)%blocks][0] != total {
		return -1
	}
	return total
}

func main() {}
