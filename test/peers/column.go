//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// column is one system that is measured.
type column struct {
	name       string
	versions   string
	durability string
	needs      []string // files that must be there
	data       []string // directories below dir/data that are emptied for a fresh start
	prepare    []string // shell commands before the first start
	register   []string // and behind it
	processes  []process
	verbs      map[string]verb
}

// verb is how one thing is asked for, with {key}, {id} and {n} in it.
type verb struct {
	method string // POST without one
	url    string
	body   string
	header map[string]string
	// then, if set, is said next, with what found finds in the answer as {found}.
	found *regexp.Regexp
	then  *verb
}

// The verbs.
const (
	verbAdd   = "add"   // add 1 to the counter {key}, and answer with its value
	verbFlow  = "flow"  // run the workflow {id} of {n} steps to its end
	verbSleep = "sleep" // start the sleeper {id}, and answer when that is durable
	verbWake  = "wake"  // wake sleeper or crasher {id}
	verbWoken = "woken" // answer when the sleeper {id} has ended
	verbCrash = "crash" // start {id}: {n} steps, mark, wait for wake, one step that marks
	verbEcho  = "echo"  // answer, and keep nothing; {n} is the client, from 0
)

// missing names a file that is not there, or gives "".
func (c *column) missing() string {
	for _, f := range c.needs {
		if _, err := os.Stat(f); err != nil {
			return f
		}
	}
	return ""
}

// system is a column that runs.
type system struct {
	column  *column
	logs    string
	running []*running
}

// fresh starts a column without data.
func (c *column) fresh(ctx context.Context, dir string) (*system, error) {
	s := &system{column: c, logs: filepath.Join(dir, "logs", c.name)}
	for _, d := range append(c.data, s.logs) {
		if err := errors.Join(os.RemoveAll(d), os.MkdirAll(d, 0o755)); err != nil {
			return s, err
		}
	}
	if err := shell(ctx, c.prepare); err != nil {
		return s, err
	}
	if err := s.start(ctx, "", true); err != nil {
		return s, err
	}
	return s, shell(ctx, c.register)
}

func shell(ctx context.Context, commands []string) error {
	for _, c := range commands {
		if out, err := exec.CommandContext(ctx, "bash", "-c", c).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", c, err, out)
		}
	}
	return nil
}

// start starts the processes with a role, or all. With wait, each is ready before
// the next one is started.
func (s *system) start(ctx context.Context, role string, wait bool) error {
	for i := range s.column.processes {
		p := &s.column.processes[i]
		if role != "" && p.role != role {
			continue
		}
		r, err := p.start(s.logs)
		if err != nil {
			return err
		}
		s.running = append(s.running, r)
		if !wait {
			continue
		}
		if err := r.awaitReady(ctx, time.Minute); err != nil {
			return err
		}
	}
	return nil
}

// kill ends the processes with a role, or all, by SIGKILL.
func (s *system) kill(role string) {
	var left []*running
	for _, r := range s.running {
		if role == "" || r.role == role {
			r.kill()
		} else {
			left = append(left, r)
		}
	}
	s.running = left
}

// sum adds up a figure of the processes with a role, or of all.
func (s *system) sum(role string, figure func(pid int) float64) (total float64) {
	for _, r := range s.running {
		if role == "" || r.role == role {
			total += figure(r.pid())
		}
	}
	return total
}

// disk is what the data takes, in bytes.
func (s *system) disk() (total float64) {
	for _, d := range s.column.data {
		total += diskOf(d)
	}
	return total
}

// client is for all columns: connections are kept.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}

// maxAnswer bounds what is read of one.
const maxAnswer = 1 << 20

// say says a verb and gives the answer's body.
func (s *system) say(ctx context.Context, name string, values ...string) (string, error) {
	v, ok := s.column.verbs[name]
	if !ok {
		return "", fmt.Errorf("%s cannot %s", s.column.name, name)
	}
	answer, err := v.say(ctx, values)
	if err != nil || v.then == nil {
		return answer, err
	}
	found := v.found.FindStringSubmatch(answer)
	if found == nil {
		return "", fmt.Errorf("%s: nothing of the kind is in %s", name, answer)
	}
	return v.then.say(ctx, append(values, "{found}", found[1]))
}

func (v *verb) say(ctx context.Context, values []string) (string, error) {
	fill := strings.NewReplacer(values...)
	method, body := v.method, io.Reader(http.NoBody)
	if method == "" {
		method = http.MethodPost
	}
	if v.body != "" {
		body = strings.NewReader(fill.Replace(v.body))
	}
	req, err := http.NewRequestWithContext(ctx, method, fill.Replace(v.url), body)
	if err != nil {
		return "", err
	}
	if v.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, h := range v.header {
		req.Header.Set(k, fill.Replace(h))
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, req.URL, resp.Status, b)
	}
	return string(b), err
}
