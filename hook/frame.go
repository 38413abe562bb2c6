package hook

import "time"

// FrameDecl declares one type of an extension's own frames. On the wire a frame is its type, which the connection chose when the extension was
// agreed on, the length of the body, and the body.
type FrameDecl struct {
	Name         string
	AckEliciting bool // it wants an acknowledgment, and counts in flight
	// InFlight must be true if AckEliciting is. Frames without it are sent whatever the congestion window says, in at most two packets a
	// round trip that carry nothing else in flight. A packet that is in flight for such frames alone gets a PING, so that it leaves flight.
	InFlight  bool
	RideAlong bool // written by Packets only, at the end of packets that carry something else; body at most MaxRideAlong bytes
	Early     bool // may travel in 0-RTT packets
	MaxLen    int  // bytes of the largest body; at most MaxFrameBody
}

// Frames is what an extension with frames of its own implements: OpFrameProcess, OpFrameWrite, OpFrameFate.
type Frames interface {
	// ProcessFrame takes a frame of the peer's half. f is valid during the call.
	ProcessFrame(f *ReceivedFrame) Verdict
	// WriteFrame writes the body of a reserved frame to b, whose length is the room, and returns how many bytes it wrote. 0 drops the
	// reservation, Defer keeps it for another packet. The room is Reservation.Size, unless no packet of the path has as much.
	WriteFrame(t Token, b []byte, p *PacketPlan) int
	// FrameFate tells what became of a frame that was written, once: Acked, FrameLost or Dropped. Lost frames are not sent again unless they
	// are reserved again. Frames that elicit no acknowledgment have no fate. rtt is the time from sending to acknowledgment, 0 without one.
	FrameFate(t Token, fate Fate, rtt time.Duration)
}

// Defer is the answer of a hook that leaves the decision to the next one, and at last to the core.
const Defer = -1

// Token names a reservation, and the frame that was written for it. 0 is none.
type Token uint32

// Reservation asks for room for one frame.
type Reservation struct {
	Frame  uint8 // index in Info.Frames
	Size   int   // bytes of the largest body it may have; at most FrameDecl.MaxLen
	Urgent bool  // before the reservations that are not
	Wait   bool  // it may wait until something else is sent
}

// Verdict is what became of a received frame.
type Verdict uint8

// Verdicts on received frames.
const (
	FrameTaken     Verdict = iota
	FrameIgnored           // it came too late, or says nothing new
	FrameMalformed         // the peer's half is broken: the extension is detached, the connection goes on
)

// Fate is what became of a sent frame.
type Fate uint8

// The fates of sent frames.
const (
	FrameAcked   Fate = iota
	FrameLost         // its packet was declared lost
	FrameDropped      // nobody will ever know: the connection ended, or 0-RTT was rejected
)

// ReceivedFrame is a frame of an extension that arrived.
type ReceivedFrame struct {
	Now    Instant
	Packet uint64 // number of the packet it came in
	Path   uint8
	Index  uint8  // in Info.Frames
	Body   []byte // valid during the call
	// Before holds the frames of the packet that come before this one, without leading ACK frames, if the frame rides along and Info.Payload
	// is set; else nil. It is what the sender's SendPayload saw. Valid during the call.
	Before []byte
}

// PacketPlan is a 1-RTT packet of ours that is being filled.
type PacketPlan struct {
	Now      Instant
	Packet   uint64 // its number
	Path     uint8
	Room     int    // bytes that frames may take, that are not there yet
	InFlight int    // bytes in flight on the path, without this packet
	Window   int    // congestion window of the path
	Waiting  uint64 // as FieldSendQueue
	Early    bool   // a 0-RTT packet
	// Frames are those that the packet carries, in WriteRide if Info.Payload is set: what SendPayload would see, and the peer finds in
	// ReceivedFrame.Before. They must not be changed, and are valid during the call.
	Frames  []byte
	Streams bool // in WriteRide: there is stream data among the frames

	// Packets.BeginPacket may set these.
	// Both are done as far as the packet has room beside what waits and cannot be cut, such as a DATAGRAM frame of the largest size.
	Reserve int // bytes to leave free at the end of the packet; at most MaxReserve. A reserved frame of the same extension may take them
	Ride    int // index of a frame to append once the packet carries something that was not an ACK; -1 = none
	// Train says that the answer is that for all packets that leave in one go with this one, and are as long: BeginPacket is not called for them.
	Train bool
	// Above is for who has no use for packets while much waits: BeginPacket is not called while more than so many bytes wait, and nothing is
	// kept free then. It counts from the next packet until BeginPacket is called again; 0 = it is called for all.
	Above uint64
}

// MaxReserve is how many bytes of each packet an extension may keep free: what a ride-along frame, or the head of a repair packet, takes.
const MaxReserve = 64
