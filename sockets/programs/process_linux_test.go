package programs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A process is a program that runs, with its children in a process group of its own.
type process struct {
	name string
	cmd  *exec.Cmd
	out  *output       // of both kinds, where they are not told apart
	talk *output       // stderr, which is out too where they are not
	done chan struct{} // closed when it has ended and err is set
	err  error
}

// start starts argv as user uid in dir. Of a client what it says on stderr is kept apart.
func start(name string, argv []string, dir string, env []string, uid int) (*process, error) {
	p := &process{name: name, cmd: exec.Command(argv[0], argv[1:]...), out: newOutput(), done: make(chan struct{})}
	p.talk = p.out
	if name == "client" {
		p.talk = newOutput()
	}
	cmd := p.cmd
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, p.out, p.talk
	cmd.WaitDelay = time.Second // a daemon may hold our pipe
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if uid != os.Getuid() {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		if errors.Is(p.err, exec.ErrWaitDelay) {
			p.err = nil
		}
		p.out.end()
		close(p.done)
	}()
	return p, nil
}

// wait returns how the process ended.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.done:
		if p.err != nil {
			return fmt.Errorf("%s: %w", p.name, p.err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: did not end: %w", p.name, ctx.Err())
	}
}

// says waits until the process has written what pattern matches.
func (p *process) says(ctx context.Context, pattern string) error {
	re := regexp.MustCompile(pattern)
	for {
		text, ended, more := p.out.state()
		switch {
		case re.MatchString(text):
			return nil
		case ended:
			return fmt.Errorf("%s: ended before it said %q", p.name, pattern)
		}
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("%s: did not say %q: %w", p.name, pattern, ctx.Err())
		}
	}
}

// stop ends the process and its group: politely, then not.
func (p *process) stop() {
	group := -p.cmd.Process.Pid
	for _, polite := range []struct {
		signal  syscall.Signal
		patient time.Duration
	}{{syscall.SIGTERM, 5 * time.Second}, {syscall.SIGKILL, 5 * time.Second}} {
		syscall.Kill(group, polite.signal)
		ended := within(polite.patient, func() bool {
			select {
			case <-p.done:
				return !groupLives(-group)
			default:
				return false
			}
		})
		if ended {
			return
		}
	}
}

// groupLives reports whether a process of the group still runs; those that only wait to be reaped do not.
func groupLives(group int) bool {
	if syscall.Kill(-group, 0) != nil {
		return false
	}
	return slices.ContainsFunc(processes(), func(s stat) bool { return s.group == group && s.state != 'Z' })
}

// within asks done again and again for at most d.
func within(d time.Duration, done func() bool) bool {
	for end := time.Now().Add(d); ; time.Sleep(10 * time.Millisecond) {
		if done() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// stat is what /proc says of a process.
type stat struct {
	pid, parent, group int
	state              byte
	name               string
}

// processes lists what runs on this machine.
func processes() []stat {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	var list []stat
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		left, right := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
		rest := strings.Fields(string(text[right+1:]))
		s := stat{name: string(text[left+1 : right]), state: rest[0][0]}
		s.pid, _ = strconv.Atoi(strings.TrimSpace(string(text[:left])))
		s.parent, _ = strconv.Atoi(rest[1])
		s.group, _ = strconv.Atoi(rest[2])
		list = append(list, s)
	}
	return list
}

// adopt makes orphans of our processes our children, so that descendants finds them.
func adopt() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// descendants lists the living processes below pid.
func descendants(pid int) []stat {
	list := processes()
	below := map[int]bool{pid: true}
	for found := true; found; {
		found = false
		for _, s := range list {
			if below[s.parent] && !below[s.pid] {
				below[s.pid], found = true, true
			}
		}
	}
	return slices.DeleteFunc(list, func(s stat) bool { return !below[s.pid] || s.pid == pid || s.state == 'Z' })
}

// An output keeps what processes write and tells who waits for more. It is safe for concurrent use.
type output struct {
	mu    sync.Mutex // guards all below
	text  []byte
	ended bool
	more  chan struct{} // closed at the next change
}

func newOutput() *output { return &output{more: make(chan struct{})} }

func (o *output) Write(b []byte) (int, error) {
	o.change(func() { o.text = append(o.text, b...) })
	return len(b), nil
}

func (o *output) end() { o.change(func() { o.ended = true }) }

func (o *output) change(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
	close(o.more)
	o.more = make(chan struct{})
}

func (o *output) state() (text string, ended bool, more <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text), o.ended, o.more
}

func (o *output) String() string {
	text, _, _ := o.state()
	return text
}
