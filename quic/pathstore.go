package quic

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// PathStore remembers how much the paths to peers carried, for connections that
// resume carefully (RFC 9959). It must be safe for concurrent use. Its keys are
// the peers' IP addresses: a program with several ways out of the host needs one
// store for each.
type PathStore interface {
	// Take returns what was saved for a peer and forgets it: one connection may
	// resume from it, and saves again what it found. A Transport calls it under
	// its lock: it must not block.
	Take(remote netip.Addr) (saved hook.SavedPath, ok bool)
	// Save is called on a goroutine of its own when a connection ends that knows
	// something worth resuming from.
	Save(remote netip.Addr, saved hook.SavedPath)
}

// NewPathStore returns a store in memory of at most that many peers, the newest,
// and for no longer than lifetime after what it holds was measured: networks
// change, and a few hours are much. Both must be greater than 0.
func NewPathStore(peers int, lifetime time.Duration) PathStore {
	return &pathStore{peers: max(peers, 1), lifetime: lifetime, byAddr: make(map[netip.Addr]*list.Element)}
}

type pathStore struct {
	peers    int
	lifetime time.Duration

	mu     sync.Mutex                   // guards all below
	byAddr map[netip.Addr]*list.Element // bounded by peers
	order  list.List                    // of pathEntry, oldest first
}

type pathEntry struct {
	remote netip.Addr
	saved  hook.SavedPath
}

func (s *pathStore) Take(remote netip.Addr) (hook.SavedPath, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	saved := s.remove(remote.Unmap())
	if saved.Window == 0 || time.Since(saved.When) > s.lifetime {
		return hook.SavedPath{}, false
	}
	return saved, true
}

func (s *pathStore) Save(remote netip.Addr, saved hook.SavedPath) {
	s.mu.Lock()
	defer s.mu.Unlock()
	remote = remote.Unmap()
	s.remove(remote)
	s.byAddr[remote] = s.order.PushBack(pathEntry{remote, saved})
	if s.order.Len() > s.peers {
		s.remove(s.order.Front().Value.(pathEntry).remote)
	}
}

// remove forgets an entry and returns what it held.
func (s *pathStore) remove(remote netip.Addr) hook.SavedPath {
	e := s.byAddr[remote]
	if e == nil {
		return hook.SavedPath{}
	}
	delete(s.byAddr, remote)
	return s.order.Remove(e).(pathEntry).saved
}

// savePath keeps what the path carried for the next connection to the peer. The
// caller holds c.mu, under which nothing of the program's is called.
func (c *Conn) savePath() {
	if c.paths == nil {
		return
	}
	remote, saved, ok := c.core.SavedPath()
	if !ok {
		return
	}
	if saved.When.IsZero() {
		saved.When = time.Now()
	}
	go c.paths.Save(remote, saved)
}
