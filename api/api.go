// Package api is the nouns of the platform as programs see them: what the REST
// interface sends and takes, what the Go client returns, and what the embedding
// API speaks of. It has no behaviour beyond reading and writing these as JSON.
package api

import (
	"encoding/json"
	"strings"
	"time"
)

// Component is something that was deployed, under a name.
type Component struct {
	Name     string    `json:"name" example:"shop" doc:"Unique name"`
	Created  time.Time `json:"created" doc:"When its first revision was deployed"`
	Latest   Revision  `json:"latest" doc:"The newest revision, which new workers use"`
	Settings Settings  `json:"settings" doc:"What holds for its workers, unless a worker has its own"`
	// Shared is of one that was asked for, and not of those of a list.
	Shared *Shared `json:"shared,omitempty" doc:"What its workers share; not in a list"`
}

// Shared is how much a component has in its buckets and containers.
type Shared struct {
	Bytes uint64 `json:"bytes" doc:"Bytes in buckets and containers together, with keys and names, and with what was deleted and is still kept"`
	Limit uint64 `json:"limit" doc:"The most there can be: limits.shared"`
}

// Kind says how a revision is invoked.
type Kind string

// The kinds of revisions.
const (
	// Command is a program with a main function. Its workers have one function,
	// "run", whose arguments are the program's; each invocation is a fresh
	// start over the worker's files.
	Command Kind = "command"
	// Library is a module with exported functions (WASI 0.1 calls it a reactor).
	// A worker's memory lives as long as the worker.
	Library Kind = "library"
)

// RunFunction is the one function of a Command.
const RunFunction = "run"

// Revision is one immutable upload of a component.
type Revision struct {
	Component string     `json:"component"`
	Number    uint64     `json:"number" doc:"From 1"`
	Hash      string     `json:"hash" doc:"SHA-256 of the module as it was deployed, in hex"`
	Size      int64      `json:"size" doc:"Bytes of the module"`
	Created   time.Time  `json:"created"`
	Kind      Kind       `json:"kind" enum:"command,library"`
	Typed     bool       `json:"typed,omitempty" doc:"It is a component: its functions have types of WIT"`
	HTTP      bool       `json:"http,omitempty" doc:"It answers HTTP requests: it exports wasi:http/incoming-handler"`
	Exports   []Function `json:"exports" doc:"The functions that can be invoked"`
	Imports   []string   `json:"imports" doc:"What it needs from the host, as module.function"`
	Calls     []string   `json:"calls,omitempty" doc:"Interfaces among these that other components export: its links say which"`
}

// Function is an exported function with the core WebAssembly types of what it
// takes and returns: i32, i64, f32, f64. Of a component it is the names and types
// of parameters in WIT, and the type of the result. The function "run" of a
// command takes any number of strings instead.
type Function struct {
	Name    string   `json:"name"`
	Params  []string `json:"params"`
	Results []string `json:"results"`
}

// Named reports whether name is the function's or a shorter one: the function
// add-item of the interface shop:cart/cart@1.0.0 is shop:cart/cart@1.0.0#add-item,
// and also cart.add-item, shop:cart/cart.add-item and
// shop:cart/cart@1.0.0.add-item, and each of these with # in place of the dot. More
// than one function may have the same shorter name.
func (f Function) Named(name string) bool {
	if f.Name == name {
		return true
	}
	id, function, ok := strings.Cut(f.Name, "#")
	if !ok {
		return false
	}
	of, ok := strings.CutSuffix(name, function)
	if !ok || len(of) == 0 || of[len(of)-1] != '.' && of[len(of)-1] != '#' {
		return false
	}
	of = of[:len(of)-1]
	bare, _, _ := strings.Cut(id, "@")
	return of == id || of == bare || of == bare[strings.LastIndexByte(bare, '/')+1:]
}

// Deployed is the answer to a deployment.
type Deployed struct {
	Revision
	New bool `json:"new" doc:"False if the same bytes were the newest revision already"`
	// WIT is the interface of a component.
	WIT string `json:"wit,omitempty" doc:"The interface of a component"`
}

// Settings are what a person may set for a component, and for a worker of it
// when that is created. A field that is absent takes the component's value, or
// the platform's.
type Settings struct {
	Limits    Limits    `json:"limits,omitzero"`
	Retry     Retry     `json:"retry,omitzero"`
	Images    Images    `json:"images,omitzero"`
	Retention Retention `json:"retention,omitzero"`
	HTTP      HTTP      `json:"http,omitzero"`
	// Links say which workers the calls of imported interfaces go to that other
	// components export: by the interface, without a version, COMPONENT/NAME. {name}
	// in it is the caller's own name, and so is no NAME.
	Links map[string]string `json:"links,omitempty" doc:"Which worker the calls of an interface go to that another component exports: shop:pricing/api to COMPONENT/NAME, where {name} is the caller's name, as is no NAME"`
	Net   Net               `json:"net,omitzero"`
}

