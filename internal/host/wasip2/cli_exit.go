package wasip2

import (
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

// cliExit is wasi:cli/exit.
func cliExit() interfaceOf {
	return interfaceOf{
		name: "wasi:cli/exit",
		functions: []function{
			{name: "exit", typ: fn(param("status", result(nil, nil))), call: exit},
			{name: "exit-with-code", typ: fn(param("status-code", tU8)), call: exitWithCode},
		},
	}
}

// exit ends the program with 0, or with 1 for an error.
func exit(_ *System, a []wit.Value) (wit.Value, error) {
	return nil, &wasi.ExitError{Code: a[0].(wit.Case).Index}
}

func exitWithCode(_ *System, a []wit.Value) (wit.Value, error) {
	return nil, &wasi.ExitError{Code: uint32(a[0].(uint8))}
}
