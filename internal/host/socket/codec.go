package socket

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/waterbear-run/waterbear/internal/durable"
)

// The codes of the recorded functions. A code is never used again for something
// else.
const (
	codeBind        = 181
	codeConnect     = 182
	codeListen      = 183
	codeAccept      = 184
	codeReceive     = 185
	codeSend        = 186
	codeRoom        = 187
	codeReceiveFrom = 188
	codeSendTo      = 189
	codeResolve     = 190
	codeSource      = 191
)

var bind = durable.Func[binding, Outcome]{
	Code: codeBind, Name: "socket.bind", Effect: durable.ReadLocal,
	Request: codecOf(binding.append, (*decoder).binding, binding.show), Response: codecOf(Outcome.append, (*decoder).outcome, Outcome.show),
}

var connect = durable.Func[binding, Outcome]{
	Code: codeConnect, Name: "socket.connect", Effect: durable.WriteRemote,
	Request: codecOf(binding.append, (*decoder).binding, binding.show), Response: codecOf(Outcome.append, (*decoder).outcome, Outcome.show),
}

var listen = durable.Func[listening, Code]{
	Code: codeListen, Name: "socket.listen", Effect: durable.ReadRemote,
	Request: codecOf(listening.append, (*decoder).listening, listening.show), Response: codecOf(Code.append, (*decoder).code, Code.String),
}

var accept = durable.Func[uint64, Outcome]{
	Code: codeAccept, Name: "socket.accept", Effect: durable.ReadLocal,
	Request:  durable.Codec[uint64]{Append: durable.Uint64Codec.Append, Decode: durable.Uint64Codec.Decode, Show: showSocket},
	Response: codecOf(Outcome.append, (*decoder).outcome, Outcome.show),
}

var receive = durable.Func[reading, Piece]{
	Code: codeReceive, Name: "socket.receive", Effect: durable.ReadLocal,
	Request: codecOf(reading.append, (*decoder).reading, reading.show), Response: codecOf(Piece.append, (*decoder).piece, Piece.show),
}

var send = durable.Func[sending, Code]{
	Code: codeSend, Name: "socket.send", Effect: durable.WriteQueued,
	Request: codecOf(sending.append, (*decoder).sending, sending.show), Response: codecOf(Code.append, (*decoder).code, Code.String),
}

var room = durable.Func[place, Room]{
	Code: codeRoom, Name: "socket.room", Effect: durable.ReadLocal,
	Request: codecOf(place.append, (*decoder).place, place.show), Response: codecOf(Room.append, (*decoder).room, Room.show),
}

var receiveFrom = durable.Func[receiving, Received]{
	Code: codeReceiveFrom, Name: "socket.receive-from", Effect: durable.ReadLocal,
	Request: codecOf(receiving.append, (*decoder).receiving, receiving.show), Response: codecOf(Received.append, (*decoder).received, Received.show),
}

var sendTo = durable.Func[parcels, Room]{
	Code: codeSendTo, Name: "socket.send-to", Effect: durable.WriteQueued,
	Request: codecOf(parcels.append, (*decoder).parcels, parcels.show), Response: codecOf(Room.append, (*decoder).room, Room.show),
}

var resolve = durable.Func[string, Answer]{
	Code: codeResolve, Name: "socket.resolve", Effect: durable.ReadRemote,
	Request: durable.Codec[string]{
		Append: func(b []byte, s string) []byte { return append(b, s...) },
		Decode: func(b []byte) (string, error) { return string(b), nil },
		Show:   func(s string) string { return fmt.Sprintf("%q", s) },
	},
	Response: codecOf(Answer.append, (*decoder).answer, Answer.show),
}

var source = durable.Func[binding, Outcome]{
	Code: codeSource, Name: "socket.source", Effect: durable.ReadLocal,
	Request: codecOf(binding.append, (*decoder).binding, binding.show), Response: codecOf(Outcome.append, (*decoder).outcome, Outcome.show),
}

// Funcs lists what this package records.
func Funcs() []durable.Declared {
	return []durable.Declared{&bind, &connect, &listen, &accept, &receive, &send, &room, &receiveFrom, &sendTo, &resolve, &source}
}

func codecOf[T any](add func(T, []byte) []byte, decode func(*decoder) T, show func(T) string) durable.Codec[T] {
	return durable.Codec[T]{
		Append: func(b []byte, v T) []byte { return add(v, b) },
		Decode: func(b []byte) (T, error) {
			d := &decoder{durable.Decoder{Rest: b}}
			v := decode(d)
			if !d.Whole() {
				return v, errDamaged
			}
			return v, nil
		},
		Show: show,
	}
}

var errDamaged = errors.New("the recorded value is damaged")

