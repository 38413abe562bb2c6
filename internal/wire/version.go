package wire

import (
	"encoding/binary"
	"fmt"
)

// Version is a QUIC version as it stands in a long header (RFC 8999 §5.1).
type Version uint32

// The versions that Quiver knows.
const (
	VersionNegotiation Version = 0          // not a version: the Version Negotiation packet, RFC 8999 §6
	Version1           Version = 0x00000001 // RFC 9000
	Version2           Version = 0x6b3343cf // RFC 9369
)

// String returns "v1", "v2" or the number in hexadecimal.
func (v Version) String() string {
	switch v {
	case Version1:
		return "v1"
	case Version2:
		return "v2"
	}
	return fmt.Sprintf("%#08x", uint32(v))
}

// Reserved reports whether v has the form 0x?a?a?a?a, which exercises version
// negotiation and never matches (RFC 9000 §15).
func (v Version) Reserved() bool { return v&0x0f0f0f0f == 0x0a0a0a0a }

// CompatibleWith reports whether a first flight of version v can be converted
// into one of version other (RFC 9368 §2.2, RFC 9369 §4).
func (v Version) CompatibleWith(other Version) bool {
	known := func(v Version) bool { return v == Version1 || v == Version2 }
	return v == other || known(v) && known(other)
}

// AppendVersionNegotiation appends a Version Negotiation packet that answers a
// packet with the given connection IDs (as the answered packet has them; they
// are swapped here, RFC 9000 §17.2.1). random fills the unused bits of the
// first byte.
func AppendVersionNegotiation(b []byte, random byte, dcid, scid []byte, versions []Version) []byte {
	// RFC 9000 §17.2.1: the bit that is fixed in v1 SHOULD be set, for demultiplexers.
	b = append(b, 0xc0|random&0x3f, 0, 0, 0, 0)
	b = appendConnID(b, scid)
	b = appendConnID(b, dcid)
	return AppendVersions(b, versions...)
}

// VersionList is the raw list of a Version Negotiation packet or of a
// VersionInformation.
type VersionList []byte

// Len returns the number of versions.
func (l VersionList) Len() int { return len(l) / 4 }

// At returns version i.
func (l VersionList) At(i int) Version { return Version(binary.BigEndian.Uint32(l[4*i:])) }

// Contains reports whether v is in the list.
func (l VersionList) Contains(v Version) bool {
	for i := range l.Len() {
		if l.At(i) == v {
			return true
		}
	}
	return false
}

// ParseVersionNegotiation splits a Version Negotiation packet. The returned
// slices point into b.
func ParseVersionNegotiation(b []byte) (dcid, scid []byte, versions VersionList, ok bool) {
	h, rest, ok := parseInvariant(b)
	if !ok || h.Version != VersionNegotiation || len(rest) == 0 || len(rest)%4 != 0 {
		return nil, nil, nil, false
	}
	return h.DCID, h.SCID, VersionList(rest), true
}
