package waterbear

import (
	"fmt"
	"time"
	"unsafe"
)

// Failure is why a call of another worker has no result. It is an error, so that
// errors.Is finds it in a CallError.
type Failure uint8

// The failures.
const (
	InvalidArgument Failure = iota // the name of the worker, or another argument, makes no sense
	NoComponent                    // there is no component of this name
	NoWorker                       // there is no worker of this name
	NoFunction                     // the component has no such function
	BadArguments                   // the arguments do not fit the function
	CallTooLarge                   // arguments or result are too long
	KeyReused                      // an attempt before made another call here
	Cycle                          // the worker waits, directly or through others, for the caller
	QueueFull                      // the worker has too much to do already
	CallFailed                     // it failed, and is not tried again
	Canceled                       // somebody has canceled it
	Deleted                        // the worker was deleted before it had ended
	Stopped                        // the worker's program cannot go on
	NoInvocation                   // there is none of this key that this worker has started
	Ended                          // it has ended already
	Exists                         // the worker exists, and was made otherwise
)

var failures = [...]string{
	"invalid", "no-component", "no-worker", "no-function", "bad-arguments", "too-large", "key-reused", "cycle",
	"queue-full", "failed", "canceled", "deleted", "stopped", "no-invocation", "ended", "exists",
}

// Error implements error.
func (f Failure) Error() string {
	if int(f) < len(failures) {
		return failures[f]
	}
	return fmt.Sprintf("failure %d", uint8(f))
}

// CallError is why a call of another worker has no result.
type CallError struct {
	Kind    Failure
	Message string // for people
}

// Error implements error.
func (e *CallError) Error() string { return e.Message }

// Unwrap gives the kind.
func (e *CallError) Unwrap() error { return e.Kind }

// Invoke calls a function of another worker, component/name, exactly once, and
// waits for its result. Arguments and result are JSON arrays. A program that waits
// for long leaves memory. The error is a *CallError, as that of all functions here.
func Invoke(worker, function, args string) (result string, err error) {
	var r callResult
	workersInvoke(worker, function, args, unsafe.Pointer(&r))
	return r.text()
}

// Start lets a function be called, and does not wait for it. It gives the key by
// which Result, Poll and Cancel know the call.
func Start(worker, function, args string) (key string, err error) {
	var r callResult
	workersStart(worker, function, args, unsafe.Pointer(&r))
	return r.text()
}

// Schedule is Start for a call that is to begin at a time.
func Schedule(worker, function, args string, at time.Time) (key string, err error) {
	var r callResult
	workersSchedule(worker, function, args, uint64(max(at.UnixNano(), 0)), unsafe.Pointer(&r))
	return r.text()
}

// Result waits for the result of a call that this worker has started.
func Result(worker, key string) (result string, err error) {
	var r callResult
	workersAwaitResult(worker, key, unsafe.Pointer(&r))
	return r.text()
}

// Poll looks for the result of a call that this worker has started.
func Poll(worker, key string) (result string, ended bool, err error) {
	var r callResult
	workersPoll(worker, key, unsafe.Pointer(&r))
	if err := r.err(); err != nil || r.a&0xff == 0 {
		return "", false, err
	}
	return text{r.b, r.c}.take(), true, nil
}

// Cancel takes a call back that this worker has started, if it has not ended.
func Cancel(worker, key string) error {
	var r callResult
	workersCancel(worker, key, unsafe.Pointer(&r))
	return r.err()
}

// Fork makes a copy of this worker, which goes on from here as this one does, with the
// same memory, files and history, in the same invocation: so Fork returns twice, in
// the copy with copied set. The copy is named component/name, of the same component,
// or by its name alone; Fork gives all of its name. Who waits for the invocation gets
// what the original comes to.
func Fork(worker string) (copied bool, name string, err error) {
	var r callResult
	workersFork(worker, unsafe.Pointer(&r))
	if err := r.err(); err != nil {
		return false, "", err
	}
	return r.a&0xff != 0, text{r.b, r.c}.take(), nil
}

// NewWorker is how a worker is made.
type NewWorker struct {
	Revision  uint64 // of its component; 0 for the newest
	Args      []string
	Env       []string // each KEY=VALUE
	Ephemeral bool     // a fresh instance for each invocation
	Settings  string   // its own, JSON as in REST; empty for none
}

// Spawn makes a worker, and reports whether it is new. One that was made alike
// already is as good.
func Spawn(worker string, o NewWorker) (created bool, err error) {
	args, keptArgs := lend(o.Args)
	env, keptEnv := lend(o.Env)
	var r callResult
	workersSpawn(worker, o.Revision, unsafe.Pointer(unsafe.SliceData(args)), uint32(len(args)),
		unsafe.Pointer(unsafe.SliceData(env)), uint32(len(env)), o.Ephemeral, o.Settings, unsafe.Pointer(&r))
	keep(keptArgs)
	keep(keptEnv)
	if err := r.err(); err != nil {
		return false, err
	}
	return r.a&0xff != 0, nil
}

// Worker is a worker, as it was when it was looked at.
type Worker struct {
	Name     string // component/name
	Revision uint64
	Status   string // Idle, Running, Suspended, Interrupted, Retrying, Failed or Exited
	Reason   string // of the status, in words
	Queue    uint64 // invocations accepted and not ended
}

// Workers lists the workers of a component, all if that is empty, up to 100 at a
// time. The first page begins at an empty after, the next one at next, which is
// empty at the end.
func Workers(component, after string) (list []Worker, next string, err error) {
	var r struct {
		callResult
		d uint32
	}
	workersList(component, after, unsafe.Pointer(&r))
	if err := r.err(); err != nil {
		return nil, "", err
	}
	for _, w := range takeList[worker](text{r.a, r.b}) {
		list = append(list, w.take())
	}
	return list, text{r.c, r.d}.take(), nil
}

// Status looks at a worker.
func Status(of string) (Worker, error) {
	var r struct {
		failed uint64
		worker worker
	}
	workersStatus(of, unsafe.Pointer(&r))
	if r.failed&0xff != 0 {
		// The error lies where the worker would.
		e := (*[3]uint32)(unsafe.Pointer(&r.worker))
		return Worker{}, &CallError{Failure(e[0]), text{e[1], e[2]}.take()}
	}
	return r.worker.take(), nil
}

// Choose chooses the worker that gets the calls of an imported interface, until the
// invocation ends. The interface is named without a version; the worker within the
// component that the link leads to, or by all of its name.
func Choose(interfaceName, worker string) error {
	var r callResult
	workersChoose(interfaceName, worker, unsafe.Pointer(&r))
	return r.err()
}

// worker is one as the host gives it.
type worker struct {
	name           text
	revision       uint64
	status, reason text
	queue          uint64
}

func (w worker) take() Worker {
	return Worker{w.name.take(), w.revision, w.status.take(), w.reason.take(), w.queue}
}

// callResult is a result whose error is a kind and a message.
type callResult struct{ failed, a, b, c uint32 }

func (r callResult) err() error {
	if r.failed&0xff == 0 {
		return nil
	}
	return &CallError{Failure(r.a), text{r.b, r.c}.take()}
}

func (r callResult) text() (string, error) {
	if err := r.err(); err != nil {
		return "", err
	}
	return text{r.a, r.b}.take(), nil
}
