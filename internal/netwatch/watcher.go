package netwatch

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"
)

// A Watcher watches the network namespace in which it was made. Its methods are
// safe for concurrent use.
type Watcher struct {
	peers  func() []netip.Addr
	moved  func(context.Context, []Change)
	ask    func(peer netip.Addr) netip.Addr // sourceOf
	events events
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex // guards sources
	sources sources
}

// events are the kernel's. A read returns one or several; what they say is not
// looked at.
type events interface {
	Read(b []byte) (int, error)
	SetReadDeadline(time.Time) error
	Close() error
}

// New watches until Close. peers returns those to whom there are connections at
// the moment. moved is called when some of them, that were noted, are reached from
// another address: on a goroutine of the Watcher's, which waits for it, a tenth of
// a second after the last change and at most a second after the first one. Its
// context ends with Close. What changes meanwhile is told when it has returned.
//
// The error is errors.ErrUnsupported where the system does not tell, which is
// everywhere but on Linux.
func New(peers func() []netip.Addr, moved func(context.Context, []Change)) (*Watcher, error) {
	ev, err := subscribe()
	if err != nil {
		return nil, fmt.Errorf("watch addresses and routes: %w", err)
	}
	return start(ev, sourceOf, peers, moved), nil
}

func start(ev events, ask func(netip.Addr) netip.Addr, peers func() []netip.Addr, moved func(context.Context, []Change)) *Watcher {
	w := &Watcher{peers: peers, moved: moved, ask: ask, events: ev, ended: make(chan struct{}), sources: sources{}}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	go w.watch()
	return w
}

// Note remembers from where a peer is reached now: call it for each connection to
// a new peer. Others that peers names are noted with the next change, and so miss
// that one. It costs a look into memory, and two system calls for a new peer.
func (w *Watcher) Note(peer netip.Addr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sources.note(peer.Unmap(), w.ask)
}

// Close ends the Watcher. It waits for moved if that runs.
func (w *Watcher) Close() {
	w.cancel()
	w.events.Close()
	<-w.ended
}

func (w *Watcher) watch() {
	defer close(w.ended)
	buf := make([]byte, 64<<10)
	var c calm
	for w.ctx.Err() == nil {
		if err := w.events.SetReadDeadline(c.due()); err != nil {
			return // closed
		}
		_, err := w.events.Read(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			c = calm{}
			w.look()
		case err == nil, lost(err):
			c.event(time.Now())
		default:
			return
		}
	}
}

// look finds out what changed.
func (w *Watcher) look() {
	var peers []netip.Addr
	for _, p := range w.peers() {
		peers = append(peers, p.Unmap())
	}
	w.mu.Lock()
	next, changes := w.sources.compare(peers, w.ask)
	w.sources = next
	w.mu.Unlock()
	if len(changes) > 0 && w.ctx.Err() == nil {
		w.moved(w.ctx, changes)
	}
}
