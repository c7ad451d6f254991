package blobstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// The codes of the recorded functions. A code is never used again for something
// else.
const (
	codeStat  = 164
	codeList  = 165
	codeSkip  = 166
	codeLook  = 167
	codeWrite = 168
	codeOpen  = 169
	codeRead  = 170
	codeBegin = 171
	codePut   = 172
)

var (
	stat = durable.Func[place, found]{
		Code: codeStat, Name: "blobstore.stat", Effect: durable.ReadLocal,
		Request: codecOf(place.append, (*decoder).place, place.String), Response: codecOf(found.append, (*decoder).found, found.show),
	}
	list = durable.Func[listing, listed]{
		Code: codeList, Name: "blobstore.list-objects", Effect: durable.ReadLocal,
		Request: codecOf(listing.append, (*decoder).listing, listing.show), Response: codecOf(listed.append, (*decoder).listed, listed.show),
	}
	skip = durable.Func[listing, listed]{
		Code: codeSkip, Name: "blobstore.skip-objects", Effect: durable.ReadLocal,
		Request: codecOf(listing.append, (*decoder).listing, listing.show), Response: codecOf(listed.append, (*decoder).listed, listed.show),
	}
	look = durable.Func[place, seen]{
		Code: codeLook, Name: "blobstore.look", Effect: durable.ReadLocal,
		Request: codecOf(place.append, (*decoder).place, place.String), Response: codecOf(seen.append, (*decoder).seen, seen.show),
	}
	write = durable.Func[change, outcome]{
		Code: codeWrite, Name: "blobstore.write", Effect: durable.WriteRemote,
		Request: codecOf(change.append, (*decoder).change, change.show), Response: codecOf(outcome.append, (*decoder).outcome, outcome.show),
	}
	open = durable.Func[opening, opened]{
		Code: codeOpen, Name: "blobstore.open", Effect: durable.ReadLocal,
		Request: codecOf(opening.append, (*decoder).opening, opening.show), Response: codecOf(opened.append, (*decoder).opened, opened.show),
	}
	read = durable.Func[reading, piece]{
		Code: codeRead, Name: "blobstore.read", Effect: durable.ReadLocal,
		Request: codecOf(reading.append, (*decoder).reading, reading.show), Response: codecOf(piece.append, (*decoder).piece, piece.show),
	}
	begin = durable.Func[durable.None, ID]{
		Code: codeBegin, Name: "blobstore.begin", Effect: durable.ReadLocal,
		Request: durable.NoneCodec, Response: codecOf(ID.append, (*decoder).id, ID.String),
	}
	// put stores what nobody sees before it is written, so it is recorded as what is
	// read: when it is done.
	put = durable.Func[chunk, outcome]{
		Code: codePut, Name: "blobstore.put", Effect: durable.ReadLocal,
		Request: codecOf(chunk.append, (*decoder).chunk, chunk.show), Response: codecOf(outcome.append, (*decoder).outcome, outcome.show),
	}
)

// Funcs lists what this package records.
func Funcs() []durable.Declared {
	return []durable.Declared{&stat, &list, &skip, &look, &write, &open, &read, &begin, &put}
}

func codecOf[T any](add func(T, []byte) []byte, decode func(*decoder) T, show func(T) string) durable.Codec[T] {
	return durable.Codec[T]{
		Append: func(b []byte, v T) []byte { return add(v, b) },
		Decode: func(b []byte) (T, error) {
			d := newDecoder(b)
			v := decode(d)
			return v, d.close()
		},
		Show: show,
	}
}

func (i ID) append(b []byte) []byte { return append(b, i[:]...) }

func (p place) append(b []byte) []byte {
	return durable.AppendText(durable.AppendText(b, p.container), p.object)
}

// found is what a place has.
type found struct {
	box, exists bool // the container is there, and the object
	created     oplog.Time
	size        uint64
}

func (f found) append(b []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(appendFlags(b, f.box, f.exists), uint64(f.created)), f.size)
}

func (f found) show() string {
	switch {
	case !f.box:
		return "no container"
	case f.exists:
		return fmt.Sprintf("an object of %d bytes", f.size)
	}
	return "a container"
}

// public is what f is to those who have asked for what exists says.
func (f found) public(exists bool) Stat {
	if !exists {
		return Stat{}
	}
	return Stat{true, f.created.Time(), f.size}
}

// listing asks for names of objects behind one, up to a limit.
type listing struct {
	place
	limit uint64
}

