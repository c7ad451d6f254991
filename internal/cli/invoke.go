package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
)

// invokeOptions are the flags of invoke.
type invokeOptions struct {
	key, jsonArgs, wave, at string
	in, timeout             time.Duration
	async, asJSON           bool
	ephemeral               bool
}

func (a *app) invokeCommand() *cobra.Command {
	var o invokeOptions
	cmd := &cobra.Command{
		Use:     "invoke [flags] COMPONENT/WORKER FUNCTION [ARGS...]",
		GroupID: groupServer,
		Short:   "Invoke a function of a worker on a server",
		Long: `Invoke a function of a worker, which is made if it is not there, and print its
results, one per line. The call takes effect once, whatever happens: if the
connection is lost or the server restarts, invoke asks again.

Arguments are numbers as the function's types say, negative ones included. Those
of a function in WIT are JSON, or text without quotes for a string: 5, north,
'{"sku":"tea","count":2}'; a result is JSON too. A function in an interface is
interface.function. --wave gives all arguments in WAVE instead.

The function "run" of a command takes any strings, and all that follows it is
the program's; invoke prints what the program writes, and ends with its exit
code. For other functions, flags of invoke may also come last.

With --async, --at or --in the call is accepted and goes on by itself; what is
printed is its key, which "waterbear result" takes. The same key is the same
call for ever, and gets the same result.

--json prints the invocation as one object, and not what a program writes:
worker, key, function, args, state, index, accepted, attempts and, once it is
done, ended, result or failure.

Exit codes: 0 if there is a result; 1 if the call failed, or something of ours
did; 2 for a wrong command line; that of the program for a command.`,
		Example: `  waterbear invoke shop/alice add 2 -3
  waterbear invoke --key order-1047 shop/alice pay 1200
  waterbear invoke --in 24h shop/alice remind
  waterbear invoke shop/alice cart.add '{"sku":"tea","count":2}'
  waterbear invoke shop/alice cart.add --wave '({sku: "tea", count: 2})'
  waterbear invoke report/nightly run --verbose 2026`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return misuse(cmd, "wants COMPONENT/WORKER and a function; for a command the function is \"run\"")
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.BoolVar(&o.async, "async", false, "do not wait for the result; print the key to ask for it with")
	f.Var((*idempotencyKey)(&o.key), "key", "idempotency `KEY` of the call (default: one is made)")
	f.StringVar(&o.at, "at", "", "begin at `TIME`, RFC 3339")
	f.DurationVar(&o.in, "in", 0, "begin after `DURATION`, such as 24h")
	f.DurationVar(&o.timeout, "timeout", 0, "wait for the result at most `DURATION` (default: as long as it takes)")
	f.StringVar(&o.jsonArgs, "json-args", "", "the arguments as one `ARRAY` of JSON")
	f.StringVar(&o.wave, "wave", "", "the arguments as `TEXT` in WAVE, for a component, as in '({sku: \"x\"})'")
	f.BoolVar(&o.ephemeral, "ephemeral", false, "make the worker an ephemeral one, if it is not there")
	f.BoolVar(&o.asJSON, "json", false, "print the invocation as a JSON object")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, r *remote, c *client.Client) error {
		return r.invoke(cmd, &o, c, args)
	})
}

func (r *remote) invoke(cmd *cobra.Command, o *invokeOptions, c *client.Client, args []string) error {
	w, err := parseWorker(cmd, args[0])
	if err != nil {
		return err
	}
	call := api.Call{Function: args[1]}
	revision, err := revisionOf(cmd.Context(), c, w)
	if err != nil {
		return err
	}
	rest := args[2:]
	if revision.Kind != api.Command {
		if rest, err = lateFlags(cmd, rest); err != nil {
			return err
		}
	}
	if call.WAVE = o.wave; call.WAVE != "" && len(rest) > 0 {
		return misuse(cmd, "%s comes besides --wave; give all arguments there", shellQuote(rest[0]))
	} else if call.WAVE == "" {
		if call.Args, err = callArgs(cmd, o, revision, call.Function, rest); err != nil {
			return err
		}
	}
	call.Key, call.Async = o.key, o.async
	if call.Due, err = dueOf(cmd, o); err != nil {
		return err
	}
	if o.ephemeral {
		if _, err := c.CreateWorker(cmd.Context(), w.component, w.name, api.NewWorker{Ephemeral: true}); err != nil {
			return err
		}
	}
	out := &verdict{remote: r, client: c, worker: w, command: revision.Kind == api.Command, asJSON: o.asJSON}
	later := cmd.Flags().Changed("in")
	ctx, cancel := withTimeout(cmd.Context(), o.timeout)
	defer cancel()
	var done api.Invocation
	if later {
		done, err = c.InvokeAfter(ctx, w.component, w.name, call, o.in)
	} else {
		done, err = c.Invoke(ctx, w.component, w.name, call)
	}
	// That it is done already, well or not, is for those who ask for its result.
	if (err == nil || isFailure(err)) && (call.Async || later || !call.Due.IsZero()) {
		return out.accepted(done)
	}
	return out.ended(cmd.Context(), done, err)
}

// withTimeout gives a context that is done after d, or never if d is 0.
func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}

