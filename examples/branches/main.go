// Branches: it looks for a short way through many cities, by several attempts at once.
// What all of them need is found out once; then the worker forks itself for each, and
// takes the best of what they come to.
package main

import (
	"fmt"
	"math"
	"strconv"

	waterbear "github.com/waterbear-run/waterbear/guest/go"
)

func main() {}

type city struct{ x, y int }

// known are the cities, once they are looked up.
var known []city

// searches counts what was looked for, so that each has branches of its own.
var searches int

// shortest gives the length of the shortest way that so many branches find.
//
//go:wasmexport shortest
func shortest(branches uint32) uint32 {
	if known == nil {
		fmt.Println("looking up the cities")
		for i := range 60 {
			known = append(known, city{i * 7919 % 1009, i * 6101 % 997})
		}
	}
	searches++
	answers := make([]waterbear.Promise, branches)
	for i := range answers {
		answers[i] = must(waterbear.NewPromise(fmt.Sprintf("what branch %d comes to", i)))
	}
	me := waterbear.Current().Name
	for i, answer := range answers {
		copied, name, err := waterbear.Fork(fmt.Sprintf("%s-%d-%d", me, searches, i))
		if err != nil {
			panic(err)
		}
		if copied {
			length := improve(nearest(i))
			fmt.Printf("%s: from city %d the way is %d long\n", name, i, length)
			if err := answer.Complete(strconv.AppendInt(nil, int64(length), 10)); err != nil {
				panic(err)
			}
			return uint32(length)
		}
	}
	best := math.MaxInt
	for i, answer := range answers {
		length, err := strconv.Atoi(string(must(answer.Wait())))
		if err != nil {
			panic(err)
		}
		fmt.Printf("branch %d: %d\n", i, length)
		best = min(best, length)
	}
	return uint32(best)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func distance(a, b city) int {
	return int(math.Hypot(float64(a.x-b.x), float64(a.y-b.y)))
}

// nearest goes from a city to the nearest that is left, and so on.
func nearest(from int) []city {
	left := append([]city{}, known...)
	from %= len(left)
	way := []city{left[from]}
	left = append(left[:from], left[from+1:]...)
	for len(left) > 0 {
		next, at := 0, way[len(way)-1]
		for i, c := range left {
			if distance(at, c) < distance(at, left[next]) {
				next = i
			}
		}
		way = append(way, left[next])
		left = append(left[:next], left[next+1:]...)
	}
	return way
}

// improve turns parts of a way round as long as that makes it shorter, and gives its
// length.
func improve(way []city) (length int) {
	at := func(i int) city { return way[i%len(way)] }
	for better := true; better; {
		better = false
		for i := range way {
			for j := i + 2; j < len(way)-1; j++ {
				if distance(at(i), at(j))+distance(at(i+1), at(j+1)) >= distance(at(i), at(i+1))+distance(at(j), at(j+1)) {
					continue
				}
				for a, b := i+1, j; a < b; a, b = a+1, b-1 {
					way[a], way[b] = way[b], way[a]
				}
				better = true
			}
		}
	}
	for i := range way {
		length += distance(at(i), at(i+1))
	}
	return length
}
