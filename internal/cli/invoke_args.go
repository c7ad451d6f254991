package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear/api"
)

// lateFlags takes the flags of invoke out of what follows a function whose
// arguments are numbers, and gives the rest. -2 is a number.
func lateFlags(cmd *cobra.Command, args []string) (rest []string, err error) {
	f := cmd.Flags()
	for i := 0; i < len(args); i++ {
		word, ok := strings.CutPrefix(args[i], "--")
		if ok && word == "" {
			return append(rest, args[i+1:]...), nil
		}
		if !ok {
			rest = append(rest, args[i])
			continue
		}
		name, value, given := strings.Cut(word, "=")
		flag := f.Lookup(name)
		switch {
		case flag == nil:
			return nil, misuse(cmd, "unknown flag: --%s", name)
		case name == "server" || name == "token-file" || name == "ca-file" || name == "help":
			return nil, misuse(cmd, "give --%s before COMPONENT/WORKER", name)
		case given:
		case flag.NoOptDefVal != "":
			value = flag.NoOptDefVal
		case i+1 == len(args):
			return nil, misuse(cmd, "flag needs an argument: --%s", name)
		default:
			i++
			value = args[i]
		}
		if err := f.Set(name, value); err != nil {
			return nil, misuse(cmd, "%v", err)
		}
	}
	return rest, nil
}

// callArgs gives the arguments of a call as an array of JSON.
func callArgs(cmd *cobra.Command, o *invokeOptions, r api.Revision, function string, args []string) (json.RawMessage, error) {
	if cmd.Flags().Changed("json-args") {
		if len(args) > 0 {
			return nil, misuse(cmd, "%s comes besides --json-args; give all arguments there", shellQuote(args[0]))
		}
		var list []json.RawMessage
		if err := json.Unmarshal([]byte(o.jsonArgs), &list); err != nil || list == nil {
			return nil, misuse(cmd, "--json-args %s: want an array such as '[2, 3]'", shellQuote(o.jsonArgs))
		}
		return json.RawMessage(o.jsonArgs), nil
	}
	if r.Kind == api.Command {
		if function != api.RunFunction {
			return nil, fmt.Errorf("%s is a command, whose one function is %q: write `run %s`", r.Component, api.RunFunction, shellWords(append([]string{function}, args...)))
		}
		for _, arg := range args {
			if !utf8.ValidString(arg) {
				return nil, misuse(cmd, "the argument %s is not valid UTF-8", shellQuote(arg))
			}
		}
		return json.Marshal(listed(args))
	}
	if r.Typed {
		return typedArgs(r, function, args)
	}
	f, err := functionOf(r, function)
	if err != nil {
		return nil, err
	}
	if len(args) != len(f.Params) {
		return nil, misuse(cmd, "%s wants %s, got %s", signature(r.Kind, f), count(uint64(len(f.Params)), "argument", "arguments"), commas(uint64(len(args))))
	}
	values := make([]json.RawMessage, len(args))
	for i, arg := range args {
		if values[i], err = argument(f.Params[i], arg); err != nil {
			return nil, misuse(cmd, "argument %d of %s: %s: %v", i+1, signature(r.Kind, f), shellQuote(arg), err)
		}
	}
	return json.Marshal(values)
}

// typedArgs gives arguments of a function of a component as JSON. What is no JSON
// is a string, and for a parameter that is a string so is all that is no string in
// JSON. Whether it is of the right type is for the server to say.
func typedArgs(r api.Revision, function string, args []string) (json.RawMessage, error) {
	params := typedParams(r, function)
	values := make([]json.RawMessage, len(args))
	for i, arg := range args {
		isText := i < len(params) && strings.HasSuffix(params[i], ": string")
		if json.Valid([]byte(arg)) && (!isText || isJSONString([]byte(arg))) {
			values[i] = json.RawMessage(arg)
			continue
		}
		if !utf8.ValidString(arg) {
			return nil, fmt.Errorf("argument %d, %s, is not valid UTF-8", i+1, shellQuote(arg))
		}
		text, err := json.Marshal(arg)
		if err != nil {
			return nil, err
		}
		values[i] = text
	}
	return json.Marshal(values)
}

// isJSONString reports whether valid JSON is a string.
func isJSONString(v []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(v), []byte(`"`)) }

// typedParams are the parameters of the function that goes by a name, none if it
// is not known which that is.
func typedParams(r api.Revision, name string) []string {
	var params []string
	found := 0
	for _, f := range r.Exports {
		switch {
		case f.Name == name:
			return f.Params
		case f.Named(name):
			params = f.Params
			found++
		}
	}
	if found != 1 {
		return nil
	}
	return params
}

// functionOf finds a function that a revision exports.
func functionOf(r api.Revision, name string) (api.Function, error) {
	var names []string
	for _, f := range r.Exports {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	there := "it exports none"
	if len(names) > 0 {
		there = "it has " + strings.Join(names, ", ")
	}
	return api.Function{}, fmt.Errorf("revision %d of %s has no function %q; %s", r.Number, r.Component, name, there)
}

// argument gives one argument as JSON, by the type of the parameter. Whether it
// is in range is for the server to say.
func argument(kind, arg string) (json.RawMessage, error) {
	switch kind {
	case "i32", "i64":
		digits, base := strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "+"), 10
		if hex, ok := strings.CutPrefix(strings.ToLower(digits), "0x"); ok {
			digits, base = hex, 16
		}
		n, err := strconv.ParseUint(digits, base, 64)
		if err != nil {
			return nil, fmt.Errorf("want an integer, for %s", kind)
		}
		text := strconv.FormatUint(n, 10)
		if strings.HasPrefix(arg, "-") && n != 0 {
			text = "-" + text
		}
		return json.RawMessage(text), nil
	case "f32", "f64":
		x, err := strconv.ParseFloat(arg, 64)
		switch {
		case err != nil && !math.IsInf(x, 0):
			return nil, fmt.Errorf("want a number, NaN, Infinity or -Infinity, for %s", kind)
		case err != nil:
			return nil, fmt.Errorf("it is too large for %s; write Infinity for what is not finite", kind)
		case math.IsNaN(x):
			return json.RawMessage(`"NaN"`), nil
		case math.IsInf(x, 1):
			return json.RawMessage(`"Infinity"`), nil
		case math.IsInf(x, -1):
			return json.RawMessage(`"-Infinity"`), nil
		}
		return json.RawMessage(strconv.FormatFloat(x, 'g', -1, 64)), nil
	}
	// A type that is newer than we are.
	if json.Valid([]byte(arg)) {
		return json.RawMessage(arg), nil
	}
	return json.Marshal(arg)
}
