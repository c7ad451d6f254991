package cli

import (
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
)

func (a *app) oplogCommand() *cobra.Command {
	var o waterbear.ReadOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "oplog [flags] NAME",
		GroupID: groupRead,
		Short:   "Print what a worker did, entry by entry",
		Long: `Print the entries of a worker's oplog, one readable line for each: its index,
when it was recorded, its kind, and what it says.

Entries that are damaged on disk are reported on standard error; those around
them are printed all the same, and the exit code is 1.

--json prints one object per line: index, at (RFC 3339), kind, and the body,
whose fields depend on the kind.`,
		Example: `  waterbear oplog prog
  waterbear oplog --from 100 --to 200 prog
  waterbear oplog --follow prog
  waterbear oplog --json prog | jq -r .kind | sort | uniq -c`,
		Args: exactly(1, "the name of a worker"),
	}
	state := stateFlag(cmd)
	f := cmd.Flags()
	f.Uint64Var(&o.From, "from", 0, "first `INDEX` to print (default: the first there is)")
	f.Uint64Var(&o.To, "to", 0, "last `INDEX` to print (default: the last there is)")
	f.BoolVarP(&o.Follow, "follow", "f", false, "go on until the worker ends")
	f.BoolVar(&asJSON, "json", false, "print one JSON object per line")
	cmd.ValidArgsFunction = a.completeWorkers(state, 1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if o.To != 0 && o.From > o.To {
			return misuse(cmd, "--from %d is behind --to %d", o.From, o.To)
		}
		name := workerName(args[0])
		return a.reading(cmd.Context(), *state, nil, func(node *waterbear.Node) error {
			entries := node.Oplog(cmd.Context(), name, o)
			return a.explain(readAround(a, entries, func(e waterbear.OplogEntry) error {
				return a.printEntry(e, asJSON)
			}), name, *state)
		})
	}
	return cmd
}

// readAround gives what is readable to show, and goes on behind what is damaged.
// What is not kept any more is told of, and no failure.
func readAround[T any](a *app, items iter.Seq2[T, error], show func(T) error) error {
	var held error // the newest; whether reading goes on behind it shows next
	damaged := false
	for item, err := range items {
		if held != nil {
			a.complain(held)
			damaged = true
		}
		if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == api.CodeExpired {
			a.complain(p)
			held = nil
			continue
		}
		if held = err; err != nil {
			continue
		}
		if err := show(item); err != nil {
			return err
		}
	}
	if held == nil && damaged {
		return exitError{code: exitFailed}
	}
	return held
}

func (a *app) printEntry(e waterbear.OplogEntry, asJSON bool) error {
	if asJSON {
		return writeJSON(a.stdout, e)
	}
	paint := a.styleFor(a.stdout)
	_, err := fmt.Fprintf(a.stdout, "%6d  %s  %s  %s\n", e.Index,
		paint.dim(e.At.Local().Format("2006-01-02 15:04:05.000")), paint.cyan(fmt.Sprintf("%-16s", e.Kind)), printable(e.Text))
	return err
}