// Limits bound what one worker can use, and Shared what the workers of a component
// have together. 0 means the default. Memory, storage and files are fixed when a
// worker is created; the others hold from the next invocation on, and Shared from
// the next write on.
type Limits struct {
	Memory    uint64   `json:"memory,omitempty" doc:"Bytes of linear memory"`
	Storage   uint64   `json:"storage,omitempty" doc:"Bytes in the worker's file system"`
	Shared    uint64   `json:"shared,omitempty" doc:"Bytes in the buckets and containers of the component, all together; no worker has one of its own"`
	Files     uint64   `json:"files,omitempty" doc:"Open files"`
	CPUTime   Duration `json:"cpuTime,omitempty" doc:"Computing time of one attempt of an invocation"`
	LogRate   uint64   `json:"logRate,omitempty" doc:"Bytes a second of output, as an average over ten seconds"`
	OplogRate uint64   `json:"oplogRate,omitempty" doc:"Bytes a second of recorded host calls, as an average over ten seconds"`
	Queue     uint64   `json:"queue,omitempty" doc:"Invocations that are accepted and not finished"`
}

// Retry says what happens when an attempt of an invocation fails. An attempt
// that observed nothing that could differ is not repeated, nor one that
// exceeded a limit.
type Retry struct {
	Attempts uint64   `json:"attempts,omitempty" doc:"At most so many, the first included; 1: no retry"`
	Initial  Duration `json:"initial,omitempty" doc:"Pause before the second attempt"`
	Max      Duration `json:"max,omitempty" doc:"Longest pause"`
	Factor   float64  `json:"factor,omitempty" minimum:"0" doc:"By which each pause is longer than the one before"`
	Jitter   float64  `json:"jitter,omitempty" minimum:"0" maximum:"1" doc:"Part of each pause that is left to chance"`
}

// Images says when a worker's state is saved, so that recovery need not go back
// further.
type Images struct {
	After Duration `json:"after,omitempty" doc:"Once replay would take longer, by an estimate; what it costs to save makes it later; negative: never"`
	Size  uint64   `json:"size,omitempty" doc:"Bytes of changes that are kept one by one; with more, the whole state is saved"`
	Age   Duration `json:"age,omitempty" doc:"At the latest so long after it was last saved, if anything has happened"`
}

// HTTP says what the HTTP requests of a worker's program may do. It holds from
// the next request on.
type HTTP struct {
	Allow   []string `json:"allow,omitempty" maxItems:"256" doc:"Which hosts may be reached: public (all with public addresses), a name, *.NAME, an address or a range of them, each with :PORT if only that is meant"`
	Keys    string   `json:"keys,omitempty" enum:"auto,off" doc:"auto: a POST, or another request that is not the same when it is repeated, gets an Idempotency-Key if the program gives none"`
	InDoubt string   `json:"inDoubt,omitempty" enum:"fail,retry,hold" doc:"What becomes of such a request without a key if a crash leaves it in doubt: it fails for the program, is sent again, or waits for a person"`
	// InDoubtRules go before that, and hold for whatever request they match.
	InDoubtRules []string    `json:"inDoubtRules,omitempty" maxItems:"256" doc:"What becomes of requests in doubt by method and host, the first that matches: [METHOD] HOST=fail, retry or hold, as in POST api.example.com=hold, with * for any"`
	MaxResponse  uint64      `json:"maxResponse,omitempty" doc:"Bytes of the body of a response"`
	MaxRequest   uint64      `json:"maxRequest,omitempty" doc:"Bytes of the body of a request that the worker is to answer"`
	Proxy        string      `json:"proxy,omitempty" maxLength:"2048" doc:"http://HOST:PORT: the proxy that requests go through; off: none"`
	Roots        string      `json:"roots,omitempty" maxLength:"262144" doc:"Certificates, as PEM, that servers' own may be issued by beside those that the machine trusts"`
	Trust        string      `json:"trust,omitempty" enum:"system,roots" doc:"system: what the machine trusts counts too; roots: the certificates in roots alone"`
	Retries      HTTPRetries `json:"retries,omitzero" doc:"Of requests that failed in a way that passes"`
}

