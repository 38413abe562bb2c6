package doctor

import (
	"fmt"
	"strings"
)

// Modes, and the wish for any of them.
const (
	ModeAuto    = "auto"
	ModeInside  = "inside"  // the program lives in the fabric; other sockets than TCP's are injected
	ModeOutside = "outside" // the program lives where it was started; TCP sockets are injected
)

// A Choice is the way in which a run goes.
type Choice struct {
	Mode          string `json:"mode"`           // ModeInside or ModeOutside
	UserNamespace bool   `json:"user_namespace"` // in a user namespace of its own, for want of privileges
	Why           string `json:"why"`            // "this user lacks CAP_NET_ADMIN, …"
}

func (c Choice) String() string {
	if c.UserNamespace {
		return c.Mode + ", in a user namespace"
	}
	return c.Mode
}

// An UnableError says that a run cannot be here, and what is in the way.
type UnableError struct {
	Want    string // the mode that was asked for
	Missing []Fact // what each would have to be, the first first
}

func (e *UnableError) Error() string {
	what := "quiver run cannot work here"
	if e.Want == ModeInside || e.Want == ModeOutside {
		what = "mode " + e.Want + " cannot work here"
	}
	f := e.Missing[0]
	return fmt.Sprintf("%s: no %s: %s", what, f.Name, f.Found)
}

// Hint says what to do.
func (e *UnableError) Hint() string {
	var ways []string
	if hint := e.Missing[0].Hint; hint != "" {
		ways = append(ways, hint)
	}
	return strings.Join(append(ways, "or use 'quiver gateway', which needs none of this; 'quiver doctor' tells more"), "; ")
}

// A WantError says that there is no such mode.
type WantError struct{ Want string }

func (e *WantError) Error() string {
	return fmt.Sprintf("mode %q, want %s, %s or %s", e.Want, ModeAuto, ModeInside, ModeOutside)
}

// Decide returns the way for a run in the mode want, "" or ModeAuto for any. The
// error is an *UnableError or a *WantError. It is pure.
func Decide(facts []Fact, want string) (Choice, error) {
	switch want {
	case "":
		want = ModeAuto
	case ModeAuto, ModeInside, ModeOutside:
	default:
		return Choice{}, &WantError{want}
	}
	if missing := lacking(facts, ByAll); len(missing) > 0 {
		return Choice{}, &UnableError{want, missing}
	}
	var c Choice
	root, user := lacking(facts, ByRoot), lacking(facts, ByUser)
	switch {
	case len(root) == 0:
		c.Why = "this user has the privileges"
	case len(user) == 0:
		c.UserNamespace = true
		c.Why = root[0].Found + ", and user namespaces work"
	default:
		return Choice{}, &UnableError{want, append(user, root...)}
	}
	c.Mode = ModeInside
	if want == ModeOutside {
		c.Mode = ModeOutside
		c.Why += "; outside was asked for"
	}
	return c, nil
}
