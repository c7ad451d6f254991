package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

// writePair makes a certificate for localhost and its key in dir.
func writePair(t *testing.T, dir string, serial int64) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if serial == expiredSerial {
		template.NotAfter = time.Unix(1, 0)
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// expiredSerial is of a certificate that has expired.
const expiredSerial = 99

func (p *keyPair) serial() int64 { return p.current.Load().Leaf.SerialNumber.Int64() }

func TestACertificateIsReloadedUnlessTheNewOneIsNone(t *testing.T) {
	dir := t.TempDir()
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	p, err := loadKeyPair(writePair(t, dir, 1))
	if err != nil || p.serial() != 1 {
		t.Fatalf("serial %d, %v", p.serial(), err)
	}
	if err := os.WriteFile(p.key, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.reload(log)
	if p.serial() != 1 || !strings.Contains(logged.String(), "level=ERROR") {
		t.Errorf("with a broken key: serial %d, log %s", p.serial(), &logged)
	}
	writePair(t, dir, 2)
	p.reload(log)
	if p.serial() != 2 || strings.Contains(logged.String(), "expired") {
		t.Errorf("with a new pair: serial %d, log %s", p.serial(), &logged)
	}
	writePair(t, dir, expiredSerial)
	p.reload(log)
	if p.serial() != expiredSerial || !strings.Contains(logged.String(), "has expired") {
		t.Errorf("with an expired pair: serial %d, log %s", p.serial(), &logged)
	}
	(*keyPair)(nil).reload(log)
}

// fakeNode has tokens.
type fakeNode struct {
	tokens []api.Token
	made   []api.NewToken
}

func (n *fakeNode) Tokens(context.Context) ([]api.Token, error) { return n.tokens, nil }

func (n *fakeNode) CreateToken(_ context.Context, t api.NewToken) (api.CreatedToken, error) {
	n.made = append(n.made, t)
	made := api.CreatedToken{Token: api.Token{Name: t.Name, Scopes: t.Scopes}, Secret: t.Secret}
	if made.Secret == "" {
		made.Secret = "made up"
	}
	n.tokens = append(n.tokens, made.Token)
	return made, nil
}

func TestTheFirstTokenIsMadeOnceAndShownUnlessItIsKnown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	chosen := strings.Repeat("s", minSecret)
	if err := os.WriteFile(file, []byte(chosen+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		flags        map[string]string
		shown, given string
		made         int
	}{
		{map[string]string{"auth": authOn}, "made up", "", 1},
		{map[string]string{"auth": authOn, "admin-token-file": file}, "", chosen, 1},
		{nil, "", "", 0},
	} {
		c, n := configured(t, test.flags), &fakeNode{}
		for start := range 2 {
			shown, err := c.firstToken(t.Context(), n)
			if want := map[bool]string{true: test.shown}[start == 0]; err != nil || shown != want {
				t.Errorf("%v, start %d: shows %q, want %q; %v", test.flags, start, shown, want, err)
			}
		}
		if len(n.made) != test.made || test.made == 1 && (n.made[0].Secret != test.given || n.made[0].Scopes[0] != "admin") {
			t.Errorf("%v: made %v", test.flags, n.made)
		}
	}
}

func TestASecretOfAFileOpensTheServer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	secret := strings.Repeat("s", minSecret)
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, nil, "--auth", "on", "--admin-token-file", file)
	for given, want := range map[string]int{secret: http.StatusOK, secret + "s": http.StatusUnauthorized} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/v1/tokens", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+given)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %s, want %d", given, answer.Status, want)
		}
	}
	if code := s.stopped(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// running is a server in a process of its own.
type running struct {
	*exec.Cmd
	out  *bufio.Reader
	errs *bufio.Reader
	url  string
}

// startServer starts one and waits until it listens.
func startServer(t *testing.T, env []string, flags ...string) *running {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s := &running{Cmd: exec.CommandContext(ctx, "waterbear", append([]string{"server", "--listen", "127.0.0.1:0"}, flags...)...)}
	s.Dir, s.Env = t.TempDir(), append(os.Environ(), env...)
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := s.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.out, s.errs = bufio.NewReader(out), bufio.NewReader(errs)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Process.Kill(); _ = s.Wait() })
	line, err := s.out.ReadString('\n')
	m := regexp.MustCompile(`^waterbear: listening on (https?://127\.0\.0\.1:[1-9][0-9]*), state in .*, .* token`).FindStringSubmatch(line)
	if m == nil {
		rest, _ := io.ReadAll(s.errs)
		t.Fatalf("the start line is %q, %v; %s", line, err, rest)
	}
	s.url = m[1]
	return s
}

