package cli

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/waterbear-run/waterbear"
)

// signalWatch turns signals into what a server does about them.
type signalWatch struct {
	channel chan os.Signal
	done    chan struct{}
	ended   sync.WaitGroup
	once    sync.Once
}

// watchSignals takes the signals over from the command line: SIGHUP reloads,
// and the first SIGINT or SIGTERM cancels the context it gives; after that the
// kernel's default holds, so that the second ends the process at once.
func (a *app) watchSignals(ctx context.Context, log *slog.Logger, notify notifier, reload func()) (context.Context, *signalWatch) {
	w := &signalWatch{channel: make(chan os.Signal, 4), done: make(chan struct{})}
	stopping := []os.Signal{}
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		if !signal.Ignored(sig) {
			stopping = append(stopping, sig)
		}
	}
	// Also where nohup has it ignored: it does not end a server.
	signal.Notify(w.channel, append(stopping, syscall.SIGHUP)...)
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	if a.signals != nil {
		if early := a.signals.caught(); early != 0 && early != syscall.SIGHUP {
			cancel(waterbear.ErrInterrupted)
		}
		a.signals.stop()
	}
	w.ended.Go(func() {
		defer cancel(context.Canceled)
		stopped := false
		for {
			select {
			case <-w.done:
				return
			case sig := <-w.channel:
				switch {
				case sig == syscall.SIGHUP:
					reload()
				case stopped:
					// It came before the default was in place again.
					_ = syscall.Kill(os.Getpid(), sig.(syscall.Signal))
				default:
					stopped = true
					signal.Reset(stopping...)
					log.Info("stopping; the same signal again ends the process at once", "signal", sig.String())
					_ = notify.send("STOPPING=1")
					cancel(waterbear.ErrInterrupted)
				}
			}
		}
	})
	return ctx, w
}

// stop gives the signals back and waits until nothing watches any more.
func (w *signalWatch) stop() {
	w.once.Do(func() {
		signal.Stop(w.channel)
		close(w.done)
		w.ended.Wait()
	})
}

// notifyVariable names the socket of the service manager that started us.
const notifyVariable = "NOTIFY_SOCKET"

// notifier tells the service manager what the server is about, as sd_notify(3)
// has it. Without a socket nobody wants to know.
type notifier struct{ socket string }

func (n notifier) send(state string) error {
	if n.socket == "" {
		return nil
	}
	// A name that begins with @ is abstract; package net knows that too.
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte(state))
	return err
}
