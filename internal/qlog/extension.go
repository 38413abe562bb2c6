package qlog

import (
	"github.com/seed51309289/quiver/hook"
)

// The events of plugins are in a name space of our own, "plugin".

// PluginAttached records that an extension takes part from now on, and which types its frames have, from first on.
func (l *Log) PluginAttached(now hook.Instant, x *hook.Info, first uint64) {
	if l.off() {
		return
	}
	e := l.plugin(now, "attached", x.ID)
	e.str("version", x.Version)
	if x.Digest != [32]byte{} {
		e.hex("digest", x.Digest[:])
	}
	if len(x.Frames) > 0 {
		e.uint("first_frame_type", first)
		e.array("frames")
		for i := range x.Frames {
			e.comma()
			e.b = appendString(e.b, x.Frames[i].Name)
		}
		e.endArray()
	}
	l.commit()
}

// PluginDetached records that an extension is over, why, and what it did.
func (l *Log) PluginDetached(now hook.Instant, s *hook.ExtensionStats) {
	if l.off() {
		return
	}
	e := l.plugin(now, "detached", s.ID)
	e.str("reason", s.Why.String())
	if s.Err != nil {
		e.str("error", s.Err.Error())
	}
	for _, n := range []struct {
		name  string
		value uint64
	}{
		{"frames_reserved", s.FramesReserved}, {"frames_written", s.FramesWritten}, {"frames_acked", s.FramesAcked}, {"frames_lost", s.FramesLost},
		{"frames_received", s.FramesReceived}, {"frames_ignored", s.FramesIgnored}, {"bytes_written", s.BytesWritten},
		{"packets_recovered", s.Recovered}, {"packets_delivered", s.Delivered}, {"emitted", s.Emitted}, {"dropped", s.Dropped},
		{"calls", s.Calls}, {"faults", s.Faults}, {"fuel", s.Fuel},
	} {
		e.uint(n.name, n.value)
	}
	e.millis("starved", s.Starved)
	l.commit()
}

// PluginLog records a line of an extension.
func (l *Log) PluginLog(now hook.Instant, id string, text []byte) {
	if l.off() {
		return
	}
	e := l.plugin(now, "log", id)
	e.text("text", text)
	l.commit()
}

// plugin opens the record of an event of an extension.
func (l *Log) plugin(now hook.Instant, name, id string) *enc {
	e := l.beginIn(now, "plugin", name)
	e.str("plugin", id)
	return e
}
