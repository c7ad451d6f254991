package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// redis is a Redis server of Debian's that keeps all in memory.
type redis struct {
	t    *testing.T
	port int
}

// startRedis starts one and waits until it answers, or skips the test where it is
// not installed.
func startRedis(t *testing.T) *redis {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("Redis is not here: install Debian's package redis-server")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &redis{t: t, port: l.Addr().(*net.TCPAddr).Port}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--bind", "127.0.0.1", "--port", strconv.Itoa(r.port), "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		out, err := r.try("PING")
		if err == nil && out == "PONG" {
			return r
		}
		if time.Since(began) > patience {
			t.Fatalf("Redis does not answer: %v\n%s", err, out)
		}
	}
}

func (r *redis) try(command ...string) (string, error) {
	out, err := exec.Command("redis-cli", append([]string{"-p", strconv.Itoa(r.port)}, command...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (r *redis) ask(command ...string) string {
	r.t.Helper()
	out, err := r.try(command...)
	if err != nil {
		r.t.Fatalf("%q: %v\n%s", command, err, out)
	}
	return out
}

// TestAStockRedisClientSurvivesKills has programs count keys in Redis by a client that
// knows nothing of us, kills the server, drops the connections once, and looks: each
// key that was acknowledged was counted, once.
func TestAStockRedisClientSurvivesKills(t *testing.T) {
	const workers = 3
	db := startRedis(t)
	random := randomOf(t, 720)
	s := startServer(t, "--net-allow", fmt.Sprintf("localhost:%d", db.port), "--workers-image-after", "1ms")
	if _, err := s.client().Deploy(t.Context(), "counting", guests.Wasm(t, "components/redis"), nil); err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("redis://localhost:%d/", db.port)
	var clients sync.WaitGroup
	var stop atomic.Bool
	acknowledged := make(progress, workers)
	for w := range workers {
		clients.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			for c, n := s.client(), 0; !stop.Load() && !t.Failed(); n++ {
				key := fmt.Sprintf("w%d-%d", w, n)
				args := fmt.Appendf(nil, `[%q, %q]`, address, key)
				v, err := c.Invoke(ctx, "counting", fmt.Sprint("w", w), api.Call{Function: "count", Args: args, Key: key})
				if err != nil || v.State != api.StateFinished || !strings.HasPrefix(string(v.Result), `[{"ok":`) {
					t.Errorf("count %s: %s %s %+v, %v (seed %d)", key, v.State, v.Result, v.Failure, err, *seed)
					return
				}
				acknowledged[w].Add(1)
			}
		})
	}
	n := share(2)
	for i := range n {
		acknowledged.every(3, i, t)
		time.Sleep(time.Duration(20+random.IntN(400)) * time.Millisecond)
		if i == n/2 { // while the server runs
			db.ask("CLIENT", "KILL", "TYPE", "normal")
			time.Sleep(50 * time.Millisecond)
		}
		s.kill()
		s.start()
	}
	time.Sleep(200 * time.Millisecond)
	stop.Store(true)
	clients.Wait()
	if t.Failed() {
		return
	}
	all, connections := 0, 0
	for w := range workers {
		all += int(acknowledged[w].Load())
		v, err := s.client().Invoke(t.Context(), "counting", fmt.Sprint("w", w), api.Call{Function: "connections", Args: json.RawMessage("[]")})
		var made [1]int
		if err := errors.Join(err, json.Unmarshal(v.Result, &made)); err != nil {
			t.Fatal(err)
		}
		connections += made[0]
	}
	if total, known := db.ask("GET", "total"), db.ask("SCARD", "counted"); total != strconv.Itoa(all) || known != total {
		t.Errorf("Redis has counted %s of %s keys, and %d were acknowledged (seed %d)", total, known, all, *seed)
	}
	if connections < 2*workers || all < n {
		t.Errorf("%d keys over %d connections are too few to show anything (seed %d)", all, connections, *seed)
	}
	t.Logf("%d kills, %d keys over %d connections", n, all, connections)
}
