package canon_test

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/waterbear-run/waterbear/internal/component/canon"
	"github.com/waterbear-run/waterbear/wit"
	"github.com/waterbear-run/waterbear/wit/wittest"
)

func one(t testing.TB, y *wit.Type) *canon.Func {
	t.Helper()
	f, err := newScope().Func(&wit.Func{Params: []wit.Param{{Type: y}}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func list(elem *wit.Type) *wit.Type { return &wit.Type{Kind: wit.List, Elem: elem} }

func kind(k wit.Kind) *wit.Type { return &wit.Type{Kind: k} }

func TestWrongPointersAndLengthsTrap(t *testing.T) {
	const size = 1 << 16 // of the memory
	for _, c := range []struct {
		what   string
		y      *wit.Type
		e      canon.Encoding
		ptr, n uint64
		reason string // "" if it is right
	}{
		{"string at the end", kind(wit.String), canon.UTF8, size - 2, 2, ""},
		{"empty string at the end", kind(wit.String), canon.UTF8, size, 0, ""},
		{"empty string beyond", kind(wit.String), canon.UTF8, size + 1, 0, "out of the memory"},
		{"string over the end", kind(wit.String), canon.UTF8, size - 2, 3, "out of the memory"},
		{"string that wraps around", kind(wit.String), canon.UTF8, 1<<32 - 1, 2, "out of the memory"},
		{"string of 2^28-1 bytes", kind(wit.String), canon.UTF8, 0, 1<<28 - 1, "out of the memory"},
		{"string of 2^28 bytes", kind(wit.String), canon.UTF8, 0, 1 << 28, "too long"},
		{"UTF-16 of 2^28 bytes", kind(wit.String), canon.UTF16, 0, 1 << 27, "too long"},
		{"UTF-16 at an odd address", kind(wit.String), canon.UTF16, 1, 0, "not aligned"},
		{"UTF-16 over the end", kind(wit.String), canon.UTF16, size - 2, 2, "out of the memory"},
		{"Latin-1 at an odd address", kind(wit.String), canon.Latin1OrUTF16, 1, 1, "not aligned"},
		{"Latin-1 at the end", kind(wit.String), canon.Latin1OrUTF16, size - 2, 2, ""},
		{"tagged UTF-16 over the end", kind(wit.String), canon.Latin1OrUTF16, size - 2, 1<<31 | 2, "out of the memory"},
		{"list at the end", list(kind(wit.U32)), canon.UTF8, size - 8, 2, ""},
		{"list over the end", list(kind(wit.U32)), canon.UTF8, size - 8, 3, "out of the memory"},
		{"empty list at an odd address", list(kind(wit.U32)), canon.UTF8, 2, 0, "not aligned"},
		{"list whose size wraps around", list(kind(wit.U64)), canon.UTF8, 0, 1 << 29, "too long"},
		{"list of 2^28 bytes", list(kind(wit.U8)), canon.UTF8, 0, 1 << 28, "too long"},
		{"list of tuples", list(&wit.Type{Kind: wit.Tuple, Fields: of(wit.U8, wit.U64)}), canon.UTF8, 4, 1, "not aligned"},
	} {
		s := newSide(c.e)
		_, err := one(t, c.y).LiftParams(s.lift(), []uint64{c.ptr, c.n})
		if c.reason != "" {
			wantTrap(t, c.what, err, c.reason)
		} else if err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestArgumentsInMemoryHaveToBeInIt(t *testing.T) {
	f := one(t, &wit.Type{Kind: wit.Tuple, Fields: of(make17(wit.U64)...)})
	s := newSide(canon.UTF8)
	for ptr, reason := range map[uint64]string{4: "not aligned", 1<<16 - 128: "out of the memory", 1<<32 - 8: "out of the memory"} {
		_, err := f.LiftParams(s.lift(), []uint64{ptr})
		wantTrap(t, "arguments", err, reason)
	}
	if _, err := f.LiftParams(s.lift(), []uint64{1<<16 - 136}); err != nil {
		t.Error(err)
	}
}

func make17(k wit.Kind) []wit.Kind {
	kinds := make([]wit.Kind, 17)
	for i := range kinds {
		kinds[i] = k
	}
	return kinds
}

func TestWhatIsNoValueOfItsTypeTraps(t *testing.T) {
	for _, c := range []struct {
		y      *wit.Type
		bits   uint64
		reason string
	}{
		{kind(wit.Char), 0xd7ff, ""},
		{kind(wit.Char), 0xd800, "is not a character"},
		{kind(wit.Char), 0xdfff, "is not a character"},
		{kind(wit.Char), 0xe000, ""},
		{kind(wit.Char), 0x10ffff, ""},
		{kind(wit.Char), 0x110000, "is not a character"},
		{&wit.Type{Kind: wit.Option, Elem: kind(wit.U8)}, 2, "invalid discriminant 2"},
		{&wit.Type{Kind: wit.Enum, Fields: of(0, 0, 0)}, 3, "invalid discriminant 3"},
		{&wit.Type{Kind: wit.Enum, Fields: of(0, 0, 0)}, 0x102, "invalid discriminant 258"},
		{&wit.Type{Kind: wit.Result}, 0xffffffff, "invalid discriminant"},
		{&wit.Type{Kind: wit.Own, Resource: someResource}, 1, "unknown handle"},
	} {
		s := newSide(canon.UTF8)
		// In core values, and in a list in memory.
		_, flat := one(t, c.y).LiftParams(s.lift(), []uint64{c.bits, 0})
		binary.LittleEndian.PutUint64(s.memory.bytes[64:], c.bits)
		_, stored := one(t, list(c.y)).LiftParams(s.lift(), []uint64{64, 1})
		if c.bits == 0x102 {
			stored = flat // it does not fit its discriminant
		}
		for _, err := range []error{flat, stored} {
			if c.reason != "" {
				wantTrap(t, c.y.Kind.String(), err, c.reason)
			} else if err != nil {
				t.Errorf("%s %#x: %v", c.y.Kind, c.bits, err)
			}
		}
	}
}

func TestBitsThatATypeDoesNotHaveAreIgnored(t *testing.T) {
	for _, c := range []struct {
		y    *wit.Type
		bits uint64
		want wit.Value
	}{
		{kind(wit.Bool), 0x100, true},
		{kind(wit.Bool), 1 << 32, false},
		{kind(wit.U8), 0xabcd, uint8(0xcd)},
		{kind(wit.S8), 0x180, int8(-128)},
		{kind(wit.S16), 0x18000, int16(-32768)},
		{kind(wit.U32), 1<<32 + 1, uint32(1)},
		{&wit.Type{Kind: wit.Flags, Fields: of(0, 0)}, 0xff, uint32(3)},
		{kind(wit.F32), 0x7fa00000, math.Float32frombits(0x7fc00000)},
		{kind(wit.F64), 0xfff0000000000001, math.Float64frombits(0x7ff8000000000000)},
	} {
		got, err := one(t, c.y).LiftParams(newSide(canon.UTF8).lift(), []uint64{c.bits})
		if err != nil || wittest.Show(got[0]) != wittest.Show(c.want) {
			t.Errorf("%s %#x: got %s, %v, want %s", c.y.Kind, c.bits, wittest.Show(got), err, wittest.Show(c.want))
		}
	}
}

func TestStringsThatAreNoTextTrap(t *testing.T) {
	for _, c := range []struct {
		e     canon.Encoding
		bytes string
		units uint64
	}{
		{canon.UTF8, "\xff", 1},
		{canon.UTF8, "\xc0\x80", 2},
		{canon.UTF8, "\xed\xa0\x80", 3}, // half a surrogate pair
		{canon.UTF8, "\xe2\x82", 2},
		{canon.UTF16, "\x00\xd8", 1},
		{canon.UTF16, "\x00\xd8a\x00", 2},
		{canon.UTF16, "\x00\xdc\x00\xd8", 2},
		{canon.Latin1OrUTF16, "\x00\xd8", 1<<31 | 1},
	} {
		for _, transit := range []bool{false, true} {
			s := newSide(c.e)
			copy(s.memory.bytes[16:], c.bytes)
			l := s.lift()
			l.Transit = transit
			_, err := one(t, kind(wit.String)).LiftParams(l, []uint64{16, c.units})
			wantTrap(t, c.bytes, err, "not valid UTF")
		}
	}
}

func TestWhatReallocReturnsIsChecked(t *testing.T) {
	full := []wit.Value{uint64(1), uint64(2)}
	for _, c := range []struct {
		what   string
		y      *wit.Type
		v      wit.Value
		answer uint32
		reason string
	}{
		{"bytes beyond", kind(wit.String), "ab", 1<<16 - 1, "out of the memory"},
		{"bytes at the end", kind(wit.String), "ab", 1<<16 - 2, ""},
		{"list at an odd address", list(kind(wit.U64)), full, 4, "not aligned"},
		{"list beyond", list(kind(wit.U64)), full, 1<<16 - 8, "out of the memory"},
		{"empty list at an odd address", list(kind(wit.U64)), []wit.Value{}, 4, "not aligned"},
		{"empty list beyond", list(kind(wit.U64)), []wit.Value{}, 1<<16 + 8, "out of the memory"},
		{"arguments at an odd address", &wit.Type{Kind: wit.Tuple, Fields: of(make17(wit.U64)...)}, nil, 4, "not aligned"},
	} {
		s := newSide(canon.UTF8)
		s.memory.answer = func(uint32) uint32 { return c.answer }
		f := one(t, c.y)
		err := f.LowerParams(s.lower(), []wit.Value{c.v}, make([]uint64, f.LiftStack))
		if c.reason != "" {
			wantTrap(t, c.what, err, c.reason)
		} else if err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestTheErrorOfReallocIsGivenBack(t *testing.T) {
	s := newSide(canon.UTF8)
	s.memory.fail = errors.New("the guest trapped")
	err := one(t, kind(wit.String)).LowerParams(s.lower(), []wit.Value{"a"}, make([]uint64, 2))
	if !errors.Is(err, s.memory.fail) {
		t.Errorf("got %v", err)
	}
}

func TestResultsGoWhereTheGuestWantsThemIfThatIsInItsMemory(t *testing.T) {
	f, err := newScope().Func(&wit.Func{Result: kind(wit.String)})
	if err != nil {
		t.Fatal(err)
	}
	for ptr, reason := range map[uint64]string{2: "not aligned", 1<<16 - 4: "out of the memory"} {
		err := f.LowerResult(newSide(canon.UTF8).lower(), "a", []uint64{ptr})
		wantTrap(t, "result", err, reason)
	}
}

func TestValuesOfAnotherTypeAreRefusedWithoutBlamingTheGuest(t *testing.T) {
	for _, c := range []struct {
		y *wit.Type
		v wit.Value
	}{
		{kind(wit.U8), 1},
		{kind(wit.U8), nil},
		{kind(wit.U8), uint32(1)},
		{kind(wit.S64), uint64(1)},
		{kind(wit.Bool), uint8(1)},
		{kind(wit.F32), float64(1)},
		{kind(wit.F64), float32(1)},
		{kind(wit.Char), 'a'},
		{kind(wit.Char), wit.Rune(0xd800)},
		{kind(wit.Char), wit.Rune(-1)},
		{kind(wit.String), []byte("a")},
		{kind(wit.String), "\xff"},
		{list(kind(wit.U16)), []byte{1}},
		{list(kind(wit.U16)), []uint16{1}},
		{list(kind(wit.U16)), []wit.Value{uint8(1)}},
		{&wit.Type{Kind: wit.Tuple, Fields: of(wit.U8, wit.U8)}, []wit.Value{uint8(1)}},
		{&wit.Type{Kind: wit.Option, Elem: kind(wit.U8)}, wit.Case{Index: 2}},
		{&wit.Type{Kind: wit.Option, Elem: kind(wit.U8)}, wit.Case{Index: 1}},
		{&wit.Type{Kind: wit.Option, Elem: kind(wit.U8)}, wit.Case{Index: 0, Payload: uint8(1)}},
		{&wit.Type{Kind: wit.Enum, Fields: of(0)}, uint32(0)},
		{&wit.Type{Kind: wit.Flags, Fields: of(0)}, uint32(2)},
		{&wit.Type{Kind: wit.Own, Resource: someResource}, 1},
	} {
		for _, y := range []*wit.Type{c.y, list(c.y)} {
			v := c.v
			if y != c.y {
				v = []wit.Value{v}
			}
			err := one(t, y).LowerParams(newSide(canon.UTF8).lower(), []wit.Value{v}, make([]uint64, 17))
			var wrong *canon.ValueError
			if !errors.As(err, &wrong) {
				t.Errorf("%s %v: got %v", c.y.Kind, c.v, err)
			}
		}
	}
	err := one(t, kind(wit.U8)).LowerParams(newSide(canon.UTF8).lower(), nil, make([]uint64, 1))
	if err == nil || err.Error() != "this is no tuple: the function takes 1 arguments, got 0" {
		t.Errorf("no arguments: got %v", err)
	}
}

// TestALiftTakesBoundedMemory has a list of strings that are all the same one.
func TestALiftTakesBoundedMemory(t *testing.T) {
	s := newSide(canon.UTF8)
	s.memory = newMemory(1 << 20)
	const length = 1 << 19
	fill := func(n uint64) {
		for i := range n {
			binary.LittleEndian.PutUint32(s.memory.bytes[length+8*i:], 0)
			binary.LittleEndian.PutUint32(s.memory.bytes[length+8*i+4:], length)
		}
	}
	f := one(t, list(kind(wit.String)))
	most := uint64(canon.MaxLifted/(length+40) + 1)
	fill(most)
	_, err := f.LiftParams(s.lift(), []uint64{length, most})
	wantTrap(t, "strings", err, "take more than")
	if _, err := f.LiftParams(s.lift(), []uint64{length, most - 1}); err != nil {
		t.Error(err)
	}
	// Lists of lists, each of nothing but its own weight.
	deep := list(list(list(kind(wit.Bool))))
	for i := range uint64(1 << 16) {
		binary.LittleEndian.PutUint32(s.memory.bytes[8*i:], 0)
		binary.LittleEndian.PutUint32(s.memory.bytes[8*i+4:], 1<<16)
	}
	_, err = one(t, deep).LiftParams(s.lift(), []uint64{0, 1 << 16})
	wantTrap(t, "lists", err, "take more than")
}

func TestTypesAreBounded(t *testing.T) {
	deep := kind(wit.U8)
	for range canon.MaxTypeDepth + 1 {
		deep = &wit.Type{Kind: wit.Option, Elem: deep}
	}
	if _, err := newScope().Type(deep); err == nil {
		t.Error("a type that is too deep is accepted")
	}
	wide := kind(wit.U64)
	for range 30 {
		wide = &wit.Type{Kind: wit.Tuple, Fields: []wit.Field{{Type: wide}, {Type: wide}}}
	}
	if _, err := newScope().Type(wide); err == nil {
		t.Error("a type of 8 GiB is accepted")
	}
	// Thirty levels of the same type twice, which is small in memory.
	narrow := kind(wit.U64)
	for range 90 {
		narrow = &wit.Type{Kind: wit.Result, Elem: narrow, Err: narrow}
	}
	if _, err := newScope().Type(narrow); err != nil {
		t.Error(err)
	}
}

// FuzzLift lifts arguments of a type that data chooses from a memory that is
// data: it traps or gives values that are lowered again.
func FuzzLift(f *testing.F) {
	f.Add([]byte{19, 13, 8, 0, 0, 0, 1, 0, 0, 0, 'a'}, uint8(0))
	f.Add([]byte{14, 14, 14, 1, 255, 255, 255, 255}, uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, e uint8) {
		d := &source{data: data}
		params := []wit.Param{{Type: d.typ(4)}, {Type: d.typ(4)}}
		c, err := newScope().Func(&wit.Func{Params: params})
		if err != nil {
			return
		}
		s := newSide(encodings[int(e)%len(encodings)])
		s.memory = newMemory(max(len(d.data), 8))
		copy(s.memory.bytes, d.data)
		stack := make([]uint64, c.LiftStack)
		for i := range stack {
			stack[i] = uint64(d.byte())
		}
		for _, transit := range []bool{false, true} {
			l := s.lift()
			l.Transit = transit
			args, err := c.LiftParams(l, stack)
			if err != nil {
				var trap *canon.Trap
				if !errors.As(err, &trap) {
					t.Fatalf("lifting failed with %v", err)
				}
				return
			}
			to := newSide(encodings[int(e/3)%len(encodings)])
			to.memory = newMemory(1 << 18)
			err = c.LowerParams(to.lower(), args, make([]uint64, c.LiftStack))
			var trap *canon.Trap
			if err != nil && !errors.As(err, &trap) {
				t.Fatalf("what was lifted cannot be lowered: %v", err)
			}
		}
	})
}

// source makes types of bytes.
type source struct{ data []byte }

func (d *source) byte() byte {
	if len(d.data) == 0 {
		return 0
	}
	b := d.data[0]
	d.data = d.data[1:]
	return b
}

func (d *source) typ(depth int) *wit.Type {
	y := &wit.Type{Kind: wit.Kind(d.byte()%uint8(wit.Flags)) + 1}
	if depth == 0 && y.Kind > wit.String {
		y.Kind = wit.String
	}
	fields := func() {
		for range d.byte()%5 + 1 {
			y.Fields = append(y.Fields, wit.Field{Type: d.typ(depth - 1)})
		}
	}
	switch y.Kind {
	case wit.List, wit.Option:
		y.Elem = d.typ(depth - 1)
	case wit.Result:
		y.Elem, y.Err = d.typ(depth-1), d.typ(depth-1)
	case wit.Record, wit.Tuple, wit.Variant:
		fields()
	case wit.Enum, wit.Flags:
		y.Fields = make([]wit.Field, d.byte()%32+1)
	}
	return y
}
