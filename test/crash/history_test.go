package crash

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/waterbear-run/waterbear/api"
)

// step is an operation as a model sees it.
type step struct {
	function string
	arg      int64
}

// answer is what a model compares.
type answer struct {
	finished bool
	value    int64
}

// counter is the model of a counter: what adds to it gives the new total, what
// only looks at it gives the total, and what failed did not happen.
var counter = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		total, in, out := state.(int64), input.(step), output.(answer)
		if !out.finished {
			return true, total
		}
		if in.function == "inc" || in.function == "add" {
			total += in.arg
		}
		return out.value == total, total
	},
}

// register is the model of a register whose write gives what was there.
var register = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		return output.(answer).value == state.(int64), input.(step).arg
	},
}

// linearizable demands that what clients saw of each counter and each register
// can be explained by one operation after the other.
func (l *load) linearizable() {
	l.t.Helper()
	counters, registers := map[string][]porcupine.Operation{}, map[string][]porcupine.Operation{}
	for _, o := range l.all {
		value, _ := o.result()
		op := porcupine.Operation{
			ClientId: o.client, Input: step{o.Function, o.arg}, Output: answer{o.finished(), value},
			Call: int64(o.sent), Return: int64(o.answered),
		}
		switch name := o.component + "/" + o.worker; o.Function {
		case "inc", "add", "get", "flaky":
			counters[name] = append(counters[name], op)
		case "put":
			registers[name] = append(registers[name], op)
		}
	}
	check := func(what string, model porcupine.Model, histories map[string][]porcupine.Operation) {
		for name, history := range histories {
			if got := porcupine.CheckOperationsTimeout(model, history, patience); got != porcupine.Ok {
				l.t.Errorf("the history of the %s of %s, %d operations, is not linearizable: %s (seed %d)", what, name, len(history), got, *seed)
			}
		}
	}
	check("counter", counter, counters)
	check("register", register, registers)
}

// worker demands that what the server tells of a worker is what clients saw.
func (l *load) worker(component, worker string) {
	l.t.Helper()
	h := history{load: l, component: component, name: component + "/" + worker, accepted: map[uint64]*acceptance{}, keys: map[string]*acceptance{}, printed: map[string]int{}}
	c := l.server.client()
	for entry, err := range c.Oplog(l.t.Context(), component, worker, api.Range{}) {
		if err != nil {
			l.t.Fatalf("read the oplog of %s: %v (seed %d)", h.name, err, *seed)
		}
		h.apply(entry)
	}
	for chunk, err := range c.Logs(l.t.Context(), component, worker, api.Range{}) {
		if err != nil {
			l.t.Fatalf("read the log of %s: %v (seed %d)", h.name, err, *seed)
		}
		for line := range strings.Lines(chunk.Text) {
			h.printed[line]++
		}
	}
	h.compare(component, worker)
}

// acceptance is an invocation as an oplog has it.
type acceptance struct {
	index  uint64
	key    string
	due    time.Time
	ended  bool
	result string
}

// history is what the oplog and the log of one worker say.
type history struct {
	load      *load
	component string
	name      string
	queue     []*acceptance // not ended, in order of acceptance
	accepted  map[uint64]*acceptance
	keys      map[string]*acceptance
	ended     []*acceptance
	traps     int // attempts
	printed   map[string]int
}

func (h *history) wrong(format string, args ...any) {
	h.load.t.Helper()
	h.load.t.Errorf("%s: %s (seed %d)", h.name, fmt.Sprintf(format, args...), *seed)
}

