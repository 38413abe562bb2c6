package core

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/qlog"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// EarlyState is how far 0-RTT has come on a connection (RFC 9001 §4.6).
type EarlyState uint8

// The states of 0-RTT.
const (
	EarlyNone     EarlyState = iota // not offered, or not yet
	EarlyOffered                    // client: early data may be sent, the server has not answered
	EarlyAccepted                   // the server takes early data
	EarlyRejected                   // client: the server refused; what was sent early is lost
)

// ErrEarlyRejected is the error of streams that a client opened for early data
// which the server did not take.
var ErrEarlyRejected = errors.New("server rejected 0-RTT")

// EarlyGuard keeps early data from being taken twice (RFC 9001 §9.2, RFC 8446
// §8). hello is the random value of a ClientHello, issued is when its ticket was.
type EarlyGuard interface {
	// Fresh reports whether early data may be taken, as far as is known now.
	Fresh(now, issued Time, hello [32]byte) bool
	// Record reports whether hello was not recorded before, and records it.
	Record(now Time, hello [32]byte) bool
}

// early is 0-RTT on one connection.
type early struct {
	state  EarlyState
	none   bool         // server: the driver knows that the client sends none
	keys   *crypt.Keys  // a client seals with them, a server opens; nil = none
	memory *memory      // client: what it remembers of the server
	server *wire.Params // client: what the server announced, for a later connection
	dropAt hook.Instant // server: when the keys go; 0 = no such plan
}

// Early returns how far 0-RTT has come.
func (c *Conn) Early() EarlyState { return c.early.state }

// NoEarlyData tells a server that the ClientHello offers no early data, so that
// nothing is prepared for it.
func (c *Conn) NoEarlyData() { c.early.none = true }

// mayResumeEarly decides whether a session that TLS wants to resume serves for
// 0-RTT as well.
func (c *Conn) mayResumeEarly(now hook.Instant, s *tls.SessionState) bool {
	m, ok := recall(s)
	if !ok || !c.cfg.Early || c.early.none || m.version != c.vers.original {
		return false
	}
	if c.client {
		c.early.memory = &m
		return c.resumePlugins(now, m.plugins)
	}
	// RFC 9000 §7.4.1: a server that lowered its limits since must not take
	// data that was sent under the old ones.
	own := c.cfg.params()
	if _, smaller := reduced(&m.params, &own); smaller || c.cfg.Guard == nil {
		return false
	}
	return c.cfg.Guard.Fresh(c.when(now), m.at, c.tls.start.random()) && c.resumePlugins(now, m.plugins)
}

// installEarly takes the secret of early data from TLS.
func (c *Conn) installEarly(now hook.Instant, e tls.QUICEvent) error {
	keys, err := crypt.New(c.vers.original, e.Suite, e.Data)
	if err != nil {
		return &LocalError{CloseError: CloseError{Code: uint64(InternalError), Reason: err.Error()}}
	}
	c.logEarlySecret(e.Data)
	if c.client {
		c.early.state, c.early.keys = EarlyOffered, keys
		c.tls.state = &tls.ConnectionState{Version: tls.VersionTLS13, NegotiatedProtocol: c.early.memory.alpn, ServerName: c.cfg.TLS.ServerName}
		c.remember(&c.early.memory.params)
		c.tellResumed()
		return nil
	}
	c.tellResumed()
	// Another connection may have recorded the same hello since TLS was told to
	// go on. Then the packets stay unread, and a client, if it is one, sends
	// their content again in 1-RTT packets.
	if !c.cfg.Guard.Record(c.when(now), c.tls.start.random()) {
		return nil
	}
	c.early.state, c.early.keys = EarlyAccepted, keys
	state := c.tls.conn.ConnectionState()
	c.tls.state = &state
	c.events.push(Event{Kind: EventEarly})
	return nil
}

// remember applies what the server allowed last time to early data.
func (c *Conn) remember(p *wire.Params) {
	c.peer = peerOf(p)
	if c.exch != nil {
		c.exch.peer = p.Plugins
	}
	c.applyLimits(p)
	c.path.rec.MTU.SetLimit(int(min(p.MaxUDPPayload, maxDatagram)))
}

// logEarlySecret writes what crypto/tls leaves out of a key log.
func (c *Conn) logEarlySecret(secret []byte) {
	if w := c.cfg.TLS.KeyLogWriter; w != nil {
		random := c.tls.start.random()
		io.WriteString(w, fmt.Sprintf("CLIENT_EARLY_TRAFFIC_SECRET %x %x\n", random[:], secret)) // as crypto/tls, which reports its own
	}
}

