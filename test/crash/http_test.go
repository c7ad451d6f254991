package crash

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/guests"
)

// postOffice is a remote that takes each message once, however often it comes,
// and answers late now and then.
type postOffice struct {
	*httptest.Server
	mu       sync.Mutex
	messages map[string]string // by key
	came     int
}

func newPostOffice(t *testing.T) *postOffice {
	p := &postOffice{messages: map[string]string{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		key := q.Header.Get("Idempotency-Key")
		p.mu.Lock()
		p.came++
		number := len(p.messages) + 1
		before, known := p.messages[key]
		if !known {
			p.messages[key] = fmt.Sprintf("number %d is %s", number, body)
		} else if !strings.HasSuffix(before, string(body)) {
			t.Errorf("the key %q is that of %q, and now of %q", key, before, body)
		}
		answer := p.messages[key]
		late := p.came%3 == 0
		p.mu.Unlock()
		if late {
			time.Sleep(20 * time.Millisecond)
		}
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(p.Close)
	return p
}

// TestAProgramThatSendsMessagesSendsEachOnceHoweverOftenItIsKilled runs a command
// that makes HTTP requests.
func TestAProgramThatSendsMessagesSendsEachOnceHoweverOftenItIsKilled(t *testing.T) {
	const messages = 100
	random := randomOf(t, 220)
	office := newPostOffice(t)
	dir := t.TempDir()
	module := filepath.Join(dir, "courier.wasm")
	if err := os.WriteFile(module, guests.Wasm(t, "courier"), 0o644); err != nil {
		t.Fatal(err)
	}
	start := func() *exec.Cmd {
		cmd := exec.Command(waterbear, "run", "--quiet", "--state", filepath.Join(dir, "state"), "--http-allow", "127.0.0.1", module, office.URL, fmt.Sprint(messages), "2")
		cmd.Stderr = new(bytes.Buffer)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	done := 0
	for wanted := share(2); ; {
		cmd := start()
		if done < wanted {
			time.AfterFunc(time.Duration(random.Int64N(int64(200*time.Millisecond))), func() { _ = cmd.Process.Kill() })
		}
		err := cmd.Wait()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == -1 {
			done++
			continue
		}
		if err != nil {
			t.Fatalf("after %d kills: %v\n%s", done, err, cmd.Stderr)
		}
		break
	}
	if len(office.messages) != messages || office.came < messages || office.came > messages+done {
		t.Errorf("after %d kills %d messages have come, as %d requests; want %d", done, len(office.messages), office.came, messages)
	}
	out, err := exec.Command(waterbear, "logs", "--state", filepath.Join(dir, "state"), "courier").Output()
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for i := range messages {
		want.WriteString(fmt.Sprintf("message %d: status 200: number %d is message %d\n", i+1, i+1, i+1))
	}
	if string(out) != want.String() {
		t.Errorf("after %d kills it has printed\n%s", done, out)
	}
	t.Logf("%d kills, %d requests", done, office.came)
}
