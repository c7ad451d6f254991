package sim

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// registers are a counter and a register as their clients see them. A deed whose
// result nobody knows may have had any.
var registers = porcupine.Model{
	Init: func() any { return kit{} },
	Step: func(state, input, output any) (bool, any) {
		s, in, out := state.(kit), input.(*Deed), output.(*Deed)
		want := int64(0)
		switch in.Function {
		case "inc":
			s.counter += in.Arg
			want = s.counter
		case "get":
			want = s.counter
		case "put":
			want = s.registered
			s.registered = in.Arg
		case "delete":
			s = kit{}
		}
		return !out.Known || out.Result == want, s
	},
	DescribeOperation: func(input, output any) string {
		in, out := input.(*Deed), output.(*Deed)
		return fmt.Sprintf("%s(%d) = %d, known %t", in.Function, in.Arg, out.Result, out.Known)
	},
}

// checkLinear looks for an order of what clients did to each worker in which
// everybody was answered rightly, and everything took place between its call
// and its answer. Who gets no answer at all cannot tell whether it took place.
func checkLinear(t *testing.T, what string, deeds []Deed) {
	t.Helper()
	histories := map[string][]porcupine.Operation{}
	for i := range deeds {
		d := &deeds[i]
		part := d.Worker.String()
		switch {
		case !slices.Contains([]string{"plain", "pair", "fleeting"}, d.Worker.Name):
			continue
		case d.Function == "put": // which has nothing to do with the counter
			part += "'s register"
		case d.Function == "get" && !d.Known:
			continue // it changes nothing, and nobody was told anything
		}
		histories[part] = append(histories[part], porcupine.Operation{
			ClientId: d.Client, Input: d, Output: d, Call: d.Began, Return: d.Ended,
		})
	}
	for _, part := range slices.Sorted(maps.Keys(histories)) {
		h := histories[part]
		if porcupine.CheckOperationsTimeout(registers, h, 10*time.Second) != porcupine.Illegal {
			continue
		}
		t.Errorf("%s: what clients did to %s cannot have happened one after the other:", what, part)
		for _, o := range h {
			t.Logf("%d to %d: client %d: %s", o.Call, o.Return, o.ClientId, registers.DescribeOperation(o.Input, o.Output))
		}
	}
}
