package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
)

func (a *app) componentsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "components [flags]",
		GroupID: groupServer,
		Short:   "List what was deployed",
		Long: `List the components of a server: what was deployed, and its newest revision.

--json prints one object per line and component: name, created, latest, which is
its newest revision, and settings.`,
		Example: `  waterbear components
  waterbear components --json | jq -r .name`,
		Args: exactly(0, "no arguments"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, _ []string, _ *remote, c *client.Client) error {
		all, err := c.Components(cmd.Context())
		if err != nil {
			return err
		}
		if asJSON {
			return writeLines(a, all)
		}
		t := a.listing(1, 2, 3)
		t.add("NAME", "REVISION", "SIZE", "FUNCTIONS", "KIND", "DEPLOYED")
		for _, c := range all {
			r := c.Latest
			t.add(printable(c.Name), revisionText(r.Number), bytesText(uint64(max(r.Size, 0))),
				commas(uint64(len(r.Exports))), printable(string(r.Kind)), ago(r.Created, time.Now()))
		}
		return t.write(a.stdout)
	})
}

// listing is a table with a heading, whose first column is what it lists; the
// columns right are aligned to the right.
func (a *app) listing(right ...int) *table {
	paint := a.styleFor(a.stdout)
	t := &table{right: map[int]bool{}, paint: func(row, column int, text string) string {
		switch {
		case row == 0:
			return paint.dim(text)
		case column == 0:
			return paint.bold(text)
		}
		return text
	}}
	for _, column := range right {
		t.right[column] = true
	}
	return t
}

// writeLines prints each item as a line of JSON.
func writeLines[T any](a *app, items []T) error {
	for _, item := range items {
		if err := writeJSON(a.stdout, item); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) componentCommand() *cobra.Command {
	return a.serverGroup("component", "Look at a component and change its settings",
		`Look at a component of a server, which is what was deployed under one name, and
change the settings that its workers have. "waterbear components" lists them,
and "waterbear deploy" makes them.`,
		`  waterbear component get shop
  waterbear component settings --memory 256MiB shop`,
		a.componentGetCommand(), a.componentRevisionsCommand(), a.componentWITCommand(), a.componentSettingsCommand(), a.componentDeleteCommand())
}

func (a *app) componentGetCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "get [flags] COMPONENT",
		Short: "Show a component: its newest revision, functions, settings",
		Long: `Show all that is known of a component: its newest revision with the functions
it exports and what it imports, and the settings that its workers have.

--json prints one object: name, created, latest, settings and shared, which has
the bytes in its buckets and containers and the limit of them.`,
		Example: `  waterbear component get shop
  waterbear component get --json shop | jq .latest.exports`,
		Args: exactly(1, "the name of a component"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		found, err := c.Component(cmd.Context(), args[0])
		switch {
		case err != nil:
			return err
		case asJSON:
			return writeJSON(a.stdout, found)
		}
		r := found.Latest
		t := a.fields()
		t.add("Component", printable(found.Name))
		t.add("Created", a.when(found.Created))
		t.addLines("Limits", settingsLines(limitSettings(found.Settings.Limits)))
		t.addLines("Retry", settingsLines(retrySettings(found.Settings.Retry)))
		t.addLines("Images", settingsLines(imageSettings(found.Settings.Images)))
		t.addLines("HTTP", settingsLines(httpSettings(found.Settings.HTTP)))
		if len(found.Settings.Links) > 0 {
			t.addLines("Links", settingsLines(linkSettings(found.Settings.Links)))
		}
		t.addLines("Sockets", settingsLines(netSettings(found.Settings.Net)))
		if s := found.Shared; s != nil {
			t.add("Shared", fmt.Sprintf("%s of %s in buckets and containers", bytesText(s.Bytes), bytesText(s.Limit)))
		}
		t.add("Revision", fmt.Sprintf("%d, deployed %s", r.Number, a.when(r.Created)))
		return a.printRevision(t, r)
	})
}

// when gives a time and how long ago that is.
func (a *app) when(at time.Time) string {
	return fmt.Sprintf("%s (%s)", at.Local().Format(time.DateTime), ago(at, time.Now()))
}