// settleEarly concludes, once the server's parameters are there without a
// rejection, that it takes early data.
func (c *Conn) settleEarly() error {
	if !c.client || c.early.state != EarlyOffered || !c.haveParams {
		return nil
	}
	// RFC 9000 §7.4.1: a server that accepts 0-RTT must not lower its limits.
	if name, smaller := reduced(&c.early.memory.params, c.early.server); smaller {
		return violation(ProtocolViolation, wire.FrameCrypto, "server accepted 0-RTT and lowered %s", name)
	}
	c.early.state = EarlyAccepted
	if c.exch != nil {
		c.exch.taken = true
	}
	return nil
}

// rejectEarly forgets all that a client did on the strength of an old session
// (RFC 9001 §4.6.2): its streams fail, nothing of them is sent again.
func (c *Conn) rejectEarly(now hook.Instant) {
	if c.early.state != EarlyOffered {
		return
	}
	c.early.state, c.early.keys, c.tls.state = EarlyRejected, nil, nil
	c.dropResumed()
	for _, s := range c.streams.inOrder() {
		s.giveUpEarly(&c.pool)
		c.postReadable(s)
		c.postWritable(s)
	}
	for c.datagramsWait() {
		c.datagrams.out.pop()
	}
	t := &c.streams
	clear(t.byID)
	t.last, t.opened, t.blockedSent = nil, [2]uint64{}, [2]bool{}
	t.newData, t.lost, t.control = streamQueue{}, streamQueue{}, streamQueue{}
	c.flow.sent, c.flow.blockedAt = 0, 0
	c.control &^= ctlDataBlocked | ctlStreamsBlocked
	if c.haveParams {
		c.applyLimits(c.early.server)
	} else { // they come later
		none := wire.DefaultParams()
		c.peer = absentParams()
		c.applyLimits(&none)
	}
	c.dropEarlyFates()
	c.det.OnEarlyRejected(c)
	if c.ext != nil {
		c.ext.forgetContent()
	}
	c.logKeys(now, (*qlog.Log).KeyDiscarded, "0rtt", 0)
}

// giveUpEarly leaves nothing of a stream but its error.
func (s *Stream) giveUpEarly(pool *chunkPool) {
	s.send.buf.drop(pool)
	s.rejected, s.gone = true, true
	s.send.reset, s.send.resetAcked = true, true
	s.send.resetSend, s.send.blocked = false, false
	s.recv.delivered, s.recv.maxSend, s.recv.stopSend = true, false, false
}

// dropEarly forgets the 0-RTT keys: a client with its 1-RTT keys, a server some
// time after (RFC 9001 §4.9.3).
func (c *Conn) dropEarly(now hook.Instant) {
	if c.early.keys != nil {
		c.early.keys, c.early.dropAt = nil, 0
		c.logKeys(now, (*qlog.Log).KeyDiscarded, "0rtt", 0)
	}
}

func (c *Conn) tickEarly(now hook.Instant) {
	if at := c.early.dropAt; !at.IsZero() && now >= at {
		c.dropEarly(now)
	}
}

// sealKeys returns the keys with which packets of a space leave now, nil if
// none may. early means 0-RTT packets.
func (c *Conn) sealKeys(id recovery.SpaceID) (keys *crypt.Keys, early bool) {
	switch {
	case id != recovery.AppData || c.complete:
		return c.spaces[id].write, false
	case c.client:
		return c.early.keys, true
	case c.early.state == EarlyAccepted:
		// The client proved with its early data that it is one we know, so the
		// answer need not wait for its Finished (RFC 9001 §5.7).
		return c.spaces[id].write, false
	}
	return nil, false
}

// openKeys returns the keys of a long header packet, nil if there are none, and
// whether it is of no use to wait for them.
func (c *Conn) openKeys(h *wire.Header, s *space) (keys *crypt.Keys, never bool) {
	switch {
	case h.Type == wire.PacketInitial:
		return c.initialReader(h.Version), s.discarded
	case h.Type == wire.PacketHandshake:
		return s.read, s.discarded
	case c.client:
		return nil, true
	}
	return c.early.keys, c.earlyDecided()
}

// earlyDecided reports whether a server's TLS has judged the ClientHello.
func (c *Conn) earlyDecided() bool {
	return c.spaces[recovery.Handshake].write != nil || c.spaces[recovery.Handshake].discarded
}
