package wasm

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The interface of userfaultfd, linux/userfaultfd.h.
const (
	userfaultAPI       = 0xaa
	userfaultHandshake = 0xc018aa3f
	userfaultRegister  = 0xc020aa00

	userfaultOfUser   = 1 << 0  // what needs no privilege: nothing of the kernel is held up
	userfaultProtect  = 1 << 1  // writing is what is watched
	userfaultByItself = 1 << 15 // and nobody is asked
)

type userfaultHello struct{ api, features, ioctls uint64 }

type userfaultRange struct{ start, length, mode, ioctls uint64 }

// userfaultWatcher has the kernel protect pages against writing and take the
// protection away, by itself, when they are written to.
type userfaultWatcher struct {
	fd   int
	scan *scanTracker
}

// openWatcher makes a watcher that scans as the tracker does.
func openWatcher(t pageTracker) (pageWatcher, error) {
	scan, ok := t.(*scanTracker)
	if !ok {
		return nil, errors.New("it needs the scan of pages")
	}
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|userfaultOfUser, 0, 0)
	if errno != 0 {
		return nil, fmt.Errorf("userfaultfd: %w", errno)
	}
	w := &userfaultWatcher{fd: int(fd), scan: scan}
	hello := &userfaultHello{api: userfaultAPI, features: userfaultByItself}
	err := w.control(userfaultHandshake, unsafe.Pointer(hello))
	if err == nil {
		err = w.try()
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *userfaultWatcher) close() error { return unix.Close(w.fd) }

func (w *userfaultWatcher) control(what uintptr, argument unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(w.fd), what, uintptr(argument))
	runtime.KeepAlive(argument)
	if errno != 0 {
		return errno
	}
	return nil
}

func (w *userfaultWatcher) watch(memory []byte) error {
	r := &userfaultRange{
		start: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(memory)))), length: uint64(len(memory)),
		mode: userfaultProtect,
	}
	return w.control(userfaultRegister, unsafe.Pointer(r))
}

func (w *userfaultWatcher) rewritten(memory []byte, from, to uint64, visit func(from, to uint64) bool) error {
	a := &scanArgument{flags: scanProtects | scanOfWatched, required: pageIsWritten}
	return w.scan.visit(memory, from, to, a, visit)
}

// try sees whether what was written to is found once, be it by the kernel, and
// what was read never.
func (w *userfaultWatcher) try() error {
	return withSample(func(memory []byte, page int) error {
		memory[page] = memory[0] + 1
		memory[2*page] = memory[3*page]
		if err := w.watch(memory); err != nil {
			return err
		}
		if err := expect(w.rewritten, memory, page, 1, 2); err != nil {
			return err
		}
		memory[2*page]++
		if err := unix.Uname((*unix.Utsname)(unsafe.Pointer(&memory[3*page]))); err != nil {
			return err
		}
		if err := expect(w.rewritten, memory, page, 2, 3); err != nil {
			return err
		}
		return expect(w.rewritten, memory, page)
	})
}
