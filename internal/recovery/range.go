package recovery

// SpaceID names a packet number space (RFC 9000 §12.3).
type SpaceID uint8

// The packet number spaces. 0-RTT packets are numbered in AppData.
const (
	Initial SpaceID = iota
	Handshake
	AppData
	NumSpaces = 3
)

// String returns the name of the space as qlog spells it.
func (s SpaceID) String() string {
	switch s {
	case Initial:
		return "initial"
	case Handshake:
		return "handshake"
	case AppData:
		return "application_data"
	}
	return "unknown"
}

// Range is a run of packet numbers, both ends included.
type Range struct{ Smallest, Largest uint64 }

// Len returns how many numbers the range holds.
func (r Range) Len() uint64 { return r.Largest - r.Smallest + 1 }

// Contains reports whether pn lies in the range.
func (r Range) Contains(pn uint64) bool { return r.Smallest <= pn && pn <= r.Largest }
