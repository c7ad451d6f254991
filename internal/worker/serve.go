package worker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/host/inbound"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// Serve accepts an HTTP request as an invocation of a worker, which it makes if it
// is not there, and gives the answer, which may not have begun. The request comes
// without its body and its trailers: body gives the bytes, and trailers, unless it
// is nil, is called behind them. The same key is the same request, and gets the same
// answer from its beginning. An error of body is given back as it is. Of c count the
// key, Existing and Ephemeral.
func (ws *Workers) Serve(ctx context.Context, w id.Worker, c api.Call, q inbound.Request, body io.Reader, trailers func() []inbound.Field) (*Answer, error) {
	r, err := ws.open(ctx, w)
	if err != nil {
		return nil, err
	}
	a, err := ws.serve(ctx, r, &c, &q, body, trailers)
	if err != nil {
		ws.release(r)
		return nil, err
	}
	return a, nil
}

func (ws *Workers) serve(ctx context.Context, r *resident, c *api.Call, q *inbound.Request, body io.Reader, trailers func() []inbound.Field) (*Answer, error) {
	key := c.Key
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if err := r.wanted(c); err != nil {
		return nil, err
	}
	function, err := ws.handlerOf(ctx, r, c.Ephemeral)
	if err != nil {
		return nil, err
	}
	if q.Size() > inbound.MaxHead {
		return nil, tooLarge("the request without its body", inbound.MaxHead)
	}
	up := &upload{r: r, sum: sha256.New(), most: r.settings().HTTP.MaxRequest}
	r.mu.Lock()
	_, up.known = r.machine.life.Keys[key]
	refused := r.acceptable()
	r.mu.Unlock()
	if refused != nil && !up.known {
		return nil, refused // before the client sends all of it
	}
	defer up.end()
	if err := up.receive(ctx, body); err != nil {
		return nil, err
	}
	if q.Body = up.body(); trailers != nil {
		q.Trailers = trailers()
	}
	args, err := q.Args()
	if err != nil {
		return nil, fmt.Errorf("write the request as JSON: %w", err)
	}
	if q.Size() > inbound.MaxHead || len(args) > MaxArgs {
		return nil, tooLarge("the request without its body", inbound.MaxHead)
	}
	c = &api.Call{Key: key, Function: function, Args: args}
	for {
		if up.known {
			r.mu.Lock()
			k, still := r.machine.life.Keys[key]
			r.mu.Unlock()
			if !still { // and the body was not kept
				return nil, api.NewProblem(api.CodeExpired, fmt.Sprintf("the retention of %s has just let go of the key %q; send the request again", r.worker, key))
			}
			return r.answerTo(ctx, k.Accepted, c)
		}
		index, wait, err := r.accept(c, up.first)
		switch {
		case err != nil:
			return nil, err
		case wait != nil:
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.newAnswer(index, wait, index+1), nil
		}
		if a, err := r.answerTo(ctx, index, c); !isExpired(err) {
			return a, err
		} // else the key has just been forgotten
	}
}

// handlerOf makes the worker if it is not there, and gives its function that
// answers requests.
func (ws *Workers) handlerOf(ctx context.Context, r *resident, ephemeral bool) (string, error) {
	r.mu.Lock()
	revision, exists := r.revision, r.exists()
	r.mu.Unlock()
	if revision == nil {
		var err error
		if revision, err = ws.find(ctx, r, exists); err != nil {
			return "", err
		}
	}
	function := ""
	if revision.HTTP {
		program, err := ws.Catalog.Acquire(ctx, revision.Component, revision.Number)
		if err != nil {
			return "", err
		}
		function = program.Handler()
		if err := program.Release(); err != nil {
			return "", err
		}
	}
	if function == "" {
		return "", api.NewProblem(api.CodeNoFunction, fmt.Sprintf(
			"revision %d of %s answers no HTTP requests: it is no component that exports wasi:http/incoming-handler; invoke one of its functions instead", revision.Number, revision.Component))
	}
	if exists {
		return function, nil
	}
	_, err := ws.create(ctx, r, api.NewWorker{Revision: revision.Number, Ephemeral: ephemeral})
	return function, err
}

func tooLarge(what string, most uint64) error {
	return api.NewProblem(api.CodeTooLarge, fmt.Sprintf("%s has more than %d bytes", what, most))
}

// upload is the body of a request on its way in. A long one is in the oplog
// before its request is accepted, piece by piece.
type upload struct {
	r     *resident
	known bool // the request was accepted before: only what tells it is kept
	most  uint64

	size  uint64
	sum   hash.Hash
	small []byte      // all of it, as long as it is short
	first oplog.Index // its first piece, once it is not
}

