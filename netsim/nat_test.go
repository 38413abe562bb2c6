package netsim

import (
	"net/netip"
	"testing"
	"time"
)

const rebinding = "rebind --delay=1ms --bandwidth=10Mbps --queue=25 --first-rebind=1s --rebind-freq=5s"

// roundTrip sends a packet of the client and returns how the server sees its source, and whether the server's
// answer to that source comes back to the client.
func (b *bench) roundTrip(client, server netip.AddrPort) (seen netip.AddrPort, back bool) {
	b.t.Helper()
	p := Packet{Data: AppendUDP(nil, client, server, 0, 64, []byte("hello")), Payload: 28, UDP: true, Src: client, Dst: server}
	if client.Addr().Is6() {
		p.Payload = 48
	}
	b.Send(b.clock.Now(), Left, p)
	list := b.arrivals()
	if len(list) != 1 || !list[0].p.checksumOK() {
		b.t.Fatalf("%d packets of the client arrive, want 1 with a right checksum", len(list))
	}
	seen = list[0].p.Src
	return seen, b.answer(server, seen, client)
}

// answer sends a packet of the server and reports whether it reaches the client.
func (b *bench) answer(server, to, client netip.AddrPort) bool {
	b.t.Helper()
	data := AppendUDP(nil, server, to, 0, 64, []byte("hello"))
	p, err := ParseIP(data)
	check(b.t, err)
	b.Send(b.clock.Now(), Right, p)
	list := b.arrivals()
	if len(list) == 0 {
		return false
	}
	again, err := ParseIP(list[0].p.Data)
	check(b.t, err)
	if again.Dst != client || list[0].p.Dst != client || !again.checksumOK() || !headerOK(again.Data) {
		b.t.Errorf("answer arrives for %v, header says %v; want %v with right checksums", list[0].p.Dst, again.Dst, client)
	}
	return true
}

func headerOK(ip []byte) bool { return ip[0]>>4 == 6 || fold(sum16(0, ip[:20])) == 0xffff }

func TestRebindGivesANewPortAndKillsTheOldOneAtOnce(t *testing.T) {
	for name, pair := range map[string][2]netip.AddrPort{
		"IPv4": {clientAP, serverAP},
		"IPv6": {netip.AddrPortFrom(ClientV6, 50000), netip.AddrPortFrom(ServerV6, ServerPort)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, rebinding, 1)
			client, server := pair[0], pair[1]
			first, back := b.roundTrip(client, server)
			if first != client || !back {
				t.Fatalf("before the rebinding the server sees %v, answer arrives: %v; want %v, true", first, back, client)
			}
			b.clock.Advance(time.Second)
			if b.answer(server, first, client) {
				t.Error("a packet to the old port arrives after the rebinding")
			}
			second, back := b.roundTrip(client, server)
			if second == first || second.Addr() != client.Addr() || !back {
				t.Errorf("after the rebinding the server sees %v, answer arrives: %v; want another port of %v, true", second, back, client.Addr())
			}
			b.clock.Advance(4900 * time.Millisecond)
			if again, _ := b.roundTrip(client, server); again != second {
				t.Errorf("4.9 s after the first rebinding the server sees %v, want %v", again, second)
			}
			b.clock.Advance(100 * time.Millisecond)
			if third, _ := b.roundTrip(client, server); third == second || third == first {
				t.Errorf("5 s after the first rebinding the server sees %v, want a port never used before", third)
			}
			if n := b.Stats().Rebinds; n != 2 {
				t.Errorf("%d rebindings, want 2", n)
			}
		})
	}
}

func TestRebindAddrStaysInTheNetworkOfTheClient(t *testing.T) {
	seen := map[netip.Addr]bool{}
	for seed := range uint64(300) {
		b := newBench(t, rebinding+" --rebind-addr", seed)
		b.roundTrip(clientAP, serverAP)
		b.clock.Advance(time.Second)
		as, back := b.roundTrip(clientAP, serverAP)
		if !LeftNetV4.Contains(as.Addr()) || as.Addr() == ClientV4 || as.Addr() == LeftGatewayV4 || !back {
			t.Fatalf("seed %d: server sees %v, answer arrives: %v", seed, as, back)
		}
		seen[as.Addr()] = true
	}
	if len(seen) < 100 {
		t.Errorf("300 seeds give %d addresses, want many", len(seen))
	}
}

func TestRebindWithoutFrequencyHappensOnce(t *testing.T) {
	b := newBench(t, "rebind --delay=1ms --bandwidth=10Mbps --queue=25 --first-rebind=1s", 1)
	b.roundTrip(clientAP, serverAP)
	b.clock.Advance(time.Minute)
	first, _ := b.roundTrip(clientAP, serverAP)
	b.clock.Advance(time.Hour)
	if second, _ := b.roundTrip(clientAP, serverAP); second != first || b.Stats().Rebinds != 1 {
		t.Errorf("server sees %v, then %v, after %d rebindings; want 1", first, second, b.Stats().Rebinds)
	}
}

func TestNATDropsStrangersAndUnknownPorts(t *testing.T) {
	b := newBench(t, rebinding, 1)
	b.Send(b.clock.Now(), Left, Packet{Data: []byte("x"), Src: netip.MustParseAddrPort("193.167.0.90:1"), Dst: serverAP, UDP: true})
	b.Send(b.clock.Now(), Right, packet(Right, 10, 0))
	if list := b.arrivals(); len(list) != 0 {
		t.Errorf("%d packets pass, want none", len(list))
	}
	b.Send(b.clock.Now(), Left, Packet{Data: make([]byte, 60)})
	if list := b.arrivals(); len(list) != 1 {
		t.Error("a packet that is not UDP does not pass")
	}
}

func TestNATTakesABoundedNumberOfPorts(t *testing.T) {
	b := newBench(t, rebinding, 1)
	for port := range 2 * maxMappings {
		b.Send(b.clock.Now(), Left, Packet{Data: []byte("x"), Src: netip.AddrPortFrom(ClientV4, uint16(port+1)), Dst: serverAP, UDP: true})
		b.arrivals()
	}
	if st := b.Stats().ToServer; st.Delivered != maxMappings {
		t.Errorf("%d client ports pass, want %d", st.Delivered, maxMappings)
	}
	b.clock.Advance(100 * time.Second) // 20 rebindings of 4096 ports: the numbers run out, the program must not
	b.Send(b.clock.Now(), Left, Packet{Data: []byte("x"), Src: netip.AddrPortFrom(ClientV4, 1), Dst: serverAP, UDP: true})
	if list := b.arrivals(); len(list) != 1 {
		t.Error("a known port does not pass after all numbers were used")
	}
}
