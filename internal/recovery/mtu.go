package recovery

import (
	"time"

	"github.com/seed51309289/quiver/hook"
)

const (
	// BaseMTU is the UDP payload every path must carry (RFC 9000 §14.1).
	BaseMTU = 1200 // bytes
	// defaultMaxMTU is the UDP payload of an Ethernet frame over IPv6, which IPv4 carries too.
	defaultMaxMTU = 1452 // bytes

	mtuTries      = 3                // RFC 8899 §5.1.2: MAX_PROBES
	mtuPrecision  = 16               // bytes: the search ends when success and failure are this close
	mtuRaiseAfter = 10 * time.Minute // RFC 8899 §5.1.1: PMTU_RAISE_TIMER is 600 s
	mtuBlackHole  = 3                // loss detections, or probe timeouts, without one large packet arriving
)

// mtuLadder are the sizes worth trying first: IPv6's minimum, tunnels, Ethernet over IPv6 and IPv4, jumbo frames, loopback.
var mtuLadder = [...]int{1232, 1280, 1400, 1452, 1472, 4096, 8952, 16000}

// MTU finds the largest datagram a path carries (RFC 8899, RFC 9000 §14.3). It climbs a ladder of likely sizes with one probe in flight, and
// halves the gap above the last success once a size failed. Sizes are UDP payloads in bytes.
type MTU struct {
	base, current int
	low, high     int // high: smallest size known not to pass, or one more than the configured maximum
	limit         int // configured maximum, lowered by SetLimit
	probing       int // size of the probe in flight; 0 = none
	tries         int // probes of that size lost so far
	started       bool
	retryAt       hook.Instant // when to search above low again; 0 = the search is not over
	bigLosses     int          // consecutive loss detections with only large packets lost, see onLosses
}

func (m *MTU) init(cfg MTUConfig) {
	base, limit := cfg.Base, cfg.Max
	if base <= 0 {
		base = BaseMTU
	}
	if limit == 0 {
		limit = defaultMaxMTU
	}
	limit = max(limit, base)
	*m = MTU{base: base, current: base, low: base, high: limit + 1, limit: limit}
}

// Current returns the largest datagram that may be sent.
func (m *MTU) Current() int { return m.current }

// Start lets probes leave from now on; call it when the handshake is confirmed.
func (m *MTU) Start(now hook.Instant) { m.started = true }

// SetLimit lowers the largest size: the peer's max_udp_payload_size (RFC 9000 §18.2), or what the socket can carry.
func (m *MTU) SetLimit(size int) {
	if size >= m.limit {
		return
	}
	m.limit = max(size, m.base)
	m.high = min(m.high, m.limit+1)
	m.low = min(m.low, m.limit)
	m.current = min(m.current, m.limit)
}

// Probe returns the size of the probe that should leave now, 0 if none should. The probe is a packet of its own, PING and PADDING, sent with the
// MTUProbe flag; it does not ask for Budget beyond having room for it.
func (m *MTU) Probe(now hook.Instant) int {
	if !m.started || m.probing != 0 {
		return 0
	}
	if m.retryAt != 0 {
		if now < m.retryAt {
			return 0
		}
		// RFC 8899 §5.2: when PMTU_RAISE_TIMER expires the search begins anew.
		m.retryAt, m.high, m.tries = 0, m.limit+1, 0
	}
	size := m.next()
	if size == 0 {
		m.rest(now)
	}
	return size
}

// next returns the size to try, 0 when the search is over.
func (m *MTU) next() int {
	for _, size := range mtuLadder {
		if m.low < size && size < m.high {
			return size
		}
	}
	if m.high > m.limit {
		if m.limit > m.low {
			return m.limit
		}
		return 0
	}
	if m.high-m.low > mtuPrecision {
		return (m.low + m.high) / 2
	}
	return 0
}

// rest ends the search until the raise timer.
func (m *MTU) rest(now hook.Instant) { m.retryAt = now.Add(mtuRaiseAfter) }

// LocalTooBig tells that the socket refused a datagram of size (EMSGSIZE): the first link does not carry it.
func (m *MTU) LocalTooBig(now hook.Instant, size int) {
	// RFC 9000 §14.2.1: never below the smallest allowed size, whatever a router or the kernel claims.
	size = max(size, m.base+1)
	m.high = min(m.high, size)
	if m.probing >= size {
		m.probing, m.tries = 0, 0
	}
	if m.current >= size {
		m.current, m.low = m.base, m.base
	}
}

// onSent tells that a probe left.
func (m *MTU) onSent(size int) { m.probing = size }

// onProbeAcked tells that a probe arrived; it reports whether the size in use grew.
func (m *MTU) onProbeAcked(size int) (grew bool) {
	if size == m.probing {
		m.probing, m.tries = 0, 0
	}
	if size <= m.current || size >= m.high {
		return false // known already, or contradicted since by the socket or the limit
	}
	m.current, m.low = size, size
	return true
}

// onProbeLost tells that a probe was lost.
func (m *MTU) onProbeLost(size int) {
	if size != m.probing {
		return
	}
	m.probing = 0
	m.tries++
	if m.tries >= mtuTries {
		m.high, m.tries = min(m.high, size), 0
	}
}

// onLosses looks for a black hole after each loss detection (RFC 8899 §4.3): bigAcked and bigLost say whether packets larger than
// the base, probes aside, were acknowledged and lost. It reports whether the size in use fell.
func (m *MTU) onLosses(bigAcked, bigLost bool) (fell bool) {
	if bigAcked || m.current == m.base {
		m.bigLosses = 0
		return false
	}
	if !bigLost {
		return false
	}
	m.bigLosses++
	return m.bigLosses >= mtuBlackHole && m.fallBack()
}

// onTimeout looks for a black hole after the count-th probe timeout in a row: when every packet is large, no acknowledgment reveals a loss.
// The losses before it count, too: on a slow path there may be no time for as many timeouts before the connection is idle.
func (m *MTU) onTimeout(count int) (fell bool) {
	return m.bigLosses+count >= mtuBlackHole && m.current > m.base && m.fallBack()
}

// fallBack returns to the base size and searches below the size that failed; the raise timer that ends this search tries larger ones again.
func (m *MTU) fallBack() bool {
	m.high = m.current
	m.current, m.low = m.base, m.base
	m.bigLosses, m.tries, m.retryAt = 0, 0, 0
	return true
}
