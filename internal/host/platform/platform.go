// Package platform is the host's own functions, those of the WIT package
// waterbear:durable: what a program can ask of the platform that it runs on
// beyond WASI. Their types are read from the WIT, which guests' tools read too,
// and are written nowhere else. Components import the interfaces; core modules
// of WASI 0.1 import the same functions by the canonical ABI, under the module
// names waterbear:durable/<interface>@<version>. The package hides which of the
// two calls.
//
// To add an interface, write wit/durable/<interface>.wit and name it in world.wit
// there; add a file here with the interface's functions and, as a Go interface or
// a type, what they need of the worker; add that to System, and the list to
// interfaces. The tests hold the list to the WIT. Whatever observes or does
// anything is recorded: by its code and effect, or by a durable.Func of its own,
// which Funcs has to name. A worker gives its System in internal/worker, body.go
// for those of deployed components and process.go for programs that are run.
package platform

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/config"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/wit"
	text "github.com/waterbear-run/waterbear/wit/durable"
)

// System is what the functions know of the program that calls them. It belongs to
// the task that runs the program.
type System struct {
	// Session is where calls are recorded.
	Session *durable.Session
	Context Context
	Workers Workers // nil for programs that are run
	// Promises are the program's, and Clock is what waits for them go by.
	Promises Promises
	Clock    Clock
	Config   *config.Values
	Control  Control

	keys  uint64            // made in the invocation
	forks int               // that the attempt has made
	links map[string]string // the workers that calls of interfaces go to in it
	retry *RetryPolicy      // that the program has set in the attempt, or nil
	open  []openEffect      // the inner behind the outer
}

// Begin says that the program begins an attempt.
func (s *System) Begin() {
	s.keys, s.forks, s.links, s.retry, s.open = 0, 0, nil, nil, nil
	s.Config.Begin()
}

// Holder is what an instance's State must be for this package's functions. The
// System is nil where a program is tried out that belongs to no worker.
type Holder interface {
	Platform() *System
}

func system(state any) (*System, error) {
	if s := state.(Holder).Platform(); s != nil {
		return s, nil
	}
	return nil, trap("functions of %s are there for workers only", packageName)
}

// interfaceOf is an interface of the WIT.
type interfaceOf struct {
	name      string
	functions []function
}

// function is one function of an interface.
type function struct {
	name string
	// code names it in the oplog, and effect says how calls are recorded: what
	// call gives is kept and given back at replay. With code 0 call is called at
	// replay too, and sees to that itself.
	code   uint64
	effect durable.Effect
	call   call

	typ *wit.Func // by the WIT
}

// call performs a function. Its arguments and its result are of the types of the
// WIT, nil without one. An error ends the program's call: a *wasm.Trap is its own
// fault. That of a function with a code is the host's: nothing is recorded.
type call func(s *System, a []wit.Value) (wit.Value, error)

// interfaces are all that there are.
func interfaces() []interfaceOf {
	return []interfaceOf{
		configInterface(),
		contextInterface(),
		workersInterface(),
		promisesInterface(),
		controlInterface(),
		effectsInterface(),
		historyInterface(),
	}
}

const packageName = "waterbear:durable"

// version is that of the package.
const version = "0.1.0"

// typed are the interfaces with the types of their functions.
func typed() []interfaceOf {
	d, err := wit.Parser{}.Load(text.Files, ".")
	if err != nil {
		panic(fmt.Sprintf("platform: the WIT cannot be read: %v", err))
	}
	list := interfaces()
	for i := range list {
		for j := range list[i].functions {
			f := &list[i].functions[j]
			if f.typ = typeOf(d.Packages[0], list[i].name, f.name); f.typ == nil {
				panic(fmt.Sprintf("platform: the WIT has no function %s of %s", f.name, list[i].name))
			}
			f.record(list[i].name)
		}
	}
	return list
}

func typeOf(p *wit.Package, name, function string) *wit.Func {
	for _, i := range p.Interfaces {
		if i.ID.Name != name {
			continue
		}
		if f := i.Func(wit.FuncName{Name: function}); f != nil {
			return f.Type
		}
	}
	return nil
}

