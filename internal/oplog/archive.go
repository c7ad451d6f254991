package oplog

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// Record is all there is to tell of an invocation.
type Record struct {
	Accepted InvocationAccepted
	Index    Index  // of the entry that accepted it
	Attempts uint64 // that have begun, or failed
	End      Entry  // InvocationFinished, InvocationFailed or InvocationCanceled; zero if it has not ended
	Answer   *KeptAnswer
}

// KeptAnswer is what is kept of the response to a request, if it is not too long.
type KeptAnswer struct {
	Response Response
	Body     Payload
	End      ResponseEnd
}

func (a *KeptAnswer) fields(c *coder) {
	a.Response.fields(c)
	c.bytes((*[]byte)(&a.Body))
	a.End.fields(c)
}

// MaxKeptAnswer is how long a response is kept, in bytes.
const MaxKeptAnswer = 256 << 10

func (r *Record) fields(c *coder) {
	r.Accepted.fields(c)
	c.uvarint(&r.Index)
	c.uvarint(&r.Attempts)
	c.uvarint(&r.End.Index)
	if r.End.Index == 0 {
		return
	}
	c.time(&r.End.At)
	number := uint64(0)
	if !c.reading {
		number = uint64(r.End.Body.kind().number)
	}
	c.uvarint(&number)
	if c.reading {
		switch number {
		case uint64(kindFinished.number), uint64(kindFailed.number), uint64(kindCanceled.number):
			r.End.Body = kinds[number].make()
		default:
			c.fail(errEnd)
			return
		}
	}
	r.End.Body.fields(c)
	kept := r.Answer != nil
	if c.bool(&kept); !kept {
		return
	}
	if c.reading {
		r.Answer = new(KeptAnswer)
	}
	r.Answer.fields(c)
}

// Output is a Log entry.
type Output struct {
	Log   Log
	Index Index
	At    Time   // of the flush that made it durable
	Ended uint64 // invocations that had ended before it
}

func (o *Output) fields(c *coder) {
	o.Log.fields(c)
	c.uvarint(&o.Index)
	c.time(&o.At)
	c.uvarint(&o.Ended)
}

// Sort says what is in an archive.
type Sort byte

// The sorts of archives.
const (
	SortResults Sort = 1 // Records of invocations that have ended
	SortOpen    Sort = 2 // Records of those that have not
	SortLogs    Sort = 3 // Outputs
)

const (
	archiveMagic = "WBAR"
	// ArchiveVersion is the format of archives that this build writes and reads.
	ArchiveVersion = 1
	// maxArchive bounds what an archive has before it is compressed, in bytes.
	maxArchive = 1 << 30
	saltSize   = 16
)

// ErrDamagedArchive is for bytes that are no archive, or not a whole one.
var ErrDamagedArchive = errors.New("the archive is damaged")

var errEnd = errors.New("an invocation ends with no end")

// ArchiveHead is what begins an archive.
type ArchiveHead struct {
	Sort Sort
	// Salt makes the archives of a worker blobs that no other has.
	Salt [saltSize]byte
	// The archive is about the entries From to Below-1.
	From, Below Index
}

// EncodeRecords gives an archive of invocations.
func EncodeRecords(h ArchiveHead, records []*Record) ([]byte, error) {
	c := coder{}
	for _, r := range records {
		r.fields(&c)
	}
	return h.encode(c.b)
}

// DecodeRecords reads what EncodeRecords has written.
func DecodeRecords(sort Sort, b []byte) (ArchiveHead, []*Record, error) {
	return decodeArchive(sort, b, (*Record).fields)
}

// EncodeOutputs gives an archive of output.
func EncodeOutputs(h ArchiveHead, outputs []*Output) ([]byte, error) {
	c := coder{}
	for _, o := range outputs {
		o.fields(&c)
	}
	return h.encode(c.b)
}

// DecodeOutputs reads what EncodeOutputs has written.
func DecodeOutputs(b []byte) (ArchiveHead, []*Output, error) {
	return decodeArchive(SortLogs, b, (*Output).fields)
}

