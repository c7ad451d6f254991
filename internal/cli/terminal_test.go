package cli

import (
	"bytes"
	"testing"
	"time"
)

func TestTableColumnsAlign(t *testing.T) {
	tab := table{right: map[int]bool{1: true}}
	tab.add("NAME", "N", "REASON")
	tab.add("ä", "1,000", "why")
	tab.add("longer", "7", "")
	var got bytes.Buffer
	if err := tab.write(&got); err != nil {
		t.Fatal(err)
	}
	want := "NAME        N  REASON\nä       1,000  why\nlonger      7\n"
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
}

func TestDurationsAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                               "0 µs",
		123 * time.Microsecond:          "123 µs",
		1500 * time.Microsecond:         "1.5 ms",
		85 * time.Millisecond:           "85 ms",
		1234 * time.Millisecond:         "1.2 s",
		3*time.Minute + 12*time.Second:  "3 min 12 s",
		26*time.Hour + 5*time.Minute:    "26 h 5 min",
		59999 * time.Millisecond:        "60.0 s",
		9999 * time.Microsecond:         "10.0 ms",
		999*time.Millisecond + 999*1000: "999 ms",
	} {
		if got := duration(d); got != want {
			t.Errorf("%d ns: got %s, want %s", d, got, want)
		}
	}
}

func TestOneIsSaidInTheSingular(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 entries", 1: "1 entry", 2: "2 entries", 1234567: "1,234,567 entries"} {
		if got := count(n, "entry", "entries"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
