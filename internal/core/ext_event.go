package core

import "github.com/seed51309289/quiver/hook"

// Event implements hook.Conn.
func (a *attached) Event(payload []byte) error {
	switch {
	case !a.may(hook.MayEvent):
		return hook.ErrPermission
	case len(payload) > hook.MaxEventBytes:
		return hook.ErrRange
	case !a.active || a.local == noLocal || a.x.conn.closing.state != stateOpen:
		return hook.ErrInactive
	}
	return a.x.conn.sendExtensionEvent(a.local, payload)
}

// sendExtensionEvent sends a message to the other half of an extension. Without
// an exchange of plugins there is none.
func (c *Conn) sendExtensionEvent(local uint64, payload []byte) error { return hook.ErrInactive }

// takeExtensionEvent gives an extension what its other half sent. It reports false
// if the extension takes no messages, or is not there.
func (c *Conn) takeExtensionEvent(local uint64, payload []byte) bool {
	a := c.extensionByLocal(local)
	if a == nil {
		return false
	}
	to, ok := a.do.(hook.EventTaker)
	if !ok || !a.enter() {
		return false
	}
	to.TakeEvent(payload)
	a.leave()
	return true
}
