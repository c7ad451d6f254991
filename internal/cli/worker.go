package cli

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
)

func (a *app) workerCommand() *cobra.Command {
	return a.serverGroup("worker", "Make, list, look at and steer a server's workers",
		`Make, list, look at and steer the workers of a server. A worker is named
COMPONENT/WORKER, and is made by its first invocation or by "worker create".

What "waterbear run" made in a state directory of this machine is none of these:
"waterbear ps" lists that.`,
		`  waterbear worker list --status Failed
  waterbear worker logs --follow shop/alice
  waterbear worker interrupt --reason "under repair" shop/alice`,
		a.workerListCommand(), a.workerCreateCommand(), a.workerGetCommand(), a.workerLogsCommand(), a.workerOplogCommand(),
		a.workerFilesCommand(), a.workerCatCommand(), a.workerExportCommand(),
		a.workerForkCommand(), a.workerInterruptCommand(), a.workerResumeCommand(), a.workerRetryCommand(), a.workerDeleteCommand())
}

// listFlags are the flags of worker list.
type listFlags struct {
	filter        api.WorkerFilter
	status        string
	after, before string
	limit         int
	asJSON        bool
}

func (a *app) workerListCommand() *cobra.Command {
	var o listFlags
	cmd := &cobra.Command{
		Use:   "list [flags]",
		Short: "List workers",
		Long: `List the workers of a server, or those that all filters choose, whether or not
anything of them is in memory.

--json prints one object per line and worker: component, name, revision, status,
reason, ephemeral, created, changed, wake if it waits for a time, args, env,
queue and entries.`,
		Example: `  waterbear worker list
  waterbear worker list --component shop --status Failed
  waterbear worker list --name 'al*' --env TIER=gold
  waterbear worker list --created-after 24h --limit 20
  waterbear worker list --json | jq -r 'select(.queue > 10) | .name'`,
		Args: exactly(0, "no arguments"),
	}
	f := cmd.Flags()
	f.StringVar(&o.filter.Component, "component", "", "only those of `COMPONENT`")
	f.Uint64Var(&o.filter.Revision, "revision", 0, "only those that run revision `NUMBER`")
	f.StringVar(&o.status, "status", "", "only those with `STATUS`, such as Idle or Failed")
	f.StringVar(&o.filter.Name, "name", "", "only those whose name matches `PATTERN`, with * and ?")
	f.StringVar(&o.filter.Env, "env", "", "only those that have the variable `KEY[=VALUE]`")
	f.StringVar(&o.after, "created-after", "", "only those made after `TIME`: RFC 3339, or 10m ago as 10m")
	f.StringVar(&o.before, "created-before", "", "only those made before `TIME`")
	f.IntVar(&o.limit, "limit", 0, "at most `NUMBER` of them (default: all)")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object per line")
	var statuses []string
	for _, s := range api.Statuses() {
		statuses = append(statuses, string(s))
	}
	_ = cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions(statuses, cobra.ShellCompDirectiveNoFileComp))
	return a.remoteCommand(cmd, func(cmd *cobra.Command, _ []string, _ *remote, c *client.Client) error {
		if err := o.parse(cmd, statuses); err != nil {
			return err
		}
		return a.printRemoteWorkers(atMost(c.Workers(cmd.Context(), o.filter), o.limit), o.asJSON)
	})
}

// parse reads the flags that are no texts.
func (o *listFlags) parse(cmd *cobra.Command, statuses []string) error {
	if cmd.Flags().Changed("limit") && o.limit <= 0 {
		return misuse(cmd, "--limit %d lists nothing", o.limit)
	}
	if o.status != "" {
		i := slices.IndexFunc(statuses, func(s string) bool { return strings.EqualFold(s, o.status) })
		if i < 0 {
			return misuse(cmd, "--status %s: want one of %s", shellQuote(o.status), strings.Join(statuses, ", "))
		}
		o.filter.Status = api.Status(statuses[i])
	}
	for flag, to := range map[string]*time.Time{"created-after": &o.filter.CreatedAfter, "created-before": &o.filter.CreatedBefore} {
		text := o.after
		if flag == "created-before" {
			text = o.before
		}
		at, err := parseSince(text, time.Now())
		if err != nil {
			return misuse(cmd, "--%s %s: want a duration such as 10m or a time such as 2026-11-22T18:00:00Z", flag, shellQuote(text))
		}
		*to = at
	}
	return nil
}

// atMost ends a sequence behind limit items; 0: with its own end.
func atMost[T any](items iter.Seq2[T, error], limit int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		n := 0
		for item, err := range items {
			if !yield(item, err) {
				return
			}
			if n++; n == limit {
				return
			}
		}
	}
}

// tableBatch is how many workers are laid out together: a server has more of
// them than a person reads, and more than fit in memory.
const tableBatch = 1000

