package core

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/qlog"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// maxCryptoBuffer bounds the handshake bytes that wait for earlier ones, per
// encryption level. RFC 9000 §7.5 wants at least 4096.
const maxCryptoBuffer = 64 << 10

// tlsState is the guest: crypto/tls, driven by CRYPTO frames (RFC 9001 §4).
type tlsState struct {
	conn  *tls.QUICConn        // nil = not begun, or no longer needed
	level recovery.SpaceID     // at which the peer's next bytes belong
	state *tls.ConnectionState // after completion; with 0-RTT what is known before
	start *tlsStart            // nil once the handshake is confirmed
}

// tlsStart is what TLS and the recovery of its handshake need until it is
// confirmed, which is a small part of a connection's life.
type tlsStart struct {
	ctx     context.Context // for callbacks, until completion
	hello   []byte          // how the ClientHello begins, until completion; bounded by the 32 bytes that it wants
	hurries int             // times that what is in flight was sent again because the peer repeated itself
	hurried hook.Instant    // when it was
}

// helloHead is how much of a ClientHello is kept: type, length, version and
// random value (RFC 8446 §4.1.2).
const helloHead = 1 + 3 + 2 + 32

// note keeps the beginning of the ClientHello, which passes in pieces.
func (t *tlsStart) note(hello []byte) {
	t.hello = append(t.hello, hello[:min(len(hello), helloHead-len(t.hello))]...)
}

// random is what identifies a ClientHello and all secrets of its handshake.
func (t *tlsStart) random() (r [32]byte) {
	copy(r[:], t.hello[min(6, len(t.hello)):])
	return r
}

var levelSpaces = map[tls.QUICEncryptionLevel]recovery.SpaceID{
	tls.QUICEncryptionLevelInitial:     recovery.Initial,
	tls.QUICEncryptionLevelHandshake:   recovery.Handshake,
	tls.QUICEncryptionLevelApplication: recovery.AppData,
}

var spaceLevels = [recovery.NumSpaces]tls.QUICEncryptionLevel{
	tls.QUICEncryptionLevelInitial, tls.QUICEncryptionLevelHandshake, tls.QUICEncryptionLevelApplication,
}

// startTLS begins the handshake: at once in a client, with the first
// authenticated Initial in a server.
func (c *Conn) startTLS(now hook.Instant) error {
	cfg := &tls.QUICConfig{TLSConfig: c.tlsConfig(), EnableSessionEvents: true}
	if c.client {
		c.tls.conn = tls.QUICClient(cfg)
	} else {
		c.tls.conn = tls.QUICServer(cfg)
	}
	if c.client {
		c.announce(now)
	}
	ctx := c.tls.start.ctx
	if ctx == nil {
		ctx = context.Background()
	}
	if err := c.tls.conn.Start(ctx); err != nil {
		return tlsError(err)
	}
	err := c.drainTLS(now)
	if c.client && c.early.state != EarlyOffered {
		c.dropResumed() // TLS offers no early data after all
	}
	return err
}

// announce tells TLS our transport parameters. A server does so when it knows
// the client's, which decide about the version.
func (c *Conn) announce(now hook.Instant) {
	params := c.ownParams()
	if !c.client {
		params.Preferred = c.preferredAddress()
	}
	c.log.ParametersSet(now, "local", params)
	c.tls.conn.SetTransportParameters(wire.AppendParams(nil, params))
}

