package plugin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/seed51309289/quiver/plugin/wasm"
)

// Why a plugin failed. Each comes inside a [*Fault].
var (
	// ErrFuel: it ran out of fuel, in one call or because the connection's ran out.
	ErrFuel = errors.New("ran out of fuel")
	// ErrTrap: it stopped in the middle, as at an access beyond its memory.
	ErrTrap = errors.New("trapped")
	// ErrResult: it returned an error, or what makes no sense.
	ErrResult = errors.New("returned nonsense")
)

// ErrQuarantined says that a plugin failed too often in this process: no connection gets it any more.
var ErrQuarantined = errors.New("plugin is quarantined")

// MaxFaults is how often a plugin may fail before it is quarantined.
const MaxFaults = 3

// A Fault says why a plugin was detached. It matches ErrFuel, ErrTrap or ErrResult.
type Fault struct {
	Plugin string   // id and version
	Where  string   // the operation, or the export that was called
	Err    error    // what happened
	Stack  []string // the plugin's functions that were running, the innermost first; empty if it ended by itself
}

func (f *Fault) Error() string {
	s := fmt.Sprintf("plugin %s: %s: %v", f.Plugin, f.Where, f.Err)
	if len(f.Stack) > 0 {
		s += " in " + strings.Join(f.Stack, " < ")
	}
	return s
}

// Unwrap returns f.Err.
func (f *Fault) Unwrap() error { return f.Err }

// stackOf returns the functions that were running when the engine said err. Packages are stripped of names, but those of exports are left.
func (c *code) stackOf(err error) []string {
	var t *trap
	if !errors.As(err, &t) {
		return nil
	}
	c.named.Do(func() { c.names = exportNames(c.file) })
	for n, name := range t.stack {
		if exported, ok := c.names[name]; ok {
			t.stack[n] = exported
		}
	}
	return t.stack
}

// exportNames returns the names of exported functions by what the engine calls them for want of a name.
func exportNames(k *pack.Package) map[string]string {
	names := map[string]string{}
	m, err := wasm.ParseMax(k.Raw, len(k.Raw))
	if err != nil {
		return names
	}
	for _, e := range m.Exports {
		if e.Kind == wasm.KindFunc && pack.ValidName(e.Name) { // it stands in errors, and so on terminals
			names[fmt.Sprintf("$%d", e.Index)] = e.Name
		}
	}
	return names
}
