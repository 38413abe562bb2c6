package udp

import (
	"net/netip"
	"syscall"
)

// Unreachable is what ICMP says of a datagram that a Socket sent. Whoever knows the addresses and ports can forge it;
// only Quote shows that its author saw the datagram.
type Unreachable struct {
	To     netip.AddrPort // where the datagram went
	Reason syscall.Errno  // ECONNREFUSED (nobody listens), EHOSTUNREACH or ENETUNREACH
	Quote  []byte         // how the datagram began, as much as the message has; holds until the callback returns
}

// Types of "destination unreachable", RFC 792 and RFC 4443 §3.1.
const (
	icmp4Unreachable = 3
	icmp6Unreachable = 1
)

// reason returns the error that connect(2) of TCP would have for an ICMP message, 0 for one that does not say that the
// destination cannot be reached: "fragmentation needed" says that it can, "time exceeded" that a route is changing.
func reason(ipv6 bool, typ, code uint8) syscall.Errno {
	if ipv6 {
		if typ != icmp6Unreachable {
			return 0
		}
		switch code {
		case 0, 6: // no route; a route that rejects
			return syscall.ENETUNREACH
		case 1, 2, 3, 5: // prohibited, beyond the scope of the source, no such address, policy
			return syscall.EHOSTUNREACH
		case 4: // port
			return syscall.ECONNREFUSED
		}
		return 0
	}
	if typ != icmp4Unreachable {
		return 0
	}
	switch code {
	case 0, 6, 9, 11: // net; RFC 1122 §3.2.2.1: unknown, prohibited, not for this TOS
		return syscall.ENETUNREACH
	case 1, 7, 8, 10, 12, 13: // host; unknown, isolated, prohibited, not for this TOS, filtered
		return syscall.EHOSTUNREACH
	case 2, 3: // protocol, port
		return syscall.ECONNREFUSED
	}
	return 0
}
