// Package waterbear runs programs compiled to WebAssembly so that nothing can
// stop them for good: kill the process, pull the plug, and each worker resumes
// exactly where it left off. It is the embedding API; the command line is
// built on it and on nothing else.
//
//	node, err := waterbear.Open(ctx, waterbear.Options{Dir: ".waterbear"})
//	exit, err := node.Run(ctx, waterbear.Command{Name: "hello", Program: wasm, Stdout: os.Stdout})
package waterbear

import (
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/storage"
)

var (
	// ErrInterrupted is the cause to cancel Run's context with, and what Run
	// then returns once the worker can be resumed from where it was.
	ErrInterrupted = errors.New("interrupted")
	// ErrNoWorker is for a name that no worker has.
	ErrNoWorker = errors.New("no such worker")
	// ErrBusy refuses to change a worker that is running.
	ErrBusy = errors.New("the worker is running")
	// ErrLocked is for a state directory that another process has open.
	ErrLocked = storage.ErrLocked
)

// Options say where a node keeps its state and how it opens it.
type Options struct {
	Dir string // state directory, made if missing
	// ReadOnly looks at the state without owning it, also while another
	// process runs it. Run and Delete are then refused.
	ReadOnly bool
	// Progress, if set, hears of work that a person waits for.
	Progress func(Progress)
	// Platform, if set, lets the node look after deployed components and their
	// workers: see Node.Platform.
	Platform *PlatformOptions
}

// Progress tells how far some long work is.
type Progress struct {
	Stage string  // "compiling", "replaying", "indexing", …
	Done  float64 // 0 to 1
}

// Limits bound what one worker can use. A zero field means its default.
type Limits struct {
	Memory  uint64 `json:"memory"`  // bytes of linear memory; default DefaultMemory
	Storage uint64 `json:"storage"` // bytes in the worker's file system; default DefaultStorage
	Files   int    `json:"files"`   // open descriptors; default DefaultFiles
}

// Dir shows a host directory to a program, as `--dir HOST::GUEST` does. Host may
// be relative to the present directory.
type Dir struct {
	Host  string `json:"host"`
	Guest string `json:"guest"`
}

// Command is a program to run as a durable process.
type Command struct {
	Name    string // of the worker
	Program []byte // a core module that imports WASI 0.1, or a component that imports WASI 0.2
	// Args are argv, the program's own name first.
	Args []string
	Env  []string // KEY=VALUE
	Dirs []Dir
	Limits
	// HTTP says what its HTTP requests may do. It counts for this run: what is
	// left open is as DefaultSettings has it.
	HTTP api.HTTP
	// Net says what the program's sockets may do: by default nothing. It may be
	// another in each run.
	Net            api.Net
	Stdin          io.Reader // nil: empty
	Stdout, Stderr io.Writer // nil: kept in the log alone
	// StdinContinues says that Stdin goes on behind what the worker has read
	// already, as a terminal does. Otherwise Stdin begins anew at each run,
	// as a file or a pipe of the same command does, and what was read is
	// compared and skipped.
	StdinContinues bool
	// Fresh forgets a worker of that name first.
	Fresh bool
	// Started, if set, is called once before the program acts: with what is
	// about to happen.
	Started func(Start)
}

// Start says how a run begins.
type Start struct {
	Resumed  bool   // the worker existed and was not finished
	Finished bool   // the worker had finished: nothing runs
	Entries  uint64 // recorded so far
}

// Exit is a finished run.
type Exit struct {
	Code     int
	Finished bool // it had finished before this Run
	// Failure is why the program ended if it did not end by itself: a trap, or
	// a limit. Code is then ExitTrap.
	Failure string
	Stats   Stats
}

// ExitTrap is the exit code of a program that trapped, as shells give it for
// an aborted one.
const ExitTrap = 134

// Stats are figures of one Run.
type Stats struct {
	Replayed uint64        // entries taken from the oplog
	Recorded uint64        // entries added
	Recovery time.Duration // until the program was where it had been
	Total    time.Duration
}

// Status of a worker.
type Status string

// The statuses a worker can have.
const (
	Running     Status = "Running"
	Interrupted Status = "Interrupted"
	Failed      Status = "Failed"
	Exited      Status = "Exited"
)

// Worker is what a node knows of a worker from its oplog.
type Worker struct {
	Name     string    `json:"name"`
	Status   Status    `json:"status"`
	Reason   string    `json:"reason"` // of the status, in words
	ExitCode *int      `json:"exitCode,omitempty"`
	Program  string    `json:"program"` // SHA-256
	Args     []string  `json:"args"`
	Env      []string  `json:"env"`
	Dirs     []Dir     `json:"dirs"`
	Limits   Limits    `json:"limits"`
	Created  time.Time `json:"created"`
	Changed  time.Time `json:"changed"` // of the newest committed entry
	Entries  uint64    `json:"entries"`
	Bytes    uint64    `json:"bytes"` // of the oplog
	Resumes  int       `json:"resumes"`
	Stdout   uint64    `json:"stdoutBytes"`
	Stderr   uint64    `json:"stderrBytes"`
	// Mode is how the worker recovers, and why: "replay: …".
	Mode string `json:"mode"`
}

// LogChunk is output of a worker.
type LogChunk struct {
	Index  uint64    `json:"index"`
	At     time.Time `json:"at"`
	Stream string    `json:"stream"` // "stdout" or "stderr"
	Bytes  []byte    `json:"bytes"`
}

// OplogEntry is one entry of a worker's oplog, for people and programs.
type OplogEntry struct {
	Index uint64          `json:"index"`
	At    time.Time       `json:"at"`
	Kind  string          `json:"kind"`
	Text  string          `json:"-"` // one readable line
	Body  json.RawMessage `json:"body"`
}

// ReadOptions choose a part of a worker's log or oplog.
type ReadOptions struct {
	From, To uint64 // entry indexes; 0: from the first, to the last
	Follow   bool   // wait for more until the context is done or the worker ends
}
