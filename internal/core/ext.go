package core

import (
	"fmt"

	"github.com/seed51309289/quiver/hook"
)

// extensions is what a connection keeps for what is attached to it. A Conn has
// one pointer here, nil until the first Attach: every hook place costs that test.
//
// Extensions are called in the middle of the core's work, so what they want is
// noted, checked, and done later: see settle. A native extension that panics is a
// bug of this process like any other, and is not caught.
type extensions struct {
	conn   *Conn                 // extensions ask for things, which is why this state knows its owner
	list   []*attached           // in the order of attaching; bounded by hook.MaxExtensions
	table  *table                // never changed, only replaced
	serial uint32                // of the extension attached last
	state  hook.State            // as extensions were told
	news   int                   // events about extensions that wait to be taken
	work   bool                  // some extension has wishes that settle fulfils
	framed bool                  // there was an extension with frames, so the peer may send some
	ended  []hook.ExtensionStats // limit: maxEnded

	turns
	packet      uint64       // counts the packets that are filled
	kept        int          // bytes of the packet at work that are kept free
	held        int          // how many the extensions asked for in it
	short       int          // bytes by which it is smaller than the path allows, like the others of its train
	long        bool         // much waited when the train began
	exceeded    int          // packets that left beyond the window …
	exceedSince hook.Instant // … since then
	arriving    arriving
	strays      uint64 // frames that came for nobody
	recovered   seenPackets
	content     []lostContent // limit: maxLostContent
	contentAt   int           // the oldest of a full content

	seen scratch
}

// maxEnded is of how many detached extensions the numbers are kept. limit: an
// application that attaches and detaches for ever.
const maxEnded = 8

// attached is one extension of a connection.
type attached struct {
	x        *extensions
	do       hook.Extension
	info     hook.Info // a copy
	hooks    [hook.NumOps]bool
	serial   uint32 // tells it from others, past ones included
	local    uint64 // the number of its offer; NoLocal = it was not offered
	typeBase uint64 // type of its first frame
	active   bool   // the peer's half is ready for frames
	gone     bool   // detached
	running  bool   // it is being called
	ending   bool   // it is to be detached when that call returns …
	why      hook.DetachReason
	cause    error // … for these reasons

	frames        hook.Frames   // do, if it has frames
	reserved      []reservation // urgent ones first; bounded by hook.MaxReservations
	reservedBytes int
	tokens        hook.Token   // the last one that was given
	share         share        // of the bytes that leave
	offers        int          // of room in the packet at work
	inPacket      bool         // a frame was written into it
	again         answer       // of the packets that follow
	ride          int          // frame that rides along in it; -1 = none
	kept          int          // bytes of it that are kept free for a
	starved       hook.Instant // since when packets leave without a frame that waits; 0 = none waits

	wishes  wishes
	timers  []timer // bounded by hook.MaxTimers
	emits   bucket
	logs    bucket
	metrics []int64 // as info.Metrics, and bounded by hook.MaxMetrics
	stats   hook.ExtensionStats
}

// NoLocal is the number of an extension that no offer brought.
const NoLocal = ^uint64(0)

// AttachOptions says how an extension is attached.
type AttachOptions struct {
	Local    uint64 // its number in the exchange of plugins; ^0 = none
	TypeBase uint64 // the type of the first of its frames
	Dormant  bool   // its frames are taken, but none may be sent until the peer is ready
	Config   []byte // for its Attach
}

// Attach lets x take part in the connection from now on. It changes nothing if it
// returns an error: an *AttachError if x cannot be attached, why the connection
// ended, or what x.Attach returned, wrapped.
func (c *Conn) Attach(now Time, x hook.Extension, o AttachOptions) error {
	t := c.at(now)
	if c.closing.err != nil {
		return c.closing.err
	}
	a := &attached{do: x, info: copyInfo(x.Info()), local: o.Local, typeBase: o.TypeBase, active: !o.Dormant}
	var others []*attached
	if c.ext != nil {
		others = c.ext.list
	}
	if err := checkExtension(a, others); err != nil {
		return err
	}
	if c.ext == nil {
		c.ext = newExtensions(c)
	}
	return c.ext.attach(t, a, o.Config)
}

func newExtensions(c *Conn) *extensions {
	return &extensions{conn: c, table: new(table), state: c.state()}
}

// attach begins a, which was checked.
func (x *extensions) attach(now hook.Instant, a *attached, config []byte) error {
	x.serial++
	a.x, a.serial = x, x.serial
	a.begin(now)
	a.running = true
	err := a.do.Attach(a, &hook.AttachState{Now: now, Server: !x.conn.client, Config: config, State: x.conn.state()})
	a.running = false
	a.gone = true // until it is known to stay
	if err != nil {
		return fmt.Errorf("extension %s: %w", a.info.ID, err)
	}
	if err := x.mayStay(a); err != nil {
		a.do.Detach(a.why)
		return fmt.Errorf("extension %s: %w", a.info.ID, err)
	}
	a.gone = false
	x.list = append(x.list[:len(x.list):len(x.list)], a)
	x.framed = x.framed || len(a.info.Frames) > 0
	x.conn.log.PluginAttached(now, &a.info, a.typeBase)
	x.rebuild()
	if a.gone && a.why == hook.DetachFault { // when it was to take over congestion control
		return fmt.Errorf("extension %s: %w", a.info.ID, a.cause)
	}
	return nil
}

