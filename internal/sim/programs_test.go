package sim

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/waterbear-run/waterbear/internal/guests"
)

// answered are the lines of the program effects that tell what clocks said.
var answered = regexp.MustCompile(`(?m)^(clocks [0-9]: |slept until |times now: )[0-9. ]+$`)

// withoutAnswers takes out of the output of the program effects what a run that
// sees other clocks, or its input in other pieces, prints otherwise.
func withoutAnswers(s string) string {
	var lines, input []string
	for line := range strings.Lines(answered.ReplaceAllString(s, "$1#")) {
		if piece, ok := strings.CutPrefix(line, "stdin "); ok {
			_, piece, _ = strings.Cut(strings.TrimSpace(piece), ":")
			input = append(input, piece)
			continue
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "") + strings.Join(input, "")
}

// script reads a file of the host, fails and recovers, and writes a file.
const script = `
local sum = 0
for line in io.lines("/numbers") do
  local ok, n = pcall(function() return assert(tonumber(line), "no number: " .. line) end)
  if ok then sum = sum + n else print(n) end
  print("sum", sum)
  io.stdout:flush()
end
local out = assert(io.open("/sum", "w"))
out:write(sum, "\n")
out:close()
os.remove("/numbers")
print(#io.read("a"))
os.exit(sum == 55 and 5 or 1)
`

// checkClocks judges what the program clocks has seen. Its monotonic clock goes
// on while there is no process, so it stays at one distance from the wall clock.
func checkClocks(seen Seen) error {
	if err := guests.CheckClocks(seen.Stdout, seen.Files); err != nil || !seen.Steady {
		return err
	}
	var distance uint64
	for line := range strings.Lines(string(seen.Files["clocks.log"])) {
		var monotonic, wall, random uint64
		if _, err := fmt.Sscanf(line, "%x %x %x", &monotonic, &wall, &random); err != nil {
			return err
		}
		if distance != 0 && wall-monotonic != distance {
			return fmt.Errorf("the clocks were %d ns apart, and then %d ns", distance, wall-monotonic)
		}
		distance = wall - monotonic
	}
	return nil
}

var (
	loadPrograms sync.Once
	loaded       []Program
	calm         map[string]Result
)

// programs are small, so that one run takes milliseconds.
func programs(t *testing.T) []Program {
	t.Helper()
	loadPrograms.Do(func() {
		patient, err := os.ReadFile("testdata/patient.wasm")
		if err != nil {
			t.Fatal(err)
		}
		loaded = []Program{
			{
				Name: "effects", Module: guests.Wasm(t, "effects"), Args: []string{"effects", "7"},
				Env: []string{"LANG=C", "EMPTY="}, Input: strings.Repeat("some input\n", 20),
				Files: map[string]string{"there": "before", "below/deep": "also"}, Normal: withoutAnswers,
			},
			{Name: "countdown", Module: guests.Wasm(t, "countdown"), Args: []string{"countdown", "5", "700", "3"}},
			{
				Name: "ledger", Module: guests.Wasm(t, "ledger"), Args: []string{"ledger", "3", "60"},
				Files: map[string]string{},
			},
			{
				Name: "clocks", Module: guests.Wasm(t, "clocks"), Args: []string{"clocks", "4", "3"}, Files: map[string]string{},
				Normal: func(string) string { return "" }, Check: checkClocks,
			},
			{
				Name: "lua", Module: guests.Wasm(t, "lua"), Args: []string{"lua", "/script.lua"}, Input: "three\nlines\nof input",
				Files: map[string]string{"script.lua": script, "numbers": "1\n2\n3\n4\nfive\n5\n6\n7\n8\n9\n10\n"},
			},
			{Name: "patient", Module: patient, Args: []string{"patient", "1"}, Input: strings.Repeat("drop by drop ", 30)},
			{Name: "trap", Module: guests.Wasm(t, "hostile"), Args: []string{"hostile", "trap-after-output"}},
		}
		calm, err = New(host(), loaded, Options{Calm: true, Backing: Memory()}).Run()
		if err != nil {
			t.Fatal(err)
		}
	})
	return loaded
}

// undisturbed is how the programs end when nothing goes wrong.
func undisturbed(t *testing.T) map[string]Result {
	t.Helper()
	programs(t)
	return calm
}

func TestProgramsDoWhatTheyAreFor(t *testing.T) {
	results := undisturbed(t)
	for name, want := range map[string]string{
		"effects": "exit code 7", "countdown": "exit code 3", "ledger": "exit code 0",
		"clocks": "exit code 0", "lua": "exit code 5", "patient": "exit code 0",
	} {
		if got := results[name]; got.Exit != want {
			t.Errorf("%s ends with %s, want %s\nstdout: %s\nstderr: %s", name, got.Exit, want, got.Stdout, got.Stderr)
		}
	}
	if got := results["trap"].Exit; !strings.HasPrefix(got, "failure: ") {
		t.Errorf("trap ends with %s", got)
	}
}
