package pack

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/seed51309289/quiver/hook"
)

// ParseManifest reads a manifest as a person writes it: JSON with any white space and order, but otherwise as strict as that of a
// package. file names it in errors, which are an [*Error].
func ParseManifest(file string, text []byte) (*Manifest, error) {
	return parseManifest(file, "", text)
}

// parseManifest reads a manifest that stands in the section named by field.
func parseManifest(file, field string, text []byte) (*Manifest, error) {
	if len(text) > maxManifest {
		return nil, refuse(file, field, "manifest has %d bytes, at most %d are allowed", len(text), maxManifest)
	}
	tree, err := parseJSON(text)
	if err != nil {
		return nil, badJSON(file, field, text, err)
	}
	d := &decoder{file: file}
	m := d.manifest(tree)
	if d.err == nil {
		m.check(d)
	}
	if d.err != nil {
		return nil, d.err
	}
	return m, nil
}

// readCanonical reads the manifest of a package, which must be the very bytes that [Manifest.Canonical] writes: else two files that say the
// same would have two identities, and two readers could read one in two ways.
func readCanonical(file string, text []byte) (*Manifest, error) {
	m, err := parseManifest(file, sectionManifest, text)
	if err != nil {
		return nil, err
	}
	if want := m.Canonical(); !bytes.Equal(text, want) {
		at := 0
		for at < min(len(text), len(want)) && text[at] == want[at] {
			at++
		}
		return nil, refuse(file, sectionManifest, "not canonical at byte %d: want sorted fields, no white space, and nothing that says the default", at)
	}
	return m, nil
}

func (d *decoder) manifest(tree any) *Manifest {
	m := &Manifest{}
	o := d.object("", tree)
	for _, name := range []string{"id", "version", "abi", "roles", "mode", "hooks"} {
		o.must(name)
	}
	m.ID = o.text("id", hook.MaxIDLen)
	m.Version = o.text("version", maxVersion)
	m.Description = o.text("description", maxDescription)
	m.License = o.text("license", maxName)
	m.ABI = d.abi(o)
	o.each("roles", len(roleNames), func(path string, v any) {
		role := wordAt(d, path, "role", v, parseRole, roleNames)
		d.once(path, v, role != 0 && m.Roles&role != 0)
		m.Roles |= role
	})
	m.Mode = word(o, "mode", "mode", hook.ParseMode, modeNames)
	o.each("hooks", maxHooks, func(path string, v any) { m.Hooks = append(m.Hooks, d.hook(path, v)) })
	o.each("frames", hook.MaxFrames, func(path string, v any) { m.Frames = append(m.Frames, d.frame(path, v)) })
	m.Permissions, m.Payload = d.rights(o)
	m.Weight = int(o.number("weight", 1, maxWeight))
	m.Limits = d.limits(o)
	m.Config = d.config(o)
	o.each("app_ops", maxAppOps, func(path string, v any) { m.AppOps = append(m.AppOps, d.appOp(path, v)) })
	o.each("metrics", hook.MaxMetrics, func(path string, v any) { m.Metrics = append(m.Metrics, d.metric(path, v)) })
	m.Requires = d.ids(o, "requires")
	m.Conflicts = d.ids(o, "conflicts")
	o.close()
	return m
}

var modeNames = []string{hook.Local.String(), hook.Negotiated.String(), hook.Required.String()}

func parseRole(s string) (Roles, bool) {
	i := slices.Index(roleNames, s)
	return 1 << max(i, 0), i >= 0
}

// once refuses the second of two equal things.
func (d *decoder) once(path string, v any, again bool) {
	if s, ok := v.(string); ok && again {
		d.fail(path, "%q is there twice", clip(s))
	}
}

func (d *decoder) abi(o *object) (r ABIRange) {
	in, ok := o.inner("abi")
	if !ok {
		return r
	}
	in.must("min")
	in.must("max")
	r.Min = word(in, "min", `version (want one such as "1.0")`, ParseABIVersion, nil)
	r.Max = word(in, "max", `version (want one such as "1.0")`, ParseABIVersion, nil)
	in.close()
	return r
}

