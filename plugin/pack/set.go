package pack

import (
	"slices"

	"github.com/seed51309289/quiver/hook"
)

// CheckSet says whether the plugins may be attached to one connection together. It refuses the set as a whole, naming the two that clash:
// the same id twice, a conflict that either declares, a plugin that another requires and that is not there, two owners of one operation, more
// than 8 plugins. The error is an [*Error].
func CheckSet(set []*Manifest) error {
	if len(set) > hook.MaxExtensions {
		return refuse("", "plugins", "%d, at most %d may be attached to one connection", len(set), hook.MaxExtensions)
	}
	for i, m := range set {
		if len(m.Frames) > hook.MaxFrames {
			return refuse("", "frames", "%s has %d, at most %d are allowed", m.ID, len(m.Frames), hook.MaxFrames)
		}
		if err := checkRequired(m, set); err != nil {
			return err
		}
		for _, other := range set[:i] {
			if err := checkPair(other, m); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkRequired(m *Manifest, set []*Manifest) error {
	for _, id := range m.Requires {
		if !slices.ContainsFunc(set, func(other *Manifest) bool { return other.ID == id }) {
			return refuse("", "requires", "%s needs %s, which is not among the plugins", m.ID, id)
		}
	}
	return nil
}

// checkPair refuses two plugins that do not go together; a comes before b.
func checkPair(a, b *Manifest) error {
	switch {
	case a.ID == b.ID:
		return refuse("", "id", "%s is there twice, as %s and %s", a.ID, a.Version, b.Version)
	case slices.Contains(a.Conflicts, b.ID):
		return refuse("", "conflicts", "%s says that it conflicts with %s", a.ID, b.ID)
	case slices.Contains(b.Conflicts, a.ID):
		return refuse("", "conflicts", "%s says that it conflicts with %s", b.ID, a.ID)
	}
	if isOwner(a, isCongestion) && isOwner(b, isCongestion) {
		return refuse("", "hooks", "%s and %s both replace congestion control, which has one owner", a.ID, b.ID)
	}
	for _, h := range a.Hooks {
		for _, g := range b.Hooks {
			if h.Op == g.Op {
				if why := clash(h, g); why != "" {
					return refuse("", "hooks", "%s and %s both replace %v, %s", a.ID, b.ID, h.Op, why)
				}
			}
		}
	}
	return nil
}

func isOwner(m *Manifest, of func(hook.Op) bool) bool {
	return slices.ContainsFunc(m.Hooks, func(h hook.HookDecl) bool { return of(h.Op) })
}

// clash says why two hooks at the same operation exclude each other; "" if they do not. Operations that neither are Solo nor Shared belong to
// each plugin alone: its timers, its frames, its calls.
func clash(a, b hook.HookDecl) string {
	switch {
	case a.Op.Solo():
		return "which has one owner"
	case a.Op.Shared() && !(a.Chain && b.Chain):
		return `which both may own only if both can defer ("chain": true)`
	}
	return ""
}
