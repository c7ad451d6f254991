// Package wasi is what the versions of WASI have in common: what a program is
// surrounded by, how it ends, how what it holds is numbered, how it waits, and
// how all of that is kept in an image. The packages of the versions are thin
// over it and over one implementation for each capability: host/filesystem and
// host/ambient. It hides nothing of a version's binary interface.
package wasi

import (
	"fmt"

	"github.com/waterbear-run/waterbear/internal/host/ambient"
	"github.com/waterbear-run/waterbear/internal/host/await"
	"github.com/waterbear-run/waterbear/internal/host/blobstore"
	"github.com/waterbear-run/waterbear/internal/host/config"
	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/keyvalue"
	"github.com/waterbear-run/waterbear/internal/host/socket"
)

// Clocks are the program's time. An error is the host's and ends the call.
type Clocks interface {
	// Realtime is the wall clock: nanoseconds since 1970.
	Realtime() (uint64, error)
	// Monotonic is a clock that never goes back, in nanoseconds.
	Monotonic() (uint64, error)
	// Wait returns when the monotonic clock shows deadline or, with stdin,
	// when input is readable or at its end. With a deadline that has passed it
	// only looks.
	Wait(deadline uint64, stdin bool) (ambient.Readiness, error)
	// Touch reads the wall clock, so that the times that the file system gives
	// to what changes next are of now.
	Touch() error
}

// Random is the program's source of random bytes.
type Random interface {
	Fill(p []byte) error
}

// Stdio are the program's standard streams.
type Stdio interface {
	// Read waits for input and gives up to limit bytes, none at its end. They
	// are valid until the next call.
	Read(limit int) ([]byte, error)
	// Write writes all of p to stdout (1) or stderr (2).
	Write(stream int, p []byte) error
}

// Events are what the program waits for beside time and input. An error is the
// host's and ends the call.
type Events interface {
	// Wait returns when the monotonic clock shows deadline or, with stdin, when
	// input is readable or at its end, or one of the events has come. With a
	// deadline that has passed it only looks.
	Wait(deadline uint64, stdin bool, list []await.Event) (await.Readiness, error)
}

// HTTP are the program's HTTP requests. An error is the host's and ends the call,
// but for exchange.ErrHead.
type HTTP interface {
	// Send lets a request leave, and does not wait for what comes back.
	Send(r exchange.Request) (*exchange.Exchange, error)
	// Event is that more of it has come than the program has seen.
	Event(x *exchange.Exchange) await.Event
	// Write passes on what follows in the body of one that was sent Streamed, at
	// most exchange.MaxChunk bytes, and keeps p.
	Write(x *exchange.Exchange, p []byte, end exchange.Ending, trailers []exchange.Field) error
	// Progress finds out how much of it the remote has taken, or waits until a
	// chunk has room.
	Progress(x *exchange.Exchange, block bool) error
	// RoomEvent is that a chunk has.
	RoomEvent(x *exchange.Exchange) await.Event
	// Outcome takes how the response begins.
	Outcome(x *exchange.Exchange) (exchange.Head, error)
	// Read takes up to limit bytes of the body behind that, which may be none
	// unless it is to block.
	Read(x *exchange.Exchange, limit int, block bool) (exchange.Piece, error)
	// HangUp gives up what has not come yet, if anything has not.
	HangUp(call uint64)
}

// Preopen is a directory that the program is given by name.
type Preopen struct {
	Name string
	Dir  filesystem.Inode
}

// DefaultMaxFiles is how many files a program can have open.
const DefaultMaxFiles = 4096

// MaxVector bounds the arguments and the environment, in bytes and each.
const MaxVector = 1 << 20

// Config is what a program's system is made of, whatever its version.
type Config struct {
	Args, Env []string
	// Directory is where the program begins, "" for the root. WASI 0.1 has no
	// means to tell it.
	Directory  string
	FS         *filesystem.FS
	Preopens   []Preopen
	Clocks     Clocks
	Random     Random
	Stdio      Stdio
	Events     Events                // nil: there is neither HTTP nor anything else to wait for
	HTTP       HTTP                  // nil: requests are refused
	Sockets    *socket.Sockets       // nil: sockets are refused; they need Events
	Values     *config.Values        // configuration and secrets; nil: there are none
	Buckets    *keyvalue.Buckets     // nil: there are none
	Containers *blobstore.Containers // nil: there are none
	Terminal   [3]bool               // which of stdin, stdout and stderr look like a terminal
	MaxFiles   int                   // zero means DefaultMaxFiles
	// Open, if set, is what another system of the same version over the same
	// files has written to an image: what that had open this one has open, in
	// place of the streams and Preopens.
	Open []byte
	// Observed, if set, hears of each call, by the name of its function, that
	// may tell the program what is not the same in every system with these
	// Preopens, or that does something beyond the descriptors. Of the end of the
	// program it does not hear.
	Observed func(function string)
}

// ExitError is how a program ends by itself: what a call of it then returns.
type ExitError struct{ Code uint32 }

// Error names the exit code.
func (e *ExitError) Error() string { return fmt.Sprintf("program exited with code %d", e.Code) }
