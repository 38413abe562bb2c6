package core

import (
	"net/netip"

	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// maxPathResponses bounds the challenges that wait for their answer; newer
// ones replace older ones. limit: CVE-2023-49295 and its kin.
const maxPathResponses = 4

// path is one network path: a pair of addresses and all that is known of it.
type path struct {
	local     netip.Addr
	remote    netip.AddrPort
	rec       *recovery.Path
	validated bool   // the peer has proved its address
	received  uint64 // bytes of UDP payload until validation
	sent      uint64
	responses [][8]byte
}

// allowance is how many bytes may still be sent to an address that is not
// validated (RFC 9000 §8.1: at most three times what came from it).
func (p *path) allowance() int {
	if p.validated {
		return maxDatagram
	}
	limit := 3 * p.received
	if p.sent >= limit {
		return 0
	}
	return int(min(limit-p.sent, maxDatagram))
}

// validate lifts the amplification limit.
func (c *Conn) validatePath() {
	if !c.path.validated {
		c.path.validated = true
		c.det.SetAmplificationBlocked(false)
	}
}

// handlePathChallenge queues the answer. RFC 9000 §8.2.2: one response per
// challenge; we keep to the newest few, since a peer that floods has no use
// for all of them.
func (c *Conn) handlePathChallenge(f *wire.Frame) {
	if len(c.path.responses) == maxPathResponses {
		c.path.responses = append(c.path.responses[:0], c.path.responses[1:]...)
	}
	c.path.responses = append(c.path.responses, f.Path)
	c.control |= ctlPathResponse
}
