package canon_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/internal/component/canon"
	"github.com/waterbear-run/waterbear/wit"
	"github.com/waterbear-run/waterbear/wit/wittest"
)

// side is a component instance with a memory and handles.
type side struct {
	memory   *memory
	handles  canon.Handles
	task     canon.Task
	loans    canon.Loans
	encoding canon.Encoding
}

func newSide(e canon.Encoding) *side { return &side{memory: newMemory(1 << 16), encoding: e} }

func (s *side) lower() *canon.Lower {
	return &canon.Lower{Encoding: s.encoding, Guest: s.memory, Handles: &s.handles, Task: &s.task}
}

func (s *side) lift() *canon.Lift {
	return &canon.Lift{Encoding: s.encoding, Memory: s.memory.bytes, Handles: &s.handles, Loans: &s.loans}
}

func TestWhatIsLoweredIsLiftedUnchanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := &wit.Func{Result: genType(t, 3)}
		args := []wit.Value{}
		for range rapid.IntRange(0, 3).Draw(t, "params") {
			p := wit.Param{Type: genType(t, 3)}
			f.Params = append(f.Params, p)
			args = append(args, genValue(t, p.Type))
		}
		result := genValue(t, f.Result)
		c, err := newScope().Func(f)
		if err != nil {
			t.Fatal(err)
		}
		s := newSide(rapid.SampledFrom(encodings).Draw(t, "encoding"))
		stack := make([]uint64, max(c.LiftStack, c.LowerStack))
		if err := c.LowerParams(s.lower(), args, stack); err != nil {
			t.Fatal(err)
		}
		got, err := c.LiftParams(s.lift(), stack)
		if err != nil || wittest.Show(got) != wittest.Show(args) && len(args) > 0 {
			t.Fatalf("got arguments %s, %v, want %s", wittest.Show(got), err, wittest.Show(args))
		}
		passResult(t, c, s, result)
	})
}

// passResult lowers a result and lifts it again.
func passResult(t *rapid.T, c *canon.Func, s *side, result wit.Value) {
	lowered := c.Core(canon.Lowered)
	stack := make([]uint64, max(c.LiftStack, c.LowerStack, 1))
	if n := len(lowered.Params); len(c.Core(canon.Lifted).Params) < n {
		ptr, err := s.memory.Realloc(0, 0, 8, 4096)
		if err != nil {
			t.Fatal(err)
		}
		stack[n-1] = uint64(ptr)
	}
	if err := c.LowerResult(s.lower(), result, stack); err != nil {
		t.Fatal(err)
	}
	if n := len(lowered.Params); len(lowered.Results) == 0 {
		stack[0] = stack[n-1]
	}
	got, err := c.LiftResult(s.lift(), stack)
	if err != nil || wittest.Show(got) != wittest.Show(result) {
		t.Fatalf("got result %s, %v, want %s", wittest.Show(got), err, wittest.Show(result))
	}
}

func TestValuesArriveUnchangedBetweenGuestsOfAllEncodings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := &wit.Func{Params: []wit.Param{{Type: genType(t, 3)}}}
		args := []wit.Value{genValue(t, f.Params[0].Type)}
		c, err := newScope().Func(f)
		if err != nil {
			t.Fatal(err)
		}
		from := newSide(rapid.SampledFrom(encodings).Draw(t, "from"))
		to := newSide(rapid.SampledFrom(encodings).Draw(t, "to"))
		stack := make([]uint64, c.LiftStack)
		if err := c.LowerParams(from.lower(), args, stack); err != nil {
			t.Fatal(err)
		}
		l := from.lift()
		l.Transit = true
		moving, err := c.LiftParams(l, stack)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.LowerParams(to.lower(), moving, stack); err != nil {
			t.Fatal(err)
		}
		got, err := c.LiftParams(to.lift(), stack)
		if err != nil || wittest.Show(got) != wittest.Show(args) {
			t.Fatalf("got %s, %v, want %s", wittest.Show(got), err, wittest.Show(args))
		}
	})
}

