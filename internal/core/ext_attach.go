package core

import (
	"fmt"
	"slices"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/wire"
)

// maxWeight bounds the share that an extension may ask for.
const maxWeight = 100

// AttachError says why an extension was not attached.
type AttachError struct {
	ID    string // of the extension
	Field string // of its Info, or of AttachOptions, that is wrong
	Want  string // the rule, and how it was broken
}

func (e *AttachError) Error() string {
	return fmt.Sprintf("extension %s: %s: %s", e.ID, e.Field, e.Want)
}

// copyInfo takes what an extension says of itself, once and for all.
func copyInfo(i *hook.Info) hook.Info {
	own := *i
	own.Hooks, own.Frames, own.Metrics = slices.Clone(i.Hooks), slices.Clone(i.Frames), slices.Clone(i.Metrics)
	return own
}

// checkExtension says what keeps a from being attached beside others; nil =
// nothing. It changes nothing.
func checkExtension(a *attached, others []*attached) error {
	for _, check := range []func(*attached, []*attached) *AttachError{
		checkIdentity, checkHooks, checkDead, checkFrames, checkTypes, checkBounds, checkOwners,
	} {
		if err := check(a, others); err != nil {
			return err
		}
	}
	return nil
}

// refuse makes the error of a check.
func (a *attached) refuse(field, format string, args ...any) *AttachError {
	return &AttachError{ID: a.info.ID, Field: field, Want: fmt.Sprintf(format, args...)}
}

func checkIdentity(a *attached, others []*attached) *AttachError {
	if n := len(a.info.ID); n == 0 || n > hook.MaxIDLen {
		return a.refuse("id", "%d bytes, want 1 to %d", n, hook.MaxIDLen)
	}
	if len(others) >= hook.MaxExtensions {
		return a.refuse("id", "the connection has %d extensions, at most %d", len(others), hook.MaxExtensions)
	}
	for _, b := range others {
		if b.info.ID == a.info.ID {
			return a.refuse("id", "version %s of it is attached already", b.info.Version)
		}
		if a.local != NoLocal && b.local == a.local {
			return a.refuse("number", "%d is that of %s", a.local, b.info.ID)
		}
	}
	return nil
}

// checkHooks holds every declared hook against the vocabulary and against what
// the extension implements: none may be dead.
func checkHooks(a *attached, _ []*attached) *AttachError {
	var declared [hook.NumOps]bool
	for _, h := range a.info.Hooks {
		switch anchor := h.Op.Anchor(); {
		case !h.Op.Known():
			return a.refuse("hooks", "%v does not exist", h.Op)
		case anchor == 0:
			return a.refuse("hooks", "nothing can be attached to %v yet", h.Op)
		case h.Anchor != anchor:
			return a.refuse("hooks", "%v is at %v, want %v", h.Op, h.Anchor, anchor)
		case declared[h.Op]:
			return a.refuse("hooks", "%v is declared twice", h.Op)
		case h.Chain && !h.Op.Shared():
			return a.refuse("hooks", "%v cannot be shared by deferring", h.Op)
		case !parts[h.Op].in(a.do):
			return a.refuse("hooks", "%v needs hook.%s, which the extension does not implement", h.Op, parts[h.Op].name)
		case (h.Op == hook.OpSendPayload || h.Op == hook.OpReceivePayload) && !a.info.Payload:
			return a.refuse("payload", "%v shows the content of packets, which is not asked for", h.Op)
		}
		declared[h.Op] = true
	}
	return nil
}

// checkDead finds parts of a native extension that nothing would ever call. The
// host of WebAssembly implements all for all: its manifests are checked against
// the code.
func checkDead(a *attached, _ []*attached) *AttachError {
	if a.info.Digest != [32]byte{} {
		return nil
	}
	for op, p := range parts {
		if p.name == "" || p.name == "Extension" || !p.in(a.do) || declaresAny(a.info.Hooks, p.name) {
			continue
		}
		return a.refuse("hooks", "the extension implements hook.%s, but declares no hook such as %v", p.name, hook.Op(op))
	}
	return nil
}

func declaresAny(hooks []hook.HookDecl, part string) bool {
	return slices.ContainsFunc(hooks, func(h hook.HookDecl) bool { return parts[h.Op].name == part })
}

