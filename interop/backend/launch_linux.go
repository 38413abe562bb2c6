package backend

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const launchLimit = 10 * time.Second // for a launcher to prepare, on the most crowded of machines

// launcher is a process that becomes an endpoint.
type launcher struct {
	process  *process
	orders   *os.File
	ready    chan struct{} // closed when prepared, or failed
	executes chan struct{} // closed when it has become the program, or failed
	failure  string        // valid once executes is closed
}

func newLauncher(out *lineWriter) (*launcher, error) {
	theirOrders, orders, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirOrders.Close()
	status, theirStatus, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirStatus.Close()
	p, err := startProcess(again(launcherName, endpointNamespaces, theirOrders, theirStatus), out)
	if err != nil {
		return nil, err
	}
	l := &launcher{process: p, orders: orders, ready: make(chan struct{}), executes: make(chan struct{})}
	go l.watch(status)
	return l, nil
}

func launchOf(j *Job, role string) launch {
	l := launch{
		Role:    role,
		Program: j.Client,
		Root:    filepath.Join(j.Dir, "sim"), // an existing directory in which the endpoint has no business
		Certs:   j.Certs,
		Logs:    filepath.Join(j.Dir, role),
	}
	if role == Server {
		l.Program, l.WWW = j.Server, j.WWW
	} else {
		l.Downloads = j.Downloads
	}
	return l
}

// watch follows what the launcher reports.
func (l *launcher) watch(status *os.File) {
	defer status.Close()
	defer close(l.executes)
	r := bufio.NewReader(io.LimitReader(status, maxStatus))
	first, err := r.ReadString('\n')
	prepared := err == nil && first == statusPrepared
	if !prepared {
		rest, _ := io.ReadAll(r)
		l.failure = strings.TrimSpace(first + string(rest))
		if l.failure == "" {
			l.failure = "the launcher died"
		}
		close(l.ready)
		return
	}
	close(l.ready)
	rest, _ := io.ReadAll(r)
	l.failure = string(rest)
}

// prepared waits until the launcher could become its program at a word.
func (l *launcher) prepared() error {
	select {
	case <-l.ready:
	case <-time.After(launchLimit):
		return fmt.Errorf("not prepared after %v", launchLimit)
	}
	select {
	case <-l.executes: // before the word: it failed
		if l.failure == "" {
			return errors.New("the launcher died before it was told to start the program")
		}
		return errors.New(l.failure)
	default:
		return nil
	}
}

// release lets the launcher become its program and returns once it has.
func (l *launcher) release() (*process, error) {
	if err := l.prepared(); err != nil {
		return nil, err
	}
	l.orders.Write([]byte("!"))
	l.orders.Close()
	select {
	case <-l.executes:
	case <-time.After(launchLimit):
		return nil, fmt.Errorf("program did not start within %v", launchLimit)
	}
	if l.failure != "" {
		return nil, errors.New(l.failure)
	}
	return l.process, nil
}
