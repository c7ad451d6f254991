package platform

import (
	"slices"
	"strings"

	"github.com/waterbear-run/waterbear/internal/host/await"
	"github.com/waterbear-run/waterbear/internal/host/promise"
	"github.com/waterbear-run/waterbear/wit"
)

// Promises are the program's promises; promise.Promises records what it does.
type Promises interface {
	Make(label string) (name string, r promise.Refusal, err error)
	Webhook(name string) (url string, r promise.Refusal, err error)
	Take(name string) (o promise.Outcome, settled bool, r promise.Refusal, err error)
	Wait(deadline uint64, names []string) (ready []bool, r promise.Refusal, err error)
	Withdraw(name string) (promise.Refusal, error)
	Settle(name string, o promise.Outcome) (promise.Refusal, error)
}

// Clock is the program's monotonic clock.
type Clock interface{ Monotonic() (uint64, error) }

func promisesInterface() interfaceOf {
	return interfaceOf{name: "promises", functions: []function{
		{name: "create", call: createPromise},
		{name: "webhook-url", call: webhookURL},
		{name: "wait", call: waitForPromise},
		{name: "wait-any", call: waitForAny},
		{name: "poll", call: pollPromise},
		{name: "withdraw", call: withdrawPromise},
		{name: "complete", call: completePromise},
		{name: "fail", call: failPromise},
	}}
}

// refusalOr makes the result of a function of what it gives, or why not.
func refusalOr(v wit.Value, r promise.Refusal, err error) (wit.Value, error) {
	switch {
	case err != nil:
		return nil, err
	case r != 0:
		return wit.Case{Index: 1, Payload: wit.Case{Index: uint32(r - promise.Unsupported)}}, nil
	}
	return wit.Case{Payload: v}, nil
}

func createPromise(s *System, a []wit.Value) (wit.Value, error) {
	name, r, err := s.Promises.Make(a[0].(string))
	return refusalOr(name, r, err)
}

func webhookURL(s *System, a []wit.Value) (wit.Value, error) {
	url, r, err := s.Promises.Webhook(a[0].(string))
	return refusalOr(url, r, err)
}

func pollPromise(s *System, a []wit.Value) (wit.Value, error) {
	o, settled, r, err := s.Promises.Take(a[0].(string))
	if !settled {
		return refusalOr(wit.Case{}, r, err)
	}
	return refusalOr(wit.Case{Index: 1, Payload: outcomeOf(o)}, r, err)
}

func waitForPromise(s *System, a []wit.Value) (wit.Value, error) {
	name := a[0].(string)
	for {
		o, settled, r, err := s.Promises.Take(name)
		if settled || r != 0 || err != nil {
			return refusalOr(outcomeOf(o), r, err)
		}
		if _, r, err = s.Promises.Wait(await.Forever, []string{name}); r != 0 || err != nil {
			return refusalOr(nil, r, err)
		}
	}
}

func outcomeOf(o promise.Outcome) wit.Value {
	if o.Failed {
		return wit.Case{Index: 1, Payload: strings.ToValidUTF8(string(o.Value), "�")}
	}
	return wit.Case{Payload: slices.Concat([]byte{}, o.Value)}
}

func waitForAny(s *System, a []wit.Value) (wit.Value, error) {
	list := a[0].([]wit.Value)
	names := make([]string, len(list))
	for i, name := range list {
		names[i] = name.(string)
	}
	deadline := await.Forever
	if timeout := a[1].(wit.Case); timeout.Index == 1 {
		now, err := s.Clock.Monotonic()
		if err != nil {
			return nil, err
		}
		if d := timeout.Payload.(uint64); d < await.Forever-now {
			deadline = now + d
		}
	}
	if len(names) == 0 && deadline == await.Forever {
		return nil, trap("the program waits for the first of no promises, and for ever")
	}
	ready, r, err := s.Promises.Wait(deadline, names)
	if i := slices.Index(ready, true); i >= 0 {
		return refusalOr(wit.Case{Index: 1, Payload: uint32(i)}, r, err)
	}
	return refusalOr(wit.Case{}, r, err)
}

func withdrawPromise(s *System, a []wit.Value) (wit.Value, error) {
	r, err := s.Promises.Withdraw(a[0].(string))
	return refusalOr(nil, r, err)
}

func completePromise(s *System, a []wit.Value) (wit.Value, error) {
	r, err := s.Promises.Settle(a[0].(string), promise.Outcome{Value: a[1].([]byte)})
	return refusalOr(nil, r, err)
}

func failPromise(s *System, a []wit.Value) (wit.Value, error) {
	r, err := s.Promises.Settle(a[0].(string), promise.Outcome{Failed: true, Value: []byte(a[1].(string))})
	return refusalOr(nil, r, err)
}
