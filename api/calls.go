package api

import (
	"encoding/json"
	"time"
)

// CallState says what is known of an external call.
type CallState string

// The states of an external call.
const (
	CallUnderWay CallState = "under-way" // it has not ended
	CallDone     CallState = "done"      // there was an answer
	CallNotSent  CallState = "not-sent"  // it failed before anything of it had left
	CallInDoubt  CallState = "in-doubt"  // it may have had its effect, and there was no answer
	CallHeld     CallState = "held"      // in doubt, and the worker waits for a person to say
	CallFailed   CallState = "failed"    // a person let it fail
)

// CallStates lists them all.
func CallStates() []CallState {
	return []CallState{CallUnderWay, CallDone, CallNotSent, CallInDoubt, CallHeld, CallFailed}
}

// ExternalCall is a call by which a worker's program reached outside. What is shown
// of it has no secrets.
type ExternalCall struct {
	Worker   string     `json:"worker" doc:"component/name"`
	Index    uint64     `json:"index" doc:"Of the oplog entry with its intent, which names it"`
	Function string     `json:"function" doc:"Of the host" example:"http.send"`
	State    CallState  `json:"state" enum:"under-way,done,not-sent,in-doubt,held,failed"`
	Request  string     `json:"request" doc:"On one line"`
	Response string     `json:"response,omitempty" doc:"On one line, once there is one"`
	Key      string     `json:"key,omitempty" doc:"Its idempotency key"`
	Attempts uint64     `json:"attempts" doc:"How often it was performed, as far as is known: each time is recorded before"`
	Began    time.Time  `json:"began"`
	Ended    *time.Time `json:"ended,omitempty"`
	// Where in the program.
	Invocation string `json:"invocation,omitempty" doc:"The key of the invocation that made it"`
	Called     string `json:"called,omitempty" doc:"The function that was invoked"`
	Attempt    uint64 `json:"attempt,omitempty" doc:"Of the invocation"`
	Undone     bool   `json:"undone,omitempty" doc:"That attempt failed: for the worker's state the call has not happened"`
	// The rest is told of one call alone.
	RequestDetail  []string        `json:"requestDetail,omitempty"`
	ResponseDetail []string        `json:"responseDetail,omitempty"`
	Repeats        []CallRepeat    `json:"repeats,omitempty" doc:"The times that it was performed again"`
	Held           *time.Time      `json:"held,omitempty" doc:"Since when it has waited for a person, or had when one resolved it"`
	Resolved       *CallResolution `json:"resolved,omitempty" doc:"What a person has said last"`
}

// CallStack is where in the program an external call was made.
type CallStack struct {
	Functions []string `json:"functions" doc:"Of the program, that were being called when it made the call, innermost first; one that has no name in the program is $ and its number"`
}

// CallRepeat is that a call was performed again.
type CallRepeat struct {
	At      time.Time `json:"at"`
	Attempt uint64    `json:"attempt" doc:"From 2"`
	Reason  string    `json:"reason" doc:"What became of the one before"`
}

// CallResolution is what a person has said of a call.
type CallResolution struct {
	At  time.Time  `json:"at"`
	How Resolution `json:"how" enum:"done,send-again,fail"`
}

// Resolution is what becomes of a call that is held.
type Resolution string

// What a person can say of one.
const (
	ResolveDone      Resolution = "done"       // it is done, with this response
	ResolveSendAgain Resolution = "send-again" // it is performed again, with the same key
	ResolveFail      Resolution = "fail"       // the program is told that it failed
)

// Resolve says what becomes of a call that is held.
type Resolve struct {
	How Resolution `json:"how" enum:"done,send-again,fail" doc:"done: the program goes on with the response; send-again: the call is performed again, with the same key; fail: the program is told that it failed"`
	// Response is what the call has for its answer, if it is done. Of an HTTP
	// request: {"status": 200, "headers": {"name": "value"}, "body": "…" or
	// "base64": "…"}.
	Response json.RawMessage `json:"response,omitempty" doc:"With done: of an HTTP request an object with status (200), headers (values, or arrays of them, by name), and body or base64, up to 256 KiB"`
}

// CallFilter chooses external calls. A zero field chooses all.
type CallFilter struct {
	Component string
	Worker    string // of Component
	State     CallState
	// Reads adds calls that only ask or wait, such as for a time.
	Reads bool
}

// CallPage is a part of a list of external calls: those of one worker after those
// of another, the newest first.
type CallPage struct {
	Page[ExternalCall]
	Problems []Problem `json:"problems,omitempty" doc:"What cannot be read, or is not kept"`
}
