package recovery

import "github.com/seed51309289/quiver/hook"

// Flag says what a sent packet is.
type Flag uint16

// Flags of a sent packet. HasStream and FIN are the core's own: the detector carries them and never looks at them.
const (
	AckEliciting Flag = 1 << iota // holds a frame other than ACK, PADDING, CONNECTION_CLOSE
	InFlight                      // counts against the congestion window: ack-eliciting, or holds PADDING (RFC 9002 §2)
	MTUProbe                      // path MTU probe: its loss is not congestion (RFC 9000 §14.4)
	PathProbe                     // holds PATH_CHALLENGE or PATH_RESPONSE
	ECT                           // left with the ECT(0) mark
	HasStream                     // Stream, Offset and Len name a range of a stream
	FIN                           // that range ends the stream
	Core1                         // two more bits for the core
	Core2

	// State of a ring entry.
	outstanding Flag = 1 << 12
	acked       Flag = 1 << 13
	lost        Flag = 1 << 14
	skipped     Flag = 1 << 15
	stateMask        = outstanding | acked | lost | skipped
)

// Sent is what is remembered of a sent packet until its fate is known. Stream, Offset, Extra and Len are content: written and read by the
// core, opaque here. The struct is 40 bytes; a packet costs no other memory.
type Sent struct {
	At             hook.Instant
	Stream, Offset uint64
	Extra          uint32
	Len            uint16
	Size           uint16 // bytes of UDP payload it took, its share of a coalesced datagram
	Flags          Flag
	Path           uint8  // PathConfig.ID of the path it left on
	load           uint32 // bytes in flight on that path once it had left
}

// Fates learns what became of packets. The detector calls it synchronously, in ascending order of packet numbers, acknowledged packets
// before lost ones. p is valid during the call only. An implementation must not call back into the Detector.
type Fates interface {
	PacketAcked(space SpaceID, pn uint64, p *Sent)
	PacketLost(space SpaceID, pn uint64, p *Sent)
}
