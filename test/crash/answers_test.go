package crash

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/guests"
)

// askers send HTTP requests to workers, each with a key, and again until they have
// the whole response.
type askers struct {
	t      *testing.T
	server *server
	http   *http.Client
	stop   atomic.Bool

	mu      sync.Mutex
	answers map[string]asked // by key
	broken  int              // responses that broke off behind their first byte
}

// asked is a request and what it was answered.
type asked struct {
	worker, path string
	body         []byte
	text         string
}

func newAskers(s *server) *askers {
	return &askers{t: s.t, server: s, answers: map[string]asked{}, http: s.http()}
}

// ask sends a request until it has the whole response, of which all that came
// before must have been a part.
func (a *askers) ask(key string, q asked) string {
	before := ""
	for began := time.Now(); ; {
		got, status, err := a.once(key, q)
		if status == http.StatusOK && !strings.HasPrefix(got, before) && !strings.HasPrefix(before, got) {
			a.t.Errorf("%s of %s: got %.100q, and before %.100q (seed %d)", q.path, q.worker, got, before, *seed)
			return got
		}
		if err == nil && status == http.StatusOK {
			if len(before) > len(got) {
				a.t.Errorf("%s of %s: got %d bytes, and before %d (seed %d)", q.path, q.worker, len(got), len(before), *seed)
			}
			return got
		}
		if status == http.StatusOK && len(got) > len(before) {
			before = got
			a.mu.Lock()
			a.broken++
			a.mu.Unlock()
		}
		if status != 0 && status != http.StatusOK && status < http.StatusInternalServerError {
			a.t.Errorf("%s of %s: got %d %s (seed %d)", q.path, q.worker, status, got, *seed)
			return ""
		}
		if time.Since(began) > patience {
			a.t.Errorf("%s of %s is not answered within %v: %d %s %v (seed %d)", q.path, q.worker, patience, status, got, err, *seed)
			return ""
		}
		time.Sleep(5 * time.Millisecond) // until the server is there
	}
}

func (a *askers) once(key string, q asked) (text string, status int, err error) {
	r, err := http.NewRequestWithContext(a.t.Context(), "PUT", "http://localhost/v1/workers/web/"+q.worker+"/http"+q.path, bytes.NewReader(q.body))
	if err != nil {
		return "", 0, err
	}
	r.Header.Set("Idempotency-Key", key)
	response, err := a.http.Do(r)
	if err != nil {
		return "", 0, err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	return string(b), response.StatusCode, err
}

// client asks one thing after the other.
func (a *askers) client(number int, random *rand.Rand) {
	for n := 0; !a.stop.Load(); n++ {
		q := asked{worker: fmt.Sprint("w", random.IntN(3))}
		switch random.IntN(4) {
		case 0:
			q.path = fmt.Sprintf("/ticks?%d,%d", 2+random.IntN(8), random.IntN(30))
		case 1:
			q.path = "/echo"
			q.body = bytes.Repeat(fmt.Append(nil, number, " ", n, ","), random.IntN(30_000))
		case 2:
			q.path = fmt.Sprintf("/long?%d", random.IntN(200_000))
		default:
			q.path = "/"
		}
		key := fmt.Sprintf("%d-%d", number, n)
		q.text = a.ask(key, q)
		a.mu.Lock()
		a.answers[key] = q
		a.mu.Unlock()
	}
}

func TestResponsesOfAServerThatIsKilledComeWhole(t *testing.T) {
	random := randomOf(t, 300)
	s := startServer(t, restless...)
	if _, err := s.client().Deploy(t.Context(), "web", guests.Wasm(t, "components/http"), nil); err != nil {
		t.Fatal(err)
	}
	a := newAskers(s)
	var clients sync.WaitGroup
	for i := range 6 {
		random := rand.New(rand.NewPCG(*seed, 2000+uint64(i)))
		clients.Go(func() { a.client(i, random) })
	}
	n := share(2)
	s.restart(n, 600, random)
	a.stop.Store(true)
	clients.Wait()
	t.Logf("%d kills, %d requests, %d responses broke off", n, len(a.answers), a.broken)
	numbers := map[string]string{}
	for key, q := range a.answers {
		if again := a.ask(key, q); again != q.text {
			t.Errorf("%s of %s: got %.100q, and later %.100q (seed %d)", q.path, q.worker, q.text, again, *seed)
		}
		switch {
		case q.path == "/echo" && q.text != string(q.body):
			t.Errorf("an echo of %d bytes has %d, or others (seed %d)", len(q.body), len(q.text), *seed)
		case strings.HasPrefix(q.path, "/ticks"):
			var count, pause int
			if _, err := fmt.Sscanf(q.path, "/ticks?%d,%d", &count, &pause); err != nil || strings.Count(q.text, "data: tick\n\n") != count {
				t.Errorf("%s: got %q (seed %d)", q.path, q.text, *seed)
			}
		case strings.HasPrefix(q.path, "/long"):
			if fmt.Sprint("/long?", len(q.text)) != q.path {
				t.Errorf("%s: got %d bytes (seed %d)", q.path, len(q.text), *seed)
			}
		case q.path == "/":
			if other := numbers[q.worker+q.text]; other != "" {
				t.Errorf("%s and %s of %s are both %q (seed %d)", key, other, q.worker, q.text, *seed)
			}
			numbers[q.worker+q.text] = key
		}
	}
}
