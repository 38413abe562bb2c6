package quic_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/quic"
)

var with0RTT = &quic.Config{Allow0RTT: true}

// resume connects once, so that the client has a session, and closes.
func (w *world) resume(l *quic.Listener) {
	w.Helper()
	if w.clientTLS.ClientSessionCache == nil {
		w.clientTLS.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	c := w.dial(nil)
	w.accept(l)
	time.Sleep(rtt) // for the ticket
	c.CloseWithError(0, "")
	time.Sleep(rtt)
}

func (w *world) dialEarly() *quic.Conn {
	w.Helper()
	c, err := w.client.DialEarly(context.Background(), w.server.LocalAddr(), w.clientTLS, nil)
	if err != nil {
		w.Fatalf("dial: %v", err)
	}
	return c
}

func complete(c *quic.Conn) bool {
	select {
	case <-c.HandshakeComplete():
		return true
	default:
		return false
	}
}

func TestEarlyDataSavesARoundTrip(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		l := w.listen(with0RTT)
		w.resume(l)
		start := time.Now()
		c := w.dialEarly()
		w.wantTook("DialEarly", start, 0, 0)
		if proto := c.ConnectionState().TLS.NegotiatedProtocol; proto != "test" {
			w.Errorf("application protocol of early data is %q, want that of the session", proto)
		}
		cs, err := c.OpenStream()
		if err != nil {
			w.Fatal(err)
		}
		if _, err := cs.WriteFinal([]byte("request")); err != nil {
			w.Fatal(err)
		}
		s := w.accept(l)
		w.wantTook("Accept", start, rtt/2, rtt/2+rtt/10)
		if complete(s) || complete(c) || s.ConnectionState().TLS.HandshakeComplete {
			w.Error("the handshake is complete before the client heard of the server")
		}
		if proto := s.ConnectionState().TLS.NegotiatedProtocol; proto != "test" {
			w.Errorf("server: application protocol of early data is %q", proto)
		}
		ss, err := s.AcceptStream(background)
		if err != nil {
			w.Fatal(err)
		}
		if got, err := io.ReadAll(ss); string(got) != "request" || err != nil {
			w.Fatalf("server read %q, %v", got, err)
		}
		ss.WriteFinal([]byte("answer"))
		if got, err := io.ReadAll(cs); string(got) != "answer" || err != nil {
			w.Fatalf("client read %q, %v", got, err)
		}
		w.wantTook("the answer", start, rtt, rtt+rtt/5)
		<-c.HandshakeComplete()
		<-s.HandshakeComplete()
		for name, conn := range map[string]*quic.Conn{"client": c, "server": s} {
			if state := conn.ConnectionState(); !state.Used0RTT || !state.TLS.DidResume {
				w.Errorf("%s: Used0RTT %v, DidResume %v, want both", name, state.Used0RTT, state.TLS.DidResume)
			}
		}
	})
}

func TestDialEarlyWithoutASessionWaitsForTheHandshake(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		w.listen(with0RTT)
		c := w.dialEarly()
		if !complete(c) || c.ConnectionState().Used0RTT {
			w.Errorf("handshake complete: %v, Used0RTT: %v, want true, false", complete(c), c.ConnectionState().Used0RTT)
		}
	})
}

func TestDialSendsNoEarlyDataWithASessionForIt(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		l := w.listen(with0RTT)
		w.resume(l)
		for range 2 { // and spoils the session for nobody
			c := w.dial(nil)
			if state := c.ConnectionState(); state.Used0RTT || !state.TLS.DidResume {
				w.Errorf("Used0RTT %v, DidResume %v, want false, true", state.Used0RTT, state.TLS.DidResume)
			}
			w.accept(l)
			c.CloseWithError(0, "")
			if c := w.dialEarly(); complete(c) {
				w.Error("DialEarly after Dial does not offer early data")
			}
			w.accept(l)
		}
	})
}

