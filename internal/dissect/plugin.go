package dissect

import (
	"bytes"
	"fmt"

	"github.com/seed51309289/quiver/internal/wire"
)

// offer is a plugin that one end offered: whose the frame types are.
type offer struct {
	id          string
	base, types uint64
}

// addOffer notes whose frames the types of an offer are from now on.
func (e *end) addOffer(f *wire.Frame) {
	var o wire.PluginOffer
	if wire.ParsePluginOffer(f.Data, &o) == nil && len(e.offers) < maxOffers {
		e.offers = append(e.offers, offer{string(o.ID), o.TypeBase, o.Frames})
	}
}

// namePlugin finds the plugin that a frame belongs to: of several that had its
// type in turn, the last one offered.
func (c *Conn) namePlugin(k *Frame) {
	for i := range c.ends {
		for _, o := range c.ends[i].offers {
			if n := uint64(k.Type) - o.base; n < o.types {
				k.Plugin, k.Code = o.id, n
			}
		}
	}
}

// copyPlugin keeps what is worth keeping of the frames with which plugins are
// exchanged, and of a plugin's own.
func copyPlugin(k *Frame, f *wire.Frame) {
	k.Local, k.Length = f.Local, len(f.Data)
	switch f.Type {
	case wire.FramePluginOffer:
		var o wire.PluginOffer
		if wire.ParsePluginOffer(f.Data, &o) == nil {
			k.Data = []byte(fmt.Sprintf("%s %s", o.ID, o.Version))
			k.Length, k.Offset, k.Limit = int(min(o.Packed, 1<<30)), o.TypeBase, o.Frames
		}
	case wire.FramePluginAnswer:
		k.Status, k.Code, k.Data = f.Status, f.Code, bytes.Clone(f.Data)
	case wire.FramePluginData:
		k.Offset, k.Fin = f.Offset, f.Fin
	case wire.FramePluginMaxData:
		k.Limit = f.Limit
	case wire.FramePluginDetach:
		k.Code, k.Data = f.Code, bytes.Clone(f.Data)
	case wire.FramePluginKeep:
		k.Data = bytes.Clone(f.Data)
	}
}

var pluginAnswers = [...]string{"ready", "need", "refused"}

// pluginText writes the frame with its most telling fields.
func (f *Frame) pluginText() string {
	name := f.Type.String()
	switch f.Type {
	case wire.FramePluginOffer:
		if f.Limit == 0 {
			return fmt.Sprintf("PLUGIN_OFFER %d %q of %d bytes", f.Local, f.Data, f.Length)
		}
		return fmt.Sprintf("PLUGIN_OFFER %d %q of %d bytes, frames %#x-%#x", f.Local, f.Data, f.Length, f.Offset, f.Offset+f.Limit-1)
	case wire.FramePluginAnswer:
		if f.Status < 2 {
			return fmt.Sprintf("PLUGIN_ANSWER %d %s", f.Local, pluginAnswers[f.Status])
		}
		return fmt.Sprintf("PLUGIN_ANSWER %d refused code=%d %q", f.Local, f.Code, f.Data)
	case wire.FramePluginData:
		if f.Fin {
			return fmt.Sprintf("PLUGIN_DATA %d @%d+%d fin", f.Local, f.Offset, f.Length)
		}
		return fmt.Sprintf("PLUGIN_DATA %d @%d+%d", f.Local, f.Offset, f.Length)
	case wire.FramePluginMaxData:
		return fmt.Sprintf("%s %d %d", name, f.Local, f.Limit)
	case wire.FramePluginReady:
		return fmt.Sprintf("%s %d", name, f.Local)
	case wire.FramePluginDetach:
		return fmt.Sprintf("%s %d code=%d %q", name, f.Local, f.Code, f.Data)
	case wire.FramePluginEvent:
		return fmt.Sprintf("%s %d of %d bytes", name, f.Local, f.Length)
	case wire.FramePluginKeep:
		locals, _ := wire.ParsePluginKeep(f.Data, nil)
		return fmt.Sprintf("%s %v", name, locals)
	}
	if f.Plugin == "" {
		return fmt.Sprintf("%s of %d bytes", name, f.Length)
	}
	return fmt.Sprintf("PLUGIN %q frame %d of %d bytes", f.Plugin, f.Code, f.Length)
}
