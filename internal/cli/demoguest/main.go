// Command demoguest is the ordinary Go program that `waterbear demo` builds for
// WebAssembly and kills. It computes on several goroutines, draws random
// numbers, reads the clock, sleeps and keeps files. Its output depends on none
// of what differs from run to run, so that a run that was killed can be
// compared with one that was not; but it checks that what it drew and what it
// saw stays so.
package main

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

const (
	rounds  = 16
	workers = 4
	pause   = 120 * time.Millisecond
	span    = 1 << 18 // numbers looked at per round
	segment = 1 << 14
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	began := time.Now()
	token := rand.Uint64()
	tokenFile := filepath.Join(dir, "token")
	if err := os.WriteFile(tokenFile, []byte(strconv.FormatUint(token, 16)), 0o644); err != nil {
		return err
	}
	digest := fnv.New64a()
	total := 0
	for round := 1; round <= rounds; round++ {
		before := time.Now()
		found := primes(round)
		total += found
		fmt.Fprintln(digest, round, found)
		line := fmt.Sprintf("round %2d of %d: %5d primes, %6d in all, digest %016x", round, rounds, found, total, digest.Sum64())
		fmt.Println(line)
		if err := keep(dir, line); err != nil {
			return err
		}
		time.Sleep(pause)
		if took := time.Since(before); took < pause {
			return fmt.Errorf("round %d: slept for %v in a round of %v", round, pause, took)
		}
	}
	if took := time.Since(began); took < rounds*pause {
		return fmt.Errorf("all took %v, less than the sleeps", took)
	}
	kept, err := os.ReadFile(tokenFile)
	if err != nil {
		return err
	}
	if string(kept) != strconv.FormatUint(token, 16) {
		return fmt.Errorf("the token in the file is %s, not %x", kept, token)
	}
	fmt.Fprintln(os.Stderr, "the clock never went back, the random token is still the same")
	return os.Remove(tokenFile)
}

// keep adds line to one file and replaces another.
func keep(dir, line string) error {
	report, err := os.OpenFile(filepath.Join(dir, "report.txt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(report, line); err != nil {
		return err
	}
	if err := report.Close(); err != nil {
		return err
	}
	next := filepath.Join(dir, "latest.tmp")
	if err := os.WriteFile(next, []byte(line), 0o644); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(dir, "latest.txt"))
}

// primes counts the primes of one round on several goroutines, which take the
// segments in random order.
func primes(round int) int {
	first := (round - 1) * span
	starts := rand.Perm(span / segment)
	work := make(chan int, len(starts))
	for _, s := range starts {
		work <- first + s*segment
	}
	close(work)
	counts := make(chan int)
	for range workers {
		go func() {
			for from := range work {
				counts <- sieve(from, from+segment)
			}
		}()
	}
	sum := 0
	for range starts {
		sum += <-counts
	}
	return sum
}

// sieve counts the primes p with from <= p < to.
func sieve(from, to int) int {
	composite := make([]bool, to-from)
	for d := 2; d*d < to; d++ {
		for m := max(d*d, (from+d-1)/d*d); m < to; m += d {
			composite[m-from] = true
		}
	}
	n := 0
	for i, c := range composite {
		if !c && from+i >= 2 {
			n++
		}
	}
	return n
}
