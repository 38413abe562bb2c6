package hook

import (
	"errors"
	"time"
)

// Extension is what can be attached to one connection at run time: native Go, or an instance of a WebAssembly plugin. One value serves one
// connection, which calls it under its own lock.
//
// What it does beyond this it says in Info.Hooks, and implements as the interfaces of this package: Frames, Packets, AckPolicy and the rest.
// Attaching fails if it names a hook whose interface it lacks.
//
// During a call it may ask for things through its Conn. Such wishes are checked at once and done after the call.
type Extension interface {
	// Info describes it. The connection reads it once.
	Info() *Info
	// Attach begins: conn is valid until Detach returns. An error means that nothing was attached.
	Attach(conn Conn, at *AttachState) error
	// Detach ends, in the last call. Unless the extension failed, it was told before that its frames of unknown fate are dropped.
	Detach(why DetachReason)
}

// Info describes an extension.
type Info struct {
	ID          string   // reverse domain name; at most MaxIDLen bytes
	Version     string   // semantic version
	Digest      [32]byte // identity of a plugin's package; zero for native code
	Mode        Mode
	Hooks       []HookDecl
	Frames      []FrameDecl // its own frames, by index; at most MaxFrames
	Metrics     []MetricDecl
	Permissions Permission
	Payload     bool // it may see the content of packets: OpReceivePayload, OpSendPayload, ReceivedFrame.Before
	Weight      int  // share of its frames in the connection's bytes, relative to other extensions; 0 = 1
	Limits      Limits
}

// HookDecl is one hook of an extension.
type HookDecl struct {
	Op     Op
	Anchor Anchor
	Order  int  // among the hooks of several extensions at the same place, lower first; equal: in the order of attaching
	Chain  bool // it may defer, and shares the operation with others that may (Op.Shared)
}

// MetricDecl is a number that an extension keeps with Conn.Count.
type MetricDecl struct {
	ID         uint32
	Name, Unit string
	Gauge      bool // the last value counts, else the sum
}

// The bounds of every extension, whatever it declares.
const (
	MaxExtensions    = 8                // extensions of one connection
	MaxIDLen         = 100              // bytes of an ID
	MaxFrames        = 16               // frame types of one extension
	MaxTimers        = 16               // timers of one extension
	MaxReservations  = 64               // frames that wait to be written, of one extension
	MaxReservedBytes = 64 << 10         // their bytes
	MaxMetrics       = 32               // numbers that one extension counts
	MaxFrameBody     = 1450             // bytes of a frame without its type and length: with them it fills what Ethernet carries
	MaxRideAlong     = 16               // the same, of a frame that rides along
	MaxEmit          = 100              // Emit calls a second
	MaxEmitBytes     = 1024             // bytes of one
	MaxLogBytes      = 4 << 10          // bytes that Log takes a second
	MaxCallBytes     = 64 << 10         // answer to an application's call
	MaxEventBytes    = 1024             // bytes of one Event to the peer's half
	MinTimer         = time.Millisecond // a timer fires this long after it was set at the earliest
)

// Limits lowers the bounds for one extension. 0 = the bound itself.
type Limits struct {
	Timers, Reservations, ReservedBytes int
	Emit                                int // calls a second
	LogBytes                            int // bytes a second
}

// Permission is a set of things that an extension may ask of its Conn.
type Permission uint32

// The permissions.
const (
	MayReserve Permission = 1 << iota // Reserve, Cancel: frames of its own
	MayTimer                          // SetTimer, StopTimer
	MayEmit                           // Emit: news for the application
	MayCount                          // Count
	MayLog                            // Log
	MayRand                           // Rand
	MayGet                            // Get
	MayEvent                          // Event: messages to the peer's half
	MayRecover                        // Recovered, Delivered: packets that the network lost. Trust it as you trust the peer
	MayMath                           // the ABI's arithmetic on memory; costs nothing but time
)

var permissionNames = [...]string{"reserve", "timer", "emit", "count", "log", "rand", "get", "event", "recovered", "math"}

// String returns the name of a single permission.
func (p Permission) String() string {
	for i, name := range permissionNames {
		if p == 1<<i {
			return name
		}
	}
	return "several permissions"
}

