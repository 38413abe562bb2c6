package gateway

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"net/netip"
	"os"
	"strings"
	"testing"
)

type proxyVector struct {
	header []byte
	want   string
}

// proxyVectors reads testdata/proxy_v2.txt.
func proxyVectors(t testing.TB) (out []proxyVector) {
	text, err := os.ReadFile("testdata/proxy_v2.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		digits, want, ok := strings.Cut(strings.TrimSpace(line), " -> ")
		if !ok || digits[0] == '#' {
			continue
		}
		digits, sum := strings.CutSuffix(digits, "CHECKSUM")
		b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if sum {
			c := crc32.Checksum(append(b, 0, 0, 0, 0), crc32.MakeTable(crc32.Castagnoli))
			b = append(b, byte(c>>24), byte(c>>16), byte(c>>8), byte(c))
		}
		out = append(out, proxyVector{b, want})
	}
	if len(out) < 15 {
		t.Fatalf("%d vectors, want those of the file", len(out))
	}
	return out
}

func proxyMeaning(src, dst netip.AddrPort, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case !src.IsValid() && !dst.IsValid():
		return "none"
	}
	return fmt.Sprintf("%v > %v", src, dst)
}

func TestProxyHeadersMeanWhatTheVectorsSay(t *testing.T) {
	for _, v := range proxyVectors(t) {
		r := bytes.NewReader(append(bytes.Clone(v.header), "rest"...))
		if strings.Contains(v.want, "ended") {
			r = bytes.NewReader(v.header)
		}
		got := proxyMeaning(readProxy(r))
		if !strings.HasPrefix(got, v.want) {
			t.Errorf("%x: %s, want %s", v.header, got, v.want)
		}
		if !strings.HasPrefix(v.want, "PROXY") && r.Len() != len("rest") {
			t.Errorf("%x: %d bytes are left behind the header, want 4", v.header, r.Len())
		}
	}
}

func TestProxyHeadersAreWrittenAsTheyAreRead(t *testing.T) {
	for _, tc := range []struct{ src, dst, want string }{
		{"192.0.2.1:56324", "198.51.100.7:443", "0d0a0d0a000d0a515549540a2111000cc0000201c6336407dc0401bb"},
		{"[::ffff:192.0.2.1]:56324", "198.51.100.7:443", "0d0a0d0a000d0a515549540a2111000cc0000201c6336407dc0401bb"},
		{"[2001:db8::1]:1", "[2001:db8::2]:2", "0d0a0d0a000d0a515549540a2121002420010db800000000000000000000000120010db800000000000000000000000200010002"},
		{"192.0.2.1:1", "[2001:db8::2]:2", "0d0a0d0a000d0a515549540a2121002400000000000000000000ffffc000020120010db800000000000000000000000200010002"},
	} {
		src, dst := netip.MustParseAddrPort(tc.src), netip.MustParseAddrPort(tc.dst)
		b := appendProxy(nil, src, dst)
		if got := hex.EncodeToString(b); got != tc.want {
			t.Errorf("header of %s > %s is\n%s, want\n%s", tc.src, tc.dst, got, tc.want)
		}
		unmapped := fmt.Sprintf("%v > %v", netip.AddrPortFrom(src.Addr().Unmap(), src.Port()), dst)
		if got := proxyMeaning(readProxy(bytes.NewReader(b))); got != unmapped {
			t.Errorf("header of %s > %s means %s", tc.src, tc.dst, got)
		}
	}
}

func TestEachPrefixAndBitFlipOfAProxyHeaderIsReadOrRefused(t *testing.T) {
	for _, v := range proxyVectors(t) {
		for n := range v.header {
			checkProxy(t, v.header[:n])
			for bit := range 8 {
				b := bytes.Clone(v.header)
				b[n] ^= 1 << bit
				checkProxy(t, b)
			}
		}
	}
}

// checkProxy holds what is true of all bytes.
func checkProxy(t *testing.T, b []byte) {
	t.Helper()
	r := bytes.NewReader(b)
	src, dst, err := readProxy(r)
	if used := len(b) - r.Len(); used > maxProxyHeader {
		t.Fatalf("%x: took %d bytes, want at most %d", b, used, maxProxyHeader)
	}
	if err != nil || !src.IsValid() {
		return
	}
	s, d, err := readProxy(bytes.NewReader(appendProxy(nil, src, dst)))
	if s != src || d != dst || err != nil {
		t.Fatalf("%x: says %v > %v, which comes back as %v > %v, %v", b, src, dst, s, d, err)
	}
}

func FuzzProxyHeader(f *testing.F) {
	for _, v := range proxyVectors(f) {
		f.Add(v.header)
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkProxy(t, b) })
}
