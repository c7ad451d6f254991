package worker

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/host/ambient"
)

// MaxRewind is how much of its standard input a program that is run can have read
// since the waypoint that it goes back to, in bytes. After a crash the input is
// given anew, and there is no bound.
const MaxRewind = 1 << 20

// rewindable is an input of which a program that goes back reads again what it
// has read. Nothing else of a process has to be given twice.
type rewindable struct {
	ambient.Input
	kept    []byte // the newest of what was read
	taken   uint64 // bytes that were read or skipped
	again   []byte // what is to be read before there is anything new
	rewound bool   // nothing was read since the program went back
	touched bool   // anything was read or skipped
}

// rewind says that the program goes back. What it has read of the history that is
// left it says by Skip, unless that is nothing.
func (r *rewindable) rewind() { r.rewound = r.touched }

// Skip implements ambient.Input.
func (r *rewindable) Skip(ctx context.Context, n uint64, sum [sha256.Size]byte) error {
	if r.rewound {
		return r.goBack(n)
	}
	if err := r.Input.Skip(ctx, n, sum); err != nil {
		return err
	}
	r.taken, r.touched = n, true
	return nil
}

// goBack lets everything be read again but the first n bytes.
func (r *rewindable) goBack(n uint64) error {
	since := r.taken - uint64(len(r.again)) - n
	if since > uint64(len(r.kept)) {
		return fmt.Errorf("the program goes back behind %d bytes of its standard input, more than %d: kill it, and run it again with the same input", since, MaxRewind)
	}
	at := uint64(len(r.kept)) - since
	r.again = append(append([]byte(nil), r.kept[at:]...), r.again...)
	r.kept, r.rewound = r.kept[:at], false
	return nil
}

func (r *rewindable) settle() error {
	if r.rewound {
		return r.goBack(0)
	}
	r.touched = true
	return nil
}

// Ready implements ambient.Input.
func (r *rewindable) Ready(ctx context.Context) (int, bool, error) {
	if err := r.settle(); err != nil {
		return 0, false, err
	}
	if len(r.again) > 0 {
		return len(r.again), false, nil
	}
	return r.Input.Ready(ctx)
}

// Read implements ambient.Input.
func (r *rewindable) Read(ctx context.Context, limit int) (p []byte, err error) {
	if err := r.settle(); err != nil {
		return nil, err
	}
	if len(r.again) > 0 {
		p = r.again[:min(limit, len(r.again))]
		r.again = r.again[len(p):]
	} else {
		if p, err = r.Input.Read(ctx, limit); err != nil {
			return nil, err
		}
		r.taken += uint64(len(p))
	}
	r.kept = append(r.kept, p...)
	if over := len(r.kept) - MaxRewind; over > 0 {
		r.kept = append(r.kept[:0], r.kept[over:]...)
	}
	return p, nil
}
