package wasip2

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/host/socket"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

func TestResourcesHoldABoundedNumberOfBytes(t *testing.T) {
	big := bytes.Repeat([]byte("x"), maxHeld/2)
	for name, grow := range map[string]func(r *rig) error{
		"fields": func(r *rig) error {
			_, err := r.try(appendName, r.call(newFieldsName), "a", big)
			return err
		},
		"fields without content": func(r *rig) error {
			f := r.call(newFieldsName)
			for range maxHeld / entryCost / 2 {
				if _, err := r.try(appendName, f, "a", []byte{}); err != nil {
					return err
				}
			}
			return nil
		},
		"fields that are set": func(r *rig) error {
			_, err := r.try(setName, r.call(newFieldsName), "a", []wit.Value{big})
			return err
		},
		"fields of a list": func(r *rig) error {
			_, err := r.try(fromList, []wit.Value{[]wit.Value{"a", big}})
			return err
		},
		"parts of requests": func(r *rig) error {
			_, err := r.try("[method]outgoing-request.set-path-with-query", r.call(newRequestName, r.headers()), some("/"+string(big)))
			return err
		},
		"copies": func(r *rig) error {
			f := r.call(newFieldsName)
			_, err := r.try(appendName, f, "a", big[:maxHeld/100])
			for err == nil {
				_, err = r.try(cloneName, f)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, wasi.Config{})
			must(t, onlyTrap(grow(r)))
			r.isTrap("hold more than", name, grow(r))
			if r.sys.held > maxHeld {
				t.Errorf("%d bytes are held", r.sys.held)
			}
		})
	}
	// What is written to a body fails as that of any body that is too large.
	r := newRig(t, wasi.Config{})
	out := r.ok(bodyWrite, r.ok(requestBodyName, r.call(newRequestName, r.headers())))
	written := 0
	for {
		r.ok(checkWriteName, out)
		c := r.call(writeName, out, big[:maxTransfer]).(wit.Case)
		if c.Index == 1 {
			break
		}
		written += maxTransfer
	}
	r.equal(written, maxHeld)
	r.fails("closed", writeName, out, []byte{})
}

// onlyTrap lets a first step of growing trap, where it already goes too far.
func onlyTrap(err error) error {
	if err != nil && strings.Contains(err.Error(), "hold more than") {
		return nil
	}
	return err
}

func TestThereIsABoundOnResources(t *testing.T) {
	r := newRig(t, wasi.Config{})
	for range maxResources {
		r.call(subInstant, uint64(1))
	}
	for _, name := range []string{newFieldsName, getStdinName, getStdoutName, "wasi:sockets/instance-network#instance-network", "[constructor]request-options"} {
		r.traps("more than 65536 resources", name)
	}
	r.traps("more than 65536 resources", "wasi:filesystem/preopens#get-directories")
	r.drop(uint32(77))
	r.equal(r.call(getStdinName), uint32(77)) // the lowest that is free
}

func TestSocketsAreRefused(t *testing.T) {
	r := newRig(t, wasi.Config{})
	for _, family := range []uint32{0, 1} {
		r.fails("access-denied", "wasi:sockets/tcp-create-socket#create-tcp-socket", label(family))
		r.fails("access-denied", "wasi:sockets/udp-create-socket#create-udp-socket", label(family))
	}
	network := r.call("wasi:sockets/instance-network#instance-network")
	r.fails("permanent-resolver-failure", "wasi:sockets/ip-name-lookup#resolve-addresses", network, "localhost")
	r.drop(network)
	r.empty()
}

// TestSocketsOfAProgramAreBounded makes as many as there can be, of every kind.
func TestSocketsOfAProgramAreBounded(t *testing.T) {
	r := newRig(t, wasi.Config{Sockets: socket.New(socket.Config{})})
	const createTCP, createUDP = "wasi:sockets/tcp-create-socket#create-tcp-socket", "wasi:sockets/udp-create-socket#create-udp-socket"
	const lookup = "wasi:sockets/ip-name-lookup#resolve-addresses"
	network := r.call("wasi:sockets/instance-network#instance-network")
	first := r.ok(createTCP, label(0))
	r.ok(createUDP, label(1))
	for range maxSockets - 3 {
		r.ok(lookup, network, "127.0.0.1")
	}
	r.ok(createTCP, label(1))
	r.fails("new-socket-limit", createTCP, label(0))
	r.fails("new-socket-limit", createUDP, label(0))
	r.fails("new-socket-limit", lookup, network, "::1")
	r.drop(first)
	r.ok(createUDP, label(0))
	r.fails("new-socket-limit", createTCP, label(0))
}

