package quic_test

import (
	"errors"
	"io"
	"testing"

	"github.com/seed51309289/quiver/quic"
)

func TestVersionIsTheOneThatBothPrefer(t *testing.T) {
	reverse := []quic.Version{quic.Version2, quic.Version1}
	for _, tt := range []struct {
		name           string
		client, server *quic.Config
		want           quic.Version
	}{
		{"the defaults", nil, nil, quic.Version1},
		{"a server that prefers v2", nil, &quic.Config{Versions: reverse}, quic.Version2},
		{"a client that begins in v2", &quic.Config{FirstVersion: quic.Version2}, &quic.Config{Versions: reverse}, quic.Version2},
		{"a client of v2 alone", &quic.Config{Versions: reverse[:1]}, nil, quic.Version2},
		{"a server of v2 alone", nil, &quic.Config{Versions: reverse[:1]}, quic.Version2},
		{"a server of v1 alone", &quic.Config{FirstVersion: quic.Version2}, &quic.Config{Versions: reverse[1:]}, quic.Version1},
		{"a client of v1 alone", &quic.Config{Versions: reverse[1:]}, &quic.Config{Versions: reverse}, quic.Version1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, calm, func(w *world) {
				c, s := w.pair(tt.client, tt.server)
				for _, conn := range []*quic.Conn{c, s} {
					if got := conn.ConnectionState().Version; got != tt.want {
						t.Errorf("got %v, want %v", got, tt.want)
					}
				}
				cs, ss := w.streams(c, s)
				ss.Write([]byte("hello"))
				ss.CloseWrite()
				if b, err := io.ReadAll(cs); string(b) != "hello" {
					t.Errorf("got %q, %v", b, err)
				}
			})
		})
	}
}

func TestNoCommonVersionIsAnError(t *testing.T) {
	inWorld(t, calm, func(w *world) {
		w.listen(&quic.Config{Versions: []quic.Version{quic.Version1}})
		_, err := w.dialErr(&quic.Config{Versions: []quic.Version{quic.Version2}})
		var version *quic.VersionNegotiationError
		if !errors.As(err, &version) {
			t.Fatalf("got %v, want a VersionNegotiationError", err)
		}
	})
}
