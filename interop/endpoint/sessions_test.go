package endpoint

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/quic"
)

func TestSessionsInAFileAreResumedWithEarlyDataByAnotherRun(t *testing.T) {
	w := newWorld(t, map[string]string{"a": "one", "b": "two"})
	cert, err := SelfSigned(time.Now(), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, alpn := range []string{ALPN, H3} {
		t.Run(alpn, func(t *testing.T) {
			sock, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			served := make(chan error, 1)
			s := Server{
				TLS:  &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{ALPN, H3}},
				Conf: &quic.Config{Allow0RTT: true}, WWW: w.www, Log: slog.New(slog.DiscardHandler),
			}
			go func() { served <- s.Serve(ctx, sock) }()
			defer func() {
				cancel()
				<-served
			}()
			path := filepath.Join(t.TempDir(), "sessions")
			for run, used := range []bool{false, true, true} {
				sessions, err := LoadSessions(path)
				if err != nil {
					t.Fatal(err)
				}
				var conn *quic.Conn
				c := Client{
					TLS: &tls.Config{NextProtos: []string{alpn}}, Downloads: t.TempDir(), Log: slog.New(slog.DiscardHandler), Early: true,
					OnConn: func(c *quic.Conn) { conn = c },
				}
				if err := TrustPin(c.TLS, Pin(cert.Certificate[0])); err != nil {
					t.Fatal(err)
				}
				sessions.Use(&c)
				url := "https://" + sock.LocalAddr().String()
				if err := c.Fetch(ctx, []string{url + "/a", url + "/b"}); err != nil {
					t.Fatalf("run %d: %v", run, err)
				}
				if got, _ := os.ReadFile(filepath.Join(c.Downloads, "b")); string(got) != "two" {
					t.Errorf("run %d: got %q", run, got)
				}
				if state := conn.ConnectionState(); state.Used0RTT != used || state.TLS.DidResume != used {
					t.Errorf("run %d: Used0RTT %v, DidResume %v, want %v", run, state.Used0RTT, state.TLS.DidResume, used)
				}
				if err := sessions.Save(); err != nil {
					t.Fatal(err)
				}
				if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("file of secrets has mode %v, %v, want 0600", info.Mode(), err)
				}
			}
		})
	}
}

func TestBrokenSessionsFilesAreToldApart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	for text, want := range map[string]string{
		"":                   `got format "", want "quiver sessions 1"`,
		"{":                  `got format ""`,
		`{"format":"other"}`: `got format "other"`,
		`{"format":"quiver sessions 1","servers":{"a":null,"b":{"state":"AAAA"}}}`: "",
	} {
		write(t, path, []byte(text))
		s, err := LoadSessions(path)
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: error %v, want %s", text, err, want)
		case want == "":
			for _, name := range []string{"a", "b", "c"} {
				if _, ok := s.Get(name); ok {
					t.Errorf("a session of %s came out of nothing", name)
				}
			}
		}
	}
	if _, err := LoadSessions(t.TempDir()); err == nil {
		t.Error("a directory was read")
	}
}

// TestSessionsKeepFewTokens fills maxTokens.
func TestSessionsKeepFewTokens(t *testing.T) {
	s, err := LoadSessions(filepath.Join(t.TempDir(), "sessions"))
	if err != nil {
		t.Fatal(err)
	}
	store := tokenStore{s}
	for i := range 10 {
		store.Put("a", &quic.ClientToken{Data: []byte{byte(i)}})
	}
	for i := range maxTokens {
		if got := store.Pop("a"); got == nil || !bytes.Equal(got.Data, []byte{byte(9 - i)}) {
			t.Errorf("token %d is %v, want the newest first", i, got)
		}
	}
	if store.Pop("a") != nil {
		t.Errorf("more than %d tokens", maxTokens)
	}
}
