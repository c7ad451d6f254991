package component

import (
	"context"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/component/canon"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/wit"
)

// liftState is what an instance keeps of a lifted function.
type liftState struct {
	core, postReturn callable
}

// liftCall is one call of a lifted function (CanonicalABI.md, "canon lift").
type liftCall struct {
	in       *Instance
	lift     *lift
	entering []int
	task     canon.Task
	stack    [canon.MaxFlatParams + 1]uint64
}

// Call calls an exported function, by the name that Program.Exports gives it. The
// result is nil if the function has none. Handles of resources are the numbers
// that stand for them: of a resource of the component the representation that it
// has chosen.
//
// Arguments that are of other types than the function's change nothing. After any
// other error the instance makes no more calls. It is a *wasm.Trap for the guest's
// fault, and else one that wasm.Instance.Call can return, or what a host function
// has returned.
func (in *Instance) Call(ctx context.Context, name string, args []wit.Value) (wit.Value, error) {
	f, ok := in.program.exports[name]
	if !ok {
		return nil, fmt.Errorf("call %s: the component exports no such function", name)
	}
	if err := checkArgs(f.typ, args); err != nil {
		return nil, fmt.Errorf("call %s: %w", name, err)
	}
	if err := in.enter(ctx); err != nil {
		return nil, fmt.Errorf("call %s: %w", name, err)
	}
	defer in.store.Leave()
	result, err := in.callFunction(f, args)
	in.failed = err != nil
	return result, err
}

// enter begins a call of the host.
func (in *Instance) enter(ctx context.Context) error {
	if err := in.store.Enter(ctx); err != nil {
		return err
	}
	if in.failed {
		in.store.Leave()
		return ErrTrapped
	}
	return nil
}

func checkArgs(f *wit.Func, args []wit.Value) error {
	if len(args) != len(f.Params) {
		return fmt.Errorf("it takes %d arguments, got %d", len(f.Params), len(args))
	}
	for i, p := range f.Params {
		if err := wit.Check(p.Type, args[i]); err != nil {
			return fmt.Errorf("argument %d (%s): %w", i+1, p.Name, err)
		}
	}
	return nil
}

func (in *Instance) callFunction(f *function, args []wit.Value) (wit.Value, error) {
	if f.lift == nil {
		return in.callHost(f, args)
	}
	c, err := in.begin(f.lift, f.lift.fromHost)
	if err != nil {
		return nil, err
	}
	result, err := c.run(args, false)
	if err != nil {
		return nil, err
	}
	return result, c.end()
}

// callHost calls a function of the host.
func (in *Instance) callHost(f *function, args []wit.Value) (wit.Value, error) {
	return f.host.Call(&in.call, args)
}

// mayLeave says why a component instance must not call anything outside now, or
// nil.
func (in *Instance) mayLeave(component int) error {
	if in.components[component].kept {
		return trapf("cannot leave component instance")
	}
	return nil
}

// deeper begins something that calls may lie in.
func (in *Instance) deeper() error {
	if in.depth == maxCalls {
		return &wasm.Trap{Reason: fmt.Sprintf("stack overflow: more than %d calls between components in each other", maxCalls), Overflow: true}
	}
	in.depth++
	return nil
}

// enterAll marks component instances as entered, which they must not be yet.
func (in *Instance) enterAll(entering []int) error {
	for _, i := range entering {
		if in.components[i].entered {
			return trapf("cannot enter component instance")
		}
	}
	for _, i := range entering {
		in.components[i].entered = true
	}
	return nil
}

func (in *Instance) leaveAll(entering []int) {
	for _, i := range entering {
		in.components[i].entered = false
	}
}

// begin enters the component instances that a call of a lifted function enters.
func (in *Instance) begin(f *lift, entering []int) (*liftCall, error) {
	if err := in.enterAll(entering); err != nil {
		return nil, err
	}
	if err := in.deeper(); err != nil {
		return nil, err
	}
	if len(in.calls) < in.depth {
		in.calls = append(in.calls, &liftCall{in: in})
	}
	c := in.calls[in.depth-1]
	c.lift, c.entering, c.task = f, entering, canon.Task{}
	return c, nil
}

// run calls the function and gives its result. For a guest, values are in transit.
// Then the result is to be passed on before end is called.
func (c *liftCall) run(args []wit.Value, transit bool) (wit.Value, error) {
	in, f := c.in, c.lift
	g := &in.guests[f.guest]
	handles := &in.components[f.component].handles
	lower := canon.Lower{Encoding: f.encoding, Handles: handles, Task: &c.task}
	if g.hasMemory() {
		lower.Guest = g
	}
	if err := f.abi.LowerParams(&lower, args, c.stack[:]); err != nil {
		return nil, trap(err)
	}
	core, err := in.callable(&in.lifts[f.index].core, &f.core)
	if err != nil {
		return nil, err
	}
	if err := core.call(in, c.stack[:]); err != nil {
		return nil, err
	}
	lift := canon.Lift{Encoding: f.encoding, Memory: g.Memory(), Handles: handles, Transit: transit}
	result, err := f.abi.LiftResult(&lift, c.stack[:])
	if err != nil {
		return nil, trap(err)
	}
	return result, trap(c.task.Done())
}

// end has the callee clean up and leaves it.
func (c *liftCall) end() error {
	in, f := c.in, c.lift
	if f.postReturn != nil {
		post, err := in.callable(&in.lifts[f.index].postReturn, f.postReturn)
		if err != nil {
			return err
		}
		state := &in.components[f.component]
		state.kept = true
		if err := post.call(in, c.stack[:]); err != nil {
			return err
		}
		state.kept = false
	}
	in.depth--
	in.leaveAll(c.entering)
	return nil
}

// destroy does what has to be done for a resource whose last owner drops it, a
// component instance or, if that is -1, the host (CanonicalABI.md, "canon
// resource.drop").
func (in *Instance) destroy(typ, component int, rep uint32) error {
	r := &in.program.resources[typ]
	if r.host != nil {
		if r.host.Drop == nil {
			return nil
		}
		return r.host.Drop(&in.call, rep)
	}
	entering := r.entering[component]
	if err := in.enterAll(entering); err != nil {
		return err
	}
	if r.dtor != nil {
		dtor, err := in.callable(&in.dtors[typ], r.dtor)
		if err != nil {
			return err
		}
		if err := in.deeper(); err != nil {
			return err
		}
		if err := dtor.call(in, []uint64{uint64(rep)}); err != nil {
			return err
		}
		in.depth--
	}
	in.leaveAll(entering)
	return nil
}

// Drop destroys a resource of an exported type that a function has given the host
// to own. name is that of the type, behind the name of its interface and a #. The
// error is that of Call.
func (in *Instance) Drop(ctx context.Context, name string, rep uint32) error {
	typ, ok := in.program.handles[name]
	if !ok {
		return fmt.Errorf("drop %s: the component exports no such resource type", name)
	}
	if err := in.enter(ctx); err != nil {
		return fmt.Errorf("drop %s: %w", name, err)
	}
	defer in.store.Leave()
	err := in.destroy(typ, -1, rep)
	in.failed = err != nil
	return err
}
