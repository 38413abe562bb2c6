package quic

import (
	"errors"
	"fmt"
	"net"

	"github.com/seed51309289/quiver/internal/core"
)

// TransportErrorCode is an error code of RFC 9000 §20.1.
type TransportErrorCode uint64

// PluginError ends a connection on which one side broke the rules of the
// exchange of plugins, or refused a plugin that the other one requires.
const PluginError = TransportErrorCode(core.PluginError)

// String returns the code's name.
func (c TransportErrorCode) String() string { return core.Code(c).String() }

// A TransportError ended a connection: one side broke the protocol, or TLS
// failed. It is net.ErrClosed, and what TLS found at this side, such as a
// *tls.CertificateVerificationError.
type TransportError struct {
	Remote bool // the peer closed
	Code   TransportErrorCode
	Frame  uint64 // type of the frame that caused it; 0 = unknown
	Reason string

	cause error // of TLS, at this side; may be nil
}

func (e *TransportError) Error() string {
	return closeText(e.Remote, e.Code.String(), e.Reason)
}

// Unwrap makes the error net.ErrClosed and what TLS found.
func (e *TransportError) Unwrap() []error {
	if e.cause == nil {
		return []error{net.ErrClosed}
	}
	return []error{net.ErrClosed, e.cause}
}

// An ApplicationError ended a connection because an application closed it with
// CloseWithError. It is net.ErrClosed.
type ApplicationError struct {
	Remote bool // the peer closed
	Code   ApplicationErrorCode
	Reason string
}

func (e *ApplicationError) Error() string {
	return closeText(e.Remote, fmt.Sprintf("application error %#x", e.Code), e.Reason)
}

// Unwrap makes the error net.ErrClosed.
func (e *ApplicationError) Unwrap() error { return net.ErrClosed }

func closeText(remote bool, code, reason string) string {
	text := "quic: closed connection: " + code
	if remote {
		text = "quic: peer closed connection: " + code
	}
	if reason != "" {
		text += ": " + reason
	}
	return text
}

// A StreamError says that one direction of a stream was given up: by a reset,
// or by a request to stop sending. If this side did it, it is net.ErrClosed.
type StreamError struct {
	StreamID StreamID
	Code     StreamErrorCode
	Remote   bool // the peer did it
}

func (e *StreamError) Error() string {
	if e.Remote {
		return fmt.Sprintf("quic: peer canceled stream %d with code %#x", e.StreamID, e.Code)
	}
	return fmt.Sprintf("quic: canceled stream %d with code %#x", e.StreamID, e.Code)
}

// Unwrap makes the error net.ErrClosed if this side gave up.
func (e *StreamError) Unwrap() error {
	if e.Remote {
		return nil
	}
	return net.ErrClosed
}

// IdleTimeoutError ended a silent connection. It is a net.Error with Timeout.
type IdleTimeoutError struct{}

func (*IdleTimeoutError) Error() string { return "quic: idle timeout: no packet from the peer" }

// Timeout reports true.
func (*IdleTimeoutError) Timeout() bool { return true }

// Temporary reports false.
func (*IdleTimeoutError) Temporary() bool { return false }

// Unwrap makes the error net.ErrClosed.
func (*IdleTimeoutError) Unwrap() error { return net.ErrClosed }

// HandshakeTimeoutError ended a connection that was not established in time.
// It is a net.Error with Timeout.
type HandshakeTimeoutError struct{}

func (*HandshakeTimeoutError) Error() string { return "quic: handshake did not complete in time" }

// Timeout reports true.
func (*HandshakeTimeoutError) Timeout() bool { return true }

// Temporary reports false.
func (*HandshakeTimeoutError) Temporary() bool { return false }

// Unwrap makes the error net.ErrClosed.
func (*HandshakeTimeoutError) Unwrap() error { return net.ErrClosed }

// StatelessResetError ended a connection that the peer had forgotten.
type StatelessResetError struct{}

func (*StatelessResetError) Error() string {
	return "quic: peer lost the connection (stateless reset)"
}

// Unwrap makes the error net.ErrClosed.
func (*StatelessResetError) Unwrap() error { return net.ErrClosed }

// NoViablePathError ended a connection whose peer answers at no address any
// more (RFC 9000 §9.3.2).
type NoViablePathError struct{}

func (*NoViablePathError) Error() string { return "quic: no path to the peer could be validated" }

// Unwrap makes the error net.ErrClosed.
func (*NoViablePathError) Unwrap() error { return net.ErrClosed }

// VersionNegotiationError says that client and server have no version in
// common. It is net.ErrClosed.
type VersionNegotiationError struct {
	Ours, Theirs []Version // bounded by one packet
}

func (e *VersionNegotiationError) Error() string {
	return fmt.Sprintf("quic: no common version: server has %v, we have %v", e.Theirs, e.Ours)
}

// Unwrap makes the error net.ErrClosed.
func (e *VersionNegotiationError) Unwrap() error { return net.ErrClosed }

// Err0RTTRejected is the error of streams that DialEarly's Conn opened before
// the server refused early data. The Conn goes on, and what the server did not
// take can be sent on new streams, whose IDs begin anew.
var Err0RTTRejected = errors.New("quic: server rejected 0-RTT")

var errFinished = fmt.Errorf("quic: write after the end of the stream: %w", net.ErrClosed)

// publicError turns an error of the core into the one that users meet.
func publicError(err error) error {
	var (
		local   *core.LocalError
		peer    *core.PeerError
		stream  *core.StreamError
		version *core.VersionError
	)
	switch {
	case err == nil:
		return nil
	case err == core.ErrEarlyRejected:
		return Err0RTTRejected
	case err == core.ErrFinished:
		return errFinished
	case errors.As(err, &local):
		return closeError(false, &local.CloseError, local.Cause)
	case errors.As(err, &peer):
		return closeError(true, &peer.CloseError, nil)
	case errors.As(err, &stream):
		return &StreamError{StreamID: stream.Stream, Code: stream.Code, Remote: stream.Remote}
	case errors.As(err, &version):
		e := &VersionNegotiationError{}
		for _, v := range version.Ours {
			e.Ours = append(e.Ours, Version(v))
		}
		for _, v := range version.Theirs {
			e.Theirs = append(e.Theirs, Version(v))
		}
		return e
	}
	switch err.(type) {
	case *core.IdleTimeoutError:
		return &IdleTimeoutError{}
	case *core.HandshakeTimeoutError:
		return &HandshakeTimeoutError{}
	case *core.StatelessResetError:
		return &StatelessResetError{}
	case *core.NoPathError:
		return &NoViablePathError{}
	}
	return err
}

func closeError(remote bool, e *core.CloseError, cause error) error {
	if e.App {
		return &ApplicationError{Remote: remote, Code: e.Code, Reason: e.Reason}
	}
	return &TransportError{Remote: remote, Code: TransportErrorCode(e.Code), Frame: uint64(e.Frame), Reason: e.Reason, cause: cause}
}