// handleCrypto takes handshake bytes at their encryption level (RFC 9000 §19.6).
func (c *Conn) handleCrypto(now hook.Instant, id recovery.SpaceID, f *wire.Frame) error {
	s := &c.spaces[id]
	// RFC 9369 §4.1: CRYPTO frames are in the negotiated version.
	c.vers.settled = true
	// RFC 9000 §7.5: more than we are willing to buffer.
	if f.Offset+uint64(len(f.Data)) > s.in.data.base+maxCryptoBuffer {
		return violation(CryptoBufferExceeded, f.Type, "CRYPTO data reaches %d, %d bytes beyond what is complete", f.Offset+uint64(len(f.Data)), f.Offset+uint64(len(f.Data))-s.in.data.base)
	}
	if id != recovery.AppData && len(f.Data) > 0 && f.Offset+uint64(len(f.Data)) <= s.in.data.base {
		c.hurry(now)
	}
	if !s.in.add(&c.pool, f.Offset, f.Data) {
		return violation(CryptoBufferExceeded, f.Type, "CRYPTO data lies in more than %d pieces", maxGaps)
	}
	if c.tls.conn == nil && !c.complete {
		if err := c.startTLS(now); err != nil {
			return err
		}
	}
	for !s.discarded { // by what came before
		data := s.in.peek()
		if data == nil {
			return nil
		}
		if c.tls.conn == nil {
			// RFC 9001 §4: after the handshake a client has nothing to say in TLS.
			return violation(CryptoError+10, f.Type, "unexpected TLS message after the handshake")
		}
		if id != c.tls.level {
			// RFC 9001 §4.1.3: new data at a level that TLS has left behind.
			return violation(ProtocolViolation, f.Type, "handshake data in an %v packet, want %v", id, c.tls.level)
		}
		if err := c.checkHello(id, s.in.data.base, data); err != nil {
			return err
		}
		if id == recovery.Initial && !c.client {
			c.tls.start.note(data)
		}
		if err := c.tls.conn.HandleData(spaceLevels[id], data); err != nil {
			return c.postHandshake(tlsError(err))
		}
		s.in.consume(&c.pool, uint64(len(data)))
		if err := c.drainTLS(now); err != nil {
			return err
		}
	}
	return nil
}

// checkHello refuses a ClientHello with a session ID: it asks for middlebox
// compatibility (RFC 9001 §8.4). data is what comes at offset off.
func (c *Conn) checkHello(id recovery.SpaceID, off uint64, data []byte) error {
	const at = 1 + 3 + 2 + 32 // of legacy_session_id's length: RFC 8446 §4.1.2
	if c.client || id != recovery.Initial || off > at || off+uint64(len(data)) <= at || data[at-off] == 0 {
		return nil
	}
	return violation(ProtocolViolation, wire.FrameCrypto, "ClientHello has a session ID of %d bytes, want none", data[at-off])
}

// postHandshake names what crypto/tls refuses after the handshake without an
// alert of its own: a KeyUpdate, above all (RFC 9001 §6).
func (c *Conn) postHandshake(err *LocalError) *LocalError {
	const internalError, unexpectedMessage = 80, 10
	switch {
	case !c.complete:
	case strings.Contains(err.Reason, "invalid early data"):
		// RFC 9001 §4.6.1: a ticket for another amount of early data than all.
		err.Code = uint64(ProtocolViolation)
	case err.Code == uint64(CryptoError)+internalError:
		err.Code = uint64(CryptoError) + unexpectedMessage
	}
	return err
}

// tlsError turns a TLS alert into its transport error (RFC 9001 §4.8).
func tlsError(err error) *LocalError {
	var alert tls.AlertError
	if errors.As(err, &alert) {
		return &LocalError{CloseError: CloseError{Code: uint64(CryptoError) + uint64(alert), Frame: wire.FrameCrypto, Reason: err.Error()}, Cause: err}
	}
	var local *LocalError
	if errors.As(err, &local) {
		return local
	}
	return &LocalError{CloseError: CloseError{Code: uint64(InternalError), Reason: fmt.Sprintf("TLS: %v", err)}, Cause: err}
}

// drainTLS does what TLS asks for.
func (c *Conn) drainTLS(now hook.Instant) error {
	for {
		e := c.tls.conn.NextEvent()
		switch e.Kind {
		case tls.QUICNoEvent:
			if c.complete && !c.client && c.exch.ticketSent() {
				c.tls.conn = nil // an idle connection of a server keeps no TLS state
			}
			return c.settleEarly()
		case tls.QUICErrorEvent:
			return c.postHandshake(tlsError(e.Err))
		case tls.QUICSetReadSecret, tls.QUICSetWriteSecret:
			if err := c.installKeys(now, e); err != nil {
				return err
			}
		case tls.QUICWriteData:
			if c.client && e.Level == tls.QUICEncryptionLevelInitial {
				c.tls.start.note(e.Data)
			}
			c.spaces[levelSpaces[e.Level]].out.write(&c.pool, e.Data)
		case tls.QUICTransportParameters:
			if err := c.handleParams(now, e.Data); err != nil {
				return err
			}
		case tls.QUICTransportParametersRequired:
			c.announce(now)
		case tls.QUICResumeSession:
			e.SessionState.EarlyData = e.SessionState.EarlyData && c.mayResumeEarly(now, e.SessionState)
		case tls.QUICStoreSession:
			c.storeSession(now, e.SessionState)
		case tls.QUICRejectedEarlyData:
			if !c.haveParams {
				c.forgetSession()
			}
			c.rejectEarly(now)
		case tls.QUICHandshakeDone:
			if err := c.handshakeComplete(now); err != nil {
				return err
			}
		}
	}
}

