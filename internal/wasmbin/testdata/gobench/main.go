// Command gobench is a guest that does what programs do: JSON, sorting, maps,
// hashing, strings, channels. It prints a digest of each task, and to the
// standard error what each took, in nanoseconds of the host's clock. With the
// argument "short" it does a tenth.
package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"
)

type record struct {
	Name   string
	Tags   []string
	Counts map[string]int
	Ratio  float64
}

func encode(n int) int {
	r := record{"hello", []string{"a", "b", "c"}, map[string]int{"x": 1, "y": 2, "z": 3}, 3.14}
	total := 0
	for range n {
		b, err := json.Marshal(r)
		if err != nil {
			panic(err)
		}
		var back record
		if err := json.Unmarshal(b, &back); err != nil {
			panic(err)
		}
		total += len(b) + len(back.Tags)
	}
	return total
}

func sortNumbers(n int) int {
	a := make([]int, 40000)
	total := 0
	for k := range n {
		x := uint32(12345 + k)
		for i := range a {
			x = x*1664525 + 1013904223
			a[i] = int(x >> 8)
		}
		sort.Ints(a)
		total += a[len(a)/2]
	}
	return total
}

type names []string

func (s names) Len() int           { return len(s) }
func (s names) Less(i, j int) bool { return s[i] < s[j] }
func (s names) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }

func sortNames(n int) int {
	total := 0
	for k := range n {
		x := uint32(12345 + k)
		a := make(names, 4000)
		for i := range a {
			x = x*1664525 + 1013904223
			a[i] = fmt.Sprint(x)
		}
		sort.Sort(a)
		total += len(a[10])
	}
	return total
}

func count(n int) int {
	m := map[string]int{}
	total := 0
	for i := range n {
		m[fmt.Sprintf("key%d", i%5000)] += i
		total += len(m)
	}
	return total
}

func fib(n int) int {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}

func hash(n int) int {
	b := make([]byte, 65536)
	total := 0
	for range n {
		s := sha256.Sum256(b)
		copy(b, s[:])
		total += int(s[0])
	}
	return total
}

func split(n int) int {
	total := 0
	for range n {
		s := strings.Repeat("ab,", 1000)
		total += len(strings.Split(s, ",")) + strings.Count(s, "b,a")
	}
	return total
}

func send(n int) int {
	c := make(chan int)
	go func() {
		for i := range n {
			c <- i
		}
		close(c)
	}()
	total := 0
	for v := range c {
		total += v
	}
	return total
}

func main() {
	part := 1
	if len(os.Args) > 1 && os.Args[1] == "short" {
		part = 10
	}
	for _, task := range []struct {
		name string
		run  func(int) int
		n    int
	}{
		{"json", encode, 1000},
		{"sort", sortNumbers, 8},
		{"interfaces", sortNames, 8},
		{"maps", count, 60000},
		{"fib", fib, 27},
		{"sha256", hash, 20},
		{"strings", split, 600},
		{"channels", send, 30000},
	} {
		start := time.Now()
		digest := task.run(max(task.n/part, 1))
		fmt.Println(task.name, digest)
		fmt.Fprintln(os.Stderr, task.name, time.Since(start).Nanoseconds())
	}
}
