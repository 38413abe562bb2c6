package hook

import "time"

// Packets is what an extension with OpPacketBegin implements: it may have a frame ride along in packets. See also SentPayloads.
type Packets interface {
	// BeginPacket is called before frames are put into a 1-RTT or 0-RTT packet, which may stay empty and not be sent; p.Reserve and p.Ride are 0 and -1.
	BeginPacket(p *PacketPlan)
	// WriteRide writes the body of the frame that BeginPacket asked for to b and returns its length; 0 = not this time. It is called at most once
	// per packet, when all other frames are there.
	WriteRide(frame uint8, b []byte, p *PacketPlan) int
}

// SentPayloads sees what leaves: OpSendPayload, and Info.Payload must be set.
type SentPayloads interface {
	// SendPayload sees the frames of a packet that is about to be sealed, without ACK frames, PADDING and frames that ride along. It must not change them.
	SendPayload(p *SentPayload)
}

// SentPayload is the content of a packet of ours.
type SentPayload struct {
	Now     Instant
	Packet  uint64
	Path    uint8
	Early   bool   // a 0-RTT packet
	Streams bool   // there is stream data among the frames
	Plugin  bool   // there are reserved frames of extensions among them
	Rode    bool   // a frame of this extension rides along
	Waiting uint64 // as FieldSendQueue
	Frames  []byte // valid during the call
}

// ReceivedDatagrams is told of datagrams that arrived: OpReceiveDatagram.
type ReceivedDatagrams interface {
	ReceiveDatagram(d *ReceivedDatagram)
}

// ReceivedDatagram is a UDP datagram that arrived.
type ReceivedDatagram struct {
	Now    Instant
	Path   uint8
	ECN    uint8 // the two ECN bits
	Bytes  int
	Socket int // the driver's number for it
}

// ReceivedPayloads sees what arrives: OpReceivePayload, and Info.Payload must be set.
type ReceivedPayloads interface {
	// ReceivePayload sees all frames of a 1-RTT packet before they are processed. It must not change them.
	ReceivePayload(p *ReceivedPayload)
}

// ReceivedPayload is the content of a packet of the peer.
type ReceivedPayload struct {
	Now    Instant
	Packet uint64
	Path   uint8
	Frames []byte // valid during the call
}

// ReceivedPackets is told of packets that were processed: OpReceiveDone.
type ReceivedPackets interface {
	ReceiveDone(p *ReceivedPacket)
}

// ReceivedPacket is a 1-RTT packet of the peer.
type ReceivedPacket struct {
	Now          Instant
	Packet       uint64
	Path         uint8
	ECN          uint8
	Bytes        int // of UDP payload
	AckEliciting bool
}

// SentPackets is told of packets that leave: OpPacketSent.
type SentPackets interface {
	PacketSent(p *SentPacket)
}

// SentPacket is a 1-RTT or 0-RTT packet of ours.
type SentPacket struct {
	Now                   Instant
	Packet                uint64
	Path                  uint8
	Bytes                 int  // of UDP payload
	InFlight              int  // bytes in flight on the path, with it
	AckEliciting, Counted bool // counted: in flight
}

// AckedPackets is told of packets that the peer acknowledged: OpPacketAcked.
type AckedPackets interface {
	PacketAcked(p *PacketFate)
}

// LostPackets is told of packets that were declared lost: OpPacketLost.
type LostPackets interface {
	PacketLost(p *PacketFate)
}

// PacketFate is a 1-RTT or 0-RTT packet of ours of which news came.
type PacketFate struct {
	Now    Instant
	Packet uint64
	Path   uint8
	Bytes  int
	Sent   Instant
}

// RTTSamples is told of measured round-trip times: OpRTTSample.
type RTTSamples interface {
	RTTSampled(now Instant, path uint8, rtt *RTT, ackDelay time.Duration)
}
