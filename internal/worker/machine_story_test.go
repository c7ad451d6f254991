package worker

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

var update = flag.Bool("update", false, "rewrite the stories of the machine with what it does")

// A story is a file of testdata/machine. Its lines are
//
//	worker library attempts=3            what the machine is of
//	5s accept a due=10s                  an event, at its time
//	if 5s interrupt                      one that happens to a copy alone
//	     record Interrupted: by a test   what follows from it, indented
//
// and comments and empty lines, for people. The last indented line of an event
// is where the machine is then.
func TestTheMachineDoesWhatItsStoriesTell(t *testing.T) {
	files, err := filepath.Glob("testdata/machine/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := retell(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if got == string(text) {
				return
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("the story is now another; rewrite it with -update if it is better:\n%s", got)
		})
	}
}

const indent = "     "

// retell plays the events of a story and gives it with what follows from them.
func retell(story string) (string, error) {
	var b strings.Builder
	var g *rig
	for n, line := range strings.Split(strings.TrimSuffix(story, "\n"), "\n") {
		if strings.HasPrefix(line, indent) {
			continue
		}
		fmt.Fprintln(&b, line)
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		if words[0] == "worker" {
			t, err := readTraits(words[1:])
			if err != nil {
				return "", fmt.Errorf("line %d: %w", n+1, err)
			}
			g = newRig(t)
			continue
		}
		target := g
		if words[0] == "if" {
			target, words = g.copy(), words[1:]
		}
		if err := target.play(words); err != nil {
			return "", fmt.Errorf("line %d: %s: %w", n+1, line, err)
		}
		for _, a := range append(target.actions, target.state()) {
			fmt.Fprintln(&b, indent+a)
		}
	}
	return b.String(), nil
}

func readTraits(words []string) (t traits, err error) {
	t.retry = api.Retry{Attempts: 1, Initial: api.Duration(time.Second), Max: api.Duration(time.Minute), Factor: 2}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "library":
			t.initializes = true
		case "command":
		case "ephemeral":
			t.ephemeral = true
		case "attempts":
			t.retry.Attempts, err = strconv.ParseUint(value, 10, 64)
		default:
			err = fmt.Errorf("%q says nothing of a worker", word)
		}
		if err != nil {
			return t, err
		}
	}
	return t, nil
}

// play lets an event happen: its time, its name, and more.
func (g *rig) play(words []string) error {
	at, err := time.ParseDuration(words[0])
	if err != nil {
		return err
	}
	g.now, g.actions = epoch+oplog.Time(at), nil
	name, more := words[1], words[2:]
	switch name {
	case "tick":
		g.do(tick{})
	case "restart":
		g.restart()
	case "accept":
		due, err := readTime(strings.TrimPrefix(strings.Join(more[1:], ""), "due="))
		if err != nil {
			return err
		}
		g.accept(more[0], due)
	case "promise":
		g.promise(more[0])
	case "settle":
		g.settle(more[0])
	case "interrupt":
		g.do(interrupted{"by a test"})
	case "resume":
		g.do(resumed{})
	case "cancel":
		g.do(canceled{g.m.life.Keys[more[0]].Accepted})
	case "resolve":
		call, err := strconv.ParseUint(more[0], 10, 64)
		if err != nil {
			return err
		}
		g.resolve(call)
	case "evict":
		g.do(evicted{})
	case "wake":
		g.do(woken{})
	case "drain":
		g.do(drained{&halt{"the node is stopping"}})
	case "close":
		g.do(closed{&halt{"the node is stopping"}})
	case "begins-region", "ends-region":
		if g.m.phase != busy {
			return errors.New("no job is under way")
		}
		g.enter(name == "begins-region")
	case "ends":
		if g.m.phase != busy {
			return errors.New("no job is under way")
		}
		out, err := readOutcome(more)
		if err != nil {
			return err
		}
		g.do(ended{outcome: out})
	default:
		return fmt.Errorf("there is no event %q", name)
	}
	if g.wrong != "" {
		return errors.New(g.wrong)
	}
	return nil
}

func readTime(text string) (oplog.Time, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	return epoch + oplog.Time(d), err
}

// readOutcome reads how a job ends.
func readOutcome(words []string) (o outcome, err error) {
	switch words[0] {
	case "well":
		o.alive, o.result = true, []byte("[1]")
	case "well-but-stopped":
		o.result = []byte("[1]")
	case "trapped":
		o.failure = &failure{code: api.FailedTrap, reason: "unreachable executed"}
	case "trapped-for-good":
		o.failure = &failure{code: api.FailedTrap, reason: "unreachable executed", final: true}
	case "trapped-hopelessly":
		o.failure = &failure{code: api.FailedTrap, reason: "unreachable executed", stuck: true}
	case "limited":
		o.failure = &failure{code: api.FailedLimit, reason: "limit exceeded: cpuTime", final: true}
	case "exited":
		code := uint32(3)
		o.exit = &code
	case "waiting":
		o.suspend = &suspendError{}
		if o.suspend.until, err = readTime(words[1]); err != nil {
			o.suspend, err = &suspendError{what: strings.Join(words[1:], " ")}, nil
		}
	case "promised": // the promises that it waits for, and perhaps until when
		o.suspend = &suspendError{what: "promises", promises: words[1:]}
		if last := words[len(words)-1]; strings.HasSuffix(last, "s") {
			o.suspend.promises = words[1 : len(words)-1]
			o.suspend.until, err = readTime(last)
		}
	case "held":
		for _, word := range words[1:] {
			call, err := strconv.ParseUint(word, 10, 64)
			if err != nil {
				return o, err
			}
			o.held = append(o.held, call)
		}
	case "halted":
		o.halted = &halt{"as it was told"}
	case "broken":
		o.broken = errors.New("replay diverged")
	case "fault":
		o.fault = errors.New("no memory")
	case "fault-live":
		o.fault, o.lived = errors.New("no memory"), true
	case "back":
		o.back = &durable.BackError{From: 7}
	default:
		err = fmt.Errorf("a job does not end %q", words[0])
	}
	return o, err
}
