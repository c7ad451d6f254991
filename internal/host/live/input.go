// Package live performs effects: it is where a live worker touches the machine.
// What it does is recorded by those who call it; at replay nobody does.
package live

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/waterbear-run/waterbear/internal/sched"
)

// inputBuffer is how much input is read ahead of the program.
const inputBuffer = 64 << 10

// ErrInputDiffers refuses an input that does not begin as the one that the
// worker has read.
var ErrInputDiffers = errors.New("standard input differs from what the worker has read before it was stopped: give it the same input again, or none")

// Input reads a stream ahead, so that a program can wait for input and for
// other things at once.
type Input struct {
	sched     sched.Scheduler
	source    io.Reader
	continues bool
	changed   sched.Condition
	passed    uint64    // bytes left out by Skip so far
	sum       hash.Hash // of them

	mu      sync.Mutex
	started bool
	buffer  []byte // read and not yet taken
	err     error  // io.EOF at the end
	closed  bool
}

// NewInput reads source from when it is first asked. If continues is set,
// source goes on behind what a worker has read before, as a terminal does;
// else it begins anew in every run.
//
// The task that reads source ends when source does: a read of a terminal
// cannot be called back.
func NewInput(s sched.Scheduler, source io.Reader, continues bool) *Input {
	if source == nil {
		source = bytes.NewReader(nil)
	}
	return &Input{sched: s, source: source, continues: continues, changed: s.NewCondition(), sum: sha256.New()}
}

func (in *Input) start() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.started {
		in.started = true
		in.sched.Go("input", in.pump)
	}
}

func (in *Input) pump() {
	piece := make([]byte, inputBuffer)
	for {
		n, err := in.source.Read(piece)
		in.mu.Lock()
		in.buffer = append(in.buffer, piece[:n]...)
		in.err = err
		in.mu.Unlock()
		in.changed.Wake()
		if err != nil {
			return
		}
		closed := false
		_ = in.changed.Wait(context.Background(), func() bool {
			in.mu.Lock()
			defer in.mu.Unlock()
			closed = in.closed
			return closed || len(in.buffer) < inputBuffer
		})
		if closed {
			return
		}
	}
}

// Close stops reading ahead. A read that is under way goes on until its source
// gives something.
func (in *Input) Close() {
	in.mu.Lock()
	in.closed = true
	in.mu.Unlock()
	in.changed.Wake()
}

// Ready implements ambient.Input.
func (in *Input) Ready(ctx context.Context) (n int, eof bool, err error) {
	in.start()
	err = in.changed.Wait(ctx, func() bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		n, eof = len(in.buffer), len(in.buffer) == 0 && in.err != nil
		return n > 0 || eof
	})
	return n, eof, err
}

// Read implements ambient.Input. A source that fails is one that ends.
func (in *Input) Read(ctx context.Context, limit int) ([]byte, error) {
	if _, _, err := in.Ready(ctx); err != nil {
		return nil, err
	}
	in.mu.Lock()
	n := min(limit, len(in.buffer))
	p := bytes.Clone(in.buffer[:n])
	in.buffer = in.buffer[:copy(in.buffer, in.buffer[n:])]
	in.mu.Unlock()
	in.changed.Wake()
	return p, nil
}

// Skip implements ambient.Input. An input without a byte is one that was not
// given again: the program gets its end.
func (in *Input) Skip(ctx context.Context, n uint64, sum [sha256.Size]byte) error {
	if in.continues {
		return nil
	}
	for in.passed < n {
		p, err := in.Read(ctx, int(min(n-in.passed, inputBuffer)))
		if err != nil {
			return err
		}
		if len(p) == 0 {
			if in.passed == 0 {
				return nil
			}
			return fmt.Errorf("%w: it ends after %d of %d bytes", ErrInputDiffers, in.passed, n)
		}
		in.sum.Write(p)
		in.passed += uint64(len(p))
	}
	if [sha256.Size]byte(in.sum.Sum(nil)) != sum {
		return fmt.Errorf("%w: its first %d bytes are others", ErrInputDiffers, n)
	}
	return nil
}
