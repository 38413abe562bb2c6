//go:build !udpportable

package udp

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/need"
	"golang.org/x/sys/unix"
)

func TestECNCodepointsSurviveTheKernel(t *testing.T) {
	testFamilies(t, func(t *testing.T, network, addr string, dst netip.Addr) {
		from, to := listen(t, network, addr, Config{}), listen(t, network, addr, Config{})
		deaf := listen(t, network, addr, Config{DisableECN: true})
		for ecn := range uint8(4) {
			if got := exchange(t, from, to, dst, netip.Addr{}, ecn); got.ECN != ecn || got.Len() != 3 {
				t.Errorf("%d datagrams with ECN %d arrived, want 3 with %d", got.Len(), got.ECN, ecn)
			}
			if got := exchange(t, from, deaf, dst, netip.Addr{}, ecn); got.ECN != 0 {
				t.Errorf("socket without ECN reported %d, want 0", got.ECN)
			}
			if got := exchange(t, deaf, to, dst, netip.Addr{}, ecn); got.ECN != 0 {
				t.Errorf("socket without ECN marked its datagrams %d, want 0", got.ECN)
			}
		}
	})
}

func TestAnswerLeavesFromTheAddressThatWasAsked(t *testing.T) {
	tests := []struct {
		name, network, listen, dst string
	}{
		{"v4", "udp4", "0.0.0.0:0", "127.0.0.2"},
		{"v4 on dual stack", "udp", ":0", "127.0.0.2"},
		{"v6", "udp6", "[::]:0", "::1"},
		{"v6 on dual stack", "udp", ":0", "::1"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			dst := netip.MustParseAddr(tc.dst)
			if dst.Is6() {
				needIPv6(t)
			}
			client, server := listen(t, tc.network, tc.listen, Config{}), listen(t, tc.network, tc.listen, Config{})
			asked := exchange(t, client, server, dst, netip.Addr{}, 0)
			if asked.Local != dst {
				t.Fatalf("destination reported as %v, want %v", asked.Local, dst)
			}
			answer := exchange(t, server, client, asked.Remote.Addr(), asked.Local, 2)
			if want := netip.AddrPortFrom(dst, server.LocalAddr().Port()); answer.Remote != want {
				t.Errorf("answer came from %v, want %v", answer.Remote, want)
			}
			if answer.ECN != 2 || answer.Len() != 3 {
				t.Errorf("answer has ECN %d and %d datagrams, want 2 and 3", answer.ECN, answer.Len())
			}
		})
	}
}

func TestSourceAddressOfAnotherHostIsTransient(t *testing.T) {
	testFamilies(t, func(t *testing.T, network, addr string, dst netip.Addr) {
		s := listen(t, network, addr, Config{})
		to := netip.AddrPortFrom(dst, s.LocalAddr().Port())
		foreign := netip.MustParseAddr("192.0.2.1")
		if dst.Unmap().Is6() {
			foreign = netip.MustParseAddr("2001:db8::1")
		}
		for _, segment := range []int{0, 10} {
			if err := s.Write(make([]byte, 30), segment, to, foreign, 0); !errors.Is(err, ErrTransient) {
				t.Errorf("writing from %v: %v, want ErrTransient", foreign, err)
			}
		}
		if s.MaxSegments() == 1 {
			t.Error("a bad source address turned GSO off")
		}
	})
}

func TestAddressOfTheWrongFamilyIsTransient(t *testing.T) {
	s := listen(t, "udp4", "127.0.0.1:0", Config{})
	tests := []struct {
		name string
		to   netip.AddrPort
		from netip.Addr
	}{
		{"IPv6 peer", netip.MustParseAddrPort("[::1]:9"), netip.Addr{}},
		{"IPv6 source", s.LocalAddr(), netip.IPv6Loopback()},
		{"no peer", netip.AddrPort{}, netip.Addr{}},
	}
	for _, tc := range tests {
		err := s.Write([]byte("x"), 0, tc.to, tc.from, 0)
		if !errors.Is(err, ErrTransient) || !errors.Is(err, syscall.EAFNOSUPPORT) {
			t.Errorf("%s on an IPv4 socket: %v, want ErrTransient and EAFNOSUPPORT", tc.name, err)
		}
	}
}

func TestRefusedGSOIsTurnedOffAndTheTrainResent(t *testing.T) {
	from, to := listen(t, "udp4", "127.0.0.1:0", Config{}), listen(t, "udp4", "127.0.0.1:0", Config{})
	if from.MaxSegments() == 1 {
		need.Missing(t, "gso", "the kernel has no UDP_SEGMENT")
	}
	// Linux refuses trains on sockets without checksums.
	withFD(t, from, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1) })
	for range 2 {
		buf := numbered(2500)
		mustWrite(t, from, buf, 1000, to.LocalAddr())
		got := readDatagrams(t, to, 3, from.LocalAddr())
		if !bytes.Equal(bytes.Join(got, nil), buf) || len(got[2]) != 500 {
			t.Errorf("arrived as %v, want 1000 1000 500", lengths(got))
		}
	}
	if st := from.Stats(); st.GSO || st.GSOError != syscall.EINVAL || from.MaxSegments() != 1 {
		t.Errorf("GSO %t because of %v, MaxSegments %d; want false, EINVAL, 1", st.GSO, st.GSOError, from.MaxSegments())
	}
	wantNothing(t, to)
}

