package drive

import (
	"time"

	"github.com/seed51309289/quiver/hook"
)

// conn is what the extension takes for its connection. It grants what a connection would, and keeps what comes of it.
type conn struct {
	d        *driver
	next     hook.Token
	reserved []reservation // at most hook.MaxReservations
	timers   map[uint32]hook.Instant
	fault    error
}

type reservation struct {
	token hook.Token
	frame uint8
	size  int
}

// may reports whether the extension has a permission. In wild runs a connection is at its limits now and then.
func (c *conn) may(p hook.Permission) error {
	if c.d.info.Permissions&p == 0 {
		return hook.ErrPermission
	}
	if c.d.wild && c.d.chance(16) {
		return hook.ErrLimit
	}
	return nil
}

func (c *conn) Reserve(r hook.Reservation) (hook.Token, error) {
	if err := c.may(hook.MayReserve); err != nil {
		return 0, err
	}
	if int(r.Frame) >= len(c.d.info.Frames) || r.Size <= 0 || r.Size > c.d.info.Frames[r.Frame].MaxLen {
		return 0, hook.ErrRange
	}
	if len(c.reserved) >= hook.MaxReservations {
		return 0, hook.ErrLimit
	}
	c.next++
	c.reserved = append(c.reserved, reservation{c.next, r.Frame, r.Size})
	return c.next, nil
}

func (c *conn) Cancel(t hook.Token) error {
	for i := range c.reserved {
		if c.reserved[i].token == t {
			c.reserved = append(c.reserved[:i], c.reserved[i+1:]...)
			return nil
		}
	}
	return hook.ErrNoToken
}

func (c *conn) SetTimer(id uint32, at hook.Instant) error {
	if err := c.may(hook.MayTimer); err != nil {
		return err
	}
	if _, ok := c.timers[id]; !ok && len(c.timers) >= hook.MaxTimers {
		return hook.ErrLimit
	}
	c.timers[id] = max(at, c.d.now.Add(hook.MinTimer))
	return nil
}

func (c *conn) StopTimer(id uint32) error { delete(c.timers, id); return nil }

func (c *conn) Rand(p []byte) error {
	for i := range p {
		p[i] = byte(c.d.rng.Uint32())
	}
	return c.may(hook.MayRand)
}

func (c *conn) Emit(_ uint32, payload []byte) error {
	if len(payload) > hook.MaxEmitBytes {
		return hook.ErrRange
	}
	return c.may(hook.MayEmit)
}

func (c *conn) Count(metric uint32, _ int64) error {
	for _, m := range c.d.info.Metrics {
		if m.ID == metric {
			return c.may(hook.MayCount)
		}
	}
	return hook.ErrRange
}

func (c *conn) Log([]byte) error { return c.may(hook.MayLog) }

func (c *conn) Event(payload []byte) error {
	if len(payload) > hook.MaxEventBytes {
		return hook.ErrRange
	}
	return c.may(hook.MayEvent)
}

func (c *conn) Get(f hook.Field, _ uint8) (uint64, error) {
	if f >= hook.NumFields {
		return 0, hook.ErrRange
	}
	if err := c.may(hook.MayGet); err != nil {
		return 0, err
	}
	ms := func(n int) uint64 { return uint64(n) * uint64(time.Millisecond) }
	switch f {
	case hook.FieldNow:
		return uint64(c.d.now), nil
	case hook.FieldSmoothedRTT, hook.FieldLatestRTT, hook.FieldMinRTT, hook.FieldRTTVar:
		return ms(c.d.number(20, 60, 60_000)), nil
	case hook.FieldDatagramSize:
		return datagram, nil
	}
	return uint64(c.d.number(10_000, 100_000, 1<<30)), nil
}

func (c *conn) Recovered(_ uint8, _ uint64, payload []byte) error {
	if len(payload) > datagram {
		return hook.ErrRange
	}
	return c.may(hook.MayRecover)
}

func (c *conn) Delivered(uint8, uint64) error { return c.may(hook.MayRecover) }

func (c *conn) Fault(err error) {
	if c.fault == nil {
		c.fault = err
	}
}
