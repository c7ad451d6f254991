package crash

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// keeper is what a worker of the guest of that name has to answer, one call after
// the other. Most of it lies in resources that it keeps from call to call.
type keeper struct {
	counter, registered, file int64
	written, tokens           []int64
	read                      int
	armed                     bool
}

// drawKeeper chooses a function of keeper and its argument. What is put or
// written is never put or written twice.
func drawKeeper(random *rand.Rand, client, n int) (function string, arg int64) {
	unique := int64(client+1)*1_000_000 + int64(n)
	switch random.IntN(20) {
	case 0, 1:
		return "put", unique
	case 2, 3, 4, 5:
		return "append", unique
	case 6, 7, 8:
		return "next", 0
	case 9, 10:
		return "mint", unique
	case 11, 12:
		return "spend", 0
	case 13:
		return "arm", random.Int64N(100)
	case 14:
		return "ring", 0
	case 15:
		return "fail", 0
	case 16:
		return "file-inc", 1 + random.Int64N(9)
	case 17:
		return "get", 0
	case 18:
		return "print", random.Int64N(20)
	}
	return "inc", 1 + random.Int64N(9)
}

// takesNothing are the functions without parameters.
var takesNothing = map[string]bool{"get": true, "next": true, "spend": true, "ring": true, "fail": true}

// answer is what a call has to be answered with, as JSON.
func (k *keeper) answer(function string, arg int64) string {
	var want int64
	switch function {
	case "inc":
		k.counter += arg
		want = k.counter
	case "get":
		want = k.counter
	case "put":
		want, k.registered = k.registered, arg
	case "file-inc":
		k.file += arg
		want = k.file
	case "append":
		k.written = append(k.written, arg)
		want = int64(len(k.written))
	case "next":
		if want = -1; k.read < len(k.written) {
			want = k.written[k.read]
			k.read++
		}
	case "mint":
		k.tokens = append(k.tokens, arg)
		want = int64(len(k.tokens))
	case "spend":
		if want = -1; len(k.tokens) > 0 {
			want, k.tokens = k.tokens[0], k.tokens[1:]
		}
	case "ring":
		if k.armed {
			want = 1
		}
		k.armed = false
	case "arm":
		k.armed = true
		return "[]"
	case "print":
		return "[]"
	case "fail":
		return "" // and nothing has happened
	}
	return fmt.Sprintf("[%d]", want)
}

// keeps demands that a worker of keeper has answered as one does that calls
// reach one after the other, in the order of its oplog.
func (h *history) keeps(operations map[string]*operation) {
	h.load.t.Helper()
	k := &keeper{}
	for _, a := range h.ended {
		o := operations[a.key]
		if o == nil {
			continue // which is told elsewhere
		}
		if want := k.answer(o.Function, o.arg); a.result != want {
			h.wrong("%s, %s(%d), gave %s, want %s", a.key, o.Function, o.arg, a.result, want)
			return
		}
	}
	// What it writes to stderr comes in pieces, as its language likes.
	for line := range h.printed {
		if !strings.HasPrefix(line, "line ") {
			delete(h.printed, line)
		}
	}
	h.traps = 0
}
