package cli

import (
	"io"
	"log/slog"
	"sync"
	"time"
)

// serverLog is the log of a server.
type serverLog struct {
	*slog.Logger
	requests *slog.Logger // those that went well: these lines can wait
	waiting  *gathered
}

func (c *config) serverLog(w io.Writer) serverLog {
	waiting := &gathered{to: w}
	return serverLog{c.logger(atOnce{waiting}), c.logger(waiting), waiting}
}

// logger writes what is to be logged as it is configured.
func (c *config) logger(w io.Writer) *slog.Logger {
	var o slog.HandlerOptions
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(c.logLevel)); err != nil {
		panic("a level that slog does not know was let through: " + c.logLevel)
	}
	o.Level = level
	if c.logFormat == formatJSON {
		return slog.New(slog.NewJSONHandler(w, &o))
	}
	return slog.New(slog.NewTextHandler(w, &o))
}

// The bounds of what gathered holds.
const (
	gatherFor  = 10 * time.Millisecond
	gatherMost = 64 << 10 // bytes
)

// gathered is where lines go that can wait a moment, since there is one for each
// request: they are written together.
type gathered struct {
	mu    sync.Mutex // held over writes too, which keeps lines in their order
	to    io.Writer
	lines []byte // that are not written yet
}

// Write takes lines that can wait. That they cannot be written is told to nobody,
// as with every log.
func (g *gathered) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.lines) == 0 {
		time.AfterFunc(gatherFor, g.flush)
	}
	if g.lines = append(g.lines, b...); len(g.lines) >= gatherMost {
		_ = g.write()
	}
	return len(b), nil
}

// flush writes what waits.
func (g *gathered) flush() {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.write()
}

func (g *gathered) write() error {
	if len(g.lines) == 0 {
		return nil
	}
	_, err := g.to.Write(g.lines)
	g.lines = g.lines[:0]
	return err
}

// atOnce takes lines that cannot wait, which come behind those that do.
type atOnce struct{ *gathered }

func (a atOnce) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lines = append(a.lines, b...)
	return len(b), a.write()
}
