package core

import (
	"errors"

	"github.com/seed51309289/quiver/hook"
)

// Why CallExtension refuses.
var (
	ErrNoExtension   = errors.New("no such extension is attached")
	ErrNotCallable   = errors.New("the extension declares no hook app_call")
	ErrExtensionBusy = errors.New("the extension is in a call already")
)

// CallExtension lets the application call the extension with that ID, and returns
// its answer, of at most hook.MaxCallBytes bytes. The error is ErrNoExtension,
// ErrNotCallable, ErrExtensionBusy, what made the extension fail during the call,
// or what it answered.
func (c *Conn) CallExtension(now Time, id string, op uint32, in []byte) ([]byte, error) {
	c.at(now)
	a := c.extension(id)
	switch {
	case a == nil:
		return nil, ErrNoExtension
	case !a.hooks[hook.OpAppCall]:
		return nil, ErrNotCallable
	case !a.enter():
		return nil, ErrExtensionBusy
	}
	out, err := a.do.(hook.Callee).AppCall(op, in, nil)
	if len(out) > hook.MaxCallBytes {
		a.fail("app_call %d answered %d bytes, at most %d", op, len(out), hook.MaxCallBytes)
	}
	a.leave()
	if a.gone && a.why == hook.DetachFault {
		return nil, a.cause
	}
	return out, err
}

// ExtensionStats appends the numbers of all extensions to dst: of those that are
// attached, in that order, and of the last that were.
func (c *Conn) ExtensionStats(dst []hook.ExtensionStats) []hook.ExtensionStats {
	if c.ext == nil {
		return dst
	}
	for _, a := range c.ext.list {
		dst = append(dst, a.numbers())
	}
	return append(dst, c.ext.ended...)
}

// numbers is what a did and cost until now.
func (a *attached) numbers() hook.ExtensionStats {
	s := a.stats
	s.Active = a.active && !a.gone
	if m, ok := a.do.(hook.Meter); ok {
		s.Usage = m.Usage()
		s.Faults = max(s.Faults, a.stats.Faults)
	}
	for i, m := range a.info.Metrics {
		s.Metrics = append(s.Metrics, hook.Metric{Name: m.Name, Unit: m.Unit, Value: a.metrics[i]})
	}
	return s
}

// state is how far the connection has come, in the words of extensions.
func (c *Conn) state() hook.State {
	switch {
	case c.closing.state == stateDrained:
		return hook.Drained
	case c.closing.state != stateOpen:
		return hook.Closing
	case c.confirmed:
		return hook.Confirmed
	case c.complete:
		return hook.Established
	}
	return hook.Handshaking
}

// tellState tells the extensions if the connection's state changed.
func (c *Conn) tellState() {
	x := c.ext
	if x == nil || x.state == c.state() {
		return
	}
	from := x.state
	x.state = c.state()
	for _, h := range x.table.states {
		if h.enter() {
			h.to.StateChanged(from, x.state)
			h.leave()
		}
	}
}