func (d *decoder) hook(path string, v any) (h hook.HookDecl) {
	o := d.object(path, v)
	o.must("op")
	o.must("anchor")
	h.Op = word(o, "op", "hook", hook.ParseOp, opNames)
	h.Anchor = word(o, "anchor", "anchor", hook.ParseAnchor, []string{hook.Before.String(), hook.Replace.String(), hook.After.String()})
	h.Order = int(o.number("order", -maxOrder, maxOrder))
	h.Chain = o.flag("chain")
	o.close()
	switch want := h.Op.Anchor(); {
	case d.err != nil:
	case want == 0:
		d.fail(o.at("op"), "%q comes later, nothing can be attached to it yet", h.Op)
	case h.Anchor != want:
		d.fail(o.at("anchor"), "%q at %v, want %q", h.Anchor, h.Op, want)
	case h.Chain && !h.Op.Shared():
		d.fail(o.at("chain"), "%v cannot be shared by deferring", h.Op)
	}
	return h
}

// opNames lists the operations that hooks can be attached to.
var opNames = func() (names []string) {
	for _, o := range hook.Ops() {
		if o.Anchor() != 0 {
			names = append(names, o.String())
		}
	}
	return names
}()

func (d *decoder) frame(path string, v any) (f hook.FrameDecl) {
	o := d.object(path, v)
	o.must("name")
	o.must("max_len")
	f.Name = o.name("name")
	f.AckEliciting = o.flag("ack_eliciting")
	f.InFlight = o.flag("in_flight")
	f.RideAlong = o.flag("ride_along")
	f.Early = o.flag("early")
	longest := int64(hook.MaxFrameBody)
	if f.RideAlong {
		longest = hook.MaxRideAlong
	}
	f.MaxLen = int(o.number("max_len", 1, longest))
	o.close()
	if f.AckEliciting && !f.InFlight {
		d.fail(o.at("in_flight"), "must be true of a frame that is ack_eliciting")
	}
	return f
}

// name returns what may name a thing: a letter, then letters, digits, "_", "-" and ".".
func (o *object) name(field string) string {
	s := o.text(field, maxName)
	if _, ok := o.fields[field]; ok && !isName(s) {
		o.d.fail(o.at(field), "%q, want a name of letters, digits, \"_\", \"-\" and \".\" that begins with a letter", clip(s))
	}
	return s
}

// rights reads permissions and views, of a manifest or of a ceiling.
func (d *decoder) rights(o *object) (p hook.Permission, payload bool) {
	names := permissionNames(^hook.Permission(0))
	o.each("permissions", len(names), func(path string, v any) {
		if s, ok := v.(string); ok && isLater(s) {
			d.fail(path, "%q comes later, nobody can be granted it yet", clip(s))
		}
		one := wordAt(d, path, "permission", v, hook.ParsePermission, names)
		d.once(path, v, p&one != 0)
		p |= one
	})
	o.each("views", 1, func(path string, v any) {
		payload = wordAt(d, path, "view", v, func(s string) (bool, bool) { return true, s == viewPayload }, []string{viewPayload})
	})
	return p, payload
}

const viewPayload = "payload"

// isLater reports whether a permission has a name but no meaning yet.
func isLater(s string) bool { return s == "path_op" || strings.HasPrefix(s, "set:") }

// permissionNames lists the permissions of a set by name, sorted.
func permissionNames(set hook.Permission) (names []string) {
	for _, p := range hook.Permissions() {
		if set&p != 0 {
			names = append(names, p.String())
		}
	}
	slices.Sort(names)
	return names
}

func (d *decoder) limits(o *object) (l Limits) {
	in, ok := o.inner("limits")
	if !ok {
		return l
	}
	for _, f := range l.fields() {
		*f.value = int(in.number(f.name, 1, int64(f.most)))
	}
	in.close()
	return l
}

// limitField is one of [Limits] as manifests name it, with its bound.
type limitField struct {
	name  string
	value *int
	most  int
}

func (l *Limits) fields() []limitField {
	return []limitField{
		{"emit", &l.Emit, hook.MaxEmit},
		{"fuel", &l.Fuel, MaxFuel},
		{"log_bytes", &l.LogBytes, hook.MaxLogBytes},
		{"memory_pages", &l.MemoryPages, MaxMemoryPages},
		{"reservations", &l.Reservations, hook.MaxReservations},
		{"reserved_bytes", &l.ReservedBytes, hook.MaxReservedBytes},
		{"timers", &l.Timers, hook.MaxTimers},
	}
}

