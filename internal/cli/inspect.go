package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/client"
)

func (a *app) inspectCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "inspect [flags] NAME",
		GroupID: groupRead,
		Short:   "Show all that is known of a worker",
		Long: `Show all that is known of a worker: its status, what it was started with, its
limits, what it has recorded and how it recovers. COMPONENT/WORKER is one of a
server, of which this shows what "waterbear worker get" does: also the state
that is saved of it, and what it would cost to replay what is behind that.

--json prints one object; times are RFC 3339, sizes are in bytes, exitCode is
there once the program has ended, and program is the SHA-256 of the file.`,
		Example: `  waterbear inspect prog
  waterbear inspect --json prog | jq .exitCode
  waterbear inspect shop/alice`,
		Args: exactly(1, "the name of a worker"),
	}
	state := stateFlag(cmd)
	server := a.remoteFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	local, remote := a.completeWorkers(state, 1), server.complete(1, offerWorkers)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
		if strings.Contains(workerName(start), "/") {
			return remote(cmd, args, start)
		}
		return local(cmd, args, start)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := workerName(args[0])
		if strings.Contains(name, "/") {
			if cmd.Flags().Changed("state") {
				return misuse(cmd, "%s is a worker of a server, which --state does not name; give --server", shellQuote(name))
			}
			w, err := parseWorker(cmd, name)
			if err != nil {
				return err
			}
			return server.asking(func(c *client.Client) error { return a.showWorker(cmd.Context(), c, w, asJSON) })
		}
		for _, flag := range []string{"server", "token-file", "ca-file"} {
			if cmd.Flags().Changed(flag) {
				return misuse(cmd, "--%s is for the workers of a server, which are written COMPONENT/WORKER", flag)
			}
		}
		return a.reading(cmd.Context(), *state, nil, func(node *waterbear.Node) error {
			w, err := node.Worker(cmd.Context(), name)
			switch {
			case err != nil:
				return a.explain(err, name, *state)
			case asJSON:
				w.Args, w.Env, w.Dirs = listed(w.Args), listed(w.Env), listed(w.Dirs)
				return writeJSON(a.stdout, w)
			default:
				return a.printWorker(w, time.Now())
			}
		})
	}
	return cmd
}

func (a *app) printWorker(w waterbear.Worker, now time.Time) error {
	paint := a.styleFor(a.stdout)
	t := table{paint: func(_, column int, text string) string {
		if column == 0 {
			return paint.dim(text)
		}
		return text
	}}
	when := func(at time.Time) string {
		return fmt.Sprintf("%s (%s)", at.Local().Format(time.DateTime), ago(at, now))
	}
	t.add("Name", printable(workerName(w.Name)))
	t.add("Status", paint.status(w, statusText(w)))
	if w.Reason != "" {
		t.add("Reason", printable(w.Reason))
	}
	if w.Created.IsZero() {
		// Its oplog is too damaged to tell more.
		t.add("Oplog", count(w.Entries, "entry", "entries"))
		return t.write(a.stdout)
	}
	t.add("Program", "sha256:"+printable(w.Program))
	t.add("Arguments", printable(shellWords(w.Args)))
	label := "Environment"
	for _, setting := range w.Env {
		t.add(label, printable(shellQuote(setting)))
		label = ""
	}
	label = "Directories"
	for _, d := range w.Dirs {
		t.add(label, printable(d.Host+" as "+d.Guest))
		label = ""
	}
	t.add("Limits", fmt.Sprintf("memory %s, files %s, open files %s",
		bytesText(w.Limits.Memory), bytesText(w.Limits.Storage), commas(uint64(max(w.Limits.Files, 0)))))
	t.add("Created", when(w.Created))
	t.add("Changed", when(w.Changed))
	t.add("Oplog", fmt.Sprintf("%s, %s", count(w.Entries, "entry", "entries"), bytesText(w.Bytes)))
	t.add("Output", fmt.Sprintf("%s stdout, %s stderr", bytesText(w.Stdout), bytesText(w.Stderr)))
	t.add("Resumes", strconv.Itoa(w.Resumes))
	t.add("Recovery", printable(w.Mode))
	return t.write(a.stdout)
}
