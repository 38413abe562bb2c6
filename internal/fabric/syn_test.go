package fabric

import (
	"encoding/hex"
	"strings"
	"testing"
)

// Packets of two kernels' connects.
const (
	syn4 = "4500003c a1b24000 4006 0000 0a000001 0a000002" + "9c40 0050 01020304 00000000 a002 ffff 0000 0000" + "020405b4 0402080a 00000001 00000000 01030307"
	syn6 = "60012345 0028 06 40 20010db8000000000000000000000001 20010db8000000000000000000000002" + "9c40 0050 01020304 00000000 a002 ffff 0000 0000" + "020405b4 0402080a 00000001 00000000 01030307"
)

func packet(t *testing.T, s string) []byte {
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
			if _, ok := parseSYN(b[:n]); ok && n < len(b)-20 {
				t.Errorf("%s: a SYN in the first %d bytes of %d", tc.name, n, len(b))
			}
		}
		for bit := range 8 * len(b) {
			b[bit/8] ^= 1 << (bit % 8)
			parseSYN(b)
			b[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func TestAnswersHaveGoodChecksums(t *testing.T) {
	for _, in := range []string{syn4, syn6} {
		s, _ := parseSYN(packet(t, in))
		src, dst := s.dest.Addr(), s.app.Addr()
		if rst := s.reset(); checksum(pseudo(src, dst, protoTCP, len(rst)), rst) != 0 {
			t.Errorf("RST to %v: wrong checksum", dst)
		}
		sum := uint32(0)
		icmp := s.unreachable(1, 3)
		if dst.Is6() {
			sum = pseudo(src, dst, protoICMPv6, len(icmp))
		}
		if checksum(sum, icmp) != 0 {
			t.Errorf("ICMP to %v: wrong checksum", dst)
		}
		if b := s.whole(); checksum(pseudo(dst, src, protoTCP, 40), b[len(b)-40:]) != 0 {
			t.Errorf("SYN of %v put back: wrong checksum", dst)
		}
		if ip := s.answer(protoTCP, nil); dst.Is4() && checksum(0, ip) != 0 {
			t.Errorf("IP header to %v: wrong checksum", dst)
		}
	}
}

func FuzzSYN(f *testing.F) {
	for _, s := range []string{syn4, syn6} {
		b, _ := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, ok := parseSYN(b); ok {
			s.reset()
			s.unreachable(1, 3)
			s.answer(protoTCP, b)
		}
	})
}
