package platform

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/wit"
)

// Workers are the other workers, as a program's worker reaches them. Its methods
// are called live alone, and wait. An error that the program is to see is a
// *WorkerError.
type Workers interface {
	// Invoke has a function called, and gives its result. It is called again with
	// the same call, after a crash.
	Invoke(ctx context.Context, c WorkerCall) (result string, err error)
	// Start has it called and does not wait for its end.
	Start(ctx context.Context, c WorkerCall) error
	// Result waits for the end of a call that this worker has started.
	Result(ctx context.Context, worker, key string) (result string, err error)
	// Poll looks for it.
	Poll(ctx context.Context, worker, key string) (result string, ended bool, err error)
	Cancel(ctx context.Context, worker, key string) error
	Spawn(ctx context.Context, worker string, o WorkerOptions) (created bool, err error)
	List(ctx context.Context, component, after string) (list []WorkerView, next string, err error)
	Status(ctx context.Context, worker string) (WorkerView, error)
	// Link gives the worker that the calls of an interface go to, which is named
	// without a version.
	Link(name string) (worker string, err error)
	// Fork makes a copy of the worker that calls, in the middle of this call. Done
	// again, for the same call, it is done once. It gives the copy's name.
	Fork(ctx context.Context, f Fork) (name string, err error)
	// Suspensions counts, as far as the oplog was replayed, how often the program
	// has left memory to wait.
	Suspensions() uint64
}

// WorkerCall is a call of a function of another worker.
type WorkerCall struct {
	Worker, Function string
	Args             string // a JSON array
	Key              string
	Due              uint64 // nanoseconds since 1970; 0: at once
	// Accepted says that the call was accepted before: then there is a worker, or it
	// was deleted since.
	Accepted bool
}

// WorkerOptions are what a worker is made with.
type WorkerOptions struct {
	Revision  uint64
	Args, Env []string
	Ephemeral bool
	Settings  string
}

// WorkerView is what a program is told of a worker.
type WorkerView struct {
	Worker         string
	Revision       uint64
	Status, Reason string
	Queue          uint64
}

// WorkerError is why a program did not get what it asked of another worker.
type WorkerError struct {
	Kind    WorkerFailure
	Message string
}

func (e *WorkerError) Error() string { return e.Message }

// WorkerFailure is the enum of the WIT.
type WorkerFailure uint32

// Its cases, in the order of the WIT.
const (
	WorkerInvalid WorkerFailure = iota
	WorkerNoComponent
	WorkerMissing
	WorkerNoFunction
	WorkerBadArguments
	WorkerTooLarge
	WorkerKeyReused
	WorkerCycle
	WorkerQueueFull
	WorkerFailed
	WorkerCanceled
	WorkerDeleted
	WorkerStopped
	WorkerNoInvocation
	WorkerEnded
	WorkerExists
	workerFailures
)

// Bounds of a call, in bytes.
const (
	MaxWorkerArgs   = 512 << 10
	MaxWorkerResult = 768 << 10
	maxWorkerName   = 1 << 10
	maxWorkerError  = 4 << 10
)

// The codes of the functions of workers.
const (
	codeInvoke = 130
	codeStart  = 131
	codeResult = 132
	codePoll   = 133
	codeCancel = 134
	codeSpawn  = 135
	codeList   = 136
	codeStatus = 137
	codeLink   = 138
	codeFork   = 139
)

func workersInterface() interfaceOf {
	return interfaceOf{name: "workers", functions: []function{
		{name: "invoke", call: workerInvoke},
		{name: "start", call: workerStart},
		{name: "schedule", call: workerStart},
		{name: "await-result", call: workerResult},
		{name: "poll", call: workerPoll},
		{name: "cancel", code: codeCancel, effect: durable.WriteRemote, call: workerCancel},
		{name: "spawn", code: codeSpawn, effect: durable.WriteRemote, call: workerSpawn},
		{name: "list-workers", code: codeList, effect: durable.ReadLocal, call: workerList},
		{name: "status", code: codeStatus, effect: durable.ReadLocal, call: workerStatus},
		{name: "choose", call: workerChoose},
		{name: "fork", call: workerFork},
	}}
}

