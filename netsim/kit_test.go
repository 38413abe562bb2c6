package netsim

import (
	"net/netip"
	"testing"
)

var (
	clientAP = netip.AddrPortFrom(ClientV4, 50000)
	serverAP = netip.AddrPortFrom(ServerV4, ServerPort)
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
