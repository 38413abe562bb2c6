package seccomp

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

const (
	ipv4Hex   = "0200 0050 c0000201 0000000000000000"
	ipv6Hex   = "0a00 01bb 00000000 20010db8000000000000000000000001 00000000"
	scopedHex = "0a00 01bb 00000000 fe800000000000000000000000000001 07000000"
	mappedHex = "0a00 01bb 00000000 00000000000000000000ffffc0000201 00000000"
	unixHex   = "0100 2f746d702f7800"
)

func unspaced(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAddressesOfProgramsAreRead(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		family   uint16
		want     string // "" is none
	}{
		{"IPv4", ipv4Hex, inet, "192.0.2.1:80"},
		{"IPv6", ipv6Hex, inet6, "[2001:db8::1]:443"},
		{"IPv6 with a scope", scopedHex, inet6, "[fe80::1%7]:443"},
		{"IPv6 as before there were scopes", ipv6Hex[:len(ipv6Hex)-9], inet6, "[2001:db8::1]:443"},
		{"IPv4 in IPv6", mappedHex, inet6, "[::ffff:192.0.2.1]:443"},
		{"a path", unixHex, 1, ""},
		{"unspecified family", "0000 0050 c0000201 0000000000000000", 0, ""},
		{"half a family", "02", 0, ""},
		{"nothing", "", 0, ""},
	} {
		family, addr, ok := ParseAddress(unspaced(t, tc.in))
		if family != tc.family || ok != (tc.want != "") || ok && addr.String() != tc.want {
			t.Errorf("%s: ParseAddress(%s) = %d, %v, %t, want %d, %q", tc.name, tc.in, family, addr, ok, tc.family, tc.want)
		}
	}
}

func TestShortenedAddressesAreNone(t *testing.T) {
	for _, tc := range []struct {
		in   string
		full int
	}{{ipv4Hex, 16}, {ipv6Hex, 24}, {scopedHex, 24}} {
		whole := unspaced(t, tc.in)
		for cut := range whole {
			if _, addr, ok := ParseAddress(whole[:cut]); ok != (cut >= tc.full) {
				t.Errorf("%d bytes of %s: %v, %t, want %d bytes at least", cut, tc.in, addr, ok, tc.full)
			}
		}
		for bit := range 8 * len(whole) {
			whole[bit/8] ^= 1 << (bit % 8)
			ParseAddress(whole)
			whole[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{ipv4Hex, ipv6Hex, scopedHex, mappedHex, unixHex, ""} {
		f.Add(unspaced(f, seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		family, addr, ok := ParseAddress(b)
		if ok != (addr != netip.AddrPort{}) {
			t.Errorf("ParseAddress(%x) = %v, %t", b, addr, ok)
		}
		if ok && (family == inet) != addr.Addr().Is4() {
			t.Errorf("ParseAddress(%x): family %d, address %v", b, family, addr)
		}
	})
}