func showSocket(id uint64) string { return fmt.Sprintf("at socket %d", id) }

// binding is a local address and, of a connection, the remote one; of a UDP
// socket they are the same.
type binding struct{ local, remote netip.AddrPort }

func (v binding) append(b []byte) []byte { return appendAddress(appendAddress(b, v.local), v.remote) }

func (d *decoder) binding() binding { return binding{d.address(), d.address()} }

func (v binding) show() string {
	switch {
	case v.remote == v.local:
		return "UDP at " + showAddress(v.local)
	case !v.remote.IsValid():
		return "TCP at " + showAddress(v.local)
	case !v.local.IsValid():
		return "to " + v.remote.String()
	}
	return fmt.Sprintf("from %v to %v", v.local, v.remote)
}

func (o Outcome) append(b []byte) []byte {
	return appendAddress(appendAddress(append(b, byte(o.Code)), o.Local), o.Remote)
}

func (d *decoder) outcome() Outcome { return Outcome{d.code(), d.address(), d.address()} }

func (o Outcome) show() string {
	if o.Code != OK {
		return o.Code.String()
	}
	s := "at " + showAddress(o.Local)
	if o.Remote.IsValid() {
		s += ", with " + o.Remote.String()
	}
	return s
}

func (c Code) append(b []byte) []byte { return append(b, byte(c)) }

func (d *decoder) code() Code {
	c := Code(d.Byte())
	d.Failed = d.Failed || c > LastCode
	return c
}

// listening asks for a listener.
type listening struct {
	local   netip.AddrPort
	backlog int
}

func (l listening) append(b []byte) []byte {
	return binary.AppendUvarint(appendAddress(b, l.local), uint64(l.backlog))
}

func (d *decoder) listening() listening { return listening{d.address(), d.number()} }

func (l listening) show() string { return "at " + showAddress(l.local) }

// reading asks for bytes of a connection, behind so many.
type reading struct {
	id, offset, limit uint64
	block             bool
}

func (r reading) append(b []byte) []byte {
	return append(appendUints(b, r.id, r.offset, r.limit), flag(r.block))
}

func (d *decoder) reading() reading { return reading{d.Uint(), d.Uint(), d.Uint(), d.Bool()} }

func (r reading) show() string {
	return fmt.Sprintf("of socket %d behind byte %d, at most %d", r.id, r.offset, r.limit)
}

func (p Piece) append(b []byte) []byte {
	return append(append(b, flag(p.End), byte(p.Code)), p.Bytes...)
}

func (d *decoder) piece() Piece {
	p := Piece{End: d.Bool(), Code: d.code()}
	p.Bytes = d.Take(len(d.Rest))
	return p
}

func (p Piece) show() string {
	s := fmt.Sprintf("%d bytes", len(p.Bytes))
	switch {
	case p.Code != OK:
		s += ", then " + p.Code.String()
	case p.End:
		s += ", then the end"
	}
	return s
}

// sending is what is recorded of bytes that are sent: replay makes them again, and
// they are told by their hash.
type sending struct {
	id, offset, length uint64
	hash               [sha256.Size]byte
}

func newSending(id, offset uint64, p []byte) sending {
	return sending{id, offset, uint64(len(p)), sha256.Sum256(p)}
}

func (v sending) append(b []byte) []byte {
	return append(appendUints(b, v.id, v.offset, v.length), v.hash[:]...)
}

func (d *decoder) sending() sending {
	v := sending{id: d.Uint(), offset: d.Uint(), length: d.Uint()}
	copy(v.hash[:], d.Take(sha256.Size))
	return v
}

func (v sending) show() string {
	return fmt.Sprintf("%d bytes on socket %d behind byte %d", v.length, v.id, v.offset)
}

// place is a connection on which so many bytes were sent.
type place struct{ id, offset uint64 }

func (p place) append(b []byte) []byte { return appendUints(b, p.id, p.offset) }
func (d *decoder) place() place        { return place{d.Uint(), d.Uint()} }
func (p place) show() string           { return fmt.Sprintf("on socket %d behind byte %d", p.id, p.offset) }

// Room is how much can be sent, or was; if that is nothing, the code may say why.
type Room struct {
	Bytes uint64 // or datagrams
	Code  Code
}

func (r Room) append(b []byte) []byte { return append(binary.AppendUvarint(b, r.Bytes), byte(r.Code)) }
func (d *decoder) room() Room         { return Room{d.Uint(), d.code()} }

func (r Room) show() string {
	if r.Code != OK {
		return fmt.Sprintf("%d, %s", r.Bytes, r.Code)
	}
	return fmt.Sprint(r.Bytes)
}

// receiving asks for datagrams.
type receiving struct {
	id   uint64
	from netip.AddrPort
	most int
}