// apply takes the next entry of the oplog.
func (h *history) apply(e api.Entry) {
	var b struct {
		At       time.Time
		Key      string
		Due      time.Time
		Retry    time.Time
		Accepted uint64
		Code     string
		Result   struct{ Text string }
	}
	if !strings.HasPrefix(e.Kind, "Invocation") {
		h.load.saved[e.Kind+" of "+h.component]++
		return
	}
	if err := json.Unmarshal(e.Body, &b); err != nil {
		h.wrong("entry %d: %v", e.Index, err)
		return
	}
	switch e.Kind {
	case "InvocationAccepted":
		a := &acceptance{index: e.Index, key: b.Key, due: b.Due}
		if h.keys[b.Key] != nil {
			h.wrong("the key %s was accepted twice", b.Key)
		}
		h.queue = append(h.queue, a)
		h.accepted[e.Index], h.keys[b.Key] = a, a
	case "InvocationStarted":
		h.started(e.Index, b.Accepted, b.At)
	case "InvocationFinished":
		h.end(b.Accepted, b.Result.Text)
	case "InvocationFailed":
		if b.Code == string(api.FailedTrap) {
			h.traps++
		}
		if b.Retry.IsZero() {
			h.end(b.Accepted, "")
		}
	default:
		h.wrong("entry %d is %s, which nobody asked for", e.Index, e.Kind)
	}
}

// started demands that what begins is the first in the queue that is due.
func (h *history) started(index, accepted uint64, at time.Time) {
	for _, a := range h.queue {
		switch {
		case accepted == 0 || a.index == accepted:
			return
		case !a.due.After(at):
			h.wrong("entry %d begins %d before %d, which was accepted earlier and due", index, accepted, a.index)
			return
		}
	}
	h.wrong("entry %d begins %d, which is not in the queue", index, accepted)
}

// end takes the end of an invocation.
func (h *history) end(accepted uint64, result string) {
	if accepted == 0 {
		return // the initialization
	}
	a := h.accepted[accepted]
	if a == nil || a.ended {
		h.wrong("%d ends, and was not accepted or has ended before", accepted)
		return
	}
	a.ended, a.result = true, result
	h.ended = append(h.ended, a)
	for i := range h.queue {
		if h.queue[i] == a {
			h.queue = append(h.queue[:i:i], h.queue[i+1:]...)
			break
		}
	}
}

// compare demands that the worker's history has each operation of the clients
// once, with the result that they got, and their lines in the log once.
func (h *history) compare(component, worker string) {
	h.load.t.Helper()
	if len(h.queue) > 0 {
		h.wrong("%d invocations have not ended, %s for one", len(h.queue), h.queue[0].key)
	}
	want, totals, operations := map[string]int{}, map[int64]bool{}, map[string]*operation{}
	for _, o := range h.load.all {
		if o.component != component || o.worker != worker {
			continue
		}
		operations[o.Key] = o
		a := h.keys[o.Key]
		if a == nil {
			h.wrong("%s was acknowledged and is lost", o.Key)
			continue
		}
		if a.index != o.answer.Index || a.result != string(o.answer.Result) {
			h.wrong("%s has the result %s and was accepted at %d in the oplog, and the client got %s", o.Key, a.result, a.index, tell(o.answer))
		}
		value, _ := o.result()
		if (o.Function == "inc" || o.Function == "add") && totals[value] {
			h.wrong("two calls were answered with the total %d", value)
		}
		totals[value] = totals[value] || o.Function == "inc" || o.Function == "add"
		lines(want, o, value)
	}
	if len(h.keys) != len(operations) {
		h.wrong("%d invocations were accepted, and clients know of %d", len(h.keys), len(operations))
	}
	if component == "keeper" {
		h.keeps(operations)
	}
	if h.traps > 0 {
		want["no luck\n"] = h.traps
	}
	for line, times := range want {
		if h.printed[line] != times {
			h.wrong("the log has %d times %q, want %d", h.printed[line], line, times)
		}
		delete(h.printed, line)
	}
	for line, times := range h.printed {
		h.wrong("the log has %d times %q, which nobody printed", times, line)
	}
}

// lines adds what an operation prints.
func lines(all map[string]int, o *operation, value int64) {
	switch {
	case o.component == "heap": // which prints nothing
	case o.Function == "add":
		all[fmt.Sprintf("added %d: %d\n", o.arg, value)]++
	case o.Function == "print":
		for i := range o.arg {
			all[fmt.Sprintf("line %d\n", i)]++
		}
		if o.component != "keeper" {
			all[fmt.Sprintf("printed %d\n", o.arg)]++
		}
	}
}
