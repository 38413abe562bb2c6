package check

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/seed51309289/quiver/internal/dissect"
	"github.com/seed51309289/quiver/internal/wire"
)

// facts are what people like to know of a run that succeeded.
func (r *run) facts() []Evidence {
	if r.left.err != nil || r.right.err != nil {
		return nil
	}
	var facts []Evidence
	add := func(name string, t *trace, d *dissect.Datagram, format string, args ...any) {
		e := Evidence{Criterion: FactPrefix + name, Trace: t.name, Observed: fmt.Sprintf(format, args...)}
		if d != nil {
			e.Packet, e.Time = d.Frame, d.Time
		}
		facts = append(facts, e)
	}
	ids, last := serverIDs(r.right)
	add("handshakes", r.right, last, "%d", len(ids))
	if c := r.firstConn(); c != nil {
		add("version", r.left, r.left.frame(c.ServerHello.Frame), "%v", c.Version)
		add("cipher", r.left, r.left.frame(c.ServerHello.Frame), "%s", tls.CipherSuiteName(c.ServerHello.Suite))
	}
	if d, rtt, ok := r.firstRoundTrip(); ok {
		add("round trip", r.left, d, "%.1fms until the server's first packet", float64(rtt.Microseconds())/1000)
	}
	if d, bits, ok := r.goodput(); ok && (r.in.Test == "transfer" || cases[r.in.Test].measure) {
		add("goodput", r.left, d, "%.2fMbit/s", bits/1e6)
	}
	return facts
}

// firstConn is the first connection whose ServerHello the client saw, or nil.
func (r *run) firstConn() *dissect.Conn {
	for _, c := range r.left.index.Conns {
		if c.ServerHello != nil {
			return c
		}
	}
	return nil
}

// firstRoundTrip is the time between the client's first Initial packet and the server's first packet.
func (r *run) firstRoundTrip() (d *dissect.Datagram, rtt time.Duration, ok bool) {
	for sent := range r.left.typed(clientAddrs, wire.PacketInitial) {
		for got := range r.left.packets(serverAddrs) {
			if got.Time >= sent.Time {
				return got, got.Time - sent.Time, true
			}
		}
		break
	}
	return nil, 0, false
}

// goodput is what the public matrix calls so, in bit/s: the size of the files
// over the time between the server's first and last 1-RTT packet where the
// client sees them.
func (r *run) goodput() (last *dissect.Datagram, bits float64, ok bool) {
	var first *dissect.Datagram
	for d := range r.left.typed(serverAddrs, wire.Packet1RTT) {
		if first == nil {
			first = d
		}
		last = d
	}
	if first == nil || last.Time <= first.Time {
		return nil, 0, false
	}
	var size int64
	for _, name := range r.in.Files {
		info, err := os.Stat(filepath.Join(r.in.WWW, name))
		if err != nil {
			return nil, 0, false
		}
		size += info.Size()
	}
	return last, 8 * float64(size) / (last.Time - first.Time).Seconds(), true
}
