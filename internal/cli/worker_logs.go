package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
)

// rangeFlags adds the flags that choose a part of a worker's log or oplog.
func rangeFlags(cmd *cobra.Command) *api.Range {
	r := &api.Range{}
	f := cmd.Flags()
	f.Uint64Var(&r.From, "from", 0, "first `INDEX` to print (default: the first there is)")
	f.Uint64Var(&r.To, "to", 0, "last `INDEX` to print (default: the last there is)")
	f.BoolVarP(&r.Follow, "follow", "f", false, "go on with what comes, until Ctrl-C")
	return r
}

func checkRange(cmd *cobra.Command, r *api.Range) error {
	if r.To != 0 && r.From > r.To {
		return misuse(cmd, "--from %d is behind --to %d", r.From, r.To)
	}
	return nil
}

func (a *app) workerLogsCommand() *cobra.Command {
	var stream, since string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "logs [flags] COMPONENT/WORKER",
		Short: "Print what a worker printed",
		Long: `Print what a worker wrote to its standard output and standard error, byte for
byte and each to our own. Each byte is in it once, however often the worker was
recovered. What is damaged is reported and left out, and the exit code is 1.

--follow goes on through restarts of the server.

--json prints one object per line for each chunk: its index in the oplog, the
time "at", the "stream" ("stdout" or "stderr"), and "text", or "base64" if it is
not valid UTF-8.`,
		Example: `  waterbear worker logs shop/alice
  waterbear worker logs --follow --since 10m shop/alice
  waterbear worker logs --stream stderr shop/alice`,
	}
	r := rangeFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&stream, "stream", "", "only `STREAM`: stdout or stderr")
	f.StringVar(&since, "since", "", "only what is newer than `TIME`: a duration such as 10m, or RFC 3339")
	f.BoolVar(&asJSON, "json", false, "print one JSON object per line")
	_ = cmd.RegisterFlagCompletionFunc("stream", cobra.FixedCompletions([]string{"stdout", "stderr"}, cobra.ShellCompDirectiveNoFileComp))
	return a.onWorker(cmd, func(cmd *cobra.Command, c *client.Client, w workerRef) error {
		if stream != "" && stream != "stdout" && stream != "stderr" {
			return misuse(cmd, "--stream %s: want stdout or stderr", shellQuote(stream))
		}
		from, err := parseSince(since, time.Now())
		if err != nil {
			return misuse(cmd, "--since %s: want a duration such as 10m or a time such as 2026-11-22T18:00:00Z", shellQuote(since))
		}
		if err := checkRange(cmd, r); err != nil {
			return err
		}
		return readAround(a, c.Logs(cmd.Context(), w.component, w.name, *r), func(chunk api.LogChunk) error {
			if stream != "" && chunk.Stream != stream || chunk.At.Before(from) {
				return nil
			}
			return a.printRemoteChunk(chunk, asJSON)
		})
	})
}

func (a *app) workerOplogCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "oplog [flags] COMPONENT/WORKER",
		Short: "Print what a worker did, entry by entry",
		Long: `Print the entries of a worker's oplog, one readable line for each: its index,
when it was recorded, its kind, and what it says.

Entries that are damaged are reported on standard error; those around them are
printed all the same, and the exit code is 1. --follow goes on through restarts
of the server.

--json prints one object per line: index, at (RFC 3339), kind, text, and the
body, whose fields depend on the kind.`,
		Example: `  waterbear worker oplog shop/alice
  waterbear worker oplog --search failed shop/alice
  waterbear worker oplog --follow --json shop/alice | jq -r .kind`,
	}
	r := rangeFlags(cmd)
	cmd.Flags().StringVar(&r.Search, "search", "", "only entries whose line contains `TEXT`, in any case")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return a.onWorker(cmd, func(cmd *cobra.Command, c *client.Client, w workerRef) error {
		if err := checkRange(cmd, r); err != nil {
			return err
		}
		return readAround(a, c.Oplog(cmd.Context(), w.component, w.name, *r), func(e api.Entry) error {
			if asJSON {
				return writeJSON(a.stdout, e)
			}
			return a.printOplogLine(e.Index, e.At, e.Kind, e.Text)
		})
	})
}

// printOplogLine prints an entry as a person reads it.
func (a *app) printOplogLine(index uint64, at time.Time, kind, text string) error {
	paint := a.styleFor(a.stdout)
	_, err := fmt.Fprintf(a.stdout, "%6d  %s  %s  %s\n", index,
		paint.dim(at.Local().Format("2006-01-02 15:04:05.000")), paint.cyan(fmt.Sprintf("%-19s", printable(kind))), printable(text))
	return err
}
