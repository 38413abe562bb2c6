package core

import (
	"bytes"
	"errors"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

const (
	// maxAckDelay is how long we may hold an acknowledgment back.
	maxAckDelay = 25 * time.Millisecond
	// maxReceive is the largest UDP payload that we take.
	maxReceive = 65527
)

// ownParams are the transport parameters that we announce (RFC 9000 §7.4), but
// for the preferred address, which takes a connection ID.
func (c *Conn) ownParams() *wire.Params {
	p := c.cfg.params()
	p.MinAckDelay = minAckDelay
	p.InitialSCID = bytes.Clone(c.ids.firstLocal())
	if !c.client {
		p.OriginalDCID = bytes.Clone(c.odcid.Bytes())
		if c.retried {
			p.RetrySCID = bytes.Clone(c.retrySCID.Bytes())
		}
		if c.cfg.ResetKey != nil {
			token := c.cfg.ResetKey.Token(p.InitialSCID)
			p.ResetToken = &token
		}
	}
	p.Versions = c.ownVersions()
	p.GreaseQUICBit = !c.cfg.NoGrease
	var grease [1]byte
	if !c.cfg.NoGrease && c.random(grease[:]) == nil {
		p.Grease = 31*uint64(grease[0]) + 27 // RFC 9000 §18.1
	}
	return &p
}

// params is the part of ownParams that is the same for every connection.
func (cfg *Config) params() wire.Params {
	p := wire.DefaultParams()
	p.MaxIdleTimeout = cfg.IdleTimeout
	p.MaxUDPPayload = maxReceive
	p.MaxData = cfg.ConnWindow
	p.MaxStreamLocal, p.MaxStreamRemote, p.MaxStreamUni = cfg.StreamWindow, cfg.StreamWindow, cfg.StreamWindow
	p.MaxStreamsBidi, p.MaxStreamsUni = cfg.MaxStreamsBidi, cfg.MaxStreamsUni
	p.MaxAckDelay = maxAckDelay
	p.ActiveConnIDLimit = maxRemoteIDs
	p.ResetStreamAt = cfg.ResetStreamAt
	p.MaxDatagramFrame = cfg.MaxDatagramFrame
	p.DisableMigration = cfg.DisableActiveMigration
	p.Plugins = cfg.pluginParams()
	return p
}

// preferredAddress is what a server announces with the connection ID that has
// sequence number 1 (RFC 9000 §5.1.1), or nil.
func (c *Conn) preferredAddress() *wire.PreferredAddress {
	if !c.cfg.PreferredV4.IsValid() && !c.cfg.PreferredV6.IsValid() {
		return nil
	}
	l, err := c.newLocalID()
	if err != nil {
		return nil
	}
	return &wire.PreferredAddress{V4: c.cfg.PreferredV4, V6: c.cfg.PreferredV6, ConnID: bytes.Clone(l.id.Bytes()), ResetToken: l.token}
}

// handleParams checks and applies the peer's transport parameters.
func (c *Conn) handleParams(now hook.Instant, b []byte) error {
	p, err := wire.ParseParams(b, c.client)
	if err != nil {
		var pe *wire.ParamError
		errors.As(err, &pe)
		return violation(TransportParameterError, wire.FrameCrypto, "%s", pe.Error())
	}
	if err := c.authenticateIDs(p); err != nil {
		return err
	}
	c.log.ParametersSet(now, "remote", p)
	if err := c.handleVersions(now, p); err != nil {
		return err
	}
	c.peer, c.haveParams = peerOf(p), true
	if c.exch != nil {
		c.exch.peer = p.Plugins
	}
	if c.client {
		c.early.server = p
	}
	c.applyLimits(p)
	c.idle.negotiate(p.MaxIdleTimeout)
	c.det.SetMaxAckDelay(p.MaxAckDelay)
	c.ackFreq.delay = p.MaxAckDelay
	c.ackFreq.asked = hook.AckRequest{Threshold: 2, MaxDelay: p.MaxAckDelay, Reordering: 1} // RFC 9000 §13.2: what it does unasked
	c.path.rec.MTU.SetLimit(int(min(p.MaxUDPPayload, maxDatagram)))
	if p.ResetToken != nil {
		c.ids.remote[0].token, c.ids.remote[0].hasToken = *p.ResetToken, true
		c.ids.remote[0].used = true
		c.events.push(Event{Kind: EventResetToken, Token: *p.ResetToken})
	}
	if a := p.Preferred; a != nil {
		// RFC 9000 §18.2: not from a server that is addressed by a zero-length ID.
		if len(c.ids.dcid()) == 0 {
			return violation(TransportParameterError, wire.FrameCrypto, "preferred_address of a server with a zero-length connection ID")
		}
		c.ids.remote = append(c.ids.remote, remoteID{seq: 1, id: MakeConnID(a.ConnID), token: a.ResetToken, hasToken: true})
	}
	return nil
}

// peerParams are the peer's transport parameters that count after the handshake,
// which is less than half of them. Their names are those of wire.Params.
type peerParams struct {
	MaxUDPPayload                                  uint64
	MaxStreamLocal, MaxStreamRemote, MaxStreamUni  uint64
	MaxDatagramFrame                               uint64
	MinAckDelay, MaxAckDelay                       time.Duration
	Preferred                                      *wire.PreferredAddress
	AckDelayExponent                               uint8
	DisableMigration, ResetStreamAt, GreaseQUICBit bool
}

func peerOf(p *wire.Params) peerParams {
	return peerParams{
		MaxUDPPayload:  p.MaxUDPPayload,
		MaxStreamLocal: p.MaxStreamLocal, MaxStreamRemote: p.MaxStreamRemote, MaxStreamUni: p.MaxStreamUni,
		MaxDatagramFrame: p.MaxDatagramFrame,
		MinAckDelay:      p.MinAckDelay, MaxAckDelay: p.MaxAckDelay,
		Preferred:        p.Preferred,
		AckDelayExponent: p.AckDelayExponent,
		DisableMigration: p.DisableMigration, ResetStreamAt: p.ResetStreamAt, GreaseQUICBit: p.GreaseQUICBit,
	}
}

// absentParams are those of a peer that announced nothing yet.
func absentParams() peerParams {
	p := wire.DefaultParams()
	return peerOf(&p)
}

// applyLimits lets us send what the peer's parameters allow. Streams that are
// open were opened for early data, under the limits of an older session.
func (c *Conn) applyLimits(p *wire.Params) {
	t := &c.streams
	c.flow.peerMax = p.MaxData
	c.ids.peerLimit = p.ActiveConnIDLimit
	for k, limit := range [2]uint64{p.MaxStreamsBidi, p.MaxStreamsUni} {
		if t.wantOpen[k] && limit > t.opened[k] {
			t.wantOpen[k] = false
			c.events.push(Event{Kind: EventStreams, Uni: k == 1})
		}
		t.peerMax[k] = limit
	}
	for _, s := range t.inOrder() {
		if s.hasOut {
			s.send.max = max(s.send.max, c.peerStreamLimit(s.id, c.isLocal(s.id)))
			c.queueSend(s)
		}
	}
}

// authenticateIDs compares the connection IDs of the handshake with those that
// the peer says it used (RFC 9000 §7.3).
func (c *Conn) authenticateIDs(p *wire.Params) error {
	wrong := func(name string, got, want []byte) error {
		if got != nil && bytes.Equal(got, want) {
			return nil
		}
		if got == nil {
			return violation(TransportParameterError, wire.FrameCrypto, "%s is missing", name)
		}
		return violation(TransportParameterError, wire.FrameCrypto, "%s is %x, want %x", name, got, want)
	}
	if err := wrong("initial_source_connection_id", p.InitialSCID, c.ids.remote[0].id.Bytes()); err != nil {
		return err
	}
	if !c.client {
		return nil
	}
	if err := wrong("original_destination_connection_id", p.OriginalDCID, c.odcid.Bytes()); err != nil {
		return err
	}
	if c.retried {
		return wrong("retry_source_connection_id", p.RetrySCID, c.retrySCID.Bytes())
	}
	if p.RetrySCID != nil {
		return violation(TransportParameterError, wire.FrameCrypto, "retry_source_connection_id is %x, there was no Retry", p.RetrySCID)
	}
	return nil
}

// handleHandshakeDone confirms the handshake at a client (RFC 9000 §19.20).
func (c *Conn) handleHandshakeDone(now hook.Instant) error {
	if !c.client {
		return violation(ProtocolViolation, wire.FrameHandshakeDone, "a client sent HANDSHAKE_DONE")
	}
	c.det.SetPeerAddressValidated(true)
	c.discardSpace(now, recovery.Initial)
	c.confirm(now)
	return nil
}
