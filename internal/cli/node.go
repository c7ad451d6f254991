package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear"
)

// Where the state is, if --state does not say.
const (
	stateDefault  = ".waterbear"
	stateVariable = "WATERBEAR_STATE"
)

// stateFlag adds --state to cmd.
func stateFlag(cmd *cobra.Command) *string {
	dir := cmd.Flags().String("state", "", "state `DIR` (default $"+stateVariable+", else "+stateDefault+")")
	_ = cmd.MarkFlagDirname("state")
	return dir
}

// stateDir resolves --state.
func (a *app) stateDir(flag string) string {
	if flag != "" {
		return flag
	}
	if dir := a.env.get(stateVariable); dir != "" {
		return dir
	}
	return stateDefault
}

// withState opens the state in dir and calls use with it. Except for run, a
// directory that is not there is an error rather than an empty state: most
// likely the person is in the wrong place.
func (a *app) withState(ctx context.Context, o waterbear.Options, use func(*waterbear.Node) error) error {
	if _, err := os.Stat(o.Dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("state directory %s: not there; give the one that `waterbear run` used with --state", shellQuote(o.Dir))
	}
	node, err := openState(ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(use(node), node.Close())
}

// reading opens the state as it is now, also while a run changes it.
func (a *app) reading(ctx context.Context, stateFlag string, progress *progressLine, use func(*waterbear.Node) error) error {
	defer progress.clear()
	o := waterbear.Options{Dir: a.stateDir(stateFlag), ReadOnly: true, Progress: progress.report}
	return a.withState(ctx, o, use)
}

// runPrefix is the component of every worker that run makes. People may type
// it and need not.
const runPrefix = "run/"

// workerName takes a worker's name as a person types it.
func workerName(typed string) string { return strings.TrimPrefix(typed, runPrefix) }

// explain adds the next step to an error about the worker a person named.
func (a *app) explain(err error, name, stateFlag string) error {
	if errors.Is(err, waterbear.ErrNoWorker) {
		return fmt.Errorf("%s: no such worker in %s; see `%s`", name, shellQuote(a.stateDir(stateFlag)), a.withFlag("waterbear ps", stateFlag))
	}
	return err
}

// withFlag gives a command that a person can type next, in the same state.
func (a *app) withFlag(command, stateFlag string) string {
	if stateFlag == "" {
		return command
	}
	return command + " --state " + shellQuote(stateFlag)
}

// completeWorkers offers the names of workers; limit is how many arguments may
// be one (0: any number). What goes wrong means there is nothing to offer.
func (a *app) completeWorkers(state *string, limit int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
		if limit > 0 && len(args) >= limit {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		_ = a.reading(cmd.Context(), *state, nil, func(node *waterbear.Node) error {
			workers, err := node.Workers(cmd.Context())
			for _, w := range workers {
				if name := workerName(w.Name); strings.HasPrefix(name, start) {
					names = append(names, name+"\t"+printable(statusText(w)))
				}
			}
			return err
		})
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// exactly demands that many arguments.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return misuse(cmd, "wants %s, got %s", what, count(uint64(len(args)), "argument", "arguments"))
		}
		return nil
	}
}
