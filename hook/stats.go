package hook

import "time"

// ExtensionStats is what an extension of a connection did and cost. Counts only grow.
type ExtensionStats struct {
	ID, Version string
	Digest      [32]byte // zero for native code
	Active      bool     // frames of its own may be sent
	Detached    bool     // it is over; Why and Err say why
	Why         DetachReason
	Err         error

	FramesReserved, FramesWritten, FramesAcked, FramesLost uint64
	FramesReceived, FramesIgnored                          uint64
	BytesWritten                                           uint64        // of its frames, with their heads
	Starved                                                time.Duration // reservations waited although packets left
	Recovered, Delivered                                   uint64        // packets
	Emitted, Dropped                                       uint64        // news for the application; dropped: beyond a limit
	Usage
	Metrics []Metric
}

// Metric is one number that an extension keeps.
type Metric struct {
	Name, Unit string
	Value      int64
}

// Usage is what running an extension took.
type Usage struct {
	Calls   uint64
	Faults  uint64
	Fuel    uint64 // instructions
	MaxFuel uint64 // of the most expensive call
	Memory  int    // bytes it holds now
}

// Meter is an optional part of an Extension that knows what it costs.
type Meter interface {
	Usage() Usage
}
