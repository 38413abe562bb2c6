package hook

import "time"

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
	MaxDelay  time.Duration // the max_ack_delay we told the peer
}