// HTTPRetries says how often a request is sent again that failed in a way that
// passes, if its repetition has the effect of one: no connection, a connection
// that is lost before the response, or one of the statuses 429, 502, 503 and 504.
// A response that says for how long to wait is obeyed, up to Max.
type HTTPRetries struct {
	Attempts uint64   `json:"attempts,omitempty" doc:"At most so many, the first included; 1: it is not sent again"`
	Initial  Duration `json:"initial,omitempty" doc:"Pause before the second; the next ones are twice as long each"`
	Max      Duration `json:"max,omitempty" doc:"Longest pause"`
}

// Net says what the sockets of a worker's program may do, nothing by default. It
// holds for what is begun from then on.
type Net struct {
	Allow  []string `json:"allow,omitempty" maxItems:"256" doc:"Where connections and datagrams may go: public (all public addresses), a name, *.NAME, an address or a range of them, each with :PORT if only that is meant"`
	Listen []string `json:"listen,omitempty" maxItems:"256" doc:"Where they may come in: addresses of this machine or ranges of them, each with :PORT if only that is meant"`
}

// What HTTP.Keys and HTTP.InDoubt can be.
const (
	KeysAuto     = "auto"
	KeysOff      = "off"
	InDoubtFail  = "fail"
	InDoubtRetry = "retry"
	InDoubtHold  = "hold"
)

// InDoubts lists what HTTP.InDoubt can be.
func InDoubts() []string { return []string{InDoubtFail, InDoubtRetry, InDoubtHold} }

// What HTTP.Proxy and HTTP.Trust can be. ProxyEnvironment is for servers alone.
const (
	ProxyOff         = "off"
	ProxyEnvironment = "environment"
	TrustSystem      = "system"
	TrustRoots       = "roots"
)

// Status of a worker.
type Status string

// The statuses a worker can have.
const (
	Idle        Status = "Idle"        // nothing to do now
	Running     Status = "Running"     // in an invocation, or about to be
	Suspended   Status = "Suspended"   // in an invocation that waits, out of memory
	Interrupted Status = "Interrupted" // stopped by a person, until resumed
	Retrying    Status = "Retrying"    // an attempt failed and another is to come
	Failed      Status = "Failed"      // cannot go on until a person acts
	Exited      Status = "Exited"      // its program ended for good
)

// Statuses lists them all.
func Statuses() []Status {
	return []Status{Idle, Running, Suspended, Interrupted, Retrying, Failed, Exited}
}

// Worker is a worker's state, as a list shows it.
type Worker struct {
	Component string     `json:"component"`
	Name      string     `json:"name"`
	Revision  uint64     `json:"revision"`
	Status    Status     `json:"status" enum:"Idle,Running,Suspended,Interrupted,Retrying,Failed,Exited"`
	Reason    string     `json:"reason" doc:"Of the status, in words"`
	Ephemeral bool       `json:"ephemeral" doc:"Each invocation has an instance of its own"`
	Created   time.Time  `json:"created"`
	Changed   time.Time  `json:"changed" doc:"Of the newest committed entry"`
	Wake      *time.Time `json:"wake,omitempty" doc:"When it goes on by itself, if it waits for a time"`
	Args      []string   `json:"args"`
	Env       []string   `json:"env" doc:"KEY=VALUE"`
	Queue     uint64     `json:"queue" doc:"Invocations accepted and not finished"`
	Entries   uint64     `json:"entries" doc:"That its oplog has had, truncated ones included"`
	Held      []uint64   `json:"held,omitempty" doc:"The calls in doubt for which it waits for a person, by their indexes"`
}

// WorkerDetail is all there is to tell of one worker.
type WorkerDetail struct {
	Worker
	Settings Settings     `json:"settings" doc:"What holds for it, defaults included"`
	Origin   string       `json:"origin,omitempty" doc:"The worker that it is a copy of"`
	First    uint64       `json:"first" doc:"The oldest oplog entry that is kept"`
	Bytes    uint64       `json:"bytes" doc:"Of its oplog, as far as it is kept"`
	Archived *Archived    `json:"archived,omitempty" doc:"What is kept of the entries before"`
	Resident bool         `json:"resident" doc:"It has an instance in memory"`
	Memory   uint64       `json:"memory" doc:"Bytes of the linear memory of its instance"`
	Mode     string       `json:"mode" doc:"How it recovers"`
	Image    *Image       `json:"image,omitempty" doc:"The newest one"`
	Saved    *Saved       `json:"saved,omitempty" doc:"Where recovery begins; absent if it begins anew each time"`
	Pending  []Invocation `json:"pending" doc:"The first 100 accepted and not finished"`
	Promises []Promise    `json:"promises,omitempty" doc:"The first 100 of its promises that are pending"`
}

