package fabric

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

// Packets of two kernels' connects, the sums left to the network card.
const (
	syn4 = "4500003c a1b24000 4006 0000 0a000001 0a000002" + "9c40 0050 01020304 00000000 a002 ffff 0000 0000" + "020405b4 0402080a 00000001 00000000 01030307"
	syn6 = "60012345 0028 06 40 20010db8000000000000000000000001 20010db8000000000000000000000002" + "9c40 0050 01020304 00000000 a002 ffff 0000 0000" + "020405b4 0402080a 00000001 00000000 01030307"
)

func packet(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSYNsAreReadFromPackets(t *testing.T) {
	for _, tc := range []struct{ name, in, app, dest string }{
		{"IPv4", syn4, "10.0.0.1:40000", "10.0.0.2:80"},
		{"IPv6", syn6, "[2001:db8::1]:40000", "[2001:db8::2]:80"},
	} {
		b := packet(t, tc.in)
		s, ok := parseSYN(b)
		if !ok || s.app.String() != tc.app || s.dest.String() != tc.dest || s.seq != 0x01020304 {
			t.Errorf("%s: %+v, %v", tc.name, s, ok)
		}
		for n := range b {
			if _, ok := parseSYN(b[:n]); ok {
				t.Errorf("%s: a SYN in the first %d bytes of %d", tc.name, n, len(b))
			}
		}
		for bit := range 8 * len(b) {
			b[bit/8] ^= 1 << (bit % 8)
			parseSYN(b)
			b[bit/8] ^= 1 << (bit % 8)
		}
		for _, flags := range []byte{0, flagACK, flagSYN | flagACK, flagSYN | flagRST, flagSYN | flagFIN} {
			at := len(b) - 40 + 13
			b[at] = flags
			if _, ok := parseSYN(b); ok {
				t.Errorf("%s: a packet with flags %#x is a SYN", tc.name, flags)
			}
		}
	}
}

func TestPutBackPacketsAreWholeAndWithoutPayload(t *testing.T) {
	for _, in := range []string{syn4, syn6} {
		b := packet(t, in)
		with := append(bytes.Clone(b), "data of TCP Fast Open"...)
		s, ok := parseSYN(with)
		if !ok || len(s.packet()) != len(b) {
			t.Fatalf("%d bytes of %d, %v", len(s.packet()), len(b), ok)
		}
		checkIP(t, s.packet(), protoTCP)
	}
}

func TestLongestSYNsFit(t *testing.T) {
	b := packet(t, syn4)
	long := append(append([]byte{4<<4 | 15}, b[1:20]...), make([]byte, 40)...)
	long = append(append(long, b[20:]...), make([]byte, 20)...)
	long[60+12] = 15 << 4
	s, ok := parseSYN(long)
	if !ok || len(s.packet()) != maxSYN {
		t.Errorf("%d bytes, %v, want %d", len(s.packet()), ok, maxSYN)
	}
	checkIP(t, s.packet(), protoTCP)
}

func TestRefusalsAreWholePackets(t *testing.T) {
	for _, in := range []string{syn4, syn6} {
		s, _ := parseSYN(packet(t, in))
		is4 := s.app.Addr().Is4()
		for _, tc := range []struct {
			reason   Reason
			at       int
			in4, in6 string // the first bytes of what the IP packet carries, but for ports
			proto4   byte
			proto6   byte
		}{
			{Refused, 4, "00000000 01020305 5014", "00000000 01020305 5014", protoTCP, protoTCP},
			{HostUnreachable, 0, "0301", "0103", protoICMP, protoICMPv6},
			{NetUnreachable, 0, "0300", "0100", protoICMP, protoICMPv6},
		} {
			want, proto := packet(t, tc.in6), tc.proto6
			if is4 {
				want, proto = packet(t, tc.in4), tc.proto4
			}
			body := checkIP(t, s.refusal(tc.reason), proto)
			if !bytes.HasPrefix(body[tc.at:], want) {
				t.Errorf("%v to %v: % x, want % x at %d", tc.reason, s.app, body, want, tc.at)
			}
			if proto != protoTCP && !bytes.Equal(body[8:], s.packet()) {
				t.Errorf("%v to %v does not quote the SYN", tc.reason, s.app)
			}
		}
		if p := s.refusal(TimedOut); p != nil {
			t.Errorf("a packet says that nobody answers: % x", p)
		}
	}
}

// checkIP checks the lengths and sums of an IP packet and returns what it carries.
func checkIP(t *testing.T, b []byte, proto byte) []byte {
	t.Helper()
	head, size, got, sum := 40, 40+int(binary.BigEndian.Uint16(b[4:])), b[6], uint32(0)
	if b[0]>>4 == 4 {
		head, size, got = int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:])), b[9]
		if checksum(0, b[:head]) != 0 {
			t.Errorf("wrong sum of an IP header: % x", b[:head])
		}
	}
	if size != len(b) || got != proto {
		t.Errorf("IP packet of %d bytes with protocol %d, want %d and %d", size, got, len(b), proto)
	}
	body := b[head:]
	switch {
	case proto == protoICMP:
	case b[0]>>4 == 4:
		sum = pseudo(netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:])), proto, len(body))
	default:
		sum = pseudo(netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:])), proto, len(body))
	}
	if checksum(sum, body) != 0 {
		t.Errorf("wrong sum of protocol %d: % x", proto, body)
	}
	return body
}

func FuzzSYN(f *testing.F) {
	for _, s := range []string{syn4, syn6} {
		f.Add(packet(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, ok := parseSYN(b); ok {
			if len(s.packet()) > len(b) || s.app.Addr().Is4() != s.dest.Addr().Is4() {
				t.Errorf("%+v of %d bytes", s, len(b))
			}
			for r := range TimedOut {
				s.refusal(r)
			}
		}
	})
}