// TestStringsAreAllocatedAsSpecified goes through the nine ways from encoding to
// encoding: which calls of realloc there are is visible to a guest.
func TestStringsAreAllocatedAsSpecified(t *testing.T) {
	const (
		u8  = canon.UTF8
		u16 = canon.UTF16
		any = canon.Latin1OrUTF16
	)
	for _, c := range []struct {
		from, to canon.Encoding
		s        string
		want     string
	}{
		{u8, u8, "aé€", "1 0->6"},
		{u8, u16, "abc", "2 0->6"},
		{u8, u16, "aé", "2 0->6, 2 6->4"},
		{u8, any, "abc", "2 0->3"},
		{u8, any, "aé", "2 0->3, 2 3->2"},
		{u8, any, "a€", "2 0->4, 2 4->8, 2 8->4"},
		{u16, u8, "abc", "1 0->3"},
		{u16, u8, "aé", "1 0->2, 1 2->6, 1 6->3"},
		{u16, u8, "€€", "1 0->2, 1 2->6"},
		{u16, u16, "aé€", "2 0->6"},
		{u16, any, "aé", "2 0->2"},
		{u16, any, "a€", "2 0->2, 2 2->4"},
		{u16, any, "a😀", "2 0->3, 2 3->6"},
		{any, u8, "abc", "1 0->3"},
		{any, u8, "aé", "1 0->2, 1 2->4, 1 4->3"},
		{any, u8, "a€", "1 0->2, 1 2->6, 1 6->4"},
		{any, u16, "aé", "2 0->4"},
		{any, u16, "a€", "2 0->4"},
		{any, any, "aé", "2 0->2"},
		{any, any, "a€", "2 0->4"},
	} {
		f, err := newScope().Func(&wit.Func{Params: []wit.Param{{Type: &wit.Type{Kind: wit.String}}}})
		if err != nil {
			t.Fatal(err)
		}
		from, to := newSide(c.from), newSide(c.to)
		stack := make([]uint64, 2)
		if err := f.LowerParams(from.lower(), []wit.Value{c.s}, stack); err != nil {
			t.Fatal(err)
		}
		l := from.lift()
		l.Transit = true
		moving, err := f.LiftParams(l, stack)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.LowerParams(to.lower(), moving, stack); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(to.memory.calls, ", "); got != c.want {
			t.Errorf("%q from %d to %d: got %s, want %s", c.s, c.from, c.to, got, c.want)
		}
		if got, err := f.LiftParams(to.lift(), stack); err != nil || got[0] != c.s {
			t.Errorf("%q from %d to %d: got %v, %v", c.s, c.from, c.to, got, err)
		}
	}
}

// TestUTF16ThatCouldBeLatin1BecomesIt has a guest pass UTF-16 where it need not.
func TestUTF16ThatCouldBeLatin1BecomesIt(t *testing.T) {
	f, err := newScope().Func(&wit.Func{Params: []wit.Param{{Type: &wit.Type{Kind: wit.String}}}})
	if err != nil {
		t.Fatal(err)
	}
	from, to := newSide(canon.Latin1OrUTF16), newSide(canon.Latin1OrUTF16)
	copy(from.memory.bytes[8:], "a\x00\xe9\x00")
	l := from.lift()
	l.Transit = true
	moving, err := f.LiftParams(l, []uint64{8, 1<<31 | 2})
	if err != nil {
		t.Fatal(err)
	}
	stack := make([]uint64, 2)
	if err := f.LowerParams(to.lower(), moving, stack); err != nil {
		t.Fatal(err)
	}
	got := string(to.memory.bytes[stack[0]:][:stack[1]])
	if calls := strings.Join(to.memory.calls, ", "); got != "a\xe9" || calls != "2 0->4, 1 4->2" {
		t.Errorf("got %q by %s", got, calls)
	}
}

// layout is what one parameter of a type is passed as.
func layout(t *testing.T, y *wit.Type) string {
	t.Helper()
	f, err := newScope().Func(&wit.Func{Params: []wit.Param{{Type: y}}})
	if err != nil {
		return err.Error()
	}
	return coreNames(f.Core(canon.Lifted).Params)
}

func coreNames(types []canon.Core) string {
	var s strings.Builder
	for _, c := range types {
		s.WriteString([...]string{"i32 ", "i64 ", "f32 ", "f64 "}[c])
	}
	return strings.TrimSpace(s.String())
}

func of(kinds ...wit.Kind) (fields []wit.Field) {
	for _, k := range kinds {
		f := wit.Field{}
		if k != 0 {
			f.Type = &wit.Type{Kind: k}
		}
		fields = append(fields, f)
	}
	return fields
}

