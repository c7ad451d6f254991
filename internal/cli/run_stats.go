package cli

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/waterbear-run/waterbear"
)

// statsLine is one line of what run --stats writes: a run that is killed leaves
// the lines it came to.
type statsLine struct {
	Event    string  `json:"event"` // "started", "compiled", "recovered", "ended"
	Resumed  bool    `json:"resumed,omitempty"`
	Finished bool    `json:"finished,omitempty"`
	Entries  uint64  `json:"entries,omitempty"`  // started: recorded before
	Seconds  float64 `json:"seconds"`            // since the command began
	Code     *int    `json:"code,omitempty"`     // ended: exit code
	Error    string  `json:"error,omitempty"`    // ended: instead of a code
	Replayed uint64  `json:"replayed,omitempty"` // ended: entries
	Recorded uint64  `json:"recorded,omitempty"` // ended: entries
	Recovery float64 `json:"recovery,omitempty"` // ended: seconds
}

// runStats writes the figures of a run to a file. A nil one writes nothing.
type runStats struct {
	mu    sync.Mutex
	f     *os.File
	began time.Time
}

func openStats(path string) (*runStats, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("write figures: %w", err)
	}
	return &runStats{f: f, began: time.Now()}, nil
}

func (s *runStats) write(line statsLine) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	line.Seconds = time.Since(s.began).Seconds()
	_ = writeJSON(s.f, line)
}

func (s *runStats) started(start waterbear.Start) {
	s.write(statsLine{Event: "started", Resumed: start.Resumed, Finished: start.Finished, Entries: start.Entries})
}

func (s *runStats) progress(p waterbear.Progress) {
	if p.Done < 1 {
		return
	}
	switch p.Stage {
	case "compiling", "loading":
		s.write(statsLine{Event: "compiled"})
	case "replaying":
		s.write(statsLine{Event: "recovered"})
	}
}

func (s *runStats) ended(e waterbear.Exit, err error) {
	line := statsLine{Event: "ended", Replayed: e.Stats.Replayed, Recorded: e.Stats.Recorded, Recovery: e.Stats.Recovery.Seconds()}
	if err != nil {
		line.Error = err.Error()
	} else {
		line.Code = &e.Code
	}
	s.write(line)
}

func (s *runStats) close() {
	if s != nil {
		_ = s.f.Close()
	}
}
