package worker

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/internal/host/inbound"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/internal/host/wasip1"
	"github.com/waterbear-run/waterbear/internal/host/wasip2"
	"github.com/waterbear-run/waterbear/internal/image"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/wit"
)

// guest is an instance of a program: of a core module, or of a component.
type guest struct {
	module    *wasm.Instance // nil: it is a component
	component *component.Instance
}

// cores are the instances of core modules whose memories and globals, with what
// is open, are the state.
func (g *guest) cores() []*wasm.Instance {
	if g.module != nil {
		return []*wasm.Instance{g.module}
	}
	return g.component.Cores()
}

func (g *guest) unimageable() []string {
	if g.module != nil {
		return g.module.Unimageable()
	}
	return g.component.Unimageable()
}

// close frees the instance. It is refused only during a call.
func (g *guest) close() error {
	if g.module != nil {
		return g.module.Close()
	}
	return g.component.Close()
}

// system is what a guest sees of WASI, of either version.
type system struct {
	preview1 *wasip1.System // nil: it is the other
	preview2 *wasip2.System
}

func newSystem(isComponent bool, c wasi.Config) (s system, err error) {
	if isComponent {
		s.preview2, err = wasip2.New(c)
	} else {
		s.preview1, err = wasip1.New(c)
	}
	return s, err
}

func (s system) close() error {
	switch {
	case s.preview1 != nil:
		return s.preview1.Close()
	case s.preview2 != nil:
		return s.preview2.Close()
	}
	return nil
}

// appendOpen writes down what the guest has open: descriptors, or the resources
// of WASI 0.2 as bytes and behind them the handles.
func (b *body) appendOpen() ([]byte, error) {
	if b.system.preview1 != nil {
		return b.system.preview1.AppendOpen(nil), nil
	}
	state := b.system.preview2.AppendState(nil)
	open := append(binary.AppendUvarint(nil, uint64(len(state))), state...)
	return b.guest.component.AppendHandles(open)
}

// splitOpen takes the handles of a component off what appendOpen has written.
func splitOpen(open []byte) (state, handles []byte, err error) {
	n, width := binary.Uvarint(open)
	if width <= 0 || n > uint64(len(open)-width) {
		return nil, nil, image.ErrDamaged
	}
	open = open[width:]
	return open[:n:n], open[n:], nil
}

// newComponent makes an instance of a component with what that does once in its
// life: it runs, unless what comes of it is known.
func (b *body) newComponent() error {
	s := b.origin()
	if b.original = s != nil; b.original {
		if err := b.blankComponent(); err != nil {
			return err
		}
		if s.restore(b.guest) == nil && b.guest.component.ReadHandles(s.open) == nil {
			return nil
		}
		_ = b.guest.close() // refused only during a call
		b.guest, b.original = nil, false
	}
	in, err := b.program.Component().Instantiate(b.session.Context(), b.componentConfig())
	if err == nil {
		b.guest = &guest{component: in}
	}
	return err
}

// blankComponent makes an instance of a component in which nothing has run, or
// takes one.
func (b *body) blankComponent() error {
	if b.guest = b.again(); b.guest != nil {
		return nil
	}
	in, err := b.program.Component().Blank(b.session.Context(), b.componentConfig())
	if err == nil {
		b.guest = &guest{component: in}
	}
	return err
}

func (b *body) componentConfig() component.Config {
	return component.Config{State: b, MaxMemory: b.create.Memory, OnYield: b.yield}
}

// yield is called by the guest now and then while it computes.
func (b *body) yield() {
	b.meter.yield()
	if b.meter.yields%yieldsBetweenLooks == 0 {
		b.session.Ask()
	}
}

// restComponent makes the instance of a component what Blank makes, with nothing
// of the worker it was of, and gives the memory back. modules are those of its
// cores.
func (g *guest) restComponent(modules []*wasm.Module, memory uint64) error {
	if err := g.component.Reset(component.Config{MaxMemory: memory}); err != nil {
		return err
	}
	for i, core := range g.cores() {
		fresh := modules[i].NewSaved()
		if err := errors.Join(core.Restore(fresh), fresh.Close()); err != nil {
			return err
		}
	}
	return nil
}

// WASIP2 gives the host functions of WASI 0.2 their state.
func (b *body) WASIP2() *wasip2.System { return b.system.preview2 }

// callComponent runs a function of a component to its end and gives its result,
// in a JSON array that is empty if it has none.
func (b *body) callComponent(function string, args json.RawMessage) (json.RawMessage, error) {
	f, ok := b.program.Typed(function)
	if !ok {
		return nil, fmt.Errorf("%s revision %d exports no function %q", b.program.Revision.Component, b.program.Revision.Number, function)
	}
	values, err := wit.ArgsFromJSON(f, args)
	if err != nil {
		return nil, err
	}
	result, err := b.guest.component.Call(b.session.Context(), function, values)
	if err == nil {
		err = b.system.preview2.Settle()
	}
	if err != nil {
		return nil, err
	}
	if f.Result == nil {
		return json.RawMessage("[]"), nil
	}
	text, err := wit.AppendJSON([]byte{'['}, f.Result, result)
	if err == nil && len(text) >= maxResult {
		err = fmt.Errorf("the result has %d bytes of JSON, more than %d: pass large values in files", len(text), maxResult)
	}
	return append(text, ']'), err
}

// serve calls the function that answers requests, and gives how it did.
func (b *body) serve(c call) (json.RawMessage, error) {
	q, err := inbound.Parse(c.args)
	if err != nil {
		return nil, err
	}
	b.serving = inbound.NewServing(b.session, q, (&stored{logs: b.rt.Store.Logs(), worker: b.session.Worker, first: c.body}).read)
	defer func() { b.serving = nil }()
	request, out, err := b.system.preview2.Serve(b.serving)
	if err != nil {
		return nil, err
	}
	if _, err := b.guest.component.Call(b.session.Context(), c.function, []wit.Value{request, out}); err != nil {
		return nil, err
	}
	if err := errors.Join(b.system.preview2.EndServing(), b.system.preview2.Settle()); err != nil {
		return nil, err
	}
	return b.serving.Result()
}

// answering reports whether a response has begun and not ended: somebody may read
// it as it comes.
func (b *body) answering() bool {
	return b.serving != nil && b.serving.Begun() && !b.serving.Ended()
}

// maxResult bounds a result in bytes of JSON: it is part of one oplog entry.
const maxResult = 768 << 10

// runModule runs an instance of a core module that is a command, to its end, and
// gives the exit code.
func runModule(ctx context.Context, in *wasm.Instance) (code uint32, err error) {
	if err = in.Start(ctx); err == nil {
		err = in.Call(ctx, entryPoint, nil)
	}
	return exitCode(err)
}

// runComponent calls the export that runs a component which is a command, and
// gives the exit code.
func runComponent(ctx context.Context, in *component.Instance, export string) (code uint32, err error) {
	result, err := in.Call(ctx, export, nil)
	if err != nil {
		return exitCode(err)
	}
	if c, ok := result.(wit.Case); ok {
		code = c.Index
	}
	return code, nil
}

// exitCode is that of a program whose call has ended with err; what no program
// ends with it gives back.
func exitCode(err error) (uint32, error) {
	var exit *wasi.ExitError
	if errors.As(err, &exit) {
		return exit.Code, nil
	}
	return 0, err
}
