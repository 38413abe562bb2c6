//go:build !udpportable

package udp

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/need"
	"github.com/seed51309289/quiver/internal/nstest"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// namespaceMTU is the MTU of loopback in the namespace of a test.
const namespaceMTU = 1400

// enterNamespace is nstest.Enter; loopback is up there, with namespaceMTU.
func enterNamespace(t *testing.T) bool {
	t.Helper()
	if !nstest.Enter(t) {
		return false
	}
	loopbackUp(t)
	return true
}

func loopbackUp(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	ifr.SetUint32(namespaceMTU)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFMTU, ifr); err != nil {
		t.Fatal(err)
	}
	ifr.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		t.Fatal(err)
	}
}

func TestDatagramBeyondTheLinksMTUIsTooBigAndKeepsGSO(t *testing.T) {
	if !enterNamespace(t) {
		return
	}
	testConns(t, func(t *testing.T, open func(network, addr string) Conn) {
		testFamilies(t, func(t *testing.T, network, addr string, dst netip.Addr) {
			c := open(network, addr)
			if _, wrapped := c.(*packetConn); wrapped {
				t.Skip("nothing forbids fragments on a wrapped conn")
			}
			fits := namespaceMTU - 20 - 8
			if dst.Unmap().Is6() {
				fits = namespaceMTU - 40 - 8
			}
			segments := c.MaxSegments()
			to := netip.AddrPortFrom(dst, c.LocalAddr().Port())
			remote := netip.AddrPortFrom(dst.Unmap(), to.Port())
			for _, count := range []int{1, 3} {
				mustWrite(t, c, numbered(fits*count), fits, to)
				readDatagrams(t, c, count, remote)
				err := c.Write(numbered((fits+1)*count), fits+1, to, netip.Addr{}, 0)
				if !errors.Is(err, ErrTooBig) {
					t.Errorf("writing %d datagrams of %d bytes: %v, want ErrTooBig", count, fits+1, err)
				}
			}
			if c.MaxSegments() != segments {
				t.Errorf("MaxSegments() = %d after that, was %d", c.MaxSegments(), segments)
			}
		})
	})
}

func TestMissingRouteIsTransient(t *testing.T) {
	if !enterNamespace(t) {
		return
	}
	s := listen(t, "udp", ":0", Config{})
	for _, dst := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} {
		for _, segment := range []int{0, 10} {
			err := s.Write(make([]byte, 20), segment, netip.MustParseAddrPort(dst), netip.Addr{}, 0)
			if !errors.Is(err, ErrTransient) || !errors.Is(err, syscall.ENETUNREACH) {
				t.Errorf("writing to %s: %v, want ErrTransient and ENETUNREACH", dst, err)
			}
		}
	}
	if s.MaxSegments() == 1 {
		t.Error("a missing route turned GSO off")
	}
}

func TestLinkLocalPeersCarryTheirZone(t *testing.T) {
	if !enterNamespace(t) {
		return
	}
	addLinkLocal(t)
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	s := listen(t, "udp6", "[::]:0", Config{})
	dst := netip.MustParseAddr("fe80::1%" + lo.Name)
	got := exchange(t, s, s, dst, netip.Addr{}, 0)
	if scope := s.idle.name.Scope_id; scope != uint32(lo.Index) {
		t.Errorf("sent with scope id %d, want %d", scope, lo.Index)
	}
	if got.Remote.Addr() != dst || got.Local != dst {
		t.Fatalf("train from %v to %v, want both %v", got.Remote, got.Local, dst)
	}
	if got = exchange(t, s, s, got.Remote.Addr(), got.Local, 0); got.Remote.Addr() != dst {
		t.Errorf("answer from %v, want %v", got.Remote, dst)
	}
}

