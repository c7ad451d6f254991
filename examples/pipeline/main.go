// Command pipeline is a Go program made of goroutines and channels: a reader,
// workers that hash, and a printer, with timers, a ring of a hundred goroutines
// that pass a token, and a context that ends them all. It reads words from
// standard input, and what it prints depends on them alone, whatever the order
// in which the goroutines run.
//
//	pipeline [-jobs n] [-rounds n] [-workers n] < words.txt
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	jobs := flag.Int("jobs", 150, "how many jobs to do")
	rounds := flag.Int("rounds", 8000, "how often each job hashes its word")
	workers := flag.Int("workers", 4, "how many workers share the jobs")
	flag.Parse()
	if err := run(os.Stdin, os.Stdout, *jobs, *rounds, *workers); err != nil {
		fmt.Fprintln(os.Stderr, "pipeline:", err)
		os.Exit(1)
	}
}

// job is a word on its way through the pipeline.
type job struct {
	number int
	word   string
	digest [sha256.Size]byte
}

func run(in io.Reader, out io.Writer, jobs, rounds, workers int) error {
	if jobs < 1 || rounds < 1 || workers < 1 {
		return errors.New("-jobs, -rounds and -workers are at least 1")
	}
	words, err := readWords(in)
	if err != nil {
		return fmt.Errorf("read words: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ring := startRing(ctx, 100)

	results := make(chan job)
	var busy sync.WaitGroup
	todo := produce(ctx, words, jobs)
	for range workers {
		busy.Go(func() {
			for j := range todo {
				results <- work(j, rounds)
			}
		})
	}
	go func() {
		busy.Wait()
		close(results)
	}()

	total := sha256.New()
	for j := range inOrder(results) {
		total.Write(j.digest[:])
		if _, err := fmt.Fprintf(out, "job %d: %s %s\n", j.number, j.word, hex.EncodeToString(j.digest[:8])); err != nil {
			return err
		}
	}
	cancel()
	if laps := ring.wait(); laps == 0 && jobs > 10 {
		return errors.New("the token went nowhere while the workers slept")
	}
	_, err = fmt.Fprintf(out, "%d jobs, %x\n", jobs, total.Sum(nil))
	return err
}

// readWords reads all words there are; without any it has some of its own.
func readWords(in io.Reader) ([]string, error) {
	var words []string
	scanner := bufio.NewScanner(in)
	scanner.Split(bufio.ScanWords)
	for scanner.Scan() {
		words = append(words, scanner.Text())
	}
	if len(words) == 0 {
		words = []string{"bear", "water", "tun", "moss", "lichen"}
	}
	return words, scanner.Err()
}

// produce sends the jobs, a round of the words after the other.
func produce(ctx context.Context, words []string, jobs int) <-chan job {
	todo := make(chan job)
	go func() {
		defer close(todo)
		for i := range jobs {
			select {
			case todo <- job{number: i + 1, word: words[i%len(words)]}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return todo
}

// work hashes the word again and again, and sleeps in the middle for a time
// that depends on the job, so that jobs overtake each other.
func work(j job, rounds int) job {
	j.digest = sha256.Sum256(fmt.Appendf(nil, "%d %s", j.number, j.word))
	for i := range rounds {
		if i == rounds/2 {
			time.Sleep(time.Duration(j.digest[0]%8) * time.Millisecond)
		}
		j.digest = sha256.Sum256(j.digest[:])
	}
	return j
}

// inOrder gives the jobs in the order of their numbers and holds back those
// that come too early.
func inOrder(results <-chan job) <-chan job {
	ordered := make(chan job)
	go func() {
		defer close(ordered)
		early := map[int]job{}
		next := 1
		for j := range results {
			early[j.number] = j
			for {
				first, ok := early[next]
				if !ok {
					break
				}
				delete(early, next)
				ordered <- first
				next++
			}
		}
	}()
	return ordered
}

// ring is goroutines in a circle that pass a token on, a lap every five
// milliseconds.
type ring struct {
	laps atomic.Int64
	done sync.WaitGroup
}

func startRing(ctx context.Context, size int) *ring {
	r := &ring{}
	first := make(chan struct{}, 1)
	last := first
	for i := range size {
		from, to := last, make(chan struct{}, 1)
		if i == size-1 {
			to = first
		}
		r.done.Go(func() { r.pass(ctx, from, to, i == 0) })
		last = to
	}
	first <- struct{}{}
	return r
}

func (r *ring) pass(ctx context.Context, from <-chan struct{}, to chan<- struct{}, counts bool) {
	ticks := time.NewTicker(5 * time.Millisecond)
	defer ticks.Stop()
	for {
		select {
		case <-from:
		case <-ctx.Done():
			return
		}
		if counts {
			r.laps.Add(1)
			select {
			case <-ticks.C:
			case <-ctx.Done():
				return
			}
		}
		to <- struct{}{}
	}
}

// wait returns how often the token went round, once all goroutines have ended.
func (r *ring) wait() int64 {
	r.done.Wait()
	return r.laps.Load()
}
