package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
)

// verdict tells a person or a program what became of an invocation.
type verdict struct {
	*remote
	client  *client.Client
	worker  workerRef
	command bool // its result is an exit code, and its output is shown
	asJSON  bool
}

// accepted tells of an invocation that nobody waits for: its key, alone, so that
// a script can take it.
func (o *verdict) accepted(known api.Invocation) error {
	if o.asJSON {
		return writeJSON(o.stdout, known)
	}
	if isTerminal(o.stdout) {
		fmt.Fprintf(o.stderr, "waterbear: accepted; get its result with `%s`\n",
			o.hint("result", "--wait", o.worker.String(), known.Key))
	}
	_, err := fmt.Fprintln(o.stdout, printable(known.Key))
	return err
}

// ended tells of an invocation that is done, or of why we do not know.
func (o *verdict) ended(ctx context.Context, known api.Invocation, err error) error {
	if isFailure(err) {
		err = nil
	}
	if o.asJSON && known.State != "" {
		if err := writeJSON(o.stdout, known); err != nil {
			return err
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, waterbear.ErrInterrupted):
		o.complain(o.notDone(known))
		if errors.Is(err, waterbear.ErrInterrupted) {
			return err // whose exit code says which signal it was
		}
		return exitError{code: exitFailed}
	case err != nil:
		return err
	case !known.State.Done():
		return o.notDone(known)
	}
	if o.command && !o.asJSON {
		if err := o.output(ctx, known); err != nil {
			return err
		}
	}
	switch known.State {
	case api.StateFailed:
		return o.failed(known)
	case api.StateCanceled:
		return fmt.Errorf("invocation %s of %s was canceled", known.Key, o.worker)
	}
	return o.result(known)
}

// isFailure says whether an error is an invocation that is done without a result.
func isFailure(err error) bool {
	p, ok := errors.AsType[*api.Problem](err)
	return ok && p.Code == api.CodeInvocationFailed && p.Invocation != nil
}

// output prints what the invocation of a command wrote, each stream to our own.
func (o *verdict) output(ctx context.Context, done api.Invocation) error {
	if done.From == 0 || done.To == 0 {
		return nil
	}
	chunks := o.client.Logs(ctx, o.worker.component, o.worker.name, api.Range{From: done.From, To: done.To})
	return readAround(o.app, chunks, func(chunk api.LogChunk) error { return o.printRemoteChunk(chunk, false) })
}

// printRemoteChunk prints output of a worker on a server, to the stream it was
// written to.
func (a *app) printRemoteChunk(chunk api.LogChunk, asJSON bool) error {
	if asJSON {
		return writeJSON(a.stdout, chunk)
	}
	w := a.stdout
	if chunk.Stream == "stderr" {
		w = a.stderr
	}
	if len(chunk.Base64) > 0 {
		_, err := w.Write(chunk.Base64)
		return err
	}
	_, err := io.WriteString(w, chunk.Text)
	return err
}

// result prints the results, one per line; that of a command is our exit code.
func (o *verdict) result(done api.Invocation) error {
	var values []json.RawMessage
	if err := json.Unmarshal(done.Result, &values); err != nil {
		return fmt.Errorf("read the result of %s: it is no array: %w", done.Key, err)
	}
	if o.command {
		var code int
		if len(values) != 1 || json.Unmarshal(values[0], &code) != nil {
			return fmt.Errorf("read the result of %s: it is no exit code", done.Key)
		}
		if code != 0 {
			return exitError{code: code}
		}
		return nil
	}
	if o.asJSON {
		return nil
	}
	for _, v := range values {
		text := string(v)
		if s := ""; isJSONString(v) && json.Unmarshal(v, &s) == nil {
			text = s
		}
		if _, err := fmt.Fprintln(o.stdout, printable(text)); err != nil {
			return err
		}
	}
	return nil
}

// maxStack bounds how many functions of a stack are printed.
const maxStack = 20

// failed tells why an invocation failed: the reason, where in the guest, and
// the end of what it wrote to stderr, unless that was printed.
func (o *verdict) failed(done api.Invocation) error {
	f := done.Failure
	if f == nil {
		f = &api.Failure{Reason: "the server does not say why"}
	}
	err := fmt.Errorf("%s of %s failed: %s", done.Function, o.worker, f.Reason)
	if o.asJSON {
		return exitError{exitFailed, err}
	}
	o.complain(err)
	paint := o.styleFor(o.stderr)
	for i, function := range f.Stack {
		if i == maxStack {
			fmt.Fprintln(o.stderr, paint.dim(fmt.Sprintf("  and %d more; --json has them all", len(f.Stack)-i)))
			break
		}
		fmt.Fprintln(o.stderr, paint.dim("  in "+printable(function)))
	}
	if f.Stderr != "" && !o.command {
		fmt.Fprintln(o.stderr, "waterbear: it wrote to stderr:")
		for line := range strings.Lines(f.Stderr) {
			fmt.Fprintln(o.stderr, "  "+printable(strings.TrimRight(line, "\n")))
		}
	}
	return exitError{code: exitFailed}
}
