package http3

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"sync"

	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/quic"
)

// Types of unidirectional streams (RFC 9114 §6.2, RFC 9204 §4.2).
const (
	streamControl = 0x0
	streamPush    = 0x1
	streamEncoder = 0x2
	streamDecoder = 0x3
)

// maxControlFrame bounds a frame of the control stream that holds one integer.
const maxControlFrame = 8

// A session is what client and server have in common on one connection: the
// control streams and what the peer said on them.
type session struct {
	conn   *quic.Conn
	server bool
	own    settings

	mu      sync.Mutex // guards all below
	control sendStream // ours; nil before open
	opened  [4]bool    // which critical streams the peer has opened, by type
	peer    settings   // the default before its SETTINGS came
	goAway  uint64     // the peer takes nothing from this ID on
	maxPush uint64     // MAX_PUSH_ID of a client, and one; 0 = none came
	onAway  func(id uint64)
}

// sendStream is what we need of a stream to send on.
type sendStream interface {
	io.Writer
	CancelWrite(code uint64)
}

// receiveStream is what we need of a stream to receive on.
type receiveStream interface {
	io.Reader
	CancelRead(code uint64)
}

func newSession(conn *quic.Conn, server bool, own settings) *session {
	return &session{conn: conn, server: server, own: own, peer: settings{maxFieldSection: unlimited}, goAway: unlimited}
}

// open sends our SETTINGS, and takes the peer's streams from now on until the
// connection ends.
func (s *session) open() error {
	control, err := s.conn.OpenUniStream()
	if err != nil {
		// RFC 9114 §6.2: a peer allows at least three.
		return s.fail(connError(StreamCreationError, "no control stream: %v", err))
	}
	var grease [1]byte
	rand.Read(grease[:])
	b := appendSettings([]byte{streamControl}, s.own, grease[0])
	// RFC 9114 §7.2.8: a frame that means nothing.
	b = appendFrameHeader(b, reserved(uint64(grease[0])), 0)
	if _, err := control.Write(b); err != nil {
		return publicError(err)
	}
	s.mu.Lock()
	s.control = control
	s.mu.Unlock()
	go s.acceptUni()
	return nil
}

// fail closes the connection for a violation of the peer's, and returns it as
// an *Error. Other errors pass.
func (s *session) fail(err error) error {
	if v, ok := errors.AsType[*violation](err); ok && !v.stream {
		s.conn.CloseWithError(uint64(v.code), v.reason)
	}
	return publicError(err)
}

func (s *session) acceptUni() {
	for {
		st, err := s.conn.AcceptUniStream(context.Background())
		if err != nil {
			return
		}
		go func() {
			if err := s.takeUni(st); err != nil {
				s.fail(err)
			}
		}()
	}
}

// takeUni reads one of the peer's unidirectional streams to its end.
func (s *session) takeUni(st receiveStream) error {
	r := bufio.NewReaderSize(st, 256)
	typ, err := readVarint(r)
	if err != nil {
		return nil // RFC 9114 §6.2: it may end before its type is known
	}
	switch typ {
	case streamControl, streamEncoder, streamDecoder:
		if err := s.critical(typ); err != nil {
			return err
		}
	case streamPush:
		if s.server {
			return connError(StreamCreationError, "a client opened a push stream")
		}
		return connError(IDError, "push stream, and no MAX_PUSH_ID was sent")
	default:
		// RFC 9114 §6.2.3, §9: unknown types are no error.
		st.CancelRead(uint64(StreamCreationError))
		return nil
	}
	switch typ {
	case streamControl:
		err = s.readControl(&frames{r: r})
	case streamEncoder:
		err = readEncoder(r)
	case streamDecoder:
		err = readDecoder(r)
	}
	if _, ours := errors.AsType[*violation](err); ours {
		return err
	}
	// RFC 9114 §6.2.1, RFC 9204 §4.2: it ended, and must not.
	return connError(ClosedCriticalStream, "stream of type %#x ended: %v", typ, err)
}

// critical notes that the peer opened a stream of which there is one.
func (s *session) critical(typ uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened[typ] {
		return connError(StreamCreationError, "a second stream of type %#x", typ)
	}
	s.opened[typ] = true
	return nil
}

