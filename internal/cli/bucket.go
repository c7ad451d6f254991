package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear/client"
)

func (a *app) bucketCommand() *cobra.Command {
	return a.serverGroup("bucket", "List, look at and delete the values that programs share",
		`List, look at and delete what the programs of a component share by
wasi:keyvalue: buckets of values by keys. A bucket may have the name ''.`,
		`  waterbear bucket list shop
  waterbear bucket keys shop carts
  waterbear bucket get shop carts apples`,
		a.bucketListCommand(), a.bucketKeysCommand(), a.bucketGetCommand(), a.bucketDeleteCommand())
}

func (a *app) bucketListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [flags] COMPONENT",
		Short: "List the buckets of a component",
		Long: `List the buckets of a component that have keys, by name.

--json prints one object per line and bucket: name.`,
		Example: `  waterbear bucket list shop`,
		Args:    exactly(1, "a component"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		list, err := c.Buckets(cmd.Context(), args[0])
		if err != nil || asJSON {
			return orLines(a, list, err)
		}
		t := a.listing()
		t.add("BUCKET")
		for _, b := range list {
			t.add(named(b.Name))
		}
		return t.write(a.stdout)
	})
}

// named is a name that may be empty.
func named(name string) string {
	if name == "" {
		return "''"
	}
	return printable(name)
}

// orLines prints each item as a line of JSON, if there is no error.
func orLines[T any](a *app, items []T, err error) error {
	if err != nil {
		return err
	}
	return writeLines(a, items)
}

func (a *app) bucketKeysCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "keys [flags] COMPONENT BUCKET",
		Short: "List the keys of a bucket",
		Long: `List the keys of a bucket, in order.

--json prints one object per line and key: key, size of the value, and written.`,
		Example: `  waterbear bucket keys shop carts
  waterbear bucket keys --json shop carts | jq -r .key`,
		Args: exactly(2, "a component and a bucket"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		list, err := c.Keys(cmd.Context(), args[0], args[1])
		if err != nil || asJSON {
			return orLines(a, list, err)
		}
		t := a.listing(1)
		t.add("KEY", "SIZE", "WRITTEN")
		for _, v := range list {
			t.add(printable(v.Key), bytesText(v.Size), ago(v.Written, time.Now()))
		}
		return t.write(a.stdout)
	})
}

func (a *app) bucketGetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get [flags] COMPONENT BUCKET KEY",
		Short: "Print the value of a key",
		Long: `Print the value of a key, byte for byte, but for the secrets of the component
that are in it.`,
		Example: `  waterbear bucket get shop carts apples`,
		Args:    exactly(3, "a component, a bucket and a key"),
	}
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		value, err := c.Value(cmd.Context(), args[0], args[1], args[2])
		if err == nil {
			_, err = a.stdout.Write(value)
		}
		return err
	})
}

func (a *app) bucketDeleteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete [flags] COMPONENT BUCKET KEY",
		Short: "Delete a key and its value",
		Long: `Delete a key and its value. Programs that write to it at the same time go on as
if one of them had deleted it.`,
		Example: `  waterbear bucket delete shop carts apples`,
		Args:    exactly(3, "a component, a bucket and a key"),
	}
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		return c.DeleteValue(cmd.Context(), args[0], args[1], args[2])
	})
}
