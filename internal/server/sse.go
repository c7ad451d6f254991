package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"
)

// noDeadline takes a deadline back.
var noDeadline time.Time

// writeBy is when a piece of an answer that is written now must have been taken.
func (s *Server) writeBy() time.Time { return time.Now().Add(s.writeWait) }

func (s *Server) newHeartbeat() *time.Ticker { return time.NewTicker(s.heartbeat) }

// untilStopping is ctx, which ends also when the server is told to stop.
func (s *Server) untilStopping(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	forget := context.AfterFunc(s.stopping, func() { cancel(errStopping) })
	return ctx, func(cause error) {
		forget()
		cancel(cause)
	}
}

// recovered is deferred by goroutines that run code of the platform: a panic
// there is an error of one request.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
	}
}

// events is an answer of server-sent events. A client that does not take one
// within the time that the server grants is cut off: nothing is kept for it.
type events struct {
	s       *Server
	x       *exchange
	control *http.ResponseController
	buffer  bytes.Buffer
}

func (s *Server) newEvents(x *exchange) *events {
	return &events{s: s, x: x, control: http.NewResponseController(x)}
}

// open sends the header, so that the client knows that it is heard.
func (e *events) open() {
	e.x.Header().Set("Content-Type", mediaEvents)
	e.extend()
	e.x.WriteHeader(http.StatusOK)
	_ = e.control.Flush() // the first event says whether it worked
}

func (e *events) extend() { _ = e.control.SetWriteDeadline(e.s.writeBy()) }

// send sends one event. JSON has no line breaks, so it is one line of data.
func (e *events) send(id, name string, data any) error {
	if err := e.write(id, name, data); err != nil {
		return err
	}
	return e.flush()
}

// write is send without being sure that it leaves now.
func (e *events) write(id, name string, data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("write an event as JSON: %w", err)
	}
	e.buffer.Reset()
	if id != "" {
		e.buffer.WriteString("id: " + id + "\n")
	}
	e.buffer.WriteString("event: " + name + "\ndata: ")
	e.buffer.Write(b)
	e.buffer.WriteString("\n\n")
	e.extend()
	_, err = e.x.Write(e.buffer.Bytes())
	return err
}

func (e *events) flush() error { return e.control.Flush() }

// beat sends a comment, by which both sides learn whether the other is there.
func (e *events) beat() error {
	e.extend()
	if _, err := e.x.Write([]byte(": alive\n\n")); err != nil {
		return err
	}
	return e.flush()
}
