package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// front is one of the addresses that a server answers at.
type front struct {
	*http.Server
	serves   string // what, for errors
	listener net.Listener
}

// Serve answers requests that come through l, with TLS unless secure is nil, and
// those of Public, until ctx is done. Then it takes no more of them, ends streams,
// lets requests that are under way end for Grace, and tells those still waiting
// that the server is stopping. It closes the listeners. A server serves once.
func (s *Server) Serve(ctx context.Context, l net.Listener, secure *tls.Config) error {
	base, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(errStopping)
	fronts := []*front{s.front(base, "REST", l, secure, s.Handler())}
	if p := s.config.Public; p != nil {
		fronts = append(fronts, s.front(base, "routes", p.Listener, p.TLS, p.Handler(s.metrics.routed, s.untilStopping)))
	}
	ended := make(chan error, len(fronts))
	for _, f := range fronts {
		go func() { ended <- f.run() }()
	}
	serving := len(fronts)
	select {
	case failed := <-ended:
		// The others are not to go on alone.
		for _, f := range fronts {
			_ = f.Close()
		}
		for serving--; serving > 0; serving-- {
			<-ended
		}
		return failed
	case <-ctx.Done():
	}
	s.stop(errStopping)
	err := shutDown(fronts, s.config.Grace)
	if err != nil {
		cancel(errStopping)
		err = shutDown(fronts, lastWait)
	}
	if err != nil {
		s.config.Log.Warn("closed connections with requests under way", "underWay", s.underWay.Load())
		err = nil
		for _, f := range fronts {
			err = errors.Join(err, f.Close())
		}
	}
	for ; serving > 0; serving-- {
		<-ended
	}
	if err != nil {
		return fmt.Errorf("stop serving REST on %s: %w", l.Addr(), err)
	}
	return nil
}

func (s *Server) front(base context.Context, serves string, l net.Listener, secure *tls.Config, h http.Handler) *front {
	return &front{serves: serves, listener: l, Server: &http.Server{
		Handler:           h,
		BaseContext:       func(net.Listener) context.Context { return base },
		TLSConfig:         secure,
		ReadHeaderTimeout: s.headerWait,
		// Handlers that may take longer set their own deadline.
		WriteTimeout:   s.config.Timeout + 2*bodyWait,
		IdleTimeout:    idleWait,
		MaxHeaderBytes: maxHeader,
		ConnState:      s.boundConnections(),
		ErrorLog:       slog.NewLogLogger(s.config.Log.Handler(), slog.LevelDebug),
	}}
}

// run serves until the server is shut down, or why it cannot.
func (f *front) run() (err error) {
	if f.TLSConfig != nil {
		err = f.ServeTLS(f.listener, "", "")
	} else {
		err = f.Server.Serve(f.listener)
	}
	return fmt.Errorf("serve %s on %s: %w", f.serves, f.listener.Addr(), err)
}

// boundConnections closes what is beyond the bound as soon as it is accepted.
func (s *Server) boundConnections() func(net.Conn, http.ConnState) {
	most := int64(s.config.MaxRequests) * connectionsPerRequest
	var open atomic.Int64
	return func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			if open.Add(1) > most {
				_ = c.Close() // which the server finds when it reads
			}
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}
}

// shutDown lets requests end for so long.
func shutDown(fronts []*front, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	var ending sync.WaitGroup
	errs := make([]error, len(fronts))
	for i, f := range fronts {
		ending.Go(func() { errs[i] = f.Shutdown(ctx) })
	}
	ending.Wait()
	return errors.Join(errs...)
}