func TestRefusalByICMPDisturbsNeitherReadNorWrite(t *testing.T) {
	gone := listen(t, "udp4", "127.0.0.1:0", Config{})
	peer := gone.LocalAddr()
	gone.Close()
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(peer))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(c, Config{})
	if err != nil {
		c.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for range 3 {
		mustWrite(t, s, []byte("anyone?"), 0, peer)
	}
	wantNothing(t, s) // the last refusal waits for whoever calls next
	back := listen(t, "udp4", peer.String(), Config{})
	mustWrite(t, s, []byte("now?"), 0, peer)
	if got := readDatagrams(t, back, 1, s.LocalAddr()); string(got[0]) != "now?" {
		t.Errorf("peer read %q", got[0])
	}
	mustWrite(t, back, []byte("yes"), 0, s.LocalAddr())
	if got := readDatagrams(t, s, 1, peer); string(got[0]) != "yes" {
		t.Errorf("read %q", got[0])
	}
}

func TestSocketForbidsFragmentsAndIgnoresTheKernelsPathMTU(t *testing.T) {
	testFamilies(t, func(t *testing.T, network, addr string, _ netip.Addr) {
		s := listen(t, network, addr, Config{})
		withFD(t, s, func(fd int) error {
			got, err := unix.GetsockoptInt(fd, unix.SOL_IP, unix.IP_MTU_DISCOVER)
			if err != nil || got != unix.IP_PMTUDISC_PROBE {
				t.Errorf("IP_MTU_DISCOVER = %d, %v, want probe (%d)", got, err, unix.IP_PMTUDISC_PROBE)
			}
			if network == "udp4" {
				return nil
			}
			got, err = unix.GetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER)
			if err != nil || got != unix.IPV6_PMTUDISC_PROBE {
				t.Errorf("IPV6_MTU_DISCOVER = %d, %v, want probe (%d)", got, err, unix.IPV6_PMTUDISC_PROBE)
			}
			return nil
		})
	})
}

func TestStatsReportWhatWasGranted(t *testing.T) {
	plain := listen(t, "udp4", "127.0.0.1:0", Config{ReceiveBuffer: -1, SendBuffer: -1}).Stats()
	if plain.ReceiveBuffer != 0 || plain.SendBuffer != 0 {
		t.Errorf("buffers %d and %d reported though none was asked for", plain.ReceiveBuffer, plain.SendBuffer)
	}
	s := listen(t, "udp4", "127.0.0.1:0", Config{ReceiveBuffer: 300_000, SendBuffer: 1})
	withFD(t, s, func(fd int) error {
		st := s.Stats()
		receive, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
		if err != nil || st.ReceiveBuffer != receive/2 {
			t.Errorf("receive buffer reported as %d, is %d (%v)", st.ReceiveBuffer, receive/2, err)
		}
		send, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
		if err != nil || st.SendBuffer != send/2 || send/2 < 4096 {
			t.Errorf("send buffer reported as %d, is %d (%v), want not lowered", st.SendBuffer, send/2, err)
		}
		return nil
	})
	off := listen(t, "udp4", "127.0.0.1:0", Config{DisableGSO: true, DisableGRO: true, DisableECN: true}).Stats()
	if off.GSO || off.GRO || off.ECN {
		t.Errorf("disabled features reported as on: %+v", off)
	}
}

func TestTruncatedTrainIsDroppedAndCounted(t *testing.T) {
	from, to := listen(t, "udp4", "127.0.0.1:0", Config{}), listen(t, "udp4", "127.0.0.1:0", Config{})
	to.receiver.reset(readSlots)
	to.receiver.iovs[0].SetLen(1500) // as if the buffers were what they must not be
	mustWrite(t, from, numbered(3000), 1000, to.LocalAddr())
	mustWrite(t, from, []byte("whole"), 0, to.LocalAddr())
	if got := readDatagrams(t, to, 1, from.LocalAddr()); string(got[0]) != "whole" {
		t.Errorf("read %d bytes of a cut train, want it dropped", len(got[0]))
	}
	if n := to.Stats().Truncated; n != 1 {
		t.Errorf("Truncated = %d, want 1", n)
	}
}

func TestOverflowOfTheReceiveBufferIsCounted(t *testing.T) {
	from := listen(t, "udp4", "127.0.0.1:0", Config{})
	to := listen(t, "udp4", "127.0.0.1:0", Config{ReceiveBuffer: -1})
	withFD(t, to, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 20_000) })
	const sent = 500
	for range sent {
		mustWrite(t, from, nil, 0, to.LocalAddr())
	}
	if err := to.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	trains, read := make([]Train, readSlots), 0
	for {
		n, err := to.Read(trains)
		if err != nil {
			break
		}
		read += n
	}
	mustWrite(t, from, []byte("last"), 0, to.LocalAddr()) // brings the count along
	readDatagrams(t, to, 1, from.LocalAddr())
	if lost := to.Stats().Overflow; lost != uint64(sent-read) || lost == 0 {
		t.Errorf("Overflow = %d with %d of %d read, want the difference", lost, read, sent)
	}
}

