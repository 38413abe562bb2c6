package check

import (
	"bytes"
	"net/netip"
	"strings"
	"time"

	kit "github.com/seed51309289/quiver/internal/dissect/dissecttest"
	"github.com/seed51309289/quiver/internal/wire"
)

// good plays the conversation that passes the test.
func (s *script) good() {
	s.clock += oneWay
	play, special := goodRuns[s.in.Test]
	if !special {
		play = (*script).plain
	}
	play(s)
}

// goodRuns are the tests whose good run is not plain.
var goodRuns = map[string]func(*script){
	"longrtt":             (*script).goodLongRTT,
	"retry":               (*script).goodRetry,
	"resumption":          func(s *script) { s.resumed(false) },
	"zerortt":             func(s *script) { s.resumed(true) },
	"keyupdate":           func(s *script) { s.begin(); s.update(kit.Client); s.update(kit.Server) },
	"keyupdate-server":    func(s *script) { s.begin(); s.update(kit.Server); s.update(kit.Client) },
	"ecn":                 (*script).goodECN,
	"amplificationlimit":  (*script).goodAmplification,
	"handshakeloss":       (*script).goodMany,
	"handshakecorruption": (*script).goodMany,
	"v2":                  (*script).goodV2,
	"v2-keyupdate":        func(s *script) { s.goodV2(); s.update(kit.Client); s.update(kit.Server) },
	"rebind-port":         func(s *script) { s.begin(); s.rebind(reboundPort); s.validate(challengeData) },
	"rebind-addr":         func(s *script) { s.begin(); s.rebind(reboundAddr); s.validate(challengeData) },
	"connectionmigration": func(s *script) { s.begin(); s.migrate([]byte("newone")) },
	"versionnegotiation":  func(s *script) { s.refuse(unknownID) },
	"mtu-blackhole":       func(s *script) { s.begin(); s.largePackets(2, 3) },
	"stateless-reset":     func(s *script) { s.reset(resetToken, 300*time.Millisecond) },
	"reordering":          func(s *script) { s.begin(); s.stream(40); s.repeat(2) },
	"plugin-exchange":     func(s *script) { s.exchange(wholeExchange...) },
}

// begin is a whole connection, of which a test may send more.
func (s *script) begin() *kit.Conn {
	c := s.connect(1)
	s.hello(c)
	s.finishHandshake(c)
	s.fetch(c, s.files...)
	return c
}

func (s *script) plain() { s.begin() }

func (s *script) goodLongRTT() {
	c := s.connect(1)
	s.hello(c)
	s.clock += time.Second
	s.hello(c)
	s.finishHandshake(c)
	s.transfer(c)
}

func (s *script) goodRetry() {
	c := s.connect(1)
	s.hello(c)
	s.send(c.Retry([]byte{0x7e, 1, 2, 3, 4, 5, 6, 7}, []byte("a token of the server")))
	s.hello(c)
	s.finishHandshake(c)
	s.transfer(c)
}

// resumed is a connection and a second one that goes on with its session,
// with requests in 0-RTT packets or without.
func (s *script) resumed(early bool) {
	first := s.connect(1)
	s.hello(first)
	s.finishHandshake(first)
	s.fetch(first, s.files[0])
	second := s.connectAs(2, func(h *kit.Handshake) {
		h.Handshake[kit.Server] = without(h.Handshake[kit.Server], 11, 15) // Certificate and CertificateVerify
		if early {
			h.EarlySecret = bytes.Repeat([]byte{7}, 32)
		}
	})
	s.hello(second)
	if early {
		s.send(second.Packet(kit.Client, wire.Packet0RTT, kit.Stream(0, 0, []byte("GET /early"), true), kit.Padding(40)))
	}
	s.finishHandshake(second)
	s.fetch(second, s.files[1])
}

