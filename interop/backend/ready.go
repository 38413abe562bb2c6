package backend

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"time"
)

const (
	readyLimit    = 10 * time.Second
	readyBrisk    = time.Second // for this long probes go out often, since most servers are up in a few milliseconds
	readyOften    = 20 * time.Millisecond
	readyRegular  = 500 * time.Millisecond
	readyListen   = 100 * time.Millisecond // longest wait before a look at what else happened
	probeSize     = 1207                   // bytes: header, empty connection IDs, 1,200 bytes of nothing
	maxProbeReply = 2048                   // bytes read of an answer
)

// readyProbe is a long header packet of the version "WAIT", which no server knows, with empty connection IDs.
func readyProbe() []byte {
	probe := make([]byte, probeSize)
	copy(probe, "\xc0WAIT")
	return probe
}

// awaitServer sends probes over conn until Version Negotiation comes back. It gives up after limit, when ctx ends, when
// ended is closed, and at an answer that is something else.
func awaitServer(ctx context.Context, conn net.Conn, ended <-chan struct{}, limit time.Duration) error {
	began := time.Now()
	var next time.Time // when to send
	buf := make([]byte, maxProbeReply)
	for probes := 0; ; {
		now := time.Now()
		if now.Sub(began) > limit {
			return fmt.Errorf("%w: no Version Negotiation from %v within %v, %d probes sent", ErrNotReady, conn.RemoteAddr(), limit, probes)
		}
		if !now.Before(next) {
			conn.Write(readyProbe()) // refused while nobody listens yet
			probes++
			next = now.Add(readyOften)
			if now.Sub(began) > readyBrisk {
				next = now.Add(readyRegular)
			}
		}
		conn.SetReadDeadline(minTime(next, now.Add(readyListen)))
		n, err := conn.Read(buf)
		if err == nil {
			return checkReply(buf[:n], conn.RemoteAddr())
		}
		wait := time.Duration(0)
		if e, ok := err.(net.Error); !ok || !e.Timeout() {
			wait = readyOften // refused: the read did not wait
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return errServerEnded
		case <-time.After(wait):
		}
	}
}

// checkReply wants Version Negotiation: a long header whose version is zero (RFC 9000 §17.2.1).
func checkReply(b []byte, from net.Addr) error {
	if len(b) >= 5 && b[0]&0x80 != 0 && [4]byte(b[1:5]) == [4]byte{} {
		return nil
	}
	return fmt.Errorf("%w: %v answered an unknown version with %d bytes that start %s, want Version Negotiation",
		ErrNotReady, from, len(b), hex.EncodeToString(b[:min(len(b), 8)]))
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
