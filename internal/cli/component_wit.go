package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear/client"
)

func (a *app) componentWITCommand() *cobra.Command {
	var own bool
	cmd := &cobra.Command{
		Use:   "wit [flags] COMPONENT[@REVISION]",
		Short: "Print the interface of a component, in WIT",
		Long: `Print the interface of a component in WIT: what it imports and exports, and the
types of that. It is that of the newest revision unless another one is named.

A module of WASI 0.1 has none; "waterbear component get" lists its functions.`,
		Example: `  waterbear component wit shop
  waterbear component wit --own shop@3`,
		Args: exactly(1, "the name of a component"),
	}
	cmd.Flags().BoolVar(&own, "own", false, "leave WASI out, as deploy does")
	return a.remoteCommand(cmd, func(cmd *cobra.Command, args []string, _ *remote, c *client.Client) error {
		name, numbered, ok := strings.Cut(args[0], "@")
		number, err := strconv.ParseUint(numbered, 10, 64)
		if ok && (err != nil || number == 0) {
			return misuse(cmd, "%s is no revision: write %s@1", shellQuote(args[0]), name)
		}
		if !ok {
			found, err := c.Component(cmd.Context(), name)
			if err != nil {
				return err
			}
			number = found.Latest.Number
		}
		text, err := c.WIT(cmd.Context(), name, number)
		if err != nil {
			return err
		}
		if own {
			text = withoutWASI(text)
		}
		_, err = fmt.Fprint(a.stdout, printableLines(text))
		return err
	})
}

// withoutWASI takes out of the interface of a component, as a server writes it, the
// packages of WASI and the imports of them: every component has those.
func withoutWASI(text string) string {
	var b strings.Builder
	inside := false // a package of WASI
	empty := true   // the line before, or there is none
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "package wasi:"):
			inside = true
		case inside:
			inside = !strings.HasPrefix(line, "}")
		case strings.HasPrefix(line, "  import wasi:"):
		case line == "\n" && empty:
		default:
			b.WriteString(line)
			empty = line == "\n" || strings.HasSuffix(line, "{\n")
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}
