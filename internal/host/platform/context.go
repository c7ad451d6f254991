package platform

import (
	"context"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/wit"
)

// Context says who a program is.
type Context interface {
	// Identity is what the program is now. It is asked live alone.
	Identity() Identity
	// Key makes the n-th key of the invocation, from 1.
	Key(n uint64) string
}

// Identity is a worker and what it does.
type Identity struct {
	Component, Name string
	Revision        uint64
	Created         uint64 // nanoseconds since 1970
	Invocation      string // its key
	Attempt         uint64
}

// The codes of the functions of context.
const (
	codeCurrent = 100
	codeKey     = 101
)

// key is recorded by itself: the number of the key counts at replay too.
var key = durable.Func[uint64, string]{
	Code: codeKey, Name: "context.idempotency-key", Effect: durable.ReadLocal,
	Request: durable.Uint64Codec,
	Response: durable.Codec[string]{
		Append: func(b []byte, s string) []byte { return append(b, s...) },
		Decode: func(b []byte) (string, error) { return string(b), nil },
	},
}

func contextInterface() interfaceOf {
	return interfaceOf{name: "context", functions: []function{
		{name: "current", code: codeCurrent, effect: durable.ReadLocal, call: current},
		{name: "idempotency-key", call: idempotencyKey},
	}}
}

func current(s *System, _ []wit.Value) (wit.Value, error) {
	i := s.Context.Identity()
	return []wit.Value{i.Component, i.Name, i.Revision, i.Created, i.Invocation, i.Attempt}, nil
}

func idempotencyKey(s *System, _ []wit.Value) (wit.Value, error) {
	s.keys++
	made, err := durable.Run(s.Session, &key, s.keys, func(_ context.Context, n uint64) (string, error) { return s.Context.Key(n), nil })
	if err != nil {
		return nil, err
	}
	return made, nil
}
