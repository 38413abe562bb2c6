package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

const (
	maxReaders  = 16              // limit: snapshots that are made at once for readers; more are told to come again
	readerLimit = 5 * time.Second // for a reader to ask, and to take the answer
	maxSameName = 8               // sockets of one process number: of supervisors in several PID namespaces that share the directory
)

// A Publication is a supervisor's socket. All methods may be called at any time
// and from any goroutine.
type Publication struct {
	dir      *directory
	name     string
	network  string
	snapshot func() Program
	listens  func(tcp uint16) (udp uint16, ok bool)
	readers  chan struct{} // limit: maxReaders
	memory   memory

	server http.Server
	served chan struct{} // closed when server has ended
	end    func()        // stop, once; callers wait for it
	forget func() bool   // the context's part in it
}

var _ io.Closer = (*Publication)(nil)

// Publish makes the supervisor that calls it known, until ctx ends or Close is
// called, which removes the socket. snapshot is called whenever somebody asks,
// from several goroutines; Publish fills in Version, and PID, UID and Network
// where they are zero, and cuts what is longer than the Max constants.
//
// listens answers other supervisors of the same user and network namespace: at
// which UDP port this one takes connections for a TCP port of its program. It is
// asked often and must be fast. nil = it takes none.
//
// An error says, in one sentence for each directory, why there can be no socket.
// The supervisor does without: nobody will see it. On systems without UNIX
// permissions the error is errors.ErrUnsupported.
func Publish(ctx context.Context, snapshot func() Program, listens func(tcp uint16) (udp uint16, ok bool)) (*Publication, error) {
	if listens == nil {
		listens = func(uint16) (uint16, bool) { return 0, false }
	}
	env := thisEnvironment()
	var refused []error
	for _, path := range env.ours() {
		p := &Publication{snapshot: snapshot, listens: listens, network: networkName(), readers: make(chan struct{}, maxReaders), served: make(chan struct{})}
		p.end = sync.OnceFunc(p.stop)
		l, err := p.listen(ctx, path, env.uid)
		if err != nil {
			refused = append(refused, err)
			continue
		}
		p.serve(ctx, l)
		return p, nil
	}
	return nil, fmt.Errorf("control: no runtime directory: %w", errors.Join(refused...))
}

// listen makes the socket in one directory.
func (p *Publication) listen(ctx context.Context, path string, uid int) (net.Listener, error) {
	dir, err := makeDirectory(path, uid)
	if err != nil {
		return nil, err
	}
	l, err := p.listenIn(ctx, dir)
	if err != nil {
		dir.close()
		return nil, err
	}
	p.dir = dir
	return l, nil
}

// listenIn finds a name that nobody uses. The lock keeps readers from taking a
// socket for dead between bind and listen.
func (p *Publication) listenIn(ctx context.Context, dir *directory) (net.Listener, error) {
	if err := dir.lock(ctx); err != nil {
		return nil, err
	}
	defer dir.unlock()
	for i := range maxSameName {
		name := socketName(os.Getpid(), i)
		path, err := dir.address(name)
		if err != nil {
			return nil, err
		}
		if there(ctx, path) {
			continue
		}
		if err := dir.remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("remove %s/%s: %w", dir.path, name, err)
		}
		l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
		if err != nil {
			return nil, err
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false) // done by descriptor
		if err := dir.private(name); err != nil {
			l.Close()
			dir.remove(name)
			return nil, err
		}
		p.name = name
		return l, nil
	}
	return nil, fmt.Errorf("%s: %d sockets of process number %d are in use", dir.path, maxSameName, os.Getpid())
}

// socketName is that of the i-th supervisor with the process number pid.
func socketName(pid, i int) string {
	if i == 0 {
		return strconv.Itoa(pid) + ".sock"
	}
	return fmt.Sprintf("%d-%d.sock", pid, i+1)
}

// serve answers until ctx ends or Close is called.
func (p *Publication) serve(ctx context.Context, l net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/program", p.answerProgram)
	mux.HandleFunc("GET /v1/port", p.answerPort)
	p.server.Handler = mux
	p.server.ReadTimeout, p.server.WriteTimeout, p.server.IdleTimeout = readerLimit, readerLimit, readerLimit
	p.server.ErrorLog = log.New(io.Discard, "", 0) // readers that go away are no news
	go func() {
		p.server.Serve(l) // until it is closed, or broken: then nobody sees us, and no more
		close(p.served)
	}()
	p.forget = context.AfterFunc(ctx, p.end)
}

// Path returns where the socket is. One that is too long for a socket address is
// reached by way of an open directory.
func (p *Publication) Path() string { return p.dir.path + "/" + p.name }

// Close removes the socket. A call of snapshot may still be running when it
// returns. It returns nil, however often it is called, and does nothing for a
// nil Publication.
func (p *Publication) Close() error {
	if p == nil {
		return nil
	}
	p.forget()
	p.end()
	return nil
}

func (p *Publication) stop() {
	p.server.Close()
	<-p.served
	p.dir.remove(p.name)
	p.dir.close()
}

func (p *Publication) answerProgram(w http.ResponseWriter, _ *http.Request) {
	select {
	case p.readers <- struct{}{}:
		defer func() { <-p.readers }()
	default:
		http.Error(w, fmt.Sprintf("%d readers are being answered", maxReaders), http.StatusServiceUnavailable)
		return
	}
	now := p.snapshot()
	now.Version = Version
	if now.PID == 0 {
		now.PID = os.Getpid()
	}
	if now.UID == 0 {
		now.UID = os.Geteuid()
	}
	if now.Network == "" {
		now.Network = p.network
	}
	now.trim()
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(now) // a reader that goes away misses nothing
}

// A portAnswer is where a TCP port is to be found.
type portAnswer struct {
	PID int    `json:"pid"`
	UDP uint16 `json:"udp"`
}

func (p *Publication) answerPort(w http.ResponseWriter, r *http.Request) {
	port, err := strconv.ParseUint(r.FormValue("tcp"), 10, 16)
	if err != nil || port == 0 {
		http.Error(w, fmt.Sprintf("tcp=%q, want a port", r.FormValue("tcp")), http.StatusBadRequest)
		return
	}
	if r.FormValue("network") != p.network {
		http.NotFound(w, r) // our ports are not those of the other's addresses
		return
	}
	udp, ok := p.listens(uint16(port))
	if !ok || udp == 0 {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(portAnswer{PID: os.Getpid(), UDP: udp})
}
