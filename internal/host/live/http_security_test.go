package live

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/host/reach"
)

// guarded is a server of this machine that counts its connections.
func guarded(t *testing.T) (port string, connections *atomic.Int64) {
	t.Helper()
	connections = new(atomic.Int64)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	_, port, _ = net.SplitHostPort(s.Listener.Addr().String())
	return port, connections
}

// TestNoFormOfAnAddressOfThisMachineReachesIt writes addresses as old resolvers
// take them, and as IPv6 carries those of IPv4.
func TestNoFormOfAnAddressOfThisMachineReachesIt(t *testing.T) {
	port, connections := guarded(t)
	c := newClient(t, reach.Public)
	for _, host := range []string{
		"2130706433", "017700000001", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.1", "127.0.1", "0", "0.0.0.0", "127.0.0.1.",
		"[::]", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1%25lo]", "[0:0:0:0:0:0:0:1]",
		"169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "localhost.", "LocalHost",
	} {
		h, _, end := c.all(c.begin(exchange.Request{Method: "GET", Scheme: "http", Authority: host + ":" + port, Path: "/", Timeouts: exchange.Timeouts{Connect: uint64(2 * time.Second)}}))
		f := h.Failure
		if f == nil {
			f = end.Failure
		}
		if f == nil {
			t.Errorf("%s: it answered", host)
			continue
		}
		switch f.Reason {
		case exchange.Denied, exchange.DNSError, exchange.DNSTimeout, exchange.URIInvalid:
		default:
			t.Errorf("%s: got %v", host, f)
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections came", n)
	}
}

// nameServer answers for every name with addresses that change each time.
type nameServer struct {
	net.PacketConn
	answers [][4]byte
	asked   atomic.Int64
}

func newNameServer(t *testing.T, answers ...[4]byte) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{PacketConn: conn, answers: answers}
	t.Cleanup(func() { _ = conn.Close() })
	go s.serve()
	return s
}

func (s *nameServer) serve() {
	for p := make([]byte, 512); ; {
		n, from, err := s.ReadFrom(p)
		if err != nil {
			return
		}
		_, _ = s.WriteTo(s.reply(p[:n]), from)
	}
}

// reply answers a question of type A with the next address, and others with none
// (RFC 1035, section 4).
func (s *nameServer) reply(q []byte) []byte {
	end := 12
	for end < len(q) && q[end] != 0 {
		end += 1 + int(q[end])
	}
	end += 5 // the root, type and class
	r := bytes.Clone(q[:end])
	r[2], r[3] = 0x85, 0x80
	binary.BigEndian.PutUint16(r[4:], 1)
	for i := 6; i < 12; i++ {
		r[i] = 0
	}
	if binary.BigEndian.Uint16(q[end-4:]) != 1 {
		return r
	}
	address := s.answers[int(s.asked.Add(1)-1)%len(s.answers)]
	r[7] = 1
	r = append(r, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
	return append(r, address[:]...)
}

// TestANameThatChangesItsAddressLeadsNowhereElse lets a name have a public address
// when it is looked at first, and that of this machine when it is looked at again.
func TestANameThatChangesItsAddressLeadsNowhereElse(t *testing.T) {
	port, connections := guarded(t)
	before := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = before })
	for name, answers := range map[string][][4]byte{
		"first public": {{1, 1, 1, 1}, {127, 0, 0, 1}},
		"first here":   {{127, 0, 0, 1}, {1, 1, 1, 1}},
		"always here":  {{127, 0, 0, 1}},
	} {
		s := newNameServer(t, answers...)
		net.DefaultResolver = resolverOf(s.LocalAddr().String())
		for range 6 {
			c := newClient(t, reach.Public)
			c.all(c.begin(exchange.Request{
				Method: "GET", Scheme: "http", Authority: "rebind.example.com:" + port, Path: "/",
				Timeouts: exchange.Timeouts{Connect: uint64(100 * time.Millisecond)},
			}))
		}
		if s.asked.Load() == 0 {
			t.Errorf("%s: the name was not looked up", name)
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections came", n)
	}
	// Who allows this machine reaches it by the same name, so the name did lead here.
	net.DefaultResolver = resolverOf(newNameServer(t, [4]byte{127, 0, 0, 1}).LocalAddr().String())
	c := newClient(t, "rebind.example.com")
	if h, _, _ := c.all(c.begin(exchange.Request{Method: "GET", Scheme: "http", Authority: "rebind.example.com:" + port, Path: "/"})); h.Status != 200 {
		t.Errorf("allowed: got %+v", h)
	}
}

// TestNothingOfARequestCanEndALine tries to bring a second request into the first
// by every part that a program gives.
func TestNothingOfARequestCanEndALine(t *testing.T) {
	s := serve(t, func(_ http.ResponseWriter, q *http.Request) {
		t.Errorf("it arrived: %s %s %v", q.Method, q.RequestURI, q.Header)
	})
	c := newClient(t, "127.0.0.1")
	for _, bad := range []string{"\r\n", "\n", "\r", "\x00", "\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"} {
		for name, spoil := range map[string]func(*exchange.Request){
			"method":    func(r *exchange.Request) { r.Method = "GET" + bad },
			"path":      func(r *exchange.Request) { r.Path = "/a" + bad },
			"query":     func(r *exchange.Request) { r.Path = "/?a" + bad },
			"authority": func(r *exchange.Request) { r.Authority += bad },
			"scheme":    func(r *exchange.Request) { r.Scheme += bad },
			"name":      func(r *exchange.Request) { r.Headers = []exchange.Field{{Name: "a" + bad, Value: []byte("b")}} },
			"value":     func(r *exchange.Request) { r.Headers = []exchange.Field{{Name: "a", Value: []byte("b" + bad + "c")}} },
			"trailer":   func(r *exchange.Request) { r.Trailers = []exchange.Field{{Name: "a" + bad, Value: []byte("b")}} },
		} {
			r := get(s, "/")
			spoil(&r)
			h, _, _ := c.all(c.begin(r))
			if h.Failure == nil || h.Failure.Reason != exchange.ProtocolError && h.Failure.Reason != exchange.URIInvalid {
				t.Errorf("%s with %q: got %+v", name, bad, h)
			}
		}
	}
}

