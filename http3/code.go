package http3

import (
	"errors"
	"fmt"

	"github.com/seed51309289/quiver/quic"
)

// ErrCode is an error code of HTTP/3 (RFC 9114 §8.1) or QPACK (RFC 9204 §6).
type ErrCode uint64

// The error codes.
const (
	NoError              ErrCode = 0x100
	GeneralProtocolError ErrCode = 0x101
	InternalError        ErrCode = 0x102
	StreamCreationError  ErrCode = 0x103
	ClosedCriticalStream ErrCode = 0x104
	FrameUnexpected      ErrCode = 0x105
	FrameError           ErrCode = 0x106
	ExcessiveLoad        ErrCode = 0x107
	IDError              ErrCode = 0x108
	SettingsError        ErrCode = 0x109
	MissingSettings      ErrCode = 0x10a
	RequestRejected      ErrCode = 0x10b
	RequestCancelled     ErrCode = 0x10c
	RequestIncomplete    ErrCode = 0x10d
	MessageError         ErrCode = 0x10e
	ConnectError         ErrCode = 0x10f
	VersionFallback      ErrCode = 0x110

	QPACKDecompressionFailed ErrCode = 0x200
	QPACKEncoderStreamError  ErrCode = 0x201
	QPACKDecoderStreamError  ErrCode = 0x202
)

var codeNames = map[ErrCode]string{
	NoError: "H3_NO_ERROR", GeneralProtocolError: "H3_GENERAL_PROTOCOL_ERROR", InternalError: "H3_INTERNAL_ERROR",
	StreamCreationError: "H3_STREAM_CREATION_ERROR", ClosedCriticalStream: "H3_CLOSED_CRITICAL_STREAM",
	FrameUnexpected: "H3_FRAME_UNEXPECTED", FrameError: "H3_FRAME_ERROR", ExcessiveLoad: "H3_EXCESSIVE_LOAD",
	IDError: "H3_ID_ERROR", SettingsError: "H3_SETTINGS_ERROR", MissingSettings: "H3_MISSING_SETTINGS",
	RequestRejected: "H3_REQUEST_REJECTED", RequestCancelled: "H3_REQUEST_CANCELLED", RequestIncomplete: "H3_REQUEST_INCOMPLETE",
	MessageError: "H3_MESSAGE_ERROR", ConnectError: "H3_CONNECT_ERROR", VersionFallback: "H3_VERSION_FALLBACK",
	QPACKDecompressionFailed: "QPACK_DECOMPRESSION_FAILED", QPACKEncoderStreamError: "QPACK_ENCODER_STREAM_ERROR",
	QPACKDecoderStreamError: "QPACK_DECODER_STREAM_ERROR",
}

// String returns the code's name in its RFC.
func (c ErrCode) String() string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	return fmt.Sprintf("HTTP/3 error %#x", uint64(c))
}

// An Error ended a request, or the connection and all its requests.
type Error struct {
	Code   ErrCode
	Remote bool   // the peer found it
	Reason string // "" = none given
	cause  error
}

func (e *Error) Error() string {
	who := ""
	if e.Remote {
		who = "peer: "
	}
	if e.Reason == "" {
		return fmt.Sprintf("http3: %s%v", who, e.Code)
	}
	return fmt.Sprintf("http3: %s%v: %s", who, e.Code, e.Reason)
}

// Unwrap returns the *quic.StreamError or *quic.ApplicationError that brought
// the code, if one did.
func (e *Error) Unwrap() error { return e.cause }

// publicError gives errors of package quic that carry a code of HTTP/3 its name.
func publicError(err error) error {
	if reset, ok := errors.AsType[*quic.StreamError](err); ok {
		return &Error{Code: ErrCode(reset.Code), Remote: reset.Remote, cause: err}
	}
	if closed, ok := errors.AsType[*quic.ApplicationError](err); ok {
		return &Error{Code: ErrCode(closed.Code), Remote: closed.Remote, Reason: closed.Reason, cause: err}
	}
	if v, ok := errors.AsType[*violation](err); ok {
		return &Error{Code: v.code, Reason: v.reason}
	}
	return err
}

// A violation is what the peer did wrong. It ends the stream, or the connection.
type violation struct {
	code   ErrCode
	reason string
	stream bool // RFC 9114 §8: of the stream only
}

func (v *violation) Error() string { return fmt.Sprintf("%v: %s", v.code, v.reason) }

// connError is a violation that ends the connection.
func connError(code ErrCode, format string, args ...any) error {
	return &violation{code: code, reason: fmt.Sprintf(format, args...)}
}

// malformed is a message that cannot be a request or response (RFC 9114 §4.1.2).
func malformed(format string, args ...any) error {
	return &violation{code: MessageError, reason: fmt.Sprintf(format, args...), stream: true}
}
