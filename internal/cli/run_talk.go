package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/waterbear-run/waterbear"
)

// runTalk is what run itself says while a program has the terminal: little,
// and on standard error.
type runTalk struct {
	*app
	options *runOptions
	name    string
	args    []string // prog.wasm and what follows
}

func (t *runTalk) say(format string, args ...any) {
	if !t.options.quiet {
		fmt.Fprintf(t.stderr, "waterbear: "+format+"\n", args...)
	}
}

func (t *runTalk) started(s waterbear.Start) {
	switch {
	case s.Finished:
		t.say("%s has finished before, after %s; `%s` shows what it printed, --fresh runs it anew",
			t.name, count(s.Entries, "entry", "entries"), t.withFlag("waterbear logs "+t.name, t.options.state))
	case s.Resumed:
		t.say("resuming %s after %s", t.name, count(s.Entries, "entry", "entries"))
	}
}

// reassurance is how long stopping may take before we say that it is under way.
const reassurance = time.Second

// reassure says that the first Ctrl-C was heard, should it take long to stop.
// The function it gives ends that.
func (t *runTalk) reassure(ctx context.Context, line *progressLine) (end func()) {
	done := make(chan struct{})
	heard := context.AfterFunc(ctx, func() {
		select {
		case <-done:
		case <-time.After(reassurance):
			line.clear()
			t.say("stopping %s; once more kills it at once, and loses nothing either", t.name)
		}
	})
	return func() {
		heard()
		close(done)
	}
}

func (t *runTalk) interrupted(e waterbear.Exit) {
	after := ""
	if n := e.Stats.Replayed + e.Stats.Recorded; n > 0 {
		after = " after " + count(n, "entry", "entries")
	}
	input := ""
	if t.inputAgain() {
		input = ", with the same standard input"
	}
	if t.signals.caught() == syscall.SIGINT && isTerminal(t.stderr) && !t.options.quiet {
		fmt.Fprintln(t.stderr) // behind the ^C that the terminal shows
	}
	t.say("interrupted %s%s; resume it with: %s%s", t.name, after, t.sameCommand(), input)
}

// sameCommand is the command line that resumes the worker: the one we were
// started with, without --fresh.
func (t *runTalk) sameCommand() string {
	ours := t.argv[:len(t.argv)-len(t.args)]
	words := []string{commandName(ours[0])}
	for _, w := range ours[1:] {
		if w != "--fresh" && !strings.HasPrefix(w, "--fresh=") {
			words = append(words, w)
		}
	}
	return shellWords(append(words, t.args...))
}

// commandName is how a person calls us again. `go run` builds into a directory
// that is gone by then.
func commandName(argv0 string) string {
	if strings.Contains(argv0, "/go-build") {
		return "waterbear"
	}
	return argv0
}

// inputAgain says whether standard input is one that must be given again: a
// file or a pipe, rather than a terminal or /dev/null.
func (t *runTalk) inputAgain() bool {
	f, ok := t.stdin.(*os.File)
	if !ok {
		return t.stdin != nil
	}
	stat, err := f.Stat()
	return err == nil && stat.Mode()&os.ModeCharDevice == 0
}

// byteSize is a flag for an amount of bytes, as 64MiB.
type byteSize uint64

func (b *byteSize) String() string {
	if *b == 0 {
		return ""
	}
	return humanize.IBytes(uint64(*b))
}

func (b *byteSize) Type() string { return "SIZE" }

func (b *byteSize) Set(s string) error {
	n, err := humanize.ParseBytes(s)
	if err != nil || n == 0 {
		return fmt.Errorf("want a size such as 64MiB or 1GiB")
	}
	*b = byteSize(n)
	return nil
}

func commas(n uint64) string {
	const most = 1<<63 - 1
	return humanize.Comma(int64(min(n, most)))
}

func bytesText(n uint64) string { return humanize.IBytes(n) }
