package fabric

import (
	"log/slog"
	"net/netip"
)

// MarkProto is the mark (SO_MARK) of sockets whose program asked for QUIC itself. Programs that may set marks have numbers of their own,
// and small ones.
const MarkProto uint32 = 0x71766d52

// mark is on the packets of our own sockets: they pass.
const mark uint32 = 0x71766d51

// A Config tunes a Fabric. The zero value is ready to use.
type Config struct {
	// Log is told what goes wrong on the side. nil = nobody.
	Log *slog.Logger

	// Moved is called after the addresses or routes of the host have changed and the fabric has followed. It is called from one goroutine,
	// which waits for it. nil = nobody cares.
	Moved func()

	// Anyway are destinations that are reached in another way than by the routes of the host, and so also where it has none. The caller
	// must not change them any more. limit: a rule of a policy has one or two
	Anyway []netip.Prefix

	// Ended is told of each socket of the program that listened, or was only bound, when its last descriptor is closed. It is called from
	// one goroutine, which waits for it. nil = nobody cares.
	Ended func(Socket)
}

// Stats are sums since the beginning.
type Stats struct {
	Held      uint64 // connections of the program that were held
	Repeated  uint64 // SYNs that the kernel sent again while we thought
	Dropped   uint64 // SYNs that were lost because we were too slow; the kernel sends them again after a second
	Connected uint64 // held connections that got a leg
	Refused   uint64 // held connections that were refused
	Native    uint64 // held connections that were put back
	Delivered uint64 // connections to the program's listeners
}

// Reason says why there is no connection.
type Reason uint8

// What a program can be told. Its connect fails with ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, or ETIMEDOUT when its patience ends.
const (
	Refused Reason = iota
	HostUnreachable
	NetUnreachable
	TimedOut
)

// String names it.
func (r Reason) String() string {
	names := [...]string{"refused", "host unreachable", "network unreachable", "timed out"}
	if int(r) < len(names) {
		return names[r]
	}
	return "unknown"
}

// A Socket is what the kernel knows of a TCP socket of the program (sock_diag(7)).
type Socket struct {
	Local, Remote netip.AddrPort // Remote is zero for a listener
	Cookie        uint64         // by which the kernel tells sockets apart
	Inode         uint32         // as in the names of /proc/PID/fd; 0 = no process has it
	UID           uint32         // of whoever made it
}
