package wire

import "fmt"

// The code points of the plugin exchange (docs/plugin-exchange.md): chosen at
// random, in a row, none of them reserved for greasing (RFC 9000 §15).
const (
	paramPlugins = 0x2f1c9a41

	// Control frames. A receiver that did not announce the transport parameter
	// does not know them.
	FramePluginOffer   FrameType = 0x2f1c9a50
	FramePluginAnswer  FrameType = 0x2f1c9a51
	FramePluginData    FrameType = 0x2f1c9a52
	FramePluginMaxData FrameType = 0x2f1c9a53
	FramePluginReady   FrameType = 0x2f1c9a54
	FramePluginDetach  FrameType = 0x2f1c9a55
	FramePluginEvent   FrameType = 0x2f1c9a56
	FramePluginKeep    FrameType = 0x2f1c9a57

	// PluginError is the error code of a connection that a broken control frame
	// ends, or a required plugin that is refused.
	PluginError = 0x2f1c9a5e

	// FramePlugin is the first of the frame types that offers hand out; see
	// IsPlugin.
	FramePlugin FrameType = 0x3a00

	// Offers of a client take types from FramePlugin on, those of a server from
	// ServerPluginFrames on.
	ServerPluginFrames FrameType = FramePlugin + pluginFrames/2

	pluginFrames = 256
)

// Bounds of the fields of control frames, in bytes. Every frame but one with
// content of a plugin fits into the smallest packet.
const (
	MaxPluginID      = 100
	MaxPluginVersion = 64
	MaxPluginConfig  = 256
	MaxPluginReason  = 128
	MaxPluginEvent   = 1024
	MaxPluginKeep    = 16 // numbers in a KEEP
)

// IsPlugin reports whether t belongs to a plugin: which one, the offers of the
// connection say.
func (t FrameType) IsPlugin() bool { return t&^(pluginFrames-1) == FramePlugin }

// IsPluginControl reports whether t is a frame of the exchange of plugins.
func (t FrameType) IsPluginControl() bool { return t >= FramePluginOffer && t <= FramePluginKeep }

var pluginFrameNames = [...]string{
	"PLUGIN_OFFER", "PLUGIN_ANSWER", "PLUGIN_DATA", "MAX_PLUGIN_DATA", "PLUGIN_READY", "PLUGIN_DETACH", "PLUGIN_EVENT", "PLUGIN_KEEP",
}

// PluginOffer is the body of a PLUGIN_OFFER frame, without its sequence and
// local numbers. When parsed its slices share the packet's memory.
type PluginOffer struct {
	Digest      [32]byte
	ID, Version []byte
	Size        uint64 // bytes
	Packed      uint64 // bytes that DATA frames carry
	Mode        uint64
	Frames      uint64
	TypeBase    uint64
	Config      []byte
}

// AppendPluginOffer appends o as Frame.Data of a PLUGIN_OFFER holds it.
func AppendPluginOffer(b []byte, o *PluginOffer) []byte {
	b = append(b, o.Digest[:]...)
	b = appendBytes(b, o.ID)
	b = appendBytes(b, o.Version)
	for _, v := range [...]uint64{o.Size, o.Packed, o.Mode, o.Frames, o.TypeBase} {
		b = AppendVarint(b, v)
	}
	return appendBytes(b, o.Config)
}

// ParsePluginOffer reads Frame.Data of a PLUGIN_OFFER, all of it. The error is
// ErrFrame.
func ParsePluginOffer(b []byte, o *PluginOffer) error {
	r := reader{b: b}
	copy(o.Digest[:], r.bytes(32))
	o.ID, o.Version = r.bytes(r.varint()), r.bytes(r.varint())
	o.Size, o.Packed, o.Mode, o.Frames, o.TypeBase = r.varint(), r.varint(), r.varint(), r.varint(), r.varint()
	o.Config = r.bytes(r.varint())
	if r.bad || len(r.b) > 0 || len(o.ID) > MaxPluginID || len(o.Version) > MaxPluginVersion || len(o.Config) > MaxPluginConfig {
		return ErrFrame
	}
	return nil
}

// AppendPluginKeep appends the numbers that Frame.Data of a PLUGIN_KEEP holds.
func AppendPluginKeep(b []byte, locals ...uint64) []byte {
	for _, l := range locals {
		b = AppendVarint(b, l)
	}
	return b
}

// ParsePluginKeep appends the numbers in Frame.Data of a PLUGIN_KEEP to locals.
// The error is ErrFrame.
func ParsePluginKeep(b []byte, locals []uint64) ([]uint64, error) {
	r := reader{b: b}
	for n := 0; len(r.b) > 0; n++ {
		locals = append(locals, r.varint())
		if r.bad || n == MaxPluginKeep {
			return nil, ErrFrame
		}
	}
	return locals, nil
}

