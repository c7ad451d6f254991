package guests

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// CheckClocks judges a run of the example "clocks" by what it printed and by
// the file it wrote: each printed step shows the readings that the file has
// there and the digest of all readings so far, the monotonic clock never went
// back, no random number came twice, and the run ended with its own verdict.
// A reading that changed after it was shown breaks one of these.
func CheckClocks(stdout []byte, files map[string][]byte) error {
	readings, err := parseReadings(files["clocks.log"])
	if err != nil {
		return fmt.Errorf("clocks.log: %w", err)
	}
	lines := strings.Split(strings.TrimSuffix(string(stdout), "\n"), "\n")
	steps := len(lines) - 2
	if steps < 1 || len(readings)%steps != 0 {
		return fmt.Errorf("%d lines of output do not fit %d readings", len(lines), len(readings))
	}
	perStep := len(readings) / steps
	digest := fnv.New64a()
	for i, line := range lines[:steps] {
		for _, r := range readings[i*perStep : (i+1)*perStep] {
			digest.Write(r.bytes())
		}
		last := readings[(i+1)*perStep-1]
		want := fmt.Sprintf("step %d: monotonic %d wall %d random %016x digest %016x",
			i+1, last.Monotonic, last.Wall, last.Random, digest.Sum64())
		if line != want {
			return fmt.Errorf("printed %q, and by clocks.log it is %q", line, want)
		}
	}
	verdict := fmt.Sprintf("%d readings, all plausible, digest %016x also from clocks.log", len(readings), digest.Sum64())
	if got := lines[len(lines)-1]; got != verdict {
		return fmt.Errorf("the verdict is %q instead of %q", got, verdict)
	}
	return nil
}

// reading is one line of clocks.log.
type reading struct{ Monotonic, Wall, Random uint64 }

// bytes are what the program's digest is of.
func (r reading) bytes() []byte {
	b := binary.LittleEndian.AppendUint64(nil, r.Monotonic)
	b = binary.LittleEndian.AppendUint64(b, r.Wall)
	return binary.LittleEndian.AppendUint64(b, r.Random)
}

func parseReadings(log []byte) ([]reading, error) {
	if len(log) == 0 {
		return nil, errors.New("it is empty")
	}
	var readings []reading
	seen := map[uint64]bool{}
	for line := range strings.Lines(string(log)) {
		var values [3]uint64
		fields := strings.Fields(line)
		if len(fields) != len(values) || !strings.HasSuffix(line, "\n") {
			return nil, fmt.Errorf("no reading in %q", line)
		}
		for i, field := range fields {
			var err error
			if values[i], err = strconv.ParseUint(field, 16, 64); err != nil {
				return nil, err
			}
		}
		r := reading{values[0], values[1], values[2]}
		if n := len(readings); n > 0 && r.Monotonic < readings[n-1].Monotonic {
			return nil, fmt.Errorf("reading %d: the monotonic clock went from %d back to %d", n, readings[n-1].Monotonic, r.Monotonic)
		}
		if seen[r.Random] {
			return nil, fmt.Errorf("reading %d: the random number %016x came twice", len(readings), r.Random)
		}
		seen[r.Random] = true
		readings = append(readings, r)
	}
	return readings, nil
}
