// Package waterbear is what a Go program asks the platform that it runs on: the
// functions of the WIT package waterbear:durable@0.1.0, for programs that are
// compiled with GOOS=wasip1 GOARCH=wasm. It hides how values cross to the host.
//
// All that a program is told is recorded: after a crash it is told the same. What
// makes no sense, such as ending an atomic region that was not begun, traps, which
// fails the invocation; it is no error and cannot be recovered from.
//
// Programs that use this package export cabi_realloc, by which the host gives them
// strings. They run on a server of Waterbear or by `waterbear run`, and under no
// other WASI runtime. Compiled for other systems, the functions panic.
package waterbear

import (
	"time"
	"unsafe"
)

// Identity is a worker and what it does.
type Identity struct {
	Component string // that was deployed; "run" for a program that is run
	Name      string // of the worker, within the component
	Revision  uint64 // of the component; 0 for a program that is run
	Created   time.Time
	// Invocation is the idempotency key of the invocation, empty while the worker
	// is initialized.
	Invocation string
	Attempt    uint64 // of the invocation, from 1
}

// Current says who the program is.
func Current() Identity {
	var r struct {
		component, name   text
		revision, created uint64
		invocation        text
		attempt           uint64
	}
	contextCurrent(unsafe.Pointer(&r))
	return Identity{
		Component: r.component.take(), Name: r.name.take(), Revision: r.revision, Created: moment(r.created),
		Invocation: r.invocation.take(), Attempt: r.attempt,
	}
}

// IdempotencyKey makes a key for a call that must not take effect twice. Each call
// gives another one, and the same call gives the same one whenever the program
// comes here again: after a crash, in the next attempt, and when an atomic region
// is repeated.
func IdempotencyKey() string {
	var r text
	contextKey(unsafe.Pointer(&r))
	return r.take()
}

// Config gives a value of the component's configuration or one of its secrets, and
// whether there is one of this name. The error says why nothing could be read.
func Config(name string) (value string, ok bool, err error) {
	var r struct {
		failed uint32
		a      text // the error; or whether there is one, and the value's address
		length uint32
	}
	configGet(name, unsafe.Pointer(&r))
	if r.failed&0xff != 0 {
		return "", false, &ConfigError{r.a.take()}
	}
	if r.a.begin&0xff == 0 {
		return "", false, nil
	}
	return text{r.a.length, r.length}.take(), true, nil
}

// ConfigAll gives all names and values.
func ConfigAll() (map[string]string, error) {
	var r struct {
		failed uint32
		list   text // or the error
	}
	configGetAll(unsafe.Pointer(&r))
	if r.failed&0xff != 0 {
		return nil, &ConfigError{r.list.take()}
	}
	values := map[string]string{}
	for _, pair := range takeList[[2]text](r.list) {
		name := pair[0].take()
		values[name] = pair[1].take()
	}
	return values, nil
}

// ConfigError is why no configuration could be read.
type ConfigError struct{ Message string }

// Error implements error.
func (e *ConfigError) Error() string { return "read the configuration: " + e.Message }
