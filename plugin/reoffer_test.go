package plugin

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/quic"
)

// lines is a log that a test reads.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestAPluginThatRunsSinceTheFirstFlightIsNotOfferedAgain(t *testing.T) {
	file, trust := echoesFile(t, "negotiated")
	var log lines
	server := offering(t, file)
	server.Logger = slog.New(slog.NewTextHandler(&log, nil))
	client := &Host{Runtime: process(t), Accept: &Policy{Trust: trust}, Logger: server.Logger}
	clientTLS, serverTLS := quictest.TLSConfigs(time.Now(), "plugin")
	clientTLS.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	ln, err := quic.ListenAddr("localhost:0", serverTLS, &quic.Config{Extensions: server, Allow0RTT: true})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go func() {
		for {
			s, err := ln.Accept(ctx)
			if err != nil {
				return
			}
			go func() {
				for {
					stream, err := s.AcceptStream(ctx)
					if err != nil {
						return
					}
					io.Copy(stream, stream)
					stream.Close()
				}
			}()
		}
	}()
	for i := range 2 {
		c, err := quic.DialAddrEarly(ctx, ln.Addr().String(), clientTLS, &quic.Config{Extensions: client})
		if err != nil {
			t.Fatal(err)
		}
		stream, err := c.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		stream.Write([]byte("early"))
		stream.CloseWrite()
		if b, err := io.ReadAll(stream); err != nil || string(b) != "early" {
			t.Fatalf("echo %q, %v", b, err)
		}
		active(t, c, "org.example.echoes")
		if used := c.ConnectionState().Used0RTT; used != (i == 1) {
			t.Fatalf("connection %d used 0-RTT: %v", i, used)
		}
		time.Sleep(1500 * time.Millisecond) // the server's ticket waits for plugins, and an offer would be answered by now
		c.CloseWithError(0, "")
	}
	text := log.String()
	for _, wrong := range []string{"refuse", "not attached", "not offered"} {
		if strings.Contains(text, wrong) {
			t.Errorf("the log says %q:\n%s", wrong, text)
		}
	}
	if strings.Count(text, "resumed=true") != 2 {
		t.Errorf("want the plugin active at both ends since the first flight:\n%s", text)
	}
}