func checkFrames(a *attached, _ []*attached) *AttachError {
	frames := a.info.Frames
	declares := func(op hook.Op) bool {
		return slices.ContainsFunc(a.info.Hooks, func(h hook.HookDecl) bool { return h.Op == op })
	}
	switch {
	case len(frames) > hook.MaxFrames:
		return a.refuse("frames", "%d of them, at most %d", len(frames), hook.MaxFrames)
	case len(frames) > 0 && a.info.Mode == hook.Local:
		return a.refuse("frames", "%d of them, but the mode is %v: the peer has no half to take them", len(frames), a.info.Mode)
	case len(frames) > 0 && !declares(hook.OpFrameProcess):
		return a.refuse("frames", "%d of them, but no hook %v takes them", len(frames), hook.OpFrameProcess)
	case len(frames) == 0 && declaresAny(a.info.Hooks, "Frames"):
		return a.refuse("frames", "none, but there are hooks for them")
	}
	for i, f := range frames {
		most := hook.MaxFrameBody
		if f.RideAlong {
			most = hook.MaxRideAlong
		}
		switch {
		case f.Name == "":
			return a.refuse("frames", "number %d has no name", i)
		case f.AckEliciting && !f.InFlight:
			return a.refuse("frames", "%s elicits acknowledgments, but is not in flight", f.Name)
		case f.MaxLen < 1 || f.MaxLen > most:
			return a.refuse("frames", "%s has up to %d bytes, want 1 to %d", f.Name, f.MaxLen, most)
		case f.RideAlong && !declares(hook.OpPacketBegin):
			return a.refuse("frames", "%s rides along, but no hook %v asks for that", f.Name, hook.OpPacketBegin)
		}
	}
	return nil
}

// checkTypes keeps the frame types of extensions apart.
func checkTypes(a *attached, others []*attached) *AttachError {
	n := uint64(len(a.info.Frames))
	if n == 0 {
		return nil
	}
	first, last := wire.FrameType(a.typeBase), wire.FrameType(a.typeBase+n-1)
	if !first.IsPlugin() || !last.IsPlugin() {
		return a.refuse("frame types", "%#x to %#x are not for plugins", uint64(first), uint64(last))
	}
	for _, b := range others {
		if end := b.typeBase + uint64(len(b.info.Frames)); a.typeBase < end && b.typeBase < a.typeBase+n {
			return a.refuse("frame types", "%#x to %#x are also those of %s", uint64(first), uint64(last), b.info.ID)
		}
	}
	return nil
}

func checkBounds(a *attached, _ []*attached) *AttachError {
	i := &a.info
	all := hook.Permission(0)
	for _, p := range hook.Permissions() {
		all |= p
	}
	if odd := i.Permissions &^ all; odd != 0 {
		return a.refuse("permissions", "%#x are none", uint32(odd))
	}
	for _, l := range []struct {
		name      string
		got, most int
	}{
		{"limits.timers", i.Limits.Timers, hook.MaxTimers},
		{"limits.reservations", i.Limits.Reservations, hook.MaxReservations},
		{"limits.reserved bytes", i.Limits.ReservedBytes, hook.MaxReservedBytes},
		{"limits.emit", i.Limits.Emit, hook.MaxEmit},
		{"limits.log", i.Limits.LogBytes, hook.MaxLogBytes},
		{"metrics", len(i.Metrics), hook.MaxMetrics},
		{"weight", i.Weight, maxWeight},
	} {
		if l.got < 0 || l.got > l.most {
			return a.refuse(l.name, "%d, want 0 to %d", l.got, l.most)
		}
	}
	for n, m := range i.Metrics {
		if slices.ContainsFunc(i.Metrics[:n], func(o hook.MetricDecl) bool { return o.ID == m.ID }) {
			return a.refuse("metrics", "two have the number %d", m.ID)
		}
	}
	return nil
}

// checkOwners lets nobody replace what another extension replaces, unless all of
// them may defer. Congestion control has one owner for all of its operations.
func checkOwners(a *attached, others []*attached) *AttachError {
	for _, h := range a.info.Hooks {
		if !h.Op.Solo() && !h.Op.Shared() {
			continue
		}
		for _, b := range others {
			for _, g := range b.info.Hooks {
				if parts[g.Op].name != parts[h.Op].name || h.Op.Shared() && h.Chain && g.Chain {
					continue
				}
				return a.refuse("hooks", "%v belongs to %s, which has %v", h.Op, b.info.ID, g.Op)
			}
		}
	}
	return nil
}