// Image is a worker's whole state, saved so that recovery need not go back
// further.
type Image struct {
	Index  uint64    `json:"index" doc:"Of its oplog entry"`
	Covers uint64    `json:"covers" doc:"The last oplog entry whose effects it has"`
	Taken  time.Time `json:"taken"`
	Size   uint64    `json:"size" doc:"Bytes"`
}

// Saved says from where a worker is recovered: its image, or its beginning, and
// the changes that were saved since.
type Saved struct {
	Index      uint64   `json:"index" doc:"Of the newest oplog entry with saved state; 0: it begins from its start"`
	Deltas     uint64   `json:"deltas" doc:"Changes behind the image"`
	Bytes      uint64   `json:"bytes" doc:"Of these, together"`
	LastPages  uint64   `json:"lastPages" doc:"Pages of memory with changes in the last one that this process took"`
	LastBytes  uint64   `json:"lastBytes" doc:"Of that one"`
	Behind     uint64   `json:"behind" doc:"Oplog entries that recovery replays"`
	ReplayCost Duration `json:"replayCost" doc:"What replaying them would take, by an estimate"`
}

// Archived is what is kept of oplog entries that were truncated.
type Archived struct {
	Results uint64 `json:"results" doc:"Invocations that have ended, with how they did"`
	Output  uint64 `json:"output" doc:"Pieces of output"`
	Bytes   uint64 `json:"bytes" doc:"That these take"`
}

// NewWorker asks for a worker.
type NewWorker struct {
	Revision  uint64            `json:"revision,omitempty" doc:"0: the newest"`
	Args      []string          `json:"args,omitempty" doc:"argv behind the program's name"`
	Env       []string          `json:"env,omitempty" doc:"KEY=VALUE"`
	Files     map[string]string `json:"files,omitempty" doc:"Initial files: content in base64 by absolute path"`
	Ephemeral bool              `json:"ephemeral,omitempty" doc:"A fresh instance for each invocation"`
	Settings  Settings          `json:"settings,omitzero"`
}

// WorkerFilter chooses workers. A zero field chooses all.
type WorkerFilter struct {
	Component string
	Revision  uint64
	Status    Status
	Name      string // a glob: * and ?
	Env       string // KEY or KEY=VALUE
	// CreatedAfter and CreatedBefore are exclusive.
	CreatedAfter, CreatedBefore time.Time
}

// Page is a part of a list.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
}

// InvocationState says how far an invocation is.
type InvocationState string

// The states of an invocation.
const (
	StateScheduled InvocationState = "Scheduled" // accepted, due later
	StateQueued    InvocationState = "Queued"    // accepted, not begun
	StateStarted   InvocationState = "Started"
	StateFinished  InvocationState = "Finished" // it has a result
	StateFailed    InvocationState = "Failed"   // it has a failure, for good
	StateCanceled  InvocationState = "Canceled" // it never had an effect
)

// Done reports whether nothing more happens with the invocation.
func (s InvocationState) Done() bool {
	return s == StateFinished || s == StateFailed || s == StateCanceled
}

// Invocation is one call of a function of a worker.
type Invocation struct {
	Worker   string          `json:"worker" doc:"component/name"`
	Key      string          `json:"key" doc:"Its idempotency key: the client's, or one made for it"`
	Function string          `json:"function"`
	Args     json.RawMessage `json:"args" doc:"Array of its arguments"`
	State    InvocationState `json:"state" enum:"Scheduled,Queued,Started,Finished,Failed,Canceled"`
	Index    uint64          `json:"index" doc:"Of the oplog entry that accepted it"`
	Accepted time.Time       `json:"accepted"`
	Caller   *Caller         `json:"caller,omitempty" doc:"The worker that called; absent if a client did"`
	Waits    *Caller         `json:"waits,omitempty" doc:"The invocation of another worker that it waits for"`
	Due      *time.Time      `json:"due,omitempty" doc:"When it was to begin, if it was scheduled"`
	Attempts uint64          `json:"attempts" doc:"Begun so far"`
	Ended    *time.Time      `json:"ended,omitempty"`
	Result   json.RawMessage `json:"result,omitempty" doc:"Array of its results, once it is finished"`
	Failure  *Failure        `json:"failure,omitempty" doc:"Why it failed, or why its last attempt did"`
	// From and To are the oplog entries of its last attempt, once it has ended.
	From uint64 `json:"from,omitempty"`
	To   uint64 `json:"to,omitempty"`
}

