package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
)

// runOptions are the flags of run.
type runOptions struct {
	name, state     string
	env, dirs       []string
	memory, storage byteSize
	files           int
	fresh, quiet    bool
	http            httpValues
	stats           string
	net             api.Net
}

func (a *app) runCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:     "run [flags] prog.wasm [args...]",
		GroupID: groupRun,
		Short:   "Run a program durably, or resume it where it was",
		Long: `Run a WebAssembly program as a durable process, a worker: a module of WASI 0.1
or a component of WASI 0.2. Killed, crashed or rebooted, the same command
resumes it where it was: nothing it printed is lost or doubled in its log,
finished sleeps are not slept again, and random numbers, times and files stay as
they were.

Flags end at prog.wasm: all that follows belongs to the program. Its standard
output, standard error and exit code are passed on. Our own words go to standard
error and begin with "waterbear:".

--dir shows a directory to the program. What it changes there is in the worker's
own files until it exits, and is written back then.

Ctrl-C, SIGTERM and SIGHUP interrupt the worker so that it can be resumed; a
second one kills it at once, which loses nothing either.

Exit codes: the program's own; 134 if it trapped; 128 plus the signal if it was
interrupted (130 for Ctrl-C); 2 for a wrong command line; 127 if there is no
such file and 126 if it is nothing that can be run; 125 for any other failure of
ours. A program may use the same codes: ours come with a "waterbear:" line,
--quiet or not, and "waterbear inspect --json" tells the program's own.`,
		Example: `  waterbear run hello.wasm
  waterbear run --name nightly --env TZ=UTC report.wasm --verbose 2026
  waterbear run --dir ./data::/data convert.wasm /data/in.csv /data/out.json
  waterbear run --dir . sort.wasm < words.txt > sorted.txt
  waterbear run --fresh hello.wasm      # forget what was, start over`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return misuse(cmd, "wants the program to run, a .wasm file")
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return []string{"wasm"}, cobra.ShellCompDirectiveFilterFileExt
			}
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.run(cmd, &o, args)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.StringVar(&o.name, "name", "", "`NAME` of the worker (default: the file's name)")
	f.StringVar(&o.state, "state", "", "state `DIR`, made if missing (default $"+stateVariable+", else "+stateDefault+")")
	f.StringArrayVar(&o.env, "env", nil, "set `KEY=VALUE` for the program; KEY alone passes ours on (repeatable)")
	f.StringArrayVar(&o.dirs, "dir", nil, "show `HOST[::GUEST]`, a directory, to the program (repeatable)")
	f.Var(&o.memory, "memory", fmt.Sprintf("limit of its memory, such as 64MiB (default %s)", bytesText(waterbear.DefaultMemory)))
	f.Var(&o.storage, "storage", fmt.Sprintf("limit of its files together (default %s)", bytesText(waterbear.DefaultStorage)))
	f.IntVar(&o.files, "files", 0, fmt.Sprintf("limit of its open files, a `NUMBER` (default %d)", waterbear.DefaultFiles))
	f.StringSliceVar(&o.net.Allow, "net-allow", nil, "let its sockets connect and send to `HOSTS` such as db.local:5432")
	f.StringSliceVar(&o.net.Listen, "net-listen", nil, "let its sockets listen at `ADDRESSES` such as 127.0.0.1:8080")
	o.http.add(cmd)
	f.BoolVar(&o.fresh, "fresh", false, "forget a worker of that name and start over")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "say nothing of our own unless something fails")
	f.StringVar(&o.stats, "stats", "", "write the figures of this run to `FILE` as JSON lines")
	_ = cmd.MarkFlagDirname("state")
	return cmd
}

// run runs args[0] as a worker and ends as the program does.
func (a *app) run(cmd *cobra.Command, o *runOptions, args []string) error {
	command, err := a.programOf(cmd, o, args)
	if err != nil {
		return err
	}
	if command.Program, err = readProgram(args[0]); err != nil {
		return err
	}
	stats, err := openStats(o.stats)
	if err != nil {
		return exitError{exitNotRun, err}
	}
	defer stats.close()

	talk := &runTalk{app: a, options: o, name: command.Name, args: args}
	line := a.newProgress(filepath.Base(args[0]), o.quiet)
	defer line.clear()
	command.Stdin, command.StdinContinues = a.stdin, isTerminal(a.stdin)
	command.Stdout, command.Stderr = line.before(a.stdout), line.before(a.stderr)
	command.Started = func(s waterbear.Start) {
		line.clear()
		stats.started(s)
		talk.started(s)
	}
	node, err := openState(cmd.Context(), waterbear.Options{
		Dir: a.stateDir(o.state),
		Progress: func(p waterbear.Progress) {
			stats.progress(p)
			line.report(p)
		},
	})
	if err != nil {
		return a.notRun(err)
	}
	hurried := talk.reassure(cmd.Context(), line)
	exit, err := node.Run(cmd.Context(), command)
	hurried()
	closed := node.Close()
	line.clear()
	stats.ended(exit, err)
	switch {
	case errors.Is(err, waterbear.ErrInterrupted) && a.signals.caught() != 0:
		talk.interrupted(exit)
		return exitError{code: exitSignal + int(a.signals.caught())}
	case err != nil:
		return a.notRun(err)
	case exit.Failure != "":
		return exitError{exit.Code, fmt.Errorf("%s: %s; see what it printed with `%s`", command.Name, exit.Failure, a.withFlag("waterbear logs "+command.Name, o.state))}
	case closed != nil && exit.Code == 0:
		return a.notRun(closed)
	default:
		return exitError{code: exit.Code}
	}
}