// ParsePermission finds a permission by the name that manifests use.
func ParsePermission(name string) (Permission, bool) {
	for i, n := range permissionNames {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// Permissions returns all single permissions.
func Permissions() []Permission {
	all := make([]Permission, len(permissionNames))
	for i := range all {
		all[i] = 1 << i
	}
	return all
}

// AttachState is what an extension is told when it begins.
type AttachState struct {
	Now    Instant
	Server bool   // this end accepted the connection
	Config []byte // valid during the call
	State  State  // of the connection
}

// State is how far a connection has come.
type State uint8

// The states of a connection.
const (
	Handshaking State = iota
	Established       // the handshake is complete
	Confirmed         // both sides know that (RFC 9001 §4.1.2)
	Closing           // no more is sent but the reason for the close
	Drained           // nothing is left: told instead of Closing when nothing is sent at all. Extensions are detached in either
)

// DetachReason says why an extension ends.
type DetachReason uint32

// Why an extension is detached.
const (
	DetachClosed   DetachReason = iota // the connection ended
	DetachAsked                        // the application asked for it
	DetachPeer                         // the peer detached its half
	DetachFault                        // it failed
	DetachRejected                     // 0-RTT, for which it was attached, was rejected
)

var detachNames = [...]string{"connection ended", "application asked", "peer detached its half", "plugin failed", "0-RTT was rejected"}

// String says the reason.
func (r DetachReason) String() string {
	if int(r) < len(detachNames) {
		return detachNames[r]
	}
	return "unknown reason"
}

// Why the methods of a Conn refuse.
var (
	ErrPermission = errors.New("permission is missing")
	ErrLimit      = errors.New("limit is reached")
	ErrRange      = errors.New("argument is out of range")
	ErrInactive   = errors.New("the peer's half is not ready")
	ErrNoToken    = errors.New("no such reservation")
)

// Conn is what an extension may ask of its connection, from Attach to Detach, and during a call only. Every method needs its permission, and
// the hook that will answer it: Reserve OpFrameWrite, SetTimer OpTimer. The error is ErrPermission, also outside of a call, ErrLimit, ErrRange,
// ErrInactive or ErrNoToken, bare, since nobody may allocate here.
type Conn interface {
	// Reserve asks for room for a frame. When there is some, Frames.WriteFrame is called with the token.
	Reserve(r Reservation) (Token, error)
	// Cancel takes a reservation back that was not written yet.
	Cancel(t Token) error
	// SetTimer has Timers.Timer called with id at the time, once, and not before MinTimer from now. It replaces the timer of that id.
	SetTimer(id uint32, at Instant) error
	// StopTimer forgets a timer.
	StopTimer(id uint32) error
	// Rand fills p with random bytes.
	Rand(p []byte) error
	// Emit gives the application news. payload is copied.
	Emit(event uint32, payload []byte) error
	// Count adds to a declared metric, or sets it if it is a gauge.
	Count(metric uint32, n int64) error
	// Log writes a line to the connection's log. text is copied.
	Log(text []byte) error
	// Event sends a message to the peer's half of the extension, reliably and in order. payload is copied.
	Event(payload []byte) error
	// Get returns a number about a path (0 = the one in use); unknown fields are ErrRange.
	Get(f Field, path uint8) (uint64, error)
	// Recovered hands in the frames of a packet of the peer that did not arrive. They are processed as if they had, once, but not acknowledged.
	// Only frames that repeat without harm may be among them; payload is copied. ErrRange also means that the packet arrived, or was recovered
	// before. If the frames break the protocol, the extension has failed.
	Recovered(path uint8, pn uint64, payload []byte) error
	// Delivered says that the peer has the content of a packet of ours although the packet was lost: nothing of it is sent again. To congestion
	// control it stays lost. ErrRange also means that the packet's fate is known, and that it is not among those that were lost lately.
	Delivered(path uint8, pn uint64) error
	// Fault says that the extension cannot go on: it is detached after the call, with err as the cause.
	Fault(err error)
}

// Field is a number that Conn.Get tells.
type Field uint32

// The fields. Times are nanoseconds, sizes bytes.
const (
	FieldNow           Field = iota // the connection's clock
	FieldSmoothedRTT                // RFC 9002 §5.3; 333 ms before a sample
	FieldMinRTT                     // 0 before a sample
	FieldLatestRTT                  // 0 before a sample
	FieldRTTVar                     // RFC 9002 §5.3
	FieldWindow                     // congestion window
	FieldInFlight                   // bytes in flight
	FieldPacingRate                 // bytes a second; 0 = not limited
	FieldDatagramSize               // largest datagram that the path carries
	FieldSendQueue                  // bytes that wait to be sent for the first time, of the MaxReady streams that have waited longest
	FieldPacketsSent                // of the connection
	FieldPacketsLost                // of the connection
	FieldBytesSent                  // of the connection, UDP payload
	FieldBytesReceived              // of the connection, UDP payload
	FieldPacketsAcked               // of the connection
	FieldOldestPacket               // number of the first 1-RTT or 0-RTT packet that elicits an acknowledgment and of which no news came; if there is none, of the next one
	NumFields
)

// Timers is how an extension with OpTimer learns that a timer passed.
type Timers interface {
	Timer(now Instant, id uint32)
}

// States is how an extension with OpStateChanged follows the connection.
type States interface {
	StateChanged(from, to State)
}

// Callee is how an extension with OpAppCall answers the application.
type Callee interface {
	// AppCall appends its answer to out, at most MaxCallBytes, and returns that. in is valid during the call.
	AppCall(op uint32, in, out []byte) ([]byte, error)
}

// EventTaker is how an extension with OpTakeEvent takes what the peer's half sent with Conn.Event.
type EventTaker interface {
	TakeEvent(payload []byte) // valid during the call
}
