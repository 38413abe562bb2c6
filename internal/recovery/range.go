package recovery

import "github.com/seed51309289/quiver/internal/wire"

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

// Range is a run of packet numbers, both ends included, as ACK frames name them.
type Range = wire.AckRange

// ECNCounts are the totals of an ACK frame's ECN section.
type ECNCounts = wire.ECNCounts
