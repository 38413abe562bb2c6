package plugin

import (
	"context"
	"fmt"
)

// instance is a guest with what the host needs to talk to it. It serves one connection at a time, under that connection's lock.
type instance struct {
	m       *code
	g       guest
	mem     *memory
	block   *[contextSize]byte // the context block
	rx, tx  []byte             // the buffers of kind 0 and 1
	serving *extension         // whose call is running; nil = none: imports are refused
	spoiled bool               // it must not serve another connection
}

// layout says where the things are that host and guest share.
type layout struct {
	context   uint32
	rx, rxLen uint32
	tx, txLen uint32
}

// newInstance makes a guest and gives it the state that every connection begins with.
func (m *code) newInstance(ctx context.Context) (*instance, error) {
	i := &instance{m: m}
	g, err := m.program.instantiate(ctx, i)
	if err != nil {
		return nil, err
	}
	i.g, i.mem = g, g.memory()
	if m.first == nil {
		// Nothing is known of the module yet, or its state cannot be copied.
		if err := i.initialise(); err != nil {
			g.close()
			return nil, err
		}
		return i, nil
	}
	if grow := m.first.size - len(i.mem.buf); grow > 0 && !g.grow(uint32(grow>>16)) {
		g.close()
		return nil, fmt.Errorf("memory cannot grow by %d bytes", grow)
	}
	m.first.restore(g)
	i.acquire()
	return i, nil
}

// initialise runs pq_init, which cannot ask the host for anything.
func (i *instance) initialise() error {
	i.g.setFuel(initFuel)
	_, _, err := i.g.export(exportInit)
	if err != nil {
		return &Fault{Plugin: i.m.title(), Where: exportInit, Err: i.cause(err), Stack: i.m.stackOf(err)}
	}
	if i.m.shared != (layout{}) {
		i.acquire()
	}
	return nil
}

// cause says what stopped the guest.
func (i *instance) cause(err error) error {
	if i.g.fuel() < 0 {
		return ErrFuel
	}
	return fmt.Errorf("%w: %v", ErrTrap, err)
}

// acquire finds block and buffers in the memory, which may have moved. The layout was checked when the module was loaded, and memory never
// shrinks.
func (i *instance) acquire() {
	l := &i.m.shared
	i.block = (*[contextSize]byte)(i.mem.span(l.context, contextSize))
	i.rx, i.tx = i.mem.span(l.rx, l.rxLen), i.mem.span(l.tx, l.txLen)
	i.mem.grown = false
}

// reset makes the instance as it was before its first connection, and reports whether that is possible.
func (i *instance) reset() bool {
	if i.spoiled || !i.m.resettable || len(i.mem.buf) != i.m.first.size {
		return false
	}
	i.m.first.restore(i.g)
	return true
}

// readLayout asks a new instance where things are, and refuses what lies outside its memory or on each other.
func (i *instance) readLayout() (layout, error) {
	var l layout
	if v, err := i.ask(exportVersion); err != nil {
		return l, err
	} else if uint32(v)>>16 != uint32(ABI)>>16 || uint32(v) > uint32(ABI) {
		return l, fmt.Errorf("%s: is written for ABI %d.%d, this host has %v", exportVersion, uint32(v)>>16, uint32(v)&0xffff, ABI)
	}
	v, err := i.ask(exportContext)
	if err != nil {
		return l, err
	}
	l.context = uint32(v)
	if l.rx, l.rxLen, err = i.buffer(0); err != nil {
		return l, err
	}
	if l.tx, l.txLen, err = i.buffer(1); err != nil {
		return l, err
	}
	return l, i.checkLayout(&l)
}

func (i *instance) ask(export string, arg ...uint64) (uint64, error) {
	i.g.setFuel(initFuel)
	v, ok, err := i.g.export(export, arg...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", export, i.cause(err))
	}
	if !ok {
		return 0, fmt.Errorf("%s: is not exported", export)
	}
	return v, nil
}

func (i *instance) buffer(kind uint64) (off, n uint32, err error) {
	v, err := i.ask(exportBuffer, kind)
	return uint32(v >> 32), uint32(v), err
}

func (i *instance) checkLayout(l *layout) error {
	least := uint32(minBuffer)
	if i.m.manifest.Payload {
		least = minPayloadBuffer
	}
	type place struct {
		name     string
		off, len uint32
	}
	places := []place{{exportContext, l.context, contextSize}, {exportBuffer + "(0)", l.rx, l.rxLen}, {exportBuffer + "(1)", l.tx, l.txLen}}
	switch {
	case l.context%8 != 0:
		return fmt.Errorf("%s: block at %d, want a multiple of 8", exportContext, l.context)
	case l.rxLen < least:
		return fmt.Errorf("%s: %d bytes, want at least %d", places[1].name, l.rxLen, least)
	case l.txLen < minBuffer:
		return fmt.Errorf("%s: %d bytes, want at least %d", places[2].name, l.txLen, minBuffer)
	case l.rx == 0 || l.tx == 0:
		return fmt.Errorf("%s: a buffer at 0, which means none", exportBuffer)
	}
	for n, p := range places {
		if i.mem.span(p.off, p.len) == nil {
			return fmt.Errorf("%s: %d bytes at %d leave the memory of %d bytes", p.name, p.len, p.off, len(i.mem.buf))
		}
		for _, q := range places[:n] {
			if uint64(p.off) < uint64(q.off)+uint64(q.len) && uint64(q.off) < uint64(p.off)+uint64(p.len) {
				return fmt.Errorf("%s: lies on %s", p.name, q.name)
			}
		}
	}
	return nil
}
