package qlog

import "github.com/seed51309289/quiver/internal/wire"

// The names of the transport errors of RFC 9000 §20.1, by code.
var transportErrors = [...]string{
	"no_error", "internal_error", "connection_refused", "flow_control_error", "stream_limit_error",
	"stream_state_error", "final_size_error", "frame_encoding_error", "transport_parameter_error",
	"connection_id_limit_error", "protocol_violation", "invalid_token", "application_error",
	"crypto_buffer_exceeded", "key_update_error", "aead_limit_reached", "no_viable_path",
}

// transportError writes a transport error under the name k, and error_code
// beside it when the code has no name.
func (e *enc) transportError(k string, code uint64) {
	switch {
	case code < uint64(len(transportErrors)):
		e.str(k, transportErrors[code])
	case code >= 0x100 && code <= 0x1ff:
		// RFC 9001 §4.8: 0x100 plus the TLS alert.
		e.key(k)
		e.raw(`"crypto_error_0x1`)
		e.b = append(e.b, hexDigits[code>>4&15], hexDigits[code&15], '"')
	case code == wire.PluginError:
		e.str(k, "plugin_error")
	default:
		e.str(k, "unknown")
		e.uint("error_code", code)
	}
}

// applicationError writes an error of the application, whose names only the application knows.
func (e *enc) applicationError(code uint64) {
	e.str("error", "unknown")
	e.uint("error_code", code)
}
