package core

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/recovery"
)

// maxExtensionNews is how many events about extensions wait for the application.
// limit: news that nobody takes are dropped and counted.
const maxExtensionNews = 256

// ExtensionNews is what an EventExtension tells.
type ExtensionNews struct {
	ID       string
	Event    uint32 // of Conn.Emit
	Payload  []byte
	Detached bool // the extension is over
	Why      hook.DetachReason
	Err      error // what made it fail, or nil
}

// attached is the Conn that its extension has: one value for its whole life, so
// that a call allocates nothing.
var _ hook.Conn = (*attached)(nil)

// may reports whether a has a permission and is in a call.
func (a *attached) may(p hook.Permission) bool { return a.running && a.info.Permissions&p != 0 }

// now is the present instant.
func (a *attached) now() hook.Instant { return a.x.conn.clock }

// timer is one of an extension.
type timer struct {
	id uint32
	at hook.Instant
}

// SetTimer implements hook.Conn.
func (a *attached) SetTimer(id uint32, at hook.Instant) error {
	if !a.may(hook.MayTimer) || !a.hooks[hook.OpTimer] {
		return hook.ErrPermission
	}
	at = max(at, a.now().Add(hook.MinTimer))
	for i := range a.timers {
		if a.timers[i].id == id {
			a.timers[i].at = at
			return nil
		}
	}
	if len(a.timers) >= a.info.Limits.Timers {
		return hook.ErrLimit
	}
	a.timers = append(a.timers, timer{id, at})
	return nil
}

// StopTimer implements hook.Conn.
func (a *attached) StopTimer(id uint32) error {
	if !a.may(hook.MayTimer) {
		return hook.ErrPermission
	}
	a.timers = slices.DeleteFunc(a.timers, func(t timer) bool { return t.id == id })
	return nil
}

// deadline is when the next timer of an extension passes; 0 = never.
func (x *extensions) deadline() (at hook.Instant) {
	for _, a := range x.list {
		for i := range a.timers {
			at = earlier(at, a.timers[i].at)
		}
	}
	return at
}

// tick calls those whose timers have passed. Timers that are set meanwhile lie in
// the future, so this ends.
func (x *extensions) tick(now hook.Instant) {
	for _, a := range x.list {
		for {
			i := a.due(now)
			if i < 0 || !a.enter() {
				break
			}
			id := a.timers[i].id
			a.timers = slices.Delete(a.timers, i, i+1)
			a.do.(hook.Timers).Timer(now, id)
			a.leave()
		}
	}
}

// due returns the index of the timer that passed first, -1 if none did.
func (a *attached) due(now hook.Instant) int {
	first := -1
	for i, t := range a.timers {
		if t.at <= now && (first < 0 || t.at < a.timers[first].at) {
			first = i
		}
	}
	return first
}

// Rand implements hook.Conn.
func (a *attached) Rand(p []byte) error {
	if !a.may(hook.MayRand) {
		return hook.ErrPermission
	}
	return a.x.conn.random(p)
}

// Emit implements hook.Conn.
func (a *attached) Emit(event uint32, payload []byte) error {
	switch {
	case !a.may(hook.MayEmit):
		return hook.ErrPermission
	case len(payload) > hook.MaxEmitBytes:
		return hook.ErrRange
	case a.x.news >= maxExtensionNews || !a.emits.take(a.now(), 1):
		a.stats.Dropped++
		return hook.ErrLimit
	}
	a.stats.Emitted++
	a.x.news++
	a.x.conn.events.push(Event{Kind: EventExtension, Extension: &ExtensionNews{ID: a.info.ID, Event: event, Payload: slices.Clone(payload)}})
	return nil
}

// Count implements hook.Conn.
func (a *attached) Count(metric uint32, n int64) error {
	if !a.may(hook.MayCount) {
		return hook.ErrPermission
	}
	for i := range a.info.Metrics {
		if m := &a.info.Metrics[i]; m.ID == metric && m.Gauge {
			a.metrics[i] = n
			return nil
		} else if m.ID == metric {
			a.metrics[i] += n
			return nil
		}
	}
	return hook.ErrRange
}

