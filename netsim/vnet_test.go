package netsim

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// tcpPacket builds an IPv4 TCP segment with FIN, PSH and CWR set.
func tcpPacket(t testing.TB, size int) []byte {
	t.Helper()
	ip := &layers.IPv4{Version: 4, TTL: 64, Id: 7, Protocol: layers.IPProtocolTCP, SrcIP: ClientV4.AsSlice(), DstIP: ServerV4.AsSlice()}
	tcp := &layers.TCP{SrcPort: 1, DstPort: 2, Seq: 1000, FIN: true, PSH: true, ACK: true, CWR: true, Window: 100,
		Options: []layers.TCPOption{{OptionType: layers.TCPOptionKindNop}, {OptionType: layers.TCPOptionKindNop}}}
	tcp.SetNetworkLayerForChecksum(ip)
	buf := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	check(t, gopacket.SerializeLayers(buf, options, ip, tcp, gopacket.Payload(packet(Left, size, 0).Data)))
	return buf.Bytes()
}

func framed(ip []byte) []byte { return append(make([]byte, etherHeaderLen), ip...) }

func TestSplitCutsAUDPSuperPacketIntoDatagrams(t *testing.T) {
	for name, pair := range ipPairs {
		payload := packet(Left, 3*1000+1, 0).Data
		whole := AppendUDP(nil, pair[0], pair[1], 2, 64, payload)
		h := vnetHeader{flags: vnetNeedsCsum, gsoType: gsoUDP, gsoSize: 1000}
		var got []byte
		n := 0
		check(t, h.split(framed(whole), func(ip []byte) {
			from := min(n*1000, len(payload))
			want := serialised(t, pair[0], pair[1], 2, 64, payload[from:min(from+1000, len(payload))])
			if pair[0].Addr().Is4() { // the kernel counts the identification up
				want[5] = byte(n)
				setIPv4Checksum(want)
			}
			if !bytes.Equal(ip, want) {
				t.Errorf("%s, segment %d:\n got %x\nwant %x", name, n, ip[:64], want[:64])
			}
			n++
			p, err := ParseIP(ip)
			check(t, err)
			got = append(got, p.UDPPayload()...)
		}))
		if n != 4 || !bytes.Equal(got, payload) {
			t.Errorf("%s: %d segments, payload whole: %v; want 4", name, n, bytes.Equal(got, payload))
		}
	}
}

func TestSplitCutsATCPSuperPacketIntoSegments(t *testing.T) {
	h := vnetHeader{flags: vnetNeedsCsum, gsoType: gsoTCPv4 | gsoECN, gsoSize: 400}
	var got []layers.TCP
	check(t, h.split(framed(tcpPacket(t, 1000)), func(ip []byte) {
		p := gopacket.NewPacket(bytes.Clone(ip), layers.LayerTypeIPv4, gopacket.Default)
		tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
		if !ok {
			t.Fatalf("segment %d is no TCP: %v", len(got), p)
		}
		v4 := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
		if int(v4.Id) != 7+len(got) || int(v4.Length) != len(ip) || !headerOK(ip) {
			t.Errorf("segment %d has identification %d, length %d of %d, header checksum right: %v", len(got), v4.Id, v4.Length, len(ip), headerOK(ip))
		}
		if fold(sum16(pseudoHeader(ip, len(ip)-20, protoTCP), ip[20:])) != 0xffff {
			t.Errorf("segment %d has a wrong checksum", len(got))
		}
		got = append(got, *tcp)
	}))
	if len(got) != 3 {
		t.Fatalf("%d segments, want 3", len(got))
	}
	for i, tcp := range got {
		if tcp.Seq != uint32(1000+400*i) || tcp.FIN != (i == 2) || tcp.PSH != (i == 2) || tcp.CWR != (i == 0) || !tcp.ACK {
			t.Errorf("segment %d: sequence %d, FIN %v, PSH %v, CWR %v, ACK %v", i, tcp.Seq, tcp.FIN, tcp.PSH, tcp.CWR, tcp.ACK)
		}
	}
}