func (r receiving) append(b []byte) []byte {
	return binary.AppendUvarint(appendAddress(binary.AppendUvarint(b, r.id), r.from), uint64(r.most))
}

func (d *decoder) receiving() receiving { return receiving{d.Uint(), d.address(), d.number()} }

func (r receiving) show() string {
	s := fmt.Sprintf("at socket %d, at most %d", r.id, r.most)
	if r.from.IsValid() {
		s += ", of " + r.from.String()
	}
	return s
}

// Received are datagrams that have come in. Without any, the code may say why.
type Received struct {
	Datagrams []Datagram
	Code      Code
}

func (r Received) append(b []byte) []byte {
	b = binary.AppendUvarint(append(b, byte(r.Code)), uint64(len(r.Datagrams)))
	for _, d := range r.Datagrams {
		b = appendAddress(b, d.Remote)
		b = append(binary.AppendUvarint(b, uint64(len(d.Bytes))), d.Bytes...)
	}
	return b
}

func (d *decoder) received() (r Received) {
	r.Code = d.code()
	for n := d.Count(); n > 0; n-- {
		r.Datagrams = append(r.Datagrams, Datagram{d.address(), d.Take(d.Count())})
	}
	return r
}

func (r Received) show() string {
	if r.Code != OK {
		return r.Code.String()
	}
	n := 0
	for _, d := range r.Datagrams {
		n += len(d.Bytes)
	}
	return fmt.Sprintf("%d datagrams, %d bytes", len(r.Datagrams), n)
}

// parcels is what is recorded of datagrams that are sent.
type parcels struct {
	id   uint64
	to   []netip.AddrPort
	size uint64
	hash [sha256.Size]byte // of their lengths and bytes
}

func newParcels(id uint64, list []Parcel) parcels {
	v, sum := parcels{id: id}, sha256.New()
	for _, p := range list {
		v.to = append(v.to, p.Remote)
		v.size += uint64(len(p.Bytes))
		sum.Write(binary.AppendUvarint(nil, uint64(len(p.Bytes))))
		sum.Write(p.Bytes)
	}
	sum.Sum(v.hash[:0])
	return v
}

func (v parcels) append(b []byte) []byte {
	b = appendUints(b, v.id, v.size, uint64(len(v.to)))
	for _, a := range v.to {
		b = appendAddress(b, a)
	}
	return append(b, v.hash[:]...)
}

func (d *decoder) parcels() parcels {
	v := parcels{id: d.Uint(), size: d.Uint()}
	for n := d.Count(); n > 0; n-- {
		v.to = append(v.to, d.address())
	}
	copy(v.hash[:], d.Take(sha256.Size))
	return v
}

func (v parcels) show() string {
	s := fmt.Sprintf("%d datagrams, %d bytes, from socket %d", len(v.to), v.size, v.id)
	if len(v.to) > 0 {
		s += " to " + v.to[0].String()
	}
	return s
}

func (a Answer) append(b []byte) []byte {
	b = binary.AppendUvarint(append(b, byte(a.Code)), uint64(len(a.Addresses)))
	for _, ip := range a.Addresses {
		b = appendAddress(b, netip.AddrPortFrom(ip, 0))
	}
	return b
}

func (d *decoder) answer() Answer {
	a := Answer{Code: d.code()}
	for n := d.Count(); n > 0; n-- {
		a.Addresses = append(a.Addresses, d.address().Addr())
	}
	return a
}

func (a Answer) show() string {
	if a.Code != OK {
		return a.Code.String()
	}
	return fmt.Sprint(a.Addresses)
}

func showAddress(a netip.AddrPort) string {
	if !a.IsValid() {
		return "any address"
	}
	return a.String()
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

func appendUints(b []byte, list ...uint64) []byte {
	for _, n := range list {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// appendAddress writes the length of an address, 0 if it is none, the address and
// the port.
func appendAddress(b []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return append(b, 0)
	}
	ip := a.Addr().AsSlice()
	return binary.BigEndian.AppendUint16(append(append(b, byte(len(ip))), ip...), a.Port())
}

// decoder takes values off recorded bytes, or fails.
type decoder struct{ durable.Decoder }

// number is a number that fits an int.
func (d *decoder) number() int {
	v := d.Uint()
	if d.Failed = d.Failed || v > 1<<31-1; d.Failed {
		return 0
	}
	return int(v)
}

func (d *decoder) address() netip.AddrPort {
	n := d.Byte()
	if n == 0 {
		return netip.AddrPort{}
	}
	ip, is := netip.AddrFromSlice(d.Take(int(n)))
	port := d.Take(2)
	if d.Failed = d.Failed || !is; d.Failed {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(port))
}