// addLinkLocal gives loopback the address fe80::1/64 and waits until the kernel has its route, which comes later.
func addLinkLocal(t *testing.T) {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	addr, err := netlink.ParseAddr("fe80::1/64")
	if err != nil {
		t.Fatal(err)
	}
	addr.Flags = unix.IFA_F_NODAD
	if err := netlink.AddrAdd(lo, addr); err != nil {
		need.Missing(t, "ipv6", "no IPv6 in this namespace: %v", err)
	}
	for range 100 {
		routes, err := netlink.RouteListFiltered(unix.AF_INET6,
			&netlink.Route{Table: unix.RT_TABLE_LOCAL, Dst: &net.IPNet{IP: addr.IP, Mask: net.CIDRMask(128, 128)}},
			netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
		if err == nil && len(routes) > 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("fe80::1 got no local route within a second")
}

func TestWriteWaitsForRoomAndCloseEndsTheWait(t *testing.T) {
	if !enterNamespace(t) {
		return
	}
	const writes, datagrams, size, headers = 5, 10, 1000, 14 + 20 + 8
	link := addVeth(t, "10.9.0.1/24")
	for _, disableGSO := range []bool{false, true} {
		peer, want := netip.MustParseAddr("10.9.0.2"), uint64(writes*(datagrams*size+headers)) // a train counts as one
		if disableGSO {
			peer, want = netip.MustParseAddr("10.9.0.3"), writes*datagrams*(size+headers)
		}
		s := listen(t, "udp4", "10.9.0.1:0", Config{DisableGSO: disableGSO, SendBuffer: -1})
		withFD(t, s, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1) })
		var sent atomic.Int32
		done := make(chan error, 1)
		writer := func() {
			for range writes {
				err := s.Write(make([]byte, datagrams*size), size, netip.AddrPortFrom(peer, 9), netip.Addr{}, 0)
				if err != nil {
					done <- err
					return
				}
				sent.Add(1)
			}
			done <- nil
		}
		before := bytesSent(t, link)
		// Nobody answers for the peer's address, so the datagrams stay in the kernel and fill the send buffer.
		go writer()
		if n := stalledAt(&sent); n == writes {
			t.Fatalf("GSO off %t: all %d writes done without anyone to take them", disableGSO, n)
		}
		neigh := &netlink.Neigh{LinkIndex: link, IP: peer.AsSlice(), State: netlink.NUD_PERMANENT,
			HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9}}
		if err := netlink.NeighSet(neigh); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Errorf("GSO off %t: %d of %d writes done, then %v", disableGSO, sent.Load(), writes, err)
		}
		if got := bytesSent(t, link) - before; got < want {
			t.Errorf("GSO off %t: %d bytes left, want at least %d", disableGSO, got, want)
		}
		if err := netlink.NeighDel(neigh); err != nil {
			t.Fatal(err)
		}
		go writer()
		stalledAt(&sent)
		s.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("GSO off %t: Write during Close: %v, want net.ErrClosed", disableGSO, err)
		}
	}
}

// stalledAt waits until count stops moving and returns it.
func stalledAt(count *atomic.Int32) int32 {
	last := int32(-1)
	for now := count.Load(); now != last; now = count.Load() {
		last = now
		time.Sleep(30 * time.Millisecond)
	}
	return last
}

func bytesSent(t *testing.T, link int) uint64 {
	t.Helper()
	l, err := netlink.LinkByIndex(link)
	if err != nil {
		t.Fatal(err)
	}
	return l.Attrs().Statistics.TxBytes
}

// addVeth makes a pair of links, gives one end an address and returns its index.
func addVeth(t *testing.T, cidr string) int {
	t.Helper()
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "near"}, PeerName: "far"}); err != nil {
		need.Missing(t, "netns", "no veth links on this kernel: %v", err)
	}
	for _, name := range []string{"near", "far"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(link); err != nil {
			t.Fatal(err)
		}
	}
	near, err := netlink.LinkByName("near")
	if err != nil {
		t.Fatal(err)
	}
	addr, err := netlink.ParseAddr(cidr)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.AddrAdd(near, addr); err != nil {
		t.Fatal(err)
	}
	return near.Attrs().Index
}