func (c *Conn) installKeys(now hook.Instant, e tls.QUICEvent) error {
	if e.Level == tls.QUICEncryptionLevelEarly {
		return c.installEarly(now, e)
	}
	id := levelSpaces[e.Level]
	keys, err := crypt.New(c.version, e.Suite, e.Data)
	if err != nil {
		return &LocalError{CloseError: CloseError{Code: uint64(InternalError), Reason: err.Error()}}
	}
	s := &c.spaces[id]
	if e.Kind == tls.QUICSetReadSecret {
		s.read, c.tls.level = keys, id
		if id == recovery.AppData {
			c.nextReadKeys() // RFC 9001 §6.3: not when a packet asks for them, which would show
		}
	} else {
		s.write = keys
	}
	if id == recovery.Handshake && !c.client {
		c.dropResumed() // unless early data was taken
	}
	if id == recovery.Handshake && s.write != nil {
		c.det.SetHasHandshakeKeys()
	}
	return nil
}

// handshakeComplete is RFC 9001 §4.1.1: the Finished of both sides was seen.
func (c *Conn) handshakeComplete(now hook.Instant) error {
	state := c.tls.conn.ConnectionState()
	c.tls.state, c.tls.start.hello, c.tls.start.ctx = &state, nil, nil
	c.complete = true
	c.log.ALPN(now, state.NegotiatedProtocol)
	c.events.push(Event{Kind: EventEstablished})
	c.startExchange()
	c.tellState()
	if c.client {
		c.dropEarly(now)
		c.issueLocalIDs()
		return nil
	}
	if c.early.keys != nil {
		c.early.dropAt = now.Add(3 * c.pto())
	}
	c.planTicket(now)
	c.issueToken(now)
	// RFC 9001 §4.1.2: the server confirms as soon as it is complete, and says so.
	c.control |= ctlHandshakeDone
	c.confirm(now)
	c.ids.initialUntil = now.Add(3 * c.pto())
	c.issueLocalIDs()
	return nil
}

// confirm is RFC 9001 §4.1.2 and §4.9.2: Handshake keys go.
func (c *Conn) confirm(now hook.Instant) {
	if c.confirmed {
		return
	}
	c.confirmed = true
	c.tellState()
	c.tls.start = nil
	c.beginKeyUpdate(now)
	c.det.SetHandshakeConfirmed()
	c.discardSpace(now, recovery.Handshake)
	c.path.rec.MTU.Start(now)
	c.events.push(Event{Kind: EventConfirmed})
}

// discardSpace forgets the keys and all packets of a space (RFC 9001 §4.9, RFC 9002 §6.4).
func (c *Conn) discardSpace(now hook.Instant, id recovery.SpaceID) {
	s := &c.spaces[id]
	if s.discarded {
		return
	}
	c.det.Discard(id, c)
	if id == recovery.Initial {
		c.vers.other, c.vers.read, c.vers.write = 0, nil, nil
	}
	s.out.drop(&c.pool)
	s.in.drop(&c.pool)
	c.count.marks.Add(s.recv.ECN())
	*s = space{discarded: true}
	c.logKeys(now, (*qlog.Log).KeyDiscarded, id.String(), 0)
}

// TLSState returns what TLS negotiated, or nil before the handshake is complete.
// With 0-RTT it is what is known of that, HandshakeComplete being false.
func (c *Conn) TLSState() *tls.ConnectionState { return c.tls.state }
