package wasip1

import (
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

func (s *System) randomGet(m memory, p params) errno {
	b := m.at(p.u32(0), p.u32(1))
	if b == nil {
		return errFault
	}
	check(s.random.Fill(b))
	return success
}

func (s *System) schedYield(memory, params) errno { return success }

// Signals, by their numbers in WASI 0.1.
const (
	signalNone  = 0
	signalChild = 16
	signalCont  = 17
	signalStop  = 18
	signalTtou  = 21
	signalUrg   = 22
	signalWinch = 27
	signalLast  = 30
)

// procRaise does what a signal does to a process that has no handlers: nothing
// for those that are ignored, the end for the others. Stopping is refused,
// since nothing could continue the program.
func (s *System) procRaise(_ memory, p params) errno {
	switch signal := p.u32(0) & 0xff; {
	case signal > signalLast:
		return errInvalid
	case signal >= signalStop && signal <= signalTtou:
		return errNotSup
	case signal != signalNone && signal != signalChild && signal != signalCont && signal != signalUrg && signal != signalWinch:
		wasm.Abort(&wasi.ExitError{Code: 128 + signal})
	}
	return success
}

// sockRefuse answers the functions for sockets: a worker has none.
func (s *System) sockRefuse(_ memory, p params) errno {
	if !s.table.Has(p.u32(0)) {
		return errBadFile
	}
	return errNotSocket
}
