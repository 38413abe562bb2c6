package netsim

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

var ipPairs = map[string][2]netip.AddrPort{
	"IPv4": {clientAP, serverAP},
	"IPv6": {netip.AddrPortFrom(ClientV6, 50000), netip.AddrPortFrom(ServerV6, ServerPort)},
}

// serialised builds the same packet with gopacket: a second opinion on headers and checksums.
func serialised(t *testing.T, src, dst netip.AddrPort, ecn, ttl uint8, payload []byte) []byte {
	t.Helper()
	udp := &layers.UDP{SrcPort: layers.UDPPort(src.Port()), DstPort: layers.UDPPort(dst.Port())}
	buf, options := gopacket.NewSerializeBuffer(), gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	var ip gopacket.SerializableLayer
	if src.Addr().Is4() {
		v4 := &layers.IPv4{Version: 4, TTL: ttl, TOS: ecn, Flags: layers.IPv4DontFragment, Protocol: layers.IPProtocolUDP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		udp.SetNetworkLayerForChecksum(v4)
		ip = v4
	} else {
		v6 := &layers.IPv6{Version: 6, HopLimit: ttl, TrafficClass: ecn, NextHeader: layers.IPProtocolUDP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		udp.SetNetworkLayerForChecksum(v6)
		ip = v6
	}
	check(t, gopacket.SerializeLayers(buf, options, ip, udp, gopacket.Payload(payload)))
	return buf.Bytes()
}

func TestAppendUDPWritesWhatGopacketWrites(t *testing.T) {
	for name, pair := range ipPairs {
		for _, size := range []int{0, 1, 2, 7, 1200, 1452} {
			payload := packet(Left, size, 0).Data
			got := AppendUDP(nil, pair[0], pair[1], 2, 64, payload)
			if want := serialised(t, pair[0], pair[1], 2, 64, payload); !bytes.Equal(got, want) {
				t.Errorf("%s, %d bytes:\n got %x\nwant %x", name, size, got, want)
			}
		}
	}
}

func TestParseIPReadsWhatAppendUDPWrites(t *testing.T) {
	for name, pair := range ipPairs {
		b := AppendUDP(nil, pair[0], pair[1], 1, 64, []byte("payload"))
		padded := append(bytes.Clone(b), 0, 0, 0) // as Ethernet does
		p, err := ParseIP(padded)
		check(t, err)
		if p.Src != pair[0] || p.Dst != pair[1] || p.ECN != 1 || !p.UDP || string(p.UDPPayload()) != "payload" || p.WireSize != len(b) || !p.checksumOK() {
			t.Errorf("%s: ParseIP = %+v, payload %q", name, p, p.UDPPayload())
		}
		for cut := range len(b) {
			if _, err := ParseIP(b[:cut]); err == nil {
				t.Errorf("%s: the first %d of %d bytes pass as a packet", name, cut, len(b))
			}
		}
		for bit := range 8 * p.Payload { // any answer is right that is no panic
			b[bit/8] ^= 1 << (bit % 8)
			ParseIP(b)
			b[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func TestParseIPTakesFragmentsForNotUDP(t *testing.T) {
	b := AppendUDP(nil, clientAP, serverAP, 0, 64, []byte("payload"))
	b[6] = 0x20 // more fragments
	if p, err := ParseIP(b); err != nil || p.UDP || p.Src.Port() != 0 {
		t.Errorf("ParseIP(first fragment) = %+v, %v; want no UDP", p, err)
	}
}

func TestParseIPFindsUDPBehindIPv6Extensions(t *testing.T) {
	b := AppendUDP(nil, ipPairs["IPv6"][0], ipPairs["IPv6"][1], 0, 64, []byte("payload"))
	b = append(b[:40:40], append([]byte{protoUDP, 0, 1, 4, 0, 0, 0, 0}, b[40:]...)...)
	b[6] = 60 // destination options
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
	p, err := ParseIP(b)
	if err != nil || !p.UDP || string(p.UDPPayload()) != "payload" {
		t.Errorf("ParseIP = %+v, %v; want the payload", p, err)
	}
	chain := bytes.Repeat([]byte{60, 0, 1, 4, 0, 0, 0, 0}, 200)
	b = append(b[:40:40], chain...)
	binary.BigEndian.PutUint16(b[4:], uint16(len(chain)))
	if p, err := ParseIP(b); err != nil || p.UDP {
		t.Errorf("ParseIP(200 extension headers) = %+v, %v; want no UDP", p, err)
	}
}

func TestEditsKeepAllChecksumsRight(t *testing.T) {
	for name, pair := range ipPairs {
		for size := range 60 {
			payload := packet(Left, size, 0).Data
			p, err := ParseIP(AppendUDP(nil, pair[0], pair[1], 0, 64, payload))
			check(t, err)
			src, dst := pair[1], netip.AddrPortFrom(pair[0].Addr(), 1)
			p.setSrc(src)
			p.setDst(dst)
			p.setECN(3)
			if !age(p.Data, hops) {
				t.Fatalf("%s: TTL 64 does not last two routers", name)
			}
			for i := range payload {
				payload[i] = byte(luck(1, Left, forCorruptValue, uint64(i)))
				p.setPayloadByte(i, payload[i])
			}
			want := serialised(t, src, dst, 3, 62, payload)
			if !bytes.Equal(p.Data, want) {
				t.Fatalf("%s, %d bytes, edited:\n got %x\nwant %x", name, size, p.Data, want)
			}
		}
	}
}

func TestEditsKeepAWrongChecksumWrong(t *testing.T) {
	p, err := ParseIP(AppendUDP(nil, clientAP, serverAP, 0, 64, []byte("payload")))
	check(t, err)
	p.Data[p.Payload] ^= 1
	p.setPayloadByte(1, 'x')
	p.setSrc(serverAP)
	if p.checksumOK() {
		t.Error("a packet that came in damaged is repaired")
	}
}

func TestEditsLeaveAMissingChecksumMissing(t *testing.T) {
	b := AppendUDP(nil, clientAP, serverAP, 0, 64, []byte("payload"))
	b[26], b[27] = 0, 0 // RFC 768: the sender computed none
	p, err := ParseIP(b)
	check(t, err)
	p.setPayloadByte(1, 'x')
	p.setSrc(serverAP)
	if b[26]|b[27] != 0 || !p.checksumOK() {
		t.Errorf("checksum is %x after edits, want none", b[26:28])
	}
}

func TestAgeStopsAPacketThatHasNoHopsLeft(t *testing.T) {
	for name, pair := range ipPairs {
		for ttl, want := range map[uint8]bool{1: false, 2: false, 3: true} {
			if got := age(AppendUDP(nil, pair[0], pair[1], 0, ttl, nil), hops); got != want {
				t.Errorf("%s: a packet with TTL %d passes two routers: %v, want %v", name, ttl, got, want)
			}
		}
	}
}

// FuzzParseIP feeds any bytes as a frame with any virtio header through parsing, splitting and the model.
func FuzzParseIP(f *testing.F) {
	for _, pair := range ipPairs {
		f.Add([]byte{1, gsoUDP, 0, 0, 16, 0, 34, 0, 6, 0}, AppendUDP(nil, pair[0], pair[1], 1, 64, make([]byte, 100)))
		f.Add([]byte{1, gsoNone, 0, 0, 0, 0, 34, 0, 6, 0}, AppendUDP(nil, pair[0], pair[1], 1, 64, make([]byte, 20)))
	}
	f.Add([]byte{1, gsoTCPv4, 0, 0, 4, 0, 34, 0, 16, 0}, tcpPacket(f, 20))
	f.Fuzz(func(t *testing.T, header, ip []byte) {
		frame := append(make([]byte, etherHeaderLen), ip...)
		parseHello(frame)
		if len(frame) > 1<<16 {
			return
		}
		h, err := parseVnet(header)
		if err != nil {
			return
		}
		s := NewSim(mustScenario(t, rebinding), 1)
		n := 0
		h.split(frame, func(segment []byte) {
			if n++; n > 1<<16 {
				t.Fatal("a frame is split into more packets than it has bytes")
			}
			p, err := ParseIP(bytes.Clone(segment))
			if err != nil || !age(p.Data, hops) {
				return
			}
			s.Send(Epoch, Left, p)
			if next, ok := s.Next(); ok {
				s.Pop(next)
			}
		})
	})
}
