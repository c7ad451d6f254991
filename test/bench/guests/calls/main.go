// Command calls is bound by host calls: it reads a clock again and again.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

func main() {
	calls, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	start := time.Now()
	back := 0
	// Each time.Now reads two clocks.
	for range calls / 2 {
		if time.Since(start) < 0 {
			back++
		}
	}
	fmt.Println("went back:", back)
}
