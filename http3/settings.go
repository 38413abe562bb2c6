package http3

import (
	"slices"

	"github.com/seed51309289/quiver/internal/wire"
)

// Settings of RFC 9114 §7.2.4.1 and RFC 9204 §5.
const (
	settingQPACKMaxTableCapacity = 0x1
	settingMaxFieldSectionSize   = 0x6
	settingQPACKBlockedStreams   = 0x7
)

const (
	// maxSettingsBytes bounds a SETTINGS frame. limit: RFC 9114 §10.5.
	maxSettingsBytes = 4096
	// unlimited is a field section of any size.
	unlimited = 1<<62 - 1
)

// settings is what a side says of itself, once.
type settings struct {
	maxFieldSection uint64 // bytes, decoded, as RFC 9114 §4.2.2 counts them
}

// appendSettings appends a SETTINGS frame. grease makes one setting that means
// nothing, which keeps peers from choking on those to come (RFC 9114 §7.2.4.1).
func appendSettings(b []byte, s settings, grease uint8) []byte {
	var p []byte
	for _, pair := range [][2]uint64{
		{settingMaxFieldSectionSize, s.maxFieldSection},
		{settingQPACKMaxTableCapacity, 0},
		{settingQPACKBlockedStreams, 0},
		{reserved(uint64(grease)), uint64(grease)},
	} {
		p = wire.AppendVarint(wire.AppendVarint(p, pair[0]), pair[1])
	}
	return append(appendFrameHeader(b, frameSettings, len(p)), p...)
}

// parseSettings reads the payload of a SETTINGS frame.
func parseSettings(p []byte) (settings, error) {
	s := settings{maxFieldSection: unlimited}
	var seen []uint64
	for len(p) > 0 {
		id, n := wire.ConsumeVarint(p)
		v, m := wire.ConsumeVarint(p[max(n, 0):])
		if n <= 0 || m <= 0 {
			return s, connError(FrameError, "SETTINGS ends inside a setting")
		}
		p = p[n+m:]
		// RFC 9114 §7.2.4: the same identifier must not occur more than once.
		if slices.Contains(seen, id) {
			return s, connError(SettingsError, "setting %#x occurs twice", id)
		}
		seen = append(seen, id)
		switch id {
		case settingMaxFieldSectionSize:
			s.maxFieldSection = v
		case 0x0, 0x2, 0x3, 0x4, 0x5:
			// RFC 9114 §7.2.4.1: settings of HTTP/2 that have no meaning here.
			return s, connError(SettingsError, "setting %#x is of HTTP/2", id)
		}
	}
	return s, nil
}
