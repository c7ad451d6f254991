package server

import (
	"context"
	"errors"
	"iter"
	"strconv"

	"github.com/waterbear-run/waterbear/api"
)

// maxPageBytes is how many bytes of entries a page has at most, about; one entry
// may be larger.
const maxPageBytes = 4 << 20

// maxAhead is how many entries are read before the client has taken the first.
const maxAhead = 16

// excerpt is a page of what an oplog has, with what of it could not be read.
type excerpt[T any] struct {
	Items    []T           `json:"items"`
	Next     string        `json:"next,omitempty" doc:"The from of the next page; absent at the end"`
	Problems []api.Problem `json:"problems,omitempty" doc:"What between the entries cannot be read, or is not kept"`
}

// Reading is what operations on an oplog take.
type Reading struct {
	OfWorker
	From   uint64 `query:"from" doc:"Index of the first entry"`
	To     uint64 `query:"to" doc:"Index of the last entry"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"1000" doc:"Of entries in a page"`
	Follow bool   `query:"follow" doc:"Wait for more; for a stream only"`
	Last   string `header:"Last-Event-ID" maxLength:"20" doc:"Go on behind the event with this id; for a stream only"`
	Accept string `header:"Accept" doc:"text/event-stream: a stream"`
}

// rangeOf is what to read, and whether to stream it.
func (q *Reading) rangeOf() (r api.Range, stream bool, err error) {
	r, stream = api.Range{From: q.From, To: q.To, Follow: q.Follow}, accepts(q.Accept, mediaEvents)
	if q.To != 0 && q.From > q.To {
		return r, stream, invalid("query.to", "it is before from")
	}
	if q.Follow && !stream {
		return r, stream, invalid("query.follow", "a page cannot be followed: send Accept: text/event-stream")
	}
	if stream && q.Last != "" {
		last, err := strconv.ParseUint(q.Last, 10, 64)
		if err != nil || last+1 == 0 {
			return r, stream, invalid("header.Last-Event-ID", "%q is no index of an entry", q.Last)
		}
		r.From = max(r.From, last+1)
	}
	return r, stream, nil
}

func (s *Server) addEntries() {
	add(s, "get-logs", func(ctx context.Context, x *exchange, in *struct {
		Reading
		Stream string `query:"stream" enum:"stdout,stderr" doc:"Of this stream only"`
	},
	) (*body[excerpt[api.LogChunk]], error) {
		r, stream, err := in.rangeOf()
		if err != nil {
			return nil, err
		}
		a := entries[api.LogChunk]{
			name: "log",
			read: func(ctx context.Context) iter.Seq2[api.LogChunk, error] {
				return s.config.Platform.Logs(ctx, in.Component, in.Worker, r)
			},
			keep:  func(c api.LogChunk) bool { return in.Stream == "" || c.Stream == in.Stream },
			index: func(c api.LogChunk) uint64 { return c.Index },
			size:  func(c api.LogChunk) int { return len(c.Text) + len(c.Base64) },
		}
		if stream {
			return nil, a.stream(ctx, s, x, &in.Reading)
		}
		return a.page(ctx, s, in.Limit)
	})
	add(s, "get-oplog", func(ctx context.Context, x *exchange, in *struct {
		Reading
		Search string `query:"search" maxLength:"1000" doc:"Keep entries whose line contains it, in upper or lower case"`
	},
	) (*body[excerpt[api.Entry]], error) {
		r, stream, err := in.rangeOf()
		if err != nil {
			return nil, err
		}
		r.Search = in.Search
		a := entries[api.Entry]{
			name: "entry",
			read: func(ctx context.Context) iter.Seq2[api.Entry, error] {
				return s.config.Platform.Oplog(ctx, in.Component, in.Worker, r)
			},
			keep:  func(api.Entry) bool { return true },
			index: func(e api.Entry) uint64 { return e.Index },
			size:  func(e api.Entry) int { return len(e.Text) + len(e.Body) },
		}
		if stream {
			return nil, a.stream(ctx, s, x, &in.Reading)
		}
		return a.page(ctx, s, in.Limit)
	})
}

