package plugin

import "github.com/seed51309289/quiver/hook"

// A Plugin makes extensions, one for each connection: a [*Module], or native code. New is safe for concurrent use.
type Plugin interface {
	New() (hook.Extension, error)
}

var (
	_ Plugin = (*Module)(nil)
	_ Plugin = native(nil)
)

// Native makes a plugin of Go code: f returns an extension for one connection. Nothing bounds what it does.
func Native(f func() hook.Extension) Plugin { return native(f) }

type native func() hook.Extension

func (f native) New() (hook.Extension, error) { return f(), nil }
