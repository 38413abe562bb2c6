package core

import (
	"errors"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/qlog"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
)

// maxAckRangesRead bounds the ranges that one received ACK frame may name; the
// rest are the oldest. limit: work per packet.
const maxAckRangesRead = 256

// In which packets a frame may come: the "Pkts" column of RFC 9000 §12.4,
// table 3. 0-RTT packets have the number space of 1-RTT packets, and a column of
// their own; §12.5 leaves out some frames that the table still lists.
const (
	inInitial   = 1 << recovery.Initial
	inHandshake = 1 << recovery.Handshake
	inApp       = 1 << recovery.AppData
	inEarly     = 1 << recovery.NumSpaces
	inAll       = inInitial | inHandshake | inApp | inEarly
)

var framePlaces = [...]uint8{
	wire.FramePadding:         inAll,
	wire.FramePing:            inAll,
	wire.FrameAck:             inAll &^ inEarly,
	wire.FrameAckECN:          inAll &^ inEarly,
	wire.FrameCrypto:          inAll &^ inEarly,
	wire.FrameConnectionClose: inAll,

	wire.FrameNewToken:           inApp,
	wire.FrameRetireConnectionID: inApp,
	wire.FramePathResponse:       inApp,
	wire.FrameHandshakeDone:      inApp,
}

func mayCome(t wire.FrameType, in wire.PacketType) bool {
	places := uint8(inApp | inEarly)
	switch {
	case t < wire.FrameType(len(framePlaces)) && framePlaces[t] != 0:
		places = framePlaces[t]
	case t.IsPluginControl() && t != wire.FramePluginEvent && t != wire.FramePluginDetach:
		// Nobody is to make a server fetch or build a plugin by replaying a first flight.
		places = inApp
	}
	switch in {
	case wire.PacketInitial:
		return places&inInitial != 0
	case wire.PacketHandshake:
		return places&inHandshake != 0
	case wire.Packet0RTT:
		return places&inEarly != 0
	}
	return places&inApp != 0
}

// handleFrames processes the frames of a packet in order.
func (c *Conn) handleFrames(now hook.Instant, id recovery.SpaceID, info *qlog.PacketInfo, payload []byte) (eliciting bool, err error) {
	var f wire.Frame
	whole := payload
	for len(payload) > 0 {
		n, err := wire.Next(payload, &f)
		if f.Type >= wire.FramePlugin && !c.takesPart() && (c.ext == nil || !c.ext.framed || !f.Type.IsPlugin()) {
			return eliciting, unknownFrame(f.Type)
		}
		if err != nil {
			return eliciting, frameError(&f, err)
		}
		// RFC 9000 §12.4: a frame in a packet type that does not permit it.
		if !mayCome(f.Type, info.Type) {
			return eliciting, violation(ProtocolViolation, f.Type, "%v in an %v packet", f.Type, info.Type)
		}
		if err := c.agreed(f.Type, n); err != nil {
			return eliciting, err
		}
		if c.ext != nil && f.Type.IsPlugin() {
			wants := c.takePlugin(now, info, whole, len(whole)-len(payload), &f)
			eliciting = eliciting || wants
			if c.closing.state != stateOpen {
				return eliciting, nil
			}
			payload = payload[n:]
			continue
		}
		eliciting = eliciting || f.Type.AckEliciting()
		if f.Type >= wire.FramePlugin {
			err = c.takePluginFrame(now, &f, n)
		} else {
			err = c.handleFrame(now, id, &f, info.DCID)
		}
		if err != nil {
			return eliciting, err
		}
		if c.closing.state != stateOpen {
			return eliciting, nil
		}
		payload = payload[n:]
	}
	return eliciting, nil
}

// frameError names the mistake; both kinds are FRAME_ENCODING_ERROR (RFC 9000 §12.4).
func frameError(f *wire.Frame, err error) error {
	if errors.Is(err, wire.ErrFrameType) {
		return unknownFrame(f.Type)
	}
	if f.Type.IsPluginControl() {
		return pluginError(f.Type, "malformed %v", f.Type)
	}
	return violation(FrameEncodingError, f.Type, "malformed %v", f.Type)
}

func unknownFrame(t wire.FrameType) error {
	return violation(FrameEncodingError, t, "unknown frame type %#x", uint64(t))
}

// agreed refuses the frames of extensions that we did not announce, and
// DATAGRAM frames that are larger than we announced.
func (c *Conn) agreed(t wire.FrameType, size int) error {
	switch t {
	case wire.FrameResetStreamAt:
		if !c.cfg.ResetStreamAt {
			return unknownFrame(t)
		}
	case wire.FrameDatagram, wire.FrameDatagramLength:
		// RFC 9221 §3: both are a PROTOCOL_VIOLATION.
		if most := c.cfg.MaxDatagramFrame; uint64(size) > most {
			return violation(ProtocolViolation, t, "DATAGRAM frame of %d bytes, we take %d", size, most)
		}
	}
	return nil
}