func (l listing) append(b []byte) []byte { return binary.AppendUvarint(l.place.append(b), l.limit) }

func (l listing) show() string {
	return fmt.Sprintf("%d of container %q behind %q", l.limit, l.container, l.object)
}

// listed are the names: all, or the last.
type listed struct {
	box, more bool
	count     uint64
	names     []string
}

func (l listed) append(b []byte) []byte {
	b = binary.AppendUvarint(appendFlags(b, l.box, l.more), l.count)
	for _, name := range l.names {
		b = durable.AppendText(b, name)
	}
	return b
}

func (l listed) show() string {
	if !l.box {
		return "no container"
	}
	return fmt.Sprintf("%d: %q", l.count, l.names)
}

// seen is what a place was when the program looked: whether the container was there,
// its content, and how often the object, or the container itself, had been written
// to.
type seen struct {
	box    bool
	id     ID
	writes uint64
}

func (v seen) append(b []byte) []byte {
	return binary.AppendUvarint(v.id.append(appendFlags(b, v.box)), v.writes)
}

func (v seen) show() string {
	if !v.box {
		return "no container"
	}
	return fmt.Sprintf("written to %d times", v.writes)
}

// action is what a change does.
type action uint64

const (
	creating action = iota + 1
	removing
	clearing
	lastOfContainer = clearing
)

const (
	writing action = iota + 10
	deleting
	copying
	moving
)

var actionNames = map[action]string{
	creating: "create", removing: "delete", clearing: "clear",
	writing: "write", deleting: "delete", copying: "copy to", moving: "move to",
}

// change is something that is done to a place once.
type change struct {
	place
	action  action
	seen    seen
	from    place // to copy and to move, and what was seen of it
	source  seen
	content          // to write, without its tail
	hash    [32]byte // of that
}

func (c change) append(b []byte) []byte {
	b = c.seen.append(binary.AppendUvarint(c.place.append(b), uint64(c.action)))
	switch c.action {
	case copying, moving:
		b = c.source.append(c.from.append(b))
	case writing:
		b = append(binary.AppendUvarint(c.id.append(b), c.size), c.hash[:]...)
	}
	return b
}

func (c change) show() string {
	text := actionNames[c.action] + " " + c.place.String()
	switch c.action {
	case copying, moving:
		text += " what is " + c.from.String()
	case writing:
		text += fmt.Sprintf(": %d bytes", c.size)
	}
	return text
}

// outcome is what came of something: nothing, or why it was not done.
type outcome struct{ failure string }

func (o outcome) append(b []byte) []byte { return append(b, o.failure...) }

func (o outcome) show() string {
	if o.failure == "" {
		return "done"
	}
	return o.failure
}

// opening asks for a part of an object, both ends included.
type opening struct {
	place
	start, end uint64
}

func (o opening) append(b []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(o.place.append(b), o.start), o.end)
}

func (o opening) show() string { return fmt.Sprintf("bytes %d to %d of %s", o.start, o.end, o.place) }

// opened is that part.
type opened struct {
	Reading
	outcome
}

func (o opened) append(b []byte) []byte {
	b = binary.AppendUvarint(binary.AppendUvarint(o.ID.append(b), o.At), o.End)
	return append(durable.AppendText(b, o.Tail), o.failure...)
}

func (o opened) show() string {
	if o.failure != "" {
		return o.failure
	}
	return fmt.Sprintf("%d bytes, ending with %s", o.Size(), durable.ShowBytes(o.Tail))
}

// reading asks for bytes of chunks.
type reading struct {
	id        ID
	at, limit uint64
}

func (r reading) append(b []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(r.id.append(b), r.at), r.limit)
}

func (r reading) show() string { return fmt.Sprintf("%d bytes at %d of %s", r.limit, r.at, r.id) }

// piece is those bytes.
type piece struct {
	outcome
	bytes []byte
}

func (p piece) append(b []byte) []byte {
	if p.failure != "" {
		return append(appendFlags(b, true), p.failure...)
	}
	return append(appendFlags(b, false), p.bytes...)
}

func (p piece) show() string {
	if p.failure != "" {
		return p.failure
	}
	return durable.ShowBytes(p.bytes)
}

// chunk is one that is stored, by its hash.
type chunk struct {
	id           ID
	number, size uint64
	hash         [32]byte
}

func (c chunk) append(b []byte) []byte {
	return append(binary.AppendUvarint(binary.AppendUvarint(c.id.append(b), c.number), c.size), c.hash[:]...)
}

