package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// postgres is a PostgreSQL server of Debian's, with a database of its own.
type postgres struct {
	t    *testing.T
	bin  string // where its programs are
	data string
	port int
	as   *syscall.Credential // nil: as we are
	cmd  *exec.Cmd
}

// startPostgres starts one, or skips the test where it is not installed.
func startPostgres(t *testing.T) *postgres {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		t.Skip("PostgreSQL is not here: install Debian's package postgresql")
	}
	p := &postgres{t: t, bin: filepath.Dir(found[len(found)-1])}
	// Not in t.TempDir, which other users cannot enter.
	place, err := os.MkdirTemp("", "waterbear-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(place) })
	p.data = filepath.Join(place, "data")
	if os.Getuid() == 0 { // it refuses to be run by root
		p.as = credential(t, "postgres")
		if err := errors.Join(os.Chown(place, int(p.as.Uid), int(p.as.Gid)), os.Chmod(place, fs.FileMode(0o700))); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := p.command("initdb", "--pgdata", p.data, "--username", "postgres", "--auth", "trust", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	p.start()
	t.Cleanup(p.stop)
	return p
}

func credential(t *testing.T, name string) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Skipf("PostgreSQL cannot be run: %v", err)
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func (p *postgres) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(p.bin, name), args...)
	c.Dir = filepath.Dir(p.data)
	if p.as != nil {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
	}
	return c
}

// start starts it and waits until it answers.
func (p *postgres) start() {
	p.t.Helper()
	p.cmd = p.command("postgres", "-D", p.data, "-p", strconv.Itoa(p.port), "-c", "listen_addresses=127.0.0.1", "-k", "")
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		out, err := p.try("SELECT 1")
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("PostgreSQL does not answer: %v\n%s", err, out)
		}
	}
}

// stop ends it as a crash would.
func (p *postgres) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	_ = p.cmd.Wait()
}

func (p *postgres) try(query string) (string, error) {
	out, err := p.command("psql", "-h", "127.0.0.1", "-p", strconv.Itoa(p.port), "-U", "postgres", "-AtXc", query).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (p *postgres) ask(query string) string {
	p.t.Helper()
	out, err := p.try(query)
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", query, err, out)
	}
	return out
}

const (
	tallyWorkers = 4
	// tallyKills is how often the server is killed at least, for this is what the
	// guide promises; it takes a second or two for ten.
	tallyKills = 20
)

// progress is how much each of some clients has got done.
type progress []atomic.Int64

// every waits, at each so many steps, until all have got something done: programs
// that try a number of times are not killed as often in one invocation.
func (p progress) every(steps, i int, t *testing.T) {
	t.Helper()
	if i%steps != 0 {
		return
	}
	for w := range p {
		was := p[w].Load()
		for began := time.Now(); p[w].Load() == was && !t.Failed(); time.Sleep(time.Millisecond) {
			if time.Since(began) > patience {
				t.Fatalf("client %d has got nothing done for %v", w, patience)
			}
		}
	}
}

// TestAStockDatabaseDriverSurvivesKills has programs count keys in PostgreSQL by a
// driver that knows nothing of us, kills the server twenty times, and the database
// once, and looks: each key that was acknowledged was counted, once.
func TestAStockDatabaseDriverSurvivesKills(t *testing.T) {
	db := startPostgres(t)
	db.ask("CREATE TABLE counted (key text PRIMARY KEY); CREATE TABLE total (n bigint); INSERT INTO total VALUES (0)")
	random := randomOf(t, 700)
	s := startServer(t, "--net-allow", fmt.Sprintf("localhost:%d", db.port), "--workers-image-after", "1ms")
	if _, err := s.client().Deploy(t.Context(), "tally", guests.Wasm(t, "tally"), nil); err != nil {
		t.Fatal(err)
	}
	database := fmt.Sprintf("host=localhost port=%d user=postgres", db.port)
	var clients sync.WaitGroup
	var stop atomic.Bool
	acknowledged := make(progress, tallyWorkers)
	for w := range tallyWorkers {
		clients.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			c := s.client()
			for !stop.Load() && !t.Failed() {
				key := fmt.Sprintf("w%d-%d", w, acknowledged[w].Load()+1)
				args, err := json.Marshal([]string{database, key})
				if err != nil {
					t.Error(err)
					return
				}
				inv, err := c.Invoke(ctx, "tally", fmt.Sprintf("w%d", w), api.Call{Function: "count", Args: args, Key: key})
				if err != nil || inv.State != api.StateFinished || !strings.HasPrefix(string(inv.Result), `[{"ok":`) {
					t.Errorf("count %s: %s %s %+v, %v (seed %d)", key, inv.State, inv.Result, inv.Failure, err, *seed)
					return
				}
				acknowledged[w].Add(1)
			}
		})
	}
	n := max(tallyKills, *kills)
	for i := range n {
		acknowledged.every(3, i, t)
		time.Sleep(time.Duration(20+random.IntN(400)) * time.Millisecond)
		s.kill()
		if i == n/2 { // nobody of ours is there to see it
			db.stop()
			db.start()
		}
		s.start()
	}
	time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
	stop.Store(true)
	clients.Wait()
	if t.Failed() {
		return
	}
	all, connections := 0, 0
	c := s.client()
	for w := range acknowledged {
		count := int(acknowledged[w].Load())
		all += count
		if got := db.ask(fmt.Sprintf("SELECT count(*) FROM counted WHERE key LIKE 'w%d-%%'", w)); got != strconv.Itoa(count) {
			t.Errorf("the database has %s keys of worker %d, and %d were acknowledged (seed %d)", got, w, count, *seed)
		}
		inv, err := c.Invoke(t.Context(), "tally", fmt.Sprintf("w%d", w), api.Call{Function: "connections", Args: json.RawMessage("[]")})
		var made [1]int
		if err := errors.Join(err, json.Unmarshal(inv.Result, &made)); err != nil {
			t.Fatal(err)
		}
		connections += made[0]
	}
	if got := db.ask("SELECT n FROM total"); got != strconv.Itoa(all) {
		t.Errorf("the total is %s, and %d keys were acknowledged (seed %d)", got, all, *seed)
	}
	if all < n || connections < n {
		t.Errorf("%d keys over %d connections are too few to show anything (seed %d)", all, connections, *seed)
	}
	t.Logf("%d kills, %d keys over %d connections", n, all, connections)
}
