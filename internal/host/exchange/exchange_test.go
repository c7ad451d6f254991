package exchange

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/await"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

var alice = id.Worker{Component: "shop", Name: "alice"}

// world is a machine whose workers live many lives, and a remote that answers
// each request by a script.
type world struct {
	t      *testing.T
	sim    *sched.Simulation
	store  *memory.Store
	policy Policy
	sent   []string
	// answer gives what comes back of request n, in pieces of the body.
	answer func(n int, r *Request) (Head, []string)
	now    uint64
	// together says that requests leave by tasks of their own.
	together bool
	flushes  uint64 // of the last life, until its program had ended
}

func newWorld(t *testing.T) *world {
	return &world{t: t, sim: sched.NewSimulation(1), store: memory.New(), policy: Policy{Keys: true, InDoubt: durable.Fail}}
}

func (w *world) Live() uint64 { return w.now }
func (w *world) Saw(uint64)   {}
func (w *world) last() uint64 {
	_, last, err := w.store.Logs().Bounds(context.Background(), alice)
	if err != nil {
		w.t.Fatal(err)
	}
	return last
}

// Begin implements Client. All of the answer is there as soon as the request may
// leave. The program waits for that here, unless requests leave together.
func (w *world) Begin(ctx context.Context, r *Request, _ Policy, leave func(context.Context) error, changed func()) Reply {
	s := &scripted{}
	send := func() {
		if err := leave(ctx); err != nil {
			w.t.Error(err)
		}
		key, _ := value(r.Headers, keyField)
		w.sent = append(w.sent, fmt.Sprintf("%s %s %s %s", r.Method, r.Path, r.Body, key))
		s.head, s.pieces = w.answer(len(w.sent), r)
		s.there = true
		changed()
	}
	if w.together {
		w.sim.Go("request", send)
	} else {
		send()
	}
	return s
}

type scripted struct {
	there  bool
	head   Head
	pieces []string
}

func (s *scripted) Head() (Head, bool) { return s.head, s.there }
func (s *scripted) Ready() bool        { return s.there }
func (s *scripted) Close()             {}

func (s *scripted) Read(limit int) (Piece, bool) {
	if len(s.pieces) == 0 {
		return Piece{End: true, Failure: s.head.Failure}, true
	}
	p := s.pieces[0]
	n := min(limit, len(p))
	if s.pieces[0] = p[n:]; n == len(p) {
		s.pieces = s.pieces[1:]
	}
	return Piece{Bytes: []byte(p[:n])}, true
}

