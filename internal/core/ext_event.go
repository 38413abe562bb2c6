package core

import "github.com/seed51309289/quiver/hook"

// Event implements hook.Conn.
func (a *attached) Event(payload []byte) error {
	switch {
	case !a.may(hook.MayEvent):
		return hook.ErrPermission
	case len(payload) > hook.MaxEventBytes:
		return hook.ErrRange
	case !a.active || a.local == NoLocal || a.x.conn.closing.state != stateOpen:
		return hook.ErrInactive
	}
	if a.x.conn.sendPluginEvent(a.local, payload) != nil {
		return hook.ErrLimit
	}
	return nil
}

// takeExtensionEvent gives an extension what its other half sent. It reports false
// if the extension takes no messages, or is not there.
func (c *Conn) takeExtensionEvent(local uint64, payload []byte) bool {
	a := c.extensionByLocal(local)
	if a == nil || !a.hooks[hook.OpTakeEvent] || !a.enter() {
		return false
	}
	a.do.(hook.EventTaker).TakeEvent(payload)
	a.leave()
	return true
}
