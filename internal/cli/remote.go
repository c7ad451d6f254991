package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
)

// Where the server is and what opens it, if no flag says so.
const (
	serverVariable = "WATERBEAR_SERVER"
	tokenVariable  = "WATERBEAR_TOKEN"
)

// remote is a command's flags that say which server it speaks to.
type remote struct {
	*app
	server    string
	tokenFile string
	caFile    string
}

// remoteFlags adds the flags of a command that speaks to a server.
func (a *app) remoteFlags(cmd *cobra.Command) *remote {
	r := &remote{app: a}
	f := cmd.Flags()
	f.StringVar(&r.server, "server", "", "`URL` of the server (default $"+serverVariable+", else "+client.DefaultURL+")")
	f.StringVar(&r.tokenFile, "token-file", "", "`FILE` with the token to send (default the token in $"+tokenVariable+")")
	f.StringVar(&r.caFile, "ca-file", "", "`FILE` with certificates to trust besides the system's, as PEM")
	return r
}

// maxSecretFile bounds the files that a token or certificates are read from.
const maxSecretFile = 1 << 20

// connect makes the client that the flags and the environment ask for.
func (r *remote) connect() (*client.Client, error) {
	c := client.Config{URL: r.server, Token: r.env.get(tokenVariable), Retrying: r.retrying()}
	if c.URL == "" {
		c.URL = r.env.get(serverVariable)
	}
	if r.tokenFile != "" {
		token, err := readSmall(r.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("read the token: %w", err)
		}
		if c.Token = strings.TrimSpace(string(token)); c.Token == "" {
			return nil, fmt.Errorf("read the token: %s is empty", shellQuote(r.tokenFile))
		}
	}
	if r.caFile != "" {
		var err error
		if c.CACert, err = readSmall(r.caFile); err != nil {
			return nil, fmt.Errorf("read the certificates: %w", err)
		}
	}
	return client.New(c)
}

func readSmall(file string) ([]byte, error) {
	stat, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if stat.Size() > maxSecretFile {
		return nil, fmt.Errorf("%s has more than %s", file, bytesText(maxSecretFile))
	}
	return os.ReadFile(file)
}

// asking connects and does what use does, and explains what goes wrong.
func (r *remote) asking(use func(*client.Client) error) error {
	c, err := r.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	return r.explained(use(c))
}

// retrying says once of each reason that we go on trying.
func (r *remote) retrying() func(error, time.Duration) {
	said := ""
	return func(cause error, _ time.Duration) {
		if text := cause.Error(); text != said {
			said = text
			r.complain(fmt.Errorf("%w (trying again)", r.explained(cause)))
		}
	}
}

// explained adds to a problem what of it Error leaves out, and how a person
// gives a token.
func (r *remote) explained(err error) error {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		return err
	}
	for _, f := range p.Errors {
		if strings.Contains(p.Detail, f.Message) {
			continue
		}
		err = fmt.Errorf("%w; %s: %s", err, f.Location, f.Message)
	}
	switch {
	case p.Code == api.CodeUnauthorized && r.tokenFile == "" && r.env.get(tokenVariable) == "":
		err = fmt.Errorf("%w; give one with --token-file or $%s", err, tokenVariable)
	case p.Code == api.CodeUnauthorized, p.Code == api.CodeForbidden:
		source := "$" + tokenVariable
		if r.tokenFile != "" {
			source = shellQuote(r.tokenFile)
		}
		err = fmt.Errorf("%w; the token is that of %s", err, source)
	}
	return err
}

// hint gives a command that a person can type next, for the same server.
func (r *remote) hint(words ...string) string {
	line := "waterbear"
	if len(words) > 0 && r.server != "" {
		// Behind the command, before its arguments.
		words = append([]string{words[0], "--server", r.server}, words[1:]...)
	}
	return line + " " + shellWords(words)
}

// workerRef is component/name.
type workerRef struct{ component, name string }

func (w workerRef) String() string { return w.component + "/" + w.name }

// idempotencyKey is the value of --key. An empty one, as of a variable that is not
// set, would let a repetition take effect again.
type idempotencyKey string

func (k *idempotencyKey) String() string { return string(*k) }
func (k *idempotencyKey) Type() string   { return "string" }

func (k *idempotencyKey) Set(written string) error {
	if written == "" {
		return errors.New("a key is not empty; leave the flag out for a call without one")
	}
	*k = idempotencyKey(written)
	return nil
}

// parseWorker reads COMPONENT/WORKER.
func parseWorker(cmd *cobra.Command, arg string) (workerRef, error) {
	component, name, ok := strings.Cut(arg, "/")
	if !ok || component == "" || name == "" {
		return workerRef{}, misuse(cmd, "%s names no worker; write COMPONENT/WORKER, such as shop/alice", shellQuote(arg))
	}
	return workerRef{component, name}, nil
}

// serverGroup makes a command of the server's that has commands below it.
func (a *app) serverGroup(name, short, long, example string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:     name,
		GroupID: groupServer,
		Short:   short,
		Long:    long,
		Example: example,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return misuse(cmd, "unknown command %q", args[0])
		},
	}
	cmd.AddCommand(below...)
	return cmd
}

// remoteCommand makes a command that speaks to a server; do is its work.
func (a *app) remoteCommand(cmd *cobra.Command, do func(cmd *cobra.Command, args []string, r *remote, c *client.Client) error) *cobra.Command {
	r := a.remoteFlags(cmd)
	if cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = r.completion(cmd.Use)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return r.asking(func(c *client.Client) error { return do(cmd, args, r, c) })
	}
	return cmd
}
