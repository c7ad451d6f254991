//go:build linux

package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"sync"
	"syscall"
)

// groupLog is a file of lines of which one flush at a time writes and syncs all
// that was appended since the last.
type groupLog struct {
	file *os.File
	size int64 // of the lines
	wake chan struct{}

	mu      sync.Mutex
	pending []byte
	durable chan struct{} // closed when pending is
}

// ahead is how much of the file is allocated at a time: so a flush need not write
// down that the file has grown.
const ahead = 1 << 20

func openGroupLog(name string) (*groupLog, error) {
	b, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	l := &groupLog{file: f, size: int64(bytes.LastIndexByte(b, '\n') + 1), wake: make(chan struct{}, 1), durable: make(chan struct{})}
	go l.flush()
	return l, nil
}

// append adds a line, and gives what is closed when it is durable.
func (l *groupLog) append(line string) <-chan struct{} {
	l.mu.Lock()
	l.pending = append(append(l.pending, line...), '\n')
	done := l.durable
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return done
}

func (l *groupLog) flush() {
	allocated := l.size
	for range l.wake {
		l.mu.Lock()
		pending, done := l.pending, l.durable
		l.pending, l.durable = nil, make(chan struct{})
		l.mu.Unlock()
		if end := l.size + int64(len(pending)); end > allocated {
			must(syscall.Fallocate(int(l.file.Fd()), 0, allocated, end+ahead-allocated))
			allocated = end + ahead
		}
		_, err := l.file.WriteAt(pending, l.size)
		must(err)
		must(syscall.Fdatasync(int(l.file.Fd())))
		l.size += int64(len(pending))
		close(done)
	}
}

// must ends the process: there is nobody who could be told otherwise.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
