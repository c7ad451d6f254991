package wasm

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// Trap is a guest's failure.
type Trap struct {
	// Reason says what the guest did.
	Reason string
	// Stack names the guest's functions, innermost first; at most the 30
	// innermost ones.
	Stack []string
	// Overflow tells that the guest recursed too deep.
	Overflow bool
}

// Error is the reason.
func (t *Trap) Error() string { return "guest trapped: " + t.Reason }

// HostError is a host function's failure that it did not announce by Abort: a
// defect of ours, never the guest's fault. It ends the call and spares the
// process, because a guest that found a way to provoke it must not be able to
// stop its neighbours.
type HostError struct {
	Func  string // module.name
	Cause error
}

// Error names the function and what went wrong in it.
func (e *HostError) Error() string {
	return fmt.Sprintf("host function %s panicked: %v", e.Func, e.Cause)
}

// Unwrap is what the function panicked with.
func (e *HostError) Unwrap() error { return e.Cause }

// Traced is an error with which a host function ends a call of the guest to see
// where it was made.
type Traced struct {
	Err error
	// Stack names the guest's functions, innermost first, up to the 30 innermost ones
	// of each instance that the call leads through.
	Stack []string
}

// Error is that of the error below.
func (t *Traced) Error() string { return t.Err.Error() }

// Unwrap is the error below.
func (t *Traced) Unwrap() error { return t.Err }

// failure turns what wazero returned into what Call promises.
func (in *Instance) failure(err error) error {
	var a *abortion
	if errors.As(err, &a) {
		if t, ok := a.err.(*Trap); ok {
			in.tainted = in.tainted || t.Overflow
			if t.Stack == nil {
				t.Stack = in.stackIn(err)
			}
		}
		var traced *Traced
		if errors.As(a.err, &traced) {
			traced.Stack = append(traced.Stack, in.stackIn(err)...)
		}
		return a.err
	}
	if in.host != nil {
		in.tainted = true
		return &HostError{Func: in.host.name, Cause: err}
	}
	reason, known := trapReasons[cause(err).Error()]
	if !known {
		in.tainted = true
		return fmt.Errorf("call %s: %w", in.function.name, err)
	}
	t := &Trap{Reason: reason, Stack: in.stackIn(err), Overflow: reason == stackOverflow}
	if t.Overflow {
		in.tainted = true
		in.function.forget()
	}
	return t
}

const stackOverflow = "stack overflow"

// trapReasons are wazero's words for a trap and ours.
var trapReasons = map[string]string{
	"unreachable":                   "unreachable executed",
	"out of bounds memory access":   "out of bounds memory access",
	"integer divide by zero":        "integer divide by zero",
	"integer overflow":              "integer overflow",
	"invalid conversion to integer": "invalid conversion to integer",
	"invalid table access":          "table access out of bounds or to a null element",
	"indirect call type mismatch":   "indirect call of a function of another type",
	"stack overflow":                stackOverflow,
	"uncaught exception":            "uncaught exception",
	"null reference":                "null reference",
	"unaligned atomic":              "unaligned atomic access",
}

// cause is the innermost error.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// frameLine matches a line of wazero's stack trace: a name, which the guest
// chose and which may be anything, then a signature.
var frameLine = regexp.MustCompile(`^(.*?)\([a-z0-9,]*\)(?: [a-z0-9]+| \([a-z0-9,]+\))?$`)

// stackIn reads the guest's functions out of the text of wazero's error, which
// is the only place where they are.
func (in *Instance) stackIn(err error) []string {
	_, trace, found := strings.Cut(err.Error(), "wasm stack trace:\n\t")
	if !found {
		return nil
	}
	var names []string
	for line := range strings.SplitSeq(trace, "\n\t") {
		m := frameLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		module, name := in.moduleOf(m[1])
		if ours := module == nil || strings.HasPrefix(name, "waterbear"); !ours {
			names = append(names, module.sourceName(printable(rustName(name))))
		}
	}
	return names
}

// moduleOf tells the module from the function in a name of wazero's. Of linked
// modules that have the same name it takes the first. It is nil for a function of the
// host.
func (in *Instance) moduleOf(name string) (*Module, string) {
	for _, other := range in.instances {
		if rest, ok := strings.CutPrefix(name, other.module.compiled.Name()+"."); ok {
			return other.module, rest
		}
	}
	if rest, ok := strings.CutPrefix(name, in.module.compiled.Name()+"."); ok {
		return in.module, rest
	}
	return nil, name
}

// sourceName is the name in the module's source of a function that is named in
// the rewritten module. One without a name is called by its number, which the
// import of yield has moved.
func (m *Module) sourceName(name string) string {
	n, err := strconv.Atoi(strings.TrimPrefix(name, "$"))
	if err != nil || name[0] != '$' || n <= len(m.imports) {
		return name
	}
	return "$" + strconv.Itoa(n-1)
}

// maxNameBytes bounds the name of a function in a trap.
const maxNameBytes = 1000

// printable makes a name fit for a person's terminal.
func printable(name string) string {
	if len(name) > maxNameBytes {
		name = name[:maxNameBytes] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, name)
}
