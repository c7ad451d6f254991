package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear/client"
)

func (a *app) containerCommand() *cobra.Command {
	return a.serverGroup("container", "List, look at and delete the objects that programs share",
		`List, look at and delete what the programs of a component share by
wasi:blobstore: containers of objects by names.`,
		`  waterbear container list album
  waterbear container objects album photos
  waterbear container get --output film.mp4 album photos film`,
		a.containerListCommand(), a.containerObjectsCommand(), a.containerGetCommand(), a.containerDeleteCommand())
}

func (a *app) containerListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [flags] COMPONENT",
		Short: "List the containers of a component",
		Long: `List the containers of a component, by name.

--json prints one object per line and container: name and created.`,
		Example: `  waterbear container list album`,
		Args:    exactly(1, "a component"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		list, err := c.Containers(cmd.Context(), args[0])
		if err != nil || asJSON {
			return orLines(a, list, err)
		}
		t := a.listing()
		t.add("CONTAINER", "AGE")
		for _, one := range list {
			t.add(printable(one.Name), ago(one.Created, time.Now()))
		}
		return t.write(a.stdout)
	})
}

func (a *app) containerObjectsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "objects [flags] COMPONENT CONTAINER",
		Short: "List the objects of a container",
		Long: `List the objects of a container, by name.

--json prints one object per line and object: name, size and created, which is
when this content of it was written.`,
		Example: `  waterbear container objects album photos
  waterbear container objects --json album photos | jq 'select(.size > 1000000) | .name'`,
		Args: exactly(2, "a component and a container"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		list, err := c.Objects(cmd.Context(), args[0], args[1])
		if err != nil || asJSON {
			return orLines(a, list, err)
		}
		t := a.listing(1)
		t.add("OBJECT", "SIZE", "WRITTEN")
		for _, o := range list {
			t.add(printable(o.Name), bytesText(o.Size), ago(o.Created, time.Now()))
		}
		return t.write(a.stdout)
	})
}

func (a *app) containerGetCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "get [flags] COMPONENT CONTAINER OBJECT",
		Short: "Print an object, or save it",
		Long: `Write an object, byte for byte, to standard output or a file. The file has its
name once it is complete. If it breaks off, the exit code is 1.`,
		Example: `  waterbear container get album photos note.txt
  waterbear container get --output film.mp4 album photos film`,
		Args: exactly(3, "a component, a container and an object"),
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to `FILE` instead of standard output")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		object, err := c.Object(cmd.Context(), args[0], args[1], args[2])
		if err != nil {
			return err
		}
		defer object.Close()
		write := func(to io.Writer) error {
			if _, err := io.Copy(to, object); err != nil {
				return fmt.Errorf("get %s: %w", shellQuote(args[2]), err)
			}
			return nil
		}
		if output == "" {
			return write(a.stdout)
		}
		return writeWhole(output, write)
	})
}

func (a *app) containerDeleteCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "delete [flags] COMPONENT CONTAINER [OBJECT]",
		Short: "Delete an object, or a container",
		Long: `Delete an object of a container, or with --all the container with all that is in
it. Programs that write to it at the same time go on as if one of them had
deleted it.`,
		Example: `  waterbear container delete album photos film
  waterbear container delete --all album photos`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case all && len(args) != 2:
				return misuse(cmd, "with --all it wants a component and a container")
			case !all && len(args) != 3:
				return misuse(cmd, "wants a component, a container and an object; --all deletes a container")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "delete the container with all objects in it")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		if all {
			return c.DeleteContainer(cmd.Context(), args[0], args[1])
		}
		return c.DeleteObject(cmd.Context(), args[0], args[1], args[2])
	})
}
