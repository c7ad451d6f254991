package api

import "time"

// PromiseState says how far a promise is.
type PromiseState string

// The states of a promise.
const (
	PromisePending   PromiseState = "Pending"
	PromiseCompleted PromiseState = "Completed" // it has a value
	PromiseFailed    PromiseState = "Failed"    // it has a message instead
)

// Promise is a value that is not there yet, or has come.
type Promise struct {
	Promise    string       `json:"promise" doc:"Its name: component/worker/name"`
	Label      string       `json:"label" doc:"What it is for, as its worker says"`
	State      PromiseState `json:"state" enum:"Pending,Completed,Failed"`
	Created    time.Time    `json:"created"`
	Invocation string       `json:"invocation,omitempty" doc:"Key of the invocation that made it"`
	Awaited    bool         `json:"awaited" doc:"Its worker waits for it now"`
	Settled    *time.Time   `json:"settled,omitempty" doc:"When it was completed, or failed"`
	By         string       `json:"by,omitempty" doc:"Who did that"`
	Value      *string      `json:"value,omitempty" doc:"What it was completed with, if that is UTF-8"`
	Base64     []byte       `json:"base64,omitempty" doc:"What it was completed with, if that is not"`
	Failure    string       `json:"failure,omitempty" doc:"Why it failed"`
}

// Settlement is what is to become of a promise.
type Settlement struct {
	Failed bool
	Value  []byte // or why it has failed
	// Key is an idempotency key: who repeats a settlement with it is told the
	// same, and not that the promise has been settled already.
	Key string
	By  string // who settles it, for people
}
