package cli

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/waterbear-run/waterbear"
)

// signals turns the first SIGINT, SIGTERM or SIGHUP into the cancelling of a
// context with the cause waterbear.ErrInterrupted. After it the kernel's
// default holds again, so that the second kills the process at once, whatever
// it is doing.
type signals struct {
	first   atomic.Int32
	channel chan os.Signal
	done    chan struct{}
	ended   sync.WaitGroup
	once    sync.Once
}

// catchSignals starts watching; stop ends it. A signal that the process was
// started with as ignored, as nohup and a shell's & do, stays ignored.
func catchSignals(ctx context.Context) (context.Context, *signals) {
	s := &signals{channel: make(chan os.Signal, 2), done: make(chan struct{})}
	ctx, cancel := context.WithCancelCause(ctx)
	var watched []os.Signal
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(sig) {
			watched = append(watched, sig)
		}
	}
	if len(watched) > 0 {
		signal.Notify(s.channel, watched...)
	}
	s.ended.Go(func() {
		defer cancel(context.Canceled)
		select {
		case <-s.done:
			return
		case sig := <-s.channel:
			s.first.Store(int32(sig.(syscall.Signal)))
			signal.Stop(s.channel)
			cancel(waterbear.ErrInterrupted)
		}
		select {
		case sig := <-s.channel:
			// The second came before the default was in place again.
			_ = syscall.Kill(os.Getpid(), sig.(syscall.Signal))
		case <-s.done:
		}
	})
	return ctx, s
}

// caught is the first signal that came, or 0.
func (s *signals) caught() syscall.Signal { return syscall.Signal(s.first.Load()) }

// stop gives the signals back and waits until nothing watches any more.
func (s *signals) stop() {
	s.once.Do(func() {
		signal.Stop(s.channel)
		close(s.done)
		s.ended.Wait()
	})
}
