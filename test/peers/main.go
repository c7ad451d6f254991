//go:build linux

// Command peers runs the same workloads against Waterbear, against systems like it
// and against the floor, raw, and writes what it measures as lines of JSON. Every
// system is a column: its processes, on loopback, and how a workload's verbs are
// said to it over HTTP. README.md says what the workloads are and how to read the
// figures.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// settings are what can be said on the command line.
type settings struct {
	dir       string // what is built and written lies below it
	columns   []string
	workloads []string
	rounds    int
	seconds   time.Duration // measured for each point
	warm      time.Duration // before that
	sleepers  int
	steps     []int // of the workflows that are killed
	results   string
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	var s settings
	var names, loads, steps string
	flags.StringVar(&s.dir, "dir", "build/peers", "what build.sh has built, and where data goes")
	flags.StringVar(&names, "columns", "", "which systems, by commas: all that are built")
	flags.StringVar(&loads, "workloads", strings.Join(workloadNames(), ","), "which workloads, by commas")
	flags.IntVar(&s.rounds, "rounds", 3, "how often; the columns take turns")
	flags.DurationVar(&s.seconds, "seconds", 4*time.Second, "how long a point is measured")
	flags.DurationVar(&s.warm, "warm", time.Second, "how long before that the load is there already")
	flags.IntVar(&s.sleepers, "sleepers", 10_000, "how many sleep in w3")
	flags.StringVar(&steps, "steps", "1000,10000", "steps before the kill in w4, by commas")
	flags.StringVar(&s.results, "results", "", "file to append measurements to: results.jsonl in dir")
	report := flags.Bool("report", false, "measure nothing: print the tables of what results has")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	var err error
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return err
	}
	if s.results == "" {
		s.results = filepath.Join(s.dir, "results.jsonl")
	}
	if *report {
		return printReport(os.Stdout, s.results)
	}
	for w := range strings.SplitSeq(steps, ",") {
		var n int
		if _, err := fmt.Sscan(w, &n); err != nil || n < 1 {
			return fmt.Errorf("-steps %s: give numbers from 1, with commas between them", steps)
		}
		s.steps = append(s.steps, n)
	}
	s.columns, s.workloads = split(names), split(loads)
	for _, w := range s.workloads {
		if !slices.Contains(workloadNames(), w) {
			return fmt.Errorf("there is no workload %q: there are %s", w, strings.Join(workloadNames(), ", "))
		}
	}
	return measure(ctx, &s)
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// measure runs all rounds. The columns take turns within one, so that noise of the
// machine meets all of them.
func measure(ctx context.Context, s *settings) error {
	all := columns(s.dir)
	var chosen []*column
	for _, c := range all {
		missing := c.missing()
		switch {
		case s.columns == nil && missing == "", slices.Contains(s.columns, c.name) && missing == "":
			chosen = append(chosen, c)
		case slices.Contains(s.columns, c.name):
			return fmt.Errorf("column %s is not built: %s is missing; run test/peers/build.sh %s", c.name, missing, c.name)
		case s.columns == nil:
			fmt.Fprintf(os.Stderr, "peers: without %s, which is not built\n", c.name)
		}
	}
	for _, name := range s.columns {
		if !slices.ContainsFunc(chosen, func(c *column) bool { return c.name == name }) {
			return fmt.Errorf("there is no column %q", name)
		}
	}
	out, err := os.OpenFile(s.results, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	marks, err := serveMarks()
	if err != nil {
		return err
	}
	defer marks.close()
	for round := range s.rounds {
		for _, c := range chosen {
			b := &bench{settings: s, column: c, round: round, marks: marks, out: out}
			if err := b.run(ctx); err != nil {
				return fmt.Errorf("%s, round %d: %w", c.name, round+1, err)
			}
		}
	}
	return nil
}

// bench is one round of one column.
type bench struct {
	*settings
	column *column
	round  int
	marks  *marks
	out    *os.File
	system *system // nil: nothing runs
}

// point is one measurement: what was measured, and figures by their names, which
// end with their units.
type point struct {
	Column   string             `json:"column"`
	Workload string             `json:"workload"`
	Clients  int                `json:"clients,omitempty"`
	Steps    int                `json:"steps,omitempty"`
	Mode     string             `json:"mode,omitempty"`
	Round    int                `json:"round"`
	At       time.Time          `json:"at"`
	Figures  map[string]float64 `json:"figures"`
	Note     string             `json:"note,omitempty"`
}

// emit writes a point down and shows it.
func (b *bench) emit(p point) error {
	p.Column, p.Round, p.At = b.column.name, b.round, time.Now().UTC().Truncate(time.Second)
	line, err := json.Marshal(p)
	if err != nil {
		return err
	}
	fmt.Printf("%s\n", line)
	_, err = b.out.Write(append(line, '\n'))
	return err
}

// run runs the workloads. Whatever was started is dead when it returns.
func (b *bench) run(ctx context.Context) (err error) {
	defer func() { b.stop() }()
	for _, w := range workloads {
		if !slices.Contains(b.workloads, w.name) {
			continue
		}
		if err := w.run(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return nil
}

// fresh starts the column with no data, and waits until it answers.
func (b *bench) fresh(ctx context.Context) error {
	b.stop()
	system, err := b.column.fresh(ctx, b.dir)
	b.system = system
	if err != nil {
		return err
	}
	_, err = eventually(ctx, time.Minute, b.echo)
	return err
}

func (b *bench) stop() {
	if b.system != nil {
		b.system.kill("")
		b.system = nil
	}
}

// try is how long one try may take: a system that is just starting may never answer.
const try = 10 * time.Second

// eventually repeats f every few milliseconds until it succeeds, and says when.
func eventually(ctx context.Context, within time.Duration, f func(context.Context) error) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		once, cancel := context.WithTimeout(ctx, try)
		err := f(once)
		cancel()
		if err == nil {
			return time.Now(), nil
		}
		select {
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("not within %v: %w", within, err)
		case <-time.After(3 * time.Millisecond):
		}
	}
}
