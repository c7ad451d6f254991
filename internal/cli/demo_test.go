package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestDemoKillsBehindTheLineItWaitsFor plays the lines of a run, and of one
// that resumes, to what decides when to kill.
func TestDemoKillsBehindTheLineItWaitsFor(t *testing.T) {
	d := &demo{}
	when := d.moment(0.25, demoRounds*time.Nanosecond)
	for _, line := range []string{"", "round  1 of 16", "round  2 of 16", "other words", "round  3 of 16"} {
		if when(line) != nil {
			t.Errorf("killed after %q", line)
		}
	}
	if when("round  4 of 16") == nil {
		t.Error("not killed after round 4")
	}
	if when("round  5 of 16") != nil {
		t.Error("killed twice")
	}
	if d.moment(0.26, demoRounds*time.Nanosecond)("") == nil {
		t.Error("a resumed run that is far enough is not killed before it prints again")
	}
}

func TestDemoProgramGoesTheRoundsThatTheDemoCounts(t *testing.T) {
	if want := fmt.Sprintf("rounds  = %d\n", demoRounds); !strings.Contains(string(demoSource), want) {
		t.Errorf("demoguest does not have %q", want)
	}
}
