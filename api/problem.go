package api

import (
	"maps"
	"net/http"
	"slices"
)

// Problem is an error as REST sends it (RFC 9457, application/problem+json).
// Code is stable; Title and Detail are for people.
type Problem struct {
	Status int    `json:"status" doc:"The HTTP status"`
	Code   Code   `json:"code" doc:"What programs branch on"`
	Title  string `json:"title" doc:"The code in words"`
	Detail string `json:"detail" doc:"What was attempted, why it failed, what to do"`
	// RetryAfter is after how many seconds it may work, if waiting helps.
	RetryAfter int `json:"retryAfter,omitempty"`
	// Errors are the places in a request that are wrong.
	Errors []FieldError `json:"errors,omitempty"`
	// Invocation is the one that failed, where one did.
	Invocation *Invocation `json:"invocation,omitempty"`
}

// FieldError is one thing wrong with a request.
type FieldError struct {
	Location string `json:"location" example:"body.limits.memory"`
	Message  string `json:"message"`
}

// Code names a kind of problem, for ever.
type Code string

// The codes, each with its status and title in problems.
const (
	CodeInvalid          Code = "invalid"            // the request makes no sense
	CodeUnauthorized     Code = "unauthorized"       // no token, or one that is not known
	CodeForbidden        Code = "forbidden"          // the token's scopes do not allow it
	CodeNoRoute          Code = "no-route"           // there is no such path
	CodeMethod           Code = "method-not-allowed" // the path is there for other methods
	CodeNoComponent      Code = "no-component"
	CodeNoRevision       Code = "no-revision"
	CodeNoWIT            Code = "no-wit" // the program is a core module, which has none
	CodeNoWorker         Code = "no-worker"
	CodeNoInvocation     Code = "no-invocation" // no invocation has this key
	CodeNoPromise        Code = "no-promise"    // no promise has this name, or no more
	CodeExpired          Code = "expired"       // it was there, and retention has let go of it
	CodeNoFile           Code = "no-file"
	CodeNoKey            Code = "no-key" // of a bucket
	CodeNoContainer      Code = "no-container"
	CodeNoObject         Code = "no-object"
	CodeNoToken          Code = "no-token"
	CodeUnknownRoute     Code = "unknown-route"  // no route of a worker has this name
	CodeRouteConflict    Code = "route-conflict" // two routes are for the same requests
	CodeNoFunction       Code = "no-function"    // the component exports none of this name
	CodeBadArguments     Code = "bad-arguments"
	CodeBadProgram       Code = "bad-program"   // the module cannot be run
	CodeNoLink           Code = "no-link"       // the program calls what no link leads to
	CodeKeyReused        Code = "key-reused"    // a different call under a used key
	CodeWorkerExists     Code = "worker-exists" // created before, otherwise
	CodeWorkerFailed     Code = "worker-failed" // it cannot go on until a person acts
	CodeWorkerExited     Code = "worker-exited"
	CodeWorkerBusy       Code = "worker-busy" // it cannot be done while an invocation is under way
	CodeNotCancelable    Code = "not-cancelable"
	CodePromiseSettled   Code = "promise-settled" // by somebody else, or by something else
	CodePromisesFull     Code = "promises-full"   // what became of a worker's promises takes too much room
	CodeNoCall           Code = "no-call"
	CodeNotHeld          Code = "not-held"         // the call does not wait for a person
	CodeComponentInUse   Code = "component-in-use" // it has workers
	CodeInvocationFailed Code = "invocation-failed"
	CodeTooLarge         Code = "too-large"
	CodeMediaType        Code = "unsupported-media-type"
	CodeQueueFull        Code = "queue-full" // of one worker
	CodeTimeout          Code = "timeout"    // the answer is still to come: ask again with the key
	CodeOverloaded       Code = "overloaded" // of the whole server
	CodeDiskFull         Code = "disk-full"
	CodeStopping         Code = "stopping" // the server is
	CodeDamaged          Code = "damaged"  // what is stored fails its checksum
	CodeInternal         Code = "internal"
)

