package wasip2

import (
	"bytes"

	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

// The standard streams, by their numbers.
const (
	stdin = iota
	stdout
	stderr
)

// cliStdin is wasi:cli/stdin.
func cliStdin() interfaceOf {
	return interfaceOf{
		name: "wasi:cli/stdin",
		functions: []function{
			{name: "get-stdin", typ: fnTo(own(inputStream)), call: getStdin},
		},
	}
}

// cliStdout is wasi:cli/stdout.
func cliStdout() interfaceOf {
	return interfaceOf{
		name: "wasi:cli/stdout",
		functions: []function{
			{name: "get-stdout", typ: fnTo(own(outputStream)), call: getOutput(stdout)},
		},
	}
}

// cliStderr is wasi:cli/stderr.
func cliStderr() interfaceOf {
	return interfaceOf{
		name: "wasi:cli/stderr",
		functions: []function{
			{name: "get-stderr", typ: fnTo(own(outputStream)), call: getOutput(stderr)},
		},
	}
}

func getStdin(s *System, _ []wit.Value) (wit.Value, error) { return s.add(&stdinStream{}, 0) }

func getOutput(stream int) call {
	return func(s *System, _ []wit.Value) (wit.Value, error) {
		return s.add(&stdoutStream{stream: stream}, 0)
	}
}

// stdinStream is the standard input.
type stdinStream struct {
	closed bool // the program has seen the end
}

func (*stdinStream) kind() kind { return kindStdin }

func (i *stdinStream) code(c *wasi.Coder) { c.Bool(&i.closed) }

func (i *stdinStream) ended(*System) bool { return i.closed }

func (i *stdinStream) read(s *System, limit int, block bool) ([]byte, error) {
	if !block {
		r, err := s.clocks.Wait(0, true)
		if err != nil || !r.Stdin {
			return nil, err
		}
	}
	p, err := s.stdio.Read(limit)
	if err != nil {
		return nil, err
	}
	if len(p) == 0 {
		i.closed = true
		return nil, errClosed
	}
	return bytes.Clone(p), nil // for splice, which writes before p is used up
}

// stdoutStream is the standard output or the standard error output.
type stdoutStream struct {
	outputState
	stream int
}

func (*stdoutStream) kind() kind { return kindStdout }

func (o *stdoutStream) code(c *wasi.Coder) {
	o.outputState.code(c)
	wasi.Uint(c, &o.stream, stderr)
}

func (o *stdoutStream) write(s *System, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	return s.stdio.Write(o.stream, p)
}
