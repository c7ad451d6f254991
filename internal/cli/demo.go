package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// maxKills bounds --kills: each costs a recovery.
const maxKills = 1000

// demo is one run of the demo command.
type demo struct {
	*app
	paint style
	kills int
	seed  uint64
	dir   string // where all of it happens
	wasm  string
	seen  int // newest round that a killed process printed
}

func (a *app) demoCommand() *cobra.Command {
	d := &demo{app: a}
	keep := false
	cmd := &cobra.Command{
		Use:     "demo [flags]",
		GroupID: groupRun,
		Short:   "See a program survive kill -9",
		Long: `Build a real Go program for WebAssembly, run it durably, kill the process with
SIGKILL at random moments, resume it each time, and compare what it printed and
the files it left with a run that nobody disturbed.

All of it happens in a directory of its own, which is removed at the end. It
needs the Go toolchain. The exit code is 1 if anything differs.`,
		Example: `  waterbear demo
  waterbear demo --kills 50
  waterbear demo --kills 3 --seed 42 --keep`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if d.kills < 1 || d.kills > maxKills {
				return misuse(cmd, "--kills %d: want 1 to %d", d.kills, maxKills)
			}
			if !cmd.Flags().Changed("seed") {
				d.seed = rand.Uint64N(1_000_000)
			}
			if d.dir, err = os.MkdirTemp("", "waterbear-demo-"); err != nil {
				return fmt.Errorf("make a directory for the demo: %w", err)
			}
			if !keep {
				defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
			}
			d.paint = a.styleFor(a.stdout)
			err = d.play(cmd.Context())
			if keep {
				d.say("\nKept in %s: try `waterbear ps --state %s`", d.dir, shellQuote(d.state()))
			}
			return err
		},
	}
	f := cmd.Flags()
	f.IntVar(&d.kills, "kills", 8, "how often to kill it, a `NUMBER`")
	f.Uint64Var(&d.seed, "seed", 0, "`SEED` of the moments to kill it at (default: random)")
	f.BoolVar(&keep, "keep", false, "keep the directory with state and files")
	return cmd
}

func (d *demo) state() string { return filepath.Join(d.dir, "state") }

// files is the directory that a worker is shown.
func (d *demo) files(worker string) string { return filepath.Join(d.dir, "files-"+worker) }

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.stdout, format+"\n", args...) }

// step says what is under way, does it, and completes the line by what came
// of it.
func (d *demo) step(what string, do func() (string, error)) error {
	fmt.Fprintf(d.stdout, "%s ... ", what)
	result, err := do()
	if err != nil {
		d.say(d.paint.red("failed"))
		return err
	}
	d.say(d.paint.dim(result))
	return nil
}

// The two workers of the demo.
const (
	undisturbed = "undisturbed"
	killed      = "killed"
)

func (d *demo) play(ctx context.Context) error {
	began := time.Now()
	err := d.step("Building a Go program for WebAssembly", func() (string, error) { return d.build(ctx) })
	if err != nil {
		return err
	}
	var calm, storm attempt
	err = d.step("Running it undisturbed", func() (_ string, err error) {
		calm, err = d.attempt(ctx, undisturbed, func(string) <-chan time.Time { return nil }, io.Discard)
		if err == nil && calm.code != 0 {
			err = fmt.Errorf("run the program: exit code %d: %s", calm.code, calm.complaint)
		}
		return fmt.Sprintf("%s, after %s of compiling to machine code", duration(calm.ran), duration(calm.start)), err
	})
	if err != nil {
		return err
	}
	d.say("Running it again, with %s at random moments (--seed %d):\n", count(uint64(d.kills), "SIGKILL", "SIGKILLs"), d.seed)
	figures, err := d.storm(ctx, calm.ran, &storm)
	if err != nil {
		return err
	}
	same, err := d.compare(ctx, calm, storm)
	if err != nil {
		return err
	}
	d.report(figures, calm, time.Since(began))
	if !same {
		return exitError{code: exitFailed}
	}
	return nil
}

// figures are what the demo counts.
type figures struct {
	kills, resumes int
	again          int // kills that hit a recovery
	twice          int // lines that were shown again
	replayed       uint64
	recoveries     []time.Duration
	took           time.Duration
}

func (d *demo) report(f figures, calm attempt, total time.Duration) {
	var sum, longest time.Duration
	for _, r := range f.recoveries {
		sum += r
		longest = max(longest, r)
	}
	t := table{paint: func(_, column int, text string) string {
		if column == 1 {
			return d.paint.dim(text)
		}
		return text
	}}
	t.add("", "kills", fmt.Sprintf("%d by SIGKILL, %d of them during a recovery; %s", f.kills, f.again, count(uint64(f.resumes), "resume", "resumes")))
	if f.twice > 0 {
		// What was shown is marked as shown afterwards, and a kill can come between.
		t.add("", "shown", fmt.Sprintf("%s above twice; the log has each once", count(uint64(f.twice), "line", "lines")))
	}
	t.add("", "replayed", count(f.replayed, "entry", "entries")+" of the oplog in all")
	if len(f.recoveries) > 0 {
		t.add("", "recovery", fmt.Sprintf("%s from the start of the process, %s at most",
			duration(sum/time.Duration(len(f.recoveries))), duration(longest)))
	}
	t.add("", "time", fmt.Sprintf("%s with the kills, %s without; the whole demo %s", duration(f.took), duration(calm.ran), duration(total)))
	_ = t.write(d.stdout)
}
