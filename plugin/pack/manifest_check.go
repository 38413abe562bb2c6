package pack

import (
	"fmt"
	"slices"

	"github.com/seed51309289/quiver/hook"
)

// check refuses what no single field shows: ids of the wrong form, things declared twice, and hooks that could never be called.
func (m *Manifest) check(d *decoder) {
	if !isID(m.ID) {
		d.fail("id", "%q, %s", m.ID, wantID)
	}
	if !isVersion(m.Version) {
		d.fail("version", "%q, want a semantic version such as \"1.0.0\"", m.Version)
	}
	if m.ABI.Min > m.ABI.Max {
		d.fail("abi.min", "%v, more than max, which is %v", m.ABI.Min, m.ABI.Max)
	}
	if m.Roles == 0 {
		d.fail("roles", "is empty, want client, server or both")
	}
	if len(m.Hooks) == 0 {
		d.fail("hooks", "is empty, so it would never be called")
	}
	m.checkTwice(d)
	m.checkHooks(d)
	m.checkCongestion(d)
	m.checkFrames(d)
	m.checkRest(d)
}

// checkTwice refuses two of a kind under one name or number.
func (m *Manifest) checkTwice(d *decoder) {
	twice(d, "hooks", "op", m.Hooks, func(h *hook.HookDecl) hook.Op { return h.Op })
	twice(d, "frames", "name", m.Frames, func(f *hook.FrameDecl) string { return f.Name })
	twice(d, "app_ops", "id", m.AppOps, func(a *AppOp) uint32 { return a.ID })
	twice(d, "app_ops", "name", m.AppOps, func(a *AppOp) string { return a.Name })
	twice(d, "metrics", "id", m.Metrics, func(f *hook.MetricDecl) uint32 { return f.ID })
	twice(d, "metrics", "name", m.Metrics, func(f *hook.MetricDecl) string { return f.Name })
}

func twice[T any, K comparable](d *decoder, list, field string, all []T, key func(*T) K) {
	seen := map[K]int{}
	for i := range all {
		k := key(&all[i])
		if first, ok := seen[k]; ok {
			d.fail(fmt.Sprintf("%s[%d].%s", list, i, field), "%v is that of %s[%d] already", k, list, first)
		}
		seen[k] = i
	}
}

// needs are hooks that are dead without something else that the manifest must declare.
var needs = []struct {
	op   hook.Op
	have func(*Manifest) bool
	what string
}{
	{hook.OpTimer, func(m *Manifest) bool { return m.Permissions&hook.MayTimer != 0 }, `the permission "timer"`},
	{hook.OpTakeEvent, func(m *Manifest) bool { return m.Permissions&hook.MayEvent != 0 }, `the permission "event", with which the peer's half sends`},
	{hook.OpAppCall, func(m *Manifest) bool { return len(m.AppOps) > 0 }, "app_ops"},
	{hook.OpReceivePayload, func(m *Manifest) bool { return m.Payload }, `the view "payload"`},
	{hook.OpSendPayload, func(m *Manifest) bool { return m.Payload }, `the view "payload"`},
	{hook.OpFrameProcess, func(m *Manifest) bool { return len(m.Frames) > 0 }, "frames"},
	{hook.OpFrameWrite, func(m *Manifest) bool { return len(m.Frames) > 0 }, "frames"},
	{hook.OpFrameFate, func(m *Manifest) bool { return slices.ContainsFunc(m.Frames, reserved) }, "frames that are not ride_along"},
}

func reserved(f hook.FrameDecl) bool { return !f.RideAlong }

func rides(f hook.FrameDecl) bool { return f.RideAlong }

// checkHooks refuses dead hooks.
func (m *Manifest) checkHooks(d *decoder) {
	for i, h := range m.Hooks {
		for _, n := range needs {
			if n.op == h.Op && !n.have(m) {
				d.fail(fmt.Sprintf("hooks[%d].op", i), "%v would never be called without %s", h.Op, n.what)
			}
		}
	}
}

// checkCongestion refuses half a congestion controller.
func (m *Manifest) checkCongestion(d *decoder) {
	first := slices.IndexFunc(m.Hooks, func(h hook.HookDecl) bool { return isCongestion(h.Op) })
	if first < 0 {
		return
	}
	field := fmt.Sprintf("hooks[%d].op", first)
	switch each, round := m.Hooked(hook.OpCongestionAck), m.Hooked(hook.OpCongestionRound); {
	case !m.Hooked(hook.OpCongestionInit):
		d.fail(field, "%v without %v, which begins a path", m.Hooks[first].Op, hook.OpCongestionInit)
	case each && round:
		d.fail(field, "%v and %v exclude each other", hook.OpCongestionAck, hook.OpCongestionRound)
	case !each && !round:
		d.fail(field, "a congestion controller without %v or %v hears nothing", hook.OpCongestionAck, hook.OpCongestionRound)
	}
}

func isCongestion(o hook.Op) bool { return o >= hook.OpCongestionInit && o <= hook.OpCongestionResume }

// checkFrames refuses frames that nobody could write or read.
func (m *Manifest) checkFrames(d *decoder) {
	if len(m.Frames) == 0 {
		return
	}
	write := slices.ContainsFunc(m.Frames, reserved)
	switch {
	case m.Mode == hook.Local:
		d.fail("frames", "mode is %v, so no peer would understand them", m.Mode)
	case !m.Hooked(hook.OpFrameProcess):
		d.fail("frames", "nobody takes them: there is no hook %v", hook.OpFrameProcess)
	case !m.Hooked(hook.OpFrameWrite):
		d.fail("frames", "nobody writes them: there is no hook %v", hook.OpFrameWrite)
	case write && m.Permissions&hook.MayReserve == 0:
		d.fail("frames", "nobody may send them: there is no permission %q", hook.MayReserve)
	case slices.ContainsFunc(m.Frames, rides) && !m.Hooked(hook.OpPacketBegin):
		d.fail("frames", "those that ride along have no hook %v", hook.OpPacketBegin)
	}
}

func (m *Manifest) checkRest(d *decoder) {
	switch {
	case m.Mode == hook.Local && m.Permissions&hook.MayEvent != 0:
		d.fail("permissions", "%q, but mode is %v: there is no peer's half", hook.MayEvent, m.Mode)
	case len(m.Metrics) > 0 && m.Permissions&hook.MayCount == 0:
		d.fail("metrics", "nobody may count them: there is no permission %q", hook.MayCount)
	case len(m.AppOps) > 0 && !m.Hooked(hook.OpAppCall):
		d.fail("app_ops", "nobody answers them: there is no hook %v", hook.OpAppCall)
	case slices.Contains(m.Requires, m.ID):
		d.fail("requires", "%s requires itself", m.ID)
	case slices.Contains(m.Conflicts, m.ID):
		d.fail("conflicts", "%s conflicts with itself", m.ID)
	}
	for _, id := range m.Requires {
		if slices.Contains(m.Conflicts, id) {
			d.fail("conflicts", "%s is required, too", id)
		}
	}
}
