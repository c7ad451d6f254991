package platform

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/wit"
)

// The codes of the functions of effects.
const (
	codeEffectState = 105
	codeReadEffect  = 106
	codeWriteEffect = 107
)

// EffectState is how far an effect is.
type EffectState struct {
	Done    bool
	Outcome []byte // of one that is done
	Times   uint64 // that it was begun and not ended
}

// openEffect is an effect that has not ended.
type openEffect struct {
	f     *durable.Func[effectRequest, []byte]
	call  uint64 // its intent
	begin uint64 // the waypoint behind that
}

// effectRequest is what an effect is begun with.
type effectRequest struct {
	name    string
	request []byte
}

var bytesCodec = durable.Codec[[]byte]{
	Append: func(b, p []byte) []byte { return append(b, p...) },
	Decode: func(b []byte) ([]byte, error) { return bytes.Clone(b), nil },
	Show:   showBytes,
}

// showBytes shows what is mostly text, or JSON.
func showBytes(b []byte) string {
	if utf8.Valid(b) {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%x", b)
}

func effectFunc(code uint64, name string, effect durable.Effect) durable.Func[effectRequest, []byte] {
	return durable.Func[effectRequest, []byte]{
		Code: code, Name: name, Effect: effect, Response: bytesCodec,
		Request: durable.Codec[effectRequest]{
			Append: func(b []byte, r effectRequest) []byte {
				b = binary.AppendUvarint(b, uint64(len(r.name)))
				return append(append(b, r.name...), r.request...)
			},
			Decode: func(b []byte) (r effectRequest, err error) {
				size, n := binary.Uvarint(b)
				if n <= 0 || size > uint64(len(b)-n) {
					return r, errEffect
				}
				b = b[n:]
				return effectRequest{string(b[:size]), bytes.Clone(b[size:])}, nil
			},
			Show: func(r effectRequest) string { return r.name + " " + showBytes(r.request) },
		},
	}
}

var errEffect = errors.New("the recorded effect has the wrong length")

var (
	readEffect  = effectFunc(codeReadEffect, "effects.read", durable.ReadRemote)
	writeEffect = effectFunc(codeWriteEffect, "effects.write", durable.WriteRemote)
)

// effectState is asked behind the waypoint of an effect.
var effectState = durable.Func[durable.None, EffectState]{
	Code: codeEffectState, Name: "effects.state", Effect: durable.ReadLocal, Request: durable.NoneCodec,
	Response: durable.Codec[EffectState]{
		Append: func(b []byte, v EffectState) []byte {
			if v.Done {
				return append(append(b, 1), v.Outcome...)
			}
			return binary.AppendUvarint(append(b, 0), v.Times)
		},
		Decode: func(b []byte) (v EffectState, err error) {
			switch {
			case len(b) > 0 && b[0] == 1:
				return EffectState{Done: true, Outcome: bytes.Clone(b[1:])}, nil
			case len(b) > 1 && b[0] == 0:
				times, n := binary.Uvarint(b[1:])
				if n == len(b)-1 {
					return EffectState{Times: times}, nil
				}
			}
			return v, errEffect
		},
		Show: func(v EffectState) string {
			if v.Done {
				return "done: " + showBytes(v.Outcome)
			}
			return fmt.Sprintf("begun %d times before", v.Times)
		},
	},
}

func effectsInterface() interfaceOf {
	return interfaceOf{name: "effects", functions: []function{
		{name: "begin", call: beginEffect},
		{name: "end", call: endEffect},
		{name: "end-and-forget", call: endAndForget},
	}}
}

func beginEffect(s *System, a []wit.Value) (wit.Value, error) {
	r := effectRequest{a[0].(string), a[1].([]byte)}
	if n := len(r.name) + len(r.request); n > MaxRecorded {
		return nil, trap("the name and the request of an effect take %d bytes, more than %d", n, MaxRecorded)
	}
	if s.Session.Depth() == durable.MaxRegions {
		return nil, trap("more than %d effects and atomic regions lie in each other", durable.MaxRegions)
	}
	e := openEffect{f: &readEffect}
	if a[2].(wit.Case).Index == 1 {
		e.f = &writeEffect
	}
	var err error
	if e.call, err = durable.Start(s.Session, e.f, r); err != nil {
		return nil, err
	}
	if e.begin, err = s.Session.Waypoint(true); err != nil {
		return nil, err
	}
	s.open = append(s.open, e)
	state, err := durable.Run(s.Session, &effectState, durable.None{}, func(context.Context, durable.None) (EffectState, error) {
		if s.Session.Unrecorded {
			return EffectState{}, nil
		}
		return s.Control.Effect(e.begin), nil
	})
	switch {
	case err != nil:
		return nil, err
	case state.Done:
		return wit.Case{Index: 1, Payload: state.Outcome}, s.end(state.Outcome)
	case state.Times > 0 && e.f == &writeEffect:
		if err := s.Session.Doubt(e.call); err != nil {
			return nil, err
		}
	}
	return wit.Case{Payload: state.Times}, nil
}

// inEffect reports whether the innermost region is an effect.
func (s *System) inEffect() bool {
	return len(s.open) > 0 && s.open[len(s.open)-1].begin == s.Session.Innermost()
}

// checkEnd says why the innermost effect cannot end with an outcome, or nil.
func (s *System) checkEnd(outcome []byte) error {
	switch {
	case len(s.open) == 0:
		return trap("the program ends an effect, and has begun none")
	case !s.inEffect():
		return trap("the program ends an effect, and an atomic region in it has not ended")
	case len(outcome) > MaxRecorded:
		return trap("the outcome of an effect takes %d bytes, more than %d", len(outcome), MaxRecorded)
	}
	return nil
}

func endEffect(s *System, a []wit.Value) (wit.Value, error) {
	outcome := a[0].([]byte)
	if err := s.checkEnd(outcome); err != nil {
		return nil, err
	}
	return nil, s.end(outcome)
}

// end ends the innermost effect. Its region ends first, so that its outcome, once
// recorded, is not taken back.
func (s *System) end(outcome []byte) error {
	e := s.open[len(s.open)-1]
	if err := s.Session.EndAtomic(); err != nil {
		return err
	}
	s.open = s.open[:len(s.open)-1]
	recorded, err := durable.Finish(s.Session, e.f, e.call, func(context.Context) ([]byte, error) { return outcome, nil })
	if err == nil && !bytes.Equal(recorded, outcome) {
		return &durable.DivergenceError{
			Worker: s.Session.Worker, Index: e.call,
			Expected: "the outcome " + showBytes(recorded[:min(len(recorded), 64)]) + " of an effect", Got: showBytes(outcome[:min(len(outcome), 64)]),
		}
	}
	return err
}

func endAndForget(s *System, a []wit.Value) (wit.Value, error) {
	outcome := a[0].([]byte)
	if err := s.checkEnd(outcome); err != nil {
		return nil, err
	}
	recorded, err := s.Session.Ahead()
	switch {
	case err != nil:
		return nil, err
	case recorded || s.Session.Unrecorded || s.Control.Jumps() >= MaxJumps:
		return nil, s.end(outcome)
	}
	return nil, s.Session.Forget(s.open[len(s.open)-1].begin, outcome)
}
