package dissect

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"

	kit "github.com/seed51309289/quiver/internal/dissect/dissecttest"
	"github.com/seed51309289/quiver/internal/wire"
)

func TestFramesReadAsText(t *testing.T) {
	tests := []struct {
		frame []byte
		want  string
	}{
		{kit.Padding(7), "PADDING"},
		{kit.Crypto(1180, []byte("abc")), "CRYPTO @1180+3"},
		{kit.Stream(4, 1200, []byte("abc"), false), "STREAM 4 @1200+3"},
		{kit.Stream(4, 0, nil, true), "STREAM 4 @0+0 fin"},
		{kit.Ack(7), "ACK 0-7"},
		{wire.AppendAck(nil, 99, []wire.AckRange{{Smallest: 9, Largest: 9}, {Smallest: 1, Largest: 3}}, 5, &wire.ECNCounts{ECT0: 1, ECT1: 2, CE: 3}),
			"ACK 9 1-3 ect0=1 ect1=2 ce=3"},
		{kit.Frame(wire.Frame{Type: wire.FramePing}), "PING"},
		{kit.Frame(wire.Frame{Type: wire.FrameResetStream, StreamID: 4, Code: 5, FinalSize: 6}), "RESET_STREAM 4 code=5 final=6"},
		{kit.Frame(wire.Frame{Type: wire.FrameStopSending, StreamID: 4, Code: 5}), "STOP_SENDING 4 code=5"},
		{kit.Frame(wire.Frame{Type: wire.FrameNewToken, Data: []byte("abc")}), "NEW_TOKEN of 3 bytes"},
		{kit.Frame(wire.Frame{Type: wire.FrameMaxData, Limit: 9}), "MAX_DATA 9"},
		{kit.Frame(wire.Frame{Type: wire.FrameDataBlocked, Limit: 9}), "DATA_BLOCKED 9"},
		{kit.Frame(wire.Frame{Type: wire.FrameMaxStreamData, StreamID: 4, Limit: 9}), "MAX_STREAM_DATA 4 9"},
		{kit.Frame(wire.Frame{Type: wire.FrameStreamDataBlocked, StreamID: 4, Limit: 9}), "STREAM_DATA_BLOCKED 4 9"},
		{kit.Frame(wire.Frame{Type: wire.FrameMaxStreamsBidi, Limit: 9}), "MAX_STREAMS bidi 9"},
		{kit.Frame(wire.Frame{Type: wire.FrameMaxStreamsUni, Limit: 9}), "MAX_STREAMS uni 9"},
		{kit.Frame(wire.Frame{Type: wire.FrameStreamsBlockedBidi, Limit: 9}), "STREAMS_BLOCKED bidi 9"},
		{kit.Frame(wire.Frame{Type: wire.FrameStreamsBlockedUni, Limit: 9}), "STREAMS_BLOCKED uni 9"},
		{kit.Frame(wire.Frame{Type: wire.FrameNewConnectionID, Sequence: 2, RetirePriorTo: 1, ConnID: []byte{0xab, 1}}), "NEW_CONNECTION_ID 2 ab01 retire=1"},
		{kit.Frame(wire.Frame{Type: wire.FrameRetireConnectionID, Sequence: 2}), "RETIRE_CONNECTION_ID 2"},
		{kit.Frame(wire.Frame{Type: wire.FramePathChallenge, Path: [8]byte{1}}), "PATH_CHALLENGE 0100000000000000"},
		{kit.Frame(wire.Frame{Type: wire.FramePathResponse, Path: [8]byte{2}}), "PATH_RESPONSE 0200000000000000"},
		{kit.Frame(wire.Frame{Type: wire.FrameConnectionClose, Code: 10, Data: []byte("why")}), `CONNECTION_CLOSE 0xa "why"`},
		{kit.Frame(wire.Frame{Type: wire.FrameApplicationClose, Code: 10, Data: []byte("why")}), `CONNECTION_CLOSE application 0xa "why"`},
		{kit.Frame(wire.Frame{Type: wire.FrameHandshakeDone}), "HANDSHAKE_DONE"},
	}
	for _, tc := range tests {
		var f wire.Frame
		n, err := wire.Next(tc.frame, &f)
		if err != nil {
			t.Fatal(err)
		}
		k := copyFrame(&f, n)
		if got := k.String(); got != tc.want {
			t.Errorf("String of % x = %q, want %q", tc.frame, got, tc.want)
		}
	}
}