func (c *Conn) handleFrame(now hook.Instant, id recovery.SpaceID, f *wire.Frame, dcid []byte) error {
	if !isProbing(f.Type) {
		c.arrival.nonProbing = true
	}
	if f.Type.IsStream() {
		return c.handleStream(now, f)
	}
	switch f.Type {
	case wire.FramePadding, wire.FramePing:
	case wire.FrameAck, wire.FrameAckECN:
		return c.handleAck(now, id, f)
	case wire.FrameResetStream, wire.FrameResetStreamAt:
		return c.handleResetStream(now, f)
	case wire.FrameStopSending:
		return c.handleStopSending(f)
	case wire.FrameCrypto:
		return c.handleCrypto(now, id, f)
	case wire.FrameNewToken:
		return c.handleNewToken(f)
	case wire.FrameMaxData:
		c.handleMaxData(f)
	case wire.FrameMaxStreamData:
		return c.handleMaxStreamData(f)
	case wire.FrameMaxStreamsBidi, wire.FrameMaxStreamsUni:
		c.handleMaxStreams(f)
	case wire.FrameDataBlocked, wire.FrameStreamsBlockedBidi, wire.FrameStreamsBlockedUni:
		// Windows grow by what the application reads, not by what the peer asks.
	case wire.FrameStreamDataBlocked:
		_, err := c.streamForReceive(f.StreamID, f.Type)
		return err
	case wire.FrameNewConnectionID:
		return c.handleNewConnectionID(now, f)
	case wire.FrameRetireConnectionID:
		return c.handleRetireConnectionID(f, dcid)
	case wire.FramePathChallenge:
		c.handlePathChallenge(now, f)
	case wire.FramePathResponse:
		c.handlePathResponse(now, f)
	case wire.FrameConnectionClose, wire.FrameApplicationClose:
		c.handleClose(now, f)
	case wire.FrameDatagram, wire.FrameDatagramLength:
		c.handleDatagram(f)
	case wire.FrameAckFrequency:
		return c.handleAckFrequency(f)
	case wire.FrameImmediateAck:
		c.spaces[id].recv.AckAtOnce()
	case wire.FrameHandshakeDone:
		return c.handleHandshakeDone(now)
	}
	return nil
}

// handleAck takes an ACK frame (RFC 9002 §A.7).
func (c *Conn) handleAck(now hook.Instant, id recovery.SpaceID, f *wire.Frame) error {
	c.ranges = f.Ack.AppendRanges(c.ranges[:0], maxAckRangesRead)
	var ecn *wire.ECNCounts
	if f.Ack.ECN {
		ecn = &wire.ECNCounts{ECT0: f.Ack.ECT0, ECT1: f.Ack.ECT1, CE: f.Ack.CE}
	}
	mtu, eliciting := c.path.rec.MTU.Current(), c.path.rec.BytesInFlight()
	got, err := c.det.OnAck(now, id, c.ranges, c.ackDelay(id, f.Ack.Delay), ecn, c)
	if err != nil {
		// RFC 9000 §13.1: an acknowledgment of a packet that was never sent.
		return violation(ProtocolViolation, f.Type, "%v", err)
	}
	if got.RTTSampled && c.ext != nil {
		c.ext.tellRTT(now, got.Path, c.ackDelay(id, f.Ack.Delay))
	}
	if id == recovery.Handshake && c.client {
		c.det.SetPeerAddressValidated(true)
	}
	if id == recovery.AppData {
		c.ackedNumber(now, f.Ack.Largest)
		c.tuneAcks()
	}
	if size := c.path.rec.MTU.Current(); size != mtu {
		c.log.MTUUpdated(now, mtu, size, false)
	}
	if eliciting != c.path.rec.BytesInFlight() {
		c.paced = 0
		c.logMetrics(now)
	}
	return nil
}

// ackDelay turns the field of an ACK into a duration. RFC 9002 §5.3: it is
// ignored for Initial packets.
func (c *Conn) ackDelay(id recovery.SpaceID, field uint64) time.Duration {
	if id != recovery.AppData {
		return 0
	}
	const most = 1 << 14 // ms, the bound of max_ack_delay
	us := field << c.peer.AckDelayExponent
	if us>>c.peer.AckDelayExponent != field || us > most*1000 {
		return most * time.Millisecond
	}
	return time.Duration(us) * time.Microsecond
}

func (c *Conn) logMetrics(now hook.Instant) {
	if c.log == nil {
		return
	}
	c.logECN(now)
	p := c.path.rec
	c.log.MetricsUpdated(now, qlog.Metrics{
		MinRTT: p.RTT.Min(), SmoothedRTT: p.RTT.Smoothed(), LatestRTT: p.RTT.Latest(), RTTVar: p.RTT.Var(),
		CongestionWindow: p.Window(), BytesInFlight: p.BytesInFlight(), SSThresh: -1,
		PTOCount: c.det.PTOCount(), PacingRate: p.PacingRate(),
	})
}
