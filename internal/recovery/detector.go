package recovery

import (
	"errors"
	"time"

	"github.com/seed51309289/quiver/hook"
)

// Limits of a Detector.
const (
	MaxTracked = 1 << 16 // packets between the oldest of unknown fate and the newest, per space
	MaxPaths   = 8       // paths a connection may have packets in flight on
)

// ErrUnsent is what errors.Is finds in the error of an acknowledgment of a packet that was never sent, whether its number was
// skipped on purpose or not yet reached. It means PROTOCOL_VIOLATION (RFC 9000 §13.1).
var ErrUnsent = errors.New("acknowledgment of a packet never sent")

// ECNCounts are the totals of an ACK frame's ECN section.
type ECNCounts struct{ ECT0, ECT1, CE uint64 }

// Config says what a Detector must know from the start.
type Config struct {
	Client      bool
	MaxAckDelay time.Duration // the peer's max_ack_delay; 0 = 25 ms until SetMaxAckDelay
}

// Detector is a sketch.
type Detector struct{ path *Path }

type AckResult struct {
	NewlyAcked     int
	AckedEliciting bool
	LargestAcked   uint64
	Lost           int
	RTTSampled     bool
}

type Probe struct {
	Space SpaceID
	Count int
}

func NewDetector(cfg Config, path *Path) *Detector                            { return &Detector{path: path} }
func (d *Detector) Path() *Path                                               { return d.path }
func (d *Detector) SetPath(p *Path)                                           {}
func (d *Detector) AddPath(p *Path)                                           {}
func (d *Detector) NextNumber(space SpaceID) uint64                           { return 0 }
func (d *Detector) SkipNumber(space SpaceID)                                  {}
func (d *Detector) LargestAcked(space SpaceID) (uint64, bool)                 { return 0, false }
func (d *Detector) CanTrack(space SpaceID) bool                               { return true }
func (d *Detector) OnSent(now hook.Instant, space SpaceID, pn uint64, p Sent) {}
func (d *Detector) OnAck(now hook.Instant, space SpaceID, ranges []Range, ackDelay time.Duration, ecn *ECNCounts, fates Fates) (AckResult, error) {
	return AckResult{}, nil
}
func (d *Detector) Deadline() hook.Instant                                  { return 0 }
func (d *Detector) OnTimeout(now hook.Instant, fates Fates) Probe           { return Probe{} }
func (d *Detector) PTO(space SpaceID) time.Duration                         { return 0 }
func (d *Detector) PTOCount() int                                           { return 0 }
func (d *Detector) Budget(now hook.Instant) (bytes int, retry hook.Instant) { return 0, 0 }
func (d *Detector) OnAppLimited()                                           {}
func (d *Detector) Outstanding(space SpaceID, from uint64) (pn uint64, p *Sent, ok bool) {
	return 0, nil, false
}
func (d *Detector) ElicitingInFlight(space SpaceID) bool { return false }
func (d *Detector) Discard(space SpaceID, fates Fates)   {}
func (d *Detector) OnRetry(fates Fates)                  {}
func (d *Detector) SetHandshakeConfirmed()               {}
func (d *Detector) SetHasHandshakeKeys()                 {}
func (d *Detector) SetPeerAddressValidated(v bool)       {}
func (d *Detector) SetAmplificationBlocked(v bool)       {}
func (d *Detector) SetMaxAckDelay(v time.Duration)       {}
func (d *Detector) Trim()                                {}
