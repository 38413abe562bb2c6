package doctor

import (
	"errors"
	"strings"
	"testing"
)

// facts makes a list of facts of which those named are missing.
func facts(missing ...string) []Fact {
	all := []Fact{
		{Name: "platform", Need: ByAll}, {Name: "privileges", Need: ByRoot}, {Name: "network-namespace", Need: ByRoot}, {Name: "user-namespace", Need: ByUser},
		{Name: "fabric-namespace", Need: ByAll, Hint: "move"}, {Name: "seccomp-notify", Need: ByAll, Hint: "wait"}, {Name: "udp-gso"},
	}
	for i, f := range all {
		all[i] = f.there("found")
		for _, name := range missing {
			if f.Name == name {
				all[i] = f.missing("gone", f.Hint)
			}
		}
	}
	return all
}

func TestModeIsTheFirstOfTheLadderThatStands(t *testing.T) {
	for _, tc := range []struct {
		name    string
		want    string
		missing []string
		mode    string
		users   bool
		why     string
	}{
		{name: "root", mode: ModeInside, why: "this user has the privileges"},
		{name: "root, any mode", want: ModeAuto, mode: ModeInside, why: "this user has the privileges"},
		{name: "root, outside", want: ModeOutside, mode: ModeOutside, why: "this user has the privileges; outside was asked for"},
		{name: "no user namespaces, which root needs not", missing: []string{"user-namespace"}, mode: ModeInside, why: "this user has the privileges"},
		{name: "nobody", missing: []string{"privileges"}, mode: ModeInside, users: true, why: "gone, and user namespaces work"},
		{name: "root in a cage", missing: []string{"network-namespace"}, mode: ModeInside, users: true, why: "gone, and user namespaces work"},
		{name: "nobody, outside", want: ModeOutside, missing: []string{"privileges"}, mode: ModeOutside, users: true, why: "gone, and user namespaces work; outside was asked for"},
		{name: "without comfort", missing: []string{"udp-gso"}, mode: ModeInside, why: "this user has the privileges"},
	} {
		c, err := Decide(facts(tc.missing...), tc.want)
		if err != nil || c.Mode != tc.mode || c.UserNamespace != tc.users || c.Why != tc.why {
			t.Errorf("%s: Decide = %+v, %v, want %s, %t, %q", tc.name, c, err, tc.mode, tc.users, tc.why)
		}
	}
}

func TestWhereThereIsNoWayTheMissingThingIsNamed(t *testing.T) {
	const way = "or use 'quiver gateway', which needs none of this; 'quiver doctor' tells more"
	for _, tc := range []struct {
		want       string
		missing    []string
		said, hint string
		blocking   int
	}{
		{"", []string{"seccomp-notify", "fabric-namespace", "privileges"}, "quiver run cannot work here: no fabric-namespace: gone", "move; " + way, 2},
		{"", []string{"seccomp-notify", "platform"}, "quiver run cannot work here: no platform: gone", way, 2},
		{"", []string{"privileges", "user-namespace"}, "quiver run cannot work here: no user-namespace: gone", way, 2},
		{ModeInside, []string{"fabric-namespace"}, "mode inside cannot work here: no fabric-namespace: gone", "move; " + way, 1},
		{ModeOutside, []string{"platform"}, "mode outside cannot work here: no platform: gone", way, 1},
	} {
		_, err := Decide(facts(tc.missing...), tc.want)
		unable, ok := errors.AsType[*UnableError](err)
		if !ok || unable.Error() != tc.said || unable.Hint() != tc.hint || len(unable.Missing) != tc.blocking {
			t.Errorf("want %q without %v: %v, want %q, hint %q, and %d in the way", tc.want, tc.missing, err, tc.said, tc.hint, tc.blocking)
		}
	}
}

func TestWhatWasNotTriedIsNotInTheWay(t *testing.T) {
	all := facts()
	for i := range all {
		all[i].State = Untried
	}
	if c, err := Decide(all, ""); err != nil || c.Mode != ModeInside {
		t.Errorf("Decide = %+v, %v, want inside", c, err)
	}
}

func TestUnknownModesAreRefused(t *testing.T) {
	_, err := Decide(nil, "moon")
	if e, ok := errors.AsType[*WantError](err); !ok || e.Error() != `mode "moon", want auto, inside or outside` {
		t.Errorf("Decide: %v, want a WantError", err)
	}
	if _, err := Choose(t.Context(), "moon"); err == nil || !strings.Contains(err.Error(), "moon") {
		t.Errorf("Choose: %v, want a WantError", err)
	}
}

func TestReportKnowsWhatBlocks(t *testing.T) {
	r := Report{Facts: facts("seccomp-notify", "udp-gso")}
	r.conclude()
	if r.Choice != nil || r.Trouble == "" || r.Hint == "" {
		t.Errorf("report %+v, want trouble and a hint", r)
	}
	for _, f := range r.Facts {
		if got, want := r.Blocks(f), f.Name == "seccomp-notify"; got != want {
			t.Errorf("%s blocks: %t, want %t", f.Name, got, want)
		}
	}
	r = Report{Facts: facts()}
	r.conclude()
	if r.Choice == nil || r.Trouble != "" {
		t.Errorf("report %+v, want a choice", r)
	}
}

func TestWhatIsNotNeededIsSaid(t *testing.T) {
	for missing, want := range map[string]string{
		"privileges": "not needed, since user namespaces work", "user-namespace": "not needed, since this user has the privileges", "fabric-namespace": "move",
	} {
		r := Report{Facts: facts(missing)}
		r.conclude()
		for _, f := range r.Facts {
			if f.Name == missing && f.Hint != want {
				t.Errorf("without %s: hint %q, want %q", missing, f.Hint, want)
			}
		}
	}
}
