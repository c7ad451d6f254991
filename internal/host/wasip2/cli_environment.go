package wasip2

import "github.com/waterbear-run/waterbear/wit"

// cliEnvironment is wasi:cli/environment.
func cliEnvironment() interfaceOf {
	return interfaceOf{
		name: "wasi:cli/environment",
		functions: []function{
			{name: "get-environment", typ: fnTo(list(tuple(tString, tString))), call: environment},
			{name: "get-arguments", typ: fnTo(list(tString)), call: arguments},
			{name: "initial-cwd", typ: fnTo(option(tString)), call: initialDirectory},
		},
	}
}

func environment(s *System, _ []wit.Value) (wit.Value, error)      { return s.env, nil }
func arguments(s *System, _ []wit.Value) (wit.Value, error)        { return s.args, nil }
func initialDirectory(s *System, _ []wit.Value) (wit.Value, error) { return s.initial, nil }