func TestMalformedFrameIsNotedAndEndsThePacket(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	k.sendFrom(kit.Client, wire.PacketInitial, kit.Frame(wire.Frame{Type: wire.FramePing}), []byte{0x40, 0x01, 1, 1})
	k.sendFrom(kit.Client, wire.PacketInitial, []byte{0x3f, 1, 1, 1})
	k.dissect()
	k.wantLine(0, 0, "C>S  initial 0  PING  (malformed frame: PING)")
	k.wantLine(1, 0, "C>S  initial 1  (unknown frame type: frame 0x3f)")
}

// TestAFlippedBitInAHeaderNeverDecrypts takes each bit of a long and of a short header.
func TestAFlippedBitInAHeaderNeverDecrypts(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	k.handshake()
	for _, p := range []*kit.Packet{
		k.c.Packet(kit.Client, wire.PacketInitial, kit.Crypto(0, k.c.H.Initial[kit.Client])),
		k.c.Packet(kit.Server, wire.Packet1RTT, kit.Ack(0), kit.Padding(30)),
	} {
		whole := p.Seal(nil)
		for bit := range 8 * 60 {
			if bit/8 >= len(whole) {
				break
			}
			f := newFeeder(k.keyLog)
			for _, packets := range k.datagrams {
				f.packets(packets[0].From, packets...)
			}
			flipped := bytes.Clone(whole)
			flipped[bit/8] ^= 1 << (bit % 8)
			f.feed(clientAddr, serverAddr, flipped)
			f.d.finish()
			for _, q := range f.d.trace.Datagrams[f.n-1].Packets {
				if q.Decrypted {
					t.Errorf("bit %d flipped: decrypted as %v", bit, &q)
				}
			}
		}
	}
}

// TestOldPacketWithASmallNumberIsFound has numbers that run away before a packet from the start shows up.
func TestOldPacketWithASmallNumberIsFound(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	k.handshake()
	old := k.c.Packet(kit.Server, wire.Packet1RTT, kit.Frame(wire.Frame{Type: wire.FramePing}))
	for number := uint64(30_000); number <= 60_000; number += 30_000 {
		p := k.c.Packet(kit.Server, wire.Packet1RTT, kit.Frame(wire.Frame{Type: wire.FramePing}))
		p.Number = number
		k.send(p)
	}
	k.send(old)
	k.dissect()
	k.wantOpen()
	k.wantLine(len(k.datagrams)-1, 0, "S>C  1RTT 0  PING  PADDING")
}

func TestPreferredAddressLeadsToItsConnection(t *testing.T) {
	config := kit.DefaultConfig()
	config.Params[kit.Server].Preferred = &wire.PreferredAddress{V4: netip.MustParseAddrPort("203.0.113.9:443"), ConnID: []byte{3, 1, 4, 1, 5}}
	k := newTalk(t, config)
	k.handshake()
	p := k.c.Packet(kit.Client, wire.Packet1RTT, kit.Frame(wire.Frame{Type: wire.FramePing}), kit.Padding(9))
	p.DCID = []byte{3, 1, 4, 1, 5}
	f := newFeeder(k.keyLog)
	for _, packets := range k.datagrams {
		f.packets(packets[0].From, packets...)
	}
	f.feed(netip.MustParseAddrPort("192.0.2.77:1"), netip.MustParseAddrPort("203.0.113.9:443"), p.Seal(nil))
	if q := &f.d.trace.Datagrams[f.n-1].Packets[0]; !q.Decrypted || !bytes.Equal(q.DCID, p.DCID) {
		t.Errorf("packet to the preferred address is %v, want it open", q)
	}
}

