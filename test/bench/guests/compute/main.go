// Command compute is bound by the processor: hashing, sorting, JSON and maps,
// a line of output per round.
package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
)

type order struct {
	Number int            `json:"number"`
	Lines  map[string]int `json:"lines"`
}

func main() {
	rounds, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	state := sha256.Sum256(nil)
	for range rounds {
		for range 500 {
			state = sha256.Sum256(state[:])
		}
		numbers := make([]uint32, 20_000)
		x := uint32(state[0])
		for i := range numbers {
			x = x*1664525 + 1013904223
			numbers[i] = x
		}
		slices.Sort(numbers)
		o := order{int(numbers[7]), map[string]int{}}
		for i := range 200 {
			o.Lines[strconv.Itoa(int(numbers[i]))] = i
		}
		encoded, err := json.Marshal(o)
		if err == nil {
			err = json.Unmarshal(encoded, &o)
		}
		if err != nil {
			panic(err)
		}
		fmt.Printf("%x %d\n", state[:4], len(encoded))
	}
}
