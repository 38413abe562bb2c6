package backend

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// replyServer answers each datagram with reply, after it has ignored some.
func replyServer(t *testing.T, ignore int, reply string) (addr string, probes <-chan []byte) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	seen := make(chan []byte, 100)
	go func() {
		for i := 0; ; i++ {
			buf := make([]byte, 2048)
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			select {
			case seen <- buf[:n]:
			default:
			}
			if i >= ignore {
				conn.WriteTo([]byte(reply), from)
			}
		}
	}()
	return conn.LocalAddr().String(), seen
}

func await(t *testing.T, ctx context.Context, addr string, ended <-chan struct{}, limit time.Duration) error {
	t.Helper()
	conn, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return awaitServer(ctx, conn, ended, limit)
}

const versionNegotiation = "\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"

func TestReadinessProbeIsThatOfTheInteropRunner(t *testing.T) {
	addr, probes := replyServer(t, 0, versionNegotiation)
	if err := await(t, t.Context(), addr, nil, time.Second); err != nil {
		t.Fatal(err)
	}
	probe := <-probes
	if len(probe) != 1207 || string(probe[:7]) != "\xc0WAIT\x00\x00" || strings.Trim(string(probe[7:]), "\x00") != "" {
		t.Errorf("probe of %d bytes starts %x", len(probe), probe[:8])
	}
}

func TestReadinessIsVersionNegotiationOnly(t *testing.T) {
	for _, tc := range []struct {
		name, reply string
		ready       bool
	}{
		{"version negotiation", versionNegotiation, true},
		{"short header", "\x40\x00\x00\x00\x00\x00", false},
		{"another version", "\xc0\x00\x00\x00\x01\x00\x00", false},
		{"four bytes", "\x80\x00\x00\x00", false},
		{"nothing", "", false},
	} {
		addr, _ := replyServer(t, 0, tc.reply)
		err := await(t, t.Context(), addr, nil, time.Second)
		if (err == nil) != tc.ready || err != nil && !errors.Is(err, ErrNotReady) {
			t.Errorf("%s: error %v, want ready %t", tc.name, err, tc.ready)
		}
	}
}

func TestReadinessProbesAgainUntilTheLimit(t *testing.T) {
	addr, _ := replyServer(t, 3, versionNegotiation)
	if err := await(t, t.Context(), addr, nil, 5*time.Second); err != nil {
		t.Errorf("server that ignores three probes: %v", err)
	}
	addr, probes := replyServer(t, 1<<30, "")
	began := time.Now()
	err := await(t, t.Context(), addr, nil, 300*time.Millisecond)
	if took := time.Since(began); !errors.Is(err, ErrNotReady) || took < 300*time.Millisecond || took > 2*time.Second {
		t.Errorf("silent server: %v after %v", err, took)
	}
	if len(probes) < 5 {
		t.Errorf("%d probes in 300 ms, want one each 20 ms", len(probes))
	}
}

func TestReadinessOutlivesAPortThatIsNotOpenYet(t *testing.T) {
	gone, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	if err := await(t, t.Context(), gone.LocalAddr().String(), nil, 200*time.Millisecond); !errors.Is(err, ErrNotReady) {
		t.Errorf("refused all the time: %v", err)
	}
}

func TestReadinessEndsWithServerAndContext(t *testing.T) {
	addr, _ := replyServer(t, 1<<30, "")
	ended := make(chan struct{})
	time.AfterFunc(50*time.Millisecond, func() { close(ended) })
	if err := await(t, t.Context(), addr, ended, 10*time.Second); err != errServerEnded {
		t.Errorf("server ended: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := await(t, ctx, addr, nil, 10*time.Second); err != context.DeadlineExceeded {
		t.Errorf("context ended: %v", err)
	}
}
