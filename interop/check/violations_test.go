package check

import (
	"bytes"
	"net/netip"
	"time"

	kit "github.com/seed51309289/quiver/internal/dissect/dissecttest"
	"github.com/seed51309289/quiver/internal/wire"
)

// another makes the server answer with one connection ID more.
func another(s *script) {
	s.good()
	p := *s.find(kit.Server, wire.PacketInitial, 0)
	p.SCID, p.Number = []byte{1, 2, 3, 4}, 7
	s.send(&p)
}

// laterViolations are of the tests with more than one connection, path, key or version.
var laterViolations = []violation{
	{
		name: "server answers with a third connection ID", broken: twoHandshakes, seen: "3 (", trace: rightTrace, packet: -1, do: another,
	},
	{
		name: "one connection only", tests: []string{"zerortt"}, broken: twoHandshakes, seen: "1 (", trace: rightTrace, packet: 4,
		do: func(s *script) {
			c := s.connectAs(1, func(h *kit.Handshake) { h.EarlySecret = bytes.Repeat([]byte{7}, 32) })
			s.hello(c)
			s.send(c.Packet(kit.Client, wire.Packet0RTT, kit.Stream(0, 0, []byte("GET /early"), true)))
			s.finishHandshake(c)
			s.transfer(c)
		},
	},
	{
		name: "server answers with one connection ID more", broken: handshakes(manyConnections), seen: "51 (", trace: rightTrace, packet: -1, do: another,
	},
	{
		name: "client gives up after 49 connections", broken: handshakes(manyConnections), seen: "49 (", trace: rightTrace, packet: 99,
		do: func(s *script) { s.many(manyConnections - 1) },
	},

	{
		name: "server sends its certificate again", tests: []string{"resumption"}, broken: certificateOnce,
		seen: "on the second connection (50020102", trace: leftTrace, packet: 11,
		do: func(s *script) {
			for i, mark := range []byte{1, 2} {
				c := s.connect(mark)
				s.hello(c)
				s.finishHandshake(c)
				s.fetch(c, s.files[i])
				s.ping(c, kit.Client)
				s.ping(c, kit.Server)
			}
		},
	},
	{
		name: "server sends no certificate at all", tests: []string{"resumption"}, broken: certificateOnce,
		seen: "no Certificate on the first connection", trace: leftTrace,
		do: func(s *script) {
			for i, mark := range []byte{1, 2} {
				c := s.connectAs(mark, func(h *kit.Handshake) { h.Handshake[kit.Server] = without(h.Handshake[kit.Server], 11, 15) })
				s.hello(c)
				s.finishHandshake(c)
				s.fetch(c, s.files[i])
			}
		},
	},
	{
		name: "a third connection ID in the server's Handshake packets", tests: []string{"resumption"}, broken: certificateOnce,
		seen: "3 source connection IDs", trace: leftTrace, packet: -1,
		do: func(s *script) {
			s.good()
			p := *s.find(kit.Server, wire.PacketHandshake, 0)
			p.SCID, p.Number = []byte{1, 2, 3, 4}, 7
			s.send(&p)
		},
	},
	{
		name: "client sends nothing early", tests: []string{"zerortt"}, broken: earlyRequests, seen: "0 bytes in 0-RTT packets", trace: leftTrace,
		do: func(s *script) { s.resumed(false) },
	},
	{
		name: "client sends its requests again", tests: []string{"zerortt"}, broken: earlyRequests, seen: " in 1-RTT packets", trace: leftTrace, packet: 9,
		do: func(s *script) {
			s.good()
			for range 5 {
				s.send(s.conns[1].Packet(kit.Client, wire.Packet1RTT, kit.Padding(1000)))
			}
		},
	},

	{
		name: "client keeps its keys", broken: clientUpdates, seen: "all of phase 0", trace: leftTrace,
		do: func(s *script) { s.beginVersion(); s.update(kit.Server) },
	},
	{
		name: "server keeps its keys", broken: serverUpdates, seen: "all of phase 0", trace: rightTrace,
		do: func(s *script) { s.beginVersion(); s.update(kit.Client) },
	},
	{
		name: "client updates first", broken: serverUpdatesFirst, seen: "the client's in frame 10", trace: rightTrace, packet: 11,
		do: func(s *script) { s.begin(); s.update(kit.Client); s.update(kit.Server) },
	},

	{
		name: "client marks nothing", broken: clientMarks, seen: "0 of 6 datagrams are ECN-capable", trace: leftTrace,
		do: func(s *script) { s.good(); s.mark(kit.Client, 0) },
	},
	{
		name: "server marks nothing", broken: serverMarks, seen: "0 of 4 datagrams are ECN-capable", trace: rightTrace,
		do: func(s *script) { s.good(); s.mark(kit.Server, 0) },
	},
	{
		name: "client sends CE", broken: clientMarks, seen: "CE", trace: leftTrace, packet: 2,
		do: func(s *script) { s.good(); s.mark(kit.Client, 3) },
	},
	{
		name: "server sends CE", broken: serverMarks, seen: "CE", trace: rightTrace, packet: 3,
		do: func(s *script) { s.good(); s.mark(kit.Server, 3) },
	},
	{
		name: "client counts nothing", broken: clientCounts, seen: "ACK frames without counts", trace: leftTrace,
		do: func(s *script) { s.ecn = 2; s.ackECN(s.begin(), kit.Server) },
	},
	{
		name: "server counts nothing", broken: serverCounts, seen: "ACK frames without counts", trace: rightTrace,
		do: func(s *script) { s.ecn = 2; s.ackECN(s.begin(), kit.Client) },
	},

	{
		name: "certificates are short", broken: longChain, seen: "7400 bytes", trace: rightTrace, packet: 11,
		do: func(s *script) { s.amplify(7400, 2) },
	},
	{
		name: "server sends all at once", broken: staysInLimit, seen: "bytes out after", trace: rightTrace, packet: 7,
		do: func(s *script) { s.amplify(7600, 7) },
	},
	{
		name: "client never begins a datagram with a Handshake packet", broken: staysInLimit, seen: "no datagram of the client begins with", trace: rightTrace,
		do: func(s *script) {
			s.good()
			c := s.conns[0]
			for _, d := range s.datagrams {
				if p := d.packets[0]; p.From == kit.Client && p.Type == wire.PacketHandshake {
					d.packets = []*kit.Packet{c.Packet(kit.Client, wire.PacketInitial, kit.Ack(0), kit.Padding(1160)), p}
				}
			}
			for range 9 { // so that what the server sends stays within three times what came in
				p := c.Packet(kit.Client, wire.PacketInitial, kit.Ack(0), kit.Padding(1160))
				s.datagrams = append([]*datagram{{at: oneWay, src: client4, dst: server4, packets: []*kit.Packet{p}}}, s.datagrams...)
			}
		},
	},
	{
		name: "a stranger speaks", broken: staysInLimit, seen: "who is neither of the two", trace: rightTrace, packet: 2,
		do: func(s *script) {
			s.good()
			stranger := s.ping(s.conns[0], kit.Client)
			stranger.at, stranger.src = 0, netip.MustParseAddrPort("193.167.0.77:1")
			s.datagrams = append([]*datagram{stranger}, s.datagrams[:len(s.datagrams)-1]...)
		},
	},
	{
		name: "server sends Version Negotiation", broken: staysInLimit, seen: "Version Negotiation or no QUIC packet", trace: rightTrace, packet: 2,
		do: func(s *script) {
			s.good()
			s.refuse(unknownID)
			vn := s.datagrams[len(s.datagrams)-1]
			vn.at = 0
			s.datagrams = append([]*datagram{vn}, s.datagrams[:len(s.datagrams)-2]...)
		},
	},

	{
		name: "client starts in version 2", broken: startsInV1, seen: "no Initial packet of version v1", trace: leftTrace,
		do: func(s *script) {
			c := s.connect(1)
			c.Version = wire.Version2
			s.hello(c)
			s.finishHandshake(c)
			s.transfer(c)
			s.bothUpdate()
		},
	},
	{
		name: "server answers in version 1", broken: answersInV2, seen: "no Initial packet of version v2", trace: rightTrace,
		do: func(s *script) {
			s.good()
			for _, d := range s.datagrams {
				for _, p := range d.packets {
					if p.From == kit.Server && p.Type == wire.PacketInitial {
						p.Version = wire.Version1
					}
				}
			}
		},
	},
	{
		name: "client's Handshake packets are of version 1", broken: clientInV2, seen: "a Handshake packet of version v1", trace: leftTrace, packet: 4,
		do: func(s *script) { s.good(); s.find(kit.Client, wire.PacketHandshake, 0).Version = wire.Version1 },
	},
	{
		name: "client sends no Handshake packet", broken: clientInV2, seen: "no Handshake packet", trace: leftTrace,
		do: func(s *script) { s.good(); s.drop(kit.Client, wire.PacketHandshake) },
	},
	{
		name: "a Handshake packet of the server is of version 1", broken: serverInV2, seen: "a Handshake packet of version v1", trace: rightTrace, packet: -1,
		do: func(s *script) {
			s.good()
			p := *s.find(kit.Server, wire.PacketHandshake, 0)
			p.Version, p.Number = wire.Version1, 7
			s.send(&p)
		},
	},

	{
		name: "client stays where it is", broken: severalPaths, tests: []string{"rebind-port"}, seen: "1", trace: rightTrace, packet: 3,
		do: func(s *script) { s.begin() },
	},
	{
		name: "client's packets come from elsewhere but nobody answers", broken: severalPaths, tests: []string{"connectionmigration"}, seen: "1",
		trace: rightTrace, packet: 3,
		do: func(s *script) {
			s.begin()
			s.conns[0].ID[kit.Server] = []byte{5, 5, 5, 5}
			s.ends[kit.Server] = preferred4
			s.ping(s.conns[0], kit.Client)
		},
	},
	{
		name: "only the port changes", tests: []string{"rebind-addr"}, broken: severalAddresses, seen: "1", trace: rightTrace, packet: 3,
		do: func(s *script) { s.begin(); s.rebind(reboundPort); s.validate(challengeData) },
	},
	{
		name: "server goes on without a challenge", broken: challengedAtOnce, seen: "none in the first datagram on the path 193.167.100.100:", trace: rightTrace,
		packet: -2,
		do: func(s *script) {
			s.move()
			s.ping(s.conns[0], kit.Server)
			s.challenge(challengeData)
		},
	},
	{
		name: "client does not answer", broken: challengesAnswered, seen: "no answer to 0102030405060708", trace: leftTrace,
		do: func(s *script) { s.move(); s.challenge(challengeData) },
	},
	{
		name: "client answers something else", broken: challengesAnswered, seen: "no answer to 0102030405060708", trace: leftTrace,
		do: func(s *script) { s.move(); s.challenge(challengeData); s.respond([8]byte{1}) },
	},
	{
		name: "client moves on under the same connection ID", broken: freshIDs, seen: "6e65776f6e65 again on the path", trace: leftTrace, packet: -3,
		do: func(s *script) {
			s.good()
			s.ends[kit.Client] = netip.MustParseAddrPort("193.167.0.100:50001")
			s.ping(s.conns[0], kit.Client)
			s.validate([8]byte{8})
		},
	},

	{
		name: "nobody refuses", broken: versionRefused, seen: "no Version Negotiation packet from dd01020304050607, 0 from others", trace: leftTrace,
		do: func(s *script) { s.good(); s.datagrams = s.datagrams[:1] },
	},
	{
		name: "the refusal does not echo the connection ID", broken: versionRefused, seen: "1 from others", trace: leftTrace,
		do: func(s *script) { s.refuse([]byte{1, 2, 3}) },
	},
	{
		name: "client says nothing", broken: versionRefused, seen: "the client sent no first packet", trace: leftTrace,
		do: func(s *script) { s.good(); s.datagrams = s.datagrams[1:] },
	},

	{
		name: "server sends small packets only", broken: largePackets, seen: "0, the largest has", trace: leftTrace,
		do: func(s *script) { s.begin(); s.ping(s.conns[0], kit.Server) },
	},
	{
		name: "server sends large packets into the hole", broken: sizesAdapt, seen: "152 sent, 1 arrived", trace: rightTrace, packet: 161,
		do: func(s *script) { s.begin(); s.largePackets(1, maxLostToHole+1) },
	},

	{
		name: "the reset has another token", broken: resetSent, seen: "none", trace: leftTrace,
		do: func(s *script) { s.reset([16]byte{1, 2, 3}, time.Second) },
	},
	{
		name: "client goes on after the reset", broken: resetHeeded, seen: "a packet 404ms after the reset", trace: leftTrace, packet: 17,
		do: func(s *script) {
			s.good()
			s.ping(s.conns[0], kit.Client)
		},
	},
	{
		name: "client waits for its idle timeout", broken: resetNoticed, seen: "one after 6", trace: leftTrace, packet: 11,
		do: func(s *script) { s.reset(resetToken, 6*time.Second) },
	},

	{
		name: "server repeats a tenth", broken: fewRepeats, seen: "400 of 4413 bytes", trace: leftTrace,
		do: func(s *script) { s.begin(); s.stream(40); s.repeat(4) },
	},
	{
		name: "no stream data can be read", broken: fewRepeats, seen: "0 of 0 bytes", trace: leftTrace,
		do: func(s *script) {
			s.good()
			other := newScript(s.t, s.in.Test)
			other.good()
			s.keyLogs = other.keyLogs
		},
	},
}

