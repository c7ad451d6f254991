package crash

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/client"
)

// patience bounds what must not take long, however busy the machine is.
const patience = time.Minute

// server is `waterbear server`, killed and started again over the same state.
// Clients find it wherever it listens at the time.
type server struct {
	t     *testing.T
	state string
	flags []string
	cmd   *exec.Cmd
	errs  *bytes.Buffer
	// at is where it listens, routes where it serves them if its flags say so; nil
	// while it does not run.
	at, routes atomic.Pointer[string]
}

// startServer starts one over a new state.
func startServer(t *testing.T, flags ...string) *server {
	t.Helper()
	return startServerIn(t, t.TempDir(), flags...)
}

func startServerIn(t *testing.T, state string, flags ...string) *server {
	t.Helper()
	s := &server{t: t, state: state, flags: flags}
	s.start()
	t.Cleanup(func() {
		if s.at.Load() != nil {
			s.kill()
		}
		if t.Failed() {
			t.Logf("the server's last words: %s", s.errs)
		}
	})
	return s
}

var (
	startLine  = regexp.MustCompile(`^waterbear: listening on (\S+), state in`)
	routesLine = regexp.MustCompile(`^waterbear: serving routes on (\S+), to anybody`)
)

// start starts it and waits until it listens.
func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command(waterbear, append([]string{
		"server", "--listen", "127.0.0.1:0", "--state", s.state, "--log-level", "warn",
	}, s.flags...)...)
	s.errs = &bytes.Buffer{}
	s.cmd.Stderr = s.errs
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	at := s.said(lines, startLine)
	if slices.Contains(s.flags, "--routes-listen") {
		s.routes.Store(s.said(lines, routesLine))
	}
	s.at.Store(at)
}

// said is the address that the next line says.
func (s *server) said(lines *bufio.Reader, want *regexp.Regexp) *string {
	s.t.Helper()
	line, err := lines.ReadString('\n')
	m := want.FindStringSubmatch(line)
	if m == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.t.Fatalf("it says %q, %v, want %s; and %s", line, err, want, s.errs)
	}
	at, err := url.Parse(m[1])
	if err != nil {
		s.t.Fatal(err)
	}
	return &at.Host
}

// kill ends it as a loss of power would, and demands that it had not ended by
// itself.
func (s *server) kill() {
	s.t.Helper()
	s.at.Store(nil)
	s.routes.Store(nil)
	_ = s.cmd.Process.Kill()
	err := s.cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != -1 {
		s.t.Fatalf("the server ended by itself with %v (seed %d); it says %s", err, *seed, s.errs)
	}
}

// restart kills it n times and starts it again, within so many milliseconds each.
func (s *server) restart(n, within int, random *rand.Rand) {
	for range n {
		time.Sleep(time.Duration(20+random.IntN(within)) * time.Millisecond)
		s.kill()
		s.start()
	}
}

// killWhile kills it while act goes on, half the time soon and half the time
// anywhere within so long, waits for act, which the lost connection ends, and
// starts it again.
func (s *server) killWhile(random *rand.Rand, within time.Duration, act func()) {
	s.t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		act()
	}()
	if random.IntN(2) == 0 {
		within /= 16
	}
	time.Sleep(time.Duration(random.Int64N(int64(within))))
	s.kill()
	<-ended
	s.start()
}

// client speaks to the server wherever it listens. While it does not run the
// connection is refused, rather than tried at a port that another may have.
func (s *server) client() *client.Client {
	s.t.Helper()
	return s.clientThat(nil)
}

// clientThat is a client that tells retrying what it is about to try again.
func (s *server) clientThat(retrying func(cause error, pause time.Duration)) *client.Client {
	s.t.Helper()
	c, err := client.New(client.Config{URL: "http://localhost", HTTP: s.http(), Retrying: retrying})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// http is a client of anything at the server, wherever that listens.
func (s *server) http() *http.Client { return dialing(&s.at) }

func dialing(to *atomic.Pointer[string]) *http.Client {
	var dialer net.Dialer
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			at := to.Load()
			if at == nil {
				return nil, fmt.Errorf("dial a server that does not run: %w", syscall.ECONNREFUSED)
			}
			return dialer.DialContext(ctx, network, *at)
		},
		MaxIdleConnsPerHost: 4,
	}}
}

// share is how many of the kills a test has, out of so many parts.
func share(parts int) int { return max(1, *kills/parts) }

// randomOf makes the chance of a test: the seed, and what tells it from others.
func randomOf(t *testing.T, stream uint64) *rand.Rand {
	t.Helper()
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("seed %d", *seed)
	return rand.New(rand.NewPCG(*seed, stream))
}
