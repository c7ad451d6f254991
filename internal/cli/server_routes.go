package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/waterbear-run/waterbear"
)

// public is the server's address for routes, which anybody may use.
type public struct {
	listener net.Listener
	pair     *keyPair  // nil: plain HTTP
	access   *logFile  // nil: no access log in a file
	waiting  *gathered // lines for it
}

// openPublic listens for requests of routes, if it is configured; otherwise it
// gives nil. own is the certificate of the REST interface, or nil.
func (c *config) openPublic(ctx context.Context, own *keyPair, log *slog.Logger) (p *public, err error) {
	if c.routesListen == "" {
		return nil, nil
	}
	p = &public{pair: own}
	if c.routesCert != "" {
		if p.pair, err = loadKeyPair(c.routesCert, c.routesKey); err != nil {
			return nil, err
		}
		p.pair.warn(log)
	}
	if c.accessLog != "" && c.accessLog != accessLogStderr {
		if p.access, err = openLogFile(c.accessLog); err != nil {
			return nil, c.setting("routes.access-log").wrong("%w", err)
		}
		p.waiting = &gathered{to: p.access}
	}
	if p.listener, err = listen(ctx, c.routesListen); err != nil {
		p.close()
		return nil, c.explainListen("routes.listen", c.routesListen, err)
	}
	return p, nil
}

func (p *public) close() {
	if p == nil {
		return
	}
	if p.listener != nil {
		_ = p.listener.Close()
	}
	if p.access != nil {
		p.waiting.flush()
		_ = p.access.Close()
	}
}

// startLine tells a person where routes are served.
func (p *public) startLine() string {
	scheme := "http"
	if p.pair != nil {
		scheme = "https"
	}
	return fmt.Sprintf("waterbear: serving routes on %s://%s, to anybody who can connect", scheme, p.listener.Addr())
}

// serving is how routes are served, nil if they are not.
func (p *public) serving(c *config, log serverLog, node *waterbear.Platform) *waterbear.PublicConfig {
	if p == nil {
		return nil
	}
	var access *slog.Logger
	switch {
	case c.accessLog == accessLogStderr:
		access = log.requests
	case p.access != nil:
		access = slog.New(slog.NewJSONHandler(p.waiting, nil))
	}
	return &waterbear.PublicConfig{
		Listener: p.listener, TLS: p.pair.tlsConfig(),
		Handler: func(observe func(route string, status int, took time.Duration), until func(context.Context) (context.Context, context.CancelCauseFunc)) http.Handler {
			return node.RouteHandler(waterbear.RouteOptions{
				Log: log.Logger, AccessLog: access, Observe: observe, Requests: c.maxRequests, Timeout: c.timeout, OpenAPI: c.routesOpenAPI, Until: until,
			})
		},
	}
}

// accessLogStderr has the access log on standard error.
const accessLogStderr = "stderr"

// logFile is a file that lines are added to, and that may be moved away.
type logFile struct {
	name string
	mu   sync.Mutex
	file *os.File
}

func openLogFile(name string) (*logFile, error) {
	f := &logFile{name: name}
	return f, f.reopen()
}

// reopen opens the file of that name, which another may have become.
func (f *logFile) reopen() error {
	next, err := os.OpenFile(f.name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	f.mu.Lock()
	before := f.file
	f.file = next
	f.mu.Unlock()
	if before != nil {
		return before.Close()
	}
	return nil
}

// Write adds a line.
func (f *logFile) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Write(b)
}

// Close closes the file.
func (f *logFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Close()
}

// reload takes up what was replaced on the disk.
func (p *public) reload(own *keyPair, log *slog.Logger) {
	if p == nil {
		return
	}
	if p.pair != nil && p.pair != own {
		p.pair.reload(log)
	}
	if p.access != nil {
		p.waiting.flush()
		if err := p.access.reopen(); err != nil {
			log.Error("SIGHUP: the access log stays the file before", "error", err)
		}
	}
}