// without returns TLS messages except those of some types.
func without(messages []byte, types ...byte) (kept []byte) {
	for len(messages) > 0 {
		n := 4 + int(messages[1])<<16 + int(messages[2])<<8 + int(messages[3])
		if bytes.IndexByte(types, messages[0]) < 0 {
			kept = append(kept, messages[:n]...)
		}
		messages = messages[n:]
	}
	return kept
}

// update lets a side update its keys and send a packet under the new ones.
func (s *script) update(side kit.Side) {
	c := s.conns[0]
	c.Update(side)
	s.ping(c, side)
}

func (s *script) ping(c *kit.Conn, side kit.Side) *datagram {
	return s.send(c.Packet(side, wire.Packet1RTT, kit.Frame(wire.Frame{Type: wire.FramePing}), kit.Padding(30)))
}

func (s *script) goodECN() {
	s.ecn = 2
	c := s.begin()
	s.ackECN(c, kit.Client)
	s.ackECN(c, kit.Server)
}

func (s *script) ackECN(c *kit.Conn, side kit.Side) {
	ranges := []wire.AckRange{{Smallest: 0, Largest: 1}}
	s.send(c.Packet(side, wire.Packet1RTT, wire.AppendAck(nil, 64, ranges, 0, &wire.ECNCounts{ECT0: 2}), kit.Padding(30)))
}

// goodAmplification has a server with a large certificate that stops for the
// client's Handshake packet after three times its bytes.
func (s *script) goodAmplification() { s.amplify(7600, 2) }

// amplify lets a server with that many bytes of TLS messages send a number of
// flights of 1,200 bytes before the client proves its address.
func (s *script) amplify(size, early int) {
	c := s.connectAs(1, func(h *kit.Handshake) {
		fill := make([]byte, max(0, size-len(h.Handshake[kit.Server])))
		if len(fill) > 4 {
			n := len(fill) - 4
			fill[0], fill[1], fill[2], fill[3] = 25, byte(n>>16), byte(n>>8), byte(n)
		}
		h.Handshake[kit.Server] = append(h.Handshake[kit.Server], fill...)
	})
	s.hello(c)
	s.send(c.Packet(kit.Server, wire.PacketInitial, kit.Ack(0), kit.Crypto(0, c.H.Initial[kit.Server])))
	data := c.H.Handshake[kit.Server]
	const step = 1150
	flight := func(n int) {
		s.send(c.Packet(kit.Server, wire.PacketHandshake, kit.Crypto(n*step, data[n*step:min((n+1)*step, len(data))])))
	}
	flights := (len(data) + step - 1) / step
	for n := range min(early, flights) {
		flight(n)
	}
	s.send(c.Packet(kit.Client, wire.PacketHandshake, kit.Ack(0), kit.Padding(20)))
	for n := early; n < flights; n++ {
		flight(n)
	}
	s.confirm(c)
	s.transfer(c)
}

// goodMany has fifty connections.
func (s *script) goodMany() { s.many(manyConnections) }

func (s *script) many(n int) {
	first := s.connect(0)
	for i := range n {
		c := first
		if i > 0 {
			c = kit.NewConn(first.H, byte(i)) // the handshake of all is the same, which nobody minds
		}
		s.hello(c)
		s.answer(c)
	}
	s.confirm(first)
	s.transfer(first)
}

func (s *script) goodV2() {
	c := s.connect(1)
	s.hello(c)
	c.Version = wire.Version2
	s.finishHandshake(c)
	s.transfer(c)
}

