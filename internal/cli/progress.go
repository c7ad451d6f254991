package cli

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/waterbear-run/waterbear"
)

// progressDelay keeps quick work from flickering.
const progressDelay = 300 * time.Millisecond

// progressLine shows work that a person waits for on the last line of a
// terminal, and takes it away again. A nil one shows nothing.
type progressLine struct {
	mu    sync.Mutex
	w     io.Writer
	paint style
	about string
	began time.Time
	stage string
	shown bool
}

// newProgress gives a line for work on about, or nil if nobody watches.
func (a *app) newProgress(about string, quiet bool) *progressLine {
	if quiet || !isTerminal(a.stderr) {
		return nil
	}
	return &progressLine{w: a.stderr, paint: a.styleFor(a.stderr), about: printable(about)}
}

// report is the Options.Progress of a node.
func (p *progressLine) report(now waterbear.Progress) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Stage != p.stage {
		p.erase()
		p.stage, p.began = now.Stage, time.Now()
	}
	if now.Done >= 1 {
		p.erase()
		return
	}
	if time.Since(p.began) < progressDelay {
		return
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", p.paint.dim(fmt.Sprintf("waterbear: %s %s: %.0f %%", now.Stage, p.about, 100*now.Done)))
	p.shown = true
}

// clear takes the line away.
func (p *progressLine) clear() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
}

func (p *progressLine) erase() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}

// before gives w so that the line is gone before anything is written to it.
func (p *progressLine) before(w io.Writer) io.Writer {
	if p == nil {
		return w
	}
	return clearedWriter{p, w}
}

type clearedWriter struct {
	line *progressLine
	w    io.Writer
}

func (c clearedWriter) Write(b []byte) (int, error) {
	c.line.clear()
	return c.w.Write(b)
}
