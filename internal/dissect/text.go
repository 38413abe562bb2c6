package dissect

import (
	"fmt"
	"strings"

	"github.com/seed51309289/quiver/internal/wire"
)

// Line writes packet i of the datagram on one line: time, direction, type,
// number, frames. The direction is "C>S" or "S>C", or "?" when the connection
// is not known.
func (d *Datagram) Line(i int) string {
	p := &d.Packets[i]
	return fmt.Sprintf("%.1fms  %s  %s", float64(d.Time.Microseconds())/1000, p.Direction(), p)
}

// Direction returns "C>S", "S>C", or "?" when the connection is not known.
func (p *Packet) Direction() string {
	switch {
	case p.Conn == nil:
		return "?"
	case p.FromClient:
		return "C>S"
	}
	return "S>C"
}

// String writes the packet without its time: "initial 0  CRYPTO @0+1180  PADDING".
func (p *Packet) String() string {
	var b strings.Builder
	b.WriteString(p.Type.String())
	switch {
	case p.Number >= 0:
		fmt.Fprintf(&b, " %d", p.Number)
	case p.Type == wire.PacketRetry:
		fmt.Fprintf(&b, "  scid=%x  token of %d bytes", p.SCID, len(p.Token))
	case p.Type == wire.PacketVersionNegotiation:
		for _, v := range p.Versions {
			b.WriteString(" " + v.String())
		}
	}
	if p.KeyPhase {
		b.WriteString(" phase=1")
	}
	if p.Type == wire.PacketInitial && len(p.Token) > 0 {
		fmt.Fprintf(&b, " token of %d bytes", len(p.Token))
	}
	for i := range p.Frames {
		b.WriteString("  " + p.Frames[i].String())
	}
	if p.Note != "" {
		b.WriteString("  (" + p.Note + ")")
	}
	return b.String()
}

// String writes the frame with its most telling fields: "STREAM 0 @1200+1200 fin".
func (f *Frame) String() string {
	name := f.Type.String()
	switch {
	case f.Type.IsStream():
		if f.Fin {
			return fmt.Sprintf("STREAM %d @%d+%d fin", f.StreamID, f.Offset, f.Length)
		}
		return fmt.Sprintf("STREAM %d @%d+%d", f.StreamID, f.Offset, f.Length)
	case f.Ack != nil:
		return f.Ack.String()
	}
	switch f.Type {
	case wire.FrameCrypto:
		return fmt.Sprintf("CRYPTO @%d+%d", f.Offset, f.Length)
	case wire.FrameResetStream:
		return fmt.Sprintf("RESET_STREAM %d code=%d final=%d", f.StreamID, f.Code, f.Offset)
	case wire.FrameStopSending:
		return fmt.Sprintf("STOP_SENDING %d code=%d", f.StreamID, f.Code)
	case wire.FrameNewToken:
		return fmt.Sprintf("NEW_TOKEN of %d bytes", f.Length)
	case wire.FrameMaxStreamData, wire.FrameStreamDataBlocked:
		return fmt.Sprintf("%s %d %d", name, f.StreamID, f.Limit)
	case wire.FrameMaxData, wire.FrameDataBlocked:
		return fmt.Sprintf("%s %d", name, f.Limit)
	case wire.FrameMaxStreamsBidi, wire.FrameStreamsBlockedBidi:
		return fmt.Sprintf("%s bidi %d", name, f.Limit)
	case wire.FrameMaxStreamsUni, wire.FrameStreamsBlockedUni:
		return fmt.Sprintf("%s uni %d", name, f.Limit)
	case wire.FrameNewConnectionID:
		return fmt.Sprintf("NEW_CONNECTION_ID %d %x retire=%d", f.Sequence, f.Data, f.Retire)
	case wire.FrameRetireConnectionID:
		return fmt.Sprintf("RETIRE_CONNECTION_ID %d", f.Sequence)
	case wire.FramePathChallenge, wire.FramePathResponse:
		return fmt.Sprintf("%s %x", name, f.Data)
	case wire.FrameConnectionClose:
		return fmt.Sprintf("CONNECTION_CLOSE %#x %q", f.Code, f.Data)
	case wire.FrameApplicationClose:
		return fmt.Sprintf("CONNECTION_CLOSE application %#x %q", f.Code, f.Data)
	}
	if f.Type.IsPlugin() || f.Type.IsPluginControl() {
		return f.pluginText()
	}
	return name
}

// String writes the ranges, largest first, at most eight of them.
func (a *Ack) String() string {
	var b strings.Builder
	b.WriteString("ACK")
	for i, r := range a.Ranges {
		if i == 8 {
			fmt.Fprintf(&b, " …(%d)", len(a.Ranges))
			break
		}
		if r.Smallest == r.Largest {
			fmt.Fprintf(&b, " %d", r.Largest)
			continue
		}
		fmt.Fprintf(&b, " %d-%d", r.Smallest, r.Largest)
	}
	if a.ECN != nil {
		fmt.Fprintf(&b, " ect0=%d ect1=%d ce=%d", a.ECN.ECT0, a.ECN.ECT1, a.ECN.CE)
	}
	return b.String()
}
