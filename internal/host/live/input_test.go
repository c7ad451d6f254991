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

// halves gives "ab", says that it is asked for more, and gives "cdef" once it may.
type halves struct {
	asked, more chan struct{}
	reads       int
}

func (h *halves) Read(p []byte) (int, error) {
	h.reads++
	switch h.reads {
	case 1:
		return copy(p, "ab"), nil
	case 2:
		close(h.asked)
		<-h.more
		return copy(p, "cdef"), nil
	default:
		return 0, io.EOF
	}
}

func TestSkipGoesOnWhereItsContextEndedIt(t *testing.T) {
	source := &halves{asked: make(chan struct{}), more: make(chan struct{})}
	in := NewInput(sched.NewGoroutines(), source, false)
	defer in.Close()
	ctx, cancel := context.WithCancel(context.Background())
	sum := sha256.Sum256([]byte("abc"))
	ended := make(chan error)
	go func() { ended <- in.Skip(ctx, 3, sum) }()
	<-source.asked
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want that the context ended", err)
	}
	close(source.more)
	if err := in.Skip(context.Background(), 3, sum); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, in); got != "def" {
		t.Errorf("behind what was skipped: got %q, want %q", got, "def")
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
