package sockets

import (
	"net/netip"
	"testing"
)

func TestAddressesAreReadFromTheProgram(t *testing.T) {
	v4 := []byte{2, 0, 0x1f, 0x40, 10, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0}
	v6 := append([]byte{10, 0, 0x1f, 0x40, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8}, append(make([]byte, 11), 7, 0, 0, 0, 0)...)
	mapped := append([]byte{10, 0, 0x1f, 0x40, 0, 0, 0, 0}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 7, 0, 0, 0, 0)
	link := append([]byte{10, 0, 0x1f, 0x40, 0, 0, 0, 0, 0xfe, 0x80}, append(make([]byte, 13), 7, 2, 0, 0, 0)...)
	noLink := append(link[:24:24], 0, 0, 0, 0)
	for _, tc := range []struct {
		name string
		in   []byte
		want string
	}{
		{"IPv6 of a link", link, "[fe80::7]:8000"},
		{"IPv6 of no link", noLink, ""},
		{"IPv6 of a link, cut before it", link[:24], ""},
		{"IPv4", v4, "10.0.0.7:8000"},
		{"IPv6", v6, "[2001:db8::7]:8000"},
		{"IPv6 without scope", v6[:24], "[2001:db8::7]:8000"},
		{"IPv4 in IPv6", mapped, "10.0.0.7:8000"},
		{"UNIX", append([]byte{1, 0}, make([]byte, 26)...), ""},
		{"IPv6 cut short", v6[:23], ""},
		{"nothing", nil, ""},
	} {
		got, ok := parseAddress(tc.in)
		if want, _ := netip.ParseAddrPort(tc.want); ok != (tc.want != "") || got != want {
			t.Errorf("%s: %v, %v, want %q", tc.name, got, ok, tc.want)
		}
		for n := range tc.in { // no prefix is read beyond its end
			parseAddress(tc.in[:n:n])
		}
	}
}

func TestCapabilitiesAreReadFromProc(t *testing.T) {
	const status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t0000000000002000\nCapBnd:\t000001ffffffffff\n"
	for _, tc := range []struct {
		status     string
		capability uint
		want       bool
	}{
		{status, 13, true}, {status, 12, false}, {"Name:\tx\n", 13, false}, {"CapEff:\tzz\n", 0, false},
	} {
		if got := hasCapability(tc.status, tc.capability); got != tc.want {
			t.Errorf("capability %d in %q: %v, want %v", tc.capability, tc.status, got, tc.want)
		}
	}
}