func (c chunk) show() string {
	return fmt.Sprintf("%d bytes, the %d. part of %s", c.size, c.number+1, c.id)
}

func appendFlags(b []byte, flags ...bool) []byte {
	for _, f := range flags {
		b = append(b, 0)
		if f {
			b[len(b)-1] = 1
		}
	}
	return b
}

// What cells have is of this version.
const valueFormat = 1

func (b box) append(to []byte) []byte {
	return b.id.append(binary.AppendUvarint(append(to, valueFormat), uint64(b.created)))
}

func decodeBox(p []byte) (b box, err error) {
	d := newDecoder(p)
	format := d.Uint()
	b = box{oplog.Time(d.Uint()), d.id()}
	return b, d.closeFormat(format)
}

func (o *object) append(b []byte) []byte {
	b = binary.AppendUvarint(append(b, valueFormat), uint64(o.created))
	return append(binary.AppendUvarint(o.id.append(b), o.size), o.tail...)
}

func decodeObject(p []byte) (o object, err error) {
	d := newDecoder(p)
	format := d.Uint()
	o.created = oplog.Time(d.Uint())
	o.id, o.size = d.id(), d.Uint()
	o.tail = d.rest()
	d.Failed = d.Failed || uint64(len(o.tail)) > o.size || o.size > MaxSize
	return o, d.closeFormat(format)
}

var errDamaged = errors.New("it is damaged")

// decoder takes values off recorded bytes, or fails.
type decoder struct{ durable.Decoder }

func newDecoder(b []byte) *decoder { return &decoder{durable.Decoder{Rest: b}} }

// close tells whether all was read and made sense.
func (d *decoder) close() error {
	if !d.Whole() {
		return errDamaged
	}
	return nil
}

func (d *decoder) closeFormat(format uint64) error {
	if format > valueFormat {
		return fmt.Errorf("it has format %d, which is newer than this version knows", format)
	}
	if format == 0 {
		return errDamaged
	}
	return d.close()
}

func (d *decoder) text() string { return string(d.Text()) }

// rest is all that is left.
func (d *decoder) rest() (p []byte) {
	p, d.Rest = d.Rest, nil
	return p
}

func (d *decoder) id() (i ID) {
	copy(i[:], d.Take(len(i)))
	return i
}

func (d *decoder) hash() (h [32]byte) {
	copy(h[:], d.Take(len(h)))
	return h
}

func (d *decoder) place() place { return place{d.text(), d.text()} }

func (d *decoder) found() found {
	return found{d.Bool(), d.Bool(), oplog.Time(d.Uint()), d.Uint()}
}

func (d *decoder) listing() listing { return listing{d.place(), d.Uint()} }

func (d *decoder) listed() (l listed) {
	l = listed{box: d.Bool(), more: d.Bool(), count: d.Uint()}
	for len(d.Rest) > 0 && !d.Failed {
		l.names = append(l.names, d.text())
	}
	return l
}

func (d *decoder) seen() seen { return seen{d.Bool(), d.id(), d.Uint()} }

func (d *decoder) change() (c change) {
	c.place, c.action = d.place(), action(d.Uint())
	c.seen = d.seen()
	switch c.action {
	case copying, moving:
		c.from, c.source = d.place(), d.seen()
	case writing:
		c.id, c.size, c.hash = d.id(), d.Uint(), d.hash()
	default:
		d.Failed = d.Failed || actionNames[c.action] == ""
	}
	return c
}

func (d *decoder) outcome() outcome { return outcome{string(d.rest())} }

func (d *decoder) opening() opening { return opening{d.place(), d.Uint(), d.Uint()} }

func (d *decoder) opened() (o opened) {
	o.ID, o.At, o.End = d.id(), d.Uint(), d.Uint()
	o.Tail = bytes.Clone(d.Text())
	o.failure = string(d.rest())
	d.Failed = d.Failed || o.At > o.End || uint64(len(o.Tail)) > o.Size()
	return o
}

func (d *decoder) reading() reading { return reading{d.id(), d.Uint(), d.Uint()} }

func (d *decoder) piece() (p piece) {
	if d.Bool() {
		p.failure = string(d.rest())
	} else {
		p.bytes = slices.Clip(d.rest())
	}
	return p
}

func (d *decoder) chunk() chunk { return chunk{d.id(), d.Uint(), d.Uint(), d.hash()} }
