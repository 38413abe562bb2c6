package netwatch

import (
	"net"
	"net/netip"
)

// Change says that a peer is now reached from another address of this host.
type Change struct {
	Peer     netip.Addr
	Old, New netip.Addr
}

// maxPeers is how many peers are watched. limit: those that programs connect to.
const maxPeers = 16384

// source is what is known of the way to a peer.
type source struct {
	addr  netip.Addr // of this host
	fresh bool       // it was noted since the last look: there may be no connection yet
}

// sources are the addresses of this host from which it reaches its peers.
type sources map[netip.Addr]source // limit: maxPeers

// note remembers a peer's address unless it is known.
func (s sources) note(peer netip.Addr, ask func(netip.Addr) netip.Addr) {
	if _, known := s[peer]; known || len(s) >= maxPeers {
		return
	}
	if now := ask(peer); now.IsValid() {
		s[peer] = source{now, true}
	}
}

// compare asks for the addresses of all peers and returns those that changed, with
// what to remember from now on: nothing of peers that are not there any more. One
// that cannot be reached at the moment has the address that it had.
func (s sources) compare(peers []netip.Addr, ask func(netip.Addr) netip.Addr) (next sources, changes []Change) {
	for peer, known := range s {
		if known.fresh {
			peers = append(peers, peer)
		}
	}
	next = make(sources, len(peers))
	for _, peer := range peers {
		if _, twice := next[peer]; twice || len(next) >= maxPeers {
			continue
		}
		old, known := s[peer]
		now := ask(peer)
		switch {
		case !now.IsValid() && known:
			next[peer] = source{addr: old.addr}
		case now.IsValid():
			next[peer] = source{addr: now}
			if known && now != old.addr {
				changes = append(changes, Change{peer, old.addr, now})
			}
		}
	}
	return next, changes
}

// sourceOf asks the kernel; invalid = there is no way to the peer. Nothing is sent.
func sourceOf(peer netip.Addr) netip.Addr {
	const discard = 9 // a port, as any
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(peer, discard)))
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}
