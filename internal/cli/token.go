package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
)

func (a *app) tokenCommand() *cobra.Command {
	return a.serverGroup("token", "Make, list and delete tokens that open a server",
		`Make, list and delete the tokens that requests to a server need. All of it wants
a token with the scope "admin".`,
		`  waterbear token create --scope invoke:shop --scope read:shop ci
  waterbear token list`,
		a.tokenCreateCommand(), a.tokenListCommand(), a.tokenDeleteCommand())
}

func (a *app) tokenCreateCommand() *cobra.Command {
	var scopes []string
	var expires string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "create [flags] NAME",
		Short: "Make a token, and print its secret once",
		Long: `Make a token and print its secret, which nobody can see again. Its scopes are
what it allows:

  admin    everything
  deploy   deploying, settings and deleting, of components and workers
  invoke   invoking, creating, stopping and looking at workers
  read     looking at everything but tokens

deploy, invoke and read can be limited to one component, as in invoke:shop.

--json prints one object: name, scopes, created, expires if it does, and secret.`,
		Example: `  waterbear token create --scope admin me > token
  waterbear token create --scope invoke:shop --expires 720h ci
  WATERBEAR_TOKEN=$(cat token) waterbear worker list`,
		Args: exactly(1, "a name for the token"),
	}
	f := cmd.Flags()
	f.StringArrayVar(&scopes, "scope", nil, "allow `SCOPE`, such as admin or invoke:shop (repeatable)")
	f.StringVar(&expires, "expires", "", "end at `TIME`, RFC 3339, or after a duration such as 720h (default: never)")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	_ = cmd.RegisterFlagCompletionFunc("scope", cobra.FixedCompletions([]string{"admin", "deploy", "invoke", "read"}, cobra.ShellCompDirectiveNoFileComp))
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		if len(scopes) == 0 {
			return misuse(cmd, "wants at least one --scope: admin, deploy, invoke or read")
		}
		t := api.NewToken{Name: args[0]}
		for _, s := range scopes {
			t.Scopes = append(t.Scopes, api.Scope(s))
		}
		var err error
		if t.Expires, err = parseUntil(expires, time.Now()); err != nil {
			return misuse(cmd, "--expires %s: want a duration such as 720h or a time such as 2026-11-22T18:00:00Z", shellQuote(expires))
		}
		made, err := c.CreateToken(cmd.Context(), t)
		switch {
		case err != nil:
			return err
		case asJSON:
			return writeJSON(a.stdout, made)
		}
		if isTerminal(a.stdout) {
			fmt.Fprintln(a.stderr, "waterbear: keep it now: it is never shown again")
		}
		_, err = fmt.Fprintln(a.stdout, printable(made.Secret))
		return err
	})
}

// parseUntil reads how far ahead: a duration from now, or a moment.
func parseUntil(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		if d <= 0 {
			return time.Time{}, fmt.Errorf("%s is over", d)
		}
		return now.Add(d), nil
	}
	return time.Parse(time.RFC3339, s)
}

func (a *app) tokenListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [flags]",
		Short: "List the tokens, without their secrets",
		Long: `List the tokens, without their secrets.

--json prints one object per line and token: name, scopes, created, and expires
if it does.`,
		Example: `  waterbear token list`,
		Args:    exactly(0, "no arguments"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, _ []string, _ *remote, c *client.Client) error {
		tokens, err := c.Tokens(cmd.Context())
		switch {
		case err != nil:
			return err
		case asJSON:
			return writeLines(a, tokens)
		}
		t := a.listing()
		t.add("NAME", "SCOPES", "CREATED", "EXPIRES")
		now := time.Now()
		for _, token := range tokens {
			expires := "never"
			if !token.Expires.IsZero() {
				expires = ago(token.Expires, now)
			}
			scopes := make([]string, len(token.Scopes))
			for i, s := range token.Scopes {
				scopes[i] = string(s)
			}
			t.add(printable(token.Name), printable(strings.Join(scopes, " ")), ago(token.Created, now), expires)
		}
		return t.write(a.stdout)
	})
}

func (a *app) tokenDeleteCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "delete [flags] NAME...",
		Short: "Delete tokens, so that nobody can use them",
		Long: `Delete tokens: requests with them are refused from now on.

--json prints one object per line for each token that was deleted: its name.`,
		Example: `  waterbear token delete ci`,
		Args:    atLeastOne("the names of tokens"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, r *remote, c *client.Client) error {
		return r.each(args, asJSON, "name", func(name string) error { return c.DeleteToken(cmd.Context(), name) })
	})
}