// beginVersion is begin, in the version of the test.
func (s *script) beginVersion() {
	if s.in.Test == "v2-keyupdate" {
		s.goodV2()
		return
	}
	s.begin()
}

// bothUpdate makes the key updates that a test wants besides what it is about.
func (s *script) bothUpdate() {
	if s.in.Test == "v2-keyupdate" {
		s.update(kit.Client)
		s.update(kit.Server)
	}
}

// mark gives all datagrams of a side an ECN mark.
func (s *script) mark(side kit.Side, ecn uint8) {
	for _, d := range s.datagrams {
		if d.packets[0].From == side {
			d.ecn = ecn
		}
	}
}

// drop takes all packets of a side and type out.
func (s *script) drop(side kit.Side, t wire.PacketType) {
	for _, d := range s.datagrams {
		kept := d.packets[:0]
		for _, p := range d.packets {
			if p.From != side || p.Type != t {
				kept = append(kept, p)
			}
		}
		d.packets = kept
	}
}

// move is a connection whose client shows up on another path, in the way of the test.
func (s *script) move() {
	s.begin()
	switch s.in.Test {
	case "rebind-addr":
		s.rebind(reboundAddr)
	case "connectionmigration":
		c := s.conns[0]
		id := []byte("newone")
		s.send(c.Packet(kit.Server, wire.Packet1RTT, kit.Frame(wire.Frame{Type: wire.FrameNewConnectionID, Sequence: 1, ConnID: id})))
		c.ID[kit.Server], s.ends[kit.Server] = id, preferred4
		s.ping(c, kit.Client)
	default:
		s.rebind(reboundPort)
	}
}
