package inspect

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/seed51309289/quiver/plugin/wasm"
)

// limitsOf fills in what a manifest leaves to the host.
func limitsOf(m *pack.Manifest) Limits {
	or := func(n, otherwise int) int {
		if n == 0 {
			return otherwise
		}
		return n
	}
	l := m.Limits
	return Limits{
		MemoryPages: or(l.MemoryPages, wasm.DefaultPages), Fuel: or(l.Fuel, pack.MaxFuel),
		Timers: or(l.Timers, hook.MaxTimers), Reservations: or(l.Reservations, hook.MaxReservations),
		ReservedBytes: or(l.ReservedBytes, hook.MaxReservedBytes), Emit: or(l.Emit, hook.MaxEmit), LogBytes: or(l.LogBytes, hook.MaxLogBytes),
	}
}

// settingOf writes a setting as a person would type its values.
func settingOf(c *pack.ConfigField) Setting {
	s := Setting{Name: c.Name, Unit: c.Unit, Description: c.Description}
	switch c.Kind {
	case pack.Bool:
		s.Values, s.Default = "false or true", strconv.FormatBool(c.Default != 0)
	case pack.Choice:
		s.Values, s.Default = oneOf(c.Choices), c.Choices[c.Default]
	default:
		s.Values, s.Default = fmt.Sprintf("%d to %d", c.Min, c.Max), strconv.FormatInt(c.Default, 10)
	}
	return s
}

func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// permissions lists what the plugin may ask for, in the words of manifests.
func permissions(m *pack.Manifest) (list []string) {
	for _, p := range hook.Permissions() {
		if m.Permissions&p != 0 {
			list = append(list, p.String())
		}
	}
	return list
}

func views(m *pack.Manifest) []string {
	if m.Payload {
		return []string{"payload"}
	}
	return nil
}

func roles(m *pack.Manifest) (list []string) {
	if m.Roles.Has(false) {
		list = append(list, "client")
	}
	if m.Roles.Has(true) {
		list = append(list, "server")
	}
	return list
}

func hookText(h *hook.HookDecl) string {
	s := h.Op.String() + " (" + h.Anchor.String()
	if h.Order != 0 {
		s += fmt.Sprintf(", order %d", h.Order)
	}
	if h.Chain {
		s += ", may defer to others"
	}
	return s + ")"
}

func frameText(f *hook.FrameDecl) string {
	s := fmt.Sprintf("%s (at most %d bytes", f.Name, f.MaxLen)
	for _, is := range []struct {
		set  bool
		text string
	}{
		{f.AckEliciting, "ack-eliciting"}, {f.InFlight && !f.AckEliciting, "in flight"}, {!f.InFlight, "not in flight"},
		{f.RideAlong, "rides along"}, {f.Early, "in 0-RTT too"},
	} {
		if is.set {
			s += ", " + is.text
		}
	}
	return s + ")"
}

func metricText(m *hook.MetricDecl) string {
	kind := "counter"
	if m.Gauge {
		kind = "gauge"
	}
	if m.Unit != "" {
		kind += ", " + m.Unit
	}
	return m.Name + " (" + kind + ")"
}

// functionName names a function of the code, by number if it has no name.
func functionName(f *wasm.FunctionReport) string {
	if f.Name == "" {
		return fmt.Sprintf("function %d", f.Index)
	}
	return f.Name
}

// costText says what a call of a function may cost.
func costText(f *wasm.FunctionReport) string {
	if f.Bounded {
		return fmt.Sprintf("at most %d", f.Worst)
	}
	return "up to the limit: " + f.Why
}
