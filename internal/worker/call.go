package worker

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/wit"
)

// MaxArgs bounds the arguments of an invocation, in bytes of JSON: they are
// part of one oplog entry.
const MaxArgs = 512 << 10

// CheckCall refuses a call that a revision cannot take, and gives its function
// its whole name, and its arguments the form that two calls are compared in.
// typed gives the types of the functions that a component exports; nil is a core
// module.
func CheckCall(revision api.Revision, typed func(name string) (*wit.Func, bool), c *api.Call) error {
	if err := checkKey(c.Key); err != nil {
		return err
	}
	if len(c.Args) > MaxArgs {
		return api.NewProblem(api.CodeTooLarge, fmt.Sprintf("the arguments have %d bytes, more than %d", len(c.Args), MaxArgs))
	}
	f, err := FindFunction(revision, c.Function)
	if err != nil {
		return err
	}
	c.Function = f.Name
	if typed != nil && revision.Kind != api.Command {
		return checkTyped(typed, c)
	}
	if c.WAVE != "" {
		return api.NewProblem(api.CodeInvalid, "wave: the program is a core module, whose functions have no types of WIT; pass args")
	}
	args, err := wit.CanonicalArgs(c.Args)
	if err == nil {
		c.Args = args
		if revision.Kind == api.Command {
			_, err = wit.Strings(args)
		} else {
			_, err = wit.LowerCore(f.Params, args, nil)
		}
	}
	if err != nil {
		return api.NewProblem(api.CodeBadArguments, fmt.Sprintf("call %s: %v", c.Function, err))
	}
	return nil
}

// MaxKey bounds an idempotency key, in bytes.
const MaxKey = 256

// checkKey refuses keys that are too long, and those that are made for
// invocations without one.
func checkKey(key string) error {
	if len(key) > MaxKey {
		return api.NewProblem(api.CodeInvalid, fmt.Sprintf("the idempotency key has %d bytes, more than %d", len(key), MaxKey))
	}
	if index := madeKey(key); index != 0 {
		return api.NewProblem(api.CodeInvalid, fmt.Sprintf("the idempotency key %q is one that the server makes for invocations without a key; choose another, not beginning with %q", key, KeyPrefix))
	}
	return nil
}

// madeKey is the index in a key that was made for an invocation, or 0.
func madeKey(key string) oplog.Index {
	number, ok := strings.CutPrefix(key, KeyPrefix)
	if !ok || len(number) == 0 || number[0] < '1' || number[0] > '9' {
		return 0
	}
	index, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0
	}
	return index
}

// maxNames is how many functions an error lists.
const maxNames = 20

// functionNames says what there is in place of a function that there is not.
func functionNames(revision api.Revision) string {
	var names []string
	for _, f := range revision.Exports {
		if len(names) == maxNames {
			names = append(names, "…")
			break
		}
		names = append(names, f.Name)
	}
	switch {
	case len(names) > 0:
		return "it has " + strings.Join(names, ", ")
	case revision.HTTP:
		return "it has none, and answers HTTP requests"
	}
	return "it has none"
}

// KeyPrefix begins the keys of invocations whose clients gave none.
const KeyPrefix = "i-"

// keyOf is the key of an invocation.
func keyOf(a *oplog.InvocationAccepted, index oplog.Index) string {
	if a.Key != "" {
		return a.Key
	}
	return KeyPrefix + strconv.FormatUint(index, 10)
}

// FindFunction finds an export by its whole name, or by a shorter one that no
// other function has.
func FindFunction(revision api.Revision, name string) (*api.Function, error) {
	var found []*api.Function
	for i := range revision.Exports {
		f := &revision.Exports[i]
		if f.Name == name {
			return f, nil
		}
		if f.Named(name) {
			found = append(found, f)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if whole, ok := catalog.Exported(revision.Exports, name); ok {
			return FindFunction(revision, whole)
		}
		return nil, api.NewProblem(api.CodeNoFunction, fmt.Sprintf("revision %d of %s exports no function %q; %s",
			revision.Number, revision.Component, name, functionNames(revision)))
	}
	return nil, api.NewProblem(api.CodeNoFunction, fmt.Sprintf("revision %d of %s exports more than one function %q: write %s or %s",
		revision.Number, revision.Component, name, found[0].Name, found[1].Name))
}

// checkTyped is CheckCall for a function of a component.
func checkTyped(typed func(name string) (*wit.Func, bool), c *api.Call) error {
	t, ok := typed(c.Function)
	if !ok {
		return api.NewProblem(api.CodeNoFunction, fmt.Sprintf("the component exports no function %q", c.Function))
	}
	var values []wit.Value
	var err error
	if c.WAVE != "" {
		if len(c.Args) > 0 {
			return api.NewProblem(api.CodeInvalid, "there are both args and wave: pass one of them")
		}
		values, err = wit.ArgsFromWAVE(t, c.WAVE)
	} else {
		values, err = wit.ArgsFromJSON(t, c.Args)
	}
	if err == nil {
		c.WAVE = ""
		c.Args, err = wit.AppendArgsJSON(nil, t, values)
	}
	if err == nil && len(c.Args) > MaxArgs {
		return api.NewProblem(api.CodeTooLarge, fmt.Sprintf("the arguments have %d bytes, more than %d", len(c.Args), MaxArgs))
	}
	if err != nil {
		return api.NewProblem(api.CodeBadArguments, fmt.Sprintf("call %s: %v", c.Function, err))
	}
	return nil
}
