package cli

import (
	"encoding/base64"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
)

// createFlags are the flags of worker create that are no settings.
type createFlags struct {
	new              api.NewWorker
	args, env, files []string
	asJSON           bool
}

// maxInitial bounds the initial files of a worker together, in bytes: more, in
// Base64, is than a request of 64 MiB carries.
const maxInitial = 47 << 20

func (a *app) workerCreateCommand() *cobra.Command {
	var o createFlags
	cmd := &cobra.Command{
		Use:   "create [flags] COMPONENT/WORKER",
		Short: "Make a worker before its first invocation",
		Long: `Make a worker with arguments, environment, files and settings of its own. One
that exists and was created alike is left as it is; created otherwise is an
error. Settings that no flag names are the component's.

With --ephemeral each invocation has a fresh instance, and only its log is kept.

--json prints the worker as one object, as "worker get" does.`,
		Example: `  waterbear worker create --env TIER=gold shop/alice
  waterbear worker create --file ./rates.csv:/etc/rates.csv --arg -v shop/bob
  waterbear worker create --revision 3 --memory 256MiB shop/carol
  waterbear worker create --ephemeral convert/any`,
	}
	f := cmd.Flags()
	f.Uint64Var(&o.new.Revision, "revision", 0, "revision `NUMBER` to run (default: the newest)")
	f.StringArrayVar(&o.args, "arg", nil, "give the program the argument `WORD` (repeatable)")
	f.StringArrayVar(&o.env, "env", nil, "set `KEY=VALUE` for the program; KEY alone passes ours on (repeatable)")
	f.StringArrayVar(&o.files, "file", nil, "start with the file `HOST:GUEST`, GUEST being absolute (repeatable)")
	f.BoolVar(&o.new.Ephemeral, "ephemeral", false, "a fresh instance for each invocation")
	f.BoolVar(&o.asJSON, "json", false, "print the worker as a JSON object")
	settings := settingsFlags(cmd)
	return a.onWorker(cmd, func(cmd *cobra.Command, c *client.Client, w workerRef) error {
		settings.apply(cmd, &o.new.Settings)
		o.new.Args = o.args
		var err error
		if o.new.Env, err = a.settingsOf(cmd, o.env); err != nil {
			return err
		}
		if o.new.Files, err = initialFiles(cmd, o.files); err != nil {
			return err
		}
		made, err := c.CreateWorker(cmd.Context(), w.component, w.name, o.new)
		switch {
		case err != nil:
			return err
		case o.asJSON:
			return writeJSON(a.stdout, made)
		}
		return a.printWorkerDetail(made)
	})
}

// settingsOf gives variables as KEY=VALUE, with the values of ours for those
// that have none.
func (a *app) settingsOf(cmd *cobra.Command, given []string) ([]string, error) {
	var all []string
	for _, setting := range given {
		key, _, ok := strings.Cut(setting, "=")
		if key == "" {
			return nil, misuse(cmd, "--env %s has no name", shellQuote(setting))
		}
		if !ok {
			value, found := a.env.lookup(key)
			if !found {
				return nil, misuse(cmd, "--env %s: there is no such variable to pass on; write KEY=VALUE", shellQuote(key))
			}
			setting = key + "=" + value
		}
		all = append(all, setting)
	}
	return all, nil
}

// initialFiles reads files that are given as HOST:GUEST.
func initialFiles(cmd *cobra.Command, given []string) (map[string]string, error) {
	files := map[string]string{}
	total := int64(0)
	for _, f := range given {
		at := strings.LastIndex(f, ":")
		if at <= 0 || !path.IsAbs(f[at+1:]) {
			return nil, misuse(cmd, "--file %s: write HOST:GUEST, such as ./rates.csv:/etc/rates.csv", shellQuote(f))
		}
		host, guest := f[:at], path.Clean(f[at+1:])
		if _, twice := files[guest]; twice {
			return nil, misuse(cmd, "--file %s: there would be two files %s", shellQuote(f), guest)
		}
		stat, err := os.Stat(host)
		if err != nil {
			return nil, fmt.Errorf("read an initial file: %w", err)
		}
		if !stat.Mode().IsRegular() {
			return nil, fmt.Errorf("read an initial file: %s is no regular file; name each file of a directory", host)
		}
		if total += stat.Size(); total > maxInitial {
			return nil, fmt.Errorf("read initial files: they have more than %s together; give the rest in an invocation", bytesText(maxInitial))
		}
		content, err := os.ReadFile(host)
		if err != nil {
			return nil, fmt.Errorf("read an initial file: %w", err)
		}
		files[guest] = base64.StdEncoding.EncodeToString(content)
	}
	if len(files) == 0 {
		return nil, nil
	}
	return files, nil
}