// MaxRecorded bounds the arguments and the result of a call that are recorded as
// they are, in bytes and each.
const MaxRecorded = 256 << 10

// record lets calls of a function with a code go through the session.
func (f *function) record(of string) {
	if f.code == 0 {
		return
	}
	d, perform := f.declaration(of), f.call
	f.call = func(s *System, a []wit.Value) (wit.Value, error) {
		if n := len(d.Request.Append(nil, a)); n > MaxRecorded {
			return nil, trap("the arguments of %s take %d bytes, more than %d", d.Name, n, MaxRecorded)
		}
		return durable.Run(s.Session, d, a, func(context.Context, []wit.Value) (wit.Value, error) { return perform(s, a) })
	}
}

// declaration is how calls of a function with a code are recorded: its arguments
// and its result as JSON.
func (f *function) declaration(of string) *durable.Func[[]wit.Value, wit.Value] {
	typ := f.typ
	d := &durable.Func[[]wit.Value, wit.Value]{Code: f.code, Name: of + "." + f.name, Effect: f.effect}
	d.Request = durable.Codec[[]wit.Value]{
		Append: func(b []byte, a []wit.Value) []byte { return must(wit.AppendArgsJSON(b, typ, a)) },
		Decode: func(b []byte) ([]wit.Value, error) { return wit.ArgsFromJSON(typ, b) },
		Show:   func(a []wit.Value) string { return string(must(wit.AppendArgsJSON(nil, typ, a))) },
	}
	d.Response = durable.Codec[wit.Value]{
		Append: func(b []byte, v wit.Value) []byte {
			if typ.Result == nil {
				return b
			}
			return must(wit.AppendJSON(b, typ.Result, v))
		},
		Decode: func(b []byte) (wit.Value, error) {
			if typ.Result == nil {
				return nil, nil
			}
			return wit.FromJSON(typ.Result, b)
		},
		Show: func(v wit.Value) string {
			if typ.Result == nil {
				return ""
			}
			return string(must(wit.AppendJSON(nil, typ.Result, v)))
		},
	}
	return d
}

// must gives what values of the types of a function are written as, which cannot
// fail.
func must(b []byte, err error) []byte {
	if err != nil {
		panic(fmt.Sprintf("platform: a value is not of its type: %v", err))
	}
	return b
}

// Funcs are the recorded functions, for those who read oplogs.
func Funcs() []durable.Declared {
	list := []durable.Declared{&key, &effectState, &readEffect, &writeEffect, &invokeFunc, &startFunc, &resultFunc, &pollFunc, &linkFunc, &forkFunc}
	for _, i := range typed() {
		for _, f := range i.functions {
			if f.code != 0 {
				list = append(list, f.declaration(i.name))
			}
		}
	}
	slices.SortFunc(list, func(x, y durable.Declared) int {
		a, _, _ := x.Declaration()
		b, _, _ := y.Declaration()
		return cmp.Compare(a, b)
	})
	return list
}

// Interfaces are what components can import, the last one standing for those that
// other components export. They find their System through the
// State of the instance that calls them, which must be a Holder.
func Interfaces() []*component.HostInterface {
	var list []*component.HostInterface
	for _, i := range typed() {
		host := &component.HostInterface{Name: packageName + "/" + i.name, Version: version}
		for _, f := range i.functions {
			call := f.call
			host.Funcs = append(host.Funcs, component.HostFunc{
				Name: f.name, Type: f.typ,
				Call: func(c *component.Call, args []wit.Value) (wit.Value, error) {
					s, err := system(c.State())
					if err != nil {
						return nil, err
					}
					return call(s, args)
				},
			})
		}
		list = append(list, host)
	}
	return append(list, foreignInterface())
}

// trap is a fault of the program.
func trap(format string, args ...any) error {
	return &wasm.Trap{Reason: fmt.Sprintf(format, args...)}
}
