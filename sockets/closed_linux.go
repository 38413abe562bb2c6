package sockets

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

// How it is found out that nobody is at a UDP port. QUIC itself hears no word of it: whoever is on the path could forge that, and so end
// connections. For one that does not exist yet TCP takes the same risk.
const (
	askAfter = 20 * time.Millisecond // for a peer to answer to QUIC first
	askEvery = 500 * time.Millisecond
	askTimes = 3
)

// untilClosed returns a context that also ends when it is known that nobody is at the UDP port of a peer: its cause is then what ICMP said,
// unix.ECONNREFUSED, unix.EHOSTUNREACH or the like. The caller calls stop.
func untilClosed(ctx context.Context, peer netip.AddrPort) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(askAfter, func() {
		if err := askPort(ctx, peer); err != nil {
			cancel(err)
		}
	})
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

// askPort sends what no QUIC endpoint answers, and returns what ICMP says of it; nil = nothing.
func askPort(ctx context.Context, peer netip.AddrPort) error {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(peer))
	if err != nil {
		return nil // the reason comes from elsewhere too
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	for range askTimes {
		if _, err = c.Write([]byte{0}); err == nil {
			c.SetReadDeadline(time.Now().Add(askEvery))
			_, err = c.Read(make([]byte, 1))
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
			return err
		}
	}
	return nil
}
