package oplog

import "github.com/waterbear-run/waterbear/internal/id"

// InvocationAccepted is a promise: the invocation will take place, once, whatever
// happens. Its index names it in the entries that follow.
type InvocationAccepted struct {
	At       Time    `json:"at"`
	Key      string  `json:"key,omitempty"` // the client's; "" where it gave none
	Function string  `json:"function"`
	Args     Payload `json:"args"`          // a JSON array
	Due      Time    `json:"due,omitempty"` // when to begin; 0: at once
	Queue    uint64  `json:"queue"`         // invocations accepted and not ended, this one included
	Caller   Caller  `json:"caller,omitzero"`
	Body     Index   `json:"body,omitempty"` // of an HTTP request: the first RequestBody; 0 without
}

// Caller is the invocation of a worker that made a call. It is empty where none did,
// but a client.
type Caller struct {
	Worker string `json:"worker"` // component/name
	Key    string `json:"key"`    // of the invocation
}

func (*InvocationAccepted) kind() *kind { return kindAccepted }
func (e *InvocationAccepted) fields(c *coder) {
	c.time(&e.At)
	c.string(&e.Key)
	c.string(&e.Function)
	c.bytes((*[]byte)(&e.Args))
	c.time(&e.Due)
	c.uvarint(&e.Queue)
	c.string(&e.Caller.Worker)
	c.string(&e.Caller.Key)
	c.uvarint(&e.Body)
}

// InvocationStarted begins an attempt of the invocation accepted at Accepted,
// or of the worker's initialization where that is 0. What follows is what the
// attempt did, until its InvocationFinished or InvocationFailed.
type InvocationStarted struct {
	At       Time   `json:"at"`
	Accepted Index  `json:"accepted"`
	Attempt  uint64 `json:"attempt"` // from 1
	Queue    uint64 `json:"queue"`   // invocations accepted and not ended, this one included
}

func (*InvocationStarted) kind() *kind { return kindStarted }
func (e *InvocationStarted) fields(c *coder) {
	c.time(&e.At)
	c.uvarint(&e.Accepted)
	c.uvarint(&e.Attempt)
	c.uvarint(&e.Queue)
}

// InvocationFinished is the end of an invocation that has a result.
type InvocationFinished struct {
	At       Time    `json:"at"`
	Accepted Index   `json:"accepted"`
	Started  Index   `json:"started"` // of the attempt
	Result   Payload `json:"result"`  // a JSON array
	Queue    uint64  `json:"queue"`   // invocations accepted and not ended
}

func (*InvocationFinished) kind() *kind { return kindFinished }
func (e *InvocationFinished) fields(c *coder) {
	c.time(&e.At)
	c.uvarint(&e.Accepted)
	c.uvarint(&e.Started)
	c.bytes((*[]byte)(&e.Result))
	c.uvarint(&e.Queue)
}

// InvocationFailed takes back the attempt that began at Started: what lies
// between never happened to the worker's state, and replay leaves it out.
type InvocationFailed struct {
	At       Time     `json:"at"`
	Accepted Index    `json:"accepted"`
	Started  Index    `json:"started"`
	Attempt  uint64   `json:"attempt"`
	Code     string   `json:"code"` // "trap", "limit", "host", "canceled" or "in-doubt"
	Reason   string   `json:"reason"`
	Stack    []string `json:"stack"`           // the guest's functions, innermost first
	Stderr   string   `json:"stderr"`          // the end of what the attempt wrote there
	Retry    Time     `json:"retry,omitempty"` // when the next attempt begins; 0: there is none
	Queue    uint64   `json:"queue"`           // invocations accepted and not ended
}

func (*InvocationFailed) kind() *kind { return kindFailed }
func (e *InvocationFailed) fields(c *coder) {
	c.time(&e.At)
	c.uvarint(&e.Accepted)
	c.uvarint(&e.Started)
	c.uvarint(&e.Attempt)
	c.string(&e.Code)
	c.string(&e.Reason)
	c.strings(&e.Stack)
	c.string(&e.Stderr)
	c.time(&e.Retry)
	c.uvarint(&e.Queue)
}

// InvocationCanceled takes an invocation back that had not begun.
type InvocationCanceled struct {
	At       Time   `json:"at"`
	Accepted Index  `json:"accepted"`
	Queue    uint64 `json:"queue"` // invocations accepted and not ended
}

func (*InvocationCanceled) kind() *kind { return kindCanceled }
func (e *InvocationCanceled) fields(c *coder) {
	c.time(&e.At)
	c.uvarint(&e.Accepted)
	c.uvarint(&e.Queue)
}

// Suspended says that the worker waits, without an instance, in the middle of
// an invocation.
type Suspended struct {
	At    Time   `json:"at"`
	Until Time   `json:"until,omitempty"` // 0: however long it takes
	For   string `json:"for,omitempty"`   // what else ends the wait, in words
	// Promises end it if any of them is settled.
	Promises []string `json:"promises,omitempty"`
}

func (*Suspended) kind() *kind { return kindSuspended }
func (e *Suspended) fields(c *coder) {
	c.time(&e.At)
	c.time(&e.Until)
	c.string(&e.For)
	c.strings(&e.Promises)
}

// Resumed says that a person lets the worker go on, after Interrupted or Stuck,
// or before a pause was over.
type Resumed struct {
	At Time `json:"at"`
}

func (*Resumed) kind() *kind       { return kindResumed }
func (e *Resumed) fields(c *coder) { c.time(&e.At) }

// Stuck says that the worker cannot go on until a person acts.
type Stuck struct {
	At     Time   `json:"at"`
	Reason string `json:"reason"`
}

func (*Stuck) kind() *kind { return kindStuck }
func (e *Stuck) fields(c *coder) {
	c.time(&e.At)
	c.string(&e.Reason)
}

// Due is an entry of a shard's agenda: Worker is to be looked at at At, or
// no longer, where that is 0. The newest of a worker counts.
type Due struct {
	Worker id.Worker `json:"worker"`
	At     Time      `json:"at"`
}

func (*Due) kind() *kind { return kindDue }
func (e *Due) fields(c *coder) {
	c.string(&e.Worker.Component)
	c.string(&e.Worker.Name)
	c.time(&e.At)
}
