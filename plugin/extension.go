package plugin

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/seed51309289/quiver/hook"
)

// extension is a plugin on one connection: a hook.Extension whose answers come from a guest. It implements every interface of hook that an
// operation has; the connection asks for those that the manifest names.
type extension struct {
	m      *Module
	info   *hook.Info
	i      *instance
	conn   hook.Conn
	purse  purse
	fuel   int64 // of one call
	now    hook.Instant
	op     hook.Op   // of the call that runs, or ran last
	live   bool      // attached
	began  bool      // on a connection, not in a trial
	flags  uint32    // of the header
	hooked [2]uint64 // bit n of the pair: operation n is handled
	fault  error     // not nil: nothing is called any more
	wanted bool      // it failed for want of the connection's fuel
	tokens tokens
	usage  hook.Usage      // Memory aside
	lease  runtime.Cleanup // gives the instance back if nobody ever attaches
}

// New returns the plugin for one connection, ready to be attached: with an instance of its own, which it gives back when it is detached, or
// when it is dropped without. It is safe for concurrent use and takes about 30 µs, or 1 µs when an instance waits in the pool. An error that
// matches ErrQuarantined says that the plugin failed too often.
func (m *Module) New() (hook.Extension, error) {
	return m.newExtension(purse{bucket: m.policy.newBucket()})
}

func (m *Module) newExtension(p purse) (*extension, error) {
	if m.record.quarantined() {
		return nil, fmt.Errorf("plugin %s failed %d times in this process: %w", m.title(), MaxFaults, ErrQuarantined)
	}
	i, err := m.instance(context.Background())
	if err != nil {
		return nil, fmt.Errorf("plugin %s: %w", m.title(), err)
	}
	return m.extend(i, p), nil
}

// extend makes an extension of an instance.
func (m *Module) extend(i *instance, p purse) *extension {
	x := &extension{m: m, info: m.info, i: i, purse: p, fuel: m.fuel()}
	m.runtime.retain(m.code)
	x.lease = runtime.AddCleanup(x, func(i *instance) { i.m.release(i) }, i)
	return x
}

// Info describes the plugin as its manifest does.
func (x *extension) Info() *hook.Info { return x.info }

// Usage tells what running the plugin took.
func (x *extension) Usage() hook.Usage {
	u := x.usage
	if x.i != nil {
		u.Memory = len(x.i.mem.buf)
	}
	return u
}

// Attach lets the guest begin.
func (x *extension) Attach(conn hook.Conn, at *hook.AttachState) error {
	if x.i == nil || x.conn != nil {
		return fmt.Errorf("plugin %s: serves one connection, once", x.m.title())
	}
	x.conn, x.now = conn, at.Now
	x.flags = flag(at.Server, 0)
	if err := x.attach(at); err != nil {
		x.i.spoiled = true
		x.drop()
		return err
	}
	return nil
}

func (x *extension) attach(at *hook.AttachState) error {
	b := x.begin(hook.OpAttach, 0)
	x.show(b, at.Config)
	if len(at.Config) > len(x.i.rx) {
		return fmt.Errorf("plugin %s: configuration has %d bytes, its buffer %d", x.m.title(), len(at.Config), len(x.i.rx))
	}
	in := b[inAt:outAt]
	putHead(in, 16, 0)
	le.PutUint32(in[8:], uint32(at.State))
	le.PutUint32(in[12:], 0)
	r, ok := x.run(x.m.attachFuel())
	if !ok {
		return x.fault
	}
	if r != 0 {
		x.reject("returned %d", r)
		return x.fault
	}
	out := x.i.block[outAt:]
	got := [2]uint64{le.Uint64(out[8:]), le.Uint64(out[16:])}
	if err := x.m.checkHooks(got); err != nil {
		x.fail(fmt.Errorf("%w: %w", ErrResult, err), nil)
		return x.fault
	}
	_, trial := x.conn.(*trialConn)
	x.hooked, x.live, x.began = x.m.hooked, true, !trial
	return nil
}

// Detach tells the guest that it is over, unless it failed, and gives the instance back.
func (x *extension) Detach(why hook.DetachReason) {
	if x.i == nil {
		return
	}
	x.live = false
	if why == hook.DetachFault || x.fault != nil {
		x.i.spoiled = true
	} else {
		x.begin(hook.OpDetach, uint32(why))
		putHead(x.i.block[inAt:outAt], 8, 0)
		_, ok := x.run(x.fuel)
		x.i.spoiled = x.i.spoiled || !ok
	}
	x.drop()
}

func (x *extension) drop() {
	x.lease.Stop()
	i := x.i
	x.usage.Memory = len(i.mem.buf)
	x.i, x.conn, x.live = nil, nil, false
	x.hooked = [2]uint64{}
	if x.fault == nil {
		x.fault = errDetached
	}
	if x.began {
		r := x.m.record
		r.connections.Add(1)
		r.calls.Add(x.usage.Calls)
		r.fuel.Add(x.usage.Fuel)
	}
	x.m.release(i)
}