func TestTypesAreFlattenedAsSpecified(t *testing.T) {
	for _, c := range []struct {
		y    *wit.Type
		want string
	}{
		{&wit.Type{Kind: wit.String}, "i32 i32"},
		{&wit.Type{Kind: wit.Tuple, Fields: of(wit.U8, wit.U64, wit.F32, wit.F64)}, "i32 i64 f32 f64"},
		{&wit.Type{Kind: wit.Variant, Fields: of(0, wit.F32, wit.U32)}, "i32 i32"},
		{&wit.Type{Kind: wit.Variant, Fields: of(wit.F32, 0)}, "i32 f32"},
		{&wit.Type{Kind: wit.Variant, Fields: of(wit.F32, wit.F64)}, "i32 i64"},
		{&wit.Type{Kind: wit.Variant, Fields: of(wit.F64, wit.F64)}, "i32 f64"},
		{&wit.Type{Kind: wit.Variant, Fields: of(wit.String, wit.F64)}, "i32 i64 i32"},
		{&wit.Type{Kind: wit.Result, Err: &wit.Type{Kind: wit.String}}, "i32 i32 i32"},
		{&wit.Type{Kind: wit.Enum, Fields: of(0, 0)}, "i32"},
		{&wit.Type{Kind: wit.Tuple, Fields: of(slices.Repeat([]wit.Kind{wit.String}, 8)...)}, strings.TrimSpace(strings.Repeat("i32 ", 16))},
		{&wit.Type{Kind: wit.Tuple, Fields: of(slices.Repeat([]wit.Kind{wit.U64}, 17)...)}, "i32"},
		{&wit.Type{Kind: wit.Record}, "parameters: a record without fields"},
		{&wit.Type{Kind: wit.Flags, Fields: of(slices.Repeat([]wit.Kind{0}, 33)...)}, "parameters: flags of 33 labels"},
	} {
		if got := layout(t, c.y); got != c.want {
			t.Errorf("%s: got %s, want %s", c.y.Kind, got, c.want)
		}
	}
}

func TestResultsOfManyCoreValuesGoThroughMemory(t *testing.T) {
	f, err := newScope().Func(&wit.Func{Result: &wit.Type{Kind: wit.String}, Params: []wit.Param{{Type: &wit.Type{Kind: wit.F32}}}})
	if err != nil {
		t.Fatal(err)
	}
	for side, want := range map[canon.Side]string{canon.Lifted: "f32 -> i32", canon.Lowered: "f32 i32 -> "} {
		s := f.Core(side)
		if got := coreNames(s.Params) + " -> " + coreNames(s.Results); got != want {
			t.Errorf("side %d: got %s, want %s", side, got, want)
		}
	}
}

// TestTypesLieInMemoryAsSpecified lowers a list of one element and looks at it.
func TestTypesLieInMemoryAsSpecified(t *testing.T) {
	for _, c := range []struct {
		y    *wit.Type
		v    wit.Value
		want string
	}{
		{&wit.Type{Kind: wit.Tuple, Fields: of(wit.U8, wit.U16, wit.U8, wit.U32)}, []wit.Value{uint8(1), uint16(2), uint8(3), uint32(4)}, "01.. 0200 03...... 04000000"},
		{&wit.Type{Kind: wit.Tuple, Fields: of(wit.U32, wit.U8)}, []wit.Value{uint32(1), uint8(2)}, "01000000 02......"},
		{&wit.Type{Kind: wit.Option, Elem: &wit.Type{Kind: wit.U64}}, wit.Case{Index: 1, Payload: uint64(1)}, "01.............. 0100000000000000"},
		{&wit.Type{Kind: wit.Option, Elem: &wit.Type{Kind: wit.U64}}, wit.Case{}, "00.............. ................"},
		{&wit.Type{Kind: wit.Variant, Fields: of(slices.Repeat([]wit.Kind{wit.U8}, 257)...)}, wit.Case{Index: 256, Payload: uint8(7)}, "0001 07.."},
		{&wit.Type{Kind: wit.Enum, Fields: of(slices.Repeat([]wit.Kind{0}, 65537)...)}, wit.Case{Index: 65536}, "00000100"},
		{&wit.Type{Kind: wit.Flags, Fields: of(slices.Repeat([]wit.Kind{0}, 9)...)}, uint32(0x101), "0101"},
		{&wit.Type{Kind: wit.Bool}, true, "01"},
		{&wit.Type{Kind: wit.S16}, int16(-2), "feff"},
		{&wit.Type{Kind: wit.Char}, wit.Rune('€'), "ac200000"},
	} {
		f, err := newScope().Func(&wit.Func{Params: []wit.Param{{Type: &wit.Type{Kind: wit.List, Elem: c.y}}}})
		if err != nil {
			t.Fatal(err)
		}
		s := newSide(canon.UTF8)
		for i := range s.memory.bytes {
			s.memory.bytes[i] = 0xee
		}
		stack := make([]uint64, 2)
		if err := f.LowerParams(s.lower(), []wit.Value{[]wit.Value{c.v}}, stack); err != nil {
			t.Fatal(err)
		}
		got := strings.ReplaceAll(fmt.Sprintf("%x", s.memory.bytes[stack[0]:s.memory.next]), "ee", "..")
		if want := strings.ReplaceAll(c.want, " ", ""); got != want {
			t.Errorf("%s: got %s, want %s", c.y.Kind, got, want)
		}
	}
}

// wantTrap checks that err is a trap for a reason.
func wantTrap(t *testing.T, what string, err error, reason string) {
	t.Helper()
	var trap *canon.Trap
	if !errors.As(err, &trap) || !strings.Contains(trap.Reason, reason) {
		t.Errorf("%s: got %v, want a trap: %s", what, err, reason)
	}
}
