package oplog

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// kind declares one kind of entry. Adding one is adding its struct and its
// declaration; the tests demand a golden file and a line in docs/OPLOG.md.
type kind struct {
	number byte
	name   string
	hint   bool
	make   func() Body
}

func declare[T any, P interface {
	*T
	Body
}](number byte, name string, hint bool) *kind {
	return &kind{number, name, hint, func() Body { return P(new(T)) }}
}

var (
	kindCreate       = declare[Create](1, "Create", false)
	kindHostCall     = declare[HostCall](2, "HostCall", false)
	kindCallStarted  = declare[HostCallStarted](3, "HostCallStarted", false)
	kindCallFinished = declare[HostCallFinished](4, "HostCallFinished", false)
	kindLog          = declare[Log](5, "Log", false)
	kindExited       = declare[Exited](6, "Exited", false)
	kindError        = declare[Error](7, "Error", false)
	kindInterrupted  = declare[Interrupted](8, "Interrupted", true)
	kindRecovered    = declare[Recovered](9, "Recovered", true)

	kindAccepted  = declare[InvocationAccepted](10, "InvocationAccepted", true)
	kindStarted   = declare[InvocationStarted](11, "InvocationStarted", false)
	kindFinished  = declare[InvocationFinished](12, "InvocationFinished", false)
	kindFailed    = declare[InvocationFailed](13, "InvocationFailed", true)
	kindCanceled  = declare[InvocationCanceled](14, "InvocationCanceled", true)
	kindSuspended = declare[Suspended](15, "Suspended", true)
	kindResumed   = declare[Resumed](16, "Resumed", true)
	kindStuck     = declare[Stuck](17, "Stuck", true)
	kindDue       = declare[Due](18, "Due", true)
	kindImage     = declare[Image](19, "Image", true)
	kindDelta     = declare[Delta](20, "Delta", true)
	kindArchiving = declare[Archiving](21, "Archiving", true)
	kindArchived  = declare[Archived](22, "Archived", true)
	kindRepeated  = declare[HostCallRepeated](23, "HostCallRepeated", true)

	kindRequestBody      = declare[RequestBody](24, "RequestBody", true)
	kindResponse         = declare[Response](25, "Response", false)
	kindResponseBody     = declare[ResponseBody](26, "ResponseBody", false)
	kindResponseEnd      = declare[ResponseEnd](27, "ResponseEnd", false)
	kindPromiseCreated   = declare[PromiseCreated](28, "PromiseCreated", true)
	kindPromiseSettled   = declare[PromiseSettled](29, "PromiseSettled", true)
	kindPromiseTaken     = declare[PromiseTaken](30, "PromiseTaken", true)
	kindPromiseWithdrawn = declare[PromiseWithdrawn](31, "PromiseWithdrawn", true)

	kindWaypoint  = declare[Waypoint](32, "Waypoint", false)
	kindAtomicEnd = declare[AtomicEnd](33, "AtomicEnd", false)
	kindJump      = declare[Jump](34, "Jump", true)
	kindHeld      = declare[CallHeld](35, "CallHeld", true)
	kindResolved  = declare[CallResolved](36, "CallResolved", true)
	kindForked    = declare[Forked](37, "Forked", true)
	kindOmitted   = declare[Omitted](38, "Omitted", true)
)

// kinds lists every kind at its number.
var kinds = [...]*kind{
	1: kindCreate, kindHostCall, kindCallStarted, kindCallFinished, kindLog,
	kindExited, kindError, kindInterrupted, kindRecovered,
	kindAccepted, kindStarted, kindFinished, kindFailed, kindCanceled,
	kindSuspended, kindResumed, kindStuck, kindDue, kindImage, kindDelta,
	kindArchiving, kindArchived, kindRepeated,
	kindRequestBody, kindResponse, kindResponseBody, kindResponseEnd,
	kindPromiseCreated, kindPromiseSettled, kindPromiseTaken, kindPromiseWithdrawn,
	kindWaypoint, kindAtomicEnd, kindJump, kindHeld, kindResolved,
	kindForked, kindOmitted,
}