var errDetached = errors.New("plugin is detached")

// enter begins a call of op at now, and returns the context block, or nil if the plugin does not handle op. It refuses to enter a guest that
// is running: what an import leads to must not call the plugin again.
func (x *extension) enter(op hook.Op, now hook.Instant, path uint8) *[contextSize]byte {
	x.now = now
	return x.again(op, path)
}

// again is enter for events that do not tell the time.
func (x *extension) again(op hook.Op, path uint8) *[contextSize]byte {
	if x.hooked[op>>6]>>(op&63)&1 == 0 || x.i.serving != nil {
		return nil
	}
	b := x.begin(op, 0)
	le.PutUint32(b[wordPath:], uint32(path))
	return b
}

// begin writes the header and clears what the guest may answer. It writes pairs of words at once, for they are written before every call.
func (x *extension) begin(op hook.Op, arg uint32) *[contextSize]byte {
	b := x.i.block
	x.op = op
	le.PutUint64(b[wordSize:], inAt|uint64(ABI)<<32)
	le.PutUint64(b[wordNow:], uint64(x.now))
	le.PutUint64(b[wordOp:], uint64(op)|uint64(arg)<<32)
	le.PutUint64(b[wordPath:], uint64(x.flags)<<32)
	// As arrays, not with clear: of a known size they are cleared in place.
	*(*[inAt - wordView]byte)(b[wordView:]) = [inAt - wordView]byte{}
	*(*[outCleared]byte)(b[outAt:]) = [outCleared]byte{}
	return b
}

// putHead writes the head of an in-struct of size bytes.
func putHead(in []byte, size, flags uint32) {
	le.PutUint32(in[0:], size)
	le.PutUint32(in[4:], flags)
}

// show copies view to where the guest sees it, and reports whether it fits.
func (x *extension) show(b *[contextSize]byte, view []byte) bool {
	if len(view) > len(x.i.rx) {
		return false
	}
	copy(x.i.rx, view)
	le.PutUint32(b[wordView:], x.m.shared.rx)
	le.PutUint32(b[wordViewLen:], uint32(len(view)))
	return true
}

// room tells the guest that it may write n bytes, and returns how many that are.
func (x *extension) room(b *[contextSize]byte, n int) int {
	n = min(n, len(x.i.tx))
	le.PutUint32(b[wordOut:], x.m.shared.tx)
	le.PutUint32(b[wordOutCap:], uint32(n))
	return n
}

// run calls the guest with what the context block says. Not ok is a fault, after which the core does without the plugin, beginning with the
// very event that is being told.
func (x *extension) run(fuel int64) (result int64, ok bool) {
	i := x.i
	if x.purse.bucket != nil {
		fuel = x.purse.has(fuel, x.now, x.op)
	}
	i.serving = x
	i.g.setFuel(fuel)
	result, err := i.g.call(uint32(x.op), le.Uint32(i.block[wordArg:]))
	left := i.g.fuel()
	i.serving = nil
	x.account(fuel - max(left, 0))
	if i.mem.grown {
		i.spoiled = true
		i.acquire()
	}
	if err == nil && left >= 0 && result >= resultDefer {
		return result, true
	}
	x.stopped(result, left, fuel, err)
	return 0, false
}

func (x *extension) account(used int64) {
	x.usage.Calls++
	x.usage.Fuel += uint64(used)
	x.usage.MaxFuel = max(x.usage.MaxFuel, uint64(used))
	if x.purse.bucket != nil {
		x.purse.take(used)
	}
}

// stopped says why a call did not end well.
func (x *extension) stopped(result, left, fuel int64, err error) {
	switch {
	case left < 0 && fuel < x.fuel:
		x.wanted = true
		x.fail(fmt.Errorf("%w: the connection's plugins may run %d instructions a second, and %d for each packet", ErrFuel, x.purse.rate, x.purse.perPacket), err)
	case left < 0:
		x.fail(fmt.Errorf("%w after %d instructions", ErrFuel, fuel), err)
	case err != nil:
		x.fail(fmt.Errorf("%w: %v", ErrTrap, err), err)
	default:
		x.fail(fmt.Errorf("%w: error %d", ErrResult, result), nil)
	}
}

// reject is for an answer out of range.
func (x *extension) reject(format string, args ...any) {
	x.fail(fmt.Errorf("%w: "+format, append([]any{ErrResult}, args...)...), nil)
}

// fail ends the plugin in the operation at hand. err is what the engine said, if it did.
func (x *extension) fail(why, err error) {
	x.fault = &Fault{Plugin: x.m.title(), Where: x.op.String(), Err: why, Stack: x.m.stackOf(err)}
	x.hooked = [2]uint64{}
	x.usage.Faults++
	x.i.spoiled = true
	if x.ownFault() {
		x.m.record.faulted()
	}
	if x.live { // else it is told by what Attach returns, or has nobody to tell
		x.conn.Fault(x.fault)
	}
}
