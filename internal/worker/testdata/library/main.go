// A library in Go: its runtime looks around before anything is called.
package main

var total int64

//go:wasmexport add
func add(n int64) int64 {
	total += n
	return total
}

func main() {}