func TestConnGoesOnAfterRejectedEarlyData(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		l := w.listen(with0RTT)
		w.resume(l)
		l.Close()
		l = w.listen(nil)
		c := w.dialEarly()
		early, err := c.OpenStream()
		if err != nil {
			w.Fatal(err)
		}
		early.Write([]byte("lost"))
		if _, err := early.Read(make([]byte, 1)); !errors.Is(err, quic.Err0RTTRejected) {
			w.Errorf("read of an early stream: %v, want %v", err, quic.Err0RTTRejected)
		}
		if _, err := early.Write([]byte("x")); !errors.Is(err, quic.Err0RTTRejected) {
			w.Errorf("write to an early stream: %v, want %v", err, quic.Err0RTTRejected)
		}
		if err := early.Close(); err != nil && !errors.Is(err, quic.Err0RTTRejected) {
			w.Errorf("close of an early stream: %v", err)
		}
		s := w.accept(l)
		<-c.HandshakeComplete()
		if c.ConnectionState().Used0RTT || s.ConnectionState().Used0RTT {
			w.Error("Used0RTT after a rejection")
		}
		cs, ss := w.streams(c, s)
		if cs.StreamID() != 0 {
			w.Errorf("first stream after the rejection is %d, want 0 (RFC 9001 §4.6.2)", cs.StreamID())
		}
		ss.WriteFinal([]byte("new"))
		if got, err := io.ReadAll(cs); string(got) != "new" || err != nil {
			w.Errorf("client read %q, %v", got, err)
		}
	})
}

func TestSessionsResumeWhateverCallbacksTheServerHas(t *testing.T) {
	for name, change := range map[string]func(w *world, asked *int){
		"none": func(*world, *int) {},
		"GetCertificate": func(w *world, asked *int) {
			cert := w.serverTLS.Certificates[0]
			w.serverTLS.Certificates = nil
			w.serverTLS.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				*asked++
				return &cert, wantAddrs(w, hello)
			}
		},
		"GetConfigForClient, a new one each": func(w *world, asked *int) {
			chosen := w.serverTLS.Clone()
			w.serverTLS.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				*asked++
				return chosen.Clone(), wantAddrs(w, hello)
			}
		},
		"GetConfigForClient of TLS 1.2": func(w *world, asked *int) {
			chosen := w.serverTLS.Clone()
			chosen.MinVersion = 0
			chosen.SetSessionTicketKeys([][32]byte{{1}})
			w.serverTLS.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				*asked++
				return chosen, wantAddrs(w, hello)
			}
		},
		"key log": func(w *world, asked *int) { w.serverTLS.KeyLogWriter = io.Discard },
		"old":     func(w *world, asked *int) { w.serverTLS.MinVersion = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, calm, func(w *world) {
				asked := 0
				change(w, &asked)
				l := w.listen(nil)
				w.resume(l)
				first := asked
				if strings.HasPrefix(name, "Get") && first == 0 {
					w.Error("the callback was not asked")
				}
				if c := w.dial(nil); !c.ConnectionState().TLS.DidResume {
					w.Error("the session did not resume")
				}
			})
		})
	}
}

// wantAddrs checks that a callback of TLS finds the client's address.
func wantAddrs(w *world, hello *tls.ClientHelloInfo) error {
	if hello.Conn == nil || hello.Conn.RemoteAddr() == nil || !hello.Conn.RemoteAddr().(*net.UDPAddr).IP.IsGlobalUnicast() {
		w.Errorf("callback of TLS: Conn is %v, want one with the client's address", hello.Conn)
	}
	return nil
}

func TestServersWithTheSameTicketKeysTakeEachOthersSessions(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		w.serverTLS.SetSessionTicketKeys([][32]byte{{7}})
		l := w.listen(with0RTT)
		w.resume(l)
		l.Close()
		other := w.serverTLS.Clone()
		w.serverTLS = other
		w.listen(with0RTT)
		if c := w.dial(nil); !c.ConnectionState().TLS.DidResume {
			w.Error("the session did not resume")
		}
	})
}

func TestKeyLogHasEarlySecretsAndWholeLines(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		var log bytes.Buffer // not safe for concurrent use: the test is one with -race, too
		w.clientTLS.KeyLogWriter, w.serverTLS.KeyLogWriter = &log, &log
		l := w.listen(with0RTT)
		w.resume(l)
		c := w.dialEarly()
		<-c.HandshakeComplete()
		w.accept(l)
		c.CloseWithError(0, "")
		time.Sleep(rtt)
		early := 0
		for line := range strings.Lines(log.String()) {
			if len(strings.Fields(line)) != 3 || !strings.HasSuffix(line, "\n") {
				w.Errorf("key log has the line %q, want three words", line)
			}
			if strings.HasPrefix(line, "CLIENT_EARLY_TRAFFIC_SECRET ") {
				early++
			}
		}
		if early != 2 {
			w.Errorf("key log has %d early secrets, want one of each side", early)
		}
	})
}
