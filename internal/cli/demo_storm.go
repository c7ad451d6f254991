package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// attempt is one process that ran the program, to its end or until it was
// killed.
type attempt struct {
	pid       int
	killed    bool
	code      int
	complaint string        // its standard error
	start     time.Duration // until the program began or went on
	ran       time.Duration // from then on
	resumed   bool
	replayed  uint64
	recovery  time.Duration // from the start of the process on; 0 if it was killed before
}

// attempt starts `waterbear run` on worker as a process of its own and shows
// its output. when is asked at the start (with "") and after each line of
// output: what it returns, if not nil, is when to kill the process.
func (d *demo) attempt(ctx context.Context, worker string, when func(line string) <-chan time.Time, show io.Writer) (attempt, error) {
	var done attempt
	self, err := os.Executable()
	if err != nil {
		return done, fmt.Errorf("find our own binary: %w", err)
	}
	stats := filepath.Join(d.dir, "stats-"+worker)
	if err := os.Remove(stats); err != nil && !errors.Is(err, os.ErrNotExist) {
		return done, err
	}
	if err := os.MkdirAll(d.files(worker), 0o777); err != nil {
		return done, err
	}
	process := exec.CommandContext(ctx, self, "run", "--state", d.state(), "--name", worker,
		"--dir", d.files(worker)+"::/work", "--stats", stats, "--quiet", d.wasm, "/work")
	var complaint bytes.Buffer
	process.Stderr = &complaint
	process.Env = d.env
	output, err := process.StdoutPipe()
	if err != nil {
		return done, err
	}
	began := time.Now()
	if err := process.Start(); err != nil {
		return done, fmt.Errorf("start %s: %w", self, err)
	}
	done.pid = process.Process.Pid
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(output); scan.Scan(); {
			lines <- scan.Text()
		}
	}()
	kill := when("")
	for open := true; open; {
		var line string
		select {
		case line, open = <-lines:
			if open {
				fmt.Fprintln(show, line)
				if at := when(line); at != nil {
					kill = at
				}
			}
		case <-kill:
			kill = nil
			done.killed = process.Process.Kill() == nil
		}
	}
	err = process.Wait()
	total := time.Since(began)
	if ctx.Err() != nil {
		return done, context.Cause(ctx)
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return done, fmt.Errorf("run %s: %w", self, err)
	}
	done.code, done.complaint = process.ProcessState.ExitCode(), complaint.String()
	// A process that ended before the signal reached it was not killed.
	done.killed = done.killed && done.code == -1
	return done, done.read(stats, total)
}

// read takes the figures that the process left.
func (t *attempt) read(stats string, total time.Duration) error {
	b, err := os.ReadFile(stats)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the figures of a run: %w", err)
	}
	t.start = total
	for line := range bytes.Lines(b) {
		var s statsLine
		if json.Unmarshal(line, &s) != nil {
			continue // torn by the kill
		}
		at := time.Duration(s.Seconds * float64(time.Second))
		switch s.Event {
		case "started":
			t.resumed, t.replayed = s.Resumed, s.Entries
		case "compiled":
			t.start, t.ran = at, total-at
		case "recovered":
			t.recovery = at
		}
	}
	return nil
}

// storm runs the program until it ends, and kills it d.kills times on the way,
// at moments spread at random over a run of that length.
func (d *demo) storm(ctx context.Context, length time.Duration, last *attempt) (figures, error) {
	var f figures
	random := rand.New(rand.NewPCG(d.seed, 0))
	began := time.Now()
	show := &indented{w: d.stdout, paint: d.paint}
	for {
		when := func(string) <-chan time.Time { return nil }
		if f.kills < d.kills {
			when = d.moment((float64(f.kills)+random.Float64())/float64(d.kills), length)
		}
		t, err := d.attempt(ctx, killed, when, show)
		if err != nil {
			return f, err
		}
		if t.resumed {
			f.resumes++
			f.replayed += t.replayed
		}
		if t.recovery > 0 {
			f.recoveries = append(f.recoveries, t.recovery)
		}
		if !t.killed {
			f.took, f.twice = time.Since(began), show.twice
			*last = t
			if t.code != 0 {
				return f, fmt.Errorf("run the program after %s: exit code %d: %s", count(uint64(f.kills), "kill", "kills"), t.code, t.complaint)
			}
			return f, nil
		}
		f.kills++
		where := ""
		switch {
		case !t.resumed && t.ran == 0:
			where = ", while it started"
		case t.resumed && t.recovery == 0:
			where = ", while it recovered"
			f.again++
		}
		show.note(fmt.Sprintf("kill -9 %d", t.pid), fmt.Sprintf("%d of %d%s", f.kills, d.kills, where))
	}
}

// demoRounds is how many rounds the program goes, one line of output each.
const demoRounds = 16

// moment gives when to kill a process, at part (0 to 1) of a run of that
// length: once the program has printed as many lines as it has at that part,
// and then the rest of a round later. What an earlier process printed counts,
// so a kill can hit a recovery.
func (d *demo) moment(part float64, length time.Duration) func(string) <-chan time.Time {
	lines := int(part * demoRounds)
	rest := time.Duration((part*demoRounds - float64(lines)) * float64(length) / demoRounds)
	set := false
	return func(line string) <-chan time.Time {
		var round int
		_, _ = fmt.Sscanf(line, "round %d", &round)
		d.seen = max(d.seen, round)
		if set || d.seen < lines {
			return nil
		}
		set = true
		return time.After(rest)
	}
}

// indented shows the program's output apart from our own.
type indented struct {
	w     io.Writer
	paint style
	last  string
	twice int // lines that were the same as the one before
}

func (i *indented) Write(line []byte) (int, error) {
	if string(line) == i.last {
		i.twice++
	}
	i.last = string(line)
	return fmt.Fprintf(i.w, "  %s\n", i.paint.dim(printable(string(bytes.TrimRight(line, "\n")))))
}

func (i *indented) note(text, more string) {
	fmt.Fprintf(i.w, "  %s  %s\n", i.paint.red(text), i.paint.dim(more))
}