func TestReadAndWriteAllocateNothing(t *testing.T) {
	for name, cfg := range map[string]Config{"offloads": {}, "no GSO": {DisableGSO: true}, "no GRO": {DisableGRO: true}} {
		t.Run(name, func(t *testing.T) {
			testFamilies(t, func(t *testing.T, network, addr string, dst netip.Addr) {
				s := listen(t, network, addr, cfg)
				to := netip.AddrPortFrom(dst, s.LocalAddr().Port())
				buf, trains := numbered(9*1000+1), make([]Train, readSlots)
				allocs := testing.AllocsPerRun(200, func() {
					if err := s.Write(buf, 1000, to, dst, 1); err != nil {
						t.Fatal(err)
					}
					for want := 10; want > 0; {
						n, err := s.Read(trains)
						if err != nil {
							t.Fatal(err)
						}
						for i := range n {
							want -= trains[i].Len()
						}
					}
				})
				if allocs != 0 {
					t.Errorf("Write and Read of 10 datagrams allocate %v times, want 0", allocs)
				}
			})
		})
	}
}

func TestControlMessagesMayBeCutAnywhere(t *testing.T) {
	s := listen(t, "udp4", "127.0.0.1:0", Config{})
	w := newSender(s)
	w.putECN(3, true)
	w.putSource(netip.MustParseAddr("127.0.0.2"))
	copy(w.control(unix.SOL_UDP, unix.UDP_GRO, 4), []byte{0xff, 0xff, 0xff, 0xff}) // a size below zero
	ctrl := make([]byte, 0, sendControlSize)
	for _, word := range w.ctrl {
		for shift := range 8 {
			ctrl = append(ctrl, byte(word>>(8*shift)))
		}
	}
	for i := range len(ctrl) * 8 {
		flipped := bytes.Clone(ctrl)
		flipped[i/8] ^= 1 << (i % 8)
		for _, b := range [][]byte{ctrl[:i/8], flipped, flipped[:i/8]} {
			train := Train{Buf: make([]byte, 100), SegmentSize: 100}
			s.receiver.control(b, &train)
			if train.SegmentSize <= 0 || train.SegmentSize > 100 || train.ECN > 3 {
				t.Fatalf("control messages % x made %+v", b, train)
			}
		}
	}
}

func TestZonesAreTranslatedBothWays(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skipf("no interface named lo: %v", err)
	}
	var z zoneTable
	for range 2 {
		if got := z.name(uint32(lo.Index)); got != "lo" {
			t.Errorf("name(%d) = %q, want lo", lo.Index, got)
		}
		if got := z.index("lo"); got != uint32(lo.Index) {
			t.Errorf("index(lo) = %d, want %d", got, lo.Index)
		}
	}
	if got := z.index("no such interface"); got != 0 {
		t.Errorf("index of no interface = %d, want 0", got)
	}
	for i := range uint32(3 * maxZones) {
		if got := z.index(z.name(1_000_000 + i)); got != 1_000_000+i {
			t.Fatalf("index(name(%d)) = %d", 1_000_000+i, got)
		}
	}
	if len(z.names) > maxZones || len(z.indexes) > maxZones {
		t.Errorf("table holds %d names and %d indexes, want at most %d", len(z.names), len(z.indexes), maxZones)
	}
}

// exchange sends a train of three datagrams to dst at the port of to, and returns it as one train as it arrives.
func exchange(t *testing.T, from, to *Socket, dst, source netip.Addr, ecn uint8) Train {
	t.Helper()
	if err := from.Write(numbered(2100), 1000, netip.AddrPortFrom(dst, to.LocalAddr().Port()), source, ecn); err != nil {
		t.Fatal(err)
	}
	if err := to.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	trains := make([]Train, readSlots)
	n, err := to.Read(trains)
	if err != nil || n != 1 {
		t.Fatalf("Read = %d trains, %v, want 1", n, err)
	}
	return trains[0]
}

// wantNothing says that no datagram waits.
func wantNothing(t *testing.T, s *Socket) {
	t.Helper()
	if err := s.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	trains := make([]Train, 1)
	if n, err := s.Read(trains); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d trains, the first of %d bytes, %v; want none until the deadline", n, len(trains[0].Buf), err)
	}
	if err := s.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
}

func withFD(t *testing.T, s *Socket, f func(fd int) error) {
	t.Helper()
	var err error
	if ctrlErr := s.raw.Control(func(fd uintptr) { err = f(int(fd)) }); ctrlErr != nil || err != nil {
		t.Fatal(ctrlErr, err)
	}
}
