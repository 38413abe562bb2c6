package dissect

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	kit "github.com/seed51309289/quiver/internal/dissect/dissecttest"
	"github.com/seed51309289/quiver/internal/wire"
)

func TestFilesThatAreNoCaptureAreErrors(t *testing.T) {
	tests := []struct{ name, file, want string }{
		{"empty", "", "is empty"},
		{"too short", "\n\r", "too short"},
		{"text", "hello world", "want a pcap or pcapng capture"},
		{"only a magic number", "\n\r\r\n", "bad capture header"},
	}
	for _, tc := range tests {
		if _, err := Read([]byte(tc.file), Options{}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error is %v, want one that says %q", tc.name, err, tc.want)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "absent"), Options{}); !os.IsNotExist(err) {
		t.Errorf("absent file: error is %v, want one that says so", err)
	}
}

func TestTruncatedCaptureKeepsWhatIsWhole(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	k.handshake()
	k.stream(kit.Server, 2)
	whole := k.capture()
	for n := 1; n < len(whole); n += 7 {
		trace, err := Read(whole[:n], Options{KeyLogs: [][]byte{k.keyLog}})
		if err != nil {
			continue
		}
		if len(trace.Datagrams) > len(k.datagrams) {
			t.Fatalf("cut to %d bytes: %d datagrams, want at most %d", n, len(trace.Datagrams), len(k.datagrams))
		}
		if len(trace.Datagrams) < trace.Frames {
			t.Fatalf("cut to %d bytes: half a datagram was counted", n)
		}
	}
	trace, err := Read(whole[:len(whole)-9], Options{})
	if err != nil || !trace.Truncated || len(trace.Datagrams) != len(k.datagrams)-1 || len(trace.Warnings) != 1 {
		t.Errorf("cut in the last packet: %d of %d datagrams, truncated %v, warnings %v, error %v",
			len(trace.Datagrams), len(k.datagrams), trace.Truncated, trace.Warnings, err)
	}
}

// TestLinkTypesAreUnderstood captures the same datagram on different links.
func TestLinkTypesAreUnderstood(t *testing.T) {
	ip := kit.IP(clientAddr, serverAddr, 1, []byte{0x40, 1, 2, 3})
	tests := []struct {
		name  string
		link  layers.LinkType
		frame []byte
	}{
		{"ethernet", layers.LinkTypeEthernet, kit.Ethernet(ip, false)},
		{"raw IP", layers.LinkTypeRaw, ip},
		{"IPv4", layers.LinkTypeIPv4, ip},
		{"loopback", layers.LinkTypeNull, append([]byte{2, 0, 0, 0}, ip...)},
		{"linux cooked", layers.LinkTypeLinuxSLL, append(append(make([]byte, 14), 0x08, 0x00), ip...)},
		{"linux cooked 2", layers.LinkTypeLinuxSLL2, append(append([]byte{0x08, 0x00}, make([]byte, 18)...), ip...)},
	}
	for _, tc := range tests {
		var b bytes.Buffer
		w := pcapgo.NewWriterNanos(&b)
		if err := w.WriteFileHeader(65535, tc.link); err != nil {
			t.Fatal(err)
		}
		ci := gopacket.CaptureInfo{Timestamp: kit.Epoch, CaptureLength: len(tc.frame), Length: len(tc.frame)}
		if err := w.WritePacket(ci, tc.frame); err != nil {
			t.Fatal(err)
		}
		trace, err := Read(b.Bytes(), Options{})
		if err != nil || len(trace.Datagrams) != 1 {
			t.Errorf("%s: %v, error %v, want one datagram", tc.name, trace, err)
			continue
		}
		if d := trace.Datagrams[0]; d.Src != clientAddr || d.Dst != serverAddr || d.Size != 4 || d.ECN != 1 || d.IPv6() {
			t.Errorf("%s: datagram is %+v", tc.name, d)
		}
	}
}

func TestFrameFactsAreKept(t *testing.T) {
	c := kit.NewCapture()
	c.Frame(0, bytes.Repeat([]byte{0xff}, 60))
	src, dst := netip.MustParseAddrPort("[fd00::1]:443"), netip.MustParseAddrPort("[fd00::2]:50000")
	c.UDP(1500*time.Microsecond, src, dst, 3, []byte{0x40, 1, 2, 3, 4}, "dropped by rule 7")
	trace, err := Read(c.Bytes(), Options{})
	if err != nil || len(trace.Datagrams) != 1 {
		t.Fatalf("%d datagrams, error %v, want one", len(trace.Datagrams), err)
	}
	d := trace.Datagrams[0]
	if d.Frame != 2 || d.Time != 1500*time.Microsecond || d.ECN != 3 || d.Comment != "dropped by rule 7" || !d.IPv6() || d.Src != src || d.Size != 5 {
		t.Errorf("datagram is %+v", d)
	}
	if !trace.Start.Equal(kit.Epoch) || trace.Frames != 2 {
		t.Errorf("trace starts at %v with %d frames, want %v and 2", trace.Start, trace.Frames, kit.Epoch)
	}
}

// TestWhatIsNotQUICIsLeftOut has fragments, other ports, other protocols, a quoted datagram and cut headers.
func TestWhatIsNotQUICIsLeftOut(t *testing.T) {
	quic := kit.IP(clientAddr, serverAddr, 0, []byte{0x40, 1, 2, 3})
	edit := func(at int, v ...byte) []byte {
		b := bytes.Clone(quic)
		copy(b[at:], v)
		return b
	}
	six := kit.IP(netip.MustParseAddrPort("[fd00::1]:443"), netip.MustParseAddrPort("[fd00::2]:5"), 0, []byte{0x40})
	fragment := append(bytes.Clone(six[:40]), append([]byte{17, 0, 0, 1, 0, 0, 0, 1}, six[40:]...)...)
	fragment[6] = 44
	tests := []struct {
		name string
		ip   []byte
	}{
		{"first fragment", edit(6, 0x20, 0)},
		{"later fragment", edit(6, 0, 5)},
		{"TCP", edit(9, 6)},
		{"ICMP that quotes it", append(edit(9, 1)[:28], quic...)},
		{"other ports", edit(22, 0, 80)},
		{"UDP length of 3", edit(24, 0, 3)},
		{"header longer than the packet", edit(0, 0x4f)},
		{"IP version 5", edit(0, 0x55)},
		{"IPv6 fragment", fragment},
		{"cut IP header", quic[:19]},
		{"cut UDP header", quic[:27]},
		{"cut IPv6 header", six[:39]},
		{"nothing", nil},
	}
	for _, tc := range tests {
		c := kit.NewCapture()
		c.Frame(0, kit.Ethernet(tc.ip, len(tc.ip) > 0 && tc.ip[0]>>4 == 6))
		trace, err := Read(c.Bytes(), Options{})
		if err != nil || len(trace.Datagrams) != 0 || trace.Frames != 1 {
			t.Errorf("%s: %d datagrams of %d frames, error %v, want none of 1", tc.name, len(trace.Datagrams), trace.Frames, err)
		}
	}
}

func TestOptionsPortsReplaceTheUsualOne(t *testing.T) {
	other := netip.AddrPortFrom(serverAddr.Addr(), 4433)
	c := kit.NewCapture()
	c.UDP(0, clientAddr, serverAddr, 0, []byte{0x40, 1, 2})
	c.UDP(0, clientAddr, other, 0, []byte{0x40, 1, 2})
	trace, err := Read(c.Bytes(), Options{Ports: []uint16{4433}})
	if err != nil || len(trace.Datagrams) != 1 || trace.Datagrams[0].Dst != other {
		t.Errorf("datagrams %+v, error %v, want the one to port 4433", trace.Datagrams, err)
	}
}

func TestBytesThatAreNoPacketAreNoted(t *testing.T) {
	unknown := append([]byte{0xc0, 'W', 'A', 'I', 'T', 0, 0}, make([]byte, 100)...)
	k := newTalk(t, kit.DefaultConfig())
	initial := k.c.Packet(kit.Client, wire.PacketInitial, kit.Crypto(0, k.c.H.Initial[kit.Client]))
	tests := []struct {
		name, note string
		payload    []byte
		packets    int
	}{
		{"unknown version", "unknown version 0x57414954", unknown, 0},
		{"padding after a packet", "zero bytes", append(initial.Seal(nil), 0, 0, 0), 1},
		{"cut long header", "not a QUIC packet", initial.Seal(nil)[:30], 0},
	}
	for _, tc := range tests {
		c := kit.NewCapture()
		c.UDP(0, clientAddr, serverAddr, 0, tc.payload)
		trace, err := Read(c.Bytes(), Options{})
		if err != nil || len(trace.Datagrams) != 1 {
			t.Fatal(err)
		}
		if d := trace.Datagrams[0]; d.Note != tc.note || d.Trailing == 0 || len(d.Packets) != tc.packets {
			t.Errorf("%s: %d packets, %d trailing, note %q, want %d packets and %q", tc.name, len(d.Packets), d.Trailing, d.Note, tc.packets, tc.note)
		}
	}
}

func TestKeyLogIgnoresLinesThatAreNone(t *testing.T) {
	random, secret := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	good := "SERVER_TRAFFIC_SECRET_0 " + random + " " + secret
	tests := []struct {
		name, text string
		sessions   int
	}{
		{"good line", good, 1},
		{"with CRLF", good + "\r\n", 1},
		{"comment", "# " + good, 0},
		{"short random", "SERVER_TRAFFIC_SECRET_0 abcd " + secret, 0},
		{"bad hexadecimal", "SERVER_TRAFFIC_SECRET_0 " + random + " xx", 0},
		{"half a byte", "SERVER_TRAFFIC_SECRET_0 " + random + " abc", 0},
		{"secret too long", "SERVER_TRAFFIC_SECRET_0 " + random + " " + strings.Repeat("ab", 65), 0},
		{"two fields", "SERVER_TRAFFIC_SECRET_0 " + random, 0},
		{"empty", "", 0},
	}
	for _, tc := range tests {
		var l keyLog
		l.add([]byte(tc.text))
		if len(l.sessions) != tc.sessions {
			t.Errorf("%s: %d sessions, want %d", tc.name, len(l.sessions), tc.sessions)
		}
	}
}

// TestSecretsOfABigEndianFileAreFound writes the blocks by hand: the library writes little-endian only.
func TestSecretsOfABigEndianFileAreFound(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.BigEndian, binary.LittleEndian} {
		block := func(kind uint32, body []byte) []byte {
			b := order.AppendUint32(nil, kind)
			b = order.AppendUint32(b, uint32(12+len(body)))
			b = append(b, body...)
			return order.AppendUint32(b, uint32(12+len(body)))
		}
		section := order.AppendUint32(nil, 0x1a2b3c4d)
		section = append(section, 0, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
		secrets := append(order.AppendUint32(order.AppendUint32(nil, 0x544c534b), 5), "hello\x00\x00\x00"...)
		file := append(block(magicNg, section), block(10, secrets)...)
		if got := findSecrets(file); len(got) != 1 || string(got[0]) != "hello" {
			t.Errorf("%v: secrets are %q, want hello", order, got)
		}
		for n := range file {
			findSecrets(file[:n])
		}
	}
}

func TestUnknownVersionKeepsItsInvariants(t *testing.T) {
	payload := append([]byte{0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 3, 1, 2, 3, 2, 8, 9}, make([]byte, 1200)...)
	c := kit.NewCapture()
	c.UDP(0, clientAddr, serverAddr, 0, payload)
	tr, err := Read(c.Bytes(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := tr.Datagrams[0].Strange
	if s == nil || s.Version != 0x1a2a3a4a || !bytes.Equal(s.DCID, []byte{1, 2, 3}) || !bytes.Equal(s.SCID, []byte{8, 9}) {
		t.Errorf("long header of an unknown version is read as %+v", s)
	}
}

func TestAnyPortMeansAnyPort(t *testing.T) {
	src, dst := netip.AddrPortFrom(clientAddr.Addr(), 1), netip.AddrPortFrom(serverAddr.Addr(), 4443)
	c := kit.NewCapture()
	c.UDP(0, src, dst, 0, []byte{1, 2, 3})
	for _, any := range []bool{false, true} {
		tr, err := Read(c.Bytes(), Options{AnyPort: any})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(tr.Datagrams) == 1; got != any {
			t.Errorf("any port %v: datagram between ports 1 and 4443 is read: %v", any, got)
		}
	}
}
