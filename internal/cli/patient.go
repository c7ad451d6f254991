package cli

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/waterbear-run/waterbear"
)

// lettingGo is how long a process that was killed may keep its ports and the lock
// of its state directory: until the kernel is through with its memory.
const lettingGo = time.Second

// patiently tries again what another process is in the way of, which may have been
// killed a moment ago: the next command is to work behind a kill -9.
func patiently[T any](ctx context.Context, try func() (T, error)) (T, error) {
	const pause = 20 * time.Millisecond
	for began := time.Now(); ; {
		got, err := try()
		inTheWay := errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, waterbear.ErrLocked)
		if !inTheWay || time.Since(began) >= lettingGo {
			return got, err
		}
		select {
		case <-ctx.Done():
			return got, err
		case <-time.After(pause):
		}
	}
}

// listen listens at an address as soon as nobody else does.
func listen(ctx context.Context, at string) (net.Listener, error) {
	return patiently(ctx, func() (net.Listener, error) { return net.Listen("tcp", at) })
}

// openState opens a state directory as soon as no other process has it.
func openState(ctx context.Context, o waterbear.Options) (*waterbear.Node, error) {
	return patiently(ctx, func() (*waterbear.Node, error) { return waterbear.Open(ctx, o) })
}
