package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/seed51309289/quiver/interop/certs"
	"golang.org/x/sys/unix"
)

const (
	sandboxEndLimit = 3 * time.Second  // for a sandbox to close its traces and report, once told to end
	sandboxSlack    = 45 * time.Second // beyond a job's deadline, before a sandbox counts as stuck
	maxReport       = 1 << 20          // bytes
	idleScenario    = "simple-p2p --delay=15ms --bandwidth=10Mbps --queue=25"
)

// namespaces is the backend that gives each job namespaces of its own.
type namespaces struct {
	users bool // with a user namespace
}

func (*namespaces) Name() string { return "netns" }

// Places implements Backend: they are the same in every namespace.
func (*namespaces) Places(j *Job, role string) (Places, error) {
	return Places{
		Listen:    ":443",
		Authority: func(host string) string { return host + ":443" },
		Certs:     "/certs",
		WWW:       "/www",
		Downloads: "/downloads",
		Logs:      "/logs",
		QLog:      "/logs/qlog/",
	}, nil
}

// Run implements Backend.
func (n *namespaces) Run(ctx context.Context, j *Job, log io.Writer) Outcome {
	made, err := prepare(j)
	if err != nil {
		return notRun(err)
	}
	timeout := made.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	limited, cancel := context.WithTimeout(ctx, timeout+sandboxSlack)
	defer cancel()
	return n.sandbox(limited, &orders{Job: *made}, log)
}

// Compliance implements Backend.
func (n *namespaces) Compliance(ctx context.Context, role string, p Program, log io.Writer) (Exit, error) {
	dir, err := os.MkdirTemp("", "quiver-compliance-")
	if err != nil {
		return exitOf(nil), err
	}
	defer os.RemoveAll(dir)
	j := &Job{Dir: dir, Scenario: idleScenario, Client: p, Server: p}
	for name, at := range map[string]*string{"www": &j.WWW, "downloads": &j.Downloads, "certs": &j.Certs} {
		*at = filepath.Join(dir, name)
		if err := os.Mkdir(*at, 0o755); err != nil {
			return exitOf(nil), err
		}
	}
	if err := certs.Generate(j.Certs, 1, time.Now(), nil); err != nil {
		return exitOf(nil), err
	}
	made, err := prepare(j)
	if err != nil {
		return exitOf(nil), err
	}
	out := n.sandbox(ctx, &orders{Job: *made, Alone: role}, log)
	if role == Client {
		return out.Client, out.Err
	}
	return out.Server, out.Err
}

// sandbox runs o in a sandbox until its end. When parent ends the sandbox is told to end, and killed if it does not.
func (n *namespaces) sandbox(parent context.Context, o *orders, log io.Writer) Outcome {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	theirOrders, orders, err := os.Pipe()
	if err != nil {
		return notRun(err)
	}
	defer orders.Close() // at the latest now, a sandbox that lives ends itself
	reports, theirReports, err := os.Pipe()
	if err != nil {
		theirOrders.Close()
		return notRun(err)
	}
	defer reports.Close()
	cmd := again(sandboxName, sandboxNamespaces, theirOrders, theirReports)
	cmd.SysProcAttr.Setsid = true // Ctrl-C on the terminal is for us alone
	if n.users {
		mapUsers(cmd.SysProcAttr)
	}
	p, err := startProcess(cmd, (&lineLog{w: log}).writer(""))
	theirOrders.Close()
	theirReports.Close()
	if err != nil {
		return notRun(fmt.Errorf("namespaces: %w", err))
	}
	received := make(chan Outcome, 1)
	go func() { received <- receive(reports, p) }()
	go func() {
		json.NewEncoder(orders).Encode(o)
		<-ctx.Done() // the caller's, or the end of this function
		orders.Write([]byte("!"))
	}()
	n.await(ctx, p)
	out := <-received
	if out.Err != nil && parent.Err() != nil {
		out.Err = parent.Err()
	}
	return out
}

// await returns when p has ended. When ctx ends, p is told so by others, and killed here if it does not obey.
func (n *namespaces) await(ctx context.Context, p *process) {
	select {
	case <-p.done:
		return
	case <-ctx.Done():
	}
	select {
	case <-p.done:
	case <-time.After(sandboxEndLimit):
		p.kill()
	}
}

// receive reads the report of sandbox p.
func receive(reports io.Reader, p *process) Outcome {
	var r report
	if err := json.NewDecoder(io.LimitReader(reports, maxReport)).Decode(&r); err != nil {
		<-p.done
		return notRun(fmt.Errorf("sandbox ended without a report: %v", p.exit))
	}
	switch {
	case r.NotReady:
		r.Outcome.Err = notReady(r.Err)
	case r.Err != "":
		r.Outcome.Err = errors.New(r.Err)
	}
	return r.Outcome
}

// notReady is an error with a text from a sandbox that is ErrNotReady.
type notReady string

func (e notReady) Error() string    { return string(e) }
func (e notReady) Is(to error) bool { return to == ErrNotReady }

// mapUsers adds a user namespace to attr in which the caller is root. A caller who is root keeps all other users too, so that files of
// theirs stay accessible.
func mapUsers(attr *syscall.SysProcAttr) {
	attr.Cloneflags |= unix.CLONE_NEWUSER
	size := 1
	if os.Geteuid() == 0 {
		size = allUsers()
	}
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: size}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: size}}
	if size > 1 {
		attr.GidMappings[0].HostID = 0
		attr.GidMappingsEnableSetgroups = true
	}
}

// allUsers returns how many users, from 0 on, this user namespace has in one piece.
func allUsers() int {
	data, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return 1
	}
	var inside, outside, size int
	if n, _ := fmt.Sscan(string(data), &inside, &outside, &size); n != 3 || inside != 0 {
		return 1
	}
	return size
}