// notRun gives a failure of ours the code that tells it from the program's.
func (a *app) notRun(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return err
	}
	if a.signals.caught() != 0 && errors.Is(err, context.Canceled) {
		return err
	}
	if other := (*waterbear.MismatchError)(nil); errors.As(err, &other) {
		err = fmt.Errorf("%w; give this one another --name, or forget that one with --fresh", err)
	}
	if errors.Is(err, waterbear.ErrProgram) {
		return exitError{exitNotProgram, err}
	}
	return exitError{exitNotRun, err}
}

// programOf makes the command out of the flags and arguments of run, all but
// the program's bytes and streams.
func (a *app) programOf(cmd *cobra.Command, o *runOptions, args []string) (waterbear.Command, error) {
	c := waterbear.Command{
		Name:  workerName(o.name),
		Args:  append([]string{filepath.Base(args[0])}, args[1:]...),
		Fresh: o.fresh,
	}
	if !cmd.Flags().Changed("name") {
		c.Name = nameOf(args[0])
	}
	o.http.apply(cmd, &c.HTTP)
	c.Memory, c.Storage, c.Files = uint64(o.memory), uint64(o.storage), o.files
	if o.files < 0 || cmd.Flags().Changed("files") && o.files == 0 {
		return c, misuse(cmd, "--files %d is no limit", o.files)
	}
	c.Net = o.net
	if err := waterbear.CheckReachable(o.net.Allow); err != nil {
		return c, misuse(cmd, "--net-allow %s", err)
	}
	if err := waterbear.CheckListenable(o.net.Listen); err != nil {
		return c, misuse(cmd, "--net-listen %s", err)
	}
	env, err := a.settingsOf(cmd, o.env)
	if err != nil {
		return c, err
	}
	c.Env = append(c.Env, env...)
	seen := map[string]bool{}
	for _, d := range o.dirs {
		host, guest, given := strings.Cut(d, "::")
		if !given {
			guest = host
		}
		if host == "" || guest == "" {
			return c, misuse(cmd, "--dir %s: write HOST or HOST::GUEST", shellQuote(d))
		}
		if seen[guest] {
			return c, misuse(cmd, "--dir %s: the program would see two directories as %s", shellQuote(d), shellQuote(guest))
		}
		seen[guest] = true
		// Absolute, so that the worker writes back to the same place from
		// wherever it is resumed.
		absolute, err := filepath.Abs(host)
		if err != nil {
			return c, fmt.Errorf("find directory %s: %w", host, err)
		}
		c.Dirs = append(c.Dirs, waterbear.Dir{Host: absolute, Guest: guest})
	}
	return c, nil
}

// nameOf makes a worker's name out of a program's file name.
func nameOf(path string) string {
	base := strings.TrimSuffix(filepath.Base(path), ".wasm")
	name := []byte(base)
	for i, c := range name {
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alnum && c != '.' && c != '_' && c != '-' {
			name[i] = '-'
		}
	}
	name = bytes.TrimLeft(name, "._-")
	const longest = 128
	if len(name) > longest {
		name = name[:longest]
	}
	if len(name) == 0 {
		return "program"
	}
	return string(name)
}

// readProgram reads a file that must at least begin like WebAssembly.
func readProgram(path string) ([]byte, error) {
	program, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, exitError{exitNotFound, fmt.Errorf("%s: no such file; name the .wasm file that you mean", path)}
	case errors.Is(err, syscall.EISDIR):
		return nil, exitError{exitNotProgram, fmt.Errorf("%s: is a directory; name the .wasm file in it", path)}
	case err != nil:
		return nil, exitError{exitNotProgram, fmt.Errorf("read program: %w", err)}
	case !bytes.HasPrefix(program, []byte("\x00asm")):
		return nil, exitError{exitNotProgram, fmt.Errorf("%s: not WebAssembly; compile it for WASI 0.1 or 0.2, in Go with GOOS=wasip1 GOARCH=wasm go build", path)}
	}
	return program, nil
}
