//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// marksAddress is where workflows say how far they are: /mark/steps/ID when the
// steps are done, /mark/next/ID in the one behind the kill. It is fixed, for it is
// written in what the columns run.
const marksAddress = "127.0.0.1:7999"

// marks are when each was said first.
type marks struct {
	server *http.Server
	mu     sync.Mutex
	seen   map[string]time.Time
	news   chan struct{} // closed at the next
}

func serveMarks() (*marks, error) {
	l, err := net.Listen("tcp", marksAddress)
	if err != nil {
		return nil, fmt.Errorf("listen for what workflows say: %w", err)
	}
	m := &marks{seen: map[string]time.Time{}, news: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("/mark/{event}/{id}", func(_ http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		key := r.PathValue("event") + "/" + r.PathValue("id")
		if _, ok := m.seen[key]; !ok {
			m.seen[key] = time.Now()
		}
		close(m.news)
		m.news = make(chan struct{})
	})
	m.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = m.server.Serve(l) }() // it ends when it is closed
	return m, nil
}

func (m *marks) close() { _ = m.server.Close() }

// await gives when a mark was said, if that is soon.
func (m *marks) await(ctx context.Context, event, id string, within time.Duration) (time.Time, error) {
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	for {
		m.mu.Lock()
		at, ok := m.seen[event+"/"+id]
		news := m.news
		m.mu.Unlock()
		if ok {
			return at, nil
		}
		select {
		case <-news:
		case <-timeout.C:
			return at, fmt.Errorf("%s has not said %q within %v", id, event, within)
		case <-ctx.Done():
			return at, ctx.Err()
		}
	}
}
