package core

import (
	"slices"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// reservation is a frame of an extension that waits to be written.
type reservation struct {
	hook.Reservation
	token hook.Token
	tried uint64 // the packet in which it was offered room last
}

// Reserve implements hook.Conn.
func (a *attached) Reserve(r hook.Reservation) (hook.Token, error) {
	limits := &a.info.Limits
	switch {
	case !a.may(hook.MayReserve) || !a.hooks[hook.OpFrameWrite]:
		return 0, hook.ErrPermission
	case int(r.Frame) >= len(a.info.Frames) || a.info.Frames[r.Frame].RideAlong || r.Size < 1 || r.Size > a.info.Frames[r.Frame].MaxLen:
		return 0, hook.ErrRange
	case !a.active || a.x.conn.closing.state != stateOpen:
		return 0, hook.ErrInactive
	case len(a.reserved) >= limits.Reservations || a.reservedBytes+r.Size > limits.ReservedBytes:
		return 0, hook.ErrLimit
	}
	if a.tokens++; a.tokens == 0 {
		a.tokens = 1 // 0 is none
	}
	i := len(a.reserved)
	if r.Urgent {
		i = slices.IndexFunc(a.reserved, func(r reservation) bool { return !r.Urgent })
		if i < 0 {
			i = len(a.reserved)
		}
	}
	a.reserved = slices.Insert(a.reserved, i, reservation{Reservation: r, token: a.tokens})
	a.reservedBytes += r.Size
	a.stats.FramesReserved++
	return a.tokens, nil
}

// Cancel implements hook.Conn.
func (a *attached) Cancel(t hook.Token) error {
	if !a.may(hook.MayReserve) {
		return hook.ErrPermission
	}
	i := a.reservation(t)
	if i < 0 {
		return hook.ErrNoToken
	}
	a.forget(i)
	return nil
}

// reservation returns the index of the one that t names, -1 if there is none.
func (a *attached) reservation(t hook.Token) int {
	return slices.IndexFunc(a.reserved, func(r reservation) bool { return r.token == t })
}

// forget takes a reservation off the list.
func (a *attached) forget(i int) {
	a.reservedBytes -= a.reserved[i].Size
	a.reserved = slices.Delete(a.reserved, i, i+1)
}

// maxTries is how many reservations of one extension are offered room in one
// packet. limit: an extension that writes nothing and reserves again for ever.
const maxTries = hook.MaxReservations

// next returns the index of the reservation of a that is to have room in p next,
// -1 if there is none. Those that do not fit count if fit is false.
func (a *attached) next(p *packet, fit bool) int {
	if a.gone || a.offers >= maxTries {
		return -1
	}
	for i := range a.reserved {
		r := &a.reserved[i]
		if r.tried != a.x.packet && a.serves(r, p) && (!fit || a.fits(r, p)) {
			return i
		}
	}
	return -1
}

// serves reports whether p is one that the frame may travel in.
func (a *attached) serves(r *reservation, p *packet) bool {
	f := &a.info.Frames[r.Frame]
	switch {
	case p.early && !f.Early:
		return false
	case r.Wait && p.end == p.payload:
		return false // nothing else is sent so far
	}
	return f.InFlight || p.sent.Flags&(recovery.AckEliciting|recovery.InFlight) != 0 || a.x.mayExceed()
}

// fits reports whether p has room for the frame, or as much as a packet of the
// path ever has.
func (a *attached) fits(r *reservation, p *packet) bool {
	room := a.room(r, p)
	return room >= wire.SizePluginHeader(r.Size)+r.Size || p.ackOnly && !p.plugin && room >= minPluginRoom
}

// room is what p has for the frame, with what is kept free for a: a byte less if
// it elicits no acknowledgment, for the PING that must, see settlePlugin.
func (a *attached) room(r *reservation, p *packet) int {
	room := p.limit + a.kept - p.end
	if a.info.Frames[r.Frame].AckEliciting {
		return room
	}
	return room - 1
}

// minPluginRoom is the least room for a frame that is larger than any packet of
// the path, in bytes.
const minPluginRoom = 32

// write has a frame written into p, and returns how many bytes it took.
func (a *attached) write(p *packet, buf []byte, i int) int {
	a.offers++
	r := &a.reserved[i]
	r.tried = a.x.packet
	token, index := r.token, r.Frame
	size := min(r.Size, a.room(r, p)-wire.SizePluginHeader(r.Size))
	head := wire.SizePluginHeader(size)
	if size < 1 || !a.enter() {
		return 0
	}
	body := buf[p.end+head:][:size:size]
	n := a.frames.WriteFrame(token, body, a.x.planOf(p))
	if n < hook.Defer || n > size {
		a.fail("frame %s of %d bytes written into %d", a.info.Frames[index].Name, n, size)
	}
	a.leave()
	if i = a.reservation(token); a.gone || i < 0 || n == hook.Defer {
		return 0
	}
	a.forget(i)
	if n == 0 {
		return 0
	}
	return a.wrote(p, buf, index, token, head, n)
}

// wrote takes a frame into p whose body is there already, behind a head.
func (a *attached) wrote(p *packet, buf []byte, index uint8, token hook.Token, head, n int) int {
	c, f := a.x.conn, &a.info.Frames[index]
	switch {
	case f.AckEliciting:
		c.eliciting(p)
		if token != 0 && a.hooks[hook.OpFrameFate] {
			c.record(p, sentFrame{kind: sentPlugin, id: uint64(a.serial)<<32 | uint64(token)})
		}
	case f.InFlight:
		p.sent.Flags |= recovery.InFlight
	}
	wire.PutVarint2(buf[p.end:], a.typeBase+uint64(index))
	if head > 3 {
		wire.PutVarint2(buf[p.end+2:], uint64(n))
	} else {
		buf[p.end+2] = byte(n)
	}
	p.end += head + n
	if token != 0 {
		a.x.spend(a, p)
	}
	p.plugin = true
	a.inPacket = true
	a.stats.FramesWritten++
	a.stats.BytesWritten += uint64(head + n)
	return head + n
}

// The frames that are not in flight do not wait for the window, so that a sender
// that is held back can still say something.
const maxExceed = 2 // packets a round trip. limit: frames that congestion control does not see

// mayExceed reports whether a packet that carries nothing in flight may leave.
func (x *extensions) mayExceed() bool {
	return x.exceeded < maxExceed || x.conn.clock >= x.exceedAgain()
}

// exceedAgain is when packets beyond the window may leave again.
func (x *extensions) exceedAgain() hook.Instant {
	return x.exceedSince.Add(x.conn.path.rec.RTT.Smoothed())
}

// exceed counts a packet of extensions that nothing in flight is in.
func (x *extensions) exceed() {
	if x.conn.clock >= x.exceedAgain() {
		x.exceeded, x.exceedSince = 0, x.conn.clock
	}
	x.exceeded++
}
