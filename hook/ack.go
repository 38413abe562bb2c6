package hook

import "time"

// DeferAck is the answer of an extension's AckPolicy that leaves the decision to the next one, and at last to the built-in policy.
const DeferAck Instant = -1

// AckPolicy decides when the 1-RTT packets received so far are acknowledged. It is asked once per train of datagrams, after the whole train
// was processed, and only while an acknowledgment is owed. Initial and Handshake packets are always acknowledged at once and never get here.
type AckPolicy interface {
	// AckAt returns when an ACK frame must leave: at or before s.Now means at once. The connection never waits longer than s.MaxDelay after
	// s.Oldest, whatever the answer (RFC 9000 §13.2.1). s is valid during the call only.
	AckAt(s *AckState) Instant
}

// AckState is what is owed to the peer when a policy is asked.
type AckState struct {
	Now       Instant
	Oldest    Instant       // arrival of the oldest ack-eliciting packet not yet acknowledged
	Eliciting int           // ack-eliciting packets received since the last ACK frame was sent
	Reordered bool          // one of them came out of order or left a new gap
	CE        bool          // one of them carried the ECN-CE mark
	Threshold int           // so many packets are to be acknowledged at once: 2, or what the peer asked for
	MaxDelay  time.Duration // the max_ack_delay we told the peer, or what it asked for
}

// AckRequester is an optional part of an AckPolicy: it decides what we ask of the peer's acknowledgments, if the peer can be asked
// (draft-ietf-quic-ack-frequency). A policy without it leaves the peer alone.
type AckRequester interface {
	// RequestAcks is asked after each acknowledgment received, unless a request is under way, and returns what the peer is to do from now on;
	// s.Last changes nothing. s is valid during the call only.
	RequestAcks(s *SendState) AckRequest
}

// SendState is what an AckRequester knows.
type SendState struct {
	Window             int           // congestion window in bytes
	DatagramSize       int           // bytes of a full datagram
	RTT                RTT           // of the path in use
	Reordering         int           // after so many later packets we take one for lost
	MinDelay, MaxDelay time.Duration // the least the peer can keep, and what it announced to keep unasked
	Last               AckRequest    // what was asked last, or what the peer does unasked
}

// AckRequest is what a peer is asked to do. It may acknowledge more often.
type AckRequest struct {
	Threshold  int           // acknowledge at once as soon as so many packets wait; at least 1
	MaxDelay   time.Duration // … or the oldest has waited so long
	Reordering int           // … or a missing packet is followed by one whose number is so much larger; 0 = however much
}