// ticket is a WorkerCall as it is recorded.
type ticket WorkerCall

func appendTicket(b []byte, t ticket) []byte {
	b = binary.AppendUvarint(b, t.Due)
	for _, s := range []string{t.Worker, t.Function, t.Key} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return append(b, t.Args...)
}

var errTicket = errors.New("the recorded call is damaged")

func decodeTicket(b []byte) (t ticket, err error) {
	due, n := binary.Uvarint(b)
	if n <= 0 {
		return t, errTicket
	}
	t.Due, b = due, b[n:]
	for _, s := range []*string{&t.Worker, &t.Function, &t.Key} {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return t, errTicket
		}
		*s, b = string(b[n:n+int(size)]), b[n+int(size):]
	}
	t.Args = string(b)
	return t, nil
}

func (t ticket) show() string {
	if t.Function == "" {
		return fmt.Sprintf("%s key %s", t.Worker, t.Key)
	}
	return fmt.Sprintf("%s %s(%s) key %s", t.Worker, t.Function, strings.TrimSuffix(strings.TrimPrefix(t.Args, "["), "]"), t.Key)
}

// answer is what comes back of a call.
type answer struct {
	text  string // the result, or the key
	ended bool   // of a poll: it has one
	err   *WorkerError
}

// How an answer begins.
const (
	answerNone = iota
	answerText
	answerError
)

func appendAnswer(b []byte, a answer) []byte {
	switch {
	case a.err != nil:
		return append(binary.AppendUvarint(append(b, answerError), uint64(a.err.Kind)), a.err.Message...)
	case a.ended:
		return append(append(b, answerText), a.text...)
	}
	return append(b, answerNone)
}

var errAnswer = errors.New("the recorded answer is damaged")

func decodeAnswer(b []byte) (a answer, err error) {
	if len(b) == 0 {
		return a, errAnswer
	}
	switch b[0] {
	case answerNone:
		if len(b) > 1 {
			return a, errAnswer
		}
	case answerText:
		a.text, a.ended = string(b[1:]), true
	case answerError:
		kind, n := binary.Uvarint(b[1:])
		if n <= 0 || kind >= uint64(workerFailures) {
			return a, errAnswer
		}
		a.err = &WorkerError{WorkerFailure(kind), string(b[1+n:])}
	default:
		return a, errAnswer
	}
	return a, nil
}

func (a answer) show() string {
	switch {
	case a.err != nil:
		return "error: " + a.err.Message
	case !a.ended:
		return "it has not ended"
	}
	return a.text
}

func called(code uint64, name string, effect durable.Effect) durable.Func[ticket, answer] {
	return durable.Func[ticket, answer]{
		Code: code, Name: "workers." + name, Effect: effect,
		Request:   durable.Codec[ticket]{Append: appendTicket, Decode: decodeTicket, Show: ticket.show},
		Response:  durable.Codec[answer]{Append: appendAnswer, Decode: decodeAnswer, Show: answer.show},
		OfRequest: func(t ticket) durable.Facts { return durable.Facts{Key: t.Key} }, OfResponse: answer.facts,
	}
}

// facts are what the ledger says of an answer: a call was made unless it was refused.
func (a answer) facts() (f durable.Facts) {
	if a.err == nil {
		return f
	}
	switch a.err.Kind {
	case WorkerFailed, WorkerCanceled, WorkerDeleted:
	default:
		f.Fate = durable.NotSent
	}
	return f
}

var (
	invokeFunc = called(codeInvoke, "invoke", durable.WriteRemote)
	startFunc  = called(codeStart, "start", durable.WriteRemote)
	resultFunc = called(codeResult, "await-result", durable.ReadRemote)
	pollFunc   = called(codePoll, "poll", durable.ReadLocal)
)