// TestAddressesThatAreNoneAreRefused passes all that no socket can have.
func TestAddressesThatAreNoneAreRefused(t *testing.T) {
	v4 := func(port uint16, a ...wit.Value) wit.Value {
		return wit.Case{Index: 0, Payload: []wit.Value{port, a}}
	}
	v6 := func(port uint16, a ...wit.Value) wit.Value {
		return wit.Case{Index: 1, Payload: []wit.Value{port, uint32(9), a, uint32(0)}}
	}
	b := func(n uint8) wit.Value { return n }
	w := func(n uint16) wit.Value { return n }
	for _, c := range []struct {
		family     family
		value      wit.Value
		bind, peer socket.Code
	}{
		{familyIPv4, v4(80, b(127), b(0), b(0), b(1)), socket.OK, socket.OK},
		{familyIPv4, v4(0, b(127), b(0), b(0), b(1)), socket.OK, socket.InvalidArgument},
		{familyIPv4, v4(80, b(0), b(0), b(0), b(0)), socket.OK, socket.InvalidArgument},
		{familyIPv4, v4(80, b(255), b(255), b(255), b(255)), socket.InvalidArgument, socket.InvalidArgument},
		{familyIPv4, v4(80, b(224), b(0), b(0), b(1)), socket.InvalidArgument, socket.InvalidArgument},
		{familyIPv6, v4(80, b(127), b(0), b(0), b(1)), socket.InvalidArgument, socket.InvalidArgument},
		{familyIPv6, v6(80, w(0), w(0), w(0), w(0), w(0), w(0), w(0), w(1)), socket.OK, socket.OK},
		{familyIPv6, v6(80, w(0), w(0), w(0), w(0), w(0), w(0), w(0), w(0)), socket.OK, socket.InvalidArgument},
		{familyIPv6, v6(80, w(0), w(0), w(0), w(0), w(0), w(0xffff), w(0x7f00), w(1)), socket.InvalidArgument, socket.InvalidArgument},
		{familyIPv6, v6(80, w(0xff02), w(0), w(0), w(0), w(0), w(0), w(0), w(1)), socket.InvalidArgument, socket.InvalidArgument},
		{familyIPv4, v6(80, w(0), w(0), w(0), w(0), w(0), w(0), w(0), w(1)), socket.InvalidArgument, socket.InvalidArgument},
	} {
		a, bind := c.family.address(c.value, false)
		_, peer := c.family.address(c.value, true)
		if bind != c.bind || peer != c.peer {
			t.Errorf("%v: to bind %v, want %v; as a peer %v, want %v", a, bind, c.bind, peer, c.peer)
		}
		if bind == socket.OK {
			if again, code := c.family.address(addressValue(a), false); again != a || code != socket.OK {
				t.Errorf("%v is told as %v", a, again)
			}
		}
	}
}

func TestNamesThatAreNoneAreNotLookedUp(t *testing.T) {
	r := newRig(t, wasi.Config{Sockets: socket.New(socket.Config{})}) // which could not
	network := r.call("wasi:sockets/instance-network#instance-network")
	for _, name := range []string{"", " ", "a b", "a..b", "http://a", "127.0.0.1:80", "[::1]:80", "[127.0.0.1]", "a\nb", "é.example", strings.Repeat("a", 64), strings.Repeat("a.", 200)} {
		r.fails("invalid-argument", "wasi:sockets/ip-name-lookup#resolve-addresses", network, name)
	}
	const next = "[method]resolve-address-stream.resolve-next-address"
	s := r.ok("wasi:sockets/ip-name-lookup#resolve-addresses", network, "[::1]")
	if got := r.ok(next, s); fmt.Sprint(got) != fmt.Sprint(some(ipValue(netip.IPv6Loopback()))) {
		t.Errorf("got %v", got)
	}
	r.equal(r.ok(next, s), none)
	r.drop(s, network)
	r.empty()
}

func TestWhatLookupsHaveFoundIsBounded(t *testing.T) {
	s := &System{}
	for i := range 3 * maxFound {
		s.remember("A.example", []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})})
	}
	last := netip.AddrFrom4([4]byte{10, 0, 2, 255})
	s.remember("b.example", []netip.Addr{last})
	if len(s.found) != maxFound {
		t.Errorf("%d are remembered", len(s.found))
	}
	if got := fmt.Sprint(s.namesOf(last)); got != "[a.example b.example]" {
		t.Errorf("%v is %s", last, got)
	}
	if got := s.namesOf(netip.AddrFrom4([4]byte{10, 0, 0, 0})); got != nil {
		t.Errorf("the oldest is %v", got)
	}
}