// logged reads the log until it has what is wanted.
func (s *running) logged(t *testing.T, want string) {
	t.Helper()
	for {
		line, err := s.errs.ReadString('\n')
		if strings.Contains(line, want) {
			return
		}
		if err != nil {
			t.Fatalf("the log ends without %q: %v", want, err)
		}
	}
}

// stopped stops the server by a signal and gives its exit code.
func (s *running) stopped(t *testing.T, by syscall.Signal) int {
	t.Helper()
	if err := s.Process.Signal(by); err != nil {
		t.Fatal(err)
	}
	s.logged(t, "msg=stopped")
	_, _ = io.Copy(io.Discard, s.out)
	if err := s.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return s.ProcessState.ExitCode()
}

func TestAServerAnswersUntilASignalStopsIt(t *testing.T) {
	for _, by := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		s := startServer(t, nil)
		answer, err := http.Get(s.url + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("/healthz: %s", answer.Status)
		}
		if code := s.stopped(t, by); code != 0 {
			t.Errorf("exit code %d after %v", code, by)
		}
		if _, err := http.Get(s.url + "/healthz"); err == nil {
			t.Error("somebody answers after the end")
		}
	}
}

func TestHangupReloadsTheCertificate(t *testing.T) {
	dir := t.TempDir()
	cert, key := writePair(t, dir, 1)
	s := startServer(t, nil, "--tls-cert", cert, "--tls-key", key)
	serial := func() int64 {
		t.Helper()
		c, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Errorf("serial %d before", got)
	}
	writePair(t, dir, 2)
	if err := s.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.logged(t, "reloaded the certificate")
	if got := serial(); got != 2 {
		t.Errorf("serial %d after", got)
	}
	if code := s.stopped(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestTheServiceManagerHearsOfStartAndStop(t *testing.T) {
	// Not in t.TempDir: the name of a socket has to be short.
	dir, err := os.MkdirTemp("", "wb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	hear := func(want string) {
		t.Helper()
		_ = l.SetReadDeadline(time.Now().Add(patience))
		b := make([]byte, 100)
		n, err := l.Read(b)
		if got := string(b[:n]); err != nil || got != want {
			t.Fatalf("heard %q, %v; want %q", got, err, want)
		}
	}
	s := startServer(t, []string{notifyVariable + "=" + socket})
	hear("READY=1")
	if code := s.stopped(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	hear("STOPPING=1")
}

func TestWithoutTheServiceManagerAServerRunsAllTheSame(t *testing.T) {
	s := startServer(t, []string{notifyVariable + "=/nowhere/at/all"})
	s.logged(t, "tell the service manager")
	if code := s.stopped(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestTheStartLineSaysWhereAndWhoMay(t *testing.T) {
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}
	for want, flags := range map[string]map[string]string{
		"waterbear: listening on http://127.0.0.1:80, state in .waterbear, no token needed, for only this machine can connect": nil,
		"waterbear: listening on http://127.0.0.1:80, state in 'a b', requests need a token":                                   {"auth": authOn, "state": "a b"},
		"waterbear: listening on https://127.0.0.1:80, state in .waterbear, requests need a token":                             {"tls.cert": "a", "listen": ":80"},
	} {
		if got := configured(t, flags).startLine(at); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestASecondSignalEndsTheServerAtOnce(t *testing.T) {
	s := startServer(t, nil, "--grace", "1h")
	// A request that is not whole keeps the server from ending by itself.
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	// Connections are accepted in their order: after this one, ours is.
	answer, err := http.Get(s.url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	for _, wait := range []string{"msg=\"stopping", ""} {
		if err := s.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if wait != "" {
			s.logged(t, wait)
		}
	}
	_, _ = io.Copy(io.Discard, s.errs)
	_ = s.Wait()
	if status := s.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("ended by %v", s.ProcessState)
	}
}
