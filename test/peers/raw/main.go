//go:build linux

// Command raw is the floor of test/peers: the verbs of the workloads over maps in
// memory and one log file, of which one flush at a time syncs all that wait for it.
// It answers when what it did is durable, and reads its log when it starts. It runs
// no programs: the workflows are in it.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: raw DIR ADDRESS MARKS")
		os.Exit(2)
	}
	if err := serve(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "raw:", err)
		os.Exit(1)
	}
}

// state is all that there is. What changes it is a line of the log.
type state struct {
	log   *groupLog
	marks string

	mu       sync.Mutex
	totals   map[string]int64
	waiting  map[string]chan struct{} // closed when it is woken
	crashing map[string]bool          // of those, who goes on with a step
}

func serve(dir, address, marks string) error {
	s := &state{marks: marks, totals: map[string]int64{}, waiting: map[string]chan struct{}{}, crashing: map[string]bool{}}
	file := filepath.Join(dir, "log")
	if err := s.replay(file); err != nil {
		return err
	}
	var err error
	if s.log, err = openGroupLog(file); err != nil {
		return err
	}
	for id := range s.crashing {
		go s.goOn(id, s.waiting[id])
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /echo", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /add/{key}", func(w http.ResponseWriter, r *http.Request) {
		key := r.PathValue("key")
		s.mu.Lock()
		s.totals[key]++
		total := s.totals[key]
		done := s.log.append("add " + key)
		s.mu.Unlock()
		<-done
		fmt.Fprint(w, total)
	})
	mux.HandleFunc("POST /flow/{id}/{n}", func(_ http.ResponseWriter, r *http.Request) { s.steps(r.PathValue("id"), r.PathValue("n")) })
	mux.HandleFunc("POST /sleep/{id}", func(_ http.ResponseWriter, r *http.Request) { <-s.wait(r.PathValue("id"), "sleep ") })
	mux.HandleFunc("POST /crash/{id}/{n}", func(_ http.ResponseWriter, r *http.Request) {
		id, n := r.PathValue("id"), r.PathValue("n")
		<-s.log.append("begin " + id)
		go func() {
			s.steps(id, n)
			s.mark("steps", id)
			<-s.wait(id, "crash ")
			s.mu.Lock()
			woken := s.waiting[id]
			s.mu.Unlock()
			s.goOn(id, woken)
		}()
	})
	mux.HandleFunc("POST /wake/{id}", func(w http.ResponseWriter, r *http.Request) {
		if done := s.wake(r.PathValue("id")); done != nil {
			<-done
			return
		}
		http.Error(w, "nobody of that name waits", http.StatusNotFound)
	})
	mux.HandleFunc("GET /woken/{id}", func(_ http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		woken := s.waiting[r.PathValue("id")]
		s.mu.Unlock()
		if woken != nil {
			<-woken
		}
	})
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}

// steps records so many, one after the other: each is durable before the next.
func (s *state) steps(id, n string) {
	count, _ := strconv.Atoi(n) // the driver sends numbers
	for i := range count {
		<-s.log.append(fmt.Sprintf("step %s %d", id, i))
	}
}

// wait has somebody wait, which is durable when what it gives is closed.
func (s *state) wait(id, kind string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[id] = make(chan struct{})
	return s.log.append(kind + id)
}

func (s *state) wake(id string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	woken := s.waiting[id]
	if woken == nil {
		return nil
	}
	select {
	case <-woken:
	default:
		close(woken)
	}
	return s.log.append("wake " + id)
}

// goOn makes the step behind the wait.
func (s *state) goOn(id string, woken <-chan struct{}) {
	<-woken
	s.mark("next", id)
}

func (s *state) mark(event, id string) {
	if r, err := http.Get("http://" + s.marks + "/mark/" + event + "/" + id); err == nil {
		_ = r.Body.Close()
	}
}

// replay reads what the log has. Its last line may be cut, and behind it is what
// was allocated ahead.
func (s *state) replay(file string) error {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b[:bytes.LastIndexByte(b, '\n')+1])) {
		verb, id, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch verb {
		case "add":
			s.totals[id]++
		case "sleep", "crash":
			s.waiting[id], s.crashing[id] = make(chan struct{}), verb == "crash"
			if verb == "sleep" {
				delete(s.crashing, id)
			}
		case "wake":
			if w := s.waiting[id]; w != nil {
				select {
				case <-w:
				default:
					close(w)
				}
			}
		}
	}
	return nil
}