// receive takes all of the body.
func (u *upload) receive(ctx context.Context, body io.Reader) error {
	if body == nil {
		return nil
	}
	piece := make([]byte, 4<<10)
	for {
		n, err := io.ReadFull(body, piece)
		if n > 0 {
			if err := u.take(ctx, piece[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return u.commit(ctx)
		case err != nil:
			return err
		}
		if len(piece) < inbound.MaxPiece {
			piece = make([]byte, 2*len(piece)) // most bodies are short
		}
	}
}

func (u *upload) take(ctx context.Context, p []byte) error {
	if u.size += uint64(len(p)); u.most > 0 && u.size > u.most {
		return tooLarge("the body of the request", u.most)
	}
	u.sum.Write(p)
	switch {
	case u.known:
		return nil
	case u.first == 0 && u.size <= inbound.MaxInline:
		u.small = append(u.small, p...)
		return nil
	}
	if u.small != nil {
		small := u.small
		u.small = nil
		if err := u.keep(ctx, small); err != nil {
			return err
		}
	}
	return u.keep(ctx, p)
}

// keep records a piece, waiting for the disk if that is behind.
func (u *upload) keep(ctx context.Context, p []byte) error {
	r := u.r
	for {
		r.mu.Lock()
		if r.machine.over != nil {
			r.mu.Unlock()
			return r.ended()
		}
		if !r.writer.Room() {
			r.mu.Unlock()
			if err := r.writer.CommitSoon(ctx); err != nil {
				return Unavailable(err)
			}
			continue
		}
		index, err := r.record(&oplog.RequestBody{First: u.first, Bytes: p})
		if u.first == 0 && err == nil {
			u.first = index
			r.uploads = append(r.uploads, index)
		}
		r.mu.Unlock()
		if err != nil {
			return Unavailable(err)
		}
		return nil
	}
}

// commit makes the pieces durable: the program reads them where they are then.
func (u *upload) commit(ctx context.Context) error {
	if u.first == 0 {
		return nil
	}
	if err := u.r.writer.CommitSoon(ctx); err != nil {
		return Unavailable(err)
	}
	return nil
}

// body is what was received.
func (u *upload) body() inbound.Body {
	if u.first == 0 && !u.known {
		return inbound.Inline(u.small)
	}
	return inbound.Body{Size: u.size, Sum: [sha256.Size]byte(u.sum.Sum(nil)), Stored: u.size > 0}
}

// sameRequest reports whether two calls under one key can be the same request.
func sameRequest(a, b []byte) bool {
	p, err := inbound.Parse(a)
	if err != nil {
		return false
	}
	q, err := inbound.Parse(b)
	return err == nil && p.Same(q)
}

// end lets retention have the pieces, unless an invocation needs them.
func (u *upload) end() {
	if u.first == 0 {
		return
	}
	u.r.mu.Lock()
	defer u.r.mu.Unlock()
	for i, first := range u.r.uploads {
		if first == u.first {
			u.r.uploads = append(u.r.uploads[:i], u.r.uploads[i+1:]...)
			return
		}
	}
}

// receiving is where the first piece is that somebody needs, 0 if nobody does. It
// is called with r.mu held.
func (r *resident) receiving() (first oplog.Index) {
	needs := func(index oplog.Index) {
		if index != 0 && (first == 0 || index < first) {
			first = index
		}
	}
	for _, p := range r.machine.life.Queue {
		needs(p.Body)
	}
	for _, index := range r.uploads {
		needs(index)
	}
	return first
}

// stored reads the body of a request from the oplog.
type stored struct {
	logs   storage.Logs
	worker id.Worker
	first  oplog.Index

	next  oplog.Index // where the next piece may be
	at    uint64      // how many bytes are before piece
	piece []byte
}

// read gives bytes from offset on: at least one.
func (s *stored) read(ctx context.Context, offset uint64, limit int) ([]byte, error) {
	if offset < s.at || s.next == 0 {
		s.next, s.at, s.piece = s.first, 0, nil
	}
	for offset >= s.at+uint64(len(s.piece)) {
		if err := s.advance(ctx); err != nil {
			return nil, fmt.Errorf("read the body of a request of %s from entry %d: %w", s.worker, s.first, err)
		}
	}
	rest := s.piece[offset-s.at:]
	return rest[:min(limit, len(rest))], nil
}

var errNoPiece = errors.New("it is not there whole")

func (s *stored) advance(ctx context.Context) error {
	s.at += uint64(len(s.piece))
	for e, err := range oplog.Read(ctx, s.logs, s.worker, s.next, 0) {
		if err != nil {
			return err
		}
		s.next = e.Index + 1
		if b, ok := e.Body.(*oplog.RequestBody); ok && (e.Index == s.first || b.First == s.first) {
			s.piece = append(s.piece[:0:0], b.Bytes...)
			return nil
		}
	}
	return errNoPiece
}