// Caller is the invocation of a worker that made a call.
type Caller struct {
	Worker string `json:"worker" doc:"component/name"`
	Key    string `json:"key" doc:"Of its invocation"`
}

// FailureCode says what kind of failure it was.
type FailureCode string

// The kinds of failures.
const (
	FailedTrap     FailureCode = "trap"     // the guest's own failure
	FailedLimit    FailureCode = "limit"    // it exceeded a limit
	FailedHost     FailureCode = "host"     // the platform could not do its part
	FailedCanceled FailureCode = "canceled" // a person canceled it while it ran
	FailedDoubt    FailureCode = "in-doubt" // a call is in doubt, and the program wants none repeated
)

// Failure is why an attempt failed.
type Failure struct {
	Code   FailureCode `json:"code" enum:"trap,limit,host,canceled,in-doubt"`
	Reason string      `json:"reason"`
	Stack  []string    `json:"stack" doc:"The guest's functions, innermost first"`
	Stderr string      `json:"stderr" doc:"The end of what the attempt wrote to stderr"`
}

// Call asks for an invocation.
type Call struct {
	Function string
	Args     json.RawMessage // an array; empty: no arguments
	// WAVE are the arguments of a function of a component, in place of Args, as
	// in (1, "x").
	WAVE string
	// Key is the idempotency key; empty: one is made.
	Key string
	// Due, if it is set, is when to begin.
	Due time.Time
	// Async returns as soon as the invocation is accepted, durably.
	Async bool
	// Caller is set by the platform for the calls of workers.
	Caller *Caller
	// Existing refuses to make the worker if it is not there, and Ephemeral makes
	// it an ephemeral one, which it has to be if it is there.
	Existing, Ephemeral bool
}

// MediaWAVE is the media type of arguments in WAVE.
const MediaWAVE = "text/wave"

// LogChunk is output of a worker.
type LogChunk struct {
	Index  uint64    `json:"index" doc:"Of its oplog entry"`
	At     time.Time `json:"at"`
	Stream string    `json:"stream" enum:"stdout,stderr"`
	Text   string    `json:"text,omitempty" doc:"The bytes, if they are valid UTF-8"`
	Base64 []byte    `json:"base64,omitempty" doc:"The bytes, if they are not"`
}

// Entry is one entry of a worker's oplog.
type Entry struct {
	Index uint64          `json:"index"`
	At    time.Time       `json:"at"`
	Kind  string          `json:"kind"`
	Text  string          `json:"text" doc:"One readable line"`
	Body  json.RawMessage `json:"body"`
}

// Range chooses a part of a worker's log or oplog.
type Range struct {
	From, To uint64 // entry indexes, inclusive; 0: from the first, to the last
	Follow   bool   // wait for more until the context is done
	// Search keeps what contains it, case-insensitively, in its readable line.
	Search string
}

// File is a file of a worker.
type File struct {
	Path     string    `json:"path" doc:"Absolute"`
	Kind     string    `json:"kind" enum:"file,directory,link"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
}

// Progress tells how far some long work is.
type Progress struct {
	Stage string  `json:"stage" example:"compiling"`
	Done  float64 `json:"done" doc:"0 to 1"`
}

// Duration is a time.Duration that JSON has as text, such as "1m30s".
type Duration time.Duration

// MarshalText writes it as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// Stats are figures of a node since it was opened, for monitoring.
type Stats struct {
	Workers     uint64  // with a record in memory
	Instances   uint64  // in memory
	Memory      uint64  // bytes of linear memory of all instances
	Running     uint64  // invocations under way
	Waiting     uint64  // work that waits for a free slot
	Queue       uint64  // invocations accepted and not finished, of workers in memory
	Sleeping    uint64  // workers that wait for a time, in memory or not
	Held        uint64  // workers that wait for a person to resolve calls in doubt
	Accepted    uint64  // invocations
	Finished    uint64  // invocations
	Failed      uint64  // invocations, for good
	Retried     uint64  // attempts after the first
	Suspended   uint64  // times that an invocation left memory
	Evictions   uint64  // instances dropped because they were idle
	Recoveries  uint64  // instances rebuilt by replay
	Recovery    float64 // seconds that took, all together
	Replayed    uint64  // entries
	Images      uint64  // taken
	Deltas      uint64  // taken
	DeltaBytes  uint64
	Truncations uint64 // of oplogs
	Truncated   uint64 // entries
	Promised    uint64 // promises that were made
	Settled     uint64 // promises
	Commits     uint64 // flushes
	CommitBytes uint64
	Refused     uint64 // requests, because of overload
	Stalled     string // why nothing can be committed now, or ""
}
