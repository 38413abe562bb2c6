package plugin

import (
	"context"
	"errors"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin/pack"
)

// try makes the first instance, learns from it what all have in common, and attaches it once for each end that the plugin may run at.
func (c *code) try(ctx context.Context, k *pack.Package) error {
	i, err := c.newInstance(ctx)
	if err != nil {
		return refuse(k.File, exportInit, "%v", err)
	}
	shared, err := i.readLayout()
	if err != nil {
		i.g.close()
		return refuse(k.File, "", "%v", err)
	}
	c.learn(i, shared)
	config, err := c.manifest.Configure(nil)
	if err != nil {
		i.g.close()
		return err
	}
	m := &Module{code: c}
	for _, server := range []bool{false, true} {
		if !c.manifest.Roles.Has(server) {
			continue
		}
		if i == nil {
			if i, err = c.instance(ctx); err != nil {
				return refuse(k.File, "", "%v", err)
			}
		}
		x := m.extend(i, purse{})
		i = nil
		if err := x.Attach(&trialConn{}, &hook.AttachState{Now: 1, Server: server, Config: config}); err != nil {
			return tried(k.File, err)
		}
		x.Detach(hook.DetachClosed)
		if x.usage.Faults > 0 {
			return tried(k.File, x.fault)
		}
	}
	return nil
}

// learn takes over what all instances have in common from the first.
func (c *code) learn(i *instance, shared layout) {
	c.shared = shared
	i.acquire()
	if c.resettable {
		c.first = takeSnapshot(i.g)
	}
}

// adopt makes the code ready from what was kept of it. After an error it is as it was.
func (c *code) adopt(ctx context.Context, p *prepared) (err error) {
	if c.program, err = c.runtime.engine.compile(ctx, p.module); err != nil {
		return err
	}
	i, err := c.newInstance(ctx)
	if err == nil {
		err = i.checkLayout(&p.shared)
	}
	if err != nil {
		if i != nil {
			i.g.close()
		}
		c.program.close()
		return err
	}
	c.resettable = p.resettable
	c.learn(i, p.shared)
	if !c.resettable || !c.pool.put(i) {
		i.g.close()
	}
	return nil
}

// tried turns a fault of the trial into a refusal.
func tried(file string, err error) error {
	var f *Fault
	if errors.As(err, &f) {
		where := f.Where
		e := refuse(file, where, "%v", f.Err)
		e.Err = f
		return e
	}
	return refuse(file, "", "%v", err)
}

// trialConn is a connection that has just begun and never sends: what a plugin is attached to before a real one sees it. It knows no more than
// a connection does then, and says yes where a connection would.
type trialConn struct {
	tokens hook.Token
}

func (c *trialConn) Reserve(hook.Reservation) (hook.Token, error) {
	if c.tokens >= hook.MaxReservations {
		return 0, hook.ErrLimit
	}
	c.tokens++
	return c.tokens, nil
}

func (c *trialConn) Cancel(t hook.Token) error {
	if t == 0 || t > c.tokens {
		return hook.ErrNoToken
	}
	return nil
}

func (c *trialConn) SetTimer(id uint32, at hook.Instant) error { return nil }
func (c *trialConn) StopTimer(id uint32) error                 { return nil }
func (c *trialConn) Emit(event uint32, payload []byte) error   { return nil }
func (c *trialConn) Count(metric uint32, n int64) error        { return nil }
func (c *trialConn) Log(text []byte) error                     { return nil }
func (c *trialConn) Event(payload []byte) error                { return hook.ErrInactive }
func (c *trialConn) Fault(err error)                           {}

// Rand fills p with the same bytes each time, so that a plugin is refused always or never.
func (c *trialConn) Rand(p []byte) error {
	for i := range p {
		p[i] = byte(i*167 + 13)
	}
	return nil
}

func (c *trialConn) Get(f hook.Field, path uint8) (uint64, error) {
	switch f {
	case hook.FieldNow:
		return 1, nil
	case hook.FieldSmoothedRTT:
		return uint64(333 * time.Millisecond), nil
	case hook.FieldRTTVar:
		return uint64(333 * time.Millisecond / 2), nil
	case hook.FieldWindow:
		return 12_000, nil
	case hook.FieldDatagramSize:
		return 1_200, nil
	}
	if f >= hook.NumFields {
		return 0, hook.ErrRange
	}
	return 0, nil
}

func (c *trialConn) Recovered(path uint8, pn uint64, payload []byte) error { return hook.ErrRange }
func (c *trialConn) Delivered(path uint8, pn uint64) error                 { return hook.ErrRange }
