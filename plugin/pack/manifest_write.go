package pack

import "github.com/seed51309289/quiver/hook"

// tree collects the fields of an object that say more than the default.
type tree map[string]any

func (t tree) text(name, s string) {
	if s != "" {
		t[name] = s
	}
}

func (t tree) number(name string, n int) {
	if n != 0 {
		t[name] = int64(n)
	}
}

func (t tree) flag(name string, b bool) {
	if b {
		t[name] = true
	}
}

func (t tree) list(name string, l []any) {
	if len(l) > 0 {
		t[name] = l
	}
}

// object puts t where appendJSON can see it.
func (t tree) object() map[string]any { return t }

// Canonical returns the one form in which a package holds m (RFC 8785 with integers only): names sorted, no white space, and no field that
// says what its absence says.
func (m *Manifest) Canonical() []byte {
	t := tree{
		"id": m.ID, "version": m.Version, "mode": m.Mode.String(),
		"abi":   map[string]any{"min": m.ABI.Min.String(), "max": m.ABI.Max.String()},
		"roles": list(m.Roles.names()),
		"hooks": mapped(m.Hooks, hookTree),
	}
	t.text("description", m.Description)
	t.text("license", m.License)
	t.list("frames", mapped(m.Frames, frameTree))
	t.rights(m.Permissions, m.Payload)
	t.number("weight", m.Weight)
	if limits := m.Limits.tree(); len(limits) > 0 {
		t["limits"] = limits
	}
	if len(m.Config) > 0 {
		t["config"] = m.configTree()
	}
	t.list("app_ops", mapped(m.AppOps, appOpTree))
	t.list("metrics", mapped(m.Metrics, metricTree))
	t.list("requires", list(m.Requires))
	t.list("conflicts", list(m.Conflicts))
	return appendJSON(nil, t.object())
}

func (r Roles) names() (names []string) {
	for i, name := range roleNames {
		if r&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

func list(words []string) []any {
	return mapped(words, func(s *string) any { return *s })
}

func mapped[T any](in []T, to func(*T) any) []any {
	out := make([]any, len(in))
	for i := range in {
		out[i] = to(&in[i])
	}
	return out
}

// rights writes permissions and views, of a manifest or of a ceiling.
func (t tree) rights(p hook.Permission, payload bool) {
	t.list("permissions", list(permissionNames(p)))
	if payload {
		t["views"] = []any{viewPayload}
	}
}

func hookTree(h *hook.HookDecl) any {
	t := tree{"op": h.Op.String(), "anchor": h.Anchor.String()}
	t.number("order", h.Order)
	t.flag("chain", h.Chain)
	return t.object()
}

func frameTree(f *hook.FrameDecl) any {
	t := tree{"name": f.Name, "max_len": int64(f.MaxLen)}
	t.flag("ack_eliciting", f.AckEliciting)
	t.flag("in_flight", f.InFlight)
	t.flag("ride_along", f.RideAlong)
	t.flag("early", f.Early)
	return t.object()
}

func (l *Limits) tree() map[string]any {
	t := tree{}
	for _, f := range l.fields() {
		t.number(f.name, *f.value)
	}
	return t.object()
}

func appOpTree(a *AppOp) any {
	t := tree{"id": int64(a.ID), "name": a.Name}
	t.text("description", a.Description)
	return t.object()
}

func metricTree(m *hook.MetricDecl) any {
	t := tree{"id": int64(m.ID), "name": m.Name, "type": metricTypes[0]}
	if m.Gauge {
		t["type"] = metricTypes[1]
	}
	t.text("unit", m.Unit)
	return t.object()
}

func (m *Manifest) configTree() any {
	defaults := map[string]any{}
	for i := range m.Config {
		f := &m.Config[i]
		switch f.Kind {
		case Bool:
			defaults[f.Name] = f.Default != 0
		case Choice:
			defaults[f.Name] = ""
			if f.Default >= 0 && f.Default < int64(len(f.Choices)) {
				defaults[f.Name] = f.Choices[f.Default]
			}
		default:
			defaults[f.Name] = f.Default
		}
	}
	return map[string]any{"schema": mapped(m.Config, configFieldTree), "defaults": defaults}
}

func configFieldTree(f *ConfigField) any {
	t := tree{"name": f.Name, "type": f.Kind.String()}
	switch f.Kind {
	case Integer:
		t["min"], t["max"] = f.Min, f.Max
	case Choice:
		t["choices"] = list(f.Choices)
	}
	t.text("unit", f.Unit)
	t.text("description", f.Description)
	return t.object()
}
