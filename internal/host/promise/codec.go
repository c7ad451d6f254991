package promise

import (
	"errors"
	"fmt"
	"hash"

	"github.com/waterbear-run/waterbear/internal/durable"
)

// The codes of the recorded functions. A code is never used again for something
// else.
const (
	codeMake     = 120
	codeTake     = 121
	codeWithdraw = 122
	codeSettle   = 123
	codeWebhook  = 124
)

var makes = durable.Func[string, answer]{
	Code: codeMake, Name: "promises.create", Effect: durable.ReadLocal, Request: textCodec, Response: answerCodec,
}

var take = durable.Func[string, taken]{
	Code: codeTake, Name: "promises.poll", Effect: durable.ReadLocal, Request: textCodec,
	Response: codecOf(taken.append, (*decoder).taken, taken.show),
}

var withdraw = durable.Func[string, answer]{
	Code: codeWithdraw, Name: "promises.withdraw", Effect: durable.ReadLocal, Request: textCodec, Response: answerCodec,
}

var settle = durable.Func[settlement, answer]{
	Code: codeSettle, Name: "promises.settle", Effect: durable.WriteRemote,
	Request: codecOf(settlement.append, (*decoder).settlement, settlement.show), Response: answerCodec,
}

var webhook = durable.Func[string, answer]{
	Code: codeWebhook, Name: "promises.webhook", Effect: durable.ReadLocal, Request: textCodec,
	// Who has the URL can complete the promise, and readers of oplogs need not.
	Response: codecOf(answer.append, (*decoder).answer, func(a answer) string { return answer{refusal: a.refusal}.show() }),
}

// Funcs lists what this package records.
func Funcs() []durable.Declared {
	return []durable.Declared{&makes, &take, &withdraw, &settle, &webhook}
}

func codecOf[T any](add func(T, []byte) []byte, decode func(*decoder) T, show func(T) string) durable.Codec[T] {
	return durable.Codec[T]{
		Append: func(b []byte, v T) []byte { return add(v, b) },
		Decode: func(b []byte) (T, error) {
			d := &decoder{durable.Decoder{Rest: b}}
			v := decode(d)
			if !d.Whole() {
				return v, errDamaged
			}
			return v, nil
		},
		Show: show,
	}
}

var errDamaged = errors.New("the recorded value is damaged")

var textCodec = durable.Codec[string]{
	Append: func(b []byte, s string) []byte { return append(b, s...) },
	Decode: func(b []byte) (string, error) { return string(b), nil },
	Show:   func(s string) string { return fmt.Sprintf("%q", s) },
}

// answer is a refusal, or what was asked for.
type answer struct {
	refusal Refusal
	value   []byte
}

var answerCodec = codecOf(answer.append, (*decoder).answer, answer.show)

func (a answer) append(b []byte) []byte { return append(append(b, byte(a.refusal)), a.value...) }

func (d *decoder) answer() (a answer) {
	a.refusal, a.value = Refusal(d.Byte()), d.Take(len(d.Rest))
	return a
}

func (a answer) show() string {
	if a.refusal != 0 {
		return a.refusal.String()
	}
	return string(a.value)
}

// taken is what has become of a promise.
type taken struct {
	state State
	value []byte
}

func (t taken) append(b []byte) []byte { return append(append(b, byte(t.state)), t.value...) }

func (d *decoder) taken() (t taken) {
	t.state, t.value = State(d.Byte()), d.Take(len(d.Rest))
	d.Failed = d.Failed || t.state > Failed
	return t
}

func (t taken) show() string {
	switch t.state {
	case Pending:
		return "it is pending"
	case Completed:
		return "completed: " + Clip(t.value)
	case Failed:
		return "failed: " + Clip(t.value)
	}
	return "there is no such promise, or no more"
}

// Clip shows people the beginning of a value.
func Clip(b []byte) string {
	if len(b) > 100 {
		return fmt.Sprintf("%q… (%d bytes)", b[:100], len(b))
	}
	return fmt.Sprintf("%q", b)
}

// settlement is what is to become of a promise.
type settlement struct {
	promise string
	Outcome
	key string
}

func (s settlement) append(b []byte) []byte {
	b = durable.AppendText(durable.AppendText(append(b, flag(s.Failed)), s.promise), s.key)
	return append(b, s.Value...)
}

func (d *decoder) settlement() (s settlement) {
	s.Failed, s.promise, s.key = d.Bool(), string(d.Text()), string(d.Text())
	s.Value = d.Take(len(d.Rest))
	return s
}

func (s settlement) show() string {
	become := "completed"
	if s.Failed {
		become = "failed"
	}
	return fmt.Sprintf("%s: %s with %s", s.promise, become, Clip(s.Value))
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// secretSum is a hash of texts, told apart by their lengths.
type secretSum struct{ hash.Hash }

func (s secretSum) text(t string) secretSum {
	s.Write(durable.AppendText(nil, t))
	return s
}

// decoder takes values off recorded bytes, or fails.
type decoder struct{ durable.Decoder }
