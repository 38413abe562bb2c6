package netsim

import (
	"io"
	"net"
	"net/netip"
)

// RelayConfig says what RunVeth connects.
type RelayConfig struct {
	Left, Right string // interface names in the calling thread's network namespace
	Scenario    *Scenario
	Seed        uint64

	LeftTrace, RightTrace string // paths of the pcapng traces; "" = none

	LeftMAC, RightMAC net.HardwareAddr // of the endpoints; nil = as their ARP and NDP answers say

	Log   io.Writer // what the relay has to say, a line each; nil = nothing
	Ready func()    // called once in the relay's goroutine, when both links work; nil = nobody cares
}

// UDPConfig says what RunUDP connects.
type UDPConfig struct {
	Listen netip.AddrPort // client-facing address; port 0 = any, see Ready
	Target netip.AddrPort // the server

	Scenario *Scenario
	Seed     uint64

	LeftTrace, RightTrace string // as in RelayConfig

	Log   io.Writer
	Ready func(listening netip.AddrPort) // called once, with the address to which the client is to talk
}
