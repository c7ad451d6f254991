package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// configured is the configuration that the command line gives.
func configured(t *testing.T, flags map[string]string) *config {
	t.Helper()
	c := newConfig()
	for key, written := range flags {
		if err := c.setting(key).Set(written); err != nil {
			t.Fatal(err)
		}
	}
	if wrong := c.load("", nil); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	c.resolve()
	return c
}

func TestTokensAreNeededWhereOthersCanConnect(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:4004": authOff, "127.9.9.9:0": authOff, "[::1]:4004": authOff, "localhost:4004": authOff, "[::ffff:127.0.0.1]:1": authOff,
		":4004": authOn, "0.0.0.0:4004": authOn, "[::]:4004": authOn, "192.0.2.1:4004": authOn, "[fe80::1%eth0]:4004": authOn,
	} {
		c := configured(t, map[string]string{"listen": listen})
		if c.auth != want || len(c.check()) > 0 {
			t.Errorf("%s: auth is %s, want %s; %v", listen, c.auth, want, c.check())
		}
		c = configured(t, map[string]string{"listen": listen, "auth": authOff})
		if allowed := len(c.check()) == 0; allowed != (want == authOff) {
			t.Errorf("%s without tokens: allowed is %v", listen, allowed)
		}
		if c = configured(t, map[string]string{"listen": listen, "auth": authOn}); len(c.check()) > 0 {
			t.Errorf("%s with tokens: %v", listen, c.check())
		}
	}
}

func TestSettingsThatDoNotFitTogetherAreRefused(t *testing.T) {
	cert, key := writePair(t, t.TempDir(), 1)
	_, otherKey := writePair(t, t.TempDir(), 2)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		want  string // of the error; empty: none
		flags map[string]string
	}{
		{"", nil},
		{"", map[string]string{"tls.cert": cert, "tls.key": key}},
		{"--tls-cert: load ", map[string]string{"tls.cert": cert, "tls.key": otherKey}},
		{"--tls-cert: load ", map[string]string{"tls.cert": file, "tls.key": key}},
		{"--tls-cert: load ", map[string]string{"tls.cert": cert, "tls.key": "nowhere"}},
		{"--tls-cert: a certificate needs its private key; give tls.key too", map[string]string{"tls.cert": cert}},
		{"--tls-key: a private key needs its certificate; give tls.cert too", map[string]string{"tls.key": key}},
		{"--state: " + file + " is no directory", map[string]string{"state": file}},
		{"--state: stat ", map[string]string{"state": file + "/below"}},
		{"--admin-token-file: requests need no token; set auth to on", map[string]string{"admin-token-file": file}},
		{"--admin-token-file: " + file + ": want one line of 32 to 512 characters", map[string]string{"admin-token-file": file, "auth": authOn}},
		{"--admin-token-file: open nowhere", map[string]string{"admin-token-file": "nowhere", "auth": authOn}},
		{"--retry-initial: 2m is more than retry.max, which is 1m", map[string]string{"retry.initial": "120s"}},
		{"retry.initial: 100ms is more than retry.max, which is 1ms", map[string]string{"retry.max": "1ms"}},
		{"--limits-memory: 3GiB is more than workers.max-memory, which is 2GiB", map[string]string{"limits.memory": "3GiB"}},
	} {
		wrong := configured(t, test.flags).check()
		switch {
		case test.want == "" && len(wrong) > 0:
			t.Errorf("%v: %v", test.flags, wrong)
		case test.want != "" && (len(wrong) != 1 || !strings.HasPrefix(wrong[0].Error(), test.want)):
			t.Errorf("%v: got %v, want %s", test.flags, wrong, test.want)
		}
	}
}

func TestTheFirstTokensSecretHasALengthAndNoBlanks(t *testing.T) {
	for content, want := range map[string]bool{
		strings.Repeat("x", minSecret):                true,
		strings.Repeat("x", minSecret) + "\n":         true,
		strings.Repeat("x", minSecret) + "\r\n":       true,
		strings.Repeat("x", minSecret-1):              false,
		strings.Repeat("x", minSecret-1) + "\n":       false,
		strings.Repeat("x", maxSecret):                true,
		strings.Repeat("x", maxSecret) + "\r\n":       true,
		strings.Repeat("x", maxSecret+1):              false,
		strings.Repeat("x", 1<<20):                    false,
		strings.Repeat("x", minSecret) + " y":         false,
		strings.Repeat("x", minSecret) + "\ny":        false,
		strings.Repeat("ü", minSecret):                false,
		strings.Repeat("x", minSecret) + "\x7f":       false,
		" " + strings.Repeat("x", minSecret) + "\n\n": false,
		"": false,
	} {
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		secret, err := (&config{adminTokenFile: file}).adminSecret()
		if (err == nil) != want || want && secret != strings.TrimRight(content, "\r\n") {
			t.Errorf("%.40q of %d bytes: %q, %v; want it taken: %v", content, len(content), secret, err, want)
		}
	}
}