// Time is nanoseconds since 1970 UTC.
type Time int64

// At converts t.
func At(t time.Time) Time { return Time(t.UnixNano()) }

// Time converts back.
func (t Time) Time() time.Time { return time.Unix(0, int64(t)).UTC() }

// MarshalText gives RFC 3339, so JSON readers need not know the unit.
func (t Time) MarshalText() ([]byte, error) { return t.Time().AppendFormat(nil, time.RFC3339Nano), nil }

// Payload is bytes that a program read or wrote. In JSON it is text where it
// is valid UTF-8, and base64 under another name where not.
type Payload []byte

// MarshalJSON gives {"text": …} or {"base64": …}.
func (p Payload) MarshalJSON() ([]byte, error) {
	if utf8.Valid(p) {
		return marshal(struct {
			Text string `json:"text"`
		}{string(p)})
	}
	return marshal(struct {
		Base64 []byte `json:"base64"`
	}{p})
}

// Create is a worker's first entry: everything that its behaviour depends on
// and that no host call gives.
type Create struct {
	At      Time         `json:"at"`
	Epoch   id.Epoch     `json:"epoch"`
	Program storage.Hash `json:"program"` // blob: the module as it was given
	Args    []string     `json:"args"`    // argv, the program's own name first
	Env     []string     `json:"env"`     // KEY=VALUE
	Dirs    []Dir        `json:"dirs"`
	// Seed is the key of the worker's random stream. JSON omits it: who knows
	// it knows every random number the worker will ever draw.
	Seed    [32]byte `json:"-"`
	Memory  uint64   `json:"memory"`  // limit of linear memory, bytes
	Storage uint64   `json:"storage"` // limit of the file system, bytes
	Files   uint64   `json:"files"`   // limit of open descriptors
	// What follows is of workers of deployed components alone.
	Revision  uint64       `json:"revision,omitempty"`
	Ephemeral bool         `json:"ephemeral,omitempty"` // every invocation has an instance of its own, and only its log is kept
	Initial   storage.Hash `json:"initial,omitzero"`    // blob: its file system at the beginning
	Settings  Payload      `json:"settings,omitempty"`  // JSON of the settings that it was given itself
}

// Dir is a host directory shown to the worker.
type Dir struct {
	Host  string       `json:"host"`
	Guest string       `json:"guest"`
	Tree  storage.Hash `json:"tree"` // blob: its listing when the worker was created
}

func (*Create) kind() *kind { return kindCreate }
func (e *Create) fields(c *coder) {
	c.time(&e.At)
	c.uvarint((*uint64)(&e.Epoch))
	c.fixed(e.Program[:])
	c.strings(&e.Args)
	c.strings(&e.Env)
	list(c, &e.Dirs, 1+1+len(storage.Hash{}), func(d *Dir) {
		c.string(&d.Host)
		c.string(&d.Guest)
		c.fixed(d.Tree[:])
	})
	c.fixed(e.Seed[:])
	c.uvarint(&e.Memory)
	c.uvarint(&e.Storage)
	c.uvarint(&e.Files)
	c.uvarint(&e.Revision)
	c.bool(&e.Ephemeral)
	c.fixed(e.Initial[:])
	c.bytes((*[]byte)(&e.Settings))
}

// HostCall is a call that was performed and recorded in one step: what it
// observed could not be seen outside before this entry was committed.
type HostCall struct {
	Func     uint64 `json:"func"` // durable.Func.Code
	Request  []byte `json:"request"`
	Response []byte `json:"response"`
}

func (*HostCall) kind() *kind { return kindHostCall }
func (e *HostCall) fields(c *coder) {
	c.uvarint(&e.Func)
	c.bytes(&e.Request)
	c.bytes(&e.Response)
}

