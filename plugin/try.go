package plugin

import (
	"fmt"

	"github.com/seed51309289/quiver/hook"
)

// Try attaches the plugin, with the settings that are the default, to a connection that is none, and tells what that took.
func (m *Module) Try() (hook.Usage, error) {
	x, err := m.newExtension(purse{})
	if err != nil {
		return hook.Usage{}, fmt.Errorf("plugin %s: %w", m.title(), err)
	}
	config, err := m.manifest.Configure(nil)
	if err == nil {
		err = x.Attach(&trialConn{}, &hook.AttachState{Now: 1, Server: !m.manifest.Roles.Has(false), Config: config})
	}
	if err != nil {
		discard(x)
		return hook.Usage{}, fmt.Errorf("plugin %s: %w", m.title(), err)
	}
	u := x.Usage()
	x.Detach(hook.DetachAsked)
	return u, nil
}
