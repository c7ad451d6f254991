// Package export_waterbear_kit_values has the functions of the interface values.
// The generated bindings call it by this name.
package export_waterbear_kit_values

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	. "go.bytecodealliance.org/pkg/wit/types"

	. "wit_component/waterbear_kit_values"
)

func Birthday(who Person) Person {
	who.Age += min(1, math.MaxUint8-who.Age)
	who.Tags = append(slices.Clone(who.Tags), "birthday")
	return who
}

func Sort(people []Person) []Person {
	slices.SortStableFunc(people, func(a, b Person) int { return cmp.Compare(a.Age, b.Age) })
	return people
}

func Areas(shapes []Shape) []float64 {
	areas := make([]float64, len(shapes))
	for i, s := range shapes {
		areas[i] = area(s)
	}
	return areas
}

func area(s Shape) float64 {
	switch s.Tag() {
	case Shape_Circle:
		return math.Pi * s.Circle() * s.Circle()
	case Shape_Rectangle:
		return s.Rectangle().F0 * s.Rectangle().F1
	case Shape_Polygon:
		twice, corners := 0.0, s.Polygon()
		for i, p := range corners {
			q := corners[(i+1)%len(corners)]
			twice += p.X*q.Y - q.X*p.Y
		}
		return math.Abs(twice) / 2
	}
	return 0
}

func Scale(what Shape, factor float64) Shape {
	switch what.Tag() {
	case Shape_Circle:
		return MakeShapeCircle(what.Circle() * factor)
	case Shape_Rectangle:
		sides := what.Rectangle()
		return MakeShapeRectangle(Tuple2[float64, float64]{F0: sides.F0 * factor, F1: sides.F1 * factor})
	case Shape_Polygon:
		corners := slices.Clone(what.Polygon())
		for i := range corners {
			corners[i].X *= factor
			corners[i].Y *= factor
		}
		return MakeShapePolygon(corners)
	}
	return what
}

func Turn(from Direction, quarters int32) Direction {
	return Direction((int64(from) + int64(quarters)%4 + 4) % 4)
}

func Walk(steps []Direction) (east, north int32) {
	for _, step := range steps {
		switch step {
		case Direction_North:
			north++
		case Direction_East:
			east++
		case Direction_South:
			north--
		case Direction_West:
			east--
		}
	}
	return east, north
}

func Grant(has, more Rights) Rights { return has | more }

func Divide(dividend, divisor int32) Result[int32, string] {
	switch {
	case divisor == 0:
		return Err[int32, string]("division by zero")
	case dividend == math.MinInt32 && divisor == -1:
		return Err[int32, string]("overflow")
	}
	return Ok[int32, string](dividend / divisor)
}

func Parse(text string) Result[uint64, ParseError] {
	if text == "" {
		return Err[uint64](MakeParseErrorEmpty())
	}
	for i, c := range []rune(text) {
		if c < '0' || c > '9' {
			return Err[uint64](MakeParseErrorBadDigit(BadDigit{Position: uint32(i), Found: c}))
		}
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return Err[uint64](MakeParseErrorOverflow(text))
	}
	return Ok[uint64, ParseError](n)
}

func Check(holds bool) Result[Unit, Unit] {
	if !holds {
		return Err[Unit](Unit{})
	}
	return Ok[Unit, Unit](Unit{})
}

func Sum(numbers []int32) int64 {
	var sum int64
	for _, n := range numbers {
		sum += int64(n)
	}
	return sum
}

func Reverse(b []uint8) []uint8 {
	b = bytes.Clone(b)
	slices.Reverse(b)
	return b
}

func Mirror(text string) string {
	characters := []rune(text)
	slices.Reverse(characters)
	return string(characters)
}

func Repeat(text string, times uint32) string { return strings.Repeat(text, int(times)) }

func Split(text string, separator rune) []string { return strings.Split(text, string(separator)) }

func Join(parts []string, separator string) string { return strings.Join(parts, separator) }

func Transpose(rows [][]uint32) [][]uint32 {
	if len(rows) == 0 {
		return nil
	}
	columns := make([][]uint32, len(rows[0]))
	for i := range columns {
		for _, row := range rows {
			columns[i] = append(columns[i], row[i])
		}
	}
	return columns
}

func Count(words []string) []Tuple2[string, uint32] {
	var counts []Tuple2[string, uint32]
	place := map[string]int{}
	for _, word := range words {
		i, known := place[word]
		if !known {
			i = len(counts)
			place[word] = i
			counts = append(counts, Tuple2[string, uint32]{F0: word})
		}
		counts[i].F1++
	}
	return counts
}

func Swap(pair Tuple2[string, uint32]) (uint32, string) { return pair.F1, pair.F0 }

func Flip(outcome Result[[]string, uint32]) Result[uint32, []string] {
	if outcome.IsOk() {
		return Err[uint32](outcome.Ok())
	}
	return Ok[uint32, []string](outcome.Err())
}

func Wrap(value Option[uint32]) Option[Option[uint32]] { return Some(value) }

func Unwrap(value Option[Option[uint32]]) Option[uint32] { return value.SomeOr(None[uint32]()) }

func Pack(truth bool, unsigned8 uint8, signed8 int8, unsigned16 uint16, signed16 int16, unsigned32 uint32,
	signed32 int32, unsigned64 uint64, signed64 int64, float32_ float32, float64_ float64, letter rune, text string,
	maybe Option[string], b []uint8,
) Everything {
	return Everything{
		truth, unsigned8, signed8, unsigned16, signed16, unsigned32, signed32, unsigned64, signed64, float32_, float64_,
		letter, text, maybe, b,
	}
}
