package core

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/qlog"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// observed is what the log was told last.
type observed struct {
	ecn    string
	spin   bool
	tuples uint32 // how many there were
}

// logStart records what recovery starts from.
func (c *Conn) logStart(now hook.Instant) {
	if c.log == nil {
		return
	}
	const size = wire.MinInitialDatagram
	c.log.RecoveryParameters(now, qlog.Parameters{
		ReorderingThreshold: recovery.PacketThreshold, TimeThreshold: 9. / 8, TimerGranularity: time.Millisecond,
		InitialRTT: c.path.rec.RTT.Smoothed(), MaxDatagramSize: size, InitialWindow: c.path.rec.Window(), MinimumWindow: 2 * size,
	})
}

// logKeys records what happened to the keys of both sides: kind is initial,
// handshake, 0rtt or 1rtt. Of 0-RTT only the client has one.
func (c *Conn) logKeys(now hook.Instant, event func(*qlog.Log, hook.Instant, string, uint64), kind string, phase uint64) {
	if c.log == nil {
		return
	}
	event(c.log, now, "client_"+kind+"_secret", phase)
	if kind != "0rtt" {
		event(c.log, now, "server_"+kind+"_secret", phase)
	}
}

// logECN records where the validation of ECN stands, if that is news.
func (c *Conn) logECN(now hook.Instant) {
	if s := c.path.rec.ECN.State(); s != c.observed.ecn && s != "off" {
		c.observed.ecn = s
		c.log.ECNState(now, s)
	}
}

// logSpin records the spin bit that leaves, if it changed.
func (c *Conn) logSpin(now hook.Instant, bit bool) {
	if bit != c.observed.spin {
		c.observed.spin = bit
		c.log.SpinBit(now, bit)
	}
}

// logTuple names a path for the log.
func (c *Conn) logTuple(now hook.Instant, p *path) {
	if c.log == nil {
		return
	}
	c.observed.tuples++
	p.tuple = strconv.FormatUint(uint64(c.observed.tuples), 10)
	c.log.TupleAssigned(now, p.tuple, netip.AddrPortFrom(p.local, 0), p.remote)
}
