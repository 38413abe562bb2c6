package netsim

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"
)

// startUDP runs a relay to target until the test ends, and returns its client-facing address and a function
// that ends it early and gives its counters.
func startUDP(t *testing.T, cfg UDPConfig) (front netip.AddrPort, stop func() Stats) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan netip.AddrPort, 1), make(chan Stats, 1)
	cfg.Ready = func(a netip.AddrPort) { ready <- a }
	go func() {
		st, err := RunUDP(ctx, cfg)
		if err != nil {
			t.Errorf("RunUDP: %v", err)
			close(ready)
		}
		done <- st
	}()
	var once Stats
	ended := false
	stop = func() Stats {
		cancel()
		if !ended {
			once, ended = <-done, true
		}
		return once
	}
	t.Cleanup(func() { stop() })
	front, ok := <-ready
	if !ok {
		t.FailNow()
	}
	return front, stop
}

// listenUDP opens a socket on a loopback address, which the test closes.
func listenUDP(t *testing.T, host string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(host), 0)))
	if err != nil {
		t.Skipf("no UDP on %s here: %v", host, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// echo sends back every datagram, and tells sources of datagrams as they come.
func echo(c *net.UDPConn) (sources chan netip.AddrPort) {
	sources = make(chan netip.AddrPort, 10000)
	go func() {
		buf := make([]byte, maxDatagram)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			sources <- from
			c.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	return sources
}

func localAP(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

func TestRunUDPCarriesDatagramsWithTheDelayOfTheScenario(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			dir := t.TempDir()
			left, right := filepath.Join(dir, "left.pcap"), filepath.Join(dir, "right.pcap")
			server, client := listenUDP(t, host), listenUDP(t, host)
			echo(server)
			front, stop := startUDP(t, UDPConfig{Listen: netip.AddrPortFrom(netip.MustParseAddr(host), 0), Target: localAP(server),
				Scenario: mustScenario(t, s0), Seed: 1, LeftTrace: left, RightTrace: right})

			const rounds = 5
			best := time.Hour
			buf := make([]byte, 2000)
			for range rounds {
				sent := time.Now()
				client.WriteToUDPAddrPort(make([]byte, 1200), front)
				client.SetReadDeadline(sent.Add(5 * time.Second))
				if n, err := client.Read(buf); n != 1200 || err != nil {
					t.Fatalf("echo through the relay = %d bytes, %v; want 1200", n, err)
				}
				best = min(best, time.Since(sent))
			}
			st := stop()
			t.Logf("best round trip %v, lateness mean %v max %v", best, st.Lateness.Mean(), st.Lateness.Max)
			if best < 31900*time.Microsecond || best > 60*time.Millisecond {
				t.Errorf("best round trip of 1200 bytes takes %v, want 32 ms and little more", best)
			}
			for _, path := range []string{left, right} {
				if n := len(readTrace(t, path)); n != 2*rounds {
					t.Errorf("%s has %d packets, want %d", filepath.Base(path), n, 2*rounds)
				}
			}
		})
	}
}
