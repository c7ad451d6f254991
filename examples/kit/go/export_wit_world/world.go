// Package export_wit_world has the functions of the world itself.
package export_wit_world

import (
	"fmt"
	"slices"
)

var (
	total int64
	lines []string
)

func Add(n int64) int64 {
	total += n
	return total
}

func Total() int64 { return total }

func Remember(line string) uint32 {
	lines = append(lines, line)
	return uint32(len(lines))
}

func Recall() []string { return slices.Clone(lines) }

func Say(line string) { fmt.Println(line) }

func Fail(why string) { panic(why) }
