package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

// Transport parameter IDs (RFC 9000 §18.2).
const (
	paramOriginalDCID          = 0x00
	paramMaxIdleTimeout        = 0x01
	paramStatelessResetToken   = 0x02
	paramMaxUDPPayloadSize     = 0x03
	paramMaxData               = 0x04
	paramMaxStreamDataLocal    = 0x05
	paramMaxStreamDataRemote   = 0x06
	paramMaxStreamDataUni      = 0x07
	paramMaxStreamsBidi        = 0x08
	paramMaxStreamsUni         = 0x09
	paramAckDelayExponent      = 0x0a
	paramMaxAckDelay           = 0x0b
	paramDisableMigration      = 0x0c
	paramPreferredAddress      = 0x0d
	paramActiveConnIDLimit     = 0x0e
	paramInitialSCID           = 0x0f
	paramRetrySCID             = 0x10
	paramMaxDatagramFrameSize  = 0x20             // RFC 9221 §3
	paramResetStreamAt         = 0x1d             // draft-ietf-quic-reliable-stream-reset-10 §3
	paramResetStreamAtOld      = 0x17f7586d2cb571 // the same up to draft 08
	paramMinAckDelay           = 0xff04de1b       // draft-ietf-quic-ack-frequency §3
	paramVersionInformation    = 0x11             // RFC 9368 §3
	paramGreaseQUICBit         = 0x2ab2           // RFC 9287 §3
	maxParams                  = 64               // limit: distinct parameters that a peer may send
	maxAckDelay                = 1 << 14          // ms, exclusive, RFC 9000 §18.2
	maxAckDelayExponent        = 20
	defaultUDPPayload          = 65527
	defaultMaxAckDelay         = 25 * time.Millisecond
	defaultAckDelayExponent    = 3
	minActiveConnectionIDLimit = 2
)

// Params are the transport parameters of one endpoint (RFC 9000 §18.2). Start
// from DefaultParams: absent parameters have defaults that are not zero.
type Params struct {
	OriginalDCID    []byte // server only; nil = absent
	InitialSCID     []byte // nil = absent, empty = a zero-length ID
	RetrySCID       []byte // server only; nil = absent
	ResetToken      *[16]byte
	MaxIdleTimeout  time.Duration // 0 = none; whole milliseconds
	MaxUDPPayload   uint64        // bytes
	MaxData         uint64        // bytes
	MaxStreamLocal  uint64        // bytes, bidirectional streams opened by the sender of the parameters
	MaxStreamRemote uint64        // bytes, bidirectional streams opened by the receiver of the parameters
	MaxStreamUni    uint64        // bytes
	MaxStreamsBidi  uint64
	MaxStreamsUni   uint64

	AckDelayExponent  uint8
	MaxAckDelay       time.Duration
	DisableMigration  bool
	ActiveConnIDLimit uint64
	Preferred         *PreferredAddress // server only

	// MaxDatagramFrame is the largest DATAGRAM frame that its sender takes, type
	// and length included, in bytes (RFC 9221 §3); 0 = none at all.
	MaxDatagramFrame uint64
	// ResetStreamAt says that its sender understands RESET_STREAM_AT.
	ResetStreamAt bool
	// MinAckDelay is the least delay of acknowledgments that its sender can
	// keep, whole microseconds; -1 = it does not understand ACK_FREQUENCY.
	MinAckDelay time.Duration
	Versions    *VersionInformation // nil = absent
	Plugins     PluginParams        // zero = absent
	// GreaseQUICBit says that the sender takes packets whose fixed bit is 0 (RFC 9287).
	GreaseQUICBit bool

	// Grease is a reserved parameter to send, 31*N+27 (RFC 9000 §18.1); 0 = none.
	Grease uint64
}

// PreferredAddress is where a server would rather be reached (RFC 9000 §9.6).
type PreferredAddress struct {
	V4, V6     netip.AddrPort // invalid = none
	ConnID     []byte
	ResetToken [16]byte
}

// DefaultParams returns what an absent parameter means.
func DefaultParams() Params {
	return Params{
		MaxUDPPayload:     defaultUDPPayload,
		AckDelayExponent:  defaultAckDelayExponent,
		MaxAckDelay:       defaultMaxAckDelay,
		ActiveConnIDLimit: minActiveConnectionIDLimit,
		MinAckDelay:       -1,
	}
}

