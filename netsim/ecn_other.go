//go:build !linux

package netsim

import "net"

// Elsewhere the UDP relay does not carry ECN bits: endpoints find that ECN does not work on this path.

const ecnSpace = 0

func wantECN(*net.UDPConn) {}

func readECN([]byte) uint8 { return ecnNotECT }

func appendECN(oob []byte, _ uint8, _ bool) []byte { return oob }
