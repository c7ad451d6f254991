package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
)

func (a *app) workerGetCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "get [flags] COMPONENT/WORKER",
		Short: "Show all that is known of a worker",
		Long: `Show all that is known of a worker: its status and why, what it was created
with, its limits, the invocations that are not done, and the promises that are
pending.

--json prints one object: what "worker list --json" does, and settings, bytes,
resident, memory, mode, image if there is one, saved, held if it waits for a
person, pending and promises.`,
		Example: `  waterbear worker get shop/alice
  waterbear worker get --json shop/alice | jq -r '.pending[].key'`,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return a.onWorker(cmd, func(cmd *cobra.Command, c *client.Client, w workerRef) error {
		return a.showWorker(cmd.Context(), c, w, asJSON)
	})
}

// showWorker prints all that is known of a server's worker.
func (a *app) showWorker(ctx context.Context, c *client.Client, w workerRef, asJSON bool) error {
	found, err := c.Worker(ctx, w.component, w.name)
	switch {
	case err != nil:
		return err
	case asJSON:
		return writeJSON(a.stdout, found)
	}
	return a.printWorkerDetail(found)
}

func (a *app) printWorkerDetail(w api.WorkerDetail) error {
	paint := a.styleFor(a.stdout)
	t := a.fields()
	t.add("Worker", printable(w.Component+"/"+w.Name))
	t.add("Status", paint.remoteStatus(w.Status, printable(string(w.Status))))
	if w.Reason != "" {
		t.add("Reason", printable(w.Reason))
	}
	if w.Wake != nil {
		t.add("Goes on", a.when(*w.Wake))
	}
	for _, call := range w.Held {
		t.add("Held", fmt.Sprintf("waterbear calls show %s/%s %d", printable(w.Component), printable(w.Name), call))
	}
	t.add("Revision", revisionText(w.Revision))
	if w.Origin != "" {
		t.add("Copy of", w.Origin)
	}
	if w.Ephemeral {
		t.add("Ephemeral", "each invocation has a fresh instance")
	}
	t.add("Arguments", printable(shellWords(w.Args)))
	var env []string
	for _, setting := range w.Env {
		env = append(env, shellQuote(setting))
	}
	t.addLines("Environment", env)
	t.addLines("Limits", settingsLines(limitSettings(w.Settings.Limits)))
	t.addLines("Retry", settingsLines(retrySettings(w.Settings.Retry)))
	t.addLines("Images", settingsLines(imageSettings(w.Settings.Images)))
	t.addLines("HTTP", settingsLines(httpSettings(w.Settings.HTTP)))
	t.addLines("Sockets", settingsLines(netSettings(w.Settings.Net)))
	t.addLines("Retention", settingsLines(retentionSettings(w.Settings.Retention)))
	if len(w.Settings.Links) > 0 {
		t.addLines("Links", settingsLines(linkSettings(w.Settings.Links)))
	}
	t.add("Created", a.when(w.Created))
	t.add("Changed", a.when(w.Changed))
	oplog := fmt.Sprintf("%s, %s", count(w.Entries, "entry", "entries"), bytesText(w.Bytes))
	if w.First > 1 {
		oplog += fmt.Sprintf("; kept from entry %s on", commas(w.First))
	}
	t.add("Oplog", oplog)
	if k := w.Archived; k != nil {
		t.add("Archived", fmt.Sprintf("%s, %s, %s", count(k.Results, "result", "results"), count(k.Output, "piece of output", "pieces of output"), bytesText(k.Bytes)))
	}
	if w.Resident && w.Memory > 0 {
		t.add("Memory", bytesText(w.Memory))
	} else {
		t.add("Memory", "none: it comes back when it is needed")
	}
	if w.Mode != "" {
		t.add("Recovery", printable(w.Mode))
	}
	if i := w.Image; i != nil {
		t.add("Image", fmt.Sprintf("entry %s, of all up to entry %s, %s, made %s",
			commas(i.Index), commas(i.Covers), bytesText(i.Size), ago(i.Taken, time.Now())))
	}
	if s := w.Saved; s != nil {
		if s.Deltas > 0 {
			t.add("Deltas", fmt.Sprintf("%s, %s, the newest at entry %s", commas(s.Deltas), bytesText(s.Bytes), commas(s.Index)))
		}
		if s.LastBytes > 0 {
			t.add("Last delta", fmt.Sprintf("%s, %s of memory", bytesText(s.LastBytes), count(s.LastPages, "changed page", "changed pages")))
		}
		t.add("Replay", fmt.Sprintf("%s, about %v", count(s.Behind, "entry", "entries"), time.Duration(s.ReplayCost).Round(time.Microsecond)))
	}
	t.add("Queue", count(w.Queue, "invocation", "invocations"))
	if err := t.write(a.stdout); err != nil {
		return err
	}
	if len(w.Pending) > 0 {
		if _, err := fmt.Fprintln(a.stdout); err != nil {
			return err
		}
		if err := a.printPending(w.Pending); err != nil {
			return err
		}
	}
	if len(w.Promises) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(a.stdout); err != nil {
		return err
	}
	return a.printPromises(w.Promises)
}

// printPending lists invocations that are not done.
func (a *app) printPending(pending []api.Invocation) error {
	t := a.listing(3)
	t.add("KEY", "FUNCTION", "STATE", "ATTEMPTS", "DUE", "LAST FAILURE")
	for _, i := range pending {
		due, failure := "-", ""
		if i.Due != nil {
			due = a.when(*i.Due)
		}
		if i.Failure != nil {
			failure = printable(i.Failure.Reason)
		}
		t.add(printable(i.Key), printable(i.Function), printable(string(i.State)), commas(i.Attempts), due, failure)
	}
	return t.write(a.stdout)
}