// AppendParams appends p as the quic_transport_parameters extension carries it.
// Parameters that equal their default are left out.
func AppendParams(b []byte, p *Params) []byte {
	bytesParam := func(id uint64, v []byte) {
		b = appendBytes(AppendVarint(b, id), v)
	}
	intParam := func(id, v, absent uint64) {
		if v != absent {
			b = AppendVarint(AppendVarint(AppendVarint(b, id), uint64(SizeVarint(v))), v)
		}
	}
	if p.OriginalDCID != nil {
		bytesParam(paramOriginalDCID, p.OriginalDCID)
	}
	if p.InitialSCID != nil {
		bytesParam(paramInitialSCID, p.InitialSCID)
	}
	if p.RetrySCID != nil {
		bytesParam(paramRetrySCID, p.RetrySCID)
	}
	if p.ResetToken != nil {
		bytesParam(paramStatelessResetToken, p.ResetToken[:])
	}
	intParam(paramMaxIdleTimeout, uint64(p.MaxIdleTimeout/time.Millisecond), 0)
	intParam(paramMaxUDPPayloadSize, p.MaxUDPPayload, defaultUDPPayload)
	intParam(paramMaxData, p.MaxData, 0)
	intParam(paramMaxStreamDataLocal, p.MaxStreamLocal, 0)
	intParam(paramMaxStreamDataRemote, p.MaxStreamRemote, 0)
	intParam(paramMaxStreamDataUni, p.MaxStreamUni, 0)
	intParam(paramMaxStreamsBidi, p.MaxStreamsBidi, 0)
	intParam(paramMaxStreamsUni, p.MaxStreamsUni, 0)
	intParam(paramAckDelayExponent, uint64(p.AckDelayExponent), defaultAckDelayExponent)
	intParam(paramMaxAckDelay, uint64(p.MaxAckDelay/time.Millisecond), uint64(defaultMaxAckDelay/time.Millisecond))
	intParam(paramActiveConnIDLimit, p.ActiveConnIDLimit, minActiveConnectionIDLimit)
	if p.DisableMigration {
		bytesParam(paramDisableMigration, nil)
	}
	if p.Preferred != nil {
		bytesParam(paramPreferredAddress, appendPreferred(nil, p.Preferred))
	}
	intParam(paramMaxDatagramFrameSize, p.MaxDatagramFrame, 0)
	if p.ResetStreamAt {
		// Peers that follow an older draft know the older number only.
		bytesParam(paramResetStreamAt, nil)
		bytesParam(paramResetStreamAtOld, nil)
	}
	if p.MinAckDelay >= 0 {
		intParam(paramMinAckDelay, uint64(p.MinAckDelay/time.Microsecond), MaxVarint+1)
	}
	if p.Versions != nil {
		bytesParam(paramVersionInformation, p.Versions.append(nil))
	}
	if p.Plugins.Version != 0 {
		bytesParam(paramPlugins, p.Plugins.append(nil))
	}
	if p.GreaseQUICBit {
		bytesParam(paramGreaseQUICBit, nil)
	}
	if p.Grease != 0 {
		bytesParam(p.Grease, []byte{0x51})
	}
	return b
}

func appendPreferred(b []byte, a *PreferredAddress) []byte {
	v4, v6 := [4]byte{}, [16]byte{}
	if a.V4.IsValid() {
		v4 = a.V4.Addr().As4()
	}
	if a.V6.IsValid() {
		v6 = a.V6.Addr().As16()
	}
	b = binary.BigEndian.AppendUint16(append(b, v4[:]...), a.V4.Port())
	b = binary.BigEndian.AppendUint16(append(b, v6[:]...), a.V6.Port())
	b = appendConnID(b, a.ConnID)
	return append(b, a.ResetToken[:]...)
}

// A ParamError says which transport parameter is wrong; on a connection it is
// a TRANSPORT_PARAMETER_ERROR (RFC 9000 §7.4).
type ParamError struct {
	ID     uint64
	Reason string
}

func (e *ParamError) Error() string {
	return fmt.Sprintf("transport parameter %#x: %s", e.ID, e.Reason)
}

// ParseParams reads the transport parameters that a server (fromServer) or
// client sent. All errors are *ParamError. The result owns its memory.
func ParseParams(b []byte, fromServer bool) (*Params, error) {
	p := DefaultParams()
	r := reader{b: b}
	var seen [maxParams]uint64
	for n := 0; len(r.b) > 0; n++ {
		id := r.varint()
		v := r.bytes(r.varint())
		if r.bad {
			return nil, &ParamError{id, "truncated"}
		}
		if n == maxParams {
			return nil, &ParamError{id, fmt.Sprintf("more than %d parameters", maxParams)}
		}
		for _, s := range seen[:n] {
			// RFC 9000 §7.4: a parameter MUST NOT be sent more than once.
			if s == id {
				return nil, &ParamError{id, "sent twice"}
			}
		}
		seen[n] = id
		if reason := p.set(id, v, fromServer); reason != "" {
			return nil, &ParamError{id, reason}
		}
	}
	// draft-ietf-quic-ack-frequency §3: a least delay above the largest is a
	// TRANSPORT_PARAMETER_ERROR.
	if p.MinAckDelay > p.MaxAckDelay {
		return nil, &ParamError{paramMinAckDelay, fmt.Sprintf("is %v, want at most max_ack_delay, which is %v", p.MinAckDelay, p.MaxAckDelay)}
	}
	return &p, nil
}