// entries are what a worker's oplog has of one sort.
type entries[T any] struct {
	name  string // of the event that has one
	read  func(ctx context.Context) iter.Seq2[T, error]
	keep  func(T) bool
	index func(T) uint64
	size  func(T) int // in bytes, about
}

// maxPageProblems is how many problems a page tells of; one is enough to know
// that something is missing.
const maxPageProblems = 100

// page reads until it is full or there is no more. What is damaged or not kept is
// told of, and the rest read.
func (e *entries[T]) page(ctx context.Context, s *Server, limit int) (*body[excerpt[T]], error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	page := excerpt[T]{Items: []T{}}
	bytes := 0
	for item, err := range e.read(ctx) {
		var p *api.Problem
		switch {
		case errors.As(err, &p) && (p.Code == api.CodeDamaged || p.Code == api.CodeExpired):
			if len(page.Problems) < maxPageProblems {
				page.Problems = append(page.Problems, *p)
			}
			continue
		case err != nil:
			return nil, timedOut(ctx, err)
		case !e.keep(item):
			continue
		}
		bytes += e.size(item)
		if len(page.Items) == limit || len(page.Items) > 0 && bytes > maxPageBytes {
			page.Next = strconv.FormatUint(e.index(item), 10)
			return &body[excerpt[T]]{page}, nil
		}
		page.Items = append(page.Items, item)
	}
	if ctx.Err() != nil {
		return nil, timedOut(ctx, context.Cause(ctx))
	}
	return &body[excerpt[T]]{page}, nil
}

// stream sends entries as events until there is no more, the client is gone, or
// the server stops.
func (e *entries[T]) stream(ctx context.Context, s *Server, x *exchange, in *Reading) error {
	// That there is no such worker is better known before the answer begins.
	if _, err := s.config.Platform.Worker(ctx, in.Component, in.Worker); err != nil {
		return err
	}
	ctx, cancel := s.untilStopping(ctx)
	found := e.readAhead(ctx)
	defer func() {
		cancel(nil)
		for range found { // until the reader has ended
		}
	}()
	out := s.newEvents(x)
	out.open()
	alive := s.newHeartbeat()
	defer alive.Stop()
	for {
		var err error
		select {
		case f, more := <-found:
			switch {
			case ctx.Err() != nil:
			case !more:
				return nil
			default:
				err = e.send(ctx, s, x, out, f)
			}
			if err == nil && len(found) == 0 {
				err = out.flush()
			}
		case <-alive.C:
			err = out.beat()
		case <-ctx.Done():
		}
		if ctx.Err() != nil && errors.Is(context.Cause(ctx), errStopping) {
			_ = out.send("", "problem", s.explain(ctx, x, context.Cause(ctx)))
			return nil
		}
		if err = errors.Join(err, context.Cause(ctx)); err != nil {
			x.cutOff(err)
		}
	}
}

// found is what reading yields.
type found[T any] struct {
	item T
	err  error
}

// readAhead reads in a goroutine, which ends with ctx and then closes what it
// returns.
func (e *entries[T]) readAhead(ctx context.Context) <-chan found[T] {
	out := make(chan found[T], maxAhead)
	put := func(f found[T]) bool {
		select {
		case out <- f:
			return true
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		defer close(out)
		var panicked error
		defer func() {
			if panicked != nil {
				put(found[T]{err: panicked})
			}
		}()
		defer recovered(&panicked)
		for item, err := range e.read(ctx) {
			if (err != nil || e.keep(item)) && !put(found[T]{item, err}) {
				return
			}
		}
	}()
	return out
}

// send sends what was found. A problem has no id, so that a client that comes
// back reads on behind the last entry.
func (e *entries[T]) send(ctx context.Context, s *Server, x *exchange, out *events, f found[T]) error {
	if f.err != nil {
		return out.write("", "problem", s.explain(ctx, x, f.err))
	}
	return out.write(strconv.FormatUint(e.index(f.item), 10), e.name, f.item)
}
