package check

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/seed51309289/quiver/internal/dissect"
	"github.com/seed51309289/quiver/internal/wire"
)

// Names of the traces below a run's directory: left is the client's side of
// the simulator, right the server's.
const (
	leftTrace  = "sim/trace_node_left.pcap"
	rightTrace = "sim/trace_node_right.pcap"
)

// Addresses that tell whose packet it is. After a rebinding the client's
// packets do not count as its own in the right trace.
var (
	clientAddrs = addrs{netip.MustParseAddr("193.167.0.100"), netip.MustParseAddr("fd00:cafe:cafe::100")}
	serverAddrs = addrs{netip.MustParseAddr("193.167.100.100"), netip.MustParseAddr("fd00:cafe:cafe:100::100")}
)

// addrs are the IPv4 and the IPv6 address of an endpoint.
type addrs [2]netip.Addr

func (a *addrs) has(b netip.Addr) bool { return b == a[0] || b == a[1] }

// keyLogMark starts a line in every valid key log.
const keyLogMark = "SERVER_HANDSHAKE_TRAFFIC_SECRET"

// maxKeyLog is how much of a key log is read, in bytes.
const maxKeyLog = 16 << 20

// run is a run being judged.
type run struct {
	in          Input
	keyLog      []byte // nil without a valid one
	keyLogName  string // of the key log that is used
	keyLogNote  string // why there is none
	left, right *trace
}

// trace is one of the two traces; index is nil if it cannot be read.
type trace struct {
	name  string
	index *dissect.Trace
	err   error
}

// finding is what a criterion found in a run.
type finding struct {
	ok       bool
	observed string
	trace    string // "" if it is not about a trace
	frame    int    // 0 = none
	at       time.Duration
}

func newRun(in Input) *run {
	r := &run{in: in}
	r.keyLog, r.keyLogName, r.keyLogNote = findKeyLog(in.Dir)
	r.left = openTrace(in.Dir, leftTrace, r.keyLog)
	r.right = openTrace(in.Dir, rightTrace, r.keyLog)
	return r
}

func openTrace(dir, name string, keyLog []byte) *trace {
	t := &trace{name: name}
	t.index, t.err = dissect.Open(filepath.Join(dir, filepath.FromSlash(name)), dissect.Options{KeyLogs: [][]byte{keyLog}, AnyPort: true})
	return t
}

// findKeyLog returns the first valid key log, the client's before the server's.
func findKeyLog(dir string) (log []byte, name, note string) {
	for _, name := range []string{"client/keys.log", "server/keys.log"} {
		b, err := readLimited(filepath.Join(dir, filepath.FromSlash(name)), maxKeyLog)
		switch {
		case err != nil:
			note += fmt.Sprintf("%s cannot be read; ", name)
		case !hasLine(b, keyLogMark):
			note += fmt.Sprintf("%s has %d bytes and no such line; ", name, len(b))
		default:
			return b, name, ""
		}
	}
	return nil, "", note[:len(note)-2]
}

func readLimited(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

func hasLine(b []byte, prefix string) bool {
	for line := range bytes.Lines(b) {
		if bytes.HasPrefix(line, []byte(prefix)) {
			return true
		}
	}
	return false
}

// datagrams goes over those of a trace that came from one of two addresses.
func (t *trace) datagrams(from addrs) iter.Seq[*dissect.Datagram] {
	return func(yield func(*dissect.Datagram) bool) {
		for i := range t.index.Datagrams {
			if d := &t.index.Datagrams[i]; from.has(d.Src.Addr()) && !yield(d) {
				return
			}
		}
	}
}

// packets goes over the packets of these datagrams, all of each.
func (t *trace) packets(from addrs) iter.Seq2[*dissect.Datagram, *dissect.Packet] {
	return func(yield func(*dissect.Datagram, *dissect.Packet) bool) {
		for d := range t.datagrams(from) {
			for j := range d.Packets {
				if !yield(d, &d.Packets[j]) {
					return
				}
			}
		}
	}
}

// typed is packets, but only those of one type.
func (t *trace) typed(from addrs, want wire.PacketType) iter.Seq2[*dissect.Datagram, *dissect.Packet] {
	return func(yield func(*dissect.Datagram, *dissect.Packet) bool) {
		for d, p := range t.packets(from) {
			if p.Type == want && !yield(d, p) {
				return
			}
		}
	}
}

// finding is one about this trace, without a packet.
func (t *trace) finding(ok bool, format string, args ...any) finding {
	return finding{ok: ok, trace: t.name, observed: fmt.Sprintf(format, args...)}
}

// at is a finding about one datagram of the trace; d may be nil.
func (t *trace) at(d *dissect.Datagram, ok bool, format string, args ...any) finding {
	f := t.finding(ok, format, args...)
	if d != nil {
		f.frame, f.at = d.Frame, d.Time
	}
	return f
}

// with runs a check on a trace that could be read, and else reports why not.
func (t *trace) with(check func() finding) finding {
	if t.err != nil {
		return t.finding(false, "the trace cannot be read: %v", t.err)
	}
	return check()
}
