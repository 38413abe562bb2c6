package quictest

import (
	"bytes"
	"crypto/tls"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
)

// param encodes one transport parameter.
func param(id uint64, value ...byte) []byte {
	b := wire.AppendVarint(nil, id)
	return append(wire.AppendVarint(b, uint64(len(value))), value...)
}

// wantHandshakeFails lets the RawPeer do its part of the handshake and checks
// how the connection ends it.
func wantHandshakeFails(t *testing.T, r *RawPeer, what string, code core.Code) {
	t.Helper()
	for range 4 {
		r.SendCrypto(Initial)
		r.SendCrypto(Handshake)
		if r.Conn != nil && r.Conn.Err() != nil {
			break
		}
	}
	r.WantClose(what, code)
}

func TestBadTransportParametersHaveTheirErrorCode(t *testing.T) {
	tests := []struct {
		name  string
		side  string // which side is under test; empty = both
		opts  RawOptions
		extra []byte
	}{
		{name: "initial_source_connection_id is missing", opts: RawOptions{Params: func(p *wire.Params) { p.InitialSCID = nil }}},
		{name: "initial_source_connection_id is wrong", opts: RawOptions{Params: func(p *wire.Params) { p.InitialSCID = []byte("wrongone") }}},
		{name: "original_destination_connection_id is missing", side: "client", opts: RawOptions{Params: func(p *wire.Params) { p.OriginalDCID = nil }}},
		{name: "original_destination_connection_id is wrong", side: "client", opts: RawOptions{Params: func(p *wire.Params) { p.OriginalDCID = []byte("wrongone") }}},
		{name: "retry_source_connection_id without a Retry", side: "client", opts: RawOptions{Params: func(p *wire.Params) { p.RetrySCID = []byte("wrongone") }}},
		{name: "original_destination_connection_id from a client", side: "server", extra: param(0x00, 1, 2, 3, 4, 5, 6, 7, 8)},
		{name: "stateless_reset_token from a client", side: "server", extra: param(0x02, make([]byte, 16)...)},
		{name: "preferred_address from a client", side: "server", extra: param(0x0d, append(make([]byte, 24), append([]byte{1, 9}, make([]byte, 16)...)...)...)},
		{name: "retry_source_connection_id from a client", side: "server", extra: param(0x10, 1, 2, 3, 4, 5, 6, 7, 8)},
		{name: "duplicate", extra: param(0x0f, 1)},
		{name: "duplicate of an unknown one", extra: append(param(0x3fff, 1), param(0x3fff, 1)...)},
		{name: "max_udp_payload_size of 1199", extra: param(0x03, 0x44, 0xaf)},
		{name: "ack_delay_exponent of 21", extra: param(0x0a, 21)},
		{name: "max_ack_delay of 2^14", extra: param(0x0b, 0x80, 0, 0x40, 0)},
		{name: "initial_max_streams_bidi above 2^60", opts: RawOptions{Params: func(p *wire.Params) { p.MaxStreamsBidi = 1<<60 + 1 }}},
		{name: "initial_max_streams_uni above 2^60", opts: RawOptions{Params: func(p *wire.Params) { p.MaxStreamsUni = 1<<60 + 1 }}},
		{name: "active_connection_id_limit of 1", opts: RawOptions{Params: func(p *wire.Params) { p.ActiveConnIDLimit = 1 }}},
		{name: "truncated", extra: []byte{0x01}},
		{name: "value longer than its integer", opts: RawOptions{Params: func(p *wire.Params) { p.MaxData = 0 }}, extra: param(0x04, 1, 2, 3)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := tt.opts
			opts.Extra = tt.extra
			if tt.side != "client" {
				wantHandshakeFails(t, NewRawClient(t, opts), tt.name, core.TransportParameterError)
			}
			if tt.side != "server" {
				wantHandshakeFails(t, NewRawServer(t, opts), tt.name, core.TransportParameterError)
			}
		})
	}
}

func TestUnknownTransportParametersAreIgnored(t *testing.T) {
	extra := append(param(31*7+27, 1, 2, 3), param(0x3ffffffe)...)
	testSides(t, RawOptions{Extra: extra}, func(t *testing.T, r *RawPeer) {
		r.WantOpen("RFC 9000 §7.4.2: unknown and reserved parameters")
	})
}

func TestMissingTransportParametersAreATLSError(t *testing.T) {
	for side, r := range map[string]*RawPeer{"server": NewRawClient(t, RawOptions{}), "client": NewRawServer(t, RawOptions{})} {
		t.Run(side, func(t *testing.T) {
			out := r.sp[Initial].out // a ClientHello
			if !r.client {
				out = r.sp[Handshake].out // EncryptedExtensions
			}
			// Another number for the extension makes it an unknown one.
			own := wire.AppendVarint(nil, 0x0f) // initial_source_connection_id, in the parameters
			at := bytes.Index(out, append(append(own, 8), r.SCID...))
			for !bytes.Equal(out[at:at+2], []byte{0, 57}) {
				at--
			}
			out[at] = 0x7f
			wantHandshakeFails(t, r, "RFC 9001 §8.2: missing_extension", core.CryptoError+109)
		})
	}
}

func TestNoCommonApplicationProtocolIsATLSError(t *testing.T) {
	opts := RawOptions{TLS: func(cfg *tls.Config) { cfg.NextProtos = []string{"other"} }}
	wantHandshakeFails(t, NewRawClient(t, opts), "RFC 9001 §8.1: no_application_protocol", core.CryptoError+120)
}

func TestServerCertificateIsVerified(t *testing.T) {
	opts := RawOptions{Config: func(cfg *core.Config) { cfg.TLS.ServerName = "other.test" }}
	wantHandshakeFails(t, NewRawServer(t, opts), "RFC 9001 §4.8: a TLS alert is 0x100 plus the alert", core.CryptoError+42)
}

func TestServerAnnouncesItsParameters(t *testing.T) {
	r := NewRawClient(t, RawOptions{}).Connect()
	p := r.Params()
	if string(p.OriginalDCID) != "original" || p.RetrySCID != nil || p.ResetToken == nil || p.Preferred != nil {
		t.Errorf("RFC 9000 §7.3: parameters %+v", p)
	}
	if string(p.InitialSCID) != string(r.DCID) || p.DisableMigration || p.MaxIdleTimeout != time.Minute {
		t.Errorf("parameters %+v", p)
	}
}

func TestClientAnnouncesNoServerParameters(t *testing.T) {
	r := NewRawServer(t, RawOptions{}).Connect()
	if p := r.Params(); p.OriginalDCID != nil || p.RetrySCID != nil || p.ResetToken != nil || p.Preferred != nil {
		t.Errorf("RFC 9000 §18.2: parameters %+v", p)
	}
}
