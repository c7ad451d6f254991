package sim

import (
	"encoding/json"
	"fmt"
)

// kit is the state of a worker of the guest "kit", as its functions have to
// leave it: what Waterbear runs is compared with it.
type kit struct{ counter, registered, file int64 }

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
	case "file_inc":
		k.file += arg
		want = []int64{k.file}
	case "roll":
		k.counter += got >> 31 // the upper half of twice the result
		return k, nil
	case "now":
		k.counter += got & 1
		return k, nil
	case "nap":
		return k, nil
	case "print":
	default:
		return k, fmt.Errorf("%s has a result, and should have none", function)
	}
	if len(want) != len(out) || first(want) != first(out) {
		return k, fmt.Errorf("%s%s gave %s, want %v", function, args, result, want)
	}
	return k, nil
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
