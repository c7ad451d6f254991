package cli

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// writes are what was written, each by itself.
type writes []string

func (w *writes) Write(b []byte) (int, error) {
	*w = append(*w, string(b))
	return len(b), nil
}

func TestTheLogIsAsConfigured(t *testing.T) {
	for want, flags := range map[string]map[string]string{
		`level=WARN msg=w`:         {"log.level": "warn"},
		`"level":"WARN","msg":"w"`: {"log.level": "warn", "log.format": formatJSON},
	} {
		var b bytes.Buffer
		log := configured(t, flags).serverLog(&b)
		log.Info("i")
		log.requests.Info("i")
		log.Warn("w")
		if strings.Count(b.String(), "\n") != 1 || !strings.Contains(b.String(), want) {
			t.Errorf("%v: %s", flags, &b)
		}
	}
	for _, level := range configured(t, nil).setting("log.level").value.(choice).words {
		configured(t, map[string]string{"log.level": level}).serverLog(io.Discard)
	}
}

func TestLinesOfRequestsAreWrittenTogetherInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got writes
		g := &gathered{to: &got}
		write := func(to io.Writer, lines ...string) {
			t.Helper()
			for _, line := range lines {
				if n, err := io.WriteString(to, line); n != len(line) || err != nil {
					t.Errorf("got %d, %v", n, err)
				}
			}
		}
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		long := strings.Repeat("x", gatherMost-1) + "\n"
		write(g, "1\n", "2\n")
		pass(gatherFor - 1)
		g.mu.Lock()
		if len(got) > 0 {
			t.Errorf("wrote %q before its time", got)
		}
		g.mu.Unlock()
		pass(1)
		write(g, "3\n")
		write(atOnce{g}, "warning\n", "error\n")
		write(g, "4\n", long)
		pass(gatherFor)
		write(g, "5\n")
		g.flush()
		g.flush()
		if want := (writes{"1\n2\n", "3\nwarning\n", "error\n", "4\n" + long, "5\n"}); !slices.Equal(got, want) {
			t.Errorf("got %.20q, want %.20q", got, want)
		}
	})
}

// broken is where nothing can be written.
type broken struct{ tries int }

var errBroken = errors.New("broken")

func (b *broken) Write([]byte) (int, error) {
	b.tries++
	return 0, errBroken
}

func TestLinesThatCannotBeWrittenAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var to broken
		g := &gathered{to: &to}
		if _, err := (atOnce{g}).Write([]byte("1\n")); !errors.Is(err, errBroken) {
			t.Errorf("got %v", err)
		}
		half := bytes.Repeat([]byte{'\n'}, gatherMost/2)
		for range 6 {
			_, _ = g.Write(half)
		}
		if to.tries != 1+3 || len(g.lines) > 0 {
			t.Errorf("tried %d times, %d bytes wait", to.tries, len(g.lines))
		}
	})
}
