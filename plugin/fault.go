package plugin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed51309289/quiver/hook"
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

// MaxFaults is how often a plugin may fail before it is quarantined. What a peer can bring about whenever it likes ends the plugin on that
// connection, and does not count: else three connections of one peer would take a plugin from all others. That is a fault in attach, whose
// settings the peer may have chosen; in a call on bytes that the peer wrote; and for want of fuel that a connection's plugins share. A plugin
// that keeps what a peer says and fails by it later is counted.
const MaxFaults = 3

// ofPeers are the operations in which a fault may be the peer's doing.
const ofPeers = 1<<hook.OpAttach | 1<<hook.OpTakeEvent | 1<<hook.OpReceivePayload | 1<<hook.OpFrameProcess

// ownFault reports whether the fault of the call that ran last counts against the plugin.
func (x *extension) ownFault() bool { return !x.wanted && uint64(ofPeers)>>x.op&1 == 0 }

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
