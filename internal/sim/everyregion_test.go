package sim

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

// told is what the worker has printed and was not taken back, and how often it has
// printed each line in all.
func (e *prefixes) told(s *memory.Store) (kept string, printed map[string]int) {
	e.t.Helper()
	var lines []string
	printed = map[string]int{}
	e.on(s, func(ctx context.Context, _ *machine, store storage.Store) error {
		life, err := oplog.ReadLife(ctx, store.Logs(), keeping1)
		if err != nil {
			return err
		}
		for entry, err := range oplog.Read(ctx, store.Logs(), keeping1, 1, 0) {
			if err != nil {
				return err
			}
			log, ok := entry.Body.(*oplog.Log)
			if !ok || log.Stream != oplog.Stdout {
				continue
			}
			line, _, _ := strings.Cut(strings.TrimSpace(string(log.Bytes)), ", begun") // how often depends on the crash
			printed[line]++
			undone := slices.ContainsFunc(life.Undone, func(s oplog.Span) bool { return s.From <= entry.Index && entry.Index <= s.To })
			if !undone {
				lines = append(lines, line)
			}
		}
		return nil
	})
	return strings.Join(lines, " "), printed
}

// TestEveryPrefixOfAProgramThatIsTakenBackLeadsToTheSameEnd recovers a worker whose
// program has regions that fail, that lie in each other, that it goes back in and
// over, and that it waits in, from each prefix of its oplog. What it has printed in
// the end is the same; what is before a region it has printed once, wherever the
// crash was in or behind the region.
func TestEveryPrefixOfAProgramThatIsTakenBackLeadsToTheSameEnd(t *testing.T) {
	takenBack(t, "before a key", "d between e f g h key", []string{
		"say before", "clock", "begin r", "say a", "key", "begin s", "say b", "trap-until 1 r", "end", "say c", "sleep 3600000", "say d", "end",
		"say between", "waypoint w", "say e", "begin t", "say f", "end", "back-until 2 w", "begin u", "waypoint v", "say g", "back-until 1 v", "say h", "end",
		"key", "say after",
	})
}

// TestEveryPrefixOfAProgramWithEffectsLeadsToTheSameEnd is the same for effects,
// which end, fail, wait, lie in each other and are forgotten.
func TestEveryPrefixOfAProgramWithEffectsLeadsToTheSameEnd(t *testing.T) {
	takenBack(t, "before perform charge a", "look is done: much between perform outer perform inner b c", []string{
		"say before", "effect charge", "say a", "clock", "trap-begun 1", "sleep 3600000", "end-effect paid",
		"ask look", "repeat 3 looking", "clock", "forget-effect much", "say between",
		"effect outer", "ask inner", "say b", "end-effect i", "begin r", "say c", "end", "end-effect o",
		"idempotence off", "commit", "attempts 5", "say after",
	})
}

func takenBack(t *testing.T, first, within string, steps []string) {
	t.Helper()
	args, err := json.Marshal([]any{steps})
	if err != nil {
		t.Fatal(err)
	}
	b := bounds{instances: 2, running: 2, residents: 10, queue: 100, idleAfter: day, suspendAfter: yearly.suspendAfter, imageAfter: -1}
	e := &prefixes{t: t, bounds: b, worker: keeping1, guests: Guests{component: guests.Wasm(t, "components/control")}, calls: []api.Call{
		{Function: "steps", Args: args, Key: "k"}, {Function: "steps", Args: []byte(`[[]]`), Key: "after"},
	}}
	whole := memory.New()
	want := e.answers(whole)
	kept, _ := e.told(whole)
	if !strings.HasPrefix(kept, first+" ") || !strings.HasSuffix(kept, "after") || !strings.Contains(kept, " "+within+" ") {
		t.Fatalf("it has printed %q", kept)
	}
	e.bounds.unverified = true
	all := e.bodies(whole)
	for length := range oplog.Index(len(all)) {
		if testing.Short() && length%3 != 0 {
			continue
		}
		prefix := e.prefix(whole, length+1, false)
		if got := e.answers(prefix); !slices.Equal(got, want) {
			t.Fatalf("from entry %d, %s, the answers are\n%q\nwant\n%q", length+1, oplog.Name(all[length]), got, want)
		}
		got, printed := e.told(prefix)
		if got != kept {
			t.Fatalf("from entry %d, %s, it has printed\n%s\nwant\n%s", length+1, oplog.Name(all[length]), got, kept)
		}
		if printed["before"] != 1 || printed["between"] != 1 || printed["after"] != 1 {
			t.Fatalf("from entry %d, %s, it has printed %v in all, want once what is before a region", length+1, oplog.Name(all[length]), printed)
		}
	}
	if len(all) < 40 {
		t.Errorf("the oplog has %d entries, too few to have it all", len(all))
	}
}

// TestEveryPrefixOfARunThatGoesBackLeadsToTheSameEnd is about a program that is
// run, which reads its input again where it is taken back: from the pipe if it goes
// back itself, and from an input that is given anew after a crash.
func TestEveryPrefixOfARunThatGoesBackLeadsToTheSameEnd(t *testing.T) {
	program := Program{
		Name: "back", Module: guests.Go(t, "internal/worker/testdata/durable"), Input: "abcdefghijklmnop",
		Args: []string{"durable", "read", "waypoint w", "read", "back-until 2 w", "begin r", "read", "sleep 2s", "end", "read", "say end"},
		// However often a line is printed in a row.
		Normal: func(s string) string { return strings.Join(slices.Compact(strings.Split(s, "\n")), "\n") },
	}
	w := New(host(), []Program{program}, Options{Seed: 1, Calm: true, Backing: Memory()})
	want, err := w.Run()
	if err != nil {
		t.Fatal(err)
	}
	if got := want["back"].Stdout; got != "read \"abcd\"\nread \"efgh\"\nread \"ijkl\"\nread \"mnop\"\nend\n" {
		t.Fatalf("undisturbed it prints %q", got)
	}
	for length, last := oplog.Index(1), oplog.Index(2); length < last; length++ {
		again, err := w.Again(func(l oplog.Index) oplog.Index {
			last = l
			return length
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := again.Run()
		if err != nil {
			t.Fatalf("from entry %d: %v", length, err)
		}
		if got["back"].Stdout != want["back"].Stdout || got["back"].Exit != want["back"].Exit {
			t.Fatalf("from entry %d it prints %+v, want %+v", length, got["back"], want["back"])
		}
	}
}