// Awaited reads of the intent of a recorded call which invocation, of which worker,
// it waits for, and whether it is the call of that.
func Awaited(code uint64, request []byte) (worker, key string, call, ok bool) {
	if code != codeInvoke && code != codeResult {
		return "", "", false, false
	}
	t, err := decodeTicket(request)
	return t.Worker, t.Key, code == codeInvoke, err == nil
}

// workers are there for workers of a platform.
func (s *System) workers() (Workers, error) {
	if s.Workers == nil {
		return nil, trap("functions of %s/workers are there for workers of a server only", packageName)
	}
	return s.Workers, nil
}

// answered makes an answer of what a function of Workers gives.
func answered(text string, ended bool, err error) (answer, error) {
	var seen *WorkerError
	switch {
	case errors.As(err, &seen):
		return answer{err: seen.clipped()}, nil
	case err != nil:
		return answer{}, err
	case len(text) > MaxWorkerResult:
		return answer{err: &WorkerError{WorkerTooLarge, fmt.Sprintf("the result has %d bytes, more than %d: give it in parts", len(text), MaxWorkerResult)}}, nil
	}
	return answer{text: text, ended: ended}, nil
}

func (e *WorkerError) clipped() *WorkerError {
	if len(e.Message) <= maxWorkerError {
		return e
	}
	return &WorkerError{e.Kind, strings.ToValidUTF8(e.Message[:maxWorkerError], "") + "…"}
}

// value is an answer as the program gets it.
func (a answer) value(ok wit.Value) wit.Value {
	if a.err != nil {
		return wit.Case{Index: 1, Payload: a.err.value()}
	}
	return wit.Case{Payload: ok}
}

func (e *WorkerError) value() wit.Value {
	return []wit.Value{wit.Case{Index: uint32(e.Kind)}, e.Message}
}

// long refuses what is too long to be recorded.
func (t *ticket) long() *WorkerError {
	switch {
	case len(t.Worker) > maxWorkerName || len(t.Function) > maxWorkerName || len(t.Key) > maxWorkerName:
		return &WorkerError{WorkerInvalid, fmt.Sprintf("a name has more than %d bytes", maxWorkerName)}
	case len(t.Args) > MaxWorkerArgs:
		return &WorkerError{WorkerTooLarge, fmt.Sprintf("the arguments have %d bytes, more than %d: pass them in parts", len(t.Args), MaxWorkerArgs)}
	}
	return nil
}

// call has a function called, and gives its result.
func (s *System) call(worker, function, args string) (answer, error) {
	workers, err := s.workers()
	if err != nil {
		return answer{}, err
	}
	t := ticket{Worker: worker, Function: function, Args: args, Key: s.callKey()}
	if refused := t.long(); refused != nil {
		return answer{err: refused}, nil
	}
	before := workers.Suspensions()
	return durable.Run(s.Session, &invokeFunc, t, func(ctx context.Context, t ticket) (answer, error) {
		// Nobody leaves memory before the call is accepted.
		t.Accepted = workers.Suspensions() > before
		result, err := workers.Invoke(ctx, WorkerCall(t))
		return answered(result, true, err)
	})
}

// callKey is the key of the call that follows.
func (s *System) callKey() string {
	s.keys++
	return s.Context.Key(s.keys)
}

func workerInvoke(s *System, a []wit.Value) (wit.Value, error) {
	r, err := s.call(a[0].(string), a[1].(string), a[2].(string))
	if err != nil {
		return nil, err
	}
	return r.value(r.text), nil
}

// workerStart is for start and schedule.
func workerStart(s *System, a []wit.Value) (wit.Value, error) {
	workers, err := s.workers()
	if err != nil {
		return nil, err
	}
	t := ticket{Worker: a[0].(string), Function: a[1].(string), Args: a[2].(string), Key: s.callKey()}
	if len(a) > 3 {
		t.Due = max(a[3].(uint64), 1)
	}
	if refused := t.long(); refused != nil {
		return answer{err: refused}.value(nil), nil
	}
	r, err := durable.Run(s.Session, &startFunc, t, func(ctx context.Context, t ticket) (answer, error) {
		return answered(t.Key, true, workers.Start(ctx, WorkerCall(t)))
	})
	if err != nil {
		return nil, err
	}
	return r.value(r.text), nil
}

