package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// standing is what a worker of callers has come to, between its invocations. The
// count tells its standings apart: each script adds to it.
type standing struct {
	count   int64
	file    string // "": there is none
	printed string
}

// act is what one worker does of a script, which its origin may have begun.
type act struct {
	worker  string // its name
	origin  string // "": the script was sent to it
	before  standing
	now     standing
	results []string // of each step, if it is known
	doers   []string // of each step, by name
	promise bool     // the one it has made is pending
	failed  bool
}

// What a step gives, if only that is known.
const (
	anyKey    = "a key"
	anyAnswer = "an answer of another worker"
)

// play gives what all that do a script have to come to, the one that it is sent to
// first. taken says whether somebody else has the name of a copy.
func play(script []string, worker string, from standing, taken func(name string) bool) []act {
	return (&act{worker: worker, before: from, now: from}).play(script, taken)
}

func (a *act) play(script []string, taken func(name string) bool) (all []act) {
	for i := len(a.results); i < len(script) && !a.failed; i++ {
		words := strings.Fields(script[i])
		a.doers = append(a.doers, a.worker)
		if words[0] == "as" && words[1] != a.worker {
			a.results = append(a.results, "")
			continue
		}
		if words[0] == "as" {
			words = words[2:]
		}
		if words[0] == "fork" && !taken(words[1]) {
			copied := *a
			copied.worker, copied.origin, copied.promise = words[1], a.worker, false
			copied.doers = slices.Clone(a.doers)
			copied.results = append(slices.Clone(a.results), "forked as "+trading+"/"+words[1])
			all = append(all, copied.play(script, taken)...)
		}
		a.results = append(a.results, a.step(words, taken))
	}
	if a.failed { // and is not tried again
		a.now = a.before
	}
	return append([]act{*a}, all...)
}

// step does one step and gives its result.
func (a *act) step(words []string, taken func(name string) bool) string {
	switch rest := words[1:]; words[0] {
	case "add":
		n, err := strconv.ParseInt(rest[0], 10, 64)
		if err != nil {
			panic(fmt.Sprintf("sim: a script adds %s: %v", rest[0], err))
		}
		a.now.count += n
		return strconv.FormatInt(a.now.count, 10)
	case "write":
		a.now.file = rest[1]
	case "read":
		return a.now.content()
	case "print":
		a.now.printed += strings.Join(rest, " ") + "\n"
	case "who":
		return a.worker
	case "key":
		return anyKey
	case "invoke":
		return anyAnswer
	case "fork":
		if taken(rest[0]) {
			return exists(rest[0])
		}
		return "original of " + trading + "/" + rest[0]
	case "promise":
		a.promise = true
	case "complete":
		return "completed"
	case "wait":
		if !a.promise {
			return "unknown"
		}
		a.promise = false
		return completion
	case "fail-as":
		a.failed = rest[0] == a.worker
	case "sleep", "trap-before": // which the first attempt of the original does, and no copy
	default:
		panic(fmt.Sprintf("sim: there is no step %q", words))
	}
	return ""
}

// exists is what a worker is told that forks itself under a name that another has.
func exists(name string) string {
	return "Failure::Exists: there is a worker " + trading + "/" + name + "; a copy needs another name"
}

// completion is what copies complete promises with.
const completion = "done"

// content is what reading its file gives.
func (s standing) content() string {
	if s.file == "" {
		return "No such file or directory (os error 44)"
	}
	return s.file
}

// compare says in what results differ from those of the act.
func (a *act) compare(results []string) error {
	if len(results) != len(a.results) {
		return fmt.Errorf("%d steps gave %q, want %q", len(a.results), results, a.results)
	}
	for i, want := range a.results {
		ok := results[i] == want
		switch want {
		case anyKey:
			ok = len(results[i]) > 10 && !strings.ContainsAny(results[i], " :")
		case anyAnswer:
			ok = paid(results[i]) || strings.HasPrefix(results[i], "Failure::Stopped: ")
		}
		if !ok {
			return fmt.Errorf("step %d gave %q, want %q", i+1, results[i], want)
		}
	}
	return nil
}

// paid reports whether the other worker has done what it was called for.
func paid(answer string) bool { return strings.HasPrefix(answer, "[") }