// problems gives each code its HTTP status and title.
var problems = map[Code]struct {
	status int
	title  string
}{
	CodeInvalid:          {http.StatusBadRequest, "The request is not valid"},
	CodeUnauthorized:     {http.StatusUnauthorized, "A valid token is required"},
	CodeForbidden:        {http.StatusForbidden, "The token does not allow this"},
	CodeNoRoute:          {http.StatusNotFound, "No such path"},
	CodeMethod:           {http.StatusMethodNotAllowed, "The path does not have this method"},
	CodeNoComponent:      {http.StatusNotFound, "No such component"},
	CodeNoRevision:       {http.StatusNotFound, "No such revision"},
	CodeNoWIT:            {http.StatusNotFound, "The program has no interface in WIT"},
	CodeNoWorker:         {http.StatusNotFound, "No such worker"},
	CodeNoInvocation:     {http.StatusNotFound, "No such invocation"},
	CodeNoPromise:        {http.StatusNotFound, "No such promise"},
	CodeExpired:          {http.StatusGone, "It is older than what is kept"},
	CodeNoFile:           {http.StatusNotFound, "No such file"},
	CodeNoKey:            {http.StatusNotFound, "No such key"},
	CodeNoContainer:      {http.StatusNotFound, "No such container"},
	CodeNoObject:         {http.StatusNotFound, "No such object"},
	CodeNoToken:          {http.StatusNotFound, "No such token"},
	CodeUnknownRoute:     {http.StatusNotFound, "No such route"},
	CodeRouteConflict:    {http.StatusConflict, "The routes overlap"},
	CodeNoFunction:       {http.StatusNotFound, "No such function"},
	CodeBadArguments:     {http.StatusUnprocessableEntity, "The arguments do not fit the function"},
	CodeBadProgram:       {http.StatusUnprocessableEntity, "The program cannot be run"},
	CodeNoLink:           {http.StatusUnprocessableEntity, "The program calls what no link leads to"},
	CodeKeyReused:        {http.StatusConflict, "The key was used for another call"},
	CodeWorkerExists:     {http.StatusConflict, "The worker exists"},
	CodeWorkerFailed:     {http.StatusConflict, "The worker has failed"},
	CodeWorkerExited:     {http.StatusConflict, "The worker's program has ended"},
	CodeWorkerBusy:       {http.StatusConflict, "The worker is busy"},
	CodeNotCancelable:    {http.StatusConflict, "The invocation cannot be canceled"},
	CodePromiseSettled:   {http.StatusConflict, "The promise is settled"},
	CodePromisesFull:     {http.StatusTooManyRequests, "The worker's promises take too much room"},
	CodeNoCall:           {http.StatusNotFound, "No such call"},
	CodeNotHeld:          {http.StatusConflict, "The call does not wait for a person"},
	CodeComponentInUse:   {http.StatusConflict, "The component has workers"},
	CodeInvocationFailed: {http.StatusInternalServerError, "The invocation failed"},
	CodeTooLarge:         {http.StatusRequestEntityTooLarge, "The request is too large"},
	CodeMediaType:        {http.StatusUnsupportedMediaType, "The request's media type is not supported"},
	CodeQueueFull:        {http.StatusTooManyRequests, "The worker's queue is full"},
	CodeTimeout:          {http.StatusGatewayTimeout, "The answer is still to come"},
	CodeOverloaded:       {http.StatusServiceUnavailable, "The server is overloaded"},
	CodeDiskFull:         {http.StatusServiceUnavailable, "The disk is full"},
	CodeStopping:         {http.StatusServiceUnavailable, "The server is stopping"},
	CodeDamaged:          {http.StatusInternalServerError, "Stored data is damaged"},
	CodeInternal:         {http.StatusInternalServerError, "Internal error"},
}

// Codes lists them all, in alphabetical order.
func Codes() []Code { return slices.Sorted(maps.Keys(problems)) }

// NewProblem makes the problem of code. Where waiting helps it says for how
// long.
func NewProblem(code Code, detail string) *Problem {
	p := problems[code]
	made := &Problem{Status: p.status, Code: code, Title: p.title, Detail: detail}
	if p.status == http.StatusTooManyRequests || p.status == http.StatusServiceUnavailable {
		made.RetryAfter = 1
	}
	return made
}

// Error is the detail.
func (p *Problem) Error() string { return p.Detail }
