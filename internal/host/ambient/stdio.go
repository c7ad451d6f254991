package ambient

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// Input is where a live worker's standard input comes from.
type Input interface {
	// Ready waits until something can be read and says how much at least, or
	// that the input is at its end.
	Ready(ctx context.Context) (n int, eof bool, err error)
	// Read waits for input and gives up to limit bytes; none at its end.
	Read(ctx context.Context, limit int) ([]byte, error)
	// Skip leaves out what the program has read before this run: n bytes with
	// this SHA-256. It is called before anything else, and again if ctx ended
	// it, to go on where that left it.
	Skip(ctx context.Context, n uint64, sum [sha256.Size]byte) error
}

// maxRead bounds one recorded read of input.
const maxRead = 64 << 10

var stdin = durable.Func[uint64, []byte]{
	Code: codeStdin, Name: "stdin.read", Effect: durable.ReadLocal,
	Request: durable.Uint64Codec,
	Response: durable.Codec[[]byte]{
		Append: func(b, p []byte) []byte { return append(b, p...) },
		Decode: func(b []byte) ([]byte, error) { return b, nil },
		Show:   func(p []byte) string { return fmt.Sprintf("%q", p) },
	},
}

// Stdio are a worker's standard streams.
type Stdio struct {
	session *durable.Session
	input   *skipping
	read    func(context.Context, uint64) ([]byte, error)
}

// NewStdio connects a worker to its input; output goes to the oplog alone.
func NewStdio(session *durable.Session, input Input) *Stdio {
	s := &Stdio{session: session, input: &skipping{Input: input, sum: sha256.New()}}
	s.read = func(ctx context.Context, limit uint64) ([]byte, error) { return s.input.Read(ctx, int(limit)) }
	return s
}

// Input is the standard input as waits see it.
func (s *Stdio) Input() Input { return s.input }

// Ended reports whether the program has seen the end of its input; without any
// before it, that is all an image keeps of the streams.
func (s *Stdio) Ended() bool { return s.input.ended }

// Restore sets streams that nobody has used yet to what Ended gave.
func (s *Stdio) Restore(ended bool) { s.input.ended = ended }

// Read waits for input and gives up to limit bytes, none at its end. They are
// valid until the next recorded call.
func (s *Stdio) Read(limit int) ([]byte, error) {
	if limit <= 0 {
		return nil, nil
	}
	p, err := durable.Run(s.session, &stdin, uint64(min(limit, maxRead)), s.read)
	if err == nil {
		s.input.note(p)
	}
	return p, err
}

// Write writes p to stdout (1) or stderr (2).
func (s *Stdio) Write(stream int, p []byte) error {
	return s.session.Output(oplog.Stream(stream), p)
}

// skipping is the input behind what the program has read already.
type skipping struct {
	Input
	taken   uint64 // bytes read, at replay or live
	sum     hash.Hash
	ended   bool // the program has seen the end
	skipped bool
}

func (s *skipping) note(p []byte) {
	s.taken += uint64(len(p))
	s.sum.Write(p)
	s.ended = s.ended || len(p) == 0
}

func (s *skipping) skip(ctx context.Context) error {
	if s.skipped {
		return nil
	}
	if s.taken > 0 {
		// A wait whose deadline comes ends this too; the next one goes on.
		if err := s.Input.Skip(ctx, s.taken, [sha256.Size]byte(s.sum.Sum(nil))); err != nil {
			return err
		}
	}
	s.skipped = true
	return nil
}

func (s *skipping) Ready(ctx context.Context) (int, bool, error) {
	if s.ended {
		return 0, true, nil
	}
	if err := s.skip(ctx); err != nil {
		return 0, false, err
	}
	return s.Input.Ready(ctx)
}

func (s *skipping) Read(ctx context.Context, limit int) ([]byte, error) {
	if s.ended {
		return nil, nil
	}
	if err := s.skip(ctx); err != nil {
		return nil, err
	}
	return s.Input.Read(ctx, limit)
}