// HostCallStarted is the intent of a call that acts or waits outside the
// worker. It is committed before the call begins; without a
// HostCallFinished the call is in doubt.
type HostCallStarted struct {
	Func    uint64 `json:"func"`
	Request []byte `json:"request"`
	// Within is where the attempt began that it is a part of, 0 if it is of none.
	Within Index `json:"within"`
}

func (*HostCallStarted) kind() *kind { return kindCallStarted }
func (e *HostCallStarted) fields(c *coder) {
	c.uvarint(&e.Func)
	c.bytes(&e.Request)
	c.uvarint(&e.Within)
}

// HostCallFinished is the outcome of the call whose intent is at Started.
type HostCallFinished struct {
	Started  Index  `json:"started"`
	Response []byte `json:"response"`
}

func (*HostCallFinished) kind() *kind { return kindCallFinished }
func (e *HostCallFinished) fields(c *coder) {
	c.uvarint(&e.Started)
	c.bytes(&e.Response)
}

// HostCallRepeated says that the call whose intent is at Started is performed
// once more, at Until: because a crash left it in doubt, or because it failed in
// a way that passes. It is committed before that.
type HostCallRepeated struct {
	At      Time   `json:"at"`
	Started Index  `json:"started"`
	Attempt uint64 `json:"attempt"` // the one that is to come, from 2
	Until   Time   `json:"until"`
	Reason  string `json:"reason"` // what became of the one before
}

func (*HostCallRepeated) kind() *kind { return kindRepeated }
func (e *HostCallRepeated) fields(c *coder) {
	c.time(&e.At)
	c.uvarint(&e.Started)
	c.uvarint(&e.Attempt)
	c.time(&e.Until)
	c.string(&e.Reason)
}

// Log is output of the worker.
type Log struct {
	Stream Stream  `json:"stream"`
	Bytes  Payload `json:"bytes"`
}

// Stream tells the worker's outputs apart.
type Stream uint64

// The streams, by their descriptor numbers.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// String gives "stdout" or "stderr".
func (s Stream) String() string {
	switch s {
	case Stdout:
		return "stdout"
	case Stderr:
		return "stderr"
	}
	return fmt.Sprintf("stream %d", uint64(s))
}

// MarshalText gives the stream's name.
func (s Stream) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (*Log) kind() *kind { return kindLog }
func (e *Log) fields(c *coder) {
	c.uvarint((*uint64)(&e.Stream))
	c.bytes((*[]byte)(&e.Bytes))
}

// Exited is the end of a program that ended by itself.
type Exited struct {
	At    Time         `json:"at"`
	Code  uint64       `json:"code"`
	Files storage.Hash `json:"files"` // blob: its file system at the end
}

func (*Exited) kind() *kind { return kindExited }
func (e *Exited) fields(c *coder) {
	c.time(&e.At)
	c.uvarint(&e.Code)
	c.fixed(e.Files[:])
}

// Error is the end of a program that failed: a trap, or a limit exceeded.
type Error struct {
	At     Time         `json:"at"`
	Reason string       `json:"reason"`
	Stack  []string     `json:"stack"` // the guest's functions, innermost first
	Files  storage.Hash `json:"files"` // blob: its file system at the end
}

func (*Error) kind() *kind { return kindError }
func (e *Error) fields(c *coder) {
	c.time(&e.At)
	c.string(&e.Reason)
	c.strings(&e.Stack)
	c.fixed(e.Files[:])
}

// Interrupted says that a person or the system stopped the worker here.
type Interrupted struct {
	At     Time   `json:"at"`
	Reason string `json:"reason"`
}

func (*Interrupted) kind() *kind { return kindInterrupted }
func (e *Interrupted) fields(c *coder) {
	c.time(&e.At)
	c.string(&e.Reason)
}

// Recovered says that an owner took the worker over, and rebuilds it from the
// entries before.
type Recovered struct {
	At    Time     `json:"at"`
	Epoch id.Epoch `json:"epoch"`
}

func (*Recovered) kind() *kind { return kindRecovered }
func (e *Recovered) fields(c *coder) {
	c.time(&e.At)
	c.uvarint((*uint64)(&e.Epoch))
}
