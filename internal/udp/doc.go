// Package udp is the batch UDP socket under a QUIC endpoint: datagrams enter and leave the kernel in trains.
//
// Walking the kernel's UDP path costs some microseconds per datagram, the system call around it a fraction of one.
// So on Linux a Socket sends up to 64 datagrams as one (UDP_SEGMENT, "GSO"), receives those of one peer as one
// (UDP_GRO), and reads several such trains with one recvmmsg. Both paths allocate nothing and park in Go's netpoller.
//
// There are three implementations of Conn:
//
//	Socket on Linux      GSO, GRO, recvmmsg, ECN, pktinfo, DF without the kernel's own path MTU
//	Socket elsewhere     one datagram a system call; DF on Darwin and Windows; neither ECN nor pktinfo
//	                     (-tags udpportable builds it on Linux, to test it there)
//	Wrap(PacketConn)     one datagram a call over any net.PacketConn, such as an in-memory one; it allocates
//
// # Environment
//
// A true value ("1", "true", "yes"; anything but "", "0", "false", "no") overrides Config for the whole process:
//
//	QUIVER_DISABLE_GSO   send every datagram by itself (a driver that mangles trains)
//	QUIVER_DISABLE_GRO   receive every datagram by itself
//	QUIVER_DISABLE_ECN   neither mark datagrams nor report marks (a path that drops marked datagrams)
//
// # Limitations
//
// Datagrams of more than 65507 bytes (UDP over IPv4) cannot be sent, which leaves out IPv6 jumbograms.
// A socket has one reader; one socket per core with SO_REUSEPORT is the caller's to build, from New.
package udp
