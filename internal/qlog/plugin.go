package qlog

import "github.com/seed51309289/quiver/internal/wire"

// pluginFrameNames are in the order of the types.
var pluginFrameNames = [...]string{
	"plugin_offer", "plugin_answer", "plugin_data", "max_plugin_data", "plugin_ready", "plugin_detach", "plugin_event", "plugin_keep",
}

var pluginAnswers = [...]string{"ready", "need", "refused"}

// pluginFrame writes the fields of the frames with which plugins are exchanged,
// and of a plugin's own, of which only the type and the size are known.
func (l *Log) pluginFrame(f *wire.Frame) {
	e := &l.e
	if f.Type.IsPlugin() {
		e.uint("frame_type_bytes", uint64(f.Type))
		e.rawLength(len(f.Data))
		return
	}
	switch f.Type {
	case wire.FramePluginData:
		e.uint("local", f.Local)
		e.uint("offset", f.Offset)
		if f.Fin {
			e.bool("fin", true)
		}
		e.rawLength(len(f.Data))
		return
	case wire.FramePluginMaxData:
		e.uint("local", f.Local)
		e.uint("maximum", f.Limit)
		return
	case wire.FramePluginOffer, wire.FramePluginAnswer, wire.FramePluginReady, wire.FramePluginDetach, wire.FramePluginEvent:
		e.uint("sequence_number", f.Sequence)
		e.uint("local", f.Local)
	case wire.FramePluginKeep:
		e.uint("sequence_number", f.Sequence)
		e.rawLength(len(f.Data))
		return
	}
	switch f.Type {
	case wire.FramePluginOffer:
		l.offer(f.Data)
	case wire.FramePluginAnswer:
		if f.Status < uint64(len(pluginAnswers)) {
			e.str("status", pluginAnswers[f.Status])
		}
		e.pluginReason(f)
	case wire.FramePluginDetach:
		e.pluginReason(f)
	case wire.FramePluginEvent:
		e.rawLength(len(f.Data))
	}
}

func (l *Log) offer(body []byte) {
	var o wire.PluginOffer
	if wire.ParsePluginOffer(body, &o) != nil {
		return
	}
	e := &l.e
	e.hex("digest", o.Digest[:])
	e.text("id", o.ID)
	e.text("version", o.Version)
	e.uint("size", o.Size)
	e.uint("packed_size", o.Packed)
	e.uint("mode", o.Mode)
	if o.Frames > 0 {
		e.uint("frame_types", o.Frames)
		e.uint("first_frame_type", o.TypeBase)
	}
	e.uint("config_length", uint64(len(o.Config)))
}

func (e *enc) pluginReason(f *wire.Frame) {
	if f.Code != 0 || len(f.Data) > 0 {
		e.uint("code", f.Code)
	}
	if len(f.Data) > 0 {
		e.text("reason", f.Data)
	}
}
