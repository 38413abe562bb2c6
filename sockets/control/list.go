package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	askLimit   = time.Second // for one socket to answer
	maxAsked   = 32          // sockets asked at once
	maxSockets = 4096        // limit: sockets of one directory that are read; others are not seen
)

// A SilentError says that a supervisor is there and gave no answer that can be
// read: it is stopped, very busy, or of another release.
type SilentError struct {
	Path string // of its socket
	Err  error
}

func (e *SilentError) Error() string {
	if errors.Is(e.Err, context.DeadlineExceeded) {
		return fmt.Sprintf("%s: no answer within %v", e.Path, askLimit)
	}
	return fmt.Sprintf("%s: %v", e.Path, e.Err)
}

func (e *SilentError) Unwrap() error { return e.Err }

// An UnknownError says that no supervisor has the process number that was asked for.
type UnknownError struct {
	PID   int
	There []Program // all that there are, by PID
}

func (e *UnknownError) Error() string {
	if len(e.There) == 0 {
		return fmt.Sprintf("no program %d: none runs under quiver", e.PID)
	}
	var pids []string
	for _, p := range e.There {
		pids = append(pids, fmt.Sprint(p.PID))
	}
	return fmt.Sprintf("no program %d runs under quiver; there are: %s", e.PID, strings.Join(pids, ", "))
}

// List returns all programs that run under a supervisor of this user, for root
// of all users, sorted by PID. It takes no longer than a supervisor may think,
// askLimit, however many there are that do not answer, and ends with ctx.
//
// The programs are good also when there is an error: that tells, joined, of a
// *SilentError for each supervisor that is missing.
func List(ctx context.Context) ([]Program, error) {
	var (
		mu       sync.Mutex
		programs = []Program{}
		silent   []error
	)
	askAll(ctx, "", func(ctx context.Context, s *socket) {
		p, err := s.program(ctx)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			programs = append(programs, p)
		case !errors.Is(err, errGone):
			silent = append(silent, &SilentError{s.path(), err})
		}
	})
	byPID(programs)
	slices.SortFunc(silent, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return programs, errors.Join(silent...)
}

// Get returns the program whose supervisor, or whose first process, has the
// number pid. If there is none it returns an *UnknownError, joined with those of
// List.
func Get(ctx context.Context, pid int) (Program, error) {
	programs, err := List(ctx)
	for _, is := range []func(*Program) bool{
		func(p *Program) bool { return p.PID == pid },
		func(p *Program) bool { return p.Child == pid },
	} {
		for i := range programs {
			if is(&programs[i]) {
				return programs[i], nil
			}
		}
	}
	return Program{}, errors.Join(&UnknownError{pid, programs}, err)
}

// errGone is that of a socket behind which nobody is any more.
var errGone = errors.New("nobody is there")

// A socket is one that a supervisor made.
type socket struct {
	dir  *directory
	name string
}

func (s *socket) path() string { return s.dir.path + "/" + s.name }

// askAll calls ask for every socket but that with the path except, several at a
// time, and returns when all calls have. The contexts that they get have a time limit.
func askAll(ctx context.Context, except string, ask func(context.Context, *socket)) {
	env := thisEnvironment()
	limited, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	var wg sync.WaitGroup
	room := make(chan struct{}, maxAsked)
	for _, path := range env.readable() {
		dir, err := openDirectory(path, env.uid)
		if err != nil {
			continue // most are not there, and what is not ours is no answer
		}
		defer dir.close()
		names, _ := dir.names(maxSockets)
		for _, name := range names {
			s := &socket{dir, name}
			if s.path() == except {
				continue
			}
			wg.Go(func() {
				room <- struct{}{}
				defer func() { <-room }()
				ask(limited, s)
			})
		}
	}
	wg.Wait()
}

// program asks for all.
func (s *socket) program(ctx context.Context) (Program, error) {
	body, err := s.get(ctx, "/v1/program")
	if err != nil {
		return Program{}, err
	}
	defer body.Close()
	p, err := readProgram(body)
	p.UID = s.dir.uid
	return p, err
}

// get asks one question. The body is to be closed.
func (s *socket) get(ctx context.Context, question string) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://quiver"+question, nil)
	if err != nil {
		return nil, err
	}
	c, err := s.dial(ctx) // here: the transport would not wait for it when ctx ends
	if err != nil {
		return nil, err
	}
	t := &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return c, nil },
		DisableKeepAlives: true,
	}
	resp, err := t.RoundTrip(r)
	if err != nil {
		c.Close()
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, &statusError{resp.StatusCode}
	}
	return resp.Body, nil
}

// A statusError is an answer that is none.
type statusError struct{ code int }

func (e *statusError) Error() string {
	switch e.code {
	case http.StatusNotFound:
		return "it does not know the question: it comes from another release of quiver"
	case http.StatusServiceUnavailable:
		return "it is answering too many others"
	}
	return "it answered " + strings.ToLower(http.StatusText(e.code))
}

// dial connects to the socket and makes sure that its owner's process is at the
// other end: a reader who is root is in directories of strangers.
func (s *socket) dial(ctx context.Context) (net.Conn, error) {
	path, err := s.dir.address(s.name)
	if err != nil {
		return nil, err
	}
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errGone
	case err != nil && nobodyThere(err):
		s.bury(ctx)
		return nil, errGone
	case err != nil:
		return nil, err
	}
	if uid, ok := peerUser(c.(*net.UnixConn)); ok && uid != s.dir.uid {
		c.Close()
		return nil, fmt.Errorf("a process of user %d listens in a directory of user %d", uid, s.dir.uid)
	}
	return c, nil
}

// bury removes a socket that nobody listens on. Under the lock it is looked at
// once more: meanwhile a process with the same number may have taken the name.
func (s *socket) bury(ctx context.Context) {
	if locked, _ := s.dir.tryLock(); !locked {
		return // the next reader will
	}
	defer s.dir.unlock()
	if path, err := s.dir.address(s.name); err == nil && !there(ctx, path) {
		s.dir.remove(s.name)
	}
}

// there reports whether somebody listens on the socket path, or may.
func there(ctx context.Context, path string) bool {
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		c.Close()
		return true
	}
	return !nobodyThere(err) && !errors.Is(err, fs.ErrNotExist)
}
