package cli

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRoutesAreServedAsConfigured(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	cert, key := writePair(t, dir, 1)
	own, err := loadKeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	otherCert, otherKey := writePair(t, other, 2)
	log := slog.New(slog.DiscardHandler)
	for _, c := range []struct {
		flags  map[string]string
		own    *keyPair
		scheme string
		serial int64
	}{
		{map[string]string{"routes.listen": "127.0.0.1:0"}, nil, "http", 0},
		{map[string]string{"routes.listen": "127.0.0.1:0"}, own, "https", 1},
		{map[string]string{"routes.listen": "127.0.0.1:0", "routes.tls-cert": otherCert, "routes.tls-key": otherKey}, own, "https", 2},
		{map[string]string{"routes.listen": "127.0.0.1:0", "routes.tls-cert": otherCert, "routes.tls-key": otherKey}, nil, "https", 2},
	} {
		p, err := configured(t, c.flags).openPublic(t.Context(), c.own, log)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(p.startLine(), " "+c.scheme+"://127.0.0.1:") {
			t.Errorf("%v: got %q", c.flags, p.startLine())
		}
		if (p.pair != nil) != (c.serial != 0) || p.pair != nil && p.pair.serial() != c.serial {
			t.Errorf("%v: another certificate is served", c.flags)
		}
		p.close()
	}
	if p, err := configured(t, nil).openPublic(t.Context(), own, log); p != nil || err != nil {
		t.Errorf("routes are served though nobody said where: %v", err)
	}
	taken, err := configured(t, map[string]string{"routes.listen": "127.0.0.1:0"}).openPublic(t.Context(), nil, log)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.close()
	_, err = configured(t, map[string]string{"routes.listen": taken.listener.Addr().String()}).openPublic(t.Context(), nil, log)
	if err == nil || !strings.Contains(err.Error(), "is in use") {
		t.Errorf("got %v", err)
	}
}

func TestHangupReloadsWhatRoutesAreServedWith(t *testing.T) {
	dir := t.TempDir()
	cert, key := writePair(t, dir, 1)
	access := filepath.Join(dir, "access.log")
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	p, err := configured(t, map[string]string{
		"routes.listen": "127.0.0.1:0", "routes.tls-cert": cert, "routes.tls-key": key, "routes.access-log": access,
	}).openPublic(t.Context(), nil, log)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	write := func(line string) {
		t.Helper()
		if _, err := p.waiting.Write([]byte(line)); err != nil {
			t.Error(err)
		}
	}
	write("one\n")
	p.waiting.flush()
	if err := os.Rename(access, access+".1"); err != nil {
		t.Fatal(err)
	}
	write("two\n")
	writePair(t, dir, 2)
	p.reload(nil, log)
	write("three\n")
	p.waiting.flush()
	for file, want := range map[string]string{access + ".1": "one\ntwo\n", access: "three\n"} {
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", file, got, err, want)
		}
	}
	if p.pair.serial() != 2 {
		t.Errorf("serial %d after", p.pair.serial())
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	p.reload(nil, log)
	write("still\n")
	if got := logged.String(); !strings.Contains(got, "the access log stays the file before") || !strings.Contains(got, "the certificate stays the one before") {
		t.Errorf("logged %s", got)
	}
	(*public)(nil).reload(nil, log)
	if _, err := configured(t, map[string]string{"routes.listen": "127.0.0.1:0", "routes.access-log": filepath.Join(dir, "no", "where")}).openPublic(t.Context(), nil, log); err == nil || !strings.Contains(err.Error(), "routes-access-log") {
		t.Errorf("got %v", err)
	}
}
