package sim

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// kit is the state of a worker of the guests kit and keeper, as their functions
// have to leave it: what Waterbear runs is compared with it. It is comparable.
type kit struct {
	counter, registered, file int64

	written, tokens string // numbers, as appendNumber has them
	read            int    // of what is written, in bytes
	armed           bool
}

func appendNumber(s string, n int64) string {
	return string(binary.LittleEndian.AppendUint64([]byte(s), uint64(n)))
}

// firstNumber is -1 if there is none.
func firstNumber(s string) int64 {
	if s == "" {
		return -1
	}
	return int64(binary.LittleEndian.Uint64([]byte(s)))
}

// after is the state behind a call that was answered with result, or an error
// if that is the wrong answer. What a function observes is believed: the clock,
// chance.
func (k kit) after(function string, args, result []byte) (kit, error) {
	in, err := integers(args)
	if err != nil {
		return k, err
	}
	out, err := integers(result)
	if err != nil {
		return k, err
	}
	var want []int64
	switch arg, got := first(in), first(out); function {
	case "inc":
		k.counter += arg
		want = []int64{k.counter}
	case "get", "flaky": // flaky, if it succeeds at all, takes back what it does
		want = []int64{k.counter}
	case "steps":
		k.counter += max(arg, 0)
		want = []int64{k.counter}
	case "put":
		want = []int64{k.registered}
		k.registered = arg
	case "file_inc", "file-inc":
		k.file += arg
		want = []int64{k.file}
	case "roll":
		k.counter += got >> 31 // the upper half of twice the result
		return k, nil
	case "now":
		k.counter += got & 1
		return k, nil
	case "ask", "insist": // -1: it failed, -2: nobody has settled it in time
		if got < -2 {
			return k, fmt.Errorf("%s%s gave %s", function, args, result)
		}
		k.counter += max(got, 0)
		return k, nil
	case "nap":
		return k, nil
	case "print":
	default:
		k, want, err = k.keep(function, arg)
		if err != nil {
			return k, err
		}
	}
	if len(want) != len(out) || first(want) != first(out) {
		return k, fmt.Errorf("%s%s gave %s, want %v", function, args, result, want)
	}
	return k, nil
}

// keep is after for the functions that leave something open, and gives what they
// have to give.
func (k kit) keep(function string, arg int64) (kit, []int64, error) {
	var want int64
	switch function {
	case "append":
		k.written = appendNumber(k.written, arg)
		want = int64(len(k.written) / 8)
	case "next":
		want = firstNumber(k.written[k.read:])
		k.read = min(k.read+8, len(k.written))
	case "arm":
		k.armed = true
		return k, nil, nil
	case "ring":
		if k.armed {
			want = 1
		}
		k.armed = false
	case "mint":
		k.tokens = appendNumber(k.tokens, arg)
		want = int64(len(k.tokens) / 8)
	case "spend":
		want = firstNumber(k.tokens)
		k.tokens = k.tokens[min(8, len(k.tokens)):]
	default:
		return k, nil, fmt.Errorf("%s has a result, and should have none", function)
	}
	return k, []int64{want}, nil
}

func integers(array []byte) (all []int64, err error) {
	if len(array) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(array, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", array, err)
	}
	return all, nil
}

func first(all []int64) int64 {
	if len(all) == 0 {
		return 0
	}
	return all[0]
}
