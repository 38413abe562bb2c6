package quictest

import (
	"bytes"
	"crypto/tls"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/wire"
)

// keyUpdate is a TLS KeyUpdate message, endOfEarlyData its namesake.
var (
	keyUpdate      = []byte{24, 0, 0, 1, 0}
	endOfEarlyData = []byte{5, 0, 0, 0}
)

func TestTLSMessagesThatQUICForbids(t *testing.T) {
	const unexpected = core.CryptoError + 10
	t.Run("KeyUpdate in 1-RTT", func(t *testing.T) {
		testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
			r.Send(App, crypto(r.sp[App].outAt, keyUpdate))
			r.WantClose("RFC 9001 §6: unexpected_message", unexpected)
		})
	})
	t.Run("KeyUpdate in Handshake to a server", func(t *testing.T) {
		r := reach(t, false, Handshake)
		r.Send(Handshake, crypto(0, keyUpdate))
		r.WantClose("RFC 9001 §6: unexpected_message", unexpected)
	})
	t.Run("KeyUpdate in Handshake to a client", func(t *testing.T) {
		r := reach(t, true, Handshake)
		r.Send(Handshake, crypto(0, keyUpdate))
		r.WantClose("RFC 9001 §6: unexpected_message", unexpected)
	})
	t.Run("EndOfEarlyData", func(t *testing.T) {
		r := reach(t, false, Handshake)
		r.Send(Handshake, crypto(0, endOfEarlyData))
		r.WantClose("RFC 9001 §8.3: unexpected_message", unexpected)
	})
}

func TestHandshakeDataAtTheWrongLevelIsAnError(t *testing.T) {
	r := reach(t, false, Initial)
	finished := r.sp[Handshake].out
	r.Send(Initial, crypto(r.sp[Initial].outAt, finished))
	r.WantClose("RFC 9001 §4.1.3: Finished in an Initial packet", core.ProtocolViolation)
}

func TestCryptoDataOutOfOrderIsBuffered(t *testing.T) {
	r := NewRawClient(t, RawOptions{})
	hello := r.sp[Initial].out
	r.AutoAck = false
	for off := len(hello) - 10; off > 0; off -= 50 { // short pieces, last first, with gaps
		r.Send(Initial, crypto(uint64(off), hello[off:off+10]))
	}
	r.WantNoFrame("the hello is not complete", wire.FrameCrypto)
	r.Send(Initial, crypto(0, hello[:len(hello)/2]))
	r.Send(Initial, crypto(uint64(len(hello)/2), hello[len(hello)/2:]))
	r.WantFrame("RFC 9000 §7.5: CRYPTO data is put in order", wire.FrameCrypto)
}

func TestCryptoBufferIsBounded(t *testing.T) {
	r := reach(t, false, Initial)
	r.Replies = nil
	r.Send(Initial, crypto(4096+r.sp[Initial].outAt, []byte{1}))
	r.WantOpen("RFC 9000 §7.5: at least 4096 bytes ahead")
	r.Send(Initial, crypto(1<<17, []byte{1}))
	r.WantClose("far ahead", core.CryptoBufferExceeded)
}

func TestServerConfirmsOnceComplete(t *testing.T) {
	r := NewRawClient(t, RawOptions{})
	r.SendCrypto(Initial)
	r.WantNoFrame("RFC 9001 §4.1.2: not before the client's Finished", wire.FrameHandshakeDone)
	r.SendCrypto(Handshake)
	r.WantFrame("RFC 9001 §4.1.2: HANDSHAKE_DONE when complete", wire.FrameHandshakeDone)
}

func TestLostHandshakeDoneIsRepeated(t *testing.T) {
	r := NewRawClient(t, RawOptions{})
	r.SendCrypto(Initial)
	r.AutoAck = false
	r.SendCrypto(Handshake)
	r.WantFrame("at completion", wire.FrameHandshakeDone)
	r.Advance(2 * time.Second)
	r.WantFrame("RFC 9000 §13.3: HANDSHAKE_DONE until it is acknowledged", wire.FrameHandshakeDone)
}