func (h *ArchiveHead) encode(content []byte) ([]byte, error) {
	if len(content) > maxArchive {
		return nil, fmt.Errorf("an archive of %d bytes, more than %d", len(content), maxArchive)
	}
	b := append([]byte(archiveMagic), ArchiveVersion, byte(h.Sort))
	b = append(b, h.Salt[:]...)
	b = binary.AppendUvarint(b, h.From)
	b = binary.AppendUvarint(b, h.Below)
	b = binary.AppendUvarint(b, uint64(len(content)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(content, castagnoli))
	out := bytes.NewBuffer(b)
	w, err := flate.NewWriter(out, flate.BestSpeed)
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	return out.Bytes(), err
}

// decodeArchive reads an archive whose elements are what fields reads.
func decodeArchive[T any](sort Sort, b []byte, fields func(*T, *coder)) (h ArchiveHead, all []*T, err error) {
	content, err := h.decode(b)
	if err != nil {
		return h, nil, err
	}
	if h.Sort != sort {
		return h, nil, fmt.Errorf("%w: it is of sort %d, not %d", ErrDamagedArchive, h.Sort, sort)
	}
	c := coder{b: content, reading: true}
	for len(c.b) > 0 {
		element := new(T)
		fields(element, &c)
		all = append(all, element)
	}
	if c.err != nil {
		return h, nil, fmt.Errorf("%w: %w", ErrDamagedArchive, c.err)
	}
	return h, all, nil
}

func (h *ArchiveHead) decode(b []byte) (content []byte, err error) {
	start := len(archiveMagic) + 2 + saltSize
	if len(b) < start || string(b[:len(archiveMagic)]) != archiveMagic {
		return nil, ErrDamagedArchive
	}
	switch version := b[len(archiveMagic)]; {
	case version > ArchiveVersion:
		return nil, fmt.Errorf("archive format %d is newer than %d, the newest this waterbear reads: use a newer waterbear", version, ArchiveVersion)
	case version != ArchiveVersion:
		return nil, ErrDamagedArchive
	}
	h.Sort = Sort(b[len(archiveMagic)+1])
	copy(h.Salt[:], b[start-saltSize:])
	c, size := coder{b: b[start:], reading: true}, uint64(0)
	for _, v := range []*uint64{&h.From, &h.Below, &size} {
		c.uvarint(v)
	}
	var sum [4]byte
	if c.fixed(sum[:]); c.err != nil || size > maxArchive {
		return nil, ErrDamagedArchive
	}
	// A length that lies makes no more room than there are bytes.
	content, err = io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(c.b)), int64(size)+1))
	if err != nil || uint64(len(content)) != size || crc32.Checksum(content, castagnoli) != binary.LittleEndian.Uint32(sum[:]) {
		return nil, ErrDamagedArchive
	}
	return content, nil
}

// Sorter finds among entries that are about to be truncated what is to be kept
// of them.
type Sorter struct {
	Ended []*Record // invocations that have, in the order in which they did
	Logs  []*Output
	Bytes int // of the entries, about

	before uint64 // invocations that had ended before the first entry
	open   map[Index]*Record
	// started is the invocation under way, answering the same once it has begun to
	// answer a request, and answer what it has answered.
	started, answering *Record
	answer             KeptAnswer
	pieces             []answerPiece // of it, in order
	kept               int           // bytes of all of that
}

// answerPiece is an entry of a response and how long the body was before it.
type answerPiece struct {
	index Index
	size  int
}

// NewSorter begins where so many invocations had ended, and those in open were
// accepted and had not.
func NewSorter(ended uint64, open []*Record) *Sorter {
	s := &Sorter{before: ended, open: map[Index]*Record{}}
	for _, r := range open {
		s.open[r.Index] = r
	}
	return s
}

// Open are the invocations that were accepted and have not ended, by index.
func (s *Sorter) Open() []*Record {
	open := make([]*Record, 0, len(s.open))
	for _, r := range s.open {
		open = append(open, r)
	}
	slices.SortFunc(open, func(a, b *Record) int {
		if a.Index < b.Index {
			return -1
		}
		return 1
	})
	return open
}

