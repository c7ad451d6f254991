package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/reach"
	"github.com/waterbear-run/waterbear/internal/host/socket"
	"github.com/waterbear-run/waterbear/internal/sched"
)

// netting is sockets on real tasks, and waits for what they give.
type netting struct {
	*Sockets
	t       *testing.T
	policy  socket.Policy
	changed sched.Condition
	commits atomic.Int64
	commit  func(context.Context) error
}

func newNode(t *testing.T, allow, listen []string) *netting {
	t.Helper()
	s := sched.NewGoroutines()
	n := &netting{Sockets: NewSockets(s), t: t, changed: s.NewCondition()}
	var err, also error
	n.policy.Reach, err = reach.Parse(allow)
	n.policy.Listen, also = reach.ParseLocal(listen)
	if err := errors.Join(err, also); err != nil {
		t.Fatal(err)
	}
	n.commit = func(context.Context) error { n.commits.Add(1); return nil }
	t.Cleanup(n.Close)
	return n
}

func (n *netting) ties() socket.Ties {
	return socket.Ties{Policy: n.policy, Changed: n.changed.Wake, Commit: n.commit}
}

func (n *netting) await(what string, so func() bool) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 20*time.Second)
	defer cancel()
	if err := n.changed.Wait(ctx, so); err != nil {
		n.t.Fatalf("in twenty seconds there was no %s", what)
	}
}

func (n *netting) connect(to netip.AddrPort, names ...string) (socket.Connection, socket.Outcome) {
	n.t.Helper()
	c := n.Connect(n.t.Context(), socket.Dial{Remote: to, Names: names}, n.ties())
	n.t.Cleanup(c.Close) // before the node's
	var o socket.Outcome
	n.await("connection", func() (made bool) {
		o, made = c.Outcome()
		return made
	})
	return c, o
}

// peer is a listener of somebody else's.
func peer(t *testing.T) (net.Listener, netip.AddrPort) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, netip.MustParseAddrPort(l.Addr().String())
}

