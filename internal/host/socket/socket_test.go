package socket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/await"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

var (
	alice  = id.Worker{Component: "shop", Name: "alice"}
	here   = netip.MustParseAddrPort("127.0.0.1:4000")
	there  = netip.MustParseAddrPort("10.0.0.7:5432")
	anyone = netip.AddrPort{}
)

// world is a machine whose workers live many lives, and a network on which all
// that is sent comes back in capital letters. It writes down what happens on it.
type world struct {
	t      *testing.T
	sim    *sched.Simulation
	store  *memory.Store
	writer *oplog.Writer
	diary  []string
	delay  time.Duration // before a connection or an answer is there
	taken  bool          // every address is
}

func newWorld(t *testing.T) *world {
	return &world{t: t, sim: sched.NewSimulation(1), store: memory.New()}
}

func (w *world) note(format string, args ...any) {
	w.diary = append(w.diary, fmt.Sprintf(format, args...))
}

func (w *world) Live() uint64 { return uint64(w.sim.Monotonic()) }
func (w *world) Saw(uint64)   {}

// last is the last entry that is durable.
func (w *world) last() uint64 {
	_, last, err := w.store.Logs().Bounds(context.Background(), alice)
	if err != nil {
		w.t.Fatal(err)
	}
	return last
}

// life lets a program run over the first n entries that are there, dropping the
// others, and commits what it adds.
func (w *world) life(n uint64, program func(s *Sockets) error) {
	w.t.Helper()
	err := w.sim.Run(func() {
		ctx := context.Background()
		if last := w.last(); n < last {
			w.cut(n)
		}
		c, err := oplog.NewCommitter(ctx, w.sim, w.store.Logs(), 0)
		if err != nil {
			w.t.Error(err)
			return
		}
		w.writer = c.NewWriter(alice, w.last())
		session := durable.NewSession(ctx, durable.Config{
			Worker: alice, Writer: w.writer, Cursor: oplog.NewCursor(w.store.Logs(), alice, 1, n),
		})
		events := await.New(await.Config{Session: session, Sched: w.sim, Clock: w})
		s := New(Config{Session: session, Sched: w.sim, Events: events, Network: w, Policy: func() Policy { return Policy{} }})
		if err := program(s); err != nil {
			w.t.Error(err)
		}
		s.CloseAll()
		if err := errors.Join(w.writer.Commit(ctx), c.Close()); err != nil {
			w.t.Error(err)
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// cut makes a store that has the first n entries alone.
func (w *world) cut(n uint64) {
	ctx := context.Background()
	old := w.store
	w.store = memory.New()
	c, err := oplog.NewCommitter(ctx, w.sim, w.store.Logs(), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	writer := c.NewWriter(alice, 0)
	if n > 0 {
		for e, err := range oplog.Read(ctx, old.Logs(), alice, 1, n) {
			if err != nil {
				w.t.Fatal(err)
			}
			if _, err := writer.Append(ctx, e.Body); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	if err := errors.Join(writer.Commit(ctx), c.Close()); err != nil {
		w.t.Fatal(err)
	}
}

// fake is a live socket of any kind.
type fake struct {
	w      *world
	ties   Ties
	name   string
	at     Outcome
	made   bool
	in     []byte
	grams  []Datagram
	answer Answer
	closed bool
}

func (f *fake) later() {
	if f.w.delay == 0 {
		f.made = true
		return
	}
	f.w.sim.Go("fake", func() {
		_ = f.w.sim.Sleep(context.Background(), f.w.delay)
		f.made = true
		f.ties.Changed()
	})
}

func (f *fake) Local() netip.AddrPort    { return f.at.Local }
func (f *fake) Outcome() (Outcome, bool) { return f.at, f.made }
func (f *fake) Keep(KeepAlive)           {}
func (f *fake) Room() (int, Code)        { return Queue, OK }
func (f *fake) Close()                   { f.closed = true; f.w.note("%s closed", f.name) }
func (f *fake) Shutdown(r, s bool)       { f.w.note("%s shut %t %t", f.name, r, s) }
func (f *fake) Answer() (Answer, bool)   { return f.answer, f.made }

// Write is what a sender does later: it commits first, and all is durable then.
func (f *fake) Write(p []byte) {
	if err := f.ties.Commit(context.Background()); err != nil {
		f.w.t.Error(err)
	}
	f.w.note("%s sends %s behind entry %d", f.name, p, f.w.last())
	f.in = append(f.in, bytes.ToUpper(p)...)
}

func (f *fake) Read(limit int) (Piece, bool) {
	n := min(limit, len(f.in))
	p := Piece{Bytes: f.in[:n]}
	f.in = f.in[n:]
	return p, n > 0
}

type fakeConnection struct{ *fake }

func (f fakeConnection) Ready() bool { return len(f.in) > 0 }

type fakeListener struct{ *fake }

func (f fakeListener) Ready() bool { return true }

func (f fakeListener) Accept() (Connection, Outcome, bool) {
	c := fakeConnection{&fake{w: f.w, ties: f.ties, name: "accepted", made: true, at: Outcome{Local: here, Remote: there}}}
	c.in = []byte("hello")
	return c, c.at, true
}

type fakeDatagrams struct{ *fake }

func (f fakeDatagrams) Ready(netip.AddrPort) bool                  { return len(f.grams) > 0 }
func (f fakeDatagrams) May(to netip.AddrPort, names []string) Code { return OK }
func (f fakeDatagrams) Source(netip.AddrPort, []string) (netip.AddrPort, Code) {
	return here, OK
}

func (f fakeDatagrams) Send(list []Datagram) {
	if err := f.ties.Commit(context.Background()); err != nil {
		f.w.t.Error(err)
	}
	for _, d := range list {
		f.w.note("UDP sends %s", d.Bytes)
		f.grams = append(f.grams, Datagram{d.Remote, bytes.ToUpper(d.Bytes)})
	}
}

func (f fakeDatagrams) Receive(_ netip.AddrPort, most int) ([]Datagram, Code) {
	n := min(most, len(f.grams))
	list := f.grams[:n]
	f.fake.grams = f.grams[n:]
	return list, OK
}

func (w *world) Connect(_ context.Context, d Dial, t Ties) Connection {
	w.note("connect to %v", d.Remote)
	f := &fake{w: w, ties: t, name: "connection", at: Outcome{Local: here, Remote: d.Remote}}
	f.later()
	return fakeConnection{f}
}

func (w *world) Reserve(local netip.AddrPort, _ Policy) (Reservation, Code) {
	if w.taken {
		return nil, AddressInUse
	}
	w.note("reserve %v", local)
	return &fake{w: w, name: "reservation", at: Outcome{Local: here}}, OK
}

func (w *world) Listen(l Listen, r Reservation, t Ties) (Listener, Code) {
	if w.taken {
		return nil, AddressInUse
	}
	w.note("listen at %v, reserved %t, again %t", l.Local, r != nil, l.Again)
	return fakeListener{&fake{w: w, ties: t, name: "listener"}}, OK
}

func (w *world) Datagrams(local netip.AddrPort, again bool, t Ties) (Datagrams, Code) {
	w.note("UDP at %v, again %t", local, again)
	return fakeDatagrams{&fake{w: w, ties: t, name: "UDP", at: Outcome{Local: here}}}, OK
}

func (w *world) Resolve(_ context.Context, name string, t Ties) Lookup {
	w.note("look up %s", name)
	f := &fake{w: w, ties: t, name: "lookup", answer: Answer{Addresses: []netip.Addr{there.Addr()}}}
	f.later()
	return f
}

// client is a program that looks a name up, connects, says something twice and
// gives what comes back. It begins anew when the connection is lost.
func client(got *string) func(*Sockets) error {
	return func(s *Sockets) error {
		call, err := s.Resolve(1, "db.local")
		if err != nil {
			return err
		}
		found, err := s.Resolved(1, call, "db.local")
		if err != nil || len(found.Addresses) != 1 {
			return fmt.Errorf("found %v: %w", found, err)
		}
		for try := range 9 {
			*got = ""
			d := Dial{Remote: netip.AddrPortFrom(found.Addresses[0], 5432)}
			call, err := s.Connect(2, d)
			if err != nil {
				return err
			}
			if o, err := s.Connected(2, call, d); err != nil || o.Code != OK {
				return fmt.Errorf("connected %v: %w", o, err)
			}
			lost, err := converse(s, got)
			if err != nil {
				return err
			}
			s.Close(2)
			if !lost {
				*got += fmt.Sprintf(", %d lost", try)
				return nil
			}
		}
		return errors.New("it was lost again and again")
	}
}

func converse(s *Sockets, got *string) (lost bool, err error) {
	sent, read := uint64(0), uint64(0)
	for _, word := range []string{"one", "two"} {
		code, err := s.Send(2, sent, []byte(word))
		if err != nil || code != OK {
			return code == ConnectionReset, err
		}
		sent += uint64(len(word))
		for read < sent {
			if _, err := s.Events.Wait(await.Forever, false, []await.Event{s.Incoming(2, read)}); err != nil {
				return false, err
			}
			p, err := s.Receive(2, read, 2, false)
			if err != nil || p.End {
				return p.Code == ConnectionReset, err
			}
			read += uint64(len(p.Bytes))
			*got += string(p.Bytes)
		}
	}
	return false, nil
}

// TestWhereverAWorkerDiesItsConnectionsWereReset kills a client behind every entry
// of its life. The next life makes the same steps up to there, without touching
// the network, and then finds that the connection is gone, or makes it for the
// first time.
func TestWhereverAWorkerDiesItsConnectionsWereReset(t *testing.T) {
	var want string
	w := newWorld(t)
	w.delay = time.Second
	w.life(0, client(&want))
	if want != "ONETWO, 0 lost" {
		t.Fatalf("got %q", want)
	}
	first, last := w.diary, w.last()
	if got := strings.Join(first, "\n"); !strings.Contains(got, "connection sends one behind entry 5\n") {
		t.Errorf("a send left before its entry was durable:\n%s", got)
	}
	kept := w.store
	for n := uint64(0); n <= last; n++ {
		w.store, w.diary = kept, nil
		var got string
		w.life(n, client(&got))
		diary := strings.Join(w.diary, "; ")
		want := []string{"ONETWO, 0 lost", "ONETWO, 1 lost"}
		if !strings.HasPrefix(got, "ONETWO") {
			t.Errorf("after %d entries: got %q (%s)", n, got, diary)
		}
		lost := got == want[1]
		// Entries 1 and 2 are the lookup, 3 and 4 the connection, 5 on what goes
		// over it.
		if wantLost := n >= 4 && n < last; lost != wantLost {
			t.Errorf("after %d of %d entries: lost %t, want %t (%s)", n, last, lost, wantLost, diary)
		}
		if lookup := strings.Contains(diary, "look up"); lookup != (n < 2) {
			t.Errorf("after %d entries: looked up %t", n, lookup)
		}
		if connects := strings.Count(diary, "connect to"); connects != 1 && n < last || n == last && connects != 0 {
			t.Errorf("after %d entries: %d connections (%s)", n, connects, diary)
		}
	}
}

// TestWhatWasInDoubtIsTriedAgainAndToldSo looks for the entries that say so.
func TestWhatWasInDoubtIsTriedAgainAndToldSo(t *testing.T) {
	var got string
	w := newWorld(t)
	w.life(0, client(&got))
	kept := w.store
	for _, n := range []uint64{1, 3} {
		w.store = kept
		w.life(n, client(&got))
		repeated := 0
		for e, err := range oplog.Read(t.Context(), w.store.Logs(), alice, 1, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if b, is := e.Body.(*oplog.HostCallRepeated); is && b.Started == n {
				repeated++
			}
		}
		if repeated != 1 {
			t.Errorf("after %d entries: it was said %d times that the call is made again", n, repeated)
		}
	}
}

// server is a program that listens, accepts a connection and reads from it.
func server(got *string) func(*Sockets) error {
	return func(s *Sockets) error {
		o, err := s.Bind(1, anyone)
		if err != nil || o.Code != OK {
			return fmt.Errorf("bound %v: %w", o, err)
		}
		l := Listen{Local: o.Local, Backlog: 9}
		if code, err := s.Listen(1, l); err != nil || code != OK {
			return fmt.Errorf("listen: %v, %w", code, err)
		}
		for *got = ""; *got != "hello"; {
			if _, err := s.Events.Wait(await.Forever, false, []await.Event{s.Accepting(1, l)}); err != nil {
				return err
			}
			o, err := s.Accept(1, l)
			if err != nil || o.Code != OK {
				return fmt.Errorf("accept: %v, %w", o, err)
			}
			s.Keep(2)
			p, err := s.Receive(2, 0, 100, true)
			if err != nil {
				return err
			}
			*got = string(p.Bytes)
			s.Close(2)
		}
		return nil
	}
}

// TestAListenerComesBackByItself kills a server behind every entry.
func TestAListenerComesBackByItself(t *testing.T) {
	var got string
	w := newWorld(t)
	w.life(0, server(&got))
	last, kept := w.last(), w.store
	for n := uint64(0); n <= last; n++ {
		w.store, w.diary = kept, nil
		w.life(n, server(&got))
		if got != "hello" {
			t.Errorf("after %d entries: got %q", n, got)
		}
		diary := strings.Join(w.diary, "; ")
		wantAgain := n > 0 && n < last
		if again := strings.Contains(diary, "listen at 127.0.0.1:4000, reserved false, again true"); again != wantAgain {
			t.Errorf("after %d of %d entries: listened again %t, want %t (%s)", n, last, again, wantAgain, diary)
		}
	}
}

func TestAListenerWhoseAddressIsTakenSaysSo(t *testing.T) {
	var got string
	w := newWorld(t)
	w.life(0, server(&got))
	w.taken = true
	w.life(3, func(s *Sockets) error { // bound and listening
		if _, err := s.Bind(1, anyone); err != nil {
			return err
		}
		l := Listen{Local: here, Backlog: 9}
		if code, err := s.Listen(1, l); err != nil || code != OK {
			return fmt.Errorf("listen: %v, %w", code, err)
		}
		if _, err := s.Events.Wait(await.Forever, false, []await.Event{s.Accepting(1, l)}); err != nil {
			return err
		}
		if o, err := s.Accept(1, l); err != nil || o.Code != AddressInUse {
			t.Errorf("accept: %v, %v", o.Code, err)
		}
		return nil
	})
}

// talker is a program that sends datagrams until what it has sent comes back.
func talker(got *string) func(*Sockets) error {
	return func(s *Sockets) error {
		o, err := s.BindDatagrams(1, anyone)
		if err != nil || o.Code != OK {
			return fmt.Errorf("bound %v: %w", o, err)
		}
		*got = ""
		for deadline := time.Hour; *got == ""; deadline += time.Hour {
			parcel := Parcel{Datagram: Datagram{there, []byte("ping")}}
			if sent, err := s.SendDatagrams(1, o.Local, []Parcel{parcel}); err != nil || sent != (Room{1, OK}) {
				return fmt.Errorf("sent %v: %w", sent, err)
			}
			if _, err := s.Events.Wait(uint64(deadline), false, []await.Event{s.Datagram(1, o.Local, anyone)}); err != nil {
				return err
			}
			r, err := s.ReceiveDatagrams(1, o.Local, anyone, 5)
			if err != nil {
				return err
			}
			for _, d := range r.Datagrams {
				*got += string(d.Bytes)
			}
		}
		return nil
	}
}

// TestASocketForDatagramsIsBoundAgain kills a program behind every entry. What was
// on its way is lost, and the socket has the address that it had.
func TestASocketForDatagramsIsBoundAgain(t *testing.T) {
	var got string
	w := newWorld(t)
	w.life(0, talker(&got))
	last, kept := w.last(), w.store
	for n := uint64(0); n <= last; n++ {
		w.store, w.diary = kept, nil
		w.life(n, talker(&got))
		if got != "PING" {
			t.Errorf("after %d entries: got %q", n, got)
		}
		diary := strings.Join(w.diary, "; ")
		if again := strings.Contains(diary, "UDP at 127.0.0.1:4000, again true"); again != (n > 0 && n < last) {
			t.Errorf("after %d of %d entries: bound again %t (%s)", n, last, again, diary)
		}
	}
}

func TestOtherBytesThanRecordedDiverge(t *testing.T) {
	w := newWorld(t)
	say := func(word string, want error) func(*Sockets) error {
		return func(s *Sockets) error {
			d := Dial{Remote: there}
			call, err := s.Connect(1, d)
			if err == nil {
				_, err = s.Connected(1, call, d)
			}
			if err == nil {
				_, err = s.Send(1, 0, []byte(word))
			}
			var divergence *durable.DivergenceError
			if want != nil && !errors.As(err, &divergence) {
				t.Errorf("got %v", err)
				return nil
			}
			if want != nil {
				return nil
			}
			return err
		}
	}
	w.life(0, say("yes", nil))
	w.life(w.last(), say("no!", errors.New("diverges")))
}

func TestNothingIsDoneForAnOplogThatIsOnlyRead(t *testing.T) {
	w := newWorld(t)
	var got string
	w.life(0, client(&got))
	err := w.sim.Run(func() {
		session := durable.NewSession(t.Context(), durable.Config{Worker: alice, Cursor: oplog.NewCursor(w.store.Logs(), alice, 1, 4)})
		events := await.New(await.Config{Session: session, Sched: w.sim, Clock: w})
		s := New(Config{Session: session, Sched: w.sim, Events: events, Network: w, Policy: func() Policy { return Policy{} }})
		w.diary = nil
		if err := client(&got)(s); !errors.Is(err, durable.ErrEndOfLog) || len(w.diary) > 0 {
			t.Errorf("got %v, and %v happened", err, w.diary)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRecordedValuesAreReadAsTheyWereWritten(t *testing.T) {
	addresses := rapid.Custom(func(t *rapid.T) netip.AddrPort {
		port := rapid.Uint16().Draw(t, "port")
		switch rapid.IntRange(0, 2).Draw(t, "family") {
		case 0:
			return anyone
		case 1:
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "ip"))), port)
		}
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "ip"))), port)
	})
	codes := rapid.Custom(func(t *rapid.T) Code { return Code(rapid.IntRange(0, int(LastCode)).Draw(t, "code")) })
	texts := rapid.SliceOfN(rapid.Byte(), 1, 9)
	rapid.Check(t, func(t *rapid.T) {
		a, b, code, n := addresses.Draw(t, "a"), addresses.Draw(t, "b"), codes.Draw(t, "code"), rapid.Uint64().Draw(t, "n")
		same(t, bind.Request, binding{a, b})
		same(t, bind.Response, Outcome{code, a, b})
		same(t, listen.Request, listening{a, 7})
		same(t, listen.Response, code)
		same(t, accept.Request, n)
		same(t, receive.Request, reading{1, n, 3, rapid.Bool().Draw(t, "block")})
		same(t, receive.Response, Piece{texts.Draw(t, "bytes"), rapid.Bool().Draw(t, "end"), code})
		same(t, send.Request, newSending(1, n, texts.Draw(t, "sent")))
		same(t, room.Request, place{n, 2})
		same(t, room.Response, Room{n, code})
		same(t, receiveFrom.Request, receiving{n, a, 3})
		same(t, receiveFrom.Response, Received{[]Datagram{{a, texts.Draw(t, "datagram")}, {b, texts.Draw(t, "other")}}, code})
		same(t, sendTo.Request, newParcels(n, []Parcel{{Datagram: Datagram{a, texts.Draw(t, "parcel")}}}))
		same(t, resolve.Request, string(texts.Draw(t, "name")))
		same(t, resolve.Response, Answer{code, []netip.Addr{there.Addr()}})
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
