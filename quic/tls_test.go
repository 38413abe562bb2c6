package quic_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// cryptoError is the code of a TLS alert (RFC 9001 §4.8).
func cryptoError(alert uint8) quic.TransportErrorCode { return 0x100 + quic.TransportErrorCode(alert) }

const (
	alertBadCertificate      = 42
	alertCertificateRequired = 116
	alertNoALPN              = 120
)

func wantAlert(t *testing.T, what string, err error, remote bool, alert uint8, name string) {
	t.Helper()
	var transport *quic.TransportError
	if !errors.As(err, &transport) || transport.Remote != remote || transport.Code != cryptoError(alert) {
		t.Errorf("%s: got %v, want a TransportError with Remote %v and code %v", what, err, remote, cryptoError(alert))
		return
	}
	if !strings.Contains(err.Error(), name) {
		t.Errorf("%s: got %q, want the alert's name %q in it", what, err, name)
	}
}

func TestClientNamesTheCertificateItDoesNotTrust(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		w.listen(nil)
		w.clientTLS.RootCAs = x509.NewCertPool()
		_, err := w.dialErr(nil)
		wantAlert(t, "dial", err, false, alertBadCertificate, "bad certificate")
		var unknown x509.UnknownAuthorityError
		var verify *tls.CertificateVerificationError
		if !errors.As(err, &unknown) || !errors.As(err, &verify) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("dial: %v holds no x509.UnknownAuthorityError", err)
		}
		time.Sleep(5 * time.Second) // less than the handshake timeout
		if w.server.Conns() != 0 {
			t.Errorf("server keeps %d connections, want none", w.server.Conns())
		}
	})
}

func TestClientNamesTheWrongHost(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		w.listen(nil)
		w.clientTLS.ServerName = "elsewhere.test"
		_, err := w.dialErr(nil)
		wantAlert(t, "dial", err, false, alertBadCertificate, "bad certificate")
		var host x509.HostnameError
		if !errors.As(err, &host) || host.Host != "elsewhere.test" {
			t.Errorf("dial: %v holds no x509.HostnameError for elsewhere.test", err)
		}
	})
}

func TestClientLearnsThatItsCertificateIsMissing(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		w.serverTLS.ClientAuth = tls.RequireAnyClientCert
		w.listen(nil)
		c, err := w.dialErr(nil)
		if err == nil { // a client is done before the server has looked
			_, err = c.AcceptStream(background)
		}
		wantAlert(t, "client without a certificate", err, true, alertCertificateRequired, "certificate required")
	})
}

func TestServerSeesTheClientsCertificate(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		w.serverTLS.ClientAuth = tls.RequireAnyClientCert
		w.clientTLS.Certificates = w.serverTLS.Certificates
		_, s := w.pair(nil, nil)
		if n := len(s.ConnectionState().TLS.PeerCertificates); n != 1 {
			t.Errorf("peer certificates: got %d, want 1", n)
		}
	})
}

func TestNoCommonALPNIsTold(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		w.listen(nil)
		w.clientTLS.NextProtos = []string{"other"}
		_, err := w.dialErr(nil)
		wantAlert(t, "dial", err, true, alertNoALPN, "no application protocol")
	})
}

func TestConfigurationsMadeForTCPWork(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		inner := w.serverTLS.Clone()
		cert := inner.Certificates[0]
		inner.MinVersion, inner.Certificates = 0, nil
		var seen []string
		inner.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			seen = append(seen, "certificate for "+hello.Conn.RemoteAddr().String()+" at "+hello.Conn.LocalAddr().String())
			if _, err := hello.Conn.Write(nil); err == nil {
				t.Error("write to the Conn of a ClientHelloInfo: no error")
			}
			return &cert, nil
		}
		w.serverTLS = &tls.Config{
			Time: inner.Time,
			GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				seen = append(seen, "config for "+hello.ServerName+" of "+hello.Conn.RemoteAddr().String())
				return inner, nil
			},
		}
		w.clientTLS.MinVersion = tls.VersionTLS12
		c, _ := w.pair(nil, nil)
		client, server := c.LocalAddr().String(), c.RemoteAddr().String()
		want := "config for server.test of " + client + ", certificate for " + client + " at " + server
		if got := strings.Join(seen, ", "); got != want {
			t.Errorf("callbacks: got %s, want %s", got, want)
		}
		if inner.MinVersion != 0 || w.clientTLS.MinVersion != tls.VersionTLS12 {
			t.Error("a program's configuration was changed")
		}
	})
}

func TestGetConfigForClientMayLeaveTheConfigurationAsItIs(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		w.serverTLS.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }
		w.pair(nil, nil)
	})
}

func TestCallbacksMayRefuse(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		w.serverTLS.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("not you") }
		w.listen(nil)
		_, err := w.dialErr(nil)
		var transport *quic.TransportError
		if !errors.As(err, &transport) || !transport.Remote || transport.Code < cryptoError(0) {
			t.Errorf("dial: got %v, want the peer's CRYPTO_ERROR", err)
		}
	})
}

func TestUnfitTLSConfigurationsAreNamed(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		protos := []string{"test"}
		for _, test := range []struct {
			name string
			conf *tls.Config
			want string
		}{
			{"none", nil, "NextProtos"},
			{"no ALPN", &tls.Config{}, "NextProtos"},
			{"no certificate", &tls.Config{NextProtos: protos}, "certificate"},
			{"only TLS 1.2", &tls.Config{NextProtos: protos, MaxVersion: tls.VersionTLS12}, "MaxVersion"},
		} {
			_, err := w.server.Listen(test.conf, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("listen with %s: got %v, want an error about %s", test.name, err, test.want)
			}
			_, err = w.client.Dial(context.Background(), w.server.LocalAddr(), test.conf, nil)
			want := test.want
			if want == "certificate" {
				want = "ServerName"
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("dial with %s: got %v, want an error about %s", test.name, err, want)
			}
		}
		if w.client.Conns() != 0 {
			t.Errorf("%d connections left, want none", w.client.Conns())
		}
	})
}
