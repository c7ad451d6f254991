package wasip2

import (
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

var (
	terminalInput  = &wit.Resource{Name: "terminal-input"}
	terminalOutput = &wit.Resource{Name: "terminal-output"}
)

// cliTerminalInput is wasi:cli/terminal-input.
func cliTerminalInput() interfaceOf {
	return interfaceOf{name: "wasi:cli/terminal-input", resources: []*wit.Resource{terminalInput}}
}

// cliTerminalOutput is wasi:cli/terminal-output.
func cliTerminalOutput() interfaceOf {
	return interfaceOf{name: "wasi:cli/terminal-output", resources: []*wit.Resource{terminalOutput}}
}

// cliTerminalStdin is wasi:cli/terminal-stdin.
func cliTerminalStdin() interfaceOf {
	return interfaceOf{
		name: "wasi:cli/terminal-stdin",
		functions: []function{
			{name: "get-terminal-stdin", typ: fnTo(option(own(terminalInput))), call: getTerminal(stdin)},
		},
	}
}

// cliTerminalStdout is wasi:cli/terminal-stdout.
func cliTerminalStdout() interfaceOf {
	return interfaceOf{
		name: "wasi:cli/terminal-stdout",
		functions: []function{
			{name: "get-terminal-stdout", typ: fnTo(option(own(terminalOutput))), call: getTerminal(stdout)},
		},
	}
}

// cliTerminalStderr is wasi:cli/terminal-stderr.
func cliTerminalStderr() interfaceOf {
	return interfaceOf{
		name: "wasi:cli/terminal-stderr",
		functions: []function{
			{name: "get-terminal-stderr", typ: fnTo(option(own(terminalOutput))), call: getTerminal(stderr)},
		},
	}
}

// terminal is one side of a terminal, of which nothing more can be known.
type terminal struct{}

func (*terminal) kind() kind       { return kindTerminal }
func (*terminal) code(*wasi.Coder) {}

func getTerminal(stream int) call {
	return func(s *System, _ []wit.Value) (wit.Value, error) {
		if !s.terminal[stream] {
			return none, nil
		}
		rep, err := s.add(&terminal{}, 0)
		return some(rep), err
	}
}