// TestTLSParsersTakeAnyPrefix cuts each message at every byte: only the whole one has all of it.
func TestTLSParsersTakeAnyPrefix(t *testing.T) {
	h, err := kit.NewHandshake(kit.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	ch, sh, flight := h.Initial[kit.Client][4:], h.Initial[kit.Server][4:], h.Handshake[kit.Server]
	ee := flight[4 : 4+int(flight[2])<<8+int(flight[3])]
	for n := range ch {
		if _, ok := parseClientHello(ch[:n]); ok {
			t.Errorf("a ClientHello of %d of %d bytes is whole", n, len(ch))
		}
	}
	for n := range sh {
		if _, ok := parseServerHello(sh[:n]); ok {
			t.Errorf("a ServerHello of %d of %d bytes is whole", n, len(sh))
		}
	}
	for n := range ee {
		if _, ok := parseEncryptedExtensions(ee[:n]); ok {
			t.Errorf("EncryptedExtensions of %d of %d bytes are whole", n, len(ee))
		}
	}
}

func TestHelloRetryRequestIsNoServerHello(t *testing.T) {
	h, err := kit.NewHandshake(kit.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	ask := bytes.Clone(h.Initial[kit.Server])
	copy(ask[6:], helloRetryRandom[:])
	k := &talk{t: t, c: kit.NewConn(h, 1), keyLog: h.KeyLog()}
	h.Initial[kit.Server] = append(ask, h.Initial[kit.Server]...)
	k.handshake()
	k.dissect()
	k.wantOpen()
	if m := k.trace.Conns[0].Messages; len(m) < 3 || m[1].Type != TLSServerHello || m[2].Type != TLSServerHello {
		t.Errorf("messages are %+v, want two of type ServerHello", m)
	}
}

// TestCryptoStreamAgreesWithAMap compares the reassembly with the plainest one.
func TestCryptoStreamAgreesWithAMap(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		whole := make([]byte, 300)
		for i := range whole {
			whole[i] = byte(r.Uint32())
		}
		var s cryptoStream
		there := map[int]bool{}
		for range 40 {
			at := r.IntN(len(whole))
			n := r.IntN(min(40, len(whole)-at) + 1)
			want := 0
			for i := at; i < at+n; i++ {
				if there[i] {
					want++
				}
				there[i] = true
			}
			if got := s.add(uint64(at), whole[at:at+n]); got != want {
				t.Fatalf("seed %d: add(%d, %d bytes) saw %d before, want %d", seed, at, n, got, want)
			}
		}
		covered := 0
		for _, h := range s.have {
			covered += int(h.end - h.start)
			if !bytes.Equal(s.data[h.start:h.end], whole[h.start:h.end]) {
				t.Fatalf("seed %d: bytes %d to %d differ", seed, h.start, h.end)
			}
		}
		if covered != len(there) {
			t.Fatalf("seed %d: %d bytes are there, want %d", seed, covered, len(there))
		}
	}
}

func TestIPv6ExtensionHeadersAreSkipped(t *testing.T) {
	ip := kit.IP(netip.MustParseAddrPort("[fd00::1]:443"), netip.MustParseAddrPort("[fd00::2]:5"), 2, []byte{0x40, 9})
	options := []byte{17, 0, 1, 4, 0, 0, 0, 0}
	with := append(append(bytes.Clone(ip[:40]), options...), ip[40:]...)
	with[6] = 60
	u, ok := parseIPv6(with)
	if !ok || u.src.Port() != 443 || u.ecn != 2 || !bytes.Equal(u.payload, []byte{0x40, 9}) {
		t.Errorf("datagram behind destination options is %+v, %v", u, ok)
	}
	for n := range with[:len(with)-3] {
		if u, ok := parseIPv6(with[:n]); ok && u.size != 2 {
			t.Errorf("cut to %d bytes: %+v", n, u)
		}
	}
}
