package core

// The limits of extensions, which tests fill.
const (
	MaxEnded          = maxEnded
	MaxWindow         = maxWindow
	MaxPacingRate     = maxPacingRate
	MinPacingRate     = minPacingRate
	MaxExtensionNews  = maxExtensionNews
	MaxKept           = maxKept
	MaxRecovered      = maxRecovered
	MaxRecoveredBytes = maxRecoveredBytes
	MaxDelivered      = maxDelivered
	MaxLostContent    = maxLostContent
	MaxTries          = maxTries
	MaxExceed         = maxExceed
	MaxWeight         = maxWeight
)

// LostContent is how many pieces of lost packets are remembered.
func (c *Conn) LostContent() int { return len(c.ext.content) }

// TakeExtensionEvent hands over what the peer's half of an extension sent.
func (c *Conn) TakeExtensionEvent(local uint64, payload []byte) bool {
	return c.takeExtensionEvent(local, payload)
}

// ActivateExtension says that the peer's half is ready.
func (c *Conn) ActivateExtension(local uint64) { c.activateExtension(local) }

// UnsettledPackets returns the numbers of our packets whose fate is unknown.
func (c *Conn) UnsettledPackets() (all []uint64) {
	for pn := range c.det.NextNumber(2) {
		if c.det.Unsettled(2, pn) != nil {
			all = append(all, pn)
		}
	}
	return all
}

// Window is the congestion window of the path in use, as it counts.
func (c *Conn) Window() int { return c.path.rec.Window() }

// NotedAcks is how many packets in flight are recorded to carry an ACK frame.
func (c *Conn) NotedAcks() (n int) {
	for i := range c.slab.list {
		if i > 0 && c.slab.list[i].kind == sentAck {
			n++
		}
	}
	return n
}
