package recovery

import (
	"time"

	"github.com/seed51309289/quiver/hook"
)

// PathConfig describes a new network path.
type PathConfig struct {
	ID         uint8           // below MaxPaths; Sent.Path refers to it
	Congestion hook.Congestion // nil = New("cubic", MTU.Base)
	InitialRTT time.Duration   // 0 = 333 ms
	NoECN      bool            // never mark packets
	MTU        MTUConfig
}

// MTUConfig bounds path MTU discovery.
type MTUConfig struct {
	Base int // bytes of UDP payload every path must carry; 0 = 1200
	Max  int // never larger, whatever the path carries; 0 = 1452, negative = discovery off
}

// Path is one network path.
type Path struct {
	RTT RTT
	MTU MTU
	ECN ECN
}
type RTT struct{}

func (r *RTT) Snapshot() hook.RTT      { return hook.RTT{} }
func (r *RTT) Latest() time.Duration   { return 0 }
func (r *RTT) Smoothed() time.Duration { return 0 }
func (r *RTT) Var() time.Duration      { return 0 }
func (r *RTT) Min() time.Duration      { return 0 }

type MTU struct{}

// Current returns the datagram size in use.
func (m *MTU) Current() int { return 1200 }

// Start enables probing (handshake confirmed).
func (m *MTU) Start(now hook.Instant) {}

// SetLimit lowers the largest size (peer's max_udp_payload_size, the socket).
func (m *MTU) SetLimit(size int) {}

// Probe returns the size of a probe to send now, 0 = none. Send PING+PADDING with MTUProbe set.
func (m *MTU) Probe(now hook.Instant) int { return 0 }

// LocalTooBig: the socket refused a datagram of size.
func (m *MTU) LocalTooBig(now hook.Instant, size int) {}

type ECN struct{}

// Mark returns the ECN codepoint for outgoing packets (0 or 2); set ECT in Sent.Flags when it is not 0.
func (e *ECN) Mark() uint8                                              { return 0 }
func NewPath(cfg PathConfig) *Path                                      { return &Path{} }
func (p *Path) ID() uint8                                               { return 0 }
func (p *Path) Congestion() hook.Congestion                             { return nil }
func (p *Path) SetCongestion(c hook.Congestion)                         {}
func (p *Path) BytesInFlight() int                                      { return 0 }
func (p *Path) Budget(now hook.Instant) (bytes int, retry hook.Instant) { return 0, 0 }

// New returns the built-in congestion controller of that name.
func New(name string, mss int) (hook.Congestion, error) { return nil, nil }