func TestSplitCompletesAPartialChecksum(t *testing.T) {
	for name, pair := range ipPairs {
		want := AppendUDP(nil, pair[0], pair[1], 0, 64, []byte("payload"))
		p, err := ParseIP(bytes.Clone(want))
		check(t, err)
		partial := fold(pseudoHeader(p.Data, len(p.Data)-p.Payload+udpHeaderLen, protoUDP))
		p.udpHeader()[6], p.udpHeader()[7] = byte(partial>>8), byte(partial)
		h := vnetHeader{flags: vnetNeedsCsum, csumStart: uint16(etherHeaderLen + p.Payload - udpHeaderLen), csumOffset: 6}
		check(t, h.split(framed(p.Data), func(ip []byte) {
			if !bytes.Equal(ip, want) {
				t.Errorf("%s:\n got %x\nwant %x", name, ip, want)
			}
		}))
	}
}

func TestSplitWritesAZeroSumAsAllOnesForUDPOnly(t *testing.T) {
	for field, want := range map[uint16]byte{udpChecksumField: 0xff, tcpChecksumField: 0} {
		ip := AppendUDP(nil, clientAP, serverAP, 0, 64, make([]byte, 40))
		clear(ip[20:])
		ip[9] = 0 // no UDP for ParseIP: only the arithmetic counts
		ip[20], ip[21] = 0xff, 0xff
		h := vnetHeader{flags: vnetNeedsCsum, csumStart: etherHeaderLen + 20, csumOffset: field}
		check(t, h.split(framed(ip), func(ip []byte) {
			if got := ip[20+field]; got != want {
				t.Errorf("a sum of zero at offset %d is written as %#02x, want %#02x", field, got, want)
			}
		}))
	}
}

func TestSplitRefusesWhatItDoesNotUnderstand(t *testing.T) {
	whole := AppendUDP(nil, clientAP, serverAP, 0, 64, make([]byte, 100))
	for name, h := range map[string]vnetHeader{
		"unknown kind":           {gsoType: 3, gsoSize: 10},
		"no segment size":        {gsoType: gsoUDP},
		"checksum behind packet": {flags: vnetNeedsCsum, csumStart: 120, csumOffset: 60},
		"checksum before packet": {flags: vnetNeedsCsum, csumStart: 2},
	} {
		if err := h.split(framed(whole), func([]byte) { t.Errorf("%s: a packet comes out", name) }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestNeighbourMessagesAreReadAsTheyAreWritten(t *testing.T) {
	for i, own := range networks[Left].gateways {
		host := networks[Left].hosts[i]
		asked, ok := parseHello(appendQuestion(nil, routerMAC, own, host))
		if want := (hello{own, routerMAC, host, true}); !ok || asked != want {
			t.Errorf("question reads %+v, want %+v", asked, want)
		}
		frame := appendAnswer(nil, clientMAC, asked)
		answer, ok := parseHello(frame)
		if !ok || answer.asks || answer.from != host || answer.mac != clientMAC {
			t.Errorf("answer reads %+v, want %v at %x", answer, host, clientMAC)
		}
		if !own.Is4() && !bytes.Equal(frame[len(frame)-8:], append([]byte{2, 1}, clientMAC[:]...)) {
			t.Errorf("advertisement ends in %x, want the target's link-layer address", frame[len(frame)-8:])
		}
		if hardwareAddr(frame) != routerMAC {
			t.Errorf("answer goes to %x, want %x", frame[:6], routerMAC)
		}
		for cut := range frame {
			parseHello(frame[:cut]) // must not panic
		}
	}
	probe := hello{mac: clientMAC, target: LeftGatewayV6, asks: true}
	if h, ok := parseHello(appendAnswer(nil, routerMAC, probe)); !ok || h.from != LeftGatewayV6 {
		t.Errorf("answer to a duplicate address probe reads %+v", h)
	}
	if got, want := solicitedNode(LeftGatewayV6), netip.MustParseAddr("ff02::1:ff00:2"); got != want {
		t.Errorf("solicited-node group is %v, want %v", got, want)
	}
}
