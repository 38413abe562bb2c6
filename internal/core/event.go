package core

import "net/netip"

// EventKind is what an Event tells.
type EventKind uint8

// The events of a Conn.
const (
	EventEstablished  EventKind = iota // the handshake is complete: 1-RTT data may flow both ways
	EventEarly                         // server: early data is taken before the handshake is complete
	EventConfirmed                     // the handshake is confirmed (RFC 9001 §4.1.2)
	EventOpened                        // the peer opened Stream
	EventReadable                      // Stream has bytes, its end, or a reset to read
	EventWritable                      // Stream takes bytes again after a short Write
	EventStreams                       // the peer allows more streams; Uni says of which type
	EventDatagram                      // ReadDatagram has something
	EventDatagramRoom                  // SendDatagram has room again after DatagramRoom said no
	EventIDIssued                      // ID routes to this connection from now on
	EventIDRetired                     // ID does not any more
	EventResetToken                    // Token, from the peer, means a stateless reset of this connection
	EventTokenGone                     // Token does not any more
	EventToken                         // client: Data is good for the server's next connection (RFC 9000 §8.1.3)
	EventMoved                         // the path in use changed; see Conn.Path
	EventMoveFailed                    // the path that Move asked for was given up; Err says why
	EventSocketIdle                    // no path uses Socket any more
	EventPlugin                        // Plugin is news of the exchange of plugins
	EventExtension                     // Extension: news of one, or its end
	EventClosed                        // Err says why; only drained packets may follow
	EventDrained                       // forget the connection
)

// Event is one piece of news for the driver of a Conn.
type Event struct {
	Kind   EventKind
	Stream *Stream
	Uni    bool
	ID     ConnID
	Token  [16]byte
	Data   []byte
	Socket int
	Err    error
	Plugin *PluginNews

	Extension *ExtensionNews
}

// eventQueue is first in, first out, and reuses its memory.
type eventQueue struct {
	list []Event // bounded by what the datagrams of one read hold: the driver drains it after each
	head int
}

func (q *eventQueue) push(e Event) { q.list = append(q.list, e) }

func (q *eventQueue) pop() (Event, bool) {
	if q.head == len(q.list) {
		return Event{}, false
	}
	e := q.list[q.head]
	q.list[q.head] = Event{}
	q.head++
	if q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
	return e, true
}

// rest gives the memory of an empty queue back.
func (q *eventQueue) rest() {
	if q.head == len(q.list) {
		*q = eventQueue{}
	}
}

// ConnID is a connection ID by value.
type ConnID struct {
	n uint8
	b [20]byte
}

// MakeConnID copies b, of at most 20 bytes.
func MakeConnID(b []byte) ConnID {
	var id ConnID
	id.n = uint8(copy(id.b[:], b))
	return id
}

// Bytes returns the ID; the slice shares its memory.
func (id *ConnID) Bytes() []byte { return id.b[:id.n] }

// Len returns the length in bytes.
func (id *ConnID) Len() int { return int(id.n) }

// Datagram is a received UDP payload. Receive decrypts Data in place; it stays
// the caller's and is free for reuse when Receive returns.
type Datagram struct {
	Data   []byte
	Remote netip.AddrPort
	Local  netip.Addr // invalid = unknown
	Socket int        // of the driver, by its own numbers; the first is 0
	ECN    uint8      // the two ECN bits of the IP header
}

// Batch is what one Transmit makes: datagrams back to back, all of Segment
// bytes but the last, which may be shorter. One GSO system call sends it.
type Batch struct {
	Buf         []byte // in: capacity; out: the datagrams
	MaxSegments int    // in: how many the socket can send at once
	Segment     int
	Socket      int // as in Datagram
	Remote      netip.AddrPort
	Local       netip.Addr
	ECN         uint8
	Probe       bool // a path MTU probe: the socket may find it too big
}