func (a *app) componentRevisionsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "revisions [flags] COMPONENT",
		Short: "List the revisions of a component, the newest first",
		Long: `List the revisions of a component, the newest first. A revision never changes,
and workers keep the one that they were created with.

--json prints one object per line and revision: component, number, hash, size,
created, kind, exports and imports.`,
		Example: `  waterbear component revisions shop
  waterbear component revisions --json shop | jq -r .hash`,
		Args: exactly(1, "the name of a component"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		all, err := c.Revisions(cmd.Context(), args[0])
		switch {
		case err != nil:
			return err
		case asJSON:
			return writeLines(a, all)
		}
		t := a.listing(0, 2, 3)
		t.add("REVISION", "KIND", "SIZE", "FUNCTIONS", "DEPLOYED", "HASH")
		for _, r := range all {
			t.add(revisionText(r.Number), printable(string(r.Kind)), bytesText(uint64(max(r.Size, 0))),
				commas(uint64(len(r.Exports))), ago(r.Created, time.Now()), printable(r.Hash))
		}
		return t.write(a.stdout)
	})
}

func (a *app) componentSettingsCommand() *cobra.Command {
	var asJSON, reset bool
	cmd := &cobra.Command{
		Use:   "settings [flags] COMPONENT",
		Short: "Show or change the settings of a component",
		Long: `Show the settings of a component, or change those that flags name and keep the
others. They hold for its workers, unless a worker has its own: memory, storage
and files for workers that are created from now on, the others from the next
invocation on; --shared is of all its workers together, and holds at once. What
is not set has the server's default.

--json prints one object: limits, retry, http and images, whose "after" is
negative if the state is never saved.`,
		Example: `  waterbear component settings shop
  waterbear component settings --memory 256MiB --cpu-time 5s shop
  waterbear component settings --retry-attempts 5 --retry-initial 1s shop
  waterbear component settings --image-after off shop
  waterbear component settings --reset shop`,
		Args: exactly(1, "the name of a component"),
	}
	settings := settingsFlags(cmd)
	cmd.Flags().Var(&settings.shared, "shared", "limit of all its buckets and containers together")
	cmd.Flags().BoolVar(&reset, "reset", false, "set all that no flag names to the server's default")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		found, err := c.Component(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		now := found.Settings
		if reset {
			now = api.Settings{}
		}
		if changed := settings.apply(cmd, &now); changed || reset {
			if found, err = c.Configure(cmd.Context(), args[0], now); err != nil {
				return err
			}
		}
		if asJSON {
			return writeJSON(a.stdout, found.Settings)
		}
		t := a.fields()
		addSettings(t, found.Settings, "the server's default")
		return t.write(a.stdout)
	})
}

func (a *app) componentDeleteCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "delete [flags] COMPONENT...",
		Short: "Delete components that have no workers",
		Long: `Delete components with all their revisions. One that has workers is not deleted:
delete these first.

--json prints one object per line for each component that was deleted: its name.`,
		Example: `  waterbear component delete shop`,
		Args:    atLeastOne("the names of components"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, r *remote, c *client.Client) error {
		return r.each(args, asJSON, "name", func(name string) error {
			return c.DeleteComponent(cmd.Context(), name)
		})
	})
}

// atLeastOne demands an argument.
func atLeastOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return misuse(cmd, "wants %s", what)
		}
		return nil
	}
}

// each does something to each of args, also behind one that fails, and prints
// with asJSON those that it was done to, as an object with the one field.
func (r *remote) each(args []string, asJSON bool, field string, do func(arg string) error) error {
	failed := false
	for _, arg := range args {
		err := do(arg)
		if err == nil && asJSON {
			err = writeJSON(r.stdout, map[string]string{field: arg})
		}
		if errors.Is(err, waterbear.ErrInterrupted) {
			return err
		}
		if err != nil {
			failed = true
			err = r.explained(err)
			if !strings.Contains(err.Error(), arg) {
				err = fmt.Errorf("%s: %w", arg, err)
			}
			r.complain(err)
		}
	}
	if failed {
		return exitError{code: exitFailed}
	}
	return nil
}
