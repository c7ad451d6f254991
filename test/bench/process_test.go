package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// process is a server in a process of its own: ours, or the bare one.
type process struct {
	cmd     *exec.Cmd
	url     string
	errs    *bytes.Buffer
	started time.Time // before the process was
}

// built says that binary has been asked for, so that TestMain removes it.
var built bool

// binary builds waterbear once.
var binary = sync.OnceValues(func() (string, error) {
	built = true
	// It outlives the benchmarks, whose directories go with them.
	dir, err := os.MkdirTemp("", "waterbear-bench-")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "waterbear")
	if out, err := exec.Command("go", "build", "-o", file, "../../cmd/waterbear").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build waterbear: %w\n%s", err, out)
	}
	return file, nil
})

// startServer starts `waterbear server` over a state directory.
func startServer(b *testing.B, state string, flags ...string) *process {
	b.Helper()
	file, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	return start(b, exec.Command(file, append([]string{
		"server", "--listen", "127.0.0.1:0", "--state", state, "--log-level", "warn",
	}, flags...)...))
}

// startRaw starts the bare server.
func startRaw(b *testing.B) *process {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), rawVariable+"="+b.TempDir())
	return start(b, cmd)
}

var startLine = regexp.MustCompile(`listening on (http://[^ ,]+),`)

func start(b *testing.B, cmd *exec.Cmd) *process {
	b.Helper()
	p := &process{cmd: cmd, errs: &bytes.Buffer{}, started: time.Now()}
	cmd.Stderr = p.errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	m := startLine.FindStringSubmatch(line)
	if m == nil {
		p.kill()
		b.Fatalf("the start line is %q, %v; it says %s", line, err, p.errs)
	}
	p.url = m[1]
	return p
}

// kill ends the process, once.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Signal(syscall.SIGKILL)
		_ = p.cmd.Wait()
	}
}

// client speaks to a server of ours.
func (p *process) client(b *testing.B) *client.Client {
	b.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, maxClients
	c, err := client.New(client.Config{URL: p.url, HTTP: &http.Client{Transport: transport}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	return c
}

// maxClients is how many clients there are at most.
const maxClients = 100

// deploy deploys a guest under its own name.
func deploy(b *testing.B, c *client.Client, name string) {
	b.Helper()
	if _, err := c.Deploy(context.Background(), name, guests.Wasm(b, name), nil); err != nil {
		b.Fatal(err)
	}
}

// call makes an invocation without anything of our client around it, the same
// for both servers.
func call(h *http.Client, url, body string) error {
	answer, err := h.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, content)
	}
	return err
}

// sample is what was measured of many calls.
type sample struct {
	took  []time.Duration // each call
	total time.Duration   // all together, by the clock
}

func (s *sample) add(other sample) {
	s.took, s.total = append(s.took, other.took...), s.total+other.total
}

func (s *sample) rate() float64 { return float64(len(s.took)) / s.total.Seconds() }

// report adds the metrics of the sample, their names after a prefix.
func (s *sample) report(b *testing.B, prefix string) {
	b.Helper()
	b.ReportMetric(s.rate(), prefix+"calls/s")
	s.quantiles(b, prefix)
}

func (s *sample) quantiles(b *testing.B, prefix string) {
	b.Helper()
	slices.Sort(s.took)
	at := func(part float64) float64 {
		return float64(s.took[int(part*float64(len(s.took)-1))].Nanoseconds()) / 1e3
	}
	b.ReportMetric(at(0.50), prefix+"p50-µs")
	b.ReportMetric(at(0.99), prefix+"p99-µs")
}

// drive lets so many clients call for so long, one call after the other.
func drive(b *testing.B, clients int, long time.Duration, call func(client int) error) sample {
	b.Helper()
	var mu sync.Mutex
	var all sample
	var group sync.WaitGroup
	began := time.Now()
	for i := range clients {
		group.Go(func() {
			var took []time.Duration
			for time.Since(began) < long {
				before := time.Now()
				if err := call(i); err != nil {
					b.Error(err)
					return
				}
				took = append(took, time.Since(before))
			}
			mu.Lock()
			defer mu.Unlock()
			all.took = append(all.took, took...)
		})
	}
	group.Wait()
	all.total = time.Since(began)
	return all
}

// resident is the memory of the process, in bytes.
func (p *process) resident(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		b.Skipf("the memory of a process is measured on Linux only: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		var kilobytes float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kilobytes); n == 1 {
			return kilobytes * 1024
		}
	}
	b.Fatal("the status of the process has no VmRSS")
	return 0
}

// metric reads one of the server's metrics.
func (p *process) metric(b *testing.B, name string) float64 {
	b.Helper()
	answer, err := http.Get(p.url + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				b.Fatal(err)
			}
			return v
		}
	}
	b.Fatalf("there is no metric %s", name)
	return 0
}

// await polls a condition that has to come true.
func await(b *testing.B, what string, long time.Duration, come func() bool) {
	b.Helper()
	for began := time.Now(); !come(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > long {
			b.Fatalf("%s: not within %v", what, long)
		}
	}
}

// diskUse is the space that the files below dir take.
func diskUse(b *testing.B, dir string) float64 {
	b.Helper()
	var blocks int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			blocks += s.Blocks
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return float64(blocks) * 512
}

// finished demands that an invocation has a result.
func finished(b *testing.B, inv api.Invocation, err error) {
	b.Helper()
	if err != nil || inv.State != api.StateFinished {
		b.Fatalf("%+v, %v", inv, err)
	}
}