// life lets a program run over the first n entries that are there, and commits
// what it adds.
func (w *world) life(n uint64, program func(e *Exchanges) error) {
	w.t.Helper()
	err := w.sim.Run(func() {
		c, err := oplog.NewCommitter(context.Background(), w.sim, w.store.Logs(), 0)
		if err != nil {
			w.t.Error(err)
			return
		}
		s := durable.NewSession(context.Background(), durable.Config{
			Worker: alice, Writer: c.NewWriter(alice, w.last()), Cursor: oplog.NewCursor(w.store.Logs(), alice, 1, n),
		})
		events := await.New(await.Config{Session: s, Sched: w.sim, Clock: w})
		e := New(Config{Session: s, Sched: w.sim, Events: events, Client: w, Policy: func() Policy { return w.policy }, Secret: sha256.Sum256([]byte("s"))})
		e.Begin(7)
		if err := program(e); err != nil {
			w.t.Error(err)
		}
		w.flushes = c.Flushes()
		e.Close()
		if err := errors.Join(s.Writer.Commit(context.Background()), c.Close()); err != nil {
			w.t.Error(err)
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func tagged(status uint16, tag string) Head {
	return Head{Status: status, Headers: []Field{{"ETag", []byte(tag)}}}
}

// body reads up to pieces pieces of a response.
func body(e *Exchanges, x *Exchange, pieces int) (string, *Failure, error) {
	var all strings.Builder
	for range pieces {
		p, err := e.Read(x, 4, true)
		if all.Write(p.Bytes); err != nil || p.End {
			return all.String(), p.Failure, err
		}
	}
	return all.String(), nil, nil
}

// TestABodyGoesOnWhereItsConnectionWasLost reads two pieces of a body in one life
// and the rest in the next.
func TestABodyGoesOnWhereItsConnectionWasLost(t *testing.T) {
	const text = "abcdefghijklmnop"
	for _, c := range []struct {
		name          string
		method        string
		first, second Head
		second_       string
		read          int
		want          string
		failure       Reason
		sent          int
	}{
		{"the same tag", "GET", tagged(200, `"1"`), tagged(200, `"1"`), text, 2, text, 0, 2},
		{"another tag", "GET", tagged(200, `"1"`), tagged(200, `"2"`), text, 2, "abcdefgh", ConnectionTerminated, 2},
		{"another status", "GET", tagged(200, `"1"`), tagged(404, `"1"`), text, 2, "abcdefgh", ConnectionTerminated, 2},
		{"less than was read", "GET", tagged(200, `"1"`), tagged(200, `"1"`), "abcdefg", 2, "abcdefgh", ConnectionTerminated, 2},
		{"no connection", "GET", tagged(200, `"1"`), Head{Failure: &Failure{Reason: ConnectionRefused}}, "", 2, "abcdefgh", ConnectionTerminated, 2},
		{"a weak tag", "GET", tagged(200, `W/"1"`), tagged(200, `W/"1"`), text, 2, "abcdefgh", ConnectionTerminated, 1},
		{"no tag", "GET", Head{Status: 200}, Head{Status: 200}, text, 2, "abcdefgh", ConnectionTerminated, 1},
		{"no tag and nothing read", "GET", Head{Status: 200}, Head{Status: 200}, text, 0, text, 0, 2},
		{"a PUT", "PUT", tagged(200, `"1"`), tagged(200, `"1"`), text, 0, "", ConnectionTerminated, 1},
		{"a POST with a key and nothing read", "POST", Head{Status: 200}, Head{Status: 200}, text, 0, text, 0, 2},
		{"a POST with a key", "POST", tagged(200, `"1"`), tagged(200, `"1"`), text, 2, "abcdefgh", ConnectionTerminated, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.answer = func(n int, _ *Request) (Head, []string) {
				if n == 1 {
					return c.first, []string{text}
				}
				return c.second, []string{c.second_}
			}
			var got string
			var failure *Failure
			run := func(pieces int) func(e *Exchanges) error {
				return func(e *Exchanges) error {
					x, err := e.Send(Request{Method: c.method, Path: "/"})
					if err == nil {
						_, err = e.Outcome(x)
					}
					if err == nil {
						got, failure, err = body(e, x, pieces)
					}
					return err
				}
			}
			w.life(0, run(c.read))
			w.life(w.last(), run(100))
			if got != c.want || len(w.sent) != c.sent {
				t.Errorf("got %q after %d requests, want %q after %d", got, len(w.sent), c.want, c.sent)
			}
			if failure == nil && c.failure != 0 || failure != nil && failure.Reason != c.failure {
				t.Errorf("got %v, want %v", failure, c.failure)
			}
			// A third life has all of it from the oplog.
			w.life(w.last(), run(100))
			if got != c.want || len(w.sent) != c.sent {
				t.Errorf("replay gives %q after %d requests", got, len(w.sent))
			}
		})
	}
}

func TestAnAttemptThatIsRepeatedHasTheSameKeys(t *testing.T) {
	w := newWorld(t)
	w.answer = func(int, *Request) (Head, []string) { return Head{Status: 200}, nil }
	attempt := func(invocation uint64) func(*Exchanges) error {
		return func(e *Exchanges) error {
			e.Begin(invocation)
			for _, r := range []Request{{Method: "POST", Path: "/a"}, {Method: "GET"}, {Method: "POST", Path: "/a"}, {Method: "POST", Headers: []Field{{"idempotency-key", []byte("mine")}}}} {
				if _, err := e.Send(r); err != nil {
					return err
				}
			}
			return nil
		}
	}
	w.life(0, func(e *Exchanges) error { return errors.Join(attempt(1)(e), attempt(1)(e), attempt(2)(e)) })
	if len(w.sent) != 12 || !reflect.DeepEqual(w.sent[:4], w.sent[4:8]) {
		t.Fatalf("two attempts sent %q", w.sent)
	}
	if w.sent[0] == w.sent[2] || w.sent[0] == w.sent[8] || w.sent[1] != "GET   " || w.sent[3] != "POST   mine" {
		t.Errorf("they sent %q", w.sent)
	}
	w.policy.Keys = false // a replay has what was recorded
	before := len(w.sent)
	w.life(w.last(), func(e *Exchanges) error {
		return errors.Join(attempt(1)(e), attempt(1)(e), attempt(2)(e), attempt(3)(e))
	})
	if got := w.sent[before]; got != "POST /a  " {
		t.Errorf("without keys it sent %q", got)
	}
}

// TestARequestCostsOneCommit counts the commits of requests that a program sends one
// after the other, reading what comes back, and at the same time. Each has left
// behind its intent.
func TestARequestCostsOneCommit(t *testing.T) {
	const many = 20
	for _, c := range []struct {
		name     string
		together bool
		want     uint64
	}{{"one after the other", false, many}, {"at the same time", true, 1}} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(method+" "+c.name, func(t *testing.T) {
				w := newWorld(t)
				w.together = true
				w.answer = func(n int, _ *Request) (Head, []string) {
					if durable := w.last(); durable < uint64(n) {
						t.Errorf("request %d has left behind %d entries", n, durable)
					}
					return Head{Status: 200}, []string{"ab", "c"}
				}
				take := func(e *Exchanges, x *Exchange) error {
					_, err := e.Outcome(x)
					if err == nil {
						_, _, err = body(e, x, 3)
					}
					return err
				}
				w.life(0, func(e *Exchanges) error {
					var later []*Exchange
					for range many {
						x, err := e.Send(Request{Method: method, Body: []byte("b")})
						if later = append(later, x); err == nil && !c.together {
							err = take(e, x)
						}
						if err != nil {
							return err
						}
					}
					for _, x := range later {
						if !c.together {
							break
						}
						if err := take(e, x); err != nil {
							return err
						}
					}
					return nil
				})
				if w.flushes != c.want || len(w.sent) != many {
					t.Errorf("%d commits for %d requests, want %d for %d", w.flushes, len(w.sent), c.want, many)
				}
			})
		}
	}
}

func TestAnotherBodyThanRecordedDiverges(t *testing.T) {
	w := newWorld(t)
	w.answer = func(int, *Request) (Head, []string) { return Head{Status: 200}, nil }
	send := func(body string) func(*Exchanges) error {
		return func(e *Exchanges) error {
			_, err := e.Send(Request{Method: "PUT", Body: []byte(body)})
			return err
		}
	}
	w.life(0, send("a"))
	w.life(w.last(), func(e *Exchanges) error {
		var divergence *durable.DivergenceError
		if err := send("b")(e); !errors.As(err, &divergence) {
			t.Errorf("got %v", err)
		}
		return nil
	})
}

func TestARequestThatFitsNoEntryIsRefused(t *testing.T) {
	w := newWorld(t)
	w.life(0, func(e *Exchanges) error {
		_, err := e.Send(Request{Method: "GET", Path: strings.Repeat("x", MaxHead)})
		if !errors.Is(err, ErrHead) {
			t.Errorf("got %v", err)
		}
		return nil
	})
}

// TestABodyIsSentAgainFromTheOplogAndGoesOn writes a body of several chunks, of
// which the process sees only the first ones, in every place where it can end.
func TestABodyIsSentAgainFromTheOplogAndGoesOn(t *testing.T) {
	w := newWorld(t)
	var sources []Source
	w.answer = func(_ int, r *Request) (Head, []string) {
		sources = append(sources, r.Source)
		return Head{Status: 200}, nil
	}
	parts := []string{"ab", "", "cde", "f"}
	program := func(upTo int) func(*Exchanges) error {
		return func(e *Exchanges) error {
			x, err := e.Send(Request{Method: "PUT", Streamed: true})
			for i, p := range parts[:upTo] {
				end, trailers := Unfinished, []Field(nil)
				if i == len(parts)-1 {
					end, trailers = Whole, []Field{{"t", []byte("1")}}
				}
				err = errors.Join(err, e.Write(x, []byte(p), end, trailers))
			}
			if err != nil {
				return err
			}
			if err := e.Progress(x, false); err != nil {
				return err
			}
			if x.Over {
				t.Error("nobody takes the body")
			}
			source := sources[len(sources)-1]
			got := ""
			for len(got) < len(strings.Join(parts[:upTo], "")) {
				p, err := source.Next(context.Background())
				if err != nil {
					return err
				}
				got += string(p)
			}
			if want := strings.Join(parts[:upTo], ""); got != want {
				t.Errorf("%d parts: got %q, want %q", upTo, got, want)
			}
			if upTo < len(parts) {
				return nil
			}
			if _, err := source.Next(context.Background()); !errors.Is(err, io.EOF) || len(source.Trailers()) != 1 {
				t.Errorf("it ends with %v and %v", err, source.Trailers())
			}
			return nil
		}
	}
	for n := 1; n <= len(parts); n++ {
		w.store = memory.New()
		sources = nil
		w.life(0, program(n))
		if len(sources) != 1 {
			t.Fatalf("%d requests were sent", len(sources))
		}
		// What was looked at is in the oplog too; the next life has all but that.
		w.life(w.last()-1, program(n))
		if len(sources) != 2 {
			t.Errorf("%d parts: %d requests were sent", n, len(sources))
		}
	}
}

// TestWhatAProgramGivesUpIsNotSentAgain ends a body before its end, and crashes.
func TestWhatAProgramGivesUpIsNotSentAgain(t *testing.T) {
	w := newWorld(t)
	w.answer = func(_ int, r *Request) (Head, []string) { return Head{Status: 200}, nil }
	program := func(e *Exchanges) error {
		x, err := e.Send(Request{Method: "PUT", Streamed: true})
		if err != nil {
			return err
		}
		return errors.Join(e.Write(x, []byte("ab"), Aborted, nil), e.Progress(x, true))
	}
	w.life(0, program)
	w.life(w.last()-1, func(e *Exchanges) error {
		err := program(e)
		for call, r := range e.replies {
			if h, _ := r.Head(); h.Failure == nil || h.Failure.Reason != ProtocolError {
				t.Errorf("request %d: got %+v", call, h)
			}
		}
		return err
	})
	if len(w.sent) != 1 {
		t.Errorf("it was sent %d times", len(w.sent))
	}
}

func TestRecordedValuesAreReadAsTheyWereWritten(t *testing.T) {
	texts := rapid.StringN(0, 5, 20)
	fields := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Field {
		return Field{texts.Draw(t, "name"), []byte(texts.Draw(t, "value"))}
	}), 1, 3)
	rapid.Check(t, func(t *rapid.T) {
		f := &Failure{Reason: Reason(rapid.Byte().Draw(t, "reason")), Text: texts.Draw(t, "text"), Size: rapid.Uint64().Draw(t, "size")}
		if rapid.Bool().Draw(t, "well") {
			f = nil
		}
		r := Request{
			Method: texts.Draw(t, "method"), Scheme: texts.Draw(t, "scheme"), Authority: texts.Draw(t, "authority"), Path: texts.Draw(t, "path"),
			Headers: fields.Draw(t, "headers"), Trailers: fields.Draw(t, "trailers"), Timeouts: Timeouts{1, rapid.Uint64().Draw(t, "first"), 3},
		}
		same(t, send.Request, newTicket(&r))
		same(t, send.Response, Head{Status: rapid.Uint16().Draw(t, "status"), Headers: fields.Draw(t, "headers"), Failure: f})
		same(t, send.Response, Head{Status: 200, Headers: fields.Draw(t, "headers"), Given: true, Body: []byte(texts.Draw(t, "body"))})
		same(t, read.Response, Piece{[]byte(texts.Draw(t, "bytes")), rapid.Bool().Draw(t, "end"), fields.Draw(t, "trailers"), f})
		same(t, read.Request, reading{rapid.Uint64().Draw(t, "call"), 9, 5, rapid.Bool().Draw(t, "block")})
		same(t, write.Request, chunk{call: 1, offset: rapid.Uint64().Draw(t, "offset"), end: Whole, trailers: fields.Draw(t, "trailers"), bytes: []byte(texts.Draw(t, "bytes"))})
		same(t, progress.Request, progressing{1, 2, rapid.Uint64().Draw(t, "taken"), rapid.Bool().Draw(t, "block")})
		same(t, progress.Response, Progress{rapid.Uint64().Draw(t, "taken"), rapid.Bool().Draw(t, "over")})
		same(t, key.Response, texts.Draw(t, "key"))
	})
}

// same demands that a codec gives back what it was given, and nothing for less.
func same[T any](t *rapid.T, c durable.Codec[T], v T) {
	b := c.Append(nil, v)
	got, err := c.Decode(bytes.Clone(b))
	if err != nil || !reflect.DeepEqual(got, v) {
		t.Fatalf("got %+v (%v), want %+v", got, err, v)
	}
	for n := range b {
		if less, err := c.Decode(b[:n]); err == nil && reflect.DeepEqual(less, v) {
			t.Fatalf("%d of %d bytes give the same", n, len(b))
		}
	}
	if c.Show != nil {
		_ = c.Show(v)
	}
}