// askWorker asks for a call that was started.
func askWorker(s *System, f *durable.Func[ticket, answer], a []wit.Value, perform func(ctx context.Context, w Workers, worker, key string) (string, bool, error)) (answer, error) {
	workers, err := s.workers()
	if err != nil {
		return answer{}, err
	}
	t := ticket{Worker: a[0].(string), Key: a[1].(string)}
	if refused := t.long(); refused != nil {
		return answer{err: refused}, nil
	}
	return durable.Run(s.Session, f, t, func(ctx context.Context, t ticket) (answer, error) {
		return answered(perform(ctx, workers, t.Worker, t.Key))
	})
}

func workerResult(s *System, a []wit.Value) (wit.Value, error) {
	r, err := askWorker(s, &resultFunc, a, func(ctx context.Context, w Workers, worker, key string) (string, bool, error) {
		result, err := w.Result(ctx, worker, key)
		return result, true, err
	})
	if err != nil {
		return nil, err
	}
	return r.value(r.text), nil
}

func workerPoll(s *System, a []wit.Value) (wit.Value, error) {
	r, err := askWorker(s, &pollFunc, a, func(ctx context.Context, w Workers, worker, key string) (string, bool, error) {
		return w.Poll(ctx, worker, key)
	})
	if err != nil {
		return nil, err
	}
	if !r.ended {
		return r.value(wit.Case{}), nil
	}
	return r.value(wit.Case{Index: 1, Payload: r.text}), nil
}

// ofWorkers makes a result of what a function gives that is recorded as it is.
func ofWorkers(s *System, perform func(w Workers) (wit.Value, error)) (wit.Value, error) {
	w, err := s.workers()
	if err != nil {
		return nil, err
	}
	v, err := perform(w)
	var told *WorkerError
	if errors.As(err, &told) {
		return wit.Case{Index: 1, Payload: told.clipped().value()}, nil
	}
	return wit.Case{Payload: v}, err
}

func workerCancel(s *System, a []wit.Value) (wit.Value, error) {
	return ofWorkers(s, func(w Workers) (wit.Value, error) {
		return nil, w.Cancel(s.Session.Context(), a[0].(string), a[1].(string))
	})
}

func workerSpawn(s *System, a []wit.Value) (wit.Value, error) {
	return ofWorkers(s, func(w Workers) (wit.Value, error) {
		f := a[1].([]wit.Value)
		return w.Spawn(s.Session.Context(), a[0].(string), WorkerOptions{
			Revision: f[0].(uint64), Args: texts(f[1]), Env: texts(f[2]), Ephemeral: f[3].(bool), Settings: f[4].(string),
		})
	})
}

func texts(list wit.Value) (made []string) {
	for _, v := range list.([]wit.Value) {
		made = append(made, v.(string))
	}
	return made
}

func workerList(s *System, a []wit.Value) (wit.Value, error) {
	return ofWorkers(s, func(w Workers) (wit.Value, error) {
		list, next, err := w.List(s.Session.Context(), a[0].(string), a[1].(string))
		if err != nil {
			return nil, err
		}
		values := make([]wit.Value, 0, len(list))
		for _, i := range list {
			values = append(values, i.value())
		}
		return []wit.Value{values, next}, nil
	})
}

func workerStatus(s *System, a []wit.Value) (wit.Value, error) {
	return ofWorkers(s, func(w Workers) (wit.Value, error) {
		i, err := w.Status(s.Session.Context(), a[0].(string))
		return i.value(), err
	})
}

func (i WorkerView) value() wit.Value {
	return []wit.Value{i.Worker, i.Revision, i.Status, i.Reason, i.Queue}
}