// Log implements hook.Conn.
func (a *attached) Log(text []byte) error {
	if !a.may(hook.MayLog) {
		return hook.ErrPermission
	}
	if !a.logs.take(a.now(), len(text)) {
		a.stats.Dropped++
		return hook.ErrLimit
	}
	a.x.conn.log.PluginLog(a.now(), a.info.ID, text)
	return nil
}

// Fault implements hook.Conn.
func (a *attached) Fault(err error) {
	if err == nil {
		err = errFault
	}
	if a.running {
		a.end(hook.DetachFault, err)
	}
}

var errFault = errors.New("it cannot go on, and does not say why")

// Get implements hook.Conn.
func (a *attached) Get(f hook.Field, path uint8) (uint64, error) {
	if !a.may(hook.MayGet) {
		return 0, hook.ErrPermission
	}
	return a.x.conn.field(f, path)
}

// field returns a number that extensions may know.
func (c *Conn) field(f hook.Field, path uint8) (uint64, error) {
	switch f { // of the connection
	case hook.FieldNow:
		return uint64(c.clock), nil
	case hook.FieldSendQueue:
		return c.unsent(), nil
	case hook.FieldPacketsSent:
		return c.count.packetsSent, nil
	case hook.FieldPacketsLost:
		lost, _ := c.det.Lost()
		return lost, nil
	case hook.FieldPacketsAcked:
		return c.det.Acked(), nil
	case hook.FieldOldestPacket:
		if pn, _, ok := c.det.Outstanding(recovery.AppData, 0); ok {
			return pn, nil
		}
		return c.det.NextNumber(recovery.AppData), nil
	case hook.FieldBytesSent:
		return c.count.bytesSent, nil
	case hook.FieldBytesReceived:
		return c.count.bytesReceived, nil
	}
	p := c.path.rec
	if path != 0 {
		p = c.det.PathByID(path)
	}
	if p == nil {
		return 0, hook.ErrRange
	}
	switch f { // of the path
	case hook.FieldSmoothedRTT:
		return uint64(p.RTT.Smoothed()), nil
	case hook.FieldMinRTT:
		return uint64(p.RTT.Min()), nil
	case hook.FieldLatestRTT:
		return uint64(p.RTT.Latest()), nil
	case hook.FieldRTTVar:
		return uint64(p.RTT.Var()), nil
	case hook.FieldWindow:
		return uint64(p.Window()), nil
	case hook.FieldInFlight:
		return uint64(p.BytesInFlight()), nil
	case hook.FieldPacingRate:
		return p.PacingRate(), nil
	case hook.FieldDatagramSize:
		return uint64(p.MTU.Current()), nil
	}
	return 0, hook.ErrRange
}

// unsent is how many bytes of streams wait to be sent for the first time, of the
// hook.MaxReady streams that have waited longest.
func (c *Conn) unsent() (n uint64) {
	q := &c.streams.newData
	for _, s := range q.list[q.head:min(len(q.list), q.head+hook.MaxReady)] {
		if w := &s.send; !s.gone {
			n += w.end() - min(w.buf.next, w.end())
		}
	}
	return n
}

// bucket lets so much pass in a second, all of it at once if need be.
type bucket struct {
	rate   int64        // units a second, and what it holds
	filled int64        // what may pass, in units of a billionth
	last   hook.Instant // when filled was right
}

func newBucket(now hook.Instant, rate int) bucket {
	return bucket{int64(rate), int64(rate) * int64(time.Second), now}
}

// take lets n units pass, or reports false.
func (b *bucket) take(now hook.Instant, n int) bool {
	full := b.rate * int64(time.Second)
	b.filled = min(b.filled+b.rate*int64(min(now.Sub(b.last), time.Second)), full)
	b.last = now
	need := int64(min(n, math.MaxInt32)) * int64(time.Second)
	if need > b.filled {
		return false
	}
	b.filled -= need
	return true
}
