package check

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	kit "github.com/seed51309289/quiver/internal/dissect/dissecttest"
	"github.com/seed51309289/quiver/internal/wire"
)

// oneWay is the delay of the link between the two traces.
const oneWay = 15 * time.Millisecond

var (
	client4, server4 = netip.MustParseAddrPort("193.167.0.100:50000"), netip.MustParseAddrPort("193.167.100.100:443")
	client6, server6 = netip.MustParseAddrPort("[fd00:cafe:cafe::100]:50000"), netip.MustParseAddrPort("[fd00:cafe:cafe:100::100]:443")
)

// script is a run before it is written to disk: a test changes what it wants.
type script struct {
	t         *testing.T
	in        Input
	config    kit.Config
	ends      [2]netip.AddrPort
	conns     []*kit.Conn
	datagrams []*datagram
	files     []file            // served and downloaded
	extra     map[string]string // downloaded only
	keyLogs   map[string][]byte // below the run's directory
	traces    map[string][]byte // by name; what a test put here stays
	outside   netip.AddrPort    // of the datagrams to come
	ecn       uint8             // likewise
	clock     time.Duration
}

// datagram is sent at a time and arrives oneWay later at the other trace.
type datagram struct {
	at       time.Duration
	src, dst netip.AddrPort
	outside  netip.AddrPort // what the right trace has for the client's address; zero = the same
	ecn      uint8
	lost     bool   // it does not reach the other trace
	raw      []byte // sent instead of packets, which then only tell the side
	packets  []*kit.Packet
}

type file struct{ name, served, got string }

// newScript is the good run of a test case.
func newScript(t *testing.T, test string) *script {
	s := &script{
		t: t, config: kit.DefaultConfig(), ends: [2]netip.AddrPort{client4, server4}, extra: map[string]string{},
		keyLogs: map[string][]byte{}, traces: map[string][]byte{}, in: Input{Test: test, Profile: Compat},
	}
	s.files = []file{{"one-file", "abcdefgh", "abcdefgh"}, {"other-file", "12345", "12345"}}
	if test == "ipv6" {
		s.ends = [2]netip.AddrPort{client6, server6}
	}
	return s
}

// connect makes a connection whose TLS handshake really happened.
func (s *script) connect(mark byte) *kit.Conn { return s.connectAs(mark, func(*kit.Handshake) {}) }

// connectAs is connect with a change of what was said.
func (s *script) connectAs(mark byte, change func(h *kit.Handshake)) *kit.Conn {
	s.t.Helper()
	h, err := kit.NewHandshake(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.in.Test == "chacha20" {
		h.Offer(tls.TLS_CHACHA20_POLY1305_SHA256)
		h.Choose(tls.TLS_CHACHA20_POLY1305_SHA256)
	}
	change(h)
	c := kit.NewConn(h, mark)
	s.conns = append(s.conns, c)
	s.keyLogs["client/keys.log"] = append(s.keyLogs["client/keys.log"], h.KeyLog()...)
	return c
}

// send adds a datagram from the side of its first packet.
func (s *script) send(packets ...*kit.Packet) *datagram {
	s.clock += 2 * time.Millisecond
	from := packets[0].From
	d := &datagram{at: s.clock, src: s.ends[from], dst: s.ends[1-from], outside: s.outside, ecn: s.ecn, packets: packets}
	s.datagrams = append(s.datagrams, d)
	s.clock += oneWay
	return d
}

func (s *script) hello(c *kit.Conn) {
	data := c.H.Initial[kit.Client]
	s.send(c.Packet(kit.Client, wire.PacketInitial, kit.Crypto(0, data), kit.Padding(1100-len(data))))
}

func (s *script) finishHandshake(c *kit.Conn) {
	s.answer(c)
	s.confirm(c)
}

func (s *script) answer(c *kit.Conn) {
	s.send(
		c.Packet(kit.Server, wire.PacketInitial, kit.Ack(0), kit.Crypto(0, c.H.Initial[kit.Server])),
		c.Packet(kit.Server, wire.PacketHandshake, kit.Crypto(0, c.H.Handshake[kit.Server])))
}

func (s *script) confirm(c *kit.Conn) {
	s.send(
		c.Packet(kit.Client, wire.PacketInitial, kit.Ack(0), kit.Padding(1000)),
		c.Packet(kit.Client, wire.PacketHandshake, kit.Ack(0), kit.Crypto(0, c.H.Handshake[kit.Client])))
}

func (s *script) transfer(c *kit.Conn) { s.fetch(c, s.files...) }

func (s *script) fetch(c *kit.Conn, files ...file) {
	for i, f := range files {
		id := uint64(4 * i)
		s.send(c.Packet(kit.Client, wire.Packet1RTT, kit.Stream(id, 0, []byte("GET /"+f.name+"\r\n"), true)))
		s.send(c.Packet(kit.Server, wire.Packet1RTT, kit.Stream(id, 0, []byte(f.served), true)))
	}
	s.send(c.Packet(kit.Client, wire.Packet1RTT, kit.Frame(wire.Frame{Type: wire.FrameApplicationClose})))
}

// find returns the nth packet (from 0) of a side and type, to be changed.
func (s *script) find(from kit.Side, t wire.PacketType, n int) *kit.Packet {
	s.t.Helper()
	for _, d := range s.datagrams {
		for _, p := range d.packets {
			if p.From == from && p.Type == t {
				if n == 0 {
					return p
				}
				n--
			}
		}
	}
	s.t.Fatalf("no such packet: side %d, %v", from, t)
	return nil
}

// judge writes the run to disk and judges it.
func (s *script) judge() Verdict {
	s.t.Helper()
	dir := s.t.TempDir()
	s.in.Dir, s.in.WWW, s.in.Downloads = dir, filepath.Join(dir, "www"), filepath.Join(dir, "downloads")
	for _, sub := range []string{"www", "downloads"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, f := range s.files {
		s.write("www/"+f.name, f.served)
		s.in.Files = append(s.in.Files, f.name)
		if f.got != "" {
			s.write("downloads/"+f.name, f.got)
		}
	}
	for name, text := range s.extra {
		s.write("downloads/"+name, text)
	}
	for name, text := range s.keyLogs {
		s.write(name, string(text))
	}
	for i, name := range []string{leftTrace, rightTrace} {
		text, ok := s.traces[name]
		if !ok {
			text = s.capture(kit.Side(i))
		}
		s.write(name, string(text))
	}
	return Judge(s.in)
}

func (s *script) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.in.Dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// capture writes the trace next to one side.
func (s *script) capture(next kit.Side) []byte {
	c := kit.NewCapture()
	c.Frame(0, bytes.Repeat([]byte{1}, 60)) // an ARP request, say: frame numbers do not start with QUIC
	for _, d := range s.datagrams {
		at, from := d.at, d.packets[0].From
		if from != next {
			if at += oneWay; d.lost {
				continue
			}
		}
		payload := d.raw
		if payload == nil {
			for _, p := range d.packets {
				payload = p.Seal(payload)
			}
		}
		ends := [2]netip.AddrPort{d.src, d.dst}
		if next == kit.Server && d.outside.IsValid() {
			ends[from] = d.outside // of the client: the source of its own, the destination of the server's
		}
		c.UDP(at, ends[0], ends[1], d.ecn, payload)
	}
	return c.Bytes()
}

func (v Verdict) String() string {
	s := v.Result + ": " + v.Reason
	for _, e := range v.Evidence {
		s += fmt.Sprintf("\n  %s: %s frame %d at %v: observed %s; expected %s", e.Criterion, e.Trace, e.Packet, e.Time, e.Observed, e.Expected)
	}
	return s
}
