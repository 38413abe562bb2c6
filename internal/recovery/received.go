package recovery

import (
	"time"

	"github.com/seed51309289/quiver/hook"
)

// MaxAckRanges bounds the ranges remembered and reported.
const MaxAckRanges = 32

// Received remembers which packets of one space arrived.
type Received struct{}

// Init prepares r for a space; policy nil = built in; maxDelay 0 = 25ms.
func (r *Received) Init(space SpaceID, maxDelay time.Duration, policy hook.AckPolicy) {}
func (r *Received) Duplicate(pn uint64) bool                                          { return false }
func (r *Received) Add(now hook.Instant, pn uint64, ackEliciting bool, ecn uint8)     {}
func (r *Received) Largest() (uint64, bool)                                           { return 0, false }
func (r *Received) LargestTime() hook.Instant                                         { return 0 }
func (r *Received) WantAck(now hook.Instant) bool                                     { return false }
func (r *Received) HasAck() bool                                                      { return false } // something to report at all
func (r *Received) Pending() bool                                                     { return false } // an ack-eliciting packet is unacknowledged: add an ACK to any packet that leaves
func (r *Received) AckDeadline() hook.Instant                                         { return 0 }
func (r *Received) Ranges(dst []Range) []Range                                        { return dst }
func (r *Received) ECN() ECNCounts                                                    { return ECNCounts{} }
func (r *Received) AckSent(now hook.Instant)                                          {}
func (r *Received) PruneBelow(pn uint64)                                              {}