var (
	reboundPort   = netip.MustParseAddrPort("193.167.0.100:57607")
	reboundAddr   = netip.MustParseAddrPort("193.167.0.224:57607")
	challengeData = [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
	preferred4    = netip.MustParseAddrPort("193.167.100.100:4443")
	unknownID     = []byte{0xdd, 1, 2, 3, 4, 5, 6, 7}
	resetToken    = [16]byte{15: 9, 0: 1}
)

// rebind gives the client another address outside, where its next packet shows up.
func (s *script) rebind(to netip.AddrPort) {
	s.outside = to
	s.ping(s.conns[0], kit.Client)
}

// validate lets the server challenge the present path, and the client answer.
func (s *script) validate(data [8]byte) {
	s.challenge(data)
	s.respond(data)
}

func (s *script) challenge(data [8]byte) {
	s.send(s.conns[0].Packet(kit.Server, wire.Packet1RTT, kit.Frame(wire.Frame{Type: wire.FramePathChallenge, Path: data}), kit.Padding(30)))
}

func (s *script) respond(data [8]byte) {
	s.send(s.conns[0].Packet(kit.Client, wire.Packet1RTT, kit.Frame(wire.Frame{Type: wire.FramePathResponse, Path: data}), kit.Padding(30)))
}

// migrate moves the client to the server's preferred address, under another ID of the server.
func (s *script) migrate(id []byte) {
	c := s.conns[0]
	s.send(c.Packet(kit.Server, wire.Packet1RTT, kit.Frame(wire.Frame{Type: wire.FrameNewConnectionID, Sequence: 1, ConnID: id})))
	c.ID[kit.Server] = id
	s.ends[kit.Server] = preferred4
	s.ping(c, kit.Client)
	s.validate(challengeData)
}

// refuse is an Initial packet of an unknown version and the server's answer, whose source is id.
func (s *script) refuse(id []byte) {
	first := []byte{0xc0, 0x1a, 0x2a, 0x3a, 0x4a, byte(len(unknownID))}
	first = append(append(first, unknownID...), 4, 1, 2, 3, 4)
	first = append(first, make([]byte, 1200-len(first))...)
	s.send(&kit.Packet{From: kit.Client}).raw = first
	vn := []byte{0xc0, 0, 0, 0, 0, 4, 1, 2, 3, 4, byte(len(id))}
	vn = append(append(vn, id...), 0, 0, 0, 1)
	s.send(&kit.Packet{From: kit.Server}).raw = vn
}

// largePackets are so many packets above 1,280 bytes that arrive, so many that do not, and a small one.
func (s *script) largePackets(arrive, lost int) {
	c := s.conns[0]
	for i := range arrive + lost {
		d := s.send(c.Packet(kit.Server, wire.Packet1RTT, kit.Frame(wire.Frame{Type: wire.FramePing}), kit.Padding(1350)))
		d.lost = i >= arrive
	}
	s.ping(c, kit.Server)
}

// reset is a connection that the server forgets, and a second one that comes some time after.
func (s *script) reset(token [16]byte, after time.Duration) {
	first := s.connect(1)
	s.hello(first)
	s.finishHandshake(first)
	s.fetch(first, s.files[0])
	s.send(first.Packet(kit.Server, wire.Packet1RTT, kit.Frame(wire.Frame{Type: wire.FrameNewConnectionID, Sequence: 1,
		ConnID: []byte{0x50, 9, 9, 9, 9, 9, 9, 9}, ResetToken: resetToken})))
	s.ping(first, kit.Client)
	s.send(&kit.Packet{From: kit.Server}).raw = append(append([]byte{0x43}, bytes.Repeat([]byte{0xa5}, 30)...), token[:]...)
	s.clock += after
	second := s.connect(2)
	s.hello(second)
	s.finishHandshake(second)
	s.fetch(second, s.files[1])
}

// stream are n packets of the server, with 100 bytes of one stream each; repeat sends the first of them again.
func (s *script) stream(n int) { s.streamFrom(0, n) }

func (s *script) repeat(n int) { s.streamFrom(0, n) }

func (s *script) streamFrom(first, n int) {
	for i := first; i < first+n; i++ {
		data := []byte(strings.Repeat("x", 100))
		s.send(s.conns[0].Packet(kit.Server, wire.Packet1RTT, kit.Stream(100, i*100, data, false)))
	}
}
