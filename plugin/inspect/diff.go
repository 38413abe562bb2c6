package inspect

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Change is one difference between two packages.
type Change struct {
	What string `json:"what"` // "permission", "hook", "limit fuel" …
	Was  string `json:"was,omitempty"`
	Now  string `json:"now,omitempty"`
}

// Diff lists what is in b and not in a, and the other way round: what it may do first, then what it does, then what it costs, then the rest.
// Nothing means that both are the same plugin with the same signatures.
func Diff(a, b *Facts) []Change {
	d := &differ{}
	d.sets("permission", permissions(a.manifest), permissions(b.manifest))
	d.sets("view", views(a.manifest), views(b.manifest))
	d.sets("hook", hooks(a), hooks(b))
	d.sets("frame", frames(a), frames(b))
	d.sets("import", imports(a), imports(b))
	d.sets("role", roles(a.manifest), roles(b.manifest))
	d.values("mode", a.manifest.Mode.String(), b.manifest.Mode.String())
	d.limits(&a.Limits, &b.Limits)
	d.sets("setting", settings(a), settings(b))
	d.sets("call", calls(a), calls(b))
	d.sets("metric", metrics(a), metrics(b))
	d.sets("requires", a.manifest.Requires, b.manifest.Requires)
	d.sets("conflicts", a.manifest.Conflicts, b.manifest.Conflicts)
	d.functions(a, b)
	d.values("id", a.manifest.ID, b.manifest.ID)
	d.values("version", a.manifest.Version, b.manifest.Version)
	d.values("abi", abi(a), abi(b))
	d.values("weight", strconv.Itoa(max(1, a.manifest.Weight)), strconv.Itoa(max(1, b.manifest.Weight)))
	d.values("description", a.manifest.Description, b.manifest.Description)
	d.values("license", a.manifest.License, b.manifest.License)
	d.sources(a.Source, b.Source)
	d.sets("signature", signatures(a), signatures(b))
	d.values("size", strconv.Itoa(a.Size), strconv.Itoa(b.Size))
	d.values("digest", a.Digest, b.Digest)
	return d.list
}

type differ struct{ list []Change }

func (d *differ) values(what, was, now string) {
	if was != now {
		d.list = append(d.list, Change{what, was, now})
	}
}

// sets compares lists whose order does not matter.
func (d *differ) sets(what string, was, now []string) {
	for _, x := range now {
		if !slices.Contains(was, x) {
			d.list = append(d.list, Change{what, "", x})
		}
	}
	for _, x := range was {
		if !slices.Contains(now, x) {
			d.list = append(d.list, Change{what, x, ""})
		}
	}
}

func (d *differ) limits(a, b *Limits) {
	for _, l := range []struct {
		name     string
		was, now int
	}{
		{"memory pages", a.MemoryPages, b.MemoryPages}, {"fuel", a.Fuel, b.Fuel}, {"timers", a.Timers, b.Timers},
		{"reservations", a.Reservations, b.Reservations}, {"reserved bytes", a.ReservedBytes, b.ReservedBytes},
		{"events a second", a.Emit, b.Emit}, {"log bytes a second", a.LogBytes, b.LogBytes},
	} {
		d.values("limit "+l.name, strconv.Itoa(l.was), strconv.Itoa(l.now))
	}
}

// functions compares what code costs: by name, or by number where the package has no names.
func (d *differ) functions(a, b *Facts) {
	was := map[string]string{}
	for i := range a.Code.Functions {
		f := &a.Code.Functions[i]
		was[functionName(f)] = costText(f)
	}
	for i := range b.Code.Functions {
		f := &b.Code.Functions[i]
		d.values("fuel of "+functionName(f), was[functionName(f)], costText(f))
		delete(was, functionName(f))
	}
	for i := range a.Code.Functions {
		name := functionName(&a.Code.Functions[i])
		if text, ok := was[name]; ok {
			d.values("fuel of "+name, text, "")
		}
	}
}

func (d *differ) sources(a, b *Source) {
	if a == nil {
		a = &Source{}
	}
	if b == nil {
		b = &Source{}
	}
	d.values("source", strings.TrimSpace(a.URL+" "+a.Commit), strings.TrimSpace(b.URL+" "+b.Commit))
	d.values("toolchain", a.Toolchain, b.Toolchain)
	d.values("built by", a.Build, b.Build)
}

func hooks(f *Facts) (list []string) {
	for i := range f.manifest.Hooks {
		list = append(list, hookText(&f.manifest.Hooks[i]))
	}
	return list
}

func frames(f *Facts) (list []string) {
	for i := range f.manifest.Frames {
		list = append(list, frameText(&f.manifest.Frames[i]))
	}
	return list
}

func metrics(f *Facts) (list []string) {
	for i := range f.manifest.Metrics {
		list = append(list, metricText(&f.manifest.Metrics[i]))
	}
	return list
}

func calls(f *Facts) (list []string) {
	for _, op := range f.manifest.AppOps {
		list = append(list, fmt.Sprintf("%d %s", op.ID, op.Name))
	}
	return list
}

func imports(f *Facts) (list []string) {
	for _, i := range f.Code.Imports {
		list = append(list, i.Name)
	}
	return list
}

func settings(f *Facts) (list []string) {
	for _, s := range f.Settings {
		list = append(list, fmt.Sprintf("%s=%s (%s)", s.Name, s.Default, s.Values))
	}
	return list
}

func signatures(f *Facts) (list []string) {
	for _, s := range f.Signatures {
		text := s.Key
		if s.Claim != "" {
			text += fmt.Sprintf(" %q", s.Claim)
		}
		list = append(list, text)
	}
	return list
}

func abi(f *Facts) string {
	return f.manifest.ABI.Min.String() + " to " + f.manifest.ABI.Max.String()
}

// WriteDiff writes changes for people, one a line: "+" is new, "-" is gone, "~" is different.
func WriteDiff(w io.Writer, changes []Change) error {
	for _, c := range changes {
		var err error
		switch {
		case c.Was == "":
			_, err = fmt.Fprintf(w, "+ %s %s\n", printable(c.What), printable(c.Now))
		case c.Now == "":
			_, err = fmt.Fprintf(w, "- %s %s\n", printable(c.What), printable(c.Was))
		default:
			_, err = fmt.Fprintf(w, "~ %s: %s, was %s\n", printable(c.What), printable(c.Now), printable(c.Was))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
