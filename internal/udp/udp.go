package udp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// MaxTrainSize is the most that one system call can send, as a train or as one datagram, in bytes: 65535 less 20 of
// IPv4 and 8 of UDP header. It is the right size for a buffer in which trains are built.
const MaxTrainSize = 65507

const (
	maxSegments = 64 // datagrams in one GSO send; Linux's UDP_MAX_SEGMENTS where it is smallest

	// readBuffer is the size of one receive buffer in bytes. A train may hold 64 KiB, and whatever does not fit is
	// thrown away by the kernel without a word but MSG_TRUNC, so smaller buffers look like loss.
	readBuffer = 64 << 10

	defaultSocketBuffer = 7 << 20 // bytes; a few milliseconds at 10 Gbit/s, the size other stacks ask for
)

// Conn sends and receives trains of UDP datagrams. One goroutine at a time may call Read; any number may call the
// other methods, also while Read blocks.
type Conn interface {
	// Read waits for at least one datagram, stores up to len(trains) trains that are there already and returns how
	// many. Their buffers belong to the Conn and hold until the next Read. After Close the error is net.ErrClosed,
	// after the deadline os.ErrDeadlineExceeded. ICMP errors and truncated datagrams are not errors of Read.
	Read(trains []Train) (n int, err error)

	// Write sends buf as datagrams of segment bytes each, the last one with what is left; segment <= 0 or >= len(buf)
	// makes one datagram, so an empty buf is one empty datagram. from is the source address, invalid for the
	// kernel's choice; ecn is the codepoint 0..3 of RFC 3168 §5. buf is not kept, and it may exceed what
	// MaxSegments says: then it takes several system calls.
	//
	// An error says that some datagrams, from some point on, have not left. It wraps ErrTooBig where segment exceeds
	// the link, ErrTransient where only these datagrams are lost, net.ErrClosed after Close.
	Write(buf []byte, segment int, to netip.AddrPort, from netip.Addr, ecn uint8) error

	// LocalAddr returns the bound address; zero if the Conn under it has no IP address.
	LocalAddr() netip.AddrPort

	// MaxSegments returns how many datagrams one system call of Write carries at once: 1 without GSO, else 64, of
	// together at most MaxTrainSize bytes. It may fall to 1 when a Write finds that GSO does not work.
	MaxSegments() int

	// SetReadDeadline bounds Read, also one that blocks already; the zero time is no bound.
	SetReadDeadline(t time.Time) error

	// Close unblocks Read and Write, which return net.ErrClosed.
	Close() error
}

var (
	_ Conn = (*Socket)(nil)
	_ Conn = (*packetConn)(nil)
)

// Serve reads from c and calls handle with the trains that arrived, until reading fails; trains is where they are
// put. It is a loop around c.Read, but one that knows when asking the kernel once more is in vain. handle must not
// call c.Read.
func Serve(c Conn, trains []Train, handle func(arrived []Train)) error {
	if s, ok := c.(server); ok {
		return s.serve(trains, handle)
	}
	for {
		n, err := c.Read(trains)
		if err != nil {
			return err
		}
		handle(trains[:n])
	}
}

// server is a Conn that has a better loop than Serve's.
type server interface {
	serve(trains []Train, handle func(arrived []Train)) error
}

// Config sets up a Socket. The zero value turns everything on that the system has.
type Config struct {
	DisableGSO bool // send datagrams one by one; also QUIVER_DISABLE_GSO=1
	DisableGRO bool // receive datagrams one by one; also QUIVER_DISABLE_GRO=1
	DisableECN bool // neither set nor report ECN; also QUIVER_DISABLE_ECN=1

	ReceiveBuffer int // bytes of SO_RCVBUF; 0 = 7 MiB, negative = leave it as it is
	SendBuffer    int // bytes of SO_SNDBUF; 0 = 7 MiB, negative = leave it as it is

	// Unreachable is told, by whoever reads, of ICMP messages while Socket.Watch is on. Linux alone has them.
	Unreachable func(u *Unreachable)
}

// Stats says what a Socket got from the system and what happened to it since.
type Stats struct {
	GSO, GRO, ECN, PacketInfo bool // in force now

	GSOError      error  // the refusal that turned GSO off during a Write; nil if none did
	ReceiveBuffer int    // bytes granted of what Config asked for, 0 = unknown
	SendBuffer    int    // bytes granted of what Config asked for, 0 = unknown
	Truncated     uint64 // datagrams or trains cut by a short buffer and so dropped
	Overflow      uint64 // datagrams the kernel dropped since the receive buffer was full (as of the last one read)
}

// Listen opens a Socket on addr, "host:port" with an empty host for all addresses. network is "udp" (both families
// where addr allows), "udp4" or "udp6". ctx bounds looking up the host name.
func Listen(ctx context.Context, network, addr string, cfg Config) (*Socket, error) {
	switch network {
	case "udp", "udp4", "udp6":
	default:
		return nil, fmt.Errorf("udp: listen on network %q, want udp, udp4 or udp6", network)
	}
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("udp: %w", err)
	}
	s, err := New(pc.(*net.UDPConn), cfg)
	if err != nil {
		pc.Close()
		return nil, err
	}
	return s, nil
}

func (c Config) withEnv() Config {
	c.DisableGSO = c.DisableGSO || envTrue("QUIVER_DISABLE_GSO")
	c.DisableGRO = c.DisableGRO || envTrue("QUIVER_DISABLE_GRO")
	c.DisableECN = c.DisableECN || envTrue("QUIVER_DISABLE_ECN")
	return c
}

func envTrue(name string) bool {
	switch strings.ToLower(os.Getenv(name)) {
	case "", "0", "false", "no":
		return false
	}
	return true
}

// wantBuffer returns the bytes to ask for, 0 for none.
func wantBuffer(configured int) int {
	switch {
	case configured < 0:
		return 0
	case configured == 0:
		return defaultSocketBuffer
	}
	return configured
}