// readControl obeys the peer's control stream; it returns when that ends.
func (s *session) readControl(f *frames) error {
	typ, err := f.next()
	if err != nil {
		return err
	}
	// RFC 9114 §6.2.1: SETTINGS comes first.
	if typ != frameSettings {
		return connError(MissingSettings, "the control stream begins with a frame of type %#x", typ)
	}
	p, err := f.payload(maxSettingsBytes)
	if errors.Is(err, errTooLong) {
		return connError(ExcessiveLoad, "SETTINGS of %d bytes, want at most %d", f.left, maxSettingsBytes)
	}
	if err != nil {
		return err
	}
	peer, err := parseSettings(p)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.peer = peer
	s.mu.Unlock()
	for {
		if typ, err = f.nextKnown(); err != nil {
			return err
		}
		if err = s.controlFrame(f, typ); err != nil {
			return err
		}
	}
}

func (s *session) controlFrame(f *frames, typ uint64) error {
	switch {
	case typ == frameGoAway:
	case typ == frameCancelPush:
	case typ == frameMaxPushID && s.server:
	default:
		// RFC 9114 §7.2: a second SETTINGS, what belongs on other streams, what
		// only a client sends, and what is of HTTP/2.
		return connError(FrameUnexpected, "frame of type %#x on the control stream", typ)
	}
	p, err := f.payload(maxControlFrame)
	if err != nil && !errors.Is(err, errTooLong) {
		return err
	}
	v, n := wire.ConsumeVarint(p)
	// RFC 9114 §7.1: a frame is as long as its fields.
	if err != nil || n != len(p) {
		return connError(FrameError, "frame of type %#x does not hold one integer", typ)
	}
	switch typ {
	case frameGoAway:
		return s.handleGoAway(v)
	case frameMaxPushID:
		return s.handleMaxPushID(v)
	}
	return s.handleCancelPush(v)
}

func (s *session) handleGoAway(id uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// RFC 9114 §5.2: it does not grow. §7.2.6: a server names a request.
	if id > s.goAway || !s.server && id%4 != 0 {
		return connError(IDError, "GOAWAY with ID %d", id)
	}
	s.goAway = id
	if s.onAway != nil {
		go s.onAway(id)
	}
	return nil
}

func (s *session) handleMaxPushID(id uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// RFC 9114 §7.2.7: it does not shrink.
	if id+1 < s.maxPush {
		return connError(IDError, "MAX_PUSH_ID %d, was %d", id, s.maxPush-1)
	}
	s.maxPush = id + 1
	return nil
}

// handleCancelPush is RFC 9114 §7.2.3: we neither promise nor allow a push.
func (s *session) handleCancelPush(id uint64) error {
	return connError(IDError, "CANCEL_PUSH of %d, which was not promised", id)
}

// sendGoAway tells the peer that we take nothing from id on (RFC 9114 §5.2).
func (s *session) sendGoAway(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.control != nil {
		s.control.Write(appendVarintFrame(nil, frameGoAway, id))
	}
}

// peerSettings are what the peer's SETTINGS said, so far.
func (s *session) peerSettings() settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peer
}

// readEncoder reads the peer's instructions to our dynamic table, which has no
// room: it may say so, and no more (RFC 9204 §3.2.3, §4.3).
func readEncoder(r *bufio.Reader) error {
	for {
		b, err := r.ReadByte()
		if err != nil {
			return err
		}
		const setCapacityZero = 0x20
		if b != setCapacityZero {
			return connError(QPACKEncoderStreamError, "instruction %#x to a dynamic table of size zero", b)
		}
	}
}

// readDecoder reads what the peer's decoder says. We reference no dynamic
// table, so it has nothing to acknowledge (RFC 9204 §4.4).
func readDecoder(r *bufio.Reader) error {
	for {
		b, err := r.ReadByte()
		if err != nil {
			return err
		}
		if b&0xc0 != 0x40 {
			return connError(QPACKDecoderStreamError, "instruction %#x about fields that were not sent", b)
		}
		if b&0x3f != 0x3f {
			continue // RFC 9204 §4.4.2: Stream Cancellation
		}
		// RFC 9204 §4.1.1: an integer of at most 62 bits.
		for i := 0; ; i++ {
			if b, err = r.ReadByte(); err != nil {
				return err
			}
			if b&0x80 == 0 {
				break
			}
			if i == 9 {
				return connError(QPACKDecoderStreamError, "stream ID of more than 62 bits")
			}
		}
	}
}