// mayStay says what happened, while a began, that keeps it from staying; nil =
// nothing. Native code may have attached another one, or closed the connection.
func (x *extensions) mayStay(a *attached) error {
	switch {
	case a.ending:
		return a.cause
	case x.conn.closing.err != nil:
		a.why = hook.DetachClosed
		return x.conn.closing.err
	}
	a.why = hook.DetachFault
	return checkExtension(a, x.list)
}

// begin fills what the limits of its Info decide.
func (a *attached) begin(now hook.Instant) {
	l := &a.info.Limits
	lower(&l.Timers, hook.MaxTimers)
	lower(&l.Reservations, hook.MaxReservations)
	lower(&l.ReservedBytes, hook.MaxReservedBytes)
	lower(&l.Emit, hook.MaxEmit)
	lower(&l.LogBytes, hook.MaxLogBytes)
	a.share.weight = max(a.info.Weight, 1)
	a.frames, _ = a.do.(hook.Frames)
	a.emits, a.logs = newBucket(now, l.Emit), newBucket(now, l.LogBytes)
	a.metrics = make([]int64, len(a.info.Metrics))
	for _, h := range a.info.Hooks {
		a.hooks[h.Op] = true
	}
	a.stats = hook.ExtensionStats{ID: a.info.ID, Version: a.info.Version, Digest: a.info.Digest}
}

// lower turns 0, no limit of its own, into the bound.
func lower(limit *int, bound int) {
	if *limit == 0 {
		*limit = bound
	}
}

// Detach ends the extension with that ID. It reports false if there is none.
func (c *Conn) Detach(now Time, id string, why hook.DetachReason, cause error) bool {
	c.at(now)
	a := c.extension(id)
	if a == nil {
		return false
	}
	a.end(why, cause)
	return true
}

// extension finds what is attached by its ID.
func (c *Conn) extension(id string) *attached {
	if c.ext != nil {
		for _, a := range c.ext.list {
			if a.info.ID == id {
				return a
			}
		}
	}
	return nil
}

// extensionByLocal finds what is attached by the number of its offer.
func (c *Conn) extensionByLocal(local uint64) *attached {
	if c.ext != nil && local != NoLocal {
		for _, a := range c.ext.list {
			if a.local == local {
				return a
			}
		}
	}
	return nil
}

// activateExtension lets the extension of an offer send frames: the peer's half is ready.
func (c *Conn) activateExtension(local uint64) {
	if a := c.extensionByLocal(local); a != nil {
		a.active = true
	}
}

// enter begins a call of a. It reports false if a must not be called: because it
// is over, or because it is in a call already and would not expect another.
func (a *attached) enter() bool {
	if a.gone || a.running || a.ending {
		return false
	}
	a.running = true
	return true
}

// leave ends a call, and a itself if it asked for that or failed.
func (a *attached) leave() {
	a.running = false
	if a.ending {
		a.finish()
	}
}

// fail ends a because of a mistake of its own.
func (a *attached) fail(format string, args ...any) {
	a.end(hook.DetachFault, fmt.Errorf(format, args...))
}

// end detaches a: now, or when the call returns that it is in.
func (a *attached) end(why hook.DetachReason, cause error) {
	if a.gone || a.ending {
		return
	}
	a.ending, a.why, a.cause = true, why, cause
	if !a.running {
		a.finish()
	}
}

// finish takes a out of the connection. Whoever is in the middle of a dispatch
// goes on with the table that it has, and enter keeps it from calling a.
func (a *attached) finish() {
	x := a.x
	rest := make([]*attached, 0, len(x.list))
	for _, b := range x.list {
		if b != a {
			rest = append(rest, b)
		}
	}
	a.dropFates()
	x.list = rest
	a.gone = true
	if x.present == a {
		x.pass()
	}
	x.rebuild()
	a.running = true // it may still count and tell news
	a.do.Detach(a.why)
	a.running = false
	x.close(a)
}

// close keeps the numbers of a and tells the application.
func (x *extensions) close(a *attached) {
	if a.why == hook.DetachFault {
		a.stats.Faults++
	}
	a.stats.Detached, a.stats.Why, a.stats.Err = true, a.why, a.cause
	s := a.numbers()
	if len(x.ended) == maxEnded {
		x.ended = append(x.ended[:0], x.ended[1:]...)
	}
	x.ended = append(x.ended, s)
	c := x.conn
	c.log.PluginDetached(c.clock, &s)
	c.events.push(Event{Kind: EventExtension, Extension: &ExtensionNews{ID: a.info.ID, Detached: true, Why: a.why, Err: a.cause}})
	c.extensionEnded(a.local, a.why, a.cause)
}

// endExtensions detaches all: the connection is over.
func (c *Conn) endExtensions() {
	if c.ext == nil {
		return
	}
	for _, a := range c.ext.list {
		a.end(hook.DetachClosed, c.closing.err)
	}
	c.ext.forgetContent()
}
