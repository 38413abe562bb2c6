package dissect

import (
	"net/netip"
	"time"

	"github.com/seed51309289/quiver/internal/wire"
)

// Limits of what one trace may make us keep.
const (
	maxDatagrams       = 1 << 21 // limit: QUIC datagrams in one trace
	maxConns           = 1 << 14 // limit: connections in one trace
	maxConnIDs         = 1 << 10 // limit: connection IDs of one connection
	maxPairConns       = 16      // limit: connections remembered for one pair of addresses
	maxInitialIDs      = 8       // limit: connection IDs that Initial keys may come from, for one connection
	maxFramesPerPacket = 2048    // limit: frames kept of one packet
	maxAckRanges       = 256     // limit: ranges kept of one ACK frame
	maxWaitingPackets  = 1 << 13 // limit: packets that wait for their keys
	maxWaitingBytes    = 1 << 24 // limit: bytes of packets that wait for their keys
	maxCryptoBytes     = 1 << 17 // limit: CRYPTO bytes reassembled for one direction and level
	maxCryptoGaps      = 256     // limit: disjoint pieces of CRYPTO data, for one direction and level
	maxMessages        = 256     // limit: TLS messages kept of one connection
	maxKeyLogLines     = 1 << 17 // limit: secrets read from key logs
	maxGenerations     = 1 << 12 // limit: key updates followed, for one direction
	maxResetTokens     = 1 << 14 // limit: stateless reset tokens in one trace
	maxOffers          = 256     // limit: plugins offered that are remembered, for one direction
	maxWarnings        = 64      // limit: warnings kept
)

// Trace is the index of one capture file. It is not changed once returned, so
// that many goroutines may read it.
type Trace struct {
	Start     time.Time  // when the first frame of the file was captured
	Frames    int        // frames in the file, of any protocol
	Datagrams []Datagram // limit: maxDatagrams
	Conns     []*Conn    // limit: maxConns
	Truncated bool       // the file ends within a frame
	Warnings  []string   // what could not be read, for people; limit: maxWarnings
}

// Datagram is one UDP datagram from or to a QUIC port.
type Datagram struct {
	Frame    int           // number of its frame in the file, 1-based
	Time     time.Duration // since Trace.Start
	Src, Dst netip.AddrPort
	ECN      uint8    // the two ECN bits: 0 Not-ECT, 1 ECT(1), 2 ECT(0), 3 CE
	Size     int      // UDP payload, bytes
	Comment  string   // the frame's comment in a pcapng file
	Packets  []Packet // bounded by the datagram
	// Trailing is how many bytes at the end belong to no packet, and Note says
	// what they are.
	Trailing int
	Note     string
	// Strange is the long header of a version that is not known, with which
	// the datagram begins; nil for others.
	Strange *Strange
}

// Strange is what a long header says whatever its version (RFC 8999 §5.1).
type Strange struct {
	Version    wire.Version
	DCID, SCID []byte
}

// IPv6 reports whether the datagram travelled in IPv6.
func (d *Datagram) IPv6() bool { return d.Src.Addr().Is6() }

// Packet is one QUIC packet, of which a datagram holds one or more.
type Packet struct {
	Type       wire.PacketType
	Version    wire.Version // of a long header; of its connection for a short one
	DCID, SCID []byte
	Token      []byte         // of Initial and Retry packets
	Versions   []wire.Version // bounded by the packet
	// Number is the packet number, -1 while it is unknown.
	Number   int64
	KeyPhase bool // of a decrypted 1-RTT packet
	Size     int  // bytes, header and tag included
	// PayloadSize is what follows the packet number, tag included. For a long
	// header that was not decrypted it counts the packet number too; for such
	// a short one it is 0.
	PayloadSize int
	// Decrypted says that the packet authenticated. A Retry packet does when
	// its integrity tag is right; Version Negotiation never does.
	Decrypted bool
	Note      string // why it was not decrypted, or what is wrong with its frames
	Conn      *Conn  // nil when it is not known
	// FromClient has a meaning only when Conn is known.
	FromClient bool
	Frames     []Frame
}

// Frame is a copy of one frame without the stream data. Only the fields named
// for its type have a meaning.
type Frame struct {
	Type     wire.FrameType // STREAM and ACK keep their flag bits
	Fin      bool           // STREAM
	Length   int            // bytes of data of STREAM, CRYPTO, NEW_TOKEN, plugins and reason phrases; of PADDING
	Seen     int            // CRYPTO: how many of the bytes an earlier packet of this trace carried
	StreamID uint64
	Offset   uint64 // STREAM, CRYPTO, PLUGIN_DATA; the final size of RESET_STREAM; the first type of a plugin's frames
	Limit    uint64 // MAX_… and …_BLOCKED; how many types of frames a plugin has
	Code     uint64 // RESET_STREAM, STOP_SENDING, CONNECTION_CLOSE
	Sequence uint64 // NEW_CONNECTION_ID, RETIRE_CONNECTION_ID
	Retire   uint64 // NEW_CONNECTION_ID: retire prior to
	Culprit  wire.FrameType
	Data     []byte // connection ID of NEW_CONNECTION_ID, 8 bytes of PATH_…, token, reason phrase; name and version of a plugin offered
	Local    uint64 // number of a plugin, in PLUGIN_… frames
	Status   uint64 // PLUGIN_ANSWER
	// Plugin is the name of the plugin of which a frame is the one with index
	// Code, if its offer is in the trace.
	Plugin string
	Ack    *Ack // ACK
}

// Ack is the content of an ACK frame.
type Ack struct {
	Delay  uint64          // as on the wire
	Ranges []wire.AckRange // largest first, at most 256
	ECN    *wire.ECNCounts // nil without counts
}

func (t *Trace) warn(s string) {
	if len(t.Warnings) < maxWarnings {
		t.Warnings = append(t.Warnings, s)
	}
}
