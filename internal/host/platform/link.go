package platform

import (
	"context"
	"fmt"
	"strings"

	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/wit"
)

// linkFunc records where calls of an interface go: links may change.
var linkFunc = durable.Func[string, answer]{
	Code: codeLink, Name: "workers.link", Effect: durable.ReadLocal,
	Request: durable.Codec[string]{
		Append: func(b []byte, s string) []byte { return append(b, s...) },
		Decode: func(b []byte) (string, error) { return string(b), nil },
	},
	Response: durable.Codec[answer]{Append: appendAnswer, Decode: decodeAnswer, Show: answer.show},
}

// foreignInterface lets calls of interfaces that other components export be calls of
// their workers.
func foreignInterface() *component.HostInterface {
	return &component.HostInterface{Foreign: func(name string, t *wit.Func) func(*component.Call, []wit.Value) (wit.Value, error) {
		return func(c *component.Call, args []wit.Value) (wit.Value, error) {
			s, err := system(c.State())
			if err != nil {
				return nil, err
			}
			return s.foreign(name, t, args)
		}
	}}
}

// foreign calls a function that another component exports. There is no value by which
// any function could give an error, so that is a trap.
func (s *System) foreign(name string, t *wit.Func, args []wit.Value) (wit.Value, error) {
	of, function, _ := strings.Cut(name, "#")
	of, _, _ = strings.Cut(of, "@")
	worker, refused, err := s.linked(of)
	switch {
	case err != nil:
		return nil, err
	case refused != nil:
		return nil, trap("%s", refused.Message)
	}
	text, err := wit.AppendArgsJSON(nil, t, args)
	if err != nil {
		return nil, trap("call of %s of %s: %v", function, worker, err)
	}
	r, err := s.call(worker, name, string(text))
	switch {
	case err != nil:
		return nil, err
	case r.err != nil:
		return nil, trap("call of %s of %s: %s", function, worker, r.err.Message)
	case t.Result == nil:
		return nil, nil
	}
	v, err := wit.FromJSON(t.Result, []byte(strings.TrimSuffix(strings.TrimPrefix(r.text, "["), "]")))
	if err != nil {
		return nil, trap("call of %s of %s: its result does not fit: %v", function, worker, err)
	}
	return v, nil
}

// linked is the worker that calls of an interface go to now, or why there is none.
func (s *System) linked(name string) (string, *WorkerError, error) {
	if worker, ok := s.links[name]; ok {
		return worker, nil, nil
	}
	workers, err := s.workers()
	if err != nil {
		return "", nil, err
	}
	r, err := durable.Run(s.Session, &linkFunc, name, func(_ context.Context, name string) (answer, error) {
		worker, err := workers.Link(name)
		return answered(worker, true, err)
	})
	if err == nil && r.err == nil {
		s.link(name, r.text)
	}
	return r.text, r.err, err
}

// maxChosen bounds the interfaces for which an invocation has workers in mind.
const maxChosen = 256

func (s *System) link(name, worker string) {
	if s.links == nil || len(s.links) >= maxChosen {
		s.links = map[string]string{}
	}
	s.links[name] = worker
}

// workerChoose is no call of anybody: what it does follows from its arguments, and
// from the link, which is recorded.
func workerChoose(s *System, a []wit.Value) (wit.Value, error) {
	name, worker := a[0].(string), a[1].(string)
	if len(name)+len(worker) > maxWorkerName || strings.Contains(name, "@") {
		return wit.Case{Index: 1, Payload: (&WorkerError{WorkerInvalid, fmt.Sprintf("%.100q is not the name of an interface without a version", name)}).value()}, nil
	}
	if !strings.Contains(worker, "/") {
		linked, refused, err := s.linked(name)
		switch {
		case err != nil:
			return nil, err
		case refused != nil:
			return answer{err: refused}.value(nil), nil
		}
		of, _, _ := strings.Cut(linked, "/")
		worker = of + "/" + worker
	}
	s.link(name, worker)
	return wit.Case{}, nil
}
