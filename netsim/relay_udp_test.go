package netsim

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/need"
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
		need.Missing(t, "ipv6", "no UDP on %s here: %v", host, err)
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

// exchange sends text through the relay and returns who the server saw; the echo must come back.
func exchange(t *testing.T, c *net.UDPConn, front netip.AddrPort, text string, sources chan netip.AddrPort) netip.AddrPort {
	t.Helper()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	c.WriteToUDPAddrPort([]byte(text), front)
	buf := make([]byte, 2000)
	n, from, err := c.ReadFromUDPAddrPort(buf)
	if err != nil || string(buf[:n]) != text || from != front {
		t.Fatalf("echo is %q from %v, %v; want %q from %v", buf[:n], from, err, text, front)
	}
	return <-sources
}

func TestRunUDPGivesEachClientItsOwnSocket(t *testing.T) {
	server := listenUDP(t, "127.0.0.1")
	sources := echo(server)
	front, _ := startUDP(t, UDPConfig{Listen: loopback, Target: localAP(server), Scenario: mustScenario(t, "link"), Seed: 1})
	seen := map[netip.AddrPort]bool{}
	for i := range 5 {
		c := listenUDP(t, "127.0.0.1")
		first := exchange(t, c, front, fmt.Sprint("first ", i), sources)
		if second := exchange(t, c, front, fmt.Sprint("second ", i), sources); second != first {
			t.Errorf("server sees one client as %v and %v", first, second)
		}
		seen[first] = true
	}
	if len(seen) != 5 {
		t.Errorf("server sees %d sources, want 5", len(seen))
	}
}

func TestRunUDPRebindsToAnotherSocket(t *testing.T) {
	for _, flag := range []string{"", " --rebind-addr"} {
		server, client := listenUDP(t, "127.0.0.1"), listenUDP(t, "127.0.0.1")
		sources := echo(server)
		front, stop := startUDP(t, UDPConfig{Listen: loopback, Target: localAP(server), Seed: 1,
			Scenario: mustScenario(t, "rebind --delay=1ms --bandwidth=10Mbps --queue=25 --first-rebind=100ms"+flag)})
		before := exchange(t, client, front, "before", sources)
		time.Sleep(120 * time.Millisecond)
		after := exchange(t, client, front, "after", sources)
		if after == before {
			t.Errorf("server sees %v before and after the rebinding", before)
		}
		if runtime.GOOS == "linux" && (after.Addr() != before.Addr()) != (flag != "") {
			t.Errorf("rebind%s: server sees %v, then %v", flag, before, after)
		}
		if st := stop(); st.Rebinds != 1 {
			t.Errorf("%d rebindings, want 1", st.Rebinds)
		}
	}
}

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

func loopbackOf(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), 0) }

func TestRunUDPTracesShowTheTestNetworkAndWhatWasDropped(t *testing.T) {
	dir := t.TempDir()
	left, right := filepath.Join(dir, "left.pcap"), filepath.Join(dir, "right.pcap")
	server, client := listenUDP(t, "127.0.0.1"), listenUDP(t, "127.0.0.1")
	sources := echo(server)
	front, stop := startUDP(t, UDPConfig{Listen: loopback, Target: localAP(server), Seed: 1, LeftTrace: left, RightTrace: right,
		Scenario: mustScenario(t, "droplist --delay=5ms --bandwidth=10Mbps --queue=25 --drops_to_server=1")})
	client.WriteToUDPAddrPort([]byte("lost"), front)
	exchange(t, client, front, "found", sources)
	st := stop()
	if st.ToServer.ErrorDrops != 1 || st.ToServer.Delivered != 1 || st.ToClient.Delivered != 1 {
		t.Errorf("stats %+v: want one drop, one delivery each way", st)
	}
	me := netip.AddrPortFrom(ClientV4, localAP(client).Port())
	for path, want := range map[string][]string{
		left:  {fmt.Sprintf("%v>%v lost dropped: packet 1 is on the drop list", me, serverAP), fmt.Sprintf("%v>%v found ", me, serverAP), fmt.Sprintf("%v>%v found ", serverAP, me)},
		right: {fmt.Sprintf("%v>%v found ", me, serverAP), fmt.Sprintf("%v>%v found ", serverAP, me)},
	} {
		var got []string
		for _, p := range readTrace(t, path) {
			ip, err := ParseIP(p.frame[etherHeaderLen:])
			check(t, err)
			ttl := map[bool]byte{true: 64, false: 62}[(path == left) == (ip.Dst == serverAP)] // two routers are between
			if ip.Data[8] != ttl {
				t.Errorf("%s: packet %d has TTL %d, want %d", filepath.Base(path), len(got)+1, ip.Data[8], ttl)
			}
			got = append(got, fmt.Sprintf("%v>%v %s %s", ip.Src, ip.Dst, ip.UDPPayload(), strings.Join(p.notes, "")))
			if !ip.checksumOK() || !headerOK(ip.Data) {
				t.Errorf("%s: packet %d has a wrong checksum", filepath.Base(path), len(got))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", filepath.Base(path), got, want)
		}
	}
}

func TestRunUDPRefusesClientsAboveTheLimit(t *testing.T) {
	r := udpRelay{own: ClientV4, clients: map[netip.AddrPort]netip.AddrPort{}, inside: map[netip.AddrPort]netip.AddrPort{}}
	for i := range maxClients {
		host := netip.AddrFrom4([4]byte{127, 0, byte(i >> 8), byte(i)})
		if _, ok := r.clientFor(netip.AddrPortFrom(host, 7)); !ok { // all with the same port
			t.Fatalf("client %d is refused", i)
		}
	}
	if len(r.inside) != maxClients {
		t.Errorf("%d clients have %d addresses in the test network", maxClients, len(r.inside))
	}
	if _, ok := r.clientFor(clientAP); ok || len(r.clients) > maxClients {
		t.Errorf("client %d is accepted", maxClients+1)
	}
	if _, ok := r.clientFor(netip.MustParseAddrPort("127.0.0.0:7")); !ok {
		t.Error("a known client is refused")
	}
}

func TestRunUDPEndsWithItsContextAndSaysWhatIsWrong(t *testing.T) {
	if _, err := RunUDP(t.Context(), UDPConfig{Listen: loopback}); err == nil {
		t.Error("no scenario: no error")
	}
	taken := listenUDP(t, "127.0.0.1")
	_, err := RunUDP(t.Context(), UDPConfig{Listen: localAP(taken), Scenario: mustScenario(t, s0)})
	if err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("address in use: %v", err)
	}
	_, err = RunUDP(t.Context(), UDPConfig{Listen: loopback, Scenario: mustScenario(t, s0), LeftTrace: filepath.Join(t.TempDir(), "none", "left.pcap")})
	if err == nil || !strings.Contains(err.Error(), "create trace") {
		t.Errorf("trace in a missing directory: %v", err)
	}
}