// plugin reads the frames of the exchange of plugins, and those of plugins,
// which carry their length so that any of them can be skipped.
func (f *Frame) plugin(r *reader) error {
	if f.Type.IsPlugin() {
		f.Data = r.bytes(r.varint())
		return nil
	}
	most := uint64(MaxVarint)
	switch f.Type {
	case FramePluginOffer:
		f.Sequence, f.Local = r.varint(), r.varint()
	case FramePluginAnswer:
		f.Sequence, f.Local, f.Status, f.Code = r.varint(), r.varint(), r.varint(), r.varint()
		most = MaxPluginReason
	case FramePluginData:
		f.Local, f.Offset = r.varint(), r.varint()
		fin := r.byte()
		if f.Fin = fin == 1; fin > 1 {
			return ErrFrame
		}
	case FramePluginMaxData:
		f.Local, f.Limit = r.varint(), r.varint()
		return nil
	case FramePluginReady:
		f.Sequence, f.Local = r.varint(), r.varint()
		return nil
	case FramePluginDetach:
		f.Sequence, f.Local, f.Code = r.varint(), r.varint(), r.varint()
		most = MaxPluginReason
	case FramePluginEvent:
		f.Sequence, f.Local = r.varint(), r.varint()
		most = MaxPluginEvent
	case FramePluginKeep:
		f.Sequence = r.varint()
	}
	f.Data = r.bytes(r.varint())
	if uint64(len(f.Data)) > most || f.Type == FramePluginData && f.Offset+uint64(len(f.Data)) > MaxVarint {
		return ErrFrame
	}
	return nil
}

// appendPlugin appends what follows the type of f.
func appendPlugin(b []byte, f *Frame) []byte {
	switch f.Type {
	case FramePluginOffer, FramePluginEvent:
		b = AppendVarint(AppendVarint(b, f.Sequence), f.Local)
	case FramePluginAnswer:
		b = AppendVarint(AppendVarint(b, f.Sequence), f.Local)
		b = AppendVarint(AppendVarint(b, f.Status), f.Code)
	case FramePluginData:
		b = append(AppendVarint(AppendVarint(b, f.Local), f.Offset), boolByte(f.Fin))
	case FramePluginMaxData:
		return AppendVarint(AppendVarint(b, f.Local), f.Limit)
	case FramePluginReady:
		return AppendVarint(AppendVarint(b, f.Sequence), f.Local)
	case FramePluginDetach:
		b = AppendVarint(AppendVarint(AppendVarint(b, f.Sequence), f.Local), f.Code)
	case FramePluginKeep:
		b = AppendVarint(b, f.Sequence)
	}
	return appendBytes(b, f.Data)
}

// SizePluginDataHeader returns the bytes in front of the content in a
// PLUGIN_DATA frame with a length field of two bytes.
func SizePluginDataHeader(local, offset uint64) int {
	return 4 + SizeVarint(local) + SizeVarint(offset) + 1 + 2
}

// AppendPluginDataHeader appends a PLUGIN_DATA frame up to its content, of which
// length (below 2^14) bytes follow.
func AppendPluginDataHeader(b []byte, local, offset uint64, length int, fin bool) []byte {
	b = AppendVarint(b, uint64(FramePluginData))
	b = AppendVarint(AppendVarint(b, local), offset)
	return AppendVarint2(append(b, boolByte(fin)), uint64(length))
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// SizePluginHeader returns the bytes in front of the body of length bytes (below
// 2^14) of a plugin's frame.
func SizePluginHeader(length int) int { return 2 + SizeVarint(uint64(length)) }

// AppendPlugin appends a frame of a plugin, of a type for which IsPlugin holds.
func AppendPlugin(b []byte, t FrameType, body []byte) []byte {
	return appendBytes(AppendVarint(b, uint64(t)), body)
}

// PluginParams is the transport parameter pq_plugins: that its sender takes part
// in the exchange of plugins. It names none: the lists travel encrypted.
type PluginParams struct {
	Version    uint64 // of the exchange: 1; 0 = absent, no part in it
	MaxControl uint64 // bytes of the largest control frame that it takes
	Accepts    bool   // it considers offers
	Offers     bool   // it makes some soon after the handshake
}

// Values of PluginParams.
const (
	PluginVersion    = 1
	MinPluginControl = 1200 // bytes: the least MaxControl, which all frames but DATA keep anyway
)

func (p *PluginParams) append(b []byte) []byte {
	b = AppendVarint(AppendVarint(b, p.Version), p.MaxControl)
	return AppendVarint(b, uint64(boolByte(p.Accepts)|boolByte(p.Offers)<<1))
}

func (p *PluginParams) set(v []byte) (wrong string) {
	r := reader{b: v}
	version, most, flags := r.varint(), r.varint(), r.varint()
	switch {
	case r.bad, version == PluginVersion && len(r.b) > 0:
		return "is not three integers" // later versions may append to them
	case version == 0:
		return "has version 0"
	case most < MinPluginControl:
		return fmt.Sprintf("takes control frames of %d bytes, want at least %d", most, MinPluginControl)
	}
	*p = PluginParams{Version: version, MaxControl: most, Accepts: flags&1 != 0, Offers: flags&2 != 0}
	return ""
}
