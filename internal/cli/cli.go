// Package cli is the command line of Waterbear: it turns arguments into calls
// of the embedding API and what these return into text, JSON and exit codes.
// It hides terminals, signals and the wording from everything below.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear"
)

// Exit codes of our own. A program may use any code from 0 to 255 itself; those
// from 125 on are the ones shells and env(1) reserve for the same reasons.
const (
	exitFailed     = 1   // a command other than run could not do its work
	exitUsage      = 2   // the command line makes no sense
	exitNotRun     = 125 // run could not start or finish the program
	exitNotProgram = 126 // run was given a file that cannot be run
	exitNotFound   = 127 // run was given a file that is not there
	exitSignal     = 128 // plus the number of the signal that ended us
)

// app is one invocation of the command line: its streams and its environment.
type app struct {
	argv           []string // as the shell gave it, our own name first
	stdin          io.Reader
	stdout, stderr io.Writer
	env            environment
	signals        *signals
}

// Main runs the command line argv (argv[0] is our own name) and returns the
// exit code.
func Main(argv []string, stdin io.Reader, stdout, stderr io.Writer, env []string) int {
	ctx, caught := catchSignals(context.Background())
	defer caught.stop()
	a := &app{argv: argv, stdin: stdin, stdout: stdout, stderr: stderr, env: env, signals: caught}
	root := a.rootCommand()
	if len(argv) > 0 {
		root.SetArgs(argv[1:])
	}
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return a.exitCode(root.ExecuteContext(ctx))
}

// exitCode says what went wrong, if anything, and gives the code for it.
func (a *app) exitCode(err error) int {
	var exit exitError
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if exit.err != nil {
			a.complain(exit.err)
		}
		return exit.code
	case errors.As(err, &usage):
		a.complain(err)
		return exitUsage
	case a.signals.caught() != 0 && (errors.Is(err, context.Canceled) || errors.Is(err, waterbear.ErrInterrupted)):
		return exitSignal + int(a.signals.caught())
	case errors.Is(err, syscall.EPIPE):
		// Whoever reads our output has gone: end as any filter does.
		return exitSignal + int(syscall.SIGPIPE)
	default:
		a.complain(err)
		return exitFailed
	}
}

// complain prints an error as one line. Nothing silences it.
func (a *app) complain(err error) {
	text := strings.Join(strings.Fields(err.Error()), " ")
	fmt.Fprintf(a.stderr, "waterbear: %s\n", printable(text))
}

// exitError ends the command line with a code, and with words if err is set.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

// usageError is a command line that makes no sense.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// misuse is a usageError that points to the help of cmd.
func misuse(cmd *cobra.Command, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if cmd.HasParent() {
		text = cmd.Name() + ": " + text
	}
	return usageError{fmt.Sprintf("%s; see `%s --help`", text, cmd.CommandPath())}
}

const (
	groupRun    = "run"
	groupRead   = "read"
	groupServer = "server"
	groupSelf   = "self"
)

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "waterbear",
		Short: "Run WebAssembly programs that nothing can stop for good",
		Long: `Waterbear runs programs compiled to WebAssembly so that nothing can stop them
for good: kill the process, pull the plug, and the same command resumes the
program exactly where it left off.

Programs run either in this process, with their state in a directory ("run",
and "ps" and others to look at them), or on a server that hosts many of them,
each with any number of workers whose functions are invoked ("server", "deploy",
"invoke").`,
		Example: `  waterbear demo                        # see it survive kill -9
  waterbear run prog.wasm input.txt     # run a program; again to resume it
  waterbear ps                          # what has run here
  waterbear logs prog                   # what it printed

  waterbear server &                    # host many, on this machine
  waterbear deploy shop.wasm            # as the component "shop"
  waterbear invoke shop/alice add 2 3   # the worker "alice" is made by that
  waterbear worker list                 # what the server has`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return misuse(cmd, "%v", err)
	})
	root.AddGroup(
		&cobra.Group{ID: groupRun, Title: "Running programs:"},
		&cobra.Group{ID: groupRead, Title: "Looking at them, also while they run:"},
		&cobra.Group{ID: groupServer, Title: "Server and its workers:"},
		&cobra.Group{ID: groupSelf, Title: "About waterbear itself:"},
	)
	root.SetHelpCommandGroupID(groupSelf)
	root.SetCompletionCommandGroupID(groupSelf)
	root.AddCommand(
		a.serverCommand(),
		a.runCommand(), a.demoCommand(),
		a.psCommand(), a.logsCommand(), a.oplogCommand(), a.inspectCommand(), a.cpCommand(), a.rmCommand(),
		a.deployCommand(), a.componentsCommand(), a.componentCommand(), a.invokeCommand(), a.resultCommand(), a.cancelCommand(),
		a.workerCommand(), a.callsCommand(), a.promiseCommand(), a.bucketCommand(), a.containerCommand(), a.routeCommand(), a.tokenCommand(),
		a.versionCommand(),
	)
	return root
}

func unknownCommand(root *cobra.Command, name string) error {
	if strings.HasSuffix(name, ".wasm") {
		return usageError{fmt.Sprintf("unknown command %q; to run a program: waterbear run %s", name, shellQuote(name))}
	}
	if near := root.SuggestionsFor(name); len(near) > 0 {
		return usageError{fmt.Sprintf("unknown command %q; did you mean %q?", name, near[0])}
	}
	return usageError{fmt.Sprintf("unknown command %q; see `waterbear --help`", name)}
}

// environment is a process environment as KEY=VALUE.
type environment []string

// lookup finds a variable; as in a shell, the last setting counts.
func (e environment) lookup(key string) (string, bool) {
	for i := len(e) - 1; i >= 0; i-- {
		if k, v, _ := strings.Cut(e[i], "="); k == key {
			return v, true
		}
	}
	return "", false
}

func (e environment) get(key string) string {
	v, _ := e.lookup(key)
	return v
}
