package recovery

import (
	"math"

	"github.com/seed51309289/quiver/hook"
)

// Constants of CUBIC (RFC 9438 §4.1.1, §4.6, §4.3).
const (
	cubicC     = 0.4 // segments per second cubed
	cubicBeta  = 0.7
	cubicAlpha = 3 * (1 - cubicBeta) / (1 + cubicBeta)
)

// cubic is the congestion controller of RFC 9438, with HyStart++. Its curve is kept in bytes, so that the datagram size may change.
type cubic struct {
	window
	curveState
	before   curveState   // the last reduction
	lastNews hook.Instant // last acknowledgment, or first packet after silence
}

// curveState is what a congestion event changes.
type curveState struct {
	epoch hook.Instant // when the present congestion avoidance stage began, moved on by idle time; 0 = not begun
	max   float64      // W_max: window before the last reduction, bytes
	prior float64      // cwnd_prior
	k     float64      // seconds from epoch until the curve reaches max
	reno  float64      // W_est: what Reno would have by now, bytes
	rest  float64      // growth not yet a whole byte
}

var _ hook.Congestion = (*cubic)(nil)
var _ hook.SlowStarter = (*cubic)(nil)
var _ hook.LossUndoer = (*cubic)(nil)
var _ hook.Resumer = (*cubic)(nil)

func newCubic(mss int) *cubic {
	c := new(cubic)
	c.init(mss)
	return c
}

// Name returns "cubic".
func (c *cubic) Name() string { return "cubic" }

// Sent moves the curve over the time in which nothing was in flight.
func (c *cubic) Sent(now hook.Instant, bytes, inFlight int) {
	if inFlight == bytes {
		// RFC 9438 §5.8: idle time is not part of the epoch.
		c.pause(now)
	}
}

// pause leaves the time since the last news out of the epoch.
func (c *cubic) pause(now hook.Instant) {
	if c.epoch != 0 && c.lastNews != 0 {
		c.epoch = min(now, c.epoch.Add(now.Sub(c.lastNews)))
	}
	c.lastNews = now
}

// Acked raises the window.
func (c *cubic) Acked(e *hook.Acked) {
	if e.AppLimited {
		// RFC 9438 §5.8: W_cubic must not run ahead while the application leaves the window unused.
		c.pause(e.Now)
	}
	c.lastNews = e.Now
	if !c.mayGrow(e) {
		return
	}
	if c.InSlowStart() {
		c.slowStart(e)
		return
	}
	if c.epoch == 0 {
		c.begin(e.Now)
	}
	c.avoid(e)
}

// begin starts a congestion avoidance stage.
func (c *cubic) begin(now hook.Instant) {
	size := float64(c.size)
	c.epoch, c.reno, c.rest = now, size, 0
	if c.max <= size {
		// RFC 9438 §4.10, §4.8: after slow start ended by itself, or after persistent congestion, the curve begins at its plateau.
		c.max, c.k = size, 0
		return
	}
	// RFC 9438 §4.2, figure 2: K = cbrt((W_max - cwnd_epoch) / C).
	c.k = math.Cbrt((c.max - size) / float64(c.mss) / cubicC)
}

// curve is W_cubic(t), in bytes, t in seconds (RFC 9438 §4.2, figure 1).
func (c *cubic) curve(t float64) float64 {
	d := t - c.k
	return cubicC*d*d*d*float64(c.mss) + c.max
}

// avoid grows the window in congestion avoidance.
func (c *cubic) avoid(e *hook.Acked) {
	size := float64(c.size) + c.rest
	t := e.Now.Sub(c.epoch).Seconds()
	share := float64(e.Bytes) / size // of the window
	// RFC 9438 §4.3, figure 4: W_est grows by alpha segments a window; by one once it has passed cwnd_prior.
	alpha := cubicAlpha
	if c.reno >= c.prior {
		alpha = 1
	}
	c.reno += alpha * share * float64(c.mss)
	grown := c.reno
	if c.curve(t) >= c.reno {
		// RFC 9438 §4.4, §4.5: towards W_cubic(t + RTT), by at most half a window a round trip.
		target := min(max(c.curve(t+e.RTT.Smoothed.Seconds()), size), 1.5*size)
		grown = size + (target-size)*share
	}
	grown = max(grown, size)
	c.size = int(grown)
	c.rest = grown - float64(c.size)
}

// Lost reduces the window once a round trip.
func (c *cubic) Lost(e *hook.Lost) {
	if c.reduces(e) {
		c.remember()
		c.reduce(e.Now, int(float64(c.size)*cubicBeta)) // RFC 9438 §4.6
	}
	if e.Persistent {
		c.collapse()
		c.epoch, c.max = 0, 0
	}
}

// UndoLoss takes the last reduction back, with the curve it was on.
func (c *cubic) UndoLoss(now hook.Instant) {
	// RFC 9438 §4.9.2: the sender restores what it saved, unless the window has grown beyond it.
	if c.undo() {
		c.curveState = c.before
	}
}

// remember sets the plateau of the next curve from the window that was too large.
func (c *cubic) remember() {
	size := float64(c.size)
	c.before = c.curveState
	c.epoch, c.prior = 0, size
	if size < c.max {
		// RFC 9438 §4.7: fast convergence, give way to newer flows.
		c.max = size * (1 + cubicBeta) / 2
		return
	}
	c.max = size
}
