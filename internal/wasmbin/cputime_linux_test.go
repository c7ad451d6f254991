package wasmbin

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is what the calling thread has computed, which other load on the
// machine changes little.
func cpuTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}
