package check

import (
	"github.com/seed51309289/quiver/internal/dissect"
	"github.com/seed51309289/quiver/internal/wire"
)

// The exchange of a plugin over the connection that it is then used on: docs/plugin-exchange.md.
var (
	pluginOffered = criterion{
		name: "plugin is offered",
		want: "a PLUGIN_OFFER frame of the server",
		check: func(r *run) finding {
			return r.left.with(func() finding { return firstFrame(r.left, serverAddrs, wire.FramePluginOffer, nil) })
		},
	}
	pluginWanted = criterion{
		name: "plugin is asked for",
		want: "a PLUGIN_ANSWER frame of the client that says need",
		check: func(r *run) finding {
			return r.left.with(func() finding {
				return firstFrame(r.left, clientAddrs, wire.FramePluginAnswer, func(f *dissect.Frame) bool { return f.Status == 1 })
			})
		},
	}
	pluginSent = criterion{
		name: "plugin is sent",
		want: "PLUGIN_DATA frames of the server, to the end",
		check: func(r *run) finding {
			return r.left.with(func() finding {
				return firstFrame(r.left, serverAddrs, wire.FramePluginData, func(f *dissect.Frame) bool { return f.Fin })
			})
		},
	}
	pluginReady = criterion{
		name: "plugin is ready",
		want: "a PLUGIN_READY frame of the client, and one of the server",
		check: func(r *run) finding {
			return r.left.with(func() finding {
				if f := firstFrame(r.left, serverAddrs, wire.FramePluginReady, nil); !f.ok {
					return f
				}
				return firstFrame(r.left, clientAddrs, wire.FramePluginReady, nil)
			})
		},
	}
	pluginUsed = criterion{
		name: "plugin is used",
		want: "frames of the offered plugin from the server on the same connection, none before the client's PLUGIN_READY",
		check: func(r *run) finding {
			return r.right.with(func() finding { return usedAfterReady(r.right) })
		},
	}
	pluginStays = criterion{
		name: "plugin goes on",
		want: "no PLUGIN_DETACH frame",
		check: func(r *run) finding {
			return r.left.with(func() finding {
				for _, from := range []addrs{clientAddrs, serverAddrs} {
					if f := firstFrame(r.left, from, wire.FramePluginDetach, nil); f.ok {
						f.ok = false
						return f
					}
				}
				return r.left.finding(true, "none")
			})
		},
	}
)

// frames goes over the frames of the 1-RTT packets that could be read.
func (t *trace) frames(from addrs, each func(d *dissect.Datagram, f *dissect.Frame) bool) {
	for d, p := range t.typed(from, wire.Packet1RTT) {
		for i := range p.Frames {
			if !each(d, &p.Frames[i]) {
				return
			}
		}
	}
}

// firstFrame finds a frame of a type that is as it should be; like nil takes any.
func firstFrame(t *trace, from addrs, want wire.FrameType, like func(f *dissect.Frame) bool) (found finding) {
	others := 0
	found = t.finding(false, "no %v frame", want)
	t.frames(from, func(d *dissect.Datagram, f *dissect.Frame) bool {
		switch {
		case f.Type != want:
		case like == nil || like(f):
			found = t.at(d, true, "%v", f)
			return false
		default:
			others++
			found = t.at(d, false, "%v, and no other (%d of them)", f, others)
		}
		return true
	})
	return found
}

// usedAfterReady looks where the server's packets leave and the client's arrive.
func usedAfterReady(t *trace) finding {
	ready := firstFrame(t, clientAddrs, wire.FramePluginReady, nil)
	if !ready.ok {
		return ready
	}
	count := 0
	var first *dissect.Datagram
	var name string
	t.frames(serverAddrs, func(d *dissect.Datagram, f *dissect.Frame) bool {
		if f.Type.IsPlugin() && f.Plugin != "" {
			if first == nil {
				first, name = d, f.Plugin
			}
			count++
		}
		return true
	})
	switch {
	case first == nil:
		return t.finding(false, "no frame of an offered plugin")
	case first.Time < ready.at:
		return t.at(first, false, "a frame of %s %v before the client was ready", name, ready.at-first.Time)
	}
	return t.at(first, true, "%d frames of %s", count, name)
}