func (d *decoder) appOp(path string, v any) (a AppOp) {
	o := d.object(path, v)
	o.must("id")
	o.must("name")
	a.ID = uint32(o.number("id", 0, 1<<32-1))
	a.Name = o.name("name")
	a.Description = o.text("description", maxDescription)
	o.close()
	return a
}

func (d *decoder) metric(path string, v any) (m hook.MetricDecl) {
	o := d.object(path, v)
	for _, name := range []string{"id", "name", "type"} {
		o.must(name)
	}
	m.ID = uint32(o.number("id", 0, 1<<32-1))
	m.Name = o.name("name")
	m.Unit = o.text("unit", maxName)
	m.Gauge = word(o, "type", "type of metric", func(s string) (gauge, ok bool) {
		return s == metricTypes[1], slices.Contains(metricTypes, s)
	}, metricTypes)
	o.close()
	return m
}

var metricTypes = []string{"counter", "gauge"}

// ids reads a list of plugins.
func (d *decoder) ids(o *object, name string) (ids []string) {
	o.each(name, maxNeighbours, func(path string, v any) {
		id := d.text(path, v, hook.MaxIDLen)
		if !isID(id) {
			d.fail(path, "%q, %s", clip(id), wantID)
		}
		d.once(path, v, slices.Contains(ids, id))
		ids = append(ids, id)
	})
	return ids
}

const wantID = `want a reverse domain name in lower case such as "org.example.fec"`

// config reads the settings: the schema in its order, and a default for each.
func (d *decoder) config(o *object) (fields []ConfigField) {
	in, ok := o.inner("config")
	if !ok {
		return nil
	}
	in.must("schema")
	in.must("defaults")
	in.each("schema", maxConfig, func(path string, v any) { fields = append(fields, d.configField(path, v)) })
	twice(d, "config.schema", "name", fields, func(f *ConfigField) string { return f.Name })
	defaults, ok := in.inner("defaults")
	in.close()
	if !ok || d.err != nil {
		return fields
	}
	for i := range fields {
		defaults.must(fields[i].Name)
		fields[i].Default = d.configDefault(defaults, &fields[i])
	}
	defaults.close()
	return fields
}

func (d *decoder) configField(path string, v any) (f ConfigField) {
	o := d.object(path, v)
	o.must("name")
	o.must("type")
	f.Name = o.name("name")
	f.Kind = word(o, "type", "type of setting", func(s string) (ConfigKind, bool) {
		i := slices.Index(configKinds, s)
		return ConfigKind(i + 1), i >= 0
	}, configKinds)
	switch f.Kind {
	case Integer:
		o.must("min")
		o.must("max")
		f.Min = o.number("min", -maxInteger, maxInteger)
		f.Max = o.number("max", -maxInteger, maxInteger)
		if f.Min > f.Max {
			d.fail(o.at("min"), "%d, more than max, which is %d", f.Min, f.Max)
		}
	case Choice:
		o.must("choices")
		o.each("choices", maxChoices, func(path string, v any) {
			name := d.text(path, v, maxName)
			if !isName(name) {
				d.fail(path, "%q is no name", clip(name))
			}
			d.once(path, v, slices.Contains(f.Choices, name))
			f.Choices = append(f.Choices, name)
		})
		if len(f.Choices) == 0 {
			d.fail(o.at("choices"), "is empty")
		}
	}
	f.Unit = o.text("unit", maxName)
	f.Description = o.text("description", maxDescription)
	o.close()
	return f
}

// configDefault reads the default of f in the form of its kind.
func (d *decoder) configDefault(o *object, f *ConfigField) int64 {
	switch f.Kind {
	case Bool:
		if o.flag(f.Name) {
			return 1
		}
		return 0
	case Choice:
		return word(o, f.Name, "choice", func(s string) (int64, bool) {
			i := slices.Index(f.Choices, s)
			return int64(i), i >= 0
		}, f.Choices)
	}
	return o.number(f.Name, f.Min, f.Max)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
