package live

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/waterbear-run/waterbear/internal/sched"
)

func readAll(t *testing.T, in *Input) string {
	t.Helper()
	var all strings.Builder
	for {
		p, err := in.Read(context.Background(), 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(p) == 0 {
			return all.String()
		}
		all.Write(p)
	}
}

func TestInputGivesAllOfItsSourceInOrder(t *testing.T) {
	long := strings.Repeat("0123456789", 30_000)
	in := NewInput(sched.NewGoroutines(), strings.NewReader(long), false)
	defer in.Close()
	if got := readAll(t, in); got != long {
		t.Errorf("got %d bytes, want %d", len(got), len(long))
	}
}

func TestReadAheadIsBounded(t *testing.T) {
	source := &counting{}
	in := NewInput(sched.NewGoroutines(), source, false)
	for range 100 {
		if _, err := in.Read(context.Background(), 1000); err != nil {
			t.Fatal(err)
		}
	}
	in.Close()
	if limit := 100*1000 + 3*inputBuffer; source.given.Load() > int64(limit) {
		t.Errorf("%d bytes were read ahead of 100,000, more than %d", source.given.Load(), limit)
	}
}

// counting is an endless source.
type counting struct{ given atomic.Int64 }

func (c *counting) Read(p []byte) (int, error) {
	c.given.Add(int64(len(p)))
	return len(p), nil
}

func TestSkipLeavesOutWhatWasReadBefore(t *testing.T) {
	sum := sha256.Sum256([]byte("abc"))
	for _, c := range []struct {
		source    string
		continues bool
		rest      string
		err       error
	}{
		{source: "abcdef", rest: "def"},
		{source: "abc", rest: ""},
		{source: "", rest: ""},
		{source: "abX", err: ErrInputDiffers},
		{source: "ab", err: ErrInputDiffers},
		{source: "def", continues: true, rest: "def"},
	} {
		in := NewInput(sched.NewGoroutines(), strings.NewReader(c.source), c.continues)
		err := in.Skip(context.Background(), 3, sum)
		if !errors.Is(err, c.err) {
			t.Errorf("skip 3 of %q: got %v, want %v", c.source, err, c.err)
		}
		if err == nil {
			if got := readAll(t, in); got != c.rest {
				t.Errorf("behind 3 of %q: got %q, want %q", c.source, got, c.rest)
			}
		}
		in.Close()
	}
}

func TestWaitingForInputEndsWithItsContext(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	in := NewInput(sched.NewGoroutines(), r, false)
	defer in.Close()
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errBroken)
	if _, err := in.Read(ctx, 1); !errors.Is(err, errBroken) {
		t.Errorf("got %v, want the context's cause", err)
	}
}
