package wasm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The interface of ioctl PAGEMAP_SCAN, linux/fs.h.
const (
	pagemapScan = 0xc0606610

	scanProtects  = 1 << 0 // what is found counts as not written to
	scanOfWatched = 1 << 1 // it is an error if anything is not watched

	pageIsWritten = 1 << 1 // since it was protected
	pageIsFile    = 1 << 2
	pageIsPresent = 1 << 3
	pageIsSwapped = 1 << 4
	pageIsZero    = 1 << 5 // the page of zeros that all share
)

type scanArgument struct {
	size, flags, start, end, walkEnd         uint64
	vector, vectorLength, maxPages           uint64
	inverted, required, anyOf, returnedKinds uint64
}

// scanRegion is a range of pages with the same returned kinds.
type scanRegion struct{ start, end, kinds uint64 }

// Bits of an entry of /proc/self/pagemap.
const (
	entryPresent = 1 << 63
	entrySwapped = 1 << 62
	entryFile    = 1 << 61
)

const (
	scanRegions    = 256
	pagemapEntries = 1024
)

// openTracker makes a tracker and tries it.
func openTracker(name Tracker) (pageTracker, error) {
	pagemap, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return nil, err
	}
	var t pageTracker = &pagemapTracker{file: pagemap}
	if name != TrackPagemap {
		t = &scanTracker{file: pagemap}
	}
	if err := try(t); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

// scanTracker asks for the pages that are private copies.
type scanTracker struct {
	file    *os.File
	regions sync.Pool // of *[scanRegions]scanRegion
}

func (t *scanTracker) close() error { return t.file.Close() }

func (t *scanTracker) written(memory []byte, from, to uint64, visit func(from, to uint64) bool) error {
	return t.visit(memory, from, to, &scanArgument{}, visit)
}

// visit completes a and visits what it asks for. A page that was written to is
// present or swapped out, and not one of a file. One that was only read is a page
// of the file, or the page of zeros; that one can also stand for a page that
// zeros were written to, which matters where the memory had something else.
func (t *scanTracker) visit(memory []byte, contentFrom, contentTo uint64, a *scanArgument, visit func(from, to uint64) bool) error {
	regions, _ := t.regions.Get().(*[scanRegions]scanRegion)
	if regions == nil {
		regions = new([scanRegions]scanRegion)
	}
	defer t.regions.Put(regions)
	begin := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(memory))))
	a.size, a.start, a.end = uint64(unsafe.Sizeof(*a)), begin, begin+uint64(len(memory))
	a.inverted, a.required, a.anyOf = pageIsFile, a.required|pageIsFile, pageIsPresent|pageIsSwapped
	a.returnedKinds = pageIsZero
	for {
		n, err := t.scan(a, regions)
		if err != nil {
			return err
		}
		for _, r := range regions[:n] {
			from, to := r.start-begin, r.end-begin
			if r.kinds&pageIsZero != 0 {
				from, to = max(from, contentFrom), min(to, contentTo)
			}
			if from < to && !visit(from, to) {
				return nil
			}
		}
		// Where the walk ended is not to be learned from walkEnd, which is wrong
		// after a walk of more pages than the kernel gathers at once. It was
		// complete if there was room left.
		if n < scanRegions {
			return nil
		}
		a.start = regions[n-1].end
	}
}

// scan gives how many regions were found. Only heap memory is given to the
// kernel, because it may be told by address.
func (t *scanTracker) scan(a *scanArgument, regions *[scanRegions]scanRegion) (int, error) {
	a.vector, a.vectorLength = uint64(uintptr(unsafe.Pointer(regions))), scanRegions
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, t.file.Fd(), pagemapScan, uintptr(unsafe.Pointer(a)))
	runtime.KeepAlive(regions)
	if errno != 0 {
		return 0, errno
	}
	if n > scanRegions {
		return 0, fmt.Errorf("%d regions in room for %d", n, scanRegions)
	}
	return int(n), nil
}

// pagemapTracker reads an entry for each page.
type pagemapTracker struct{ file *os.File }

func (t *pagemapTracker) close() error { return t.file.Close() }

func (t *pagemapTracker) written(memory []byte, _, _ uint64, visit func(from, to uint64) bool) error {
	page := uint64(os.Getpagesize())
	first := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(memory)))) / page
	entries := make([]byte, 8*pagemapEntries)
	for at, pages := uint64(0), uint64(len(memory))/page; at < pages; {
		n, err := t.file.ReadAt(entries[:8*min(pages-at, pagemapEntries)], int64(8*(first+at)))
		if n < 8 {
			return errors.Join(err, errors.New("the kernel says nothing about a page"))
		}
		for b := entries[:n/8*8]; len(b) > 0; b = b[8:] {
			e := binary.NativeEndian.Uint64(b)
			if e&(entryPresent|entrySwapped) != 0 && e&entryFile == 0 && !visit(at*page, (at+1)*page) {
				return nil
			}
			at++
		}
	}
	return nil
}

// try sees whether a tracker finds what was written to, and not what was read.
func try(t pageTracker) error {
	return withSample(func(memory []byte, page int) error {
		memory[page] = memory[0] + 1
		memory[2*page] = memory[3*page]
		return expect(t.written, memory, page, 1, 2)
	})
}

// withSample maps four pages of a file.
func withSample(use func(memory []byte, page int) error) error {
	page := os.Getpagesize()
	file, err := newBaseFile("", func(f *os.File) error { return f.Truncate(int64(4 * page)) })
	if err != nil {
		return err
	}
	defer file.Close()
	memory, err := unix.Mmap(int(file.Fd()), 0, 4*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	return errors.Join(use(memory, page), unix.Munmap(memory))
}

// visitor is how a tracker and a watcher give pages.
type visitor func(memory []byte, from, to uint64, visit func(from, to uint64) bool) error

// expect sees whether pages of a sample are found, and no others.
func expect(find visitor, memory []byte, page int, want ...int) error {
	var found []int
	err := find(memory, 0, uint64(len(memory)), func(from, to uint64) bool {
		for at := int(from); at < int(to); at += page {
			found = append(found, at/page)
		}
		return true
	})
	if err == nil && !slices.Equal(found, want) {
		err = fmt.Errorf("of four pages, those written to are %v, and those it finds %v", want, found)
	}
	return err
}
