package waterbear

import (
	"runtime"
	"time"
	"unsafe"
)

// text is a string or a list that the host has given.
type text struct{ begin, length uint32 }

// take copies the string and lets the host's allocation go.
func (t text) take() string {
	s := string(given[t.begin][:t.length])
	delete(given, t.begin)
	return s
}

// takeList copies a list, not what its elements point to.
func takeList[T any](t text) []T {
	list := make([]T, t.length)
	if b := given[t.begin]; t.length > 0 {
		copy(list, unsafe.Slice((*T)(unsafe.Pointer(&b[0])), t.length))
	}
	delete(given, t.begin)
	return list
}

// given keeps what the host was given by allocate, by its address, until it has
// been taken: the collector sees no pointers that the host writes. Nothing runs
// beside a goroutine on this system, so that no lock is needed.
var given = map[uint32][]byte{}

// allocate is realloc of C.
func allocate(old, align, size uint32) uint32 {
	b := make([]byte, uint64(size)+uint64(align))
	begin := address(unsafe.Pointer(&b[0]))
	skip := -begin & (align - 1)
	b, begin = b[skip:][:size:size], begin+skip
	copy(b, given[old])
	delete(given, old)
	given[begin] = b
	return begin
}

func address(p unsafe.Pointer) uint32 { return uint32(uintptr(p)) }

// lend lays out a list of strings as the host reads it. What keeps it in place is
// to be kept until the host has read it.
func lend[S ~string](list []S) (lent []text, kept []byte) {
	for _, s := range list {
		kept = append(kept, s...)
	}
	// What is on the stack can move while only its address as a number is known.
	escaped = kept
	begin := address(unsafe.Pointer(unsafe.SliceData(kept)))
	for _, s := range list {
		lent = append(lent, text{begin, uint32(len(s))})
		begin += uint32(len(s))
	}
	return lent, kept
}

// escaped makes that what is assigned to it lies on the heap.
var escaped []byte

func keep(b []byte) {
	escaped = nil
	runtime.KeepAlive(b)
}

func moment(nanoseconds uint64) time.Time { return time.Unix(0, int64(nanoseconds)) }
