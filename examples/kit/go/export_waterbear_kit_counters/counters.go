// Package export_waterbear_kit_counters has the interface counters.
package export_waterbear_kit_counters

import "runtime"

// Counter has the fields that the generated bindings want, and its own.
type Counter struct {
	pinner runtime.Pinner
	handle int32
	value  int64
}

func MakeCounter(start int64) *Counter { return &Counter{value: start} }

// OnDrop is called when the last who had the counter drops it.
func (c *Counter) OnDrop() {}

func (c *Counter) Add(n int64) int64 {
	before := c.value
	c.value += n
	return before
}

func (c *Counter) Value() int64 { return c.value }

// CounterMerge cannot drop a and b: the bindings do not tell them the handles
// that they came in as.
func CounterMerge(a, b *Counter) *Counter { return MakeCounter(a.value + b.value) }

func Difference(a, b *Counter) int64 { return a.value - b.value }

func Sum(of []*Counter) int64 {
	var sum int64
	for _, c := range of {
		sum += c.value
	}
	return sum
}
