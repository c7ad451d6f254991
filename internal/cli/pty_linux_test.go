package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal gives both ends of a pseudo-terminal.
func openTerminal(t *testing.T) (keyboardAndScreen, program *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	fd := int(ours.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

// onTerminal runs a command with a terminal for all three streams and gives
// what the screen was sent.
func onTerminal(t *testing.T, env []string, argv ...string) string {
	t.Helper()
	ours, theirs := openTerminal(t)
	var screen bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = screen.ReadFrom(ours) // until the other end is closed: EIO
	}()
	code := Main(argv, theirs, theirs, theirs, env)
	if err := theirs.Close(); err != nil {
		t.Error(err)
	}
	<-read
	_ = ours.Close()
	if code != 0 {
		t.Errorf("%s: exit code %d, %s", argv, code, &screen)
	}
	return screen.String()
}

func TestColoursAreForTerminals(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	program := filepath.Join(t.TempDir(), "trap.wasm")
	if err := os.WriteFile(program, []byte(binaries["trap.wasm"]), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := Main([]string{"waterbear", "run", "--state", state, program}, nil, &out, &errs, nil); code != 134 {
		t.Fatalf("exit code %d, %s", code, &errs)
	}
	ps := []string{"waterbear", "ps", "--state", state}
	if screen := onTerminal(t, nil, ps...); !strings.Contains(screen, "\x1b[31mFailed") {
		t.Errorf("no colours on a terminal: %q", screen)
	}
	for _, env := range []string{"NO_COLOR=1", "TERM=dumb"} {
		if screen := onTerminal(t, []string{env}, ps...); strings.Contains(screen, "\x1b") {
			t.Errorf("colours with %s: %q", env, screen)
		}
	}
	out.Reset()
	if code := Main(ps, nil, &out, &errs, nil); code != 0 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("colours without a terminal: %d, %q, %q", code, &out, &errs)
	}
}
