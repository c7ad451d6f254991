// Package relay stands between clients and the workers that answer their
// requests: it takes out of messages what belongs to one connection alone, bounds
// how long a client may take, and gives a response on as it comes. It hides how
// HTTP says that a response broke off.
package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

// Ready is a response's body that knows whether Read would wait.
type Ready interface{ Ready() bool }

// hop are the fields that belong to a connection (RFC 9110, section 7.6.1), but
// for those that Connection names.
var hop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Proxy-Authenticate", "Proxy-Authorization", "Http2-Settings",
}

// Strip takes the fields that belong to a connection out of a message's.
func Strip(h http.Header) {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hop {
		h.Del(name)
	}
}

// bodiless reports whether a response has no body, whatever was written.
func bodiless(r *http.Request, status int) bool {
	return r.Method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified
}

// chunk is how much of a body is given on at a time.
const chunk = 32 << 10

// Respond gives w the response to r, and closes that. A client that does not take
// a piece within wait is cut off; the worker minds neither. An error says that the
// client has not got all of it: then the connection is to be broken off, as by
// panic(http.ErrAbortHandler), so that it cannot take what it has for the whole.
func Respond(w http.ResponseWriter, r *http.Request, response *http.Response, wait time.Duration) (err error) {
	defer response.Body.Close()
	Strip(response.Header)
	h := w.Header()
	maps.Copy(h, response.Header)
	if _, given := h["Content-Type"]; !given {
		h["Content-Type"] = nil // net/http would guess one
	}
	control := http.NewResponseController(w)
	extend := func() { _ = control.SetWriteDeadline(time.Now().Add(wait)) }
	extend()
	w.WriteHeader(response.StatusCode)
	if bodiless(r, response.StatusCode) {
		return nil
	}
	buffer := make([]byte, chunk)
	ready, _ := response.Body.(Ready)
	for {
		if ready == nil || !ready.Ready() {
			extend()
			if err := control.Flush(); err != nil {
				return fmt.Errorf("give the response on: %w", err)
			}
		}
		n, err := response.Body.Read(buffer)
		if n > 0 {
			extend()
			if _, err := w.Write(buffer[:n]); err != nil {
				return fmt.Errorf("give the response on: %w", err)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	for name, values := range response.Trailer {
		h[http.TrailerPrefix+name] = values
	}
	extend()
	return nil
}

// Within is ctx, which ends also after wait, unless that is 0.
func Within(ctx context.Context, wait time.Duration) (context.Context, context.CancelFunc) {
	if wait == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, wait)
}

// Refuse gives w a problem in place of a response.
func Refuse(w http.ResponseWriter, p *api.Problem) {
	b, err := json.Marshal(p)
	if err != nil {
		p = api.NewProblem(api.CodeInternal, "the answer could not be written")
		b, _ = json.Marshal(p)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(b) // that the client is gone is not ours to mend
}

// SlowBody is the body of a request whose client may take wait for each piece of
// it, and total for all.
func SlowBody(w http.ResponseWriter, r *http.Request, wait, total time.Duration) io.ReadCloser {
	return &slowBody{ReadCloser: r.Body, control: http.NewResponseController(w), wait: wait, until: time.Now().Add(total)}
}

type slowBody struct {
	io.ReadCloser
	control *http.ResponseController
	wait    time.Duration
	until   time.Time
}

func (b *slowBody) Read(p []byte) (int, error) {
	by := time.Now().Add(b.wait)
	if by.After(b.until) {
		by = b.until
	}
	_ = b.control.SetReadDeadline(by)
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		// A deadline that passed later would end the request under way.
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
