package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear"
)

func (a *app) rmCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "rm [flags] NAME...",
		GroupID: groupRun,
		Short:   "Forget workers",
		Long: `Forget workers: their oplogs, logs and files. It cannot be undone. A worker that
is running is not forgotten; neither is any while another process runs on the
same state directory.

--json prints one object per line for each worker that was forgotten: its name.`,
		Example: `  waterbear rm prog
  waterbear ps --json | jq -r 'select(.status == "Exited") | .name' | xargs waterbear rm`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return misuse(cmd, "wants the names of workers")
			}
			return nil
		},
	}
	state := stateFlag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	cmd.ValidArgsFunction = a.completeWorkers(state, 0)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.withState(cmd.Context(), waterbear.Options{Dir: a.stateDir(*state)}, func(node *waterbear.Node) error {
			failed := false
			for _, typed := range args {
				name := workerName(typed)
				err := node.Delete(cmd.Context(), name)
				switch {
				case errors.Is(err, waterbear.ErrBusy):
					a.complain(fmt.Errorf("%s: is running; interrupt it first with Ctrl-C or SIGTERM", name))
				case err != nil:
					a.complain(a.explain(err, name, *state))
				case asJSON:
					err = writeJSON(a.stdout, struct {
						Name string `json:"name"`
					}{name})
				}
				failed = failed || err != nil
			}
			if failed {
				return exitError{code: exitFailed}
			}
			return nil
		})
	}
	return cmd
}