func take(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

var (
	loopback = []string{"127.0.0.1"}
	anyPort  = netip.MustParseAddrPort("127.0.0.1:0")
)

func TestBytesGoBothWays(t *testing.T) {
	n := newNode(t, loopback, nil)
	l, at := peer(t)
	c, o := n.connect(at)
	other := take(t, l)
	if o.Remote != at || o.Local.String() != other.RemoteAddr().String() {
		t.Errorf("it was made %+v", o)
	}
	c.Write([]byte("hel"))
	c.Write([]byte("lo"))
	c.Shutdown(false, true)
	if got, err := io.ReadAll(other); err != nil || string(got) != "hello" {
		t.Errorf("the other side got %q, %v", got, err)
	}
	if _, err := other.Write([]byte("world")); err != nil {
		t.Fatal(err)
	}
	_ = other.Close()
	got, end := "", socket.Piece{}
	for !end.End {
		n.await("bytes", c.Ready)
		end, _ = c.Read(2)
		got += string(end.Bytes)
	}
	if got != "world" || end.Code != socket.OK {
		t.Errorf("got %q, then %v", got, end.Code)
	}
}

// TestNothingLeavesBeforeItIsDurable lets commits wait, and then gives what was
// sent meanwhile one commit.
func TestNothingLeavesBeforeItIsDurable(t *testing.T) {
	n := newNode(t, loopback, nil)
	durable := make(chan struct{})
	began := make(chan struct{}, 9)
	n.commit = func(ctx context.Context) error {
		n.commits.Add(1)
		began <- struct{}{}
		select {
		case <-durable:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	l, at := peer(t)
	c, _ := n.connect(at)
	other := take(t, l)
	c.Write([]byte("a"))
	<-began
	for range 1000 {
		c.Write([]byte("b")) // a chatty protocol
	}
	if err := other.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if m, err := other.Read(make([]byte, 9)); m > 0 || err == nil {
		t.Fatalf("%d bytes left before the commit", m)
	}
	close(durable)
	if err := other.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	all := make([]byte, 1001)
	if _, err := io.ReadFull(other, all); err != nil || string(all) != "a"+strings.Repeat("b", 1000) {
		t.Errorf("got %.9q…, %v", all, err)
	}
	if got := n.commits.Load(); got != 2 {
		t.Errorf("there were %d commits, want 2", got)
	}
	// A commit that fails lets nothing leave, and the program sees that.
	n.commit = func(context.Context) error { return errors.New("the disk is gone") }
	c, _ = n.connect(at)
	other = take(t, l)
	c.Write([]byte("lost"))
	n.await("failure", func() bool { _, code := c.Room(); return code == socket.ConnectionReset })
	c.Close()
	if got, _ := io.ReadAll(other); len(got) > 0 {
		t.Errorf("%q left", got)
	}
}

// TestAPeerThatDoesNotReadIsNotWaitedForForEver fills a connection, and closes it.
func TestAPeerThatDoesNotReadHoldsABoundedQueue(t *testing.T) {
	n := newNode(t, loopback, nil)
	l, at := peer(t)
	c, _ := n.connect(at)
	other := take(t, l)
	p := make([]byte, 64<<10)
	for stuck := 0; stuck < 20; {
		room, code := c.Room()
		if code != socket.OK || room > socket.Queue {
			t.Fatalf("there is room for %d: %v", room, code)
		}
		if room == 0 {
			stuck++
			time.Sleep(time.Millisecond) // for the kernel to take more, if it does
			continue
		}
		stuck = 0
		c.Write(p[:min(room, len(p))])
	}
	c.Close()
	// What was queued still leaves once somebody reads.
	if got, err := io.Copy(io.Discard, other); err != nil || got < socket.Queue {
		t.Errorf("%d bytes came, %v", got, err)
	}
}

func TestWhatComesInIsReadAheadOnlySoFar(t *testing.T) {
	n := newNode(t, loopback, nil)
	l, at := peer(t)
	c, _ := n.connect(at)
	other := take(t, l)
	done := make(chan error, 1)
	go func() {
		_, err := other.Write(make([]byte, 32<<20))
		done <- err
	}()
	n.await("bytes", c.Ready)
	select {
	case err := <-done:
		t.Fatalf("32 MiB were read ahead: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	live := c.(*connection)
	live.mu.Lock()
	ahead := len(live.in)
	live.mu.Unlock()
	if ahead > inbox+32<<10 {
		t.Errorf("%d bytes are read ahead", ahead)
	}
	c.Close()
	if err := <-done; err == nil {
		t.Error("all of it was taken")
	}
}

func TestALostConnectionIsReset(t *testing.T) {
	n := newNode(t, loopback, nil)
	l, at := peer(t)
	c, _ := n.connect(at)
	other := take(t, l).(*net.TCPConn)
	if err := errors.Join(other.SetLinger(0), other.Close()); err != nil {
		t.Fatal(err)
	}
	n.await("end", c.Ready)
	if p, ok := c.Read(9); !ok || !p.End || p.Code != socket.ConnectionReset {
		t.Errorf("got %+v", p)
	}
	if _, code := c.Room(); code != socket.ConnectionReset {
		t.Errorf("it can be written to: %v", code)
	}
	_ = l.Close()
	if _, o := n.connect(at); o.Code != socket.ConnectionRefused {
		t.Errorf("without a listener: %v", o.Code)
	}
}

// TestAddressesThatAreNotAllowedAreNotReached tries to reach a listener of this
// machine in every way there is: not one connection may come.
func TestAddressesThatAreNotAllowedAreNotReached(t *testing.T) {
	l, at := peer(t)
	go func() {
		if conn, err := l.Accept(); err == nil {
			t.Error("a connection came")
			_ = conn.Close()
		}
	}()
	for _, allow := range [][]string{nil, {reach.Public}, {"*.example.com", "localhost:1", "10.0.0.0/8"}, {"localhost"}} {
		n := newNode(t, allow, nil)
		for _, host := range []string{"127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2", "::1", "169.254.169.254", "192.168.0.1", "fe80::1", "fd00::1", "0.0.0.0"} {
			to := netip.AddrPortFrom(netip.MustParseAddr(host), at.Port())
			if _, o := n.connect(to); o.Code != socket.AccessDenied {
				t.Errorf("%v: %s was reached: %v", allow, host, o.Code)
			}
			// A name that the rules do not speak of is of no use, nor is one of
			// *.example.com that says it is at home here.
			if _, o := n.connect(to, "other", "a.example.com"); o.Code != socket.AccessDenied {
				t.Errorf("%v: %s was reached by a name: %v", allow, host, o.Code)
			}
		}
		if a := n.lookup("secret.internal"); a.Code != socket.AccessDenied && len(allow) < 2 && !n.policy.Reach.Mentions("any") {
			t.Errorf("%v: a name was looked up that no rule speaks of: %v", allow, a.Code)
		}
		if _, code := n.Listen(socket.Listen{Local: anyPort, Backlog: 1}, nil, n.ties()); code != socket.AccessDenied {
			t.Errorf("%v: it listens: %v", allow, code)
		}
		for _, local := range []string{"127.0.0.1:5353", "0.0.0.0:5353"} {
			if _, code := n.Reserve(netip.MustParseAddrPort(local), n.policy); code != socket.AccessDenied {
				t.Errorf("%v: %s can be reserved: %v", allow, local, code)
			}
			if _, code := n.Datagrams(netip.MustParseAddrPort(local), false, n.ties()); code != socket.AccessDenied {
				t.Errorf("%v: datagrams come in at %s: %v", allow, local, code)
			}
		}
	}
	if _, code := newNode(t, nil, nil).Datagrams(anyPort, false, socket.Ties{}); code != socket.AccessDenied {
		t.Errorf("without any rule there are datagrams: %v", code)
	}
	n := newNode(t, []string{"localhost"}, nil)
	l2, at := peer(t)
	if _, o := n.connect(at, "localhost"); o.Code != socket.OK {
		t.Errorf("by its name: %v", o.Code)
	}
	take(t, l2)
}

func (n *netting) lookup(name string) (a socket.Answer) {
	n.t.Helper()
	l := n.Resolve(n.t.Context(), name, n.ties())
	n.t.Cleanup(l.Close)
	n.await("answer", func() (done bool) {
		a, done = l.Answer()
		return done
	})
	return a
}

func TestNamesAreLookedUp(t *testing.T) {
	n := newNode(t, []string{"localhost:1", "*.invalid"}, nil)
	a := n.lookup("localhost")
	if a.Code != socket.OK || len(a.Addresses) == 0 || !a.Addresses[0].IsLoopback() {
		t.Errorf("localhost is %+v", a)
	}
	n.resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("there is no network")
	}}
	if a := n.lookup("nothing.invalid"); a.Code == socket.OK || len(a.Addresses) > 0 {
		t.Errorf("nothing.invalid is %+v", a)
	}
}

// listening is a listener of a worker's, bound and then listening.
func (n *netting) listening(again bool, at netip.AddrPort) socket.Listener {
	n.t.Helper()
	var r socket.Reservation
	if !again {
		var code socket.Code
		if r, code = n.Reserve(at, n.policy); code != socket.OK {
			n.t.Fatalf("reserve: %v", code)
		}
		at = r.Local()
	}
	l, code := n.Listen(socket.Listen{Local: at, Backlog: 16, Again: again}, r, n.ties())
	if code != socket.OK {
		n.t.Fatalf("listen: %v", code)
	}
	n.t.Cleanup(l.Close)
	return l
}

func TestConnectionsComeIn(t *testing.T) {
	n := newNode(t, nil, loopback)
	l := n.listening(false, anyPort)
	at := l.(*listener).at.Local
	conn, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	n.await("connection", l.Ready)
	c, o, there := l.Accept()
	if !there || o.Code != socket.OK || o.Remote.String() != conn.LocalAddr().String() || o.Local != at {
		t.Fatalf("got %+v, %t", o, there)
	}
	defer c.Close()
	c.Write([]byte("hi"))
	got := make([]byte, 2)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hi" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, _, there := l.Accept(); there {
		t.Error("there is another one")
	}
}

// TestAListenerThatComesBackWaitsForItsAddress has somebody else at the address,
// who leaves, and then one who does not.
func TestAListenerThatComesBackWaitsForItsAddress(t *testing.T) {
	n := newNode(t, nil, loopback)
	other, at := peer(t)
	l := n.listening(true, at)
	time.Sleep(3 * rebindPause)
	if l.Ready() {
		_, o, _ := l.Accept()
		t.Fatalf("it gave up: %v", o.Code)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	var conn net.Conn
	for deadline := time.Now().Add(20 * time.Second); conn == nil; time.Sleep(rebindPause) {
		var err error
		if conn, err = net.Dial("tcp", at.String()); err != nil && time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	defer conn.Close()
	n.await("connection", l.Ready)
	if c, o, _ := l.Accept(); o.Code != socket.OK {
		t.Errorf("got %v", o.Code)
	} else {
		c.Close()
	}
	_, taken := peer(t)
	stays := n.listening(true, taken)
	if testing.Short() {
		return // it takes ten seconds
	}
	n.await("failure", stays.Ready)
	if _, o, there := stays.Accept(); !there || o.Code != socket.AddressInUse {
		t.Errorf("got %v, %t", o.Code, there)
	}
}

func TestConnectionsThatNobodyAcceptsAreBounded(t *testing.T) {
	n := newNode(t, nil, loopback)
	l := n.listening(false, anyPort).(*listener)
	for range maxAhead + 8 {
		conn, err := net.Dial("tcp", l.at.Local.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	ahead := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.come)
	}
	n.await("connections", func() bool { return ahead() == maxAhead })
	if c, o, there := l.Accept(); !there || o.Code != socket.OK {
		t.Errorf("got %v", o.Code)
	} else {
		c.Close()
	}
	n.await("next one", func() bool { return ahead() == maxAhead })
}

func TestANodeHasABoundOnSockets(t *testing.T) {
	n := newNode(t, loopback, loopback)
	n.mu.Lock()
	n.open = maxSockets
	n.mu.Unlock()
	_, at := peer(t)
	if _, o := n.connect(at); o.Code != socket.NewSocketLimit {
		t.Errorf("connect: %v", o.Code)
	}
	if _, code := n.Reserve(anyPort, n.policy); code != socket.NewSocketLimit {
		t.Errorf("reserve: %v", code)
	}
	if _, code := n.Datagrams(anyPort, false, n.ties()); code != socket.NewSocketLimit {
		t.Errorf("datagrams: %v", code)
	}
	if a := n.lookup("127.0.0.1"); a.Code != socket.TemporaryResolver {
		t.Errorf("lookup: %v", a.Code)
	}
	n.mu.Lock()
	n.open = 0
	n.mu.Unlock()
}

func (n *netting) datagrams(local netip.AddrPort) socket.Datagrams {
	n.t.Helper()
	d, code := n.Datagrams(local, false, n.ties())
	if code != socket.OK {
		n.t.Fatalf("datagrams: %v", code)
	}
	n.t.Cleanup(d.Close)
	return d
}

// TestDatagramsComeFromThoseWhoMaySend has a socket that may send to one address
// only, and one that anybody may send to.
func TestDatagramsComeFromThoseWhoMaySend(t *testing.T) {
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	at := netip.MustParseAddrPort(server.LocalAddr().String())
	n := newNode(t, []string{at.String()}, nil)
	d := n.datagrams(anyPort)
	if code := d.May(netip.AddrPortFrom(at.Addr(), at.Port()+1), nil); code != socket.AccessDenied {
		t.Errorf("it may send elsewhere: %v", code)
	}
	if code := d.May(at, nil); code != socket.OK {
		t.Errorf("it may not send: %v", code)
	}
	d.Send([]socket.Datagram{{Remote: at, Bytes: []byte("ping")}, {Remote: at}})
	p := make([]byte, 99)
	m, from, err := server.ReadFromUDPAddrPort(p)
	if err != nil || string(p[:m]) != "ping" || from != d.Local() {
		t.Fatalf("got %q of %v, %v", p[:m], from, err)
	}
	stranger, err := net.Dial("udp4", d.Local().String())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := stranger.Write([]byte("attack")); err != nil {
		t.Fatal(err)
	}
	if _, err := server.WriteToUDPAddrPort([]byte("pong"), d.Local()); err != nil {
		t.Fatal(err)
	}
	n.await("datagram", func() bool { return d.Ready(netip.AddrPort{}) })
	list, code := d.Receive(netip.AddrPort{}, 9)
	if code != socket.OK || len(list) != 1 || string(list[0].Bytes) != "pong" || list[0].Remote != at {
		t.Errorf("got %v, %v", list, code)
	}
	if n.commits.Load() == 0 {
		t.Error("datagrams left without a commit")
	}
	// Where it may listen, anybody may send, and gets an answer.
	open := newNode(t, nil, loopback)
	served := open.datagrams(anyPort)
	client, err := net.Dial("udp4", served.Local().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	who := netip.MustParseAddrPort(client.LocalAddr().String())
	if code := served.May(who, nil); code != socket.AccessDenied {
		t.Errorf("it may send to those who have not: %v", code)
	}
	if _, err := client.Write([]byte("hi")); err != nil {
		t.Fatal(err)
	}
	open.await("datagram", func() bool { return served.Ready(who) })
	if code := served.May(who, nil); code != socket.OK {
		t.Errorf("it may not answer: %v", code)
	}
}

func TestDatagramsThatNobodyTakesAreBounded(t *testing.T) {
	var w waiting
	for range 2 * maxWaiting {
		w.add(socket.Datagram{Bytes: make([]byte, 10)})
	}
	if len(w.list) != maxWaiting || w.bytes != 10*maxWaiting {
		t.Errorf("%d datagrams of %d bytes wait", len(w.list), w.bytes)
	}
	w.take(maxWaiting)
	for range maxWaiting {
		w.add(socket.Datagram{Bytes: make([]byte, socket.MaxDatagram)})
	}
	if w.bytes > maxWaitingBytes || w.bytes < maxWaitingBytes-socket.MaxDatagram {
		t.Errorf("%d bytes wait", w.bytes)
	}
	p := peers{}
	for i := range 3 * maxPeers {
		p.add(netip.MustParseAddrPort(fmt.Sprintf("127.0.0.1:%d", 1000+i)))
	}
	if len(p) > maxPeers {
		t.Errorf("%d peers are remembered", len(p))
	}
}

// TestNothingIsLeftWhenAllIsClosed is what every test asks at its end, here after
// closing in the middle of everything.
func TestNothingIsLeftWhenAllIsClosed(t *testing.T) {
	n := newNode(t, []string{"0.0.0.0/0"}, loopback)
	l, at := peer(t)
	for range 50 {
		c := n.Connect(t.Context(), socket.Dial{Remote: at}, n.ties())
		c.Write([]byte("lost, for there is no connection yet"))
		c.Close()
		c.Close()
	}
	for range 20 {
		c, o := n.connect(at)
		if o.Code != socket.OK {
			t.Fatal(o.Code)
		}
		c.Write([]byte("leaves"))
		c.Close()
	}
	listening := n.listening(false, anyPort)
	if conn, err := net.Dial("tcp", listening.(*listener).at.Local.String()); err == nil {
		defer conn.Close()
	}
	listening.Close()
	d := n.datagrams(anyPort)
	d.Send([]socket.Datagram{{Remote: at, Bytes: []byte("leaves")}})
	d.Close()
	r, code := n.Reserve(anyPort, n.policy)
	if code != socket.OK {
		t.Fatal(code)
	}
	r.Close()
	r.Close()
	_ = l.Close()
	n.Sockets.Close()
	if n.open != 0 {
		t.Errorf("%d are left", n.open)
	}
}
