package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear"
)

func (a *app) logsCommand() *cobra.Command {
	var follow, asJSON bool
	var stream, since string
	cmd := &cobra.Command{
		Use:     "logs [flags] NAME",
		GroupID: groupRead,
		Short:   "Print what a worker printed",
		Long: `Print what a worker wrote to its standard output and standard error, byte for
byte and each to our own, from the durable log: each byte is in it once, however
often the worker was killed. What is damaged on disk is reported and left out,
and the exit code is 1.

--json prints one object per line for each chunk the program wrote: its index in
the oplog, the time "at", the "stream" ("stdout" or "stderr") and the "bytes" in
Base64.`,
		Example: `  waterbear logs prog
  waterbear logs --follow prog          # until it ends, or Ctrl-C
  waterbear logs --stream stderr prog
  waterbear logs --since 10m prog
  waterbear logs --since 2026-11-22T18:00:00Z prog`,
		Args: exactly(1, "the name of a worker"),
	}
	state := stateFlag(cmd)
	f := cmd.Flags()
	f.BoolVarP(&follow, "follow", "f", false, "go on until the worker ends")
	f.StringVar(&stream, "stream", "", "only `STREAM`: stdout or stderr")
	f.StringVar(&since, "since", "", "only what is newer than `TIME`: a duration such as 10m, or RFC 3339")
	f.BoolVar(&asJSON, "json", false, "print one JSON object per line")
	_ = cmd.RegisterFlagCompletionFunc("stream", cobra.FixedCompletions([]string{"stdout", "stderr"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.ValidArgsFunction = a.completeWorkers(state, 1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if stream != "" && stream != "stdout" && stream != "stderr" {
			return misuse(cmd, "--stream %s: want stdout or stderr", shellQuote(stream))
		}
		from, err := parseSince(since, time.Now())
		if err != nil {
			return misuse(cmd, "--since %s: want a duration such as 10m or a time such as 2026-11-22T18:00:00Z", shellQuote(since))
		}
		name := workerName(args[0])
		return a.reading(cmd.Context(), *state, nil, func(node *waterbear.Node) error {
			chunks := node.Logs(cmd.Context(), name, waterbear.ReadOptions{Follow: follow})
			return a.explain(readAround(a, chunks, func(chunk waterbear.LogChunk) error {
				if stream != "" && chunk.Stream != stream || chunk.At.Before(from) {
					return nil
				}
				return a.printChunk(chunk, asJSON)
			}), name, *state)
		})
	}
	return cmd
}

func (a *app) printChunk(chunk waterbear.LogChunk, asJSON bool) error {
	if asJSON {
		return writeJSON(a.stdout, chunk)
	}
	w := a.stdout
	if chunk.Stream == "stderr" {
		w = a.stderr
	}
	_, err := w.Write(chunk.Bytes)
	return err
}

// parseSince reads how far back to look: a duration before now, or a moment.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	return time.Parse(time.RFC3339, s)
}