func (p *Params) set(id uint64, v []byte, fromServer bool) (wrong string) {
	switch id {
	case paramOriginalDCID, paramRetrySCID, paramStatelessResetToken, paramPreferredAddress:
		// RFC 9000 §18.2: a client MUST NOT include any server-only parameter.
		if !fromServer {
			return "only a server may send it"
		}
	}
	switch id {
	case paramOriginalDCID:
		return setConnID(&p.OriginalDCID, v)
	case paramInitialSCID:
		return setConnID(&p.InitialSCID, v)
	case paramRetrySCID:
		return setConnID(&p.RetrySCID, v)
	case paramStatelessResetToken:
		if len(v) != 16 {
			return fmt.Sprintf("has %d bytes, want 16", len(v))
		}
		p.ResetToken = (*[16]byte)(append([]byte(nil), v...))
	case paramPreferredAddress:
		return p.setPreferred(v)
	case paramDisableMigration:
		return setFlag(&p.DisableMigration, v)
	case paramResetStreamAt, paramResetStreamAtOld:
		return setFlag(&p.ResetStreamAt, v)
	case paramGreaseQUICBit:
		return setFlag(&p.GreaseQUICBit, v)
	case paramVersionInformation:
		return p.setVersions(v, fromServer)
	case paramPlugins:
		return p.Plugins.set(v)
	default:
		return p.setInt(id, v)
	}
	return ""
}

func (p *Params) setInt(id uint64, v []byte) (wrong string) {
	if id == 0 || id > paramRetrySCID && id != paramMaxDatagramFrameSize && id != paramMinAckDelay {
		return "" // RFC 9000 §7.4.2: unknown parameters are ignored.
	}
	x, n := ConsumeVarint(v)
	if n != len(v) {
		return "is not one integer"
	}
	switch id {
	case paramMaxIdleTimeout:
		p.MaxIdleTimeout = time.Duration(min(x, 1<<40)) * time.Millisecond
	case paramMaxUDPPayloadSize:
		if x < MinInitialDatagram {
			return fmt.Sprintf("is %d, want at least %d", x, MinInitialDatagram)
		}
		p.MaxUDPPayload = x
	case paramMaxData:
		p.MaxData = x
	case paramMaxStreamDataLocal:
		p.MaxStreamLocal = x
	case paramMaxStreamDataRemote:
		p.MaxStreamRemote = x
	case paramMaxStreamDataUni:
		p.MaxStreamUni = x
	case paramMaxStreamsBidi, paramMaxStreamsUni:
		if x > MaxStreams {
			return fmt.Sprintf("is %d, want at most 2^60", x)
		}
		if id == paramMaxStreamsBidi {
			p.MaxStreamsBidi = x
		} else {
			p.MaxStreamsUni = x
		}
	case paramAckDelayExponent:
		if x > maxAckDelayExponent {
			return fmt.Sprintf("is %d, want at most %d", x, maxAckDelayExponent)
		}
		p.AckDelayExponent = uint8(x)
	case paramMaxAckDelay:
		if x >= maxAckDelay {
			return fmt.Sprintf("is %d ms, want less than %d", x, maxAckDelay)
		}
		p.MaxAckDelay = time.Duration(x) * time.Millisecond
	case paramActiveConnIDLimit:
		if x < minActiveConnectionIDLimit {
			return fmt.Sprintf("is %d, want at least %d", x, minActiveConnectionIDLimit)
		}
		p.ActiveConnIDLimit = x
	case paramMaxDatagramFrameSize:
		p.MaxDatagramFrame = x
	case paramMinAckDelay:
		p.MinAckDelay = time.Duration(min(x, 1<<40)) * time.Microsecond
	}
	return ""
}

func setFlag(dst *bool, v []byte) (wrong string) {
	if len(v) != 0 {
		return fmt.Sprintf("has %d bytes, want none", len(v))
	}
	*dst = true
	return ""
}

func setConnID(dst *[]byte, v []byte) (wrong string) {
	if len(v) > MaxConnIDLen {
		return fmt.Sprintf("has %d bytes, want at most %d", len(v), MaxConnIDLen)
	}
	*dst = append([]byte{}, v...)
	return ""
}

func (p *Params) setPreferred(v []byte) (wrong string) {
	r := reader{b: v}
	v4, port4 := r.bytes(4), r.bytes(2)
	v6, port6 := r.bytes(16), r.bytes(2)
	n := r.byte()
	id, token := r.bytes(uint64(n)), r.bytes(16)
	if r.bad || len(r.b) != 0 {
		return "has the wrong size"
	}
	// RFC 9000 §18.2: the connection ID of a preferred address is not empty.
	if n == 0 || n > MaxConnIDLen {
		return fmt.Sprintf("has a connection ID of %d bytes, want 1 to %d", n, MaxConnIDLen)
	}
	a := &PreferredAddress{ConnID: append([]byte{}, id...)}
	copy(a.ResetToken[:], token)
	if port := binary.BigEndian.Uint16(port4); port != 0 {
		a.V4 = netip.AddrPortFrom(netip.AddrFrom4([4]byte(v4)), port)
	}
	if port := binary.BigEndian.Uint16(port6); port != 0 {
		a.V6 = netip.AddrPortFrom(netip.AddrFrom16([16]byte(v6)), port)
	}
	p.Preferred = a
	return ""
}
