package sockets

import (
	"context"
	"net/netip"
	"time"

	"github.com/seed51309289/quiver/internal/netwatch"
)

// moveLimit is how long connections may try to move to another address of the host. The next change waits for that.
const moveLimit = 10 * time.Second

// followNetwork moves connections when the host's addresses change. Where the host does not tell, those that send move by themselves.
func (s *supervisor) followNetwork() (stop func()) {
	w, err := netwatch.New(s.peers, s.move)
	if err != nil {
		s.log.Info("connections will not follow this host to other addresses unless they send", "error", err)
		return func() {}
	}
	s.network.Store(w)
	return w.Close
}

// peers returns whom we have connections to.
func (s *supervisor) peers() []netip.Addr {
	var list []netip.Addr
	for _, c := range s.dialer.Snapshot() {
		list = append(list, c.Peer.Addr())
	}
	return list
}

// notePeer remembers from where a peer is reached that is about to be dialed.
func (s *supervisor) notePeer(peer netip.Addr) {
	if w := s.network.Load(); w != nil {
		w.Note(peer)
	}
}

// move takes the connections to where this host is now.
func (s *supervisor) move(ctx context.Context, changes []netwatch.Change) {
	for _, c := range changes {
		s.log.Info("a peer is reached from another address", "peer", c.Peer, "old", c.Old, "new", c.New)
	}
	ctx, cancel := context.WithTimeout(ctx, moveLimit)
	defer cancel()
	if stayed, err := s.dialer.Moved(ctx); stayed > 0 {
		s.log.Info("connections did not move", "count", stayed, "error", err)
	}
}
