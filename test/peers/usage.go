//go:build linux

package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what has been used up to a moment.
type usage struct {
	at                    time.Time
	server, service, self float64 // CPU seconds
	machine               float64 // CPU seconds of all that runs on it
	written               float64 // bytes that went to the disk
}

func (s *system) usage() usage {
	return usage{time.Now(), s.sum(roleServer, cpuOf), s.sum(roleService, cpuOf), cpuOfOne(os.Getpid()), machineCPU(), s.sum("", writtenOf)}
}

// others is how many cores something else than the benchmark used between two
// moments: the noise.
func others(a, b usage) float64 {
	ours := b.server - a.server + b.service - a.service + b.self - a.self
	return max(0, (b.machine-a.machine-ours)/b.at.Sub(a.at).Seconds())
}

// tick is the unit of CPU time in /proc.
const tick = 100.0

// cpuOf is the CPU time of a process and its family, with those that have ended.
func cpuOf(pid int) (seconds float64) {
	for _, p := range familyOf(pid) {
		if f, err := statOf(p); err == nil {
			seconds += (number(f[11]) + number(f[12]) + number(f[13]) + number(f[14])) / tick
		}
	}
	return seconds
}

func cpuOfOne(pid int) float64 {
	f, err := statOf(pid)
	if err != nil {
		return 0
	}
	return (number(f[11]) + number(f[12])) / tick
}

func number(s string) float64 {
	v, _ := strconv.ParseFloat(s, 64) // what /proc has are numbers
	return v
}

// machineCPU is what the whole machine was busy for.
func machineCPU() (seconds float64) {
	b, _ := os.ReadFile("/proc/stat") // without it there is no noise to be seen
	line, _, _ := strings.Cut(string(b), "\n")
	for i, f := range strings.Fields(line) {
		// Behind the name: user, nice, system, idle, iowait, irq, softirq, steal;
		// guests are counted as users already.
		if i > 0 && i != 4 && i != 5 && i < 9 {
			seconds += number(f) / tick
		}
	}
	return seconds
}

// memoryOf is the memory of a process and its family: what they share is counted
// once (PSS).
func memoryOf(pid int) (bytes float64) {
	for _, p := range familyOf(pid) {
		bytes += field(fmt.Sprintf("/proc/%d/smaps_rollup", p), "Pss:") * 1024
	}
	return bytes
}

func writtenOf(pid int) (bytes float64) {
	for _, p := range familyOf(pid) {
		bytes += field(fmt.Sprintf("/proc/%d/io", p), "write_bytes:")
	}
	return bytes
}

// field is the number behind a name in a file of /proc, or 0.
func field(file, name string) float64 {
	b, _ := os.ReadFile(file) // a process that has just ended uses nothing
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			return number(f[1])
		}
	}
	return 0
}

// diskOf is what a directory takes on the disk, in bytes.
func diskOf(dir string) (bytes float64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // files come and go while they are counted
		}
		if i, err := e.Info(); err == nil {
			if st, ok := i.Sys().(*syscall.Stat_t); ok && i.Mode().IsRegular() {
				bytes += float64(st.Blocks) * 512
			}
		}
		return nil
	})
	return bytes
}

// settle waits until the system uses less than a tenth of a core.
func (s *system) settle(ctx context.Context, within time.Duration) time.Duration {
	began := time.Now()
	for time.Since(began) < within && ctx.Err() == nil {
		a := s.usage()
		pause(ctx, time.Second)
		if b := s.usage(); b.server-a.server+b.service-a.service < 0.1 {
			break
		}
	}
	return time.Since(began)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
