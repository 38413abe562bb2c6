package core

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/seed51309289/quiver/internal/wire"
)

// Code is a QUIC transport error code (RFC 9000 §20.1).
type Code uint64

// Transport error codes.
const (
	NoError                 Code = 0x00
	InternalError           Code = 0x01
	ConnectionRefused       Code = 0x02
	FlowControlError        Code = 0x03
	StreamLimitError        Code = 0x04
	StreamStateError        Code = 0x05
	FinalSizeError          Code = 0x06
	FrameEncodingError      Code = 0x07
	TransportParameterError Code = 0x08
	ConnectionIDLimitError  Code = 0x09
	ProtocolViolation       Code = 0x0a
	InvalidToken            Code = 0x0b
	ApplicationError        Code = 0x0c
	CryptoBufferExceeded    Code = 0x0d
	KeyUpdateError          Code = 0x0e
	AEADLimitReached        Code = 0x0f
	NoViablePath            Code = 0x10
	VersionNegotiationError Code = 0x11  // RFC 9368 §4
	CryptoError             Code = 0x100 // to 0x1ff: plus a TLS alert
	PluginError             Code = wire.PluginError
)

var codeNames = [...]string{
	"NO_ERROR", "INTERNAL_ERROR", "CONNECTION_REFUSED", "FLOW_CONTROL_ERROR", "STREAM_LIMIT_ERROR",
	"STREAM_STATE_ERROR", "FINAL_SIZE_ERROR", "FRAME_ENCODING_ERROR", "TRANSPORT_PARAMETER_ERROR",
	"CONNECTION_ID_LIMIT_ERROR", "PROTOCOL_VIOLATION", "INVALID_TOKEN", "APPLICATION_ERROR",
	"CRYPTO_BUFFER_EXCEEDED", "KEY_UPDATE_ERROR", "AEAD_LIMIT_REACHED", "NO_VIABLE_PATH", "VERSION_NEGOTIATION_ERROR",
}

// String returns the name of RFC 9000 §20.1, and that of the alert in a CRYPTO_ERROR.
func (c Code) String() string {
	if c < Code(len(codeNames)) {
		return codeNames[c]
	}
	if c >= CryptoError && c < CryptoError+256 {
		alert := strings.TrimPrefix(tls.AlertError(c-CryptoError).Error(), "tls: ")
		return fmt.Sprintf("CRYPTO_ERROR %#x (%s)", uint64(c), alert)
	}
	if c == PluginError {
		return "PLUGIN_ERROR"
	}
	return fmt.Sprintf("error %#x", uint64(c))
}

// CloseError is why a connection ended with a CONNECTION_CLOSE frame, whoever
// sent it. LocalError and PeerError say who.
type CloseError struct {
	App    bool   // the application closed: Code is its own
	Code   uint64 // transport code (see Code) unless App
	Frame  wire.FrameType
	Reason string
}

func (e *CloseError) text() string {
	name := Code(e.Code).String()
	if e.App {
		name = fmt.Sprintf("application error %#x", e.Code)
	}
	if e.Reason == "" {
		return name
	}
	return name + ": " + e.Reason
}

// LocalError is a close that this endpoint began. It is net.ErrClosed, and Cause.
type LocalError struct {
	CloseError
	Cause error // what TLS found, which the peer is not told in full; nil = nothing
}

func (e *LocalError) Error() string   { return "closed connection: " + e.text() }
func (e *LocalError) Unwrap() []error { return causes(e.Cause) }

func causes(cause error) []error {
	if cause == nil {
		return []error{net.ErrClosed}
	}
	return []error{net.ErrClosed, cause}
}

// PeerError is a close that the peer began. It is net.ErrClosed.
type PeerError struct{ CloseError }

func (e *PeerError) Error() string { return "peer closed connection: " + e.text() }
func (e *PeerError) Unwrap() error { return net.ErrClosed }

// IdleTimeoutError ends a connection on which nothing arrived for its idle
// timeout (RFC 9000 §10.1). It is a net.Error with Timeout.
type IdleTimeoutError struct{}

func (*IdleTimeoutError) Error() string   { return "idle timeout: no packet from the peer" }
func (*IdleTimeoutError) Timeout() bool   { return true }
func (*IdleTimeoutError) Temporary() bool { return false }
func (*IdleTimeoutError) Unwrap() error   { return net.ErrClosed }

// HandshakeTimeoutError ends a connection whose handshake took too long. It is
// a net.Error with Timeout.
type HandshakeTimeoutError struct{}

func (*HandshakeTimeoutError) Error() string   { return "handshake did not complete in time" }
func (*HandshakeTimeoutError) Timeout() bool   { return true }
func (*HandshakeTimeoutError) Temporary() bool { return false }
func (*HandshakeTimeoutError) Unwrap() error   { return net.ErrClosed }

// StatelessResetError ends a connection that the peer no longer knows (RFC 9000 §10.3).
type StatelessResetError struct{}

func (*StatelessResetError) Error() string { return "peer lost the connection (stateless reset)" }
func (*StatelessResetError) Unwrap() error { return net.ErrClosed }

// NoPathError ends a connection whose peer answers at no address any more
// (RFC 9000 §9.3.2).
type NoPathError struct{}

func (*NoPathError) Error() string { return "no path to the peer could be validated" }
func (*NoPathError) Unwrap() error { return net.ErrClosed }

// Why a connection does not move to another path.
var (
	ErrServerMoves  = errors.New("only a client migrates (RFC 9000 §9)")
	ErrMoveTooEarly = errors.New("handshake is not confirmed (RFC 9000 §9)")
	ErrMoveDisabled = errors.New("peer disabled active migration (RFC 9000 §18.2)")
	ErrMoveNowhere  = errors.New("path is in use, or leads to an address that is not the peer's")
	ErrMoving       = errors.New("another migration is under way")
	ErrNoSpareID    = errors.New("peer offers no connection ID for another path (RFC 9000 §9.5)")
	ErrNoAnswer     = errors.New("peer did not answer on the new path")
)

// VersionError ends a client's connection to a server that speaks none of its
// versions (RFC 9000 §6.2).
type VersionError struct{ Ours, Theirs []wire.Version }

func (e *VersionError) Error() string {
	return fmt.Sprintf("no common QUIC version: server has %v, we have %v", e.Theirs, e.Ours)
}

func (e *VersionError) Unwrap() error { return net.ErrClosed }

// StreamError says that the peer gave up one direction of a stream: it reset
// what it sent, or asked us to stop sending (RFC 9000 §3.5, §19.4).
type StreamError struct {
	Stream uint64
	Code   uint64 // application error code
	Remote bool   // the peer did it
}

func (e *StreamError) Error() string {
	who := "reset"
	if e.Remote {
		who = "peer reset"
	}
	return fmt.Sprintf("%s stream %d with code %#x", who, e.Stream, e.Code)
}

// violation makes the LocalError of a peer's mistake.
func violation(code Code, frame wire.FrameType, format string, args ...any) *LocalError {
	return &LocalError{CloseError: CloseError{Code: uint64(code), Frame: frame, Reason: fmt.Sprintf(format, args...)}}
}
