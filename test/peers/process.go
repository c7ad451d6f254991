//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The roles of processes: what a user installs, and what a user writes.
const (
	roleServer  = "server"
	roleService = "service"
)

// process is one process of a column.
type process struct {
	role  string
	name  string
	args  []string
	env   []string
	user  string // whom it runs as if the driver is root; "" like the driver
	ready string // tcp:ADDRESS, an http URL, or sh:COMMAND that succeeds when it is
}

// running is a process that was started.
type running struct {
	*process
	cmd  *exec.Cmd
	done chan struct{}
}

func (p *process) start(logs string) (*running, error) {
	log, err := os.OpenFile(filepath.Join(logs, p.name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(p.args[0], p.args[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Env = log, log, append(os.Environ(), p.env...)
	// Nothing outlives the driver, whatever ends it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if p.user != "" && os.Geteuid() == 0 {
		if cmd.SysProcAttr.Credential, err = credential(p.user); err != nil {
			return nil, err
		}
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	r := &running{process: p, cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // it is killed in the end
		close(r.done)
	}()
	return r, nil
}

func credential(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func (r *running) pid() int { return r.cmd.Process.Pid }

// awaitReady waits until the process says that it is ready.
func (r *running) awaitReady(ctx context.Context, within time.Duration) error {
	_, err := eventually(ctx, within, func(ctx context.Context) error {
		select {
		case <-r.done:
			return errors.New("it has ended")
		default:
			return r.probe(ctx)
		}
	})
	if err != nil {
		return fmt.Errorf("%s is not ready: %w; see its log", r.name, err)
	}
	return nil
}

func (r *running) probe(ctx context.Context) error {
	if address, ok := strings.CutPrefix(r.ready, "tcp:"); ok {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return c.Close()
	}
	if command, ok := strings.CutPrefix(r.ready, "sh:"); ok {
		return shell(ctx, []string{command})
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.ready, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return errors.New(resp.Status)
	}
	return nil
}

// kill ends the process and all below it, and returns when they are gone.
func (r *running) kill() {
	family := familyOf(r.pid())
	for _, pid := range family {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-r.done
	for _, pid := range family {
		for alive(pid) {
			time.Sleep(time.Millisecond)
		}
	}
}

// alive tells whether a process is there that has not ended.
func alive(pid int) bool {
	f, err := statOf(pid)
	return err == nil && f[0] != "Z" && f[0] != "X"
}

// statOf gives the fields of /proc/pid/stat behind the name: the state is the first.
func statOf(pid int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	_, rest, ok := strings.Cut(string(b[strings.LastIndexByte(string(b), ')'):]), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 15 {
		return nil, errors.New("it says nothing")
	}
	return fields, nil
}

// familyOf gives a process and all that descend from it.
func familyOf(root int) []int {
	children := map[int][]int{}
	entries, _ := os.ReadDir("/proc") // without it, root alone
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if f, err := statOf(pid); err == nil {
			parent, _ := strconv.Atoi(f[1])
			children[parent] = append(children[parent], pid)
		}
	}
	family := []int{root}
	for i := 0; i < len(family); i++ {
		family = append(family, children[family[i]]...)
	}
	return family
}
