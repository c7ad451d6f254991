package platform

import (
	"context"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/wit"
)

// MaxForks is how often a program can fork in one attempt. A copy counts those of its
// origin that came before it.
const MaxForks = 100

// Fork is a call by which a worker forks itself.
type Fork struct {
	Worker string // the copy to be, component/name or a name within the component
	Key    string // names the call, however often the attempt is repeated
	At     uint64 // the entry of its intent
}

// branch is what a worker is told of a fork: its answer is the name of the copy.
type branch struct {
	copied bool // by which it knows itself for the copy
	answer
}

var forkFunc = durable.Func[ticket, branch]{
	Code: codeFork, Name: "workers.fork", Effect: durable.WriteRemote,
	Request: durable.Codec[ticket]{Append: appendTicket, Decode: decodeTicket, Show: ticket.show},
	Response: durable.Codec[branch]{
		Append: func(b []byte, v branch) []byte {
			side := byte(0)
			if v.copied {
				side = 1
			}
			return appendAnswer(append(b, side), v.answer)
		},
		Decode: func(b []byte) (v branch, err error) {
			if len(b) == 0 || b[0] > 1 {
				return v, errAnswer
			}
			v.copied = b[0] == 1
			v.answer, err = decodeAnswer(b[1:])
			return v, err
		},
		Show: func(v branch) string {
			if v.copied {
				return "this is the copy, " + v.text
			}
			return v.answer.show()
		},
	},
	OfRequest:  func(t ticket) durable.Facts { return durable.Facts{Key: t.Key} },
	OfResponse: func(v branch) durable.Facts { return v.facts() },
}

// InCopy is the outcome of a fork as the copy has it recorded.
func InCopy(name string) []byte {
	return forkFunc.Response.Append(nil, branch{copied: true, answer: answer{text: name, ended: true}})
}

// workerFork goes on twice. What it refuses by itself follows from what the program
// has done, in every replay alike.
func workerFork(s *System, a []wit.Value) (wit.Value, error) {
	workers, err := s.workers()
	if err != nil {
		return nil, err
	}
	t := ticket{Worker: a[0].(string)}
	refused := t.long()
	switch {
	case refused != nil:
	case s.Session.Unrecorded:
		refused = &WorkerError{WorkerInvalid, "an ephemeral worker has no history that a copy could begin with"}
	case s.Session.Depth() > 0:
		refused = &WorkerError{WorkerInvalid, "a worker cannot be forked in an atomic region or an effect, which may be repeated: end it before"}
	case s.forks >= MaxForks:
		refused = &WorkerError{WorkerTooLarge, "an attempt forks its worker 100 times at most"}
	}
	if refused != nil {
		return answer{err: refused}.value(nil), nil
	}
	t.Key = s.callKey()
	started, err := durable.Start(s.Session, &forkFunc, t)
	if err != nil {
		return nil, err
	}
	r, err := durable.Finish(s.Session, &forkFunc, started, func(ctx context.Context) (branch, error) {
		name, err := workers.Fork(ctx, Fork{Worker: t.Worker, Key: t.Key, At: started})
		made, err := answered(name, true, err)
		return branch{answer: made}, err
	})
	if err != nil {
		return nil, err
	}
	if r.err == nil {
		s.forks++
	}
	if !r.copied {
		return r.value(wit.Case{Payload: r.text}), nil
	}
	s.Session.ForgetWaypoints()
	return r.value(wit.Case{Index: 1, Payload: r.text}), nil
}
