package crash

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// strangers are clients of routes: each request has a key, and is sent until it is
// answered whole.
type strangers struct {
	t    *testing.T
	http *http.Client
	stop atomic.Bool
	all  sync.WaitGroup

	mu      sync.Mutex
	answers map[string]answered // by key
	again   int                 // requests that were sent once more
}

// answered is a POST and what came.
type answered struct{ path, body, answer string }

// post sends a request until it is answered, and gives status and body.
func (s *strangers) post(key, path, body string) string {
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) { // until the server is there
		answer, status, err := s.do("POST", key, path, body)
		if err == nil && status < http.StatusInternalServerError {
			return fmt.Sprint(status, " ", answer)
		}
		s.mu.Lock()
		s.again++
		s.mu.Unlock()
		if time.Since(began) > patience {
			s.t.Errorf("POST %s is not answered within %v: %d %s %v (seed %d)", path, patience, status, answer, err, *seed)
			return ""
		}
	}
}

func (s *strangers) do(method, key, path, body string) (answer string, status int, err error) {
	q, err := http.NewRequestWithContext(s.t.Context(), method, "http://localhost"+path, strings.NewReader(body))
	if err != nil {
		return "", 0, err
	}
	q.Header.Set("Content-Type", "application/json")
	if key != "" {
		q.Header.Set("Idempotency-Key", key)
	}
	r, err := s.http.Do(q)
	if err != nil {
		return "", 0, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return string(b), r.StatusCode, err
}

// see gives what a GET is answered with.
func (s *strangers) see(path string) string {
	s.t.Helper()
	answer, status, err := s.do("GET", "", path, "")
	if err != nil || status != http.StatusOK {
		s.t.Fatalf("GET %s: %d %s %v (seed %d)", path, status, answer, err, *seed)
	}
	return answer
}

// talk posts to typed routes and to a handler's, one thing after the other.
func (s *strangers) talk(number int, random *rand.Rand) {
	for n := 0; !s.stop.Load(); n++ {
		key := fmt.Sprintf("%d-%d", number, n)
		a := answered{path: fmt.Sprintf("/counters/w%d", random.IntN(routeWorkers)), body: strconv.Itoa(1 + random.IntN(9))}
		if random.IntN(2) == 0 {
			a.path, a.body = fmt.Sprintf("/rooms/w%d/messages", random.IntN(routeWorkers)), key+" says"+strings.Repeat(" so", random.IntN(50))
		}
		a.answer = s.post(key, a.path, a.body)
		s.mu.Lock()
		s.answers[key] = a
		s.mu.Unlock()
	}
}

const routeWorkers = 3

// TestRoutesOfAServerThatIsKilledTakeEachKeyOnce has clients of routes to typed
// functions and to a program that handles requests itself, while the server is killed
// again and again. The same key gets the same answer, at the end too, and what the
// workers have is what was sent, once each.
func TestRoutesOfAServerThatIsKilledTakeEachKeyOnce(t *testing.T) {
	random := randomOf(t, 250)
	server := startServer(t, append([]string{"--routes-listen", "127.0.0.1:0"}, restless...)...)
	c := server.client()
	for component, program := range map[string]string{"kit": "kit/rust", "chat": "chat"} {
		if _, err := c.Deploy(t.Context(), component, guests.Wasm(t, program), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []api.Route{
		{Name: "add", Path: "/counters/{who}", Component: "kit", Worker: "path.who", Function: "add", Key: "required"},
		{Name: "total", Methods: []string{"GET"}, Path: "/counters/{who}", Component: "kit", Worker: "path.who", Function: "total"},
		{Name: "rooms", Path: "/rooms/{room}/{rest...}", Component: "chat", Worker: "path.room", Below: true},
	} {
		if _, err := c.SetRoute(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	s := &strangers{t: t, http: dialing(&server.routes), answers: map[string]answered{}}
	for i := range 6 {
		random := rand.New(rand.NewPCG(*seed, 2500+uint64(i)))
		s.all.Go(func() { s.talk(i, random) })
	}
	n := share(2)
	server.restart(n, 600, random)
	s.stop.Store(true)
	s.all.Wait()
	again := s.again
	total, answers, rooms := map[string]int{}, map[string]bool{}, map[string][]string{}
	for key, a := range s.answers {
		if got := s.post(key, a.path, a.body); got != a.answer {
			t.Errorf("%s of %s: got %q, and later %q (seed %d)", key, a.path, a.answer, got, *seed)
		}
		if answers[a.path+a.answer] { // a number, which only grows
			t.Errorf("%s of %s is answered with %q, as another was (seed %d)", key, a.path, a.answer, *seed)
		}
		answers[a.path+a.answer] = true
		if added, err := strconv.Atoi(a.body); err == nil {
			total[a.path] += added
		} else {
			rooms[a.path] = append(rooms[a.path], a.body)
		}
	}
	for path, want := range total {
		if got := strings.TrimSpace(s.see(path)); got != strconv.Itoa(want) {
			t.Errorf("%s is %s, and %d was added (seed %d)", path, got, want, *seed)
		}
	}
	for path, want := range rooms {
		said := strings.Split(strings.TrimSuffix(s.see(path), "\n"), "\n")
		for key, a := range s.answers {
			number, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(a.answer, "201 ")))
			if a.path == path && (err != nil || number < 1 || number > len(said) || said[number-1] != a.body) {
				t.Errorf("%s of %s is answered with %q, which is another message (seed %d)", key, path, a.answer, *seed)
			}
		}
		slices.Sort(said)
		if slices.Sort(want); !slices.Equal(said, want) {
			t.Errorf("%s has %d messages, and %d were sent (seed %d)", path, len(said), len(want), *seed)
		}
	}
	t.Logf("%d kills, %d requests, %d were sent again", n, len(s.answers), again)
}