// TestARequestHasOneLength has the program say several things of a body: what
// leaves says one, which is so.
func TestARequestHasOneLength(t *testing.T) {
	raw := make(chan string, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p := make([]byte, 64<<10)
			n, _ := conn.Read(p)
			raw <- string(p[:n])
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			_ = conn.Close()
		}
	}()
	c := newClient(t, "127.0.0.1")
	r := exchange.Request{Method: "POST", Scheme: "http", Authority: l.Addr().String(), Path: "/", Body: []byte("12345")}
	for _, f := range []string{"content-length: 5", "content-length: 99", "transfer-encoding: chunked", "transfer-encoding: identity", "te: trailers", "connection: x", "keep-alive: 1", "upgrade: h2c", "proxy-connection: close", "trailer: x"} {
		name, v, _ := strings.Cut(f, ": ")
		r.Headers = append(r.Headers, exchange.Field{Name: name, Value: []byte(v)})
	}
	if h, _, _ := c.all(c.begin(r)); h.Failure != nil {
		t.Fatal(h.Failure)
	}
	head, body, _ := strings.Cut(<-raw, "\r\n\r\n")
	lower := strings.ToLower(head)
	if n := strings.Count(lower, "content-length:"); n != 1 || !strings.Contains(lower, "content-length: 5\r\n") || strings.Contains(lower, "transfer-encoding") || body != "12345" {
		t.Errorf("it left as\n%s\n\n%s", head, body)
	}
}

// dribble is a server that sends a byte at a time, for ever.
func dribble(t *testing.T, begin string) exchange.Request {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 4096))
				fmt.Fprint(conn, begin)
				for {
					time.Sleep(time.Millisecond)
					if _, err := conn.Write([]byte("x")); err != nil {
						return
					}
				}
			}()
		}
	}()
	return exchange.Request{Method: "GET", Scheme: "http", Authority: l.Addr().String(), Path: "/"}
}

// TestAResponseThatDribblesIsBounded has heads that never end, which no pause
// between bytes would stop, and bodies.
func TestAResponseThatDribblesIsBounded(t *testing.T) {
	c := newClient(t, "127.0.0.1")
	for _, begin := range []string{"", "HTTP/1.1 ", "HTTP/1.1 200 OK\r\na: ", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\na"} {
		r := dribble(t, begin)
		r.Timeouts.FirstByte = uint64(100 * time.Millisecond)
		c.fails(exchange.ResponseTimeout, r)
	}
	c.policy.MaxBody = 50
	r := dribble(t, "HTTP/1.1 200 OK\r\n\r\n")
	c.fails(exchange.ResponseBodySize, r)
}

// TestACompressedBodyIsNotUndone has a body that would be large.
func TestACompressedBodyIsNotUndone(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 64 {
		_, _ = z.Write(make([]byte, 1<<20))
	}
	_ = z.Close()
	s := serve(t, func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Accept-Encoding") != "" && q.Header.Get("X-Mine") == "" {
			t.Errorf("the client asks for %s by itself", q.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	})
	c := newClient(t, "127.0.0.1")
	r := get(s, "/")
	for range 2 {
		h, body, end := c.all(c.begin(r))
		if h.Failure != nil || end.Failure != nil || body != bomb.String() {
			t.Errorf("got %d bytes, %v, %v; want the %d as they are", len(body), h.Failure, end.Failure, bomb.Len())
		}
		r.Headers = []exchange.Field{{Name: "accept-encoding", Value: []byte("gzip")}, {Name: "x-mine", Value: []byte("1")}}
	}
}

// TestARedirectIsNotFollowedToWhatIsDenied has a server that is allowed lead to
// one that is not.
func TestARedirectIsNotFollowedToWhatIsDenied(t *testing.T) {
	port, connections := guarded(t)
	for _, code := range []int{301, 302, 303, 307, 308} {
		s := serve(t, func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, "http://127.0.0.2:"+port+"/", code) })
		c := newClient(t, "127.0.0.1")
		h, _, _ := c.all(c.begin(get(s, "/")))
		if int(h.Status) != code {
			t.Errorf("got %+v", h)
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections came", n)
	}
}

// TestHeadsOfResponsesAreBoundedOverHTTP2 is of fields, of which there is no end.
func TestHeadsOfResponsesAreBoundedOverHTTP2(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/trailers" {
			for i := range 100 {
				w.Header().Set(fmt.Sprintf("%sx-%d", http.TrailerPrefix, i), strings.Repeat("y", 8<<10))
			}
			_, _ = io.WriteString(w, "body")
			return
		}
		for i := range 100 {
			w.Header().Set(fmt.Sprint("x-", i), strings.Repeat("y", 8<<10))
		}
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	c := newClient(t, "127.0.0.1")
	c.policy.Egress.Roots = certificatesOf(s)
	c.fails(exchange.ProtocolError, get(s, "/")) // the connection ends where the bound is crossed
	if h, _, end := c.all(c.begin(get(s, "/trailers"))); h.Failure == nil && end.Failure == nil {
		n := 0
		for _, f := range end.Trailers {
			n += len(f.Name) + len(f.Value)
		}
		if n > maxResponseHead {
			t.Errorf("the trailers had %d bytes", n)
		}
	}
}