// Add takes the next entry. What is kept of it is copied.
func (s *Sorter) Add(e Entry) {
	s.Bytes += entryCost
	switch b := e.Body.(type) {
	case *InvocationAccepted:
		r := &Record{Accepted: *b, Index: e.Index}
		r.Accepted.Args = bytes.Clone(b.Args)
		s.open[e.Index] = r
		s.Bytes += len(b.Args)
	case *InvocationStarted:
		s.answering = nil
		s.started = s.open[b.Accepted]
		if s.started != nil {
			s.started.Attempts = b.Attempt
		}
	case *InvocationFinished:
		if r := s.answering; r != nil && r.Index == b.Accepted {
			answer := s.answer
			r.Answer = &answer
		}
		s.started, s.answering = nil, nil
		kept := *b
		kept.Result = bytes.Clone(b.Result)
		e.Body = &kept
		s.end(b.Accepted, e)
		s.Bytes += len(b.Result)
	case *InvocationFailed:
		s.started, s.answering = nil, nil
		if r := s.open[b.Accepted]; r != nil {
			r.Attempts = b.Attempt
		}
		if b.Retry == 0 {
			s.end(b.Accepted, e)
		}
		s.Bytes += len(b.Reason) + len(b.Stderr)
	case *InvocationCanceled:
		s.end(b.Accepted, e)
	case *Log:
		o := &Output{Log: *b, Index: e.Index, At: e.At, Ended: s.before + uint64(len(s.Ended))}
		o.Log.Bytes = bytes.Clone(b.Bytes)
		s.Logs = append(s.Logs, o)
		s.Bytes += len(b.Bytes)
	case *Response:
		s.answering, s.answer = s.started, KeptAnswer{Response: Response{b.Status, cloneFields(b.Fields)}, Body: Payload{}}
		s.pieces, s.kept = nil, 0
		s.answered(e.Index, fieldsSize(b.Fields))
	case *ResponseBody:
		s.answered(e.Index, len(b.Bytes))
		if s.answering != nil {
			s.answer.Body = append(s.answer.Body, b.Bytes...)
		}
	case *ResponseEnd:
		s.answer.End = ResponseEnd{cloneFields(b.Trailers), b.Failure}
		s.answered(e.Index, fieldsSize(b.Trailers)+len(b.Failure))
	case *Jump:
		s.takeBack(b.From)
	case *RequestBody:
		s.Bytes += len(b.Bytes)
	case *HostCall:
		s.Bytes += len(b.Request) + len(b.Response)
	case *HostCallStarted:
		s.Bytes += len(b.Request)
	case *HostCallFinished:
		s.Bytes += len(b.Response)
	}
}

// answered accounts for a part of a response, and gives up one that is too long.
func (s *Sorter) answered(index Index, n int) {
	s.Bytes += n
	if s.kept += n; s.kept > MaxKeptAnswer {
		s.started, s.answering, s.answer, s.pieces = nil, nil, KeptAnswer{}, nil
	}
	if s.answering != nil {
		s.pieces = append(s.pieces, answerPiece{index, len(s.answer.Body)})
	}
}

// takeBack leaves out of the response what entry from and those behind it have
// of it.
func (s *Sorter) takeBack(from Index) {
	i := slices.IndexFunc(s.pieces, func(p answerPiece) bool { return p.index >= from })
	switch {
	case i < 0:
	case i == 0:
		s.answering, s.answer, s.pieces = nil, KeptAnswer{}, nil
	default:
		s.answer.Body = s.answer.Body[:s.pieces[i].size]
		s.answer.End, s.pieces = ResponseEnd{}, s.pieces[:i]
	}
}

// UnderWay reports whether the last entry is in the middle of an attempt whose
// response may have to be kept: it would be lost where no more entries followed.
func (s *Sorter) UnderWay() bool { return s.started != nil }

func fieldsSize(list []Field) (n int) {
	for _, f := range list {
		n += len(f.Name) + len(f.Value) + entryCost
	}
	return n
}

func cloneFields(list []Field) []Field {
	to := make([]Field, len(list))
	for i, f := range list {
		to[i] = Field{f.Name, bytes.Clone(f.Value)}
	}
	return to
}

// entryCost is about what an entry takes beside what is in it.
const entryCost = 32

func (s *Sorter) end(accepted Index, e Entry) {
	r := s.open[accepted]
	if r == nil {
		return
	}
	delete(s.open, accepted)
	r.End = e
	s.Ended = append(s.Ended, r)
}
