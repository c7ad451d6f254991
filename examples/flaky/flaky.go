// Package flaky makes fake services for the examples: what they do they do once
// for each idempotency key, and they fail at random, before it or behind it.
package flaky

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// maxBody bounds a request.
const maxBody = 1 << 20

// Effect is what a service has done for one key.
type Effect struct {
	Key      string `json:"key"`
	Path     string `json:"path"`
	Body     string `json:"body"`
	Status   int    `json:"status"`
	Answer   string `json:"answer"`
	Requests int    `json:"requests"` // with this key
}

// service does what requests ask for, and remembers.
type service struct {
	do      func(path string, body []byte) (status int, answer string)
	trouble float64

	mu      sync.Mutex
	effects []*Effect // in order
	byKey   map[string]*Effect
}

// Serve parses the command's flags and serves for ever: POST to any path does what
// do says, once for each Idempotency-Key, and gives its answer each time; GET asks
// do as well, without a body, and nothing of it is remembered. GET of /effects
// lists what was done, as JSON with an effect in each line. It calls do for one
// POST at a time.
func Serve(do func(path string, body []byte) (status int, answer string)) {
	listen := flag.String("listen", "127.0.0.1:8090", "`address`")
	trouble := flag.Float64("trouble", 0.3, "the part of all requests that fail")
	flag.Parse()
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatalf("%v; -listen gives another address", err)
	}
	fmt.Printf("listening on http://%s\n", l.Addr())
	s := &service{do: do, trouble: *trouble, byKey: map[string]*Effect{}}
	log.Fatal(http.Serve(l, s))
}

func (s *service) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if q.URL.Path == "/effects" {
		s.mu.Lock()
		defer s.mu.Unlock()
		lines := make([]string, len(s.effects))
		for i, e := range s.effects {
			lines[i] = JSON(e)
		}
		fmt.Fprintf(w, "[%s]\n", strings.Join(lines, ",\n"))
		return
	}
	trouble := rand.Float64()
	if trouble < s.trouble/3 { // nothing is done
		http.Error(w, "come back later", http.StatusServiceUnavailable)
		return
	}
	status, text := s.once(q, body)
	switch {
	case trouble < 2*s.trouble/3: // it is done, and nobody is told
		panic(http.ErrAbortHandler)
	case trouble < s.trouble: // or too late
		time.Sleep(time.Second)
	}
	w.WriteHeader(status)
	fmt.Fprint(w, text)
}

// once does what a request asks for, unless its key is known: then the answer is
// what it was.
func (s *service) once(q *http.Request, body []byte) (status int, answer string) {
	if q.Method == http.MethodGet {
		return s.do(q.URL.Path, nil)
	}
	key := q.Header.Get("Idempotency-Key")
	if key == "" {
		return http.StatusBadRequest, "there is no Idempotency-Key"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byKey[key]
	if e == nil {
		status, answer := s.do(q.URL.Path, body)
		e = &Effect{Key: key, Path: q.URL.Path, Body: string(body), Status: status, Answer: answer}
		s.effects = append(s.effects, e)
		s.byKey[key] = e
	}
	if e.Path != q.URL.Path || e.Body != string(body) {
		return http.StatusConflict, "the key is that of another request"
	}
	e.Requests++
	return e.Status, e.Answer
}

// JSON writes a value that can be written.
func JSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}
