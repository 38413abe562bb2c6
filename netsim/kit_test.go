package netsim

import "net/netip"

var (
	clientAP = netip.AddrPortFrom(ClientV4, 50000)
	serverAP = netip.AddrPortFrom(ServerV4, ServerPort)
)