func TestInitialKeysAreDiscarded(t *testing.T) {
	t.Run("server, with the first Handshake packet", func(t *testing.T) {
		r := reach(t, false, Handshake)
		r.SendCrypto(Handshake)
		r.Replies = nil
		r.Send(Initial, frame(wire.FramePing))
		r.WantSilence("RFC 9001 §4.9.1: no Initial keys any more")
	})
	t.Run("client, with its first Handshake packet", func(t *testing.T) {
		r := reach(t, true, Handshake)
		r.Replies = nil
		r.Send(Initial, frame(wire.FramePing))
		r.WantSilence("RFC 9001 §4.9.1: no Initial keys any more")
	})
}

func TestHandshakeKeysAreDiscardedWhenConfirmed(t *testing.T) {
	testSides(t, RawOptions{}, func(t *testing.T, r *RawPeer) {
		r.Send(Handshake, frame(wire.FramePing))
		r.Advance(time.Second)
		for _, p := range r.Replies {
			if p.Type == wire.PacketHandshake {
				t.Errorf("RFC 9001 §4.9.2: a Handshake packet after the confirmation")
			}
		}
	})
}

func TestServerTakesNo1RTTDataBeforeTheClientsFinished(t *testing.T) {
	r := reach(t, false, Handshake)
	r.Send(App, stream(0, 0, "early", false))
	if len(r.Opened) > 0 {
		t.Fatal("RFC 9001 §5.7: 1-RTT data before the handshake is complete")
	}
	r.SendCrypto(Handshake)
	if len(r.Opened) != 1 {
		t.Fatal("RFC 9001 §5.7: the packet was not kept until the handshake was complete")
	}
}

func TestHelloRetryRequestCostsARoundTripOnly(t *testing.T) {
	// The client offers key shares that the server does not take.
	p256 := func(cfg *tls.Config) { cfg.CurvePreferences = []tls.CurveID{tls.CurveP256} }
	t.Run("client", func(t *testing.T) { NewRawServer(t, RawOptions{TLS: p256}).Connect() })
	t.Run("server", func(t *testing.T) {
		NewRawClient(t, RawOptions{Config: func(cfg *core.Config) { p256(cfg.TLS) }}).Connect()
	})
}

func TestSessionTicketsAreTaken(t *testing.T) {
	r := NewRawServer(t, RawOptions{}).Connect()
	if err := r.tls.SendSessionTicket(tls.QUICSessionTicketOptions{}); err != nil {
		t.Fatal(err)
	}
	r.drainTLS()
	if len(r.sp[App].out) == 0 {
		t.Fatal("there is no ticket")
	}
	r.SendCrypto(App)
	r.WantOpen("RFC 9001 §4.5: a NewSessionTicket after the handshake")
}

func TestClientCertificateIsAskedForAndRefused(t *testing.T) {
	opts := RawOptions{Config: func(cfg *core.Config) { cfg.TLS.ClientAuth = tls.RequireAnyClientCert }}
	r := NewRawClient(t, opts)
	r.SendCrypto(Initial)
	r.Send(App, stream(0, 0, "early", false))
	r.SendCrypto(Handshake)
	if r.Conn.Established() || len(r.Opened) > 0 {
		t.Fatal("RFC 9001 §5.7: a client without a certificate was served")
	}
	r.WantClose("RFC 9001 §4.8: certificate_required", core.CryptoError+116)
}

func TestMiddleboxCompatibilityIsRefused(t *testing.T) {
	for name, cut := range map[string]int{"in one piece": 1000, "cut before the ID": 38, "cut after its length": 39} {
		r := NewRawClient(t, RawOptions{})
		hello := r.sp[Initial].out
		// One byte of legacy_session_id, and a message that is longer by it.
		hello = append(append(bytes.Clone(hello[:38]), 1, 7), hello[39:]...)
		n := len(hello) - 4
		hello[1], hello[2], hello[3] = byte(n>>16), byte(n>>8), byte(n)
		r.Send(Initial, crypto(0, hello[:cut]))
		r.Send(Initial, crypto(uint64(cut), hello[cut:min(len(hello), cut+1000)]))
		r.WantClose("RFC 9001 §8.4: a session ID, "+name, core.ProtocolViolation)
	}
}
