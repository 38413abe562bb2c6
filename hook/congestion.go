package hook

import "time"

// Congestion is a congestion controller: it answers one question, how many bytes may be in flight on one network path, from four kinds of
// news. One value serves one path. The order of calls for one acknowledgment is Lost (at most once), then Acked (at most once).
//
// Sizes are whole UDP payloads. Only packets that count as in flight (RFC 9002 §2) are reported; probes for the path's maximum datagram size
// are reported when sent and acknowledged but never as lost (RFC 9000 §14.4).
type Congestion interface {
	// Name returns the name under which a configuration asks for this controller, in lower case.
	Name() string
	// Sent tells that a packet of bytes left at now; inFlight is the sum in flight with this packet in it.
	Sent(now Instant, bytes, inFlight int)
	// Acked tells what one received acknowledgment newly acknowledged. e is valid during the call only.
	Acked(e *Acked)
	// Lost tells that packets were declared lost, or that the network marked packets "congestion experienced" (e.CE).
	// e is valid during the call only.
	Lost(e *Lost)
	// MTUChanged tells the largest datagram the path is now known to carry, in bytes.
	MTUChanged(size int)
	// Window returns how many bytes may be in flight. The connection treats less than two full datagrams as two.
	Window() int
	// PacingRate returns the sending rate in bytes per second; 0 leaves it to the pacer, which derives it from the window and the
	// smoothed round-trip time.
	PacingRate() uint64
}

// CongestionConfig is what a new controller is told.
type CongestionConfig struct {
	// DatagramSize is the largest datagram that the path is known to carry, in bytes; MTUChanged tells when it grows.
	DatagramSize int
	// Path numbers the paths that a connection has at one time, from 0.
	Path uint8
}

// SlowStarter is an optional part of a Congestion: the pacer doubles the rate it derives while InSlowStart is true, since a window that
// doubles every round trip must be able to leave in half of one.
type SlowStarter interface {
	InSlowStart() bool
}

// LossUndoer is an optional part of a Congestion that can take back its last reaction to loss.
type LossUndoer interface {
	// UndoLoss tells that every packet of the last episode of loss arrived after all: it was reordering. An episode is what was sent before the
	// first of its losses was declared; one in which the network marked packets, or with persistent congestion, is never taken back.
	UndoLoss(now Instant)
}

// Resumer is an optional part of a Congestion that can begin where an earlier connection over the same path stood (RFC 9959).
type Resumer interface {
	// Resume sets the window to bytes that the path was just seen to carry. threshold, if not 0, is where slow start must end: more than that
	// the path did not carry.
	Resume(now Instant, window, threshold int)
}

// SavedPath is what is known of a path from an earlier connection to the same peer.
type SavedPath struct {
	RTT    time.Duration // least round-trip time
	Window int           // bytes that arrived within a round trip
	When   time.Time     // when it was measured
}

// RTT is the state of a path's round-trip time estimate (RFC 9002 §5). While HasSample is false Smoothed and Var hold the initial values
// and Latest and Min are 0.
type RTT struct {
	Latest, Smoothed, Var, Min time.Duration
	HasSample                  bool
}

// Acked is what one acknowledgment newly acknowledged on one path.
type Acked struct {
	Now           Instant
	Bytes         int     // newly acknowledged bytes that were in flight
	LargestSent   Instant // when the newly acknowledged packet with the largest number was sent
	PriorInFlight int     // bytes in flight just before this acknowledgment, losses it revealed included
	InFlight      int     // bytes in flight now
	TxInFlight    int     // bytes in flight when the packet that left at LargestSent had left, with it
	LostSince     int     // bytes declared lost on this path since then
	Packets       int     // newly acknowledged packets
	CE            int     // packets that this acknowledgment newly reports as marked "congestion experienced"
	AppLimited    bool    // in the last round trip the application, not the window or the pacer, held the sender back
	RTT           RTT     // after this acknowledgment's sample, if it gave one
	RTTSampled    bool    // this acknowledgment gave RTT.Latest
	Round         uint64  // round trips begun on this path, from 1; it grows when a packet sent after the last growth is acknowledged
	Rate          Rate
}

// Rate is a delivery rate sample: Bytes were delivered in Interval, the longer of the time it took to send them and the time it took to
// acknowledge them. Interval is 0 when there is no sample: also when it would be shorter than the least round-trip time, since acknowledgments
// that come in a bunch say nothing about the bottleneck.
type Rate struct {
	Delivered  uint64 // bytes acknowledged on this path since its beginning
	Bytes      uint64 // bytes delivered over Interval
	Interval   time.Duration
	AppLimited bool // part of these bytes left while the application had nothing more to send
}

// Lost is what one loss detection declared lost on one path, or one increase of the path's count of ECN-CE marks.
type Lost struct {
	Now         Instant
	Bytes       int     // bytes lost; 0 with CE
	Packets     int     // packets lost; 0 with CE
	Runs        int     // runs of consecutive packet numbers among them
	LargestSent Instant // when the newest lost packet was sent (with CE: the newest acknowledged packet)
	InFlight    int     // bytes in flight after the lost bytes left it
	TxInFlight  int     // bytes in flight when the packet that left at LargestSent had left, with it
	LostSince   int     // bytes declared lost on this path since then, Bytes included
	AppLimited  bool    // that packet left while the application had nothing more to send
	Persistent  bool    // persistent congestion (RFC 9002 §7.6): the window falls to its minimum
	CE          bool    // the network marked instead of dropping: nothing was lost
}
