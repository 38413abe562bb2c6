package tunnel

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// ConnInfo is a QUIC connection and its streams, at one moment.
type ConnInfo struct {
	Peer   netip.AddrPort // where it was dialed, or is now
	Key    string         // Target.Key
	Dialed bool           // by us
	Since  time.Time
	State  quic.ConnectionState
	Stats  quic.ConnectionStats

	Streams        []StreamInfo // the oldest first; bounded by MaxStreams
	StreamsEver    uint64
	Sent, Received uint64 // bytes of TCP connections, also of those that are over
}

// StreamInfo is a TCP connection on a stream, at one moment.
type StreamInfo struct {
	ID             uint64 // of the QUIC stream
	Dest, Source   netip.AddrPort
	Name           string // host name, if the dialer knew it
	Since          time.Time
	Sent, Received uint64 // bytes
}

// Snapshot returns all connections, in the order in which they began. It costs a
// lock of each connection for a moment.
func (d *Dialer) Snapshot() []ConnInfo { return d.links.snapshot(true) }

// Snapshot is Dialer.Snapshot for a Server.
func (s *Server) Snapshot() []ConnInfo { return s.links.snapshot(false) }

// list returns all links.
func (set *links) list() []*link {
	set.mu.Lock()
	defer set.mu.Unlock()
	all := make([]*link, 0, len(set.all))
	for l := range set.all {
		all = append(all, l)
	}
	return all
}

func (set *links) snapshot(dialed bool) []ConnInfo {
	var out []ConnInfo
	for _, l := range set.list() {
		info := ConnInfo{Peer: l.peer, Key: l.key, Dialed: dialed, Since: l.since, State: l.conn.ConnectionState(), Stats: l.conn.ConnectionStats()}
		set.mu.Lock()
		info.StreamsEver, info.Sent, info.Received = l.opened, l.sent, l.received
		for s := l.streams; s != nil; s = s.older {
			si := StreamInfo{ID: s.qs.Load().StreamID(), Dest: s.open.Dest, Source: s.open.Source, Name: s.open.Name,
				Since: s.since, Sent: s.sent.Load(), Received: s.received.Load()}
			info.Streams = append(info.Streams, si)
			info.Sent += si.Sent
			info.Received += si.Received
		}
		set.mu.Unlock()
		slices.Reverse(info.Streams)
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b ConnInfo) int { return cmp.Or(a.Since.Compare(b.Since), a.Peer.Compare(b.Peer)) })
	return out
}
