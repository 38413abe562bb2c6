package check

import (
	"bytes"
	"net/netip"

	"github.com/seed51309289/quiver/internal/dissect"
	"github.com/seed51309289/quiver/internal/wire"
)

// path is where a datagram goes: both of its addresses.
type path struct{ src, dst netip.AddrPort }

func (p path) String() string { return p.src.String() + " to " + p.dst.String() }

var severalPaths = criterion{
	name: "change of path",
	want: "datagrams of the server on at least two paths (test broken?)",
	check: func(r *run) finding {
		return r.right.with(func() finding {
			seen := map[path]bool{}
			var newest *dissect.Datagram
			for d := range r.right.datagrams(serverAddrs) {
				if p := (path{d.Src, d.Dst}); !seen[p] {
					seen[p], newest = true, d
				}
			}
			return r.right.at(newest, len(seen) >= 2, "%d", len(seen))
		})
	},
}

var severalAddresses = criterion{
	name: "change of address",
	want: "datagrams of the server to at least two IP addresses",
	check: func(r *run) finding {
		return r.right.with(func() finding {
			seen := map[netip.Addr]bool{}
			var newest *dissect.Datagram
			for d := range r.right.datagrams(serverAddrs) {
				if a := d.Dst.Addr(); !seen[a] {
					seen[a], newest = true, d
				}
			}
			return r.right.at(newest, len(seen) >= 2, "%d", len(seen))
		})
	},
}

// challengedAtOnce is stricter than RFC 9000 §9.3, as the public matrix is: the
// very first datagram on a new path has the challenge.
var challengedAtOnce = criterion{
	name: "path validation",
	want: "a PATH_CHALLENGE in the server's first datagram on each new path",
	check: func(r *run) finding {
		return r.right.with(func() finding {
			_, bad, last := challenges(r.right)
			if bad != nil {
				return r.right.at(bad, false, "none in the first datagram on the path %v", path{bad.Src, bad.Dst})
			}
			return r.right.at(last, true, "on each new path")
		})
	},
}

var challengesAnswered = criterion{
	name: "answer to path validation",
	want: "a PATH_RESPONSE of the client to the challenge of each new path",
	check: func(r *run) finding {
		if r.right.err != nil {
			return r.right.with(nil)
		}
		return r.left.with(func() finding {
			sent, _, _ := challenges(r.right)
			answered := map[string]bool{}
			for _, p := range r.left.packets(clientAddrs) {
				for i := range p.Frames {
					if p.Frames[i].Type == wire.FramePathResponse {
						answered[string(p.Frames[i].Data)] = true
					}
				}
			}
			for _, c := range sent {
				if !answered[string(c.data)] {
					return r.left.finding(false, "no answer to %x, the challenge of frame %d in %s", c.data, c.in.Frame, rightTrace)
				}
			}
			return r.left.finding(true, "%d of %d challenges answered", len(sent), len(sent))
		})
	},
}

type challenge struct {
	data []byte
	in   *dissect.Datagram
}

// challenges returns those that begin each of the server's new paths, or the
// datagram that begins one without, or else the last that begins one.
func challenges(t *trace) (list []challenge, bad, last *dissect.Datagram) {
	seen := map[path]bool{}
	for d := range t.datagrams(serverAddrs) {
		p := path{d.Src, d.Dst}
		if seen[p] {
			continue
		}
		seen[p] = true
		if len(seen) == 1 {
			continue
		}
		last = d
		data := challengeIn(d)
		if data == nil {
			if bad == nil {
				bad = d
			}
			continue
		}
		list = append(list, challenge{data, d})
	}
	return list, bad, last
}

func challengeIn(d *dissect.Datagram) []byte {
	for i := range d.Packets {
		for _, f := range d.Packets[i].Frames {
			if f.Type == wire.FramePathChallenge {
				return f.Data
			}
		}
	}
	return nil
}

// freshIDs wants that nobody can link a client's paths (RFC 9000 §9.5).
var freshIDs = criterion{
	name: "connection IDs of the client's paths",
	want: "another destination connection ID in the first datagram of each new path than in the first of the path before",
	check: func(r *run) finding {
		return r.left.with(func() finding {
			seen := map[path]bool{}
			var before []byte
			var last *dissect.Datagram
			for d := range r.left.datagrams(clientAddrs) {
				p := path{d.Src, d.Dst}
				if seen[p] || len(d.Packets) == 0 {
					continue
				}
				seen[p] = true
				id := d.Packets[0].DCID
				if len(seen) > 1 && bytes.Equal(id, before) {
					return r.left.at(d, false, "%x again on the path %v", id, p)
				}
				before, last = id, d
			}
			return r.left.at(last, true, "%d paths, each begins with another", len(seen))
		})
	},
}
