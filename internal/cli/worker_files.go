package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear/client"
)

func (a *app) workerFilesCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "files [flags] COMPONENT/WORKER",
		Short: "List the files of a worker",
		Long: `List all files of a worker, by path. "waterbear worker cat" prints one.

--json prints one object per line and file: path, kind ("file", "directory" or
"link"), size and modified.`,
		Example: `  waterbear worker files shop/alice
  waterbear worker files --json shop/alice | jq -r 'select(.kind == "file") | .path'`,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return a.onWorker(cmd, func(cmd *cobra.Command, c *client.Client, w workerRef) error {
		files, err := c.Files(cmd.Context(), w.component, w.name)
		switch {
		case err != nil:
			return err
		case asJSON:
			return writeLines(a, files)
		}
		t := a.listing(1)
		t.add("PATH", "SIZE", "KIND", "MODIFIED")
		for _, f := range files {
			t.add(printable(f.Path), bytesText(uint64(max(f.Size, 0))), printable(f.Kind), ago(f.Modified, time.Now()))
		}
		return t.write(a.stdout)
	})
}

func (a *app) workerCatCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cat [flags] COMPONENT/WORKER PATH",
		Short: "Print a file of a worker",
		Long: `Print the content of a file of a worker, byte for byte. If it breaks off, the
exit code is 1.`,
		Example: `  waterbear worker cat shop/alice /data/out.json | jq .`,
		Args:    exactly(2, "COMPONENT/WORKER and the path of a file"),
	}
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		w, err := parseWorker(cmd, args[0])
		if err != nil {
			return err
		}
		file, err := c.File(cmd.Context(), w.component, w.name, args[1])
		if err != nil {
			return err
		}
		defer file.Close()
		if _, err := io.Copy(a.stdout, file); err != nil {
			return fmt.Errorf("print %s of %s: %w", args[1], w, err)
		}
		return nil
	})
}

func (a *app) workerExportCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "export [flags] COMPONENT/WORKER",
		Short: "Save all there is of a worker, as a tar archive",
		Long: `Write all there is of a worker, as a tar archive, to standard output or a file.
The file has its name once it is complete.`,
		Example: `  waterbear worker export --output alice.tar shop/alice
  waterbear worker export shop/alice | tar -t`,
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to `FILE` instead of standard output")
	return a.onWorker(cmd, func(cmd *cobra.Command, c *client.Client, w workerRef) error {
		if output == "" {
			if isTerminal(a.stdout) {
				return misuse(cmd, "an archive is not for a terminal; give --output FILE")
			}
			return c.Export(cmd.Context(), w.component, w.name, a.stdout)
		}
		return writeWhole(output, func(to io.Writer) error {
			return c.Export(cmd.Context(), w.component, w.name, to)
		})
	})
}

// writeWhole makes a file that is complete as soon as it has its name.
func writeWhole(name string, write func(io.Writer) error) error {
	part, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".part-*")
	if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	err = write(part)
	if synced := part.Sync(); err == nil {
		err = synced
	}
	if closed := part.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(part.Name(), name)
	}
	if err != nil {
		_ = os.Remove(part.Name())
	}
	return err
}
