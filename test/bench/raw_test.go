package bench

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/waterbear-run/waterbear/internal/vfs"
)

// rawVariable, if it is set, makes this binary the bare server, over the
// directory that it names.
const rawVariable = "WATERBEAR_BENCH_RAW"

func TestMain(m *testing.M) {
	if dir := os.Getenv(rawVariable); dir != "" {
		if err := serveRaw(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if to := os.Getenv(proxyVariable); to != "" {
		fmt.Fprintln(os.Stderr, serveProxy(to))
		os.Exit(1)
	}
	code := m.Run()
	if built {
		if file, err := binary(); err == nil {
			_ = os.RemoveAll(filepath.Dir(file))
		}
	}
	os.Exit(code)
}

// serveRaw is the floor of a durable counter: an HTTP handler over a map, and one
// log file that everybody who waits shares a sync of. It answers after its commit.
func serveRaw(dir string) error {
	log, err := newGroupLog(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("raw: listening on http://%s, no token\n", l.Addr())
	var mu sync.Mutex
	totals := map[string]int64{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/workers/{component}/{worker}/invoke/add", func(w http.ResponseWriter, r *http.Request) {
		var args []int64
		if err := json.NewDecoder(r.Body).Decode(&args); err != nil || len(args) == 0 {
			http.Error(w, "the arguments are an array of numbers", http.StatusBadRequest)
			return
		}
		name := r.PathValue("worker")
		mu.Lock()
		totals[name] += args[0]
		total := totals[name]
		done := log.append(fmt.Appendf(nil, "%s add %d: %d\n", name, args[0], total))
		mu.Unlock()
		<-done
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"worker": name, "result": []int64{total}})
	})
	// Two numbers make a call that nothing remains of, and nothing is kept for.
	mux.HandleFunc("POST /v1/workers/{component}/{worker}/invoke/echo", func(w http.ResponseWriter, r *http.Request) {
		var args []int64
		if err := json.NewDecoder(r.Body).Decode(&args); err != nil || len(args) != 2 {
			http.Error(w, "the arguments are two numbers", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"worker": r.PathValue("worker"), "result": []int64{args[0] + args[1]}})
	})
	return http.Serve(l, mux)
}

// groupLog is a file of which one flush at a time writes and syncs all that was
// appended since the last.
type groupLog struct {
	file vfs.File
	wake chan struct{}

	mu      sync.Mutex
	pending []byte
	waiting chan struct{} // closed when pending is durable
}

// rawAhead is how much of the file is allocated at a time, as Waterbear does.
const rawAhead = 1 << 20

func newGroupLog(name string) (*groupLog, error) {
	f, err := vfs.OS().Create(name)
	if err != nil {
		return nil, err
	}
	l := &groupLog{file: f, wake: make(chan struct{}, 1), waiting: make(chan struct{})}
	go l.flush()
	return l, nil
}

// append adds a record, and gives what is closed when it is durable.
func (l *groupLog) append(record []byte) <-chan struct{} {
	l.mu.Lock()
	l.pending = append(l.pending, record...)
	done := l.waiting
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return done
}

func (l *groupLog) flush() {
	var size, allocated int64
	for range l.wake {
		l.mu.Lock()
		pending, done := l.pending, l.waiting
		l.pending, l.waiting = nil, make(chan struct{})
		l.mu.Unlock()
		if len(pending) == 0 {
			continue
		}
		end := size + int64(len(pending))
		if end > allocated {
			if err := l.file.Allocate(allocated, end+rawAhead); err != nil {
				panic(err)
			}
			allocated = end + rawAhead
		}
		if _, err := l.file.WriteAt(pending, size); err != nil {
			panic(err)
		}
		if err := l.file.SyncData(); err != nil {
			panic(err)
		}
		size = end
		close(done)
	}
}