// dueOf reads when the call is to begin, as far as flags give a time.
func dueOf(cmd *cobra.Command, o *invokeOptions) (time.Time, error) {
	f := cmd.Flags()
	switch {
	case f.Changed("at") && f.Changed("in"):
		return time.Time{}, misuse(cmd, "--at and --in both say when to begin; give one")
	case f.Changed("in") && o.in <= 0:
		return time.Time{}, misuse(cmd, "--in %s is not later; leave it out to begin now", o.in)
	case f.Changed("timeout") && o.timeout <= 0:
		return time.Time{}, misuse(cmd, "--timeout %s is no time to wait; --async does not wait", o.timeout)
	case !f.Changed("at"):
		return time.Time{}, nil
	}
	due, err := time.Parse(time.RFC3339, o.at)
	if err != nil || due.IsZero() {
		return time.Time{}, misuse(cmd, "--at %s: want a time such as 2026-11-22T18:00:00Z", shellQuote(o.at))
	}
	return due, nil
}

// revisionOf finds what a worker runs, or will if it is made now.
func revisionOf(ctx context.Context, c *client.Client, w workerRef) (api.Revision, error) {
	found, err := c.Component(ctx, w.component)
	if err != nil {
		return api.Revision{}, err
	}
	worker, err := c.Worker(ctx, w.component, w.name)
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == api.CodeNoWorker {
		return found.Latest, nil
	}
	if err != nil || worker.Revision == found.Latest.Number {
		return found.Latest, err
	}
	all, err := c.Revisions(ctx, w.component)
	for _, r := range all {
		if r.Number == worker.Revision {
			return r, nil
		}
	}
	return found.Latest, err
}

func (a *app) resultCommand() *cobra.Command {
	var wait, asJSON bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:     "result [flags] COMPONENT/WORKER KEY",
		GroupID: groupServer,
		Short:   "Get the result of an invocation, by its key",
		Long: `Print the result of an invocation as "waterbear invoke" would have, whenever it
was and however often it is asked for. If it is not done, say how far it is, or
wait for it with --wait.

--json prints the invocation as one object, done or not.

Exit codes: as those of invoke; 1 also if the invocation is not done.`,
		Example: `  waterbear result shop/alice order-1047
  waterbear result --wait --timeout 5m shop/alice order-1047
  waterbear result --json shop/alice order-1047 | jq .state`,
		Args: exactly(2, "COMPONENT/WORKER and the key of an invocation"),
	}
	f := cmd.Flags()
	f.BoolVar(&wait, "wait", false, "wait until it is done")
	f.DurationVar(&timeout, "timeout", 0, "wait at most `DURATION`; implies --wait")
	f.BoolVar(&asJSON, "json", false, "print the invocation as a JSON object")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, r *remote, c *client.Client) error {
		w, err := parseWorker(cmd, args[0])
		if err != nil {
			return err
		}
		if cmd.Flags().Changed("timeout") && timeout <= 0 {
			return misuse(cmd, "--timeout %s is no time to wait", timeout)
		}
		ctx, cancel := withTimeout(cmd.Context(), timeout)
		defer cancel()
		var known api.Invocation
		if wait || timeout > 0 {
			known, err = c.Await(ctx, w.component, w.name, args[1])
		} else {
			known, err = c.Invocation(ctx, w.component, w.name, args[1])
		}
		out := &verdict{remote: r, client: c, worker: w, asJSON: asJSON}
		if err == nil && known.Function == api.RunFunction {
			revision, err := revisionOf(cmd.Context(), c, w)
			if err != nil {
				return err
			}
			out.command = revision.Kind == api.Command
		}
		return out.ended(cmd.Context(), known, err)
	})
}

func (a *app) cancelCommand() *cobra.Command {
	var asJSON, awaited bool
	cmd := &cobra.Command{
		Use:     "cancel [flags] COMPONENT/WORKER KEY",
		GroupID: groupServer,
		Short:   "Take back an invocation that is not done",
		Long: `Take back an invocation that is not done: one that waits or is scheduled never
begins, and one that runs is rolled back. What it has called goes on, unless
--awaited takes that back too: the invocation of another worker that it waits
for, what that one waits for, and so on.

--json prints the invocation as one object.`,
		Example: `  waterbear cancel shop/alice order-1047
  waterbear cancel --awaited shop/alice order-1047`,
		Args: exactly(2, "COMPONENT/WORKER and the key of an invocation"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the invocation as a JSON object")
	cmd.Flags().BoolVar(&awaited, "awaited", false, "take back what it waits for, too")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		w, err := parseWorker(cmd, args[0])
		if err != nil {
			return err
		}
		cancel := c.Cancel
		if awaited {
			cancel = c.CancelAwaited
		}
		canceled, err := cancel(cmd.Context(), w.component, w.name, args[1])
		if err != nil || !asJSON {
			return err
		}
		return writeJSON(a.stdout, canceled)
	})
}

// notDone is an invocation whose result is still to come.
func (o *verdict) notDone(known api.Invocation) error {
	key := known.Key
	if key == "" {
		return fmt.Errorf("the invocation of %s is not done", o.worker)
	}
	state := "is not done"
	if known.State != "" {
		state = "is " + string(known.State)
	}
	return fmt.Errorf("invocation %s of %s %s; wait for it with `%s`", key, o.worker, state,
		o.hint("result", "--wait", o.worker.String(), key))
}