// printRemoteWorkers prints workers as they come.
func (a *app) printRemoteWorkers(workers iter.Seq2[api.Worker, error], asJSON bool) error {
	var batch []api.Worker
	first := true
	flush := func() error {
		if asJSON || len(batch) == 0 && !first {
			return nil
		}
		err := a.workerTable(batch, first).write(a.stdout)
		batch, first = batch[:0], false
		return err
	}
	for w, err := range workers {
		if err != nil {
			return err
		}
		if asJSON {
			if err := writeJSON(a.stdout, w); err != nil {
				return err
			}
			continue
		}
		if batch = append(batch, w); len(batch) == tableBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

func (a *app) workerTable(workers []api.Worker, heading bool) *table {
	paint := a.styleFor(a.stdout)
	above := 0
	if heading {
		above = 1
	}
	t := &table{
		right: map[int]bool{2: true, 3: true, 4: true},
		paint: func(row, column int, text string) string {
			switch {
			case row < above:
				return paint.dim(text)
			case column == 0:
				return paint.bold(text)
			case column == 1:
				return paint.remoteStatus(workers[row-above].Status, text)
			}
			return text
		},
	}
	if heading {
		t.add("WORKER", "STATUS", "REVISION", "QUEUE", "ENTRIES", "CHANGED", "REASON")
	}
	now := time.Now()
	for _, w := range workers {
		t.add(printable(w.Component+"/"+w.Name), printable(string(w.Status)), revisionText(w.Revision),
			commas(w.Queue), commas(w.Entries), ago(w.Changed, now), printable(w.Reason))
	}
	return t
}

// remoteStatus colours a status by whether a person should care.
func (s style) remoteStatus(status api.Status, text string) string {
	switch status {
	case api.Running:
		return s.cyan(text)
	case api.Interrupted, api.Retrying:
		return s.yellow(text)
	case api.Failed:
		return s.red(text)
	}
	return s.green(text)
}

// onWorkers makes a command that does one thing to each worker named.
func (a *app) onWorkers(cmd *cobra.Command, do func(ctx context.Context, c *client.Client, w workerRef) error) *cobra.Command {
	var asJSON bool
	cmd.Args = atLeastOne("workers, as COMPONENT/WORKER")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	cmd.Long += `

--json prints one object per line for each worker it was done to: "worker".`
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, r *remote, c *client.Client) error {
		workers := map[string]workerRef{}
		for _, arg := range args {
			w, err := parseWorker(cmd, arg)
			if err != nil {
				return err
			}
			workers[arg] = w
		}
		return r.each(args, asJSON, "worker", func(arg string) error { return do(cmd.Context(), c, workers[arg]) })
	})
}

func (a *app) workerForkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fork [flags] COMPONENT/WORKER NAME",
		Short: "Make a copy of a worker",
		Long: `Make a copy of a worker, under another name in the same component. The copy has
the same memory, files and history, and from then on the two have nothing in
common. The worker must be in no invocation; those that wait stay its own.`,
		Example: `  waterbear worker fork shop/alice alice-to-try-things`,
		Args:    exactly(2, "one worker, as COMPONENT/WORKER, and the name of the copy"),
	}
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		w, err := parseWorker(cmd, args[0])
		if err == nil {
			_, err = c.Fork(cmd.Context(), w.component, w.name, args[1])
		}
		return err
	})
}

func (a *app) workerInterruptCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "interrupt [flags] COMPONENT/WORKER...",
		Short: "Stop workers until they are resumed",
		Long: `Stop workers until they are resumed. Nothing is lost: an invocation that was
under way goes on where it was, and those accepted meanwhile wait.`,
		Example: `  waterbear worker interrupt --reason "under repair" shop/alice`,
	}
	cmd.Flags().StringVar(&reason, "reason", "", "`WORDS` that tell others why")
	return a.onWorkers(cmd, func(ctx context.Context, c *client.Client, w workerRef) error {
		return c.Interrupt(ctx, w.component, w.name, reason)
	})
}

func (a *app) workerResumeCommand() *cobra.Command {
	return a.onWorkers(&cobra.Command{
		Use:     "resume [flags] COMPONENT/WORKER...",
		Short:   "Let interrupted workers go on",
		Long:    `Let interrupted workers go on where they were.`,
		Example: `  waterbear worker resume shop/alice`,
	}, func(ctx context.Context, c *client.Client, w workerRef) error {
		return c.Resume(ctx, w.component, w.name)
	})
}

func (a *app) workerRetryCommand() *cobra.Command {
	return a.onWorkers(&cobra.Command{
		Use:   "retry [flags] COMPONENT/WORKER...",
		Short: "Let failed workers try again at once",
		Long: `Let workers that are Failed try again, and those that are Retrying at once
instead of after their pause.`,
		Example: `  waterbear worker retry shop/alice`,
	}, func(ctx context.Context, c *client.Client, w workerRef) error {
		return c.Retry(ctx, w.component, w.name)
	})
}

func (a *app) workerDeleteCommand() *cobra.Command {
	return a.onWorkers(&cobra.Command{
		Use:   "delete [flags] COMPONENT/WORKER...",
		Short: "Delete workers and all that is kept of them",
		Long: `Delete workers and all that is kept of them: their oplogs, results and files. It
cannot be undone. "waterbear worker export" saves it before.`,
		Example: `  waterbear worker delete shop/alice`,
	}, func(ctx context.Context, c *client.Client, w workerRef) error {
		return c.DeleteWorker(ctx, w.component, w.name)
	})
}

// workerArg is the Args of commands on one worker.
func workerArg() cobra.PositionalArgs { return exactly(1, "one worker, as COMPONENT/WORKER") }

// onWorker makes a command on one worker.
func (a *app) onWorker(cmd *cobra.Command, do func(cmd *cobra.Command, c *client.Client, w workerRef) error) *cobra.Command {
	cmd.Args = workerArg()
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		w, err := parseWorker(cmd, args[0])
		if err != nil {
			return err
		}
		return do(cmd, c, w)
	})
}
