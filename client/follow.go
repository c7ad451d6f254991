package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/waterbear-run/waterbear/api"
)

// Logs gives what a worker wrote, in order, each chunk once: a connection that
// is lost is made again where it was. After an *api.Problem with the code
// CodeDamaged it goes on, behind what is damaged; any other error is the last.
// With r.Follow it goes on until ctx is done, whose error is then the last.
func (c *Client) Logs(ctx context.Context, component, worker string, r api.Range) iter.Seq2[api.LogChunk, error] {
	return follow[api.LogChunk](ctx, c, "log", r, "workers", component, worker, "logs")
}

// Oplog gives the entries of a worker's oplog, as Logs gives what it wrote.
func (c *Client) Oplog(ctx context.Context, component, worker string, r api.Range) iter.Seq2[api.Entry, error] {
	return follow[api.Entry](ctx, c, "entry", r, "workers", component, worker, "oplog")
}

// follow yields what the events of a name have, from the stream at a path.
func follow[T any](ctx context.Context, c *Client, name string, r api.Range, parts ...string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		at, err := c.path(parts...)
		if err != nil {
			yield(*new(T), err)
			return
		}
		s := stream{client: c, name: name, request: request{
			method: http.MethodGet, url: at, query: rangeQuery(r), accepts: typeEvents,
		}}
		pause := pauses{client: c}
		for {
			err := s.read(ctx, &pause, func(e event) (bool, error) {
				var item T
				if e.name == eventProblem {
					problem := c.eventProblem(e)
					if p, ok := errors.AsType[*api.Problem](problem); !ok || p.Code != api.CodeDamaged && p.Code != api.CodeExpired {
						return false, problem
					}
					return yield(item, problem), nil
				}
				if err := json.Unmarshal(e.data, &item); err != nil {
					return false, c.nonsense("what cannot be decoded: %v", err)
				}
				return yield(item, nil), nil
			})
			switch after, again := passing(err); {
			case err == nil && (s.ended || !r.Follow || r.To > 0 && s.events == 0):
				return
			case err == nil:
				// The server ends a stream that follows when it stops.
				err = pause.wait(ctx, c.unreached(ctx, io.EOF), 0)
			case again && s.connected:
				err = pause.wait(ctx, err, after)
			}
			if err != nil {
				yield(*new(T), err)
				return
			}
		}
	}
}

// rangeQuery is how a range is asked for.
func rangeQuery(r api.Range) url.Values {
	query := url.Values{}
	if r.From > 0 {
		query.Set("from", strconv.FormatUint(r.From, 10))
	}
	if r.To > 0 {
		query.Set("to", strconv.FormatUint(r.To, 10))
	}
	if r.Search != "" {
		query.Set("search", r.Search)
	}
	if r.Follow {
		query.Set("follow", "true")
	}
	return query
}

// stream is events that are read over one connection after the other.
type stream struct {
	client    *Client
	name      string // of the events that are items
	request   request
	last      string // id of the newest event
	connected bool   // at least once
	events    int    // of the newest connection
	ended     bool   // the consumer wants no more
}

// read connects and gives events to use until use wants no more or the stream
// ends, which is no error.
func (s *stream) read(ctx context.Context, pause *pauses, use func(event) (more bool, err error)) error {
	ctx, heard, forget := listening(ctx)
	defer forget()
	if s.last != "" {
		s.request.header = http.Header{"Last-Event-Id": {s.last}}
	}
	answer, err := s.client.send(ctx, s.request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if media := mediaOf(answer.Header); media != typeEvents {
		return s.client.nonsense("the media type %q instead of a stream", media)
	}
	s.connected, s.events = true, 0
	events := hear(answer.Body, heard)
	for {
		e, err := events.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errEvent):
			return s.client.nonsense("what is too large: %v", err)
		case err != nil:
			return s.client.unreached(ctx, err)
		case e.name != s.name && e.name != eventProblem:
			continue
		}
		more, err := use(e)
		if err != nil {
			return err
		}
		if e.id != "" {
			s.last = e.id
		}
		pause.reset()
		s.events++
		if !more {
			s.ended = true
			return nil
		}
	}
}
